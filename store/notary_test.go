package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"waybill/ledger"
)

// signing is a story's node with its vault and its notary.
type signing struct {
	*story
	key MasterKey
	v   *Vault
	n   *Notary
}

func newSigning(t *testing.T) *signing {
	t.Helper()
	y := newStory(t)
	g := &signing{story: y, key: newKey(t)}
	g.v = openVault(t, y.dir, g.key)
	g.n = g.notary(NotaryOptions{})
	return g
}

func (g *signing) notary(o NotaryOptions) *Notary {
	g.Helper()
	o.Now = g.now
	n, err := OpenNotary(g.Context(), g.s, g.v, o)
	if err != nil {
		g.Fatal(err)
	}
	return n
}

func (g *signing) sign() SignedCheckpoint {
	g.Helper()
	c, err := g.n.Sign(g.Context())
	if err != nil {
		g.Fatal(err)
	}
	return c
}

// leave closes the node and gives a copy of its folder.
func (g *signing) leave(t *testing.T) (dir string) {
	t.Helper()
	g.close()
	if err := g.v.Close(); err != nil {
		t.Fatal(err)
	}
	return copyOf(t, g.dir)
}

func copyOf(t *testing.T, from string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{logFile, vaultFile} {
		takeFrom(t, from, dir, name)
	}
	return dir
}

