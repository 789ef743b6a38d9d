package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/benbjohnson/litestream"
	"github.com/benbjohnson/litestream/file"

	"waybill/ledger"
)

// replicas is a configuration for a data folder's two files, whose replicas are folders of another.
func replicas(dir, replica string) *ReplicaConfig {
	f := func(name string) ReplicatedFile {
		return ReplicatedFile{Path: filepath.Join(dir, name), Replica: filepath.Join(replica, name),
			SyncInterval: time.Hour, Snapshot: time.Hour, Retention: time.Hour} // the tests ask for each round
	}
	return &ReplicaConfig{Databases: []ReplicatedFile{f(logFile), f(vaultFile)}, Levels: defaultLevels, L0Retention: time.Hour,
		Log: slog.New(slog.DiscardHandler)}
}

func replicate(t *testing.T, c *ReplicaConfig) *Replication {
	t.Helper()
	var files []string
	for _, db := range c.Databases {
		files = append(files, db.Path)
	}
	r, err := Replicate(t.Context(), c, files...)
	if err != nil {
		t.Fatal(err)
	}
	r.Begin()
	t.Cleanup(func() { r.Close(context.Background()) })
	return r
}

func synced(t *testing.T, r *Replication) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := r.SyncTo(ctx); err != nil {
		t.Fatal(err)
	}
}

// restored is a new folder with both files, from their replicas alone.
func restored(t *testing.T, replica string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{logFile, vaultFile} {
		o := litestream.NewRestoreOptions()
		o.OutputPath = filepath.Join(dir, name)
		o.IntegrityCheck = litestream.IntegrityCheckFull
		r := litestream.NewReplicaWithClient(nil, file.NewReplicaClient(filepath.Join(replica, name)))
		if err := r.Restore(t.Context(), o); err != nil {
			t.Fatalf("restoring %s: %v", name, err)
		}
	}
	return dir
}

// headOf verifies the log in a folder and gives its head.
func headOf(t *testing.T, dir string) uint64 {
	t.Helper()
	r, err := OpenReader(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	v, err := Verify(t.Context(), r, VerifyOptions{})
	if err != nil || v.First() != nil {
		t.Fatalf("the restored log: %+v, %v", v, err)
	}
	head, _, err := r.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return head
}

// level asserts that a replica leads to where the log in a folder is.
func level(t *testing.T, replica, dir string) {
	t.Helper()
	if got, want := headOf(t, restored(t, replica)), headOf(t, dir); got != want {
		t.Errorf("the replica is at %d, the log at %d", got, want)
	}
}

// The whole life of a replicated node: calls, a credential that comes and one that goes, a restore beside the running node, an end, a
// run without the replicator, and a new start.
func TestReplicationRestores(t *testing.T) {
	dir, replica, key := t.TempDir(), t.TempDir(), newKey(t)
	o := Options{Dir: dir, NewID: ids()}
	if err := Create(t.Context(), o, founding("acme")); err != nil {
		t.Fatal(err)
	}
	c := replicas(dir, replica)
	run := func(n int) (head uint64) {
		r := replicate(t, c)
		o.Replicated = true
		s, err := Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		v, err := OpenVault(t.Context(), dir, key)
		if err != nil {
			t.Fatal(err)
		}
		v.ReplicatedBy(r)
		r.Follow(s)
		put(t, v, "acme", "stays", fmt.Sprint("sk-", n))
		put(t, v, "acme", "goes", "sk-gone")
		synced(t, r)
		holds(t, openVault(t, restored(t, replica), key), "acme", "goes", "sk-gone")
		if err := v.Delete(t.Context(), "acme", "goes"); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for i := range 5 {
					request := fmt.Sprintf("r-%d-%d-%d", n, w, i)
					_, err := s.Execute(t.Context(), admit("acme", request))
					_, err2 := s.Execute(t.Context(), settle("acme", request))
					if err := errors.Join(err, err2, r.SyncTo(t.Context())); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		s.View(func(st *ledger.State) { head, _ = st.Head() })
		if p, at := r.Position(); p != head || time.Since(at) > time.Minute {
			t.Errorf("run %d: the replica is said to be at %d since %s, and every event up to %d was waited for", n, p, at, head)
		}
		beside := restored(t, replica)
		if got := headOf(t, beside); got != head {
			t.Errorf("run %d: the replica is at %d, the log at %d", n, got, head)
		}
		rv := openVault(t, beside, key)
		holds(t, rv, "acme", "stays", fmt.Sprint("sk-", n))
		holds(t, rv, "acme", "goes", "")
		status := r.Status()
		if len(status) != 2 {
			t.Fatalf("%+v", status)
		}
		for _, s := range status {
			if !s.InSync || s.Local == 0 || s.Held == 0 || s.Held > s.Local || s.Err != nil || time.Since(s.SyncedAt) > time.Minute || time.Since(s.Inspected) > time.Minute {
				t.Errorf("run %d: %+v", n, s)
			}
		}
		must(t, s, admit("acme", fmt.Sprint("last-", n)), settle("acme", fmt.Sprint("last-", n)))
		if err := errors.Join(v.Close(), s.Close(), r.Close(t.Context())); err != nil {
			t.Fatal(err)
		}
		if got := headOf(t, restored(t, replica)); got != head+2 {
			t.Errorf("run %d: after the end the replica is at %d, the log at %d", n, got, head+2)
		}
		return head + 2
	}
	run(1)

	// Without its replicator the node checkpoints, so that pages leave the WAL which no replicator has seen.
	o.Replicated = false
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	grow(t, s, []string{"acme"}, 2000)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	run(2)
	checkModes(t, filepath.Join(replica, vaultFile))
}

// checkModes holds a replica to the mode of the vault, which nobody else may read.
func checkModes(t *testing.T, dir string) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		n++
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", path, info.Mode(), err)
		}
		return nil
	})
	if err != nil || n == 0 {
		t.Errorf("%d files in the replica, %v", n, err)
	}
}

