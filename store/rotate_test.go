package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/benbjohnson/litestream"
	"github.com/benbjohnson/litestream/file"
)

// custody is a folder with a vault and, beside it, its master key.
type custody struct {
	dir, key string
	want     map[secretName]string
}

func newCustody(t *testing.T) *custody {
	t.Helper()
	base := t.TempDir()
	c := &custody{filepath.Join(base, "data"), filepath.Join(base, "data.key"), map[secretName]string{}}
	if err := os.Mkdir(c.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := CreateMasterKey(c.key); err != nil {
		t.Fatal(err)
	}
	v := c.open(t)
	for _, org := range []string{"acme", "platform"} {
		for _, id := range []string{"c1", "c2"} {
			c.put(t, v, org, id, "sk-"+org+"-"+id)
		}
	}
	c.put(t, v, "gone", "c1", "sk-gone") // an org whose data key seals nothing any more
	if err := v.Delete(t.Context(), "gone", "c1"); err != nil {
		t.Fatal(err)
	}
	delete(c.want, secretName{"gone", "c1"})
	v.Close()
	return c
}

func (c *custody) open(t *testing.T) *Vault {
	t.Helper()
	key, err := ReadMasterKey(c.key)
	if err != nil {
		t.Fatal(err)
	}
	return openVault(t, c.dir, key)
}

func (c *custody) put(t *testing.T, v *Vault, org, id, secret string) {
	t.Helper()
	put(t, v, org, id, secret)
	c.want[secretName{org, id}] = secret
}

// reads asserts that every secret opens, from the file.
func (c *custody) reads(t *testing.T, v *Vault, when string) {
	t.Helper()
	for n, want := range c.want {
		if s, err := v.open(t.Context(), n.org, n.id); err != nil || s.Reveal() != want {
			t.Errorf("%s: %s of %s: %q, %v", when, n.id, n.org, s.Reveal(), err)
		}
	}
}

// crashed is a copy of what is on disk now, as a process that ends here leaves it.
func (c *custody) crashed(t *testing.T) *custody {
	t.Helper()
	base := t.TempDir()
	if err := os.CopyFS(base, os.DirFS(filepath.Dir(c.dir))); err != nil {
		t.Fatal(err)
	}
	n := &custody{filepath.Join(base, "data"), filepath.Join(base, "data.key"), map[secretName]string{}}
	_ = os.Remove(filepath.Join(n.dir, vaultFile+"-shm")) // the memory of processes that share the file
	maps.Copy(n.want, c.want)
	files, err := filepath.Glob(n.key + "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files { // CopyFS lets others read
		if err := os.Chmod(f, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// countdown is a context that is over once it was asked so many times. The goroutines of database/sql that wait for the end of
// rows ask too, whenever they come to it: they do not count.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	caller, _, _, _ := runtime.Caller(1)
	if strings.HasSuffix(runtime.FuncForPC(caller).Name(), ").awaitDone") {
		return c.Context.Err()
	}
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// A rotation that is interrupted before any of its steps, by an error or by a crash, leaves a vault that opens and takes secrets, and
// goes on where it was: each data key is wrapped once, each secret sealed once, and the record is the same one.
func TestRotationResumes(t *testing.T) {
	for _, o := range []Rotation{{}, {Reencrypt: true}, {KeepKey: true}} {
		steps := 0
		for done := false; !done; steps++ {
			c := newCustody(t)
			former, _ := ReadMasterKey(c.key)
			v := c.open(t)
			var ids []string
			record := func(r Rotated) error { ids = append(ids, r.ID); return nil }
			_, err := v.Rotate(&countdown{t.Context(), steps}, c.key, o, record)
			if done = err == nil; !done && !errors.Is(err, context.Canceled) {
				t.Fatalf("%+v: step %d: %v", o, steps, err)
			}
			when := fmt.Sprintf("%+v, interrupted at step %d", o, steps)
			c.reads(t, v, when)
			after := c.crashed(t)
			w := after.open(t)
			after.reads(t, w, when+", after a crash")
			after.put(t, w, "later", "c1", "sk-later")
			switch { // either goes on: what has crashed, or the process that goes on living
			case done:
			case steps%2 == 0:
				after.finish(t, w, o, former.ID(), when+", after a crash")
			default:
				c.finish(t, v, o, former.ID(), when)
			}
			v.Close()
			w.Close()
		}
		if steps < 8 {
			t.Errorf("%+v: it was interrupted at %d steps: too few for this to show anything", o, steps-1)
		}
		t.Logf("%+v: interrupted at %d places", o, steps-1)
	}
}

// finish ends a rotation, and holds the vault to what it must be then.
func (c *custody) finish(t *testing.T, v *Vault, o Rotation, former, when string) {
	t.Helper()
	var first, again Rotated
	dead := errors.New("the log is dead")
	if _, err := v.Rotate(t.Context(), c.key, o, func(r Rotated) error { first = r; return dead }); !errors.Is(err, dead) {
		t.Fatalf("%s: %v", when, err)
	}
	if r, err := v.Report(t.Context()); err != nil || !r.UnderWay {
		t.Errorf("%s: what is not recorded is not done: %+v, %v", when, r, err)
	}
	var between *custody // recorded, and ended before the vault knew
	got, err := v.Rotate(t.Context(), c.key, o, func(r Rotated) error { again = r; between = c.crashed(t); return nil })
	if err != nil || first != again || got != again {
		t.Fatalf("%s: recorded as %+v, then as %+v, and is %+v: %v", when, first, again, got, err)
	}
	third, err := between.open(t).Rotate(t.Context(), between.key, o, func(Rotated) error { return nil })
	if err != nil || third != got {
		t.Errorf("%s: after a crash behind the record: %+v, want %+v: %v", when, third, got, err)
	}
	c.reads(t, v, when+", at the end")
	report, err := v.Report(t.Context())
	if err != nil || report.UnderWay || len(report.Keys) != 1 || report.Keys[0].Master != got.Master || report.Keys[0].Secrets != len(c.want) {
		t.Errorf("%s: at the end: %+v, %v", when, report, err)
	}
	wrapped := uint64(3) // data keys of before
	sealed := uint64(0)
	if o.KeepKey {
		wrapped = 0
	}
	if o.Reencrypt || o.KeepKey {
		sealed = 4
		if n := len(texts(t, v.db, `SELECT id FROM data_keys WHERE org = 'gone'`)); n != 0 {
			t.Errorf("%s: a data key that seals nothing was kept", when)
		}
	}
	// A secret that came during the rotation may have come in time to be counted.
	late := uint64(len(c.want) - 4)
	if got.Rewrapped < wrapped || got.Rewrapped > wrapped+late || got.Reencrypted < sealed || got.Reencrypted > sealed+late {
		t.Errorf("%s: %+v, want %d wrapped and %d sealed", when, got, wrapped, sealed)
	}
	if o.KeepKey != (got.Master == former) {
		t.Errorf("%s: it is under %s, and was under %s", when, got.Master, former)
	}
	v.Close()
	// The key in its file is enough, and the former one no longer is.
	if old, err := readMasterKey(c.key + formerSuffix); err == nil {
		if _, err := OpenVault(t.Context(), c.dir, old); err == nil {
			t.Errorf("%s: it opens with the former key", when)
		}
		if err := os.Remove(c.key + formerSuffix); err != nil {
			t.Fatal(err)
		}
	} else if !o.KeepKey {
		t.Errorf("%s: the former key is not kept: %v", when, err)
	}
	c.reads(t, c.open(t), when+", opened with the new key alone")
}

// While the keys change hands, secrets open and others come and go.
func TestRotationUnderUse(t *testing.T) {
	c := newCustody(t)
	v := c.open(t)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				org, id := fmt.Sprint("new", w, i%5), fmt.Sprint("c", i%3)
				if err := v.Put(t.Context(), org, id, NewSecret(fmt.Sprint("sk-", i))); err != nil {
					t.Error(err)
				}
				if s, err := v.open(t.Context(), org, id); err != nil || s.Reveal() != fmt.Sprint("sk-", i) {
					t.Errorf("%q, %v", s.Reveal(), err)
				}
				if s, err := v.Get(t.Context(), "acme", "c1"); err != nil || s.Reveal() != "sk-acme-c1" {
					t.Errorf("%q, %v", s.Reveal(), err)
				}
				v.forget("acme", "c1")
			}
		})
	}
	for range 6 {
		if _, err := v.Rotate(t.Context(), c.key, Rotation{Reencrypt: true}, func(Rotated) error { return nil }); err != nil {
			t.Error(err)
		}
	}
	stop()
	wg.Wait()
	c.reads(t, c.open(t), "at the end")
	olds, err := filepath.Glob(c.key + formerSuffix + "*")
	if err != nil || len(olds) != 6 {
		t.Errorf("the files of %d former keys are kept, of 6: %v", len(olds), err)
	}
}

