package store

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestReplicaConfigOfTheRepository(t *testing.T) {
	text, err := os.ReadFile("../litestream.yml")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("litestream.yml", text, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := ReadReplicaConfig("litestream.yml")
	if err != nil {
		t.Fatal(err)
	}
	want := &ReplicaConfig{
		Databases: []ReplicatedFile{
			{filepath.Join(here, "data/waybill.db"), filepath.Join(here, "data/replica/waybill.db"), time.Second, 24 * time.Hour, 720 * time.Hour},
			{filepath.Join(here, "data/vault.db"), filepath.Join(here, "data/replica/vault.db"), time.Second, time.Hour, 24 * time.Hour},
		},
		Levels:      []time.Duration{30 * time.Second, 5 * time.Minute, time.Hour},
		L0Retention: time.Hour,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestReplicaConfig(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []ReplicatedFile
	}{
		{"silent: waybill's own retention", `
dbs:
  - path: /d/waybill.db
    replica: {path: /r/waybill.db}
  - path: /d/vault.db
    replica: {url: "file:///r/./vault.db", sync-interval: 250ms}
`, []ReplicatedFile{
			{"/d/waybill.db", "/r/waybill.db", defaultSync, defaultSnapshot, defaultRetention},
			{"/d/vault.db", "/r/vault.db", 250 * time.Millisecond, defaultVaultSnapshot, defaultVaultRetention},
		}},
		{"said for all, and for one", `
snapshot: {interval: 2h, retention: 48h}
dbs:
- {path: /d/waybill.db, replica: {type: file, path: /r/w}, snapshot: {interval: 3h}}
- {path: /d/vault.db, replica: {type: file, path: /r/v}}
`, []ReplicatedFile{
			{"/d/waybill.db", "/r/w", defaultSync, 3 * time.Hour, 48 * time.Hour},
			{"/d/vault.db", "/r/v", defaultSync, 2 * time.Hour, 48 * time.Hour},
		}},
	} {
		got, err := parseReplicaConfig("f.yml", []byte(c.text))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if !reflect.DeepEqual(got.Databases, c.want) {
			t.Errorf("%s: got %+v\nwant %+v", c.name, got.Databases, c.want)
		}
	}
}

func TestReplicaConfigRefusals(t *testing.T) {
	const head, db = "dbs:\n  - path: /d/a.db\n", "dbs:\n  - path: /d/a.db\n    replica: {path: /r/a}\n"
	for _, c := range []struct{ name, text, at, says string }{
		{"empty", "", "", "is empty"},
		{"only a comment", "# nothing\n", "", "is empty"},
		{"a list", "- a\n", "1:1", "must be a mapping"},
		{"no databases", "snapshot:\n  interval: 1h\n", "", "no database"},
		{"not YAML", "dbs:\n  - path: [\n", "", ""},
		{"two documents", db + "---\n" + db, "", "second document"},
		{"a key twice", db + "dbs: []\n", "4:1", "dbs"},
		{"unknown at the top", "addr: \":9090\"\n" + db, "1:1", "addr is not a key that waybill reads: the file has dbs, l0-retention, levels, snapshot"},
		{"unknown in a database", head + "    dir: /x\n", "3:5", "a database has path, replica, snapshot"},
		{"unknown in a replica", head + "    replica:\n      path: /r\n      bucket: b\n", "5:7", "a replica has path, sync-interval, type, url"},
		{"unknown in snapshot", db + "snapshot:\n  keep: 1h\n", "5:3", "snapshot has interval, retention"},
		{"unknown in a level", db + "levels:\n  - every: 1h\n", "5:5", "a level has interval"},
		{"old form", head + "    replicas:\n      - path: /r\n", "3:5", "replicas is not a key"},
		{"S3 by type", head + "    replica:\n      type: s3\n", "4:13", "type s3 are not built in"},
		{"S3 by URL", head + "    replica:\n      url: s3://user:secret@bucket/a\n", "4:12", "s3:// are not built in"},
		{"a URL that is none", head + "    replica:\n      url: \"file://%zz\"\n", "4:12", "url"},
		{"a URL without scheme", head + "    replica:\n      url: /r\n", "4:12", "no scheme"},
		{"a URL with a host", head + "    replica:\n      url: file://r/a\n", "4:12", "three slashes"},
		{"path and URL", head + "    replica: {path: /r, url: \"file:///r\"}\n", "3:", "either a path or a url"},
		{"neither", head + "    replica: {type: file}\n", "3:", "either a path or a url"},
		{"no replica", head, "2:", "no replica"},
		{"no path", "dbs:\n  - replica: {path: /r}\n", "2:", "no path"},
		{"a number for a path", "dbs:\n  - path: 7\n", "2:11", "path must be a text"},
		{"null for a path", "dbs:\n  - path:\n    replica: {path: /r}\n", "2:", "path must be a text"},
		{"a home", "dbs:\n  - path: ~/a.db\n", "2:11", "~"},
		{"a database URL", "dbs:\n  - path: sqlite:///a.db\n", "2:11", "write a path"},
		{"a variable", head + "    replica: {path: \"$HOME/r\"}\n", "3:21", "does not expand variables"},
		{"no duration", db + "l0-retention: soon\n", "4:15", "must be a duration"},
		{"a bare number", db + "l0-retention: 30\n", "4:15", "must be a duration"},
		{"no time", db + "snapshot: {interval: 0s}\n", "4:22", "above zero"},
		{"negative", db + "snapshot: {retention: -1h}\n", "4:23", "above zero"},
		{"no levels", db + "levels: []\n", "", "1 to 8"},
		{"a level without interval", db + "levels:\n  - {}\n", "5:5", "interval"},
		{"levels as a mapping", db + "levels:\n  interval: 1h\n", "5:", "must be a list"},
		{"a database twice", db + "  - path: /d/../d/a.db\n    replica: {path: /r/b}\n", "2:", "/d/a.db has two uses"},
		{"a replica twice", db + "  - path: /d/b.db\n    replica: {path: /r/a/}\n", "2:", "/r/a has two uses"},
	} {
		_, err := parseReplicaConfig("f.yml", []byte(c.text))
		switch {
		case err == nil:
			t.Errorf("%s: it was taken", c.name)
		case !strings.HasPrefix(err.Error(), "f.yml") || !strings.Contains(err.Error(), c.says) || c.at != "" && !strings.HasPrefix(err.Error(), "f.yml:"+c.at):
			t.Errorf("%s: got %v, want f.yml:%s … %s", c.name, err, c.at, c.says)
		case strings.Contains(err.Error(), "secret"):
			t.Errorf("%s: the error tells a password: %v", c.name, err)
		}
	}
	if _, err := ReadReplicaConfig(filepath.Join(t.TempDir(), "none.yml")); err == nil {
		t.Error("a missing file was read")
	}
}

// Whatever the file holds, it is read or refused.
func FuzzReplicaConfig(f *testing.F) {
	f.Add("dbs:\n  - path: /d/a.db\n    replica: {path: /r/a, sync-interval: 1s}\nlevels: [{interval: 1m}]\n")
	f.Add("snapshot: {interval: 1h, retention: 2h}\ndbs: [{path: a, replica: {url: \"file:///r\"}, snapshot: {}}]\n")
	f.Add("a: &x [*x]\n---\n? {b: c}\n: !!binary d\n<<: *x\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseReplicaConfig("f.yml", []byte(text))
		if err != nil {
			return
		}
		for _, db := range c.Databases {
			if !filepath.IsAbs(db.Path) || !filepath.IsAbs(db.Replica) || db.SyncInterval <= 0 || db.Snapshot <= 0 || db.Retention <= 0 {
				t.Errorf("it took %+v", db)
			}
		}
	})
}