// small is a node with both files closed, and a configuration for it.
func small(t *testing.T) (dir, replica string, c *ReplicaConfig) {
	t.Helper()
	dir, replica = t.TempDir(), t.TempDir()
	if err := Create(t.Context(), Options{Dir: dir}, founding("acme")); err != nil {
		t.Fatal(err)
	}
	v := openVault(t, dir, newKey(t))
	put(t, v, "acme", "c1", "sk-one")
	v.Close()
	return dir, replica, replicas(dir, replica)
}

func TestReplicationOfAShortRun(t *testing.T) {
	before := runtime.NumGoroutine()
	dir, replica, c := small(t)
	r, err := Replicate(t.Context(), c, filepath.Join(dir, logFile), filepath.Join(dir, vaultFile))
	if err != nil {
		t.Fatal(err)
	}
	r.Begin()
	for _, d := range r.dbs {
		if !d.attached() {
			t.Errorf("Litestream has not opened %s: it would do so while others have it open", d.Path)
		}
	}
	if err := r.Close(t.Context()); err != nil { // before any round
		t.Fatal(err)
	}
	level(t, replica, dir)
	if err := r.SyncTo(t.Context()); !errors.Is(err, ErrNotReplicating) {
		t.Errorf("waiting after the end: %v", err)
	}
	if err := r.Close(t.Context()); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	eventually(t, "its goroutines end", func() bool { return runtime.NumGoroutine() <= before })
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in 20 s: %s", what)
		}
	}
}

