package store

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"waybill/ledger"
)

// A trial says what a restore would come to: of a good replica, of one that lags, of another node's, of one that is gone or
// damaged, and of a vault that does not open. It leaves nothing behind, and changes nothing in the replica.
func TestTry(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	o := Options{Dir: dir, NewID: ids(), Ballast: -1}
	s := newNode(t, o, "acme")
	v := openVault(t, dir, key)
	put(t, v, ledger.Platform, "pool", "sk-pool")
	must(t, s, admit("acme", "r1"))
	s.Close()
	v.Close()
	c := copiedTo(t, dir)
	own := reader(t, dir)
	copied, _, _ := own.Head(t.Context())
	try := func(c *ReplicaConfig, key MasterKey, own *Reader, head *SavedHead) Trial {
		t.Helper()
		before := filesIn(t, filepath.Dir(c.Databases[0].Replica))
		into := t.TempDir()
		done, err := Try(t.Context(), TrialOptions{Replicas: c, Dir: into, Master: key, Own: own, Head: head})
		if err != nil {
			t.Fatal(err)
		}
		if left := filesIn(t, into); left != "" {
			t.Errorf("left behind: %s", left)
		}
		if after := filesIn(t, filepath.Dir(c.Databases[0].Replica)); after != before {
			t.Errorf("the replica was changed:\n%s\n%s", before, after)
		}
		return done
	}
	fails := func(name, want string, done Trial) {
		t.Helper()
		if done.Failure != want || done.Err == nil {
			t.Errorf("%s: %q, %v, want %q", name, done.Failure, done.Err, want)
		}
	}
	root, err := own.Root(t.Context(), copied)
	if err != nil {
		t.Fatal(err)
	}
	if done := try(c, key, own, &SavedHead{copied, root}); done.Failure != "" || done.Position != copied || done.Behind != 0 || done.Took == 0 {
		t.Errorf("%+v", done)
	}
	s = reopen(t, o)
	must(t, s, settle("acme", "r1"), admit("acme", "r2"))
	s.Close()
	if done := try(c, key, own, nil); done.Failure != "" || done.Position != copied || done.Behind != 2 {
		t.Errorf("%+v", done)
	}
	if done := try(c, MasterKey{}, nil, nil); done.Failure != "" || done.Position != copied {
		t.Errorf("alone: %+v", done)
	}
	fails("a head that it does not have", TrialDiffers, try(c, key, nil, &SavedHead{copied + 1, root}))
	fails("another key", TrialSecrets, try(c, newKey(t), own, nil))

	v = openVault(t, dir, key)
	if err := v.Delete(t.Context(), ledger.Platform, "pool"); err != nil {
		t.Fatal(err)
	}
	v.Close()
	late := copiedTo(t, dir)
	fails("a secret is missing", TrialSecrets, try(late, key, own, nil))
	shell(t, dir, "UPDATE balances SET amount = amount + 1 WHERE account LIKE 'house/issued%'")
	fails("a balance is wrong", TrialDiffers, try(copiedTo(t, dir), key, own, nil))

	fork := t.TempDir()
	newNode(t, Options{Dir: fork, Ballast: -1}, "acme").Close()
	fails("another's log", TrialDiverged, try(c, key, reader(t, fork), nil))
	longer := reader(t, restoreDir(t, c, key))
	fails("a log that goes on elsewhere", TrialDiverged, func() Trial {
		must(t, reopen(t, Options{Dir: longer.dir, Ballast: -1}), admit("acme", "r9"), admit("acme", "r10"), admit("acme", "r11"))
		return try(late, key, longer, nil)
	}())
	fails("the replica is ahead", TrialDiverged, try(late, key, reader(t, restoreTo(t, c, key, 3)), nil))
	fails("an empty replica", TrialEmpty, try(replicas(dir, t.TempDir()), key, own, nil))
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Try(cancelled, TrialOptions{Replicas: c, Dir: t.TempDir()}); err == nil {
		t.Error("a trial that was ended is none that failed")
	}
	into := t.TempDir()
	if err := os.Mkdir(filepath.Join(into, trialPrefix+"left"), 0o700); err != nil {
		t.Fatal(err)
	}
	if done, err := Try(t.Context(), TrialOptions{Replicas: c, Dir: into}); err != nil || done.Failure != "" || filesIn(t, into) != "" {
		t.Errorf("%+v, %v; left: %s", done, err, filesIn(t, into))
	}
}

func restoreDir(t *testing.T, c *ReplicaConfig, key MasterKey) string {
	return restore(t, RestoreOptions{Replicas: c, Master: key}).Dir
}

func restoreTo(t *testing.T, c *ReplicaConfig, key MasterKey, position uint64) string {
	return restore(t, RestoreOptions{Replicas: c, Master: key, Until: Moment{Position: position}}).Dir
}

// filesIn lists what is in a folder.
func filesIn(t *testing.T, dir string) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && path != dir {
			info, err := e.Info()
			if err != nil {
				return err
			}
			all = append(all, strings.TrimPrefix(path, dir)+info.ModTime().String())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, "\n")
}
