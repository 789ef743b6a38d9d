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
			{filepath.Join(here, "data/waybill.db"), filepath.Join(here, "data-replica/waybill.db"), time.Second, 24 * time.Hour, 720 * time.Hour, nil},
			{filepath.Join(here, "data/vault.db"), filepath.Join(here, "data-replica/vault.db"), time.Second, time.Hour, 24 * time.Hour, nil},
		},
		Levels:      []time.Duration{30 * time.Second, 5 * time.Minute, time.Hour},
		L0Retention: time.Hour,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	for _, f := range got.Databases { // who deletes the data folder has the replica left
		if strings.HasPrefix(f.Replica, filepath.Dir(f.Path)+string(filepath.Separator)) {
			t.Errorf("%s is in the data folder", f.Replica)
		}
	}
}

func TestReplicaConfig(t *testing.T) {
	t.Setenv("WAYBILL_TEST_NAME", "vault")
	t.Setenv("WAYBILL_TEST_ID", "id")
	t.Setenv("WAYBILL_TEST_SECRET", "hush")
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
			{"/d/waybill.db", "/r/waybill.db", defaultSync, defaultSnapshot, defaultRetention, nil},
			{"/d/vault.db", "/r/vault.db", 250 * time.Millisecond, defaultVaultSnapshot, defaultVaultRetention, nil},
		}},
		{"said for all, and for one", `
snapshot: {interval: 2h, retention: 48h}
dbs:
- {path: /d/waybill.db, replica: {type: file, path: /r/w}, snapshot: {interval: 3h}}
- {path: /d/vault.db, replica: {type: file, path: /r/v}}
`, []ReplicatedFile{
			{"/d/waybill.db", "/r/w", defaultSync, 3 * time.Hour, 48 * time.Hour, nil},
			{"/d/vault.db", "/r/v", defaultSync, 2 * time.Hour, 48 * time.Hour, nil},
		}},
		{"in buckets", `
dbs:
- {path: /d/waybill.db, replica: {url: "s3://bucket/node/waybill", region: eu-central-1}}
- path: /d/vault.db
  replica:
    type: s3
    bucket: bucket
    path: node/${WAYBILL_TEST_NAME}
    endpoint: http://127.0.0.1:9000
    access-key-id: $WAYBILL_TEST_ID
    secret-access-key: "$WAYBILL_TEST_SECRET"
`, []ReplicatedFile{
			{"/d/waybill.db", "s3://bucket/node/waybill", defaultSync, defaultSnapshot, defaultRetention, &Bucket{Name: "bucket", Path: "node/waybill", Region: "eu-central-1"}},
			{"/d/vault.db", "s3://bucket/node/vault at http://127.0.0.1:9000", defaultSync, defaultVaultSnapshot, defaultVaultRetention,
				&Bucket{Name: "bucket", Path: "node/vault", Endpoint: "http://127.0.0.1:9000", AccessKeyID: "id", SecretAccessKey: NewSecret("hush"), PathStyle: true}},
		}},
		{"buckets of other stores", `
dbs:
- {path: /d/waybill.db, replica: {url: "s3://bucket.s3.eu-west-1.amazonaws.com/w"}}
- {path: /d/vault.db, replica: {type: s3, url: "s3://bucket.127.0.0.1:9000/v", force-path-style: false}}
`, []ReplicatedFile{
			{"/d/waybill.db", "s3://bucket/w", defaultSync, defaultSnapshot, defaultRetention, &Bucket{Name: "bucket", Path: "w", Region: "eu-west-1"}},
			{"/d/vault.db", "s3://bucket/v at http://127.0.0.1:9000", defaultSync, defaultVaultSnapshot, defaultVaultRetention,
				&Bucket{Name: "bucket", Path: "v", Region: "us-east-1", Endpoint: "http://127.0.0.1:9000"}},
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
		{"unknown in a replica", head + "    replica:\n      path: /r\n      bucket: b\n", "5:15", "bucket is for a replica of type s3"},
		{"unknown in a replica of any kind", head + "    replica:\n      path: /r\n      part-size: 5MB\n", "5:7", "a replica has access-key-id, bucket, endpoint, force-path-style, path, region, secret-access-key, sync-interval, type, url"},
		{"unknown in snapshot", db + "snapshot:\n  keep: 1h\n", "5:3", "snapshot has interval, retention"},
		{"unknown in a level", db + "levels:\n  - every: 1h\n", "5:5", "a level has interval"},
		{"old form", head + "    replicas:\n      - path: /r\n", "3:5", "replicas is not a key"},
		{"another type", head + "    replica:\n      type: sftp\n", "4:13", "type sftp are not built in"},
		{"another scheme", head + "    replica:\n      url: gs://user:hunter2@bucket/a\n", "4:12", "gs:// are not built in"},
		{"a key in a URL", head + "    replica:\n      url: s3://user:hunter2@bucket/a\n", "4:12", "lines of their own"},
		{"a query in a URL", head + "    replica:\n      url: s3://bucket/a?endpoint=http://hunter2\n", "4:12", "lines of their own"},
		{"no bucket", head + "    replica: {type: s3, path: a}\n", "3:", "has a bucket"},
		{"no bucket in a URL", head + "    replica: {url: \"s3:///a\"}\n", "3:", "names no bucket"},
		{"no path in a bucket", head + "    replica: {url: \"s3://bucket/\"}\n", "3:", "has a path there"},
		{"a path with a slash before it", head + "    replica: {type: s3, bucket: b, path: /a}\n", "3:", "no slash at its ends"},
		{"a bucket with a slash", head + "    replica: {type: s3, bucket: b/a, path: a}\n", "3:", "what comes after it is the path"},
		{"a secret alone", head + "    replica: {url: \"s3://bucket/a\", secret-access-key: hunter2}\n", "3:", "come together"},
		{"a type and another URL", head + "    replica: {type: file, url: \"s3://bucket/a\"}\n", "3:", "the url is one of s3"},
		{"a URL and a bucket", head + "    replica: {url: \"s3://bucket/a\", bucket: b}\n", "3:", "either a url, or a path"},
		{"no boolean", head + "    replica: {url: \"s3://bucket/a\", force-path-style: maybe}\n", "3:", "true or false"},
		{"a variable that is not set", head + "    replica: {url: \"s3://bucket/a\", access-key-id: $WAYBILL_NO_SUCH}\n", "3:", "WAYBILL_NO_SUCH, which is not set"},
		{"a URL that is none", head + "    replica:\n      url: \"file://%zz\"\n", "4:12", "url"},
		{"a URL without scheme", head + "    replica:\n      url: /r\n", "4:12", "no scheme"},
		{"a URL with a host", head + "    replica:\n      url: file://r/a\n", "4:12", "three slashes"},
		{"path and URL", head + "    replica: {path: /r, url: \"file:///r\"}\n", "3:", "either a url, or a path"},
		{"neither", head + "    replica: {type: file}\n", "3:", "either a path or a url"},
		{"no replica", head, "2:", "no replica"},
		{"no path", "dbs:\n  - replica: {path: /r}\n", "2:", "no path"},
		{"a number for a path", "dbs:\n  - path: 7\n", "2:11", "path must be a text"},
		{"null for a path", "dbs:\n  - path:\n    replica: {path: /r}\n", "2:", "path must be a text"},
		{"a home", "dbs:\n  - path: ~/a.db\n", "2:11", "~"},
		{"a database URL", "dbs:\n  - path: sqlite:///a.db\n", "2:11", "write a path"},
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
		case strings.Contains(err.Error(), "hunter2"):
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
			if !filepath.IsAbs(db.Path) || db.Bucket == nil && !filepath.IsAbs(db.Replica) || db.SyncInterval <= 0 || db.Snapshot <= 0 || db.Retention <= 0 {
				t.Errorf("it took %+v", db)
			}
		}
	})
}