// What a rotation cannot be done to is refused, and nothing has changed.
func TestRotationRefused(t *testing.T) {
	c := newCustody(t)
	v := c.open(t)
	rotate := func(o Rotation) error {
		_, err := v.Rotate(t.Context(), c.key, o, func(Rotated) error { return errors.New("it was recorded") })
		return err
	}
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	present, err := os.ReadFile(c.key)
	if err != nil {
		t.Fatal(err)
	}
	for want, path := range map[string]string{
		"no master key at": filepath.Join(c.dir, "none"),
		"open to others":   file("open", string(present), 0o644),
		"neither base64":   file("text", "correct horse battery staple", 0o600),
		"in use already":   file("same", string(present), 0o600),
	} {
		if err := rotate(Rotation{NewKey: path}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		} else if strings.Contains(err.Error(), "correct horse") || strings.Contains(err.Error(), strings.TrimSpace(string(present))) {
			t.Errorf("the error tells what it read: %v", err)
		}
	}
	r, err := v.Report(t.Context())
	if now, e := os.ReadFile(c.key); e != nil || string(now) != string(present) || err != nil || r.UnderWay {
		t.Errorf("something has changed: %+v, %v, %v", r, err, e)
	}
	// Half-way to one key, it goes to no other.
	if _, err := v.Rotate(&countdown{t.Context(), 5}, c.key, Rotation{}, nil); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "other")
	if _, err := CreateMasterKey(other); err != nil {
		t.Fatal(err)
	}
	if err := rotate(Rotation{NewKey: other}); !errors.Is(err, ErrOtherRotation) {
		t.Errorf("%v", err)
	}
	// And it does not open with one of the two keys alone.
	v.Close()
	old := c.key + formerSuffix
	for _, alone := range []string{c.key, old} {
		key, err := readMasterKey(alone)
		if err != nil {
			t.Fatal(err)
		}
		w, err := OpenVault(t.Context(), c.dir, key)
		if err != nil {
			continue // the check value is under the other
		}
		failed := 0
		for n := range c.want {
			if _, err := w.open(t.Context(), n.org, n.id); errors.Is(err, errOtherKey) && strings.Contains(err.Error(), "FILE.old") {
				failed++
			}
		}
		if failed == 0 {
			t.Errorf("half-way it opens with %s alone", alone)
		}
		w.Close()
	}
	c.reads(t, c.open(t), "with both")
}

