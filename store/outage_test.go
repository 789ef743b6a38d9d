package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// lose puts a file where the replica's folder is, so that it is out of reach; find puts the folder back.
func lose(t *testing.T, replica string) {
	t.Helper()
	if err := errors.Join(os.Rename(replica, replica+".away"), os.WriteFile(replica, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
}

func find(t *testing.T, replica string) {
	t.Helper()
	if err := errors.Join(os.Remove(replica), os.Rename(replica+".away", replica)); err != nil {
		t.Fatal(err)
	}
}

// unsynced waits in vain, and gives what is said then.
func unsynced(t *testing.T, r *Replication) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
	defer cancel()
	err := r.SyncTo(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("got %v, want the deadline and the last failure", err)
	}
	return err
}

// A replica that is out of reach, from the start or later, keeps its waits waiting and blocks nothing else. It is caught
// up once it is there again.
func TestReplicaOutOfReach(t *testing.T) {
	for _, later := range []bool{false, true} {
		t.Run(fmt.Sprint("later=", later), func(t *testing.T) {
			dir, replica, c := t.TempDir(), t.TempDir(), (*ReplicaConfig)(nil)
			if err := Create(t.Context(), Options{Dir: dir}, founding("acme")); err != nil {
				t.Fatal(err)
			}
			c = replicas(dir, replica)
			if !later {
				lose(t, replica)
			}
			r := replicate(t, c)
			s, err := Open(t.Context(), Options{Dir: dir, Replicated: true})
			if err != nil {
				t.Fatal(err)
			}
			v := openVault(t, dir, newKey(t))
			v.ReplicatedBy(r)
			if later {
				put(t, v, "acme", "c0", "sk-zero")
				synced(t, r)
				lose(t, replica)
			}
			must(t, s, admit("acme", "r1"), settle("acme", "r1"))
			before, err := walHeader(filepath.Join(dir, logFile))
			if err != nil {
				t.Fatal(err)
			}
			if err := unsynced(t, r); !strings.Contains(err.Error(), replica) {
				t.Errorf("it does not name the replica: %v", err)
			}
			if status := r.Status(); status[0].InSync || status[0].Err == nil || status[0].SyncedAt.IsZero() == later {
				t.Errorf("the status is %+v", status)
			}
			checkLocks(t, filepath.Join(dir, logFile))
			must(t, s, admit("acme", "r2"), settle("acme", "r2"))
			if after, err := walHeader(filepath.Join(dir, logFile)); err != nil || bytes.Equal(before, after) && !later {
				t.Errorf("the WAL goes on for ever: %v", err)
			}
			put(t, v, "acme", "c1", "sk-one")
			if err := v.Delete(t.Context(), "acme", "c1"); err != nil {
				t.Error(err)
			}
			waiting := make(chan error)
			go func() { waiting <- r.SyncTo(t.Context()) }()
			find(t, replica)
			if err := <-waiting; err != nil {
				t.Fatal(err)
			}
			checkLocks(t, filepath.Join(dir, logFile))
			level(t, replica, dir)
			if status := r.Status(); !status[0].InSync || status[0].Err != nil {
				t.Errorf("the status is %+v", status)
			}
			synced(t, r) // who comes now does not wait for the interval

			lose(t, replica)
			must(t, s, admit("acme", "r3"))
			if err := errors.Join(v.Close(), s.Close()); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			if err := r.Close(t.Context()); err == nil || !strings.Contains(err.Error(), replica) || time.Since(start) > 10*time.Second {
				t.Errorf("closing, after %v: %v", time.Since(start), err)
			}
		})
	}
}

// checkLocks looks whether this process still has SQLite's lock on a file. Without it, the next process that closes the file
// takes itself for the last, and deletes the WAL that this one writes to.
func checkLocks(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	all, err := os.ReadFile("/proc/locks")
	inode := reflect.Indirect(reflect.ValueOf(info.Sys())).FieldByName("Ino")
	if err != nil || !inode.IsValid() {
		return // not Linux
	}
	if !strings.Contains(string(all), fmt.Sprintf(":%d ", inode.Uint())) {
		t.Errorf("no lock is left on %s", path)
	}
}

// A replica that was emptied, or is another folder now, is made whole by a full copy, and can be restored again; also
// after a new start, for which Litestream looks only at the newest files.
func TestReplicaEmptied(t *testing.T) {
	dir, replica, c := small(t)
	r := replicate(t, c)
	s, err := Open(t.Context(), Options{Dir: dir, Replicated: true})
	if err != nil {
		t.Fatal(err)
	}
	synced(t, r)
	// A folder that is gone is missed at once: what the next round says to be there is not the next transaction alone.
	if err := errors.Join(os.Rename(replica, replica+".away"), os.Mkdir(replica, 0o700)); err != nil {
		t.Fatal(err)
	}
	must(t, s, admit("acme", "r0"), settle("acme", "r0"))
	synced(t, r)
	level(t, replica, dir)
	files, err := filepath.Glob(filepath.Join(replica, "*.db", "ltx", "*", "*.ltx"))
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	must(t, s, admit("acme", "r1"), settle("acme", "r1"))
	for _, d := range r.dbs {
		d.inspected = time.Time{} // as if a minute had passed
	}
	synced(t, r)
	must(t, s, admit("acme", "r2"), settle("acme", "r2"))
	synced(t, r)
	level(t, replica, dir)
	if err := errors.Join(s.Close(), r.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	// Emptied while the node was away, and the folder has no longer the first transactions, from which Litestream could fill it.
	first, err := filepath.Glob(filepath.Join(dir, ".*-litestream", "ltx", "0", "*0001.ltx"))
	if err != nil || len(first) != 2 {
		t.Fatal(first, err)
	}
	for _, path := range append(first, filepath.Join(replica, logFile), filepath.Join(replica, vaultFile)) {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	r = replicate(t, c)
	synced(t, r)
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	level(t, replica, dir)
}

func TestReplicationAskedWhenItIsOver(t *testing.T) {
	_, _, c := small(t)
	r := replicate(t, c)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.SyncTo(over); !errors.Is(err, context.Canceled) && err != nil {
		t.Errorf("waiting: %v", err)
	}
}

// Who waits when the end comes is answered by the last round.
func TestLastRoundAnswersWaits(t *testing.T) {
	_, replica, c := small(t)
	lose(t, replica)
	r := replicate(t, c)
	waiting := make(chan error)
	go func() { waiting <- r.SyncTo(t.Context()) }()
	eventually(t, "rounds fail", func() bool {
		return strings.Contains(fmt.Sprint(r.Status()[0].Err), "replicating ") // a round's failure
	})
	find(t, replica)
	if err := errors.Join(r.Close(t.Context()), <-waiting); err != nil {
		t.Error(err)
	}
}