func TestWaitsShareRounds(t *testing.T) {
	_, _, c := small(t)
	r := replicate(t, c)
	synced(t, r)
	before := r.begun
	var wg sync.WaitGroup
	for range 300 {
		wg.Go(func() {
			if err := r.SyncTo(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := r.begun - before; n < 1 || n > 100 {
		t.Errorf("300 waits took %d rounds", n)
	}
}

func TestReplicateTheFilesOfTheNode(t *testing.T) {
	dir, _, c := small(t)
	log, vault := filepath.Join(dir, logFile), filepath.Join(dir, vaultFile)
	for _, x := range []struct {
		files []string
		want  string
	}{
		{[]string{log}, "which is no file of this node"},
		{[]string{log, vault, filepath.Join(dir, "other.db")}, "no replica is named for"},
		{[]string{log, filepath.Join(dir, "elsewhere", vaultFile)}, "no replica is named for"},
	} {
		if _, err := Replicate(t.Context(), c, x.files...); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%q: got %v", x.files, err)
		}
	}
	if _, err := Replicate(t.Context(), &ReplicaConfig{}); err == nil {
		t.Error("it replicates nothing")
	}
}

// A deleted secret leaves the replica and Litestream's own folder when retention is over, though nothing else is written.
func TestRetentionOfAnIdleVault(t *testing.T) {
	dir, replica, key := t.TempDir(), t.TempDir(), newKey(t)
	c := replicas(dir, replica)
	c.Databases = c.Databases[1:]
	c.Databases[0].SyncInterval = 20 * time.Millisecond
	c.Databases[0].Snapshot, c.Databases[0].Retention = 100*time.Millisecond, 200*time.Millisecond
	c.Levels, c.L0Retention = []time.Duration{50 * time.Millisecond, 70 * time.Millisecond}, 50*time.Millisecond
	r := replicate(t, c)
	v := openVault(t, dir, key)
	v.ReplicatedBy(r)
	put(t, v, "acme", "stays", "sk-stays")
	put(t, v, "acme", "goes", strings.Repeat("x", 200))
	sealed := blob{"secrets", "sealed", "id = 'goes'"}.read(t, v.db)
	synced(t, r)
	if !onDisk(t, replica, sealed) {
		t.Fatal("the sealed value cannot be found in the replica: this test shows nothing")
	}
	eventually(t, "it is merged into a file of the first level", func() bool {
		return onDisk(t, filepath.Join(replica, vaultFile, "ltx", "1"), sealed)
	})
	if err := v.Delete(t.Context(), "acme", "goes"); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal"} {
		if b, err := os.ReadFile(filepath.Join(dir, vaultFile+suffix)); err != nil || bytes.Contains(b, sealed[len(sealed)-64:]) {
			t.Errorf("vault.db%s holds it after the deletion, or: %v", suffix, err)
		}
	}
	eventually(t, "the replica forgets", func() bool { return !onDisk(t, replica, sealed) && !onDisk(t, dir, sealed) })
	synced(t, r)
	out := filepath.Join(t.TempDir(), vaultFile)
	o := litestream.NewRestoreOptions()
	o.OutputPath = out
	if err := litestream.NewReplicaWithClient(nil, file.NewReplicaClient(c.Databases[0].Replica)).Restore(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	rv := openVault(t, filepath.Dir(out), key)
	holds(t, rv, "acme", "stays", "sk-stays")
	holds(t, rv, "acme", "goes", "")
}

func TestReplicationLogsOnlyWarnings(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(quiet{slog.NewTextHandler(&out, nil)}).With("a", 1).WithGroup("g")
	log.Info("quiet")
	log.Warn("heard", "b", 2)
	if s := out.String(); strings.Contains(s, "quiet") || !strings.Contains(s, "heard a=1 g.b=2") {
		t.Errorf("logged %q", s)
	}
}

// Housekeeping that could not begin, since the round was given up, begins with the next one.
func TestHousekeepingBeginsLater(t *testing.T) {
	dir, _, c := small(t)
	r, err := Replicate(t.Context(), c, filepath.Join(dir, logFile), filepath.Join(dir, vaultFile))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(context.Background()) })
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 {
		if err := r.dbs[0].keepHouse(over); !errors.Is(err, context.Canceled) {
			t.Errorf("in a round that is over: %v", err)
		}
	}
	if err := r.dbs[0].keepHouse(t.Context()); err != nil || !r.dbs[0].way.whole.Load() {
		t.Errorf("in the next one: %v", err)
	}
}