// A new key that somebody has put into the file's place, with the former one beside it, is a rotation that has begun: on a machine where
// the node may not write there.
func TestRotationOfAKeyInPlace(t *testing.T) {
	c := newCustody(t)
	if err := os.Rename(c.key, c.key+formerSuffix); err != nil {
		t.Fatal(err)
	}
	next, err := CreateMasterKey(c.key)
	if err != nil {
		t.Fatal(err)
	}
	v := c.open(t)
	c.reads(t, v, "before")
	got, err := v.Rotate(t.Context(), c.key, Rotation{}, func(Rotated) error { return nil })
	if err != nil || got.Master != next.ID() || got.Rewrapped != 3 {
		t.Errorf("%+v, %v", got, err)
	}
	v.Close()
	if err := os.Remove(c.key + formerSuffix); err != nil {
		t.Fatal(err)
	}
	c.reads(t, c.open(t), "after")
}

// What a replica has of a vault half-way opens with both keys and goes on from there; what it has at the end opens with the new one alone.
func TestRotationInTheReplica(t *testing.T) {
	c := newCustody(t)
	replica := t.TempDir()
	rc := replicas(c.dir, replica)
	rc.Databases = rc.Databases[1:]
	r := replicate(t, rc)
	v := c.open(t)
	v.ReplicatedBy(r)
	synced(t, r)
	if _, err := v.Rotate(&countdown{t.Context(), 5}, c.key, Rotation{Reencrypt: true}, nil); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	synced(t, r)
	half := c.fromReplica(t, rc.Databases[0].Replica)
	w := half.open(t)
	if r, err := w.Report(t.Context()); err != nil || !r.UnderWay || len(r.Keys) != 2 {
		t.Errorf("half-way: %+v, %v", r, err)
	}
	half.reads(t, w, "from the replica, half-way")
	for _, x := range []struct {
		*custody
		v *Vault
	}{{half, w}, {c, v}} {
		if got, err := x.v.Rotate(t.Context(), x.key, Rotation{Reencrypt: true}, func(Rotated) error { return nil }); err != nil || got.Rewrapped != 3 || got.Reencrypted != 4 {
			t.Errorf("%+v, %v", got, err)
		}
	}
	synced(t, r)
	whole := c.fromReplica(t, rc.Databases[0].Replica)
	if err := os.Remove(whole.key + formerSuffix); err != nil {
		t.Fatal(err)
	}
	whole.reads(t, whole.open(t), "from the replica, at the end, with the new key alone")
}

// fromReplica is another machine, with the vault of a replica and the keys of this one.
func (c *custody) fromReplica(t *testing.T, replica string) *custody {
	t.Helper()
	n := c.crashed(t)
	if err := os.RemoveAll(n.dir); err != nil {
		t.Fatal(err)
	}
	o := litestream.NewRestoreOptions()
	o.OutputPath = filepath.Join(n.dir, vaultFile)
	if err := errors.Join(os.Mkdir(n.dir, 0o700), litestream.NewReplicaWithClient(nil, file.NewReplicaClient(replica)).Restore(t.Context(), o)); err != nil {
		t.Fatal(err)
	}
	return n
}
