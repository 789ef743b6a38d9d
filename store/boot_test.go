package store

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"waybill/ledger"
)

// shell runs SQL on a closed log, as somebody with a shell could.
func shell(t *testing.T, dir string, statements ...string) {
	t.Helper()
	c, err := connect(dsn(logPath(dir), writing))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range statements {
		if err := c.exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAppendOnly(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	newNode(t, o, "acme").Close()
	c, err := connect(dsn(logPath(o.Dir), writing))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, s := range []string{
		`UPDATE events SET data = x'7b7d' WHERE position = 2`, `DELETE FROM events WHERE position = 2`, `DELETE FROM events`,
		`UPDATE tree SET hashes = x'00' WHERE position = 2`, `DELETE FROM tree`,
	} {
		if err := c.exec(s); err == nil || !strings.Contains(err.Error(), "events are facts") && !strings.Contains(err.Error(), "only grows") {
			t.Errorf("%s: %v", s, err)
		}
	}
}

// TestDamage: what does not fit together is found when the log is opened, before anything is added to it.
func TestDamage(t *testing.T) {
	orgs := orgNames(3)
	whole := t.TempDir()
	s := newNode(t, Options{Dir: whole}, orgs...)
	grow(t, s, orgs, 20)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	const free = `DROP TRIGGER events_no_update; DROP TRIGGER events_no_delete; DROP TRIGGER tree_no_update; DROP TRIGGER tree_no_delete;`
	for name, damage := range map[string]string{
		"last event gone":         `DELETE FROM events WHERE position = (SELECT max(position) FROM events)`,
		"last two gone with tree": `DELETE FROM events WHERE position > (SELECT max(position) - 2 FROM tree); DELETE FROM tree WHERE position > (SELECT max(position) - 2 FROM tree)`,
		"event in the middle":     `DELETE FROM events WHERE position = 9`,
		"first event gone":        `DELETE FROM events WHERE position = 1`,
		"event of no org":         `INSERT INTO events SELECT position + 1, 'nobody', 1, id, type, schema, at + 1, actor, cause, data FROM events ORDER BY position DESC LIMIT 1; INSERT INTO tree SELECT position + 1, hashes FROM tree ORDER BY position DESC LIMIT 1`,
		"last event changed":      `UPDATE events SET actor = 'me' WHERE position = (SELECT max(position) FROM events)`,
		"tree row short":          `UPDATE tree SET hashes = substr(hashes, 1, 20) WHERE position = (SELECT max(position) FROM tree)`,
		"tree row of the edge":    `DELETE FROM tree WHERE position = 32`,
		"balance changed":         `UPDATE balances SET amount = amount + 1 WHERE account = 'org/org-001/credit/lot-org-001'`,
		"balance gone":            `DELETE FROM balances WHERE account = 'house/consumed'`,
		"account without meaning": `UPDATE balances SET account = 'org/' WHERE account = 'house/consumed'`,
		"org gone":                `DELETE FROM state WHERE kind = 'org' AND id = 'org-002'`,
		"row past the head":       `UPDATE state SET position = position + 1000 WHERE kind = 'org' AND id = 'org-002'`,
		"row of no kind":          `UPDATE state SET kind = 'orc' WHERE kind = 'org' AND id = 'org-002'`,
		"row without sense":       `UPDATE state SET data = x'7b' WHERE kind = 'org' AND id = 'org-002'`,
	} {
		dir := t.TempDir()
		data, err := os.ReadFile(logPath(whole))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(logPath(dir), data, 0o600); err != nil {
			t.Fatal(err)
		}
		shell(t, dir, append(strings.Split(strings.TrimSuffix(free, ";"), ";"), strings.Split(damage, ";")...)...)
		if s, err := Open(context.Background(), Options{Dir: dir}); err == nil {
			s.Close()
			t.Errorf("%s: the log opens", name)
		} else if strings.Contains(err.Error(), "no such") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSchemas(t *testing.T) {
	ctx := context.Background()
	for version, says := range map[string]string{"99": "written by a newer one", "0": "to migrate it"} {
		o := Options{Dir: t.TempDir()}
		newNode(t, o, "acme").Close()
		shell(t, o.Dir, `UPDATE goose_db_version SET version_id = `+version+` WHERE version_id = (SELECT max(version_id) FROM goose_db_version)`, `DELETE FROM goose_db_version WHERE version_id BETWEEN 1 AND 98 AND `+version+` = 0`)
		before, err := os.ReadFile(logPath(o.Dir))
		if err != nil {
			t.Fatal(err)
		}
		if r, err := OpenReader(ctx, o.Dir); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("schema %s: %v, %v", version, r, err)
		}
		if s, err := Open(ctx, o); err == nil || version == "99" && !strings.Contains(err.Error(), says) {
			t.Errorf("schema %s: %v, %v", version, s, err)
		}
		if after, err := os.ReadFile(logPath(o.Dir)); err != nil || version == "99" && !slices.Equal(before, after) {
			t.Errorf("schema %s: a file that was refused has changed: %v", version, err)
		}
	}
}

// A log that an earlier waybill has written gets what it lacks.
func TestMigration(t *testing.T) {
	ctx := context.Background()
	o := Options{Dir: t.TempDir()}
	newNode(t, o, "acme").Close()
	shell(t, o.Dir, `DROP TABLE checkpoints`, `DROP TABLE notes`, `DELETE FROM goose_db_version WHERE version_id > 1`)
	if _, err := OpenReader(ctx, o.Dir); err == nil || !strings.Contains(err.Error(), "to migrate it") {
		t.Error(err)
	}
	s, err := Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if text, err := s.Note(ctx, "req_1"); err != nil || text != nil {
		t.Errorf("%s, %v", text, err)
	}
}

func TestSecondInstance(t *testing.T) {
	ctx := context.Background()
	o := Options{Dir: t.TempDir()}
	s := newNode(t, o, "acme")
	if _, err := Open(ctx, o); err == nil || !strings.Contains(err.Error(), o.Dir) || !strings.Contains(err.Error(), "another waybill (process ") {
		t.Errorf("a second writer: %v", err)
	}
	if err := Create(ctx, o, nil); err == nil || !strings.Contains(err.Error(), o.Dir) {
		t.Errorf("making a log beside a writer: %v", err)
	}
	r, err := OpenReader(ctx, o.Dir)
	if err != nil {
		t.Fatalf("a reader beside a writer: %v", err)
	}
	defer r.Close()
	want := must(t, s, admit("acme", "r1"))[0]
	if head, at, err := r.Head(ctx); err != nil || head != want.Position || at != want.At {
		t.Error(head, at, err)
	}
	must(t, s, settle("acme", "r1"))
	s.Close()
	must(t, reopen(t, o), admit("acme", "r2"))
}

func TestCreate(t *testing.T) {
	ctx := context.Background()
	o := Options{Dir: filepath.Join(t.TempDir(), "a", "b c?d#e%41")}
	if _, err := Open(ctx, o); err == nil || !strings.Contains(err.Error(), "waybill init") {
		t.Errorf("no folder: %v", err)
	}
	bad := append(founding("acme"), ledger.OpenOrg{Who: operator, Org: "beta", Plan: "nothing"})
	if err := Create(ctx, o, bad); refusal(err) != ledger.CodeNotFound {
		t.Fatalf("a command that is refused: %v", err)
	}
	if _, err := Open(ctx, o); err == nil || !strings.Contains(err.Error(), "waybill init") {
		t.Errorf("a log that was not made: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(o.Dir), "*", "waybill*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	// What a crash in the middle leaves is swept away.
	if err := os.WriteFile(logPath(o.Dir)+".new-wal", []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newNode(t, o, "acme")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Create(ctx, o, founding("acme")); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("making a log where there is one: %v", err)
	}
	gapless(t, reopen(t, o).Reader, 9)
}

// TestVersions: the C library that the driver runs on is the one that it was made and tested with.
func TestVersions(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Version}} {{.GoMod}}", "modernc.org/libc", "modernc.org/sqlite").Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(out), "\n")
	libc := strings.Fields(lines[0])[0]
	mod, err := os.ReadFile(strings.Fields(lines[1])[1])
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(mod), "modernc.org/libc "+libc+"\n") {
		t.Errorf("go.mod has modernc.org/libc %s, and modernc.org/sqlite names another: pin that one", libc)
	}
}
