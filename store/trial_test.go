package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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

// On a machine without a data folder a trial takes nothing away that is not its own: folders in the working directory, and among the
// temporary files, may be called as its own are.
func TestTryWithoutDataFolder(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	newNode(t, Options{Dir: dir, NewID: ids(), Ballast: -1}, "acme").Close()
	openVault(t, dir, key).Close()
	c := copiedTo(t, dir)
	here, temporary := t.TempDir(), t.TempDir()
	t.Chdir(here)
	t.Setenv("TMPDIR", temporary)
	for _, in := range []string{here, temporary} {
		if err := os.Mkdir(filepath.Join(in, trialPrefix+"of-mine"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	before := filesIn(t, here) + filesIn(t, temporary)
	if done, err := Try(t.Context(), TrialOptions{Replicas: c}); err != nil || done.Failure != "" {
		t.Errorf("%+v, %v", done, err)
	}
	if after := filesIn(t, here) + filesIn(t, temporary); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
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

// At no moment does a replica have the event that attaches a credential, and not its secret: trials beside a node that attaches one
// credential after the other, round after round, never find one without the other.
func TestReplicaHasSecretsFirst(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	o, orgs := Options{Dir: dir, NewID: ids(), Ballast: -1}, orgNames(10)
	newNode(t, o, orgs...).Close()
	c := replicas(dir, t.TempDir())
	slices.Reverse(c.Databases) // whatever the order in the file
	r, err := Replicate(t.Context(), c, filepath.Join(dir, logFile), filepath.Join(dir, vaultFile))
	if err != nil {
		t.Fatal(err)
	}
	r.Begin()
	t.Cleanup(func() { r.Close(context.Background()) })
	o.Replicated = true
	s, v := reopen(t, o), openVault(t, dir, key)
	v.ReplicatedBy(r)
	put(t, v, ledger.Platform, "pool", "sk-pool")
	synced(t, r)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	until := func(do func(n int) error) {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := do(n); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	until(func(int) error { return r.SyncTo(t.Context()) })
	until(func(n int) error {
		if n == 600 { // an org has no more than 64
			<-stop
			return nil
		}
		org, id := orgs[n%len(orgs)], fmt.Sprint("c", n)
		if err := v.Put(t.Context(), org, id, NewSecret("sk")); err != nil {
			return err
		}
		_, err := s.Execute(t.Context(), ledger.AttachCredential{Who: operator, Org: org, Credential: id, Provider: "openai", Fingerprint: "f", Use: ledger.UsePrefer})
		return err
	})
	last := uint64(0)
	for began, n := time.Now(), 0; n < 40 && time.Since(began) < 4*time.Second; n++ {
		done, err := Try(t.Context(), TrialOptions{Replicas: c, Dir: t.TempDir(), Master: key})
		if err != nil || done.Failure != "" {
			t.Errorf("%q: %v; %v", done.Failure, done.Err, err)
		}
		last = done.Position
	}
	close(stop)
	wg.Wait()
	if last < 50 {
		t.Errorf("the replica came to %d only: this test shows nothing", last)
	}
}