// takeFrom copies a database that nobody writes, with what its WAL has.
func takeFrom(t *testing.T, from, to, name string) {
	t.Helper()
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(filepath.Join(from, name+suffix))
		if errors.Is(err, os.ErrNotExist) {
			if err := os.Remove(filepath.Join(to, name+suffix)); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name+suffix), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// start opens a folder as a node does, and gives what keeps it from serving.
func (g *signing) start(t *testing.T, dir string, o NotaryOptions) (*Notary, error) {
	t.Helper()
	s, err := Open(t.Context(), Options{Dir: dir, Now: g.now, NewID: g.id, Ballast: -1, tick: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	v, err := OpenVault(t.Context(), dir, g.key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	o.Now = g.now
	return OpenNotary(t.Context(), s, v, o)
}

func shut(t *testing.T, n *Notary) {
	t.Helper()
	if err := errors.Join(n.s.Close(), n.v.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestSigning: one checkpoint for each state of the log that is asked for, each extending the one before, kept in both files, found
// again at the next start under the same key; verify looks at all of them.
func TestSigning(t *testing.T) {
	g := newSigning(t)
	if c, err := LastCheckpoint(t.Context(), g.dir); c != nil || err != nil {
		t.Fatalf("before anything is signed: %v, %v", c, err)
	}
	var all []SignedCheckpoint
	g.after = func() { all = append(all, g.sign()) }
	g.tell()
	last := all[len(all)-1]
	if again := g.sign(); again != last || last.Position != g.head() {
		t.Fatalf("a log that did not grow is signed again: %+v after %+v", again, last)
	}
	for i, c := range all {
		if i > 0 && c.Position <= all[i-1].Position {
			t.Fatalf("%d after %d", c.Position, all[i-1].Position)
		}
		var p provedAlone
		root, err := openAlone(c.Note, g.n.Key(), &p)
		if err != nil || p.origin != c.Origin() || p.size != c.Position || tlog.Hash(root) != c.Hash || c.Origin() != keyName(c.Identity)+"/1" {
			t.Fatalf("%+v, %v", p, err)
		}
	}
	res := g.verify(VerifyOptions{})
	if res.First() != nil || res.Checkpoints != uint64(len(all)) || res.Checkpoint.Note != last.Note || res.Head != last.Head() {
		t.Fatalf("%+v", res)
	}
	if c, err := LastCheckpoint(t.Context(), g.dir); err != nil || *c != last {
		t.Fatalf("%+v, %v", c, err)
	}
	key := g.n.Key()
	dir := g.leave(t)
	n, err := g.start(t, dir, NotaryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if n.Key() != key || n.last != last {
		t.Errorf("after a restart the key is %s and the last %+v", n.Key(), n.last)
	}
	if c, err := n.Sign(t.Context()); err != nil || c.Note != last.Note {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestSigningWhatIsHeld: with a replica nothing is signed that it does not hold, whatever is asked for.
func TestSigningWhatIsHeld(t *testing.T) {
	g := newSigning(t)
	held, synced := uint64(0), error(nil)
	n := g.notary(NotaryOptions{Held: func() uint64 { return held }, Sync: func(context.Context) error { return synced }})
	var refused *ledger.Error
	if c, err := n.Fresh(t.Context()); !errors.As(err, &refused) || refused.Code != ledger.CodeUnavailable {
		t.Fatalf("%+v, %v", c, err)
	}
	if c, err := n.Covering(t.Context(), 1); !errors.As(err, &refused) {
		t.Fatalf("%+v, %v", c, err)
	}
	synced = errors.New("the replica is away")
	held = 5
	if c, err := n.Fresh(t.Context()); err != nil || c.Position != 5 {
		t.Fatalf("%+v, %v", c, err)
	}
	if c, err := n.Covering(t.Context(), 4); err != nil || c.Position != 5 {
		t.Fatalf("%+v, %v", c, err)
	}
	if c, err := n.Covering(t.Context(), 6); !errors.As(err, &refused) || !strings.Contains(refused.Message, "event 6 is not signed yet") {
		t.Fatalf("%+v, %v", c, err)
	}
	held = 3 // a new process, that does not know yet
	if c, err := n.Sign(t.Context()); err != nil || c.Position != 5 {
		t.Fatalf("%+v, %v", c, err)
	}
	held = 1 << 40
	if c, err := n.Sign(t.Context()); err != nil || c.Position != g.head() {
		t.Fatalf("%+v, %v", c, err)
	}
}

func editing(t *testing.T, dir, file string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(filepath.Join(dir, file), nil))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	for _, name := range []string{"events_no_update", "events_no_delete", "tree_no_update", "tree_no_delete", "checkpoints_no_update", "checkpoints_no_delete"} {
		run(t, db, "DROP TRIGGER IF EXISTS "+name)
	}
	return db
}

const changed = `UPDATE events SET data = CAST(replace(CAST(data AS TEXT), '50000000000', '90000000000') AS BLOB) WHERE type = 'credit.purchased' AND stream = 'acme'`

// TestStartRefused: a folder whose log is not the one that was signed does not serve, and says what to do.
func TestStartRefused(t *testing.T) {
	g := newSigning(t)
	g.do(ledger.PurchaseCredit{Who: asked("buy"), Org: "acme", Lot: "l9", Amount: 50 * ledger.Dollar, Paid: 50 * ledger.Dollar, Reference: "pi_9"})
	middle := g.sign()
	if err := g.s.Close(); err != nil {
		t.Fatal(err)
	}
	older := copyOf(t, g.dir) // nobody has the log open; the vault's file is whole
	o := Options{Dir: g.dir, Now: g.now, NewID: g.id, Ballast: -1, tick: time.Hour}
	var err error
	if g.s, err = Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	g.n = g.notary(NotaryOptions{})
	g.do(ledger.GrantCredit{Who: asked("grant"), Org: "acme", Lot: "l8", Amount: ledger.Dollar})
	g.do(ledger.GrantCredit{Who: asked("grant-2"), Org: "acme", Lot: "l7", Amount: ledger.Dollar})
	last := g.sign()
	whole := g.leave(t)
	cut := func(t *testing.T, dir string, end uint64) {
		if err := prepareLog(t.Context(), dir, end); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		do   func(t *testing.T, dir string)
		says string
	}{
		{"nothing", func(*testing.T, string) {}, ""},
		{"an older copy of the log", func(t *testing.T, dir string) { takeFrom(t, older, dir, logFile) },
			fmt.Sprintf("a checkpoint was signed at position %d, and the log ends at %d; it was put back to an older copy, cut or changed: put the newest", last.Position, middle.Position)},
		{"the end cut off", func(t *testing.T, dir string) { cut(t, dir, last.Position-1) }, "waybill restore"},
		{"the end cut off, and what was signed of it", func(t *testing.T, dir string) {
			cut(t, dir, middle.Position)
			run(t, editing(t, dir, logFile), "DELETE FROM checkpoints WHERE position > ?", int64(middle.Position))
		}, "the log ends at"},
		{"the end cut off, and another in its place", func(t *testing.T, dir string) {
			cut(t, dir, middle.Position)
			run(t, editing(t, dir, logFile), "DELETE FROM checkpoints WHERE position > ?", int64(middle.Position))
			s, err := Open(t.Context(), Options{Dir: dir, Now: g.now, NewID: g.id, Ballast: -1})
			if err != nil {
				t.Fatal(err)
			}
			for i := range 4 {
				if _, err := s.Execute(t.Context(), ledger.GrantCredit{Who: asked(fmt.Sprint("other-", i)), Org: "acme", Lot: fmt.Sprint("o", i), Amount: ledger.Dollar}); err != nil {
					t.Fatal(err)
				}
			}
			s.Close()
		}, "are not those that were signed"},
		{"an event changed with its hashes", func(t *testing.T, dir string) {
			db := editing(t, dir, logFile)
			run(t, db, changed)
			rehash(t, dir, db)
		}, "are not those that were signed"},
		{"all checkpoints of the log deleted, an event changed with its hashes", func(t *testing.T, dir string) {
			db := editing(t, dir, logFile)
			run(t, db, "DELETE FROM checkpoints")
			run(t, db, changed)
			rehash(t, dir, db)
		}, "are not those that were signed"},
		{"an event changed with its hashes, and the vault of another moment", func(t *testing.T, dir string) {
			db := editing(t, dir, logFile)
			run(t, db, changed)
			rehash(t, dir, db)
			takeFrom(t, older, dir, vaultFile)
		}, "are not those that were signed"},
		{"the log of another node", func(t *testing.T, dir string) {
			db := editing(t, dir, logFile)
			run(t, db, "UPDATE events SET actor = 'another' WHERE position = 1")
			rehash(t, dir, db)
			run(t, db, "DELETE FROM checkpoints")
		}, "of two nodes"},
		{"the checkpoint in the vault changed", func(t *testing.T, dir string) {
			run(t, editing(t, dir, vaultFile), "UPDATE checkpoint SET note = replace(note, char(10), char(10) || '1')")
		}, "was changed"},
		{"the checkpoint in the vault signed by another key", func(t *testing.T, dir string) {
			c := last.Checkpoint
			signed, key := signAs(t, keyName(c.Identity), c.text())
			run(t, editing(t, dir, vaultFile), "UPDATE checkpoint SET note = ?, key = ?", signed, key)
		}, "is not the node's"},
		{"the signing key lost", func(t *testing.T, dir string) {
			run(t, editing(t, dir, vaultFile), "DELETE FROM secrets WHERE org = 'node'")
		}, "--accept-new-key"},
		{"the vault of an older moment", func(t *testing.T, dir string) { takeFrom(t, older, dir, vaultFile) }, ""},
		{"the checkpoint in the vault lost", func(t *testing.T, dir string) {
			run(t, editing(t, dir, vaultFile), "DELETE FROM checkpoint")
		}, ""},
		{"the checkpoints beside the log lost", func(t *testing.T, dir string) {
			run(t, editing(t, dir, logFile), "DELETE FROM checkpoints")
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyOf(t, whole)
			c.do(t, dir)
			n, err := g.start(t, dir, NotaryOptions{})
			if c.says != "" {
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Fatalf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if n.last != last { // what is lost in one file is in both again
				t.Errorf("the last is %+v", n.last)
			}
			shut(t, n)
			run(t, editing(t, dir, vaultFile), "DELETE FROM checkpoint")
			if c, err := LastCheckpoint(t.Context(), dir); err != nil || *c != last {
				t.Errorf("beside the log: %+v, %v", c, err)
			}
		})
	}
}

// TestNewKey: who says so goes on with a new key; the log must extend what the old one signed, and verify takes both.
func TestNewKey(t *testing.T) {
	g := newSigning(t)
	g.tell()
	signed := g.sign().Position
	old := g.n.Key()
	dir := g.leave(t)
	run(t, editing(t, dir, vaultFile), "DELETE FROM secrets")
	run(t, editing(t, dir, vaultFile), "DELETE FROM checkpoint")
	n, err := g.start(t, dir, NotaryOptions{NewKey: true})
	if err != nil || n.Key() == old {
		t.Fatal(err)
	}
	// What the old key has signed it signs anew: a receipt names the new one.
	again := &signing{story: &story{TB: t, s: n.s}, n: n}
	all, err := n.s.Page(t.Context(), 0, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	request := all[slices.IndexFunc(all, func(r ledger.Record) bool { return r.Request() != "" })].Request()
	_, file := again.receipt(request)
	if _, err := checked(file, n.Key()); err != nil {
		t.Errorf("a receipt of what the old key has signed: %v", err)
	}
	if c, err := n.Sign(t.Context()); err != nil || c.Key != n.Key() || c.Position != signed {
		t.Errorf("%+v, %v; signed was %d", c, err, signed)
	}
	shut(t, n)
	if n, err = g.start(t, dir, NotaryOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.s.Execute(t.Context(), ledger.GrantCredit{Who: asked("grant"), Org: "acme", Lot: "l8", Amount: ledger.Dollar}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Sign(t.Context()); err != nil {
		t.Fatal(err)
	}
	shut(t, n)
	if r := (&story{TB: t, dir: dir}).verify(VerifyOptions{}); r.First() != nil || r.Checkpoints != 2 {
		t.Errorf("%+v", r)
	}
	if _, err := g.start(t, dir, NotaryOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestForkedWhileServing: a log that is changed under its node, with its hashes, is not signed any more.
func TestForkedWhileServing(t *testing.T) {
	for _, c := range []struct{ name, says string }{{"changed", "does not extend"}, {"torn", "tree"}} {
		t.Run(c.name, func(t *testing.T) {
			g := newSigning(t)
			g.tell()
			last := g.sign()
			g.do(ledger.GrantCredit{Who: asked("grant-9"), Org: "acme", Lot: "l9", Amount: ledger.Dollar})
			db := editing(t, g.dir, logFile)
			if c.name == "changed" {
				run(t, db, changed)
				rehash(t, g.dir, db)
			} else {
				run(t, db, "UPDATE tree SET hashes = x'00' WHERE position % 2 = 0")
			}
			if s, err := g.n.Sign(t.Context()); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("%+v, %v", s, err)
			}
			if g.n.Err() == nil {
				t.Error("nothing is said of it afterwards")
			}
			if s, err := g.n.Covering(t.Context(), 1); err == nil {
				t.Errorf("receipts go on, under %+v", s)
			}
			if kept, err := LastCheckpoint(t.Context(), g.dir); err != nil || kept.Note != last.Note {
				t.Errorf("what is kept: %+v, %v", kept, err)
			}
		})
	}
}

// TestEpochs: a restore that the log tells of explains what is missing, and nothing that was changed before it.
func TestEpochs(t *testing.T) {
	g := newSigning(t)
	g.do(ledger.PurchaseCredit{Who: asked("buy"), Org: "acme", Lot: "l9", Amount: 50 * ledger.Dollar, Paid: 50 * ledger.Dollar, Reference: "pi_9"})
	middle := g.sign()
	for i := range 5 {
		g.do(ledger.GrantCredit{Who: asked(fmt.Sprint("grant-", i)), Org: "acme", Lot: fmt.Sprint("m", i), Amount: ledger.Dollar})
	}
	last := g.sign()
	whole := g.leave(t)
	begin := func(t *testing.T, dir string, end uint64, meanwhile func(*sql.DB)) {
		t.Helper()
		if err := prepareLog(t.Context(), dir, end); err != nil {
			t.Fatal(err)
		}
		if meanwhile != nil {
			db := editing(t, dir, logFile)
			meanwhile(db)
			rehash(t, dir, db)
		}
		s, err := Open(t.Context(), Options{Dir: dir, Now: g.now, NewID: g.id, Ballast: -1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Execute(t.Context(), ledger.RestoreLog{Who: unasked("restore"), From: end, Known: last.Position}); err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
	t.Run("explained", func(t *testing.T) {
		dir := copyOf(t, whole)
		begin(t, dir, middle.Position+1, nil)
		held := middle.Position
		n, err := g.start(t, dir, NotaryOptions{Held: func() uint64 { return held }})
		if err != nil {
			t.Fatal(err)
		}
		if c, err := n.Sign(t.Context()); err == nil { // of epoch 2 there is nothing yet that is held
			t.Errorf("%+v", c)
		}
		held = 1 << 40
		c, err := n.Sign(t.Context())
		if err != nil || c.Epoch != 2 || !strings.HasPrefix(c.Note, keyName(c.Identity)+"/2\n") || c.Position >= last.Position {
			t.Fatalf("%+v, %v", c, err)
		}
		shut(t, n)
		res := (&story{TB: t, dir: dir}).verify(VerifyOptions{})
		if res.First() != nil || res.Checkpoints != 3 || res.Checkpoint.Note != c.Note {
			t.Errorf("%+v", res)
		}
		if n, err = g.start(t, dir, NotaryOptions{}); err != nil || n.last.Note != c.Note {
			t.Fatalf("%+v, %v", n, err)
		}
		shut(t, n)
		takeFrom(t, whole, dir, logFile) // the log of epoch 1, as it was
		if _, err := g.start(t, dir, NotaryOptions{}); err == nil || !strings.Contains(err.Error(), "in epoch 2, and the log ends in epoch 1") {
			t.Errorf("%v", err)
		}
	})
	t.Run("a key that is lost with the restore", func(t *testing.T) {
		dir := copyOf(t, whole)
		begin(t, dir, last.Position, nil)
		if err := os.Remove(filepath.Join(dir, vaultFile)); err != nil {
			t.Fatal(err)
		}
		n, err := g.start(t, dir, NotaryOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if c, err := n.Sign(t.Context()); err != nil || c.Epoch != 2 || c.Key == last.Key {
			t.Errorf("%+v, %v", c, err)
		}
	})
	t.Run("not explained", func(t *testing.T) {
		dir := copyOf(t, whole)
		begin(t, dir, last.Position, func(db *sql.DB) { run(t, db, changed) })
		if n, err := g.start(t, dir, NotaryOptions{}); err == nil || !strings.Contains(err.Error(), "are not those that were signed") {
			t.Fatalf("%+v, %v", n, err)
		}
		if d := (&story{TB: t, dir: dir}).verify(VerifyOptions{}).First(); d == nil {
			t.Error("verify finds nothing")
		}
	})
}

// TestVerifyCheckpoints: verify finds each checkpoint that the log does not extend, and each that was changed.
func TestVerifyCheckpoints(t *testing.T) {
	g := newSigning(t)
	var all []SignedCheckpoint
	for i := range 9 {
		g.do(ledger.GrantCredit{Who: asked(fmt.Sprint("grant-", i)), Org: "acme", Lot: fmt.Sprint("m", i), Amount: ledger.Dollar})
		all = append(all, g.sign())
	}
	middle, last := all[4], all[8]
	whole := g.leave(t)
	for name, c := range map[string]struct {
		query string
		table string
	}{
		"another position": {fmt.Sprintf("UPDATE checkpoints SET position = position - 1 WHERE position = %d", all[0].Position), "checkpoints"},
		"another epoch":    {fmt.Sprintf("UPDATE checkpoints SET epoch = 2 WHERE position = %d", last.Position), "checkpoints"},
		"another key":      {fmt.Sprintf("UPDATE checkpoints SET key = replace(key, '+', '+1') WHERE position = %d", middle.Position), "checkpoints"},
		"another text":     {fmt.Sprintf("UPDATE checkpoints SET note = replace(note, '/1', '/2') WHERE position = %d", middle.Position), "checkpoints"},
		"another's text":   {fmt.Sprintf("UPDATE checkpoints SET note = (SELECT note FROM checkpoints WHERE position = %d) WHERE position = %d", last.Position, middle.Position), "checkpoints"},
	} {
		dir := copyOf(t, whole)
		run(t, editing(t, dir, logFile), c.query)
		if d := (&story{TB: t, dir: dir}).verify(VerifyOptions{}).First(); d == nil || d.Table != c.table {
			t.Errorf("%s: %v", name, d)
		}
	}
	t.Run("signed, of another log", func(t *testing.T) { // by the very key, as one who has taken it may
		dir := copyOf(t, whole)
		wrong := middle.Checkpoint
		wrong.Hash[0]++
		signed, key := signAs(t, keyName(wrong.Identity), wrong.text())
		run(t, editing(t, dir, logFile), "UPDATE checkpoints SET note = ?, key = ? WHERE position = ?", signed, key, int64(wrong.Position))
		res := (&story{TB: t, dir: dir}).verify(VerifyOptions{})
		if d := res.First(); d == nil || d.Table != "checkpoints" || d.Position != wrong.Position || len(res.Differences) != 1 {
			t.Errorf("%v", res.Differences)
		}
	})
	t.Run("in the vault, by another key", func(t *testing.T) {
		dir := copyOf(t, whole)
		signed, key := signAs(t, keyName(last.Identity), last.text())
		run(t, editing(t, dir, vaultFile), "UPDATE checkpoint SET note = ?, key = ?", signed, key)
		if d := (&story{TB: t, dir: dir}).verify(VerifyOptions{}).First(); d == nil || d.Table != "checkpoint of vault.db" {
			t.Errorf("%v", d)
		}
	})
	t.Run("past the end", func(t *testing.T) {
		dir := copyOf(t, whole)
		if err := prepareLog(t.Context(), dir, middle.Position); err != nil {
			t.Fatal(err)
		}
		res := (&story{TB: t, dir: dir}).verify(VerifyOptions{})
		if d := res.First(); d == nil || d.Table != "checkpoint of vault.db" && d.Table != "checkpoints" || d.Position != middle.Position+1 {
			t.Errorf("%v", d)
		}
		if res := (&story{TB: t, dir: dir}).verify(VerifyOptions{Copy: true}); res.First() != nil {
			t.Errorf("a copy that ends earlier: %v", res.Differences)
		}
	})
}
