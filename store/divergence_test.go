package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/superfly/ltx"
)

// lived is a node that has been replicated, and is closed.
func lived(t *testing.T, dir, replica, request string) *ReplicaConfig {
	t.Helper()
	c := replicas(dir, replica)
	if _, err := os.Stat(logPath(dir)); err != nil {
		if err := Create(t.Context(), Options{Dir: dir}, founding("acme")); err != nil {
			t.Fatal(err)
		}
		openVault(t, dir, newKey(t)).Close()
	}
	r := replicate(t, c)
	s := reopen(t, Options{Dir: dir, Ballast: -1, Replicated: true})
	must(t, s, admit("acme", request), settle("acme", request))
	synced(t, r)
	if err := errors.Join(s.Close(), r.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	return c
}

// refused asserts that a node does not start over a replica, and that the replica is as it was.
func refused(t *testing.T, c *ReplicaConfig, replica, why string) {
	t.Helper()
	before := digestOf(t, replica)
	r, err := Replicate(t.Context(), c, c.Databases[0].Path, c.Databases[1].Path)
	if err == nil {
		r.Close(t.Context())
		t.Fatalf("it was started over the replica; want: %s", why)
	}
	if _, ok := errors.AsType[*Divergence](err); !ok || !strings.Contains(err.Error(), why) || !strings.Contains(err.Error(), "waybill restore") {
		t.Errorf("got %v; want a divergence: %s", err, why)
	}
	if digestOf(t, replica) != before {
		t.Error("the replica was changed")
	}
}

// digestOf sums up all that is in a folder.
func digestOf(t *testing.T, dir string) string {
	t.Helper()
	h := sha256.New()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		fmt.Fprintf(h, "%s %x\n", path, sha256.Sum256(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// copyDir is a folder as it would be from a backup.
func copyDir(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// Two nodes, one replica: the first one comes back after another was restored from its replica, and has gone on with it.
func TestOldNodeComesBack(t *testing.T) {
	for _, tail := range []bool{false, true} {
		dir, replica, key := t.TempDir(), t.TempDir(), newKey(t)
		s := newNode(t, Options{Dir: dir, Ballast: -1}, "acme")
		s.Close()
		openVault(t, dir, key).Close()
		old := lived(t, dir, replica, "r1")
		to := filepath.Join(t.TempDir(), "new")
		restore(t, RestoreOptions{Replicas: old, Dir: to, Master: key})
		if tail { // what it did last did not reach the replica, and makes its count of transactions as high as the new node's
			r := replicate(t, old)
			s := reopen(t, Options{Dir: dir, Ballast: -1, Replicated: true})
			lose(t, replica)
			for i := range 5 {
				must(t, s, admit("acme", fmt.Sprint("lost-", i)))
				unsynced(t, r)
			}
			r.Close(t.Context())
			s.Close()
			find(t, replica)
		}
		lived(t, to, replica, "r2")
		why := "somebody else wrote there"
		if tail {
			why = "another than this folder's"
		}
		refused(t, old, replica, why)
		lived(t, to, replica, "r3")
		level(t, replica, to)
	}
}

// A copy of a folder, an older one of the same, and a folder that was never replicated.
func TestReplacedFolder(t *testing.T) {
	dir, replica := t.TempDir(), t.TempDir()
	lived(t, dir, replica, "r1")
	older := copyDir(t, dir)
	lived(t, dir, replica, "r2")
	refused(t, replicas(older, replica), replica, "this folder is an older copy")
	strange := t.TempDir()
	if err := Create(t.Context(), Options{Dir: strange}, founding("acme")); err != nil {
		t.Fatal(err)
	}
	openVault(t, strange, newKey(t)).Close()
	refused(t, replicas(strange, replica), replica, "nothing was ever replicated from this folder")
	lived(t, dir, replica, "r3") // it goes on
}

// The replica of another log, as long, shorter or longer; with files that are changed; and with less than can be told.
func TestReplicaOfAnother(t *testing.T) {
	dir, replica := t.TempDir(), t.TempDir()
	lived(t, dir, replica, "r1")
	for _, runs := range []int{1, 2, 3} {
		other := t.TempDir()
		elsewhere := t.TempDir()
		for i := range runs {
			lived(t, elsewhere, other, fmt.Sprint("o", i))
		}
		refused(t, replicas(dir, other), other, "replica")
	}
	newest := func(dir string) string {
		all, err := filepath.Glob(filepath.Join(dir, logFile, "ltx", "0", "*.ltx"))
		if err != nil || len(all) < 2 {
			t.Fatal(all, err)
		}
		return all[len(all)-1]
	}
	changed := copyDir(t, replica)
	b, err := os.ReadFile(newest(changed))
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-ltx.TrailerSize] ^= 1
	if err := os.WriteFile(newest(changed), b, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, replicas(dir, changed), changed, "another than this folder's")
	shorter := copyDir(t, replica)
	if err := os.Truncate(newest(shorter), 50); err != nil {
		t.Fatal(err)
	}
	refused(t, replicas(dir, shorter), shorter, "another than this folder's")
	// What lacks the newest is brought up to date.
	behind := copyDir(t, replica)
	if err := os.Remove(newest(behind)); err != nil {
		t.Fatal(err)
	}
	lived(t, dir, behind, "r2")
	level(t, behind, dir)
}

// Two nodes run at once over one replica, each a copy of the other: the second that writes finds out before it does, and
// writes nothing more.
func TestTwoNodesAtOnce(t *testing.T) {
	dir, replica := t.TempDir(), t.TempDir()
	lived(t, dir, replica, "r1")
	twin := copyDir(t, dir)
	first, second := replicate(t, replicas(dir, replica)), replicate(t, replicas(twin, replica))
	s1 := reopen(t, Options{Dir: dir, Ballast: -1, Replicated: true})
	must(t, s1, admit("acme", "of-the-first"))
	synced(t, first) // else both could write at the very same moment, which a folder does not tell them
	s2 := reopen(t, Options{Dir: twin, Ballast: -1, Replicated: true})
	must(t, s2, admit("acme", "of-the-second"))
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan error, 1)
	go func() { asked <- second.SyncTo(ctx) }()
	eventually(t, "the second finds out", func() bool { return second.Diverged() != nil })
	cancel()
	if err := <-asked; err == nil {
		t.Error("its round succeeds")
	}
	if err := second.Diverged(); !strings.Contains(err.Error(), "replica") || first.Diverged() != nil {
		t.Errorf("%v, and the first: %v", err, first.Diverged())
	}
	synced(t, first)
	must(t, s1, admit("acme", "later"))
	synced(t, first)
	if st := second.Status(); st[0].InSync {
		t.Errorf("the second says it is in sync: %+v", st)
	}
	if err := s1.Close(); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	level(t, replica, dir)
}

// While a node runs, another's replica takes the place of its own.
func TestReplicaReplacedBeneath(t *testing.T) {
	dir, replica := t.TempDir(), t.TempDir()
	lived(t, dir, replica, "r1")
	other := t.TempDir()
	lived(t, t.TempDir(), other, "o1")
	c := replicas(dir, replica)
	c.Levels = []time.Duration{time.Hour}
	r := replicate(t, c)
	s := reopen(t, Options{Dir: dir, Ballast: -1, Replicated: true})
	synced(t, r)
	eventually(t, "what housekeeping does at the start is done", func() bool {
		all, err := filepath.Glob(filepath.Join(replica, "*.db", "ltx", "[19]", "*.ltx"))
		return err == nil && len(all) == 4
	})
	if err := errors.Join(os.Rename(replica, replica+".away"), os.Rename(other, replica)); err != nil {
		t.Fatal(err)
	}
	before := digestOf(t, replica)
	for _, d := range r.dbs {
		d.inspected = time.Time{} // as if a minute had passed
	}
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan error, 1)
	go func() { asked <- r.SyncTo(ctx) }()
	eventually(t, "it is found out, and the next round fails too", func() bool { return r.Diverged() != nil && r.Progress().Failures > 1 })
	cancel()
	if err := <-asked; err == nil {
		t.Error("the round succeeds")
	}
	must(t, s, admit("acme", "r2"))
	if digestOf(t, replica) != before {
		t.Error("the replica of another was changed")
	}
}
