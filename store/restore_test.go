package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/benbjohnson/litestream"
	"github.com/superfly/ltx"

	"waybill/ledger"
)

// copied is a replica of what is in a data folder that nobody has open.
func copiedTo(t *testing.T, dir string) *ReplicaConfig {
	t.Helper()
	c := replicas(dir, t.TempDir())
	r, err := Replicate(t.Context(), c, filepath.Join(dir, logFile), filepath.Join(dir, vaultFile))
	if err != nil {
		t.Fatal(err)
	}
	r.Begin()
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func restore(t *testing.T, o RestoreOptions) Restored {
	t.Helper()
	if o.Dir == "" {
		o.Dir = filepath.Join(t.TempDir(), "new")
	}
	done, err := Restore(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		if !slices.Contains([]string{logFile, vaultFile, ".waybill.db-litestream", ".vault.db-litestream", "lock"}, e.Name()) {
			t.Errorf("%s is in the restored folder", e.Name())
		}
	}
	return done
}

// A whole history is ended at each of its positions in turn: what is left is a log that verifies, with every balance that
// the original had there, and one event more, and goes on.
func TestRestoreToEachPosition(t *testing.T) {
	y := told(t)
	r := reader(t, y.dir)
	head, _, err := r.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	orgs := []string{"acme", "beta", "gamma"}
	standings := func(r *Reader, position uint64) (all []string) {
		for _, org := range orgs {
			s, err := r.BalanceAt(t.Context(), org, position)
			all = append(all, fmt.Sprintf("%+v %v", s, err))
		}
		return all
	}
	key := newKey(t)
	openVault(t, y.dir, key).Close()
	c := copiedTo(t, y.dir)
	for n := uint64(1); n <= head; n += uint64(stride(5)) {
		o := RestoreOptions{Replicas: c, Dir: filepath.Join(t.TempDir(), fmt.Sprint(n)), Master: key, Until: Moment{Position: n}, Now: y.now, NewID: y.id}
		done := restore(t, o)
		if done.From != n || done.LeftOut != head-n || done.Missing != 0 || done.Epoch != 2 {
			t.Fatalf("restored to %d: %+v", n, done)
		}
		if got := headOf(t, o.Dir); got != n+1 {
			t.Fatalf("restored to %d, the log ends at %d", n, got)
		}
		own := reader(t, o.Dir)
		if got, want := standings(own, n), standings(r, n); !slices.Equal(got, want) {
			t.Fatalf("restored to %d:\n%q, want\n%q", n, got, want)
		}
		was, err := r.Root(t.Context(), n)
		is, err2 := own.Root(t.Context(), n)
		if err := errors.Join(err, err2); err != nil || was != is || done.Head != (SavedHead{n, was}).String() {
			t.Fatalf("restored to %d: the tree is %s, was %s; %v", n, is, was, err)
		}
		s := reopen(t, Options{Dir: o.Dir, Now: y.now, NewID: y.id, Ballast: -1})
		must(t, s, ledger.DefinePlan{Who: operator, Plan: ledger.Plan{ID: "late", Lanes: []ledger.Lane{ledger.LaneAuto}}})
		for _, statement := range []string{"DELETE FROM events", "UPDATE tree SET hashes = x''"} {
			a := together(t, s, &order{write: func(l *journal) error {
				if l.exec(statement) == nil {
					return errors.New("it is done")
				}
				return nil
			}})
			if a[0].err != nil {
				t.Fatalf("restored to %d: %s is done", n, statement)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		headOf(t, o.Dir)
	}
}

func reader(t *testing.T, dir string) *Reader {
	t.Helper()
	r, err := OpenReader(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// What a time names is the last event that is no later.
func TestRestoreToATime(t *testing.T) {
	y := told(t)
	key := newKey(t)
	openVault(t, y.dir, key).Close()
	c := copiedTo(t, y.dir)
	recs, err := reader(t, y.dir).Page(t.Context(), 0, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	middle := recs[len(recs)/2]
	for _, x := range []struct {
		at   ledger.Instant
		want uint64
	}{{middle.At, middle.Position}, {middle.At - 1, middle.Position - 1}, {recs[len(recs)-1].At + 1, uint64(len(recs))}} {
		if done := restore(t, RestoreOptions{Replicas: c, Master: key, Until: Moment{At: x.at}, Now: y.now, NewID: y.id}); done.From != x.want {
			t.Errorf("at %s: restored to %d, want %d", x.at, done.From, x.want)
		}
	}
	for _, u := range []Moment{{At: recs[0].At - 1}, {Position: uint64(len(recs)) + 1}} {
		o := RestoreOptions{Replicas: c, Master: key, Until: u, Now: y.now, NewID: y.id, Dir: t.TempDir()}
		if _, err := Restore(t.Context(), o); err == nil {
			t.Errorf("%+v: there is no such moment", u)
		}
		nothingIn(t, o.Dir)
	}
}

// nothingIn asserts that a failed restore has left nothing of a node.
func nothingIn(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		if e.Name() != "lock" {
			t.Errorf("%s is left behind", e.Name())
		}
	}
}

// Names and notes of what was taken out go, those of what stays are as they are now, and a secret of the environment is taken
// in again.
func TestRestoreForgetsWhatCameLater(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	s := newNode(t, Options{Dir: dir, NewID: ids(), Ballast: -1}, "acme")
	openVault(t, dir, key).Close()
	named := func(c ledger.Command, l Label) uint64 {
		r, err := s.ExecuteNamed(t.Context(), c, l)
		if err != nil {
			t.Fatal(err)
		}
		return r.Records[len(r.Records)-1].Position
	}
	issue := func(id string) ledger.IssueKey {
		return ledger.IssueKey{Who: operator, Org: "acme", Key: id, Hash: strings.Repeat("a", 63) + id[1:], Scopes: []ledger.Scope{ledger.ScopeInference}}
	}
	end := named(issue("k1"), Label{"key", "k1", "acme", "early"})
	named(issue("k2"), Label{"key", "k2", "acme", "late"})
	named(ledger.OpenOrg{Who: operator, Org: "beta", Plan: "teams"}, Label{"org", "beta", "", "Beta"})
	named(ledger.AttachCredential{Who: ledger.By{Actor: "operator", Cause: "environment_key_openai"}, Org: ledger.Platform, Credential: "env", Provider: "openai",
		Fingerprint: "f", Use: ledger.UsePrefer}, Label{"credential", "env", ledger.Platform, "environment"})
	named(ledger.AttachCredential{Who: ledger.By{Actor: "key/k1", Cause: "other"}, Org: "acme", Credential: "own", Provider: "openai",
		Fingerprint: "f", Use: ledger.UsePrefer}, Label{"credential", "own", "acme", "own"})
	if err := errors.Join(s.Rename(t.Context(), Label{"key", "k1", "acme", "renamed"}), s.SetNodeValue(t.Context(), "environment_key_openai", []byte("attached")),
		s.SetNodeValue(t.Context(), "other", []byte("stays"))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ExecuteNoted(t.Context(), admit("acme", "r1"), "r1", []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	to := t.TempDir()
	restore(t, RestoreOptions{Replicas: copiedTo(t, dir), Dir: to, Master: key, Until: Moment{Position: end}})
	r := reader(t, to)
	var got []string
	for _, kind := range []string{"org", "key", "credential"} {
		for _, scope := range []string{"", "acme", ledger.Platform} {
			ls, err := r.Labels(t.Context(), kind, scope)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range ls {
				got = append(got, l.ID+"="+l.Name)
			}
		}
	}
	note, err := r.Note(t.Context(), "r1")
	adopted, err2 := r.NodeValue(t.Context(), "environment_key_openai")
	other, err3 := r.NodeValue(t.Context(), "other")
	if err := errors.Join(err, err2, err3); err != nil || !slices.Equal(got, []string{"k1=renamed"}) || note != nil || adopted != nil || string(other) != "stays" {
		t.Errorf("labels %q, note %q, adopted %q, other %q, %v", got, note, adopted, other, err)
	}
}

// The two files come from different moments, either way round, as they do when one replica lags: a credential whose secret is
// not there is failing and named, one that was detached is destroyed, and a secret that the log does not know yet stays.
func TestRestoreOfTwoMoments(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	attach := func(id string) ledger.AttachCredential {
		return ledger.AttachCredential{Who: operator, Org: "acme", Credential: id, Provider: "openai", Fingerprint: "f-" + id, Use: ledger.UsePrefer}
	}
	o := Options{Dir: dir, NewID: ids(), Ballast: -1}
	s := newNode(t, o, "acme")
	v := openVault(t, dir, key)
	put(t, v, ledger.Platform, "pool", "sk-pool")
	for _, id := range []string{"stays", "goes"} {
		put(t, v, "acme", id, "sk-"+id)
		must(t, s, attach(id))
	}
	if err := errors.Join(s.Close(), v.Close()); err != nil {
		t.Fatal(err)
	}
	early := copiedTo(t, dir)
	s, v = reopen(t, o), openVault(t, dir, key)
	put(t, v, "acme", "comes", "sk-comes")
	must(t, s, attach("comes"), ledger.DetachCredential{Who: operator, Org: "acme", Credential: "goes"})
	if err := errors.Join(v.Delete(t.Context(), "acme", "goes"), s.Close(), v.Close()); err != nil {
		t.Fatal(err)
	}
	late := copiedTo(t, dir)
	s = reopen(t, o)
	must(t, s, ledger.EraseOrg{Who: operator, Org: "acme"})
	s.Close()
	erased := copiedTo(t, dir)
	mixed := func(log, vault *ReplicaConfig) *ReplicaConfig {
		c := *log
		c.Databases = []ReplicatedFile{log.Databases[0], vault.Databases[1]}
		return &c
	}
	for _, x := range []struct {
		name      string
		replicas  *ReplicaConfig
		secrets   int
		lacking   []Lacking
		destroyed int
		erased    int
		unknown   int
		has       map[string]string
	}{
		{"the vault is older", mixed(late, early), 2, []Lacking{{"acme", "comes"}}, 1, 0, 0, map[string]string{"stays": "sk-stays", "goes": "", "comes": ""}},
		{"the log is older", mixed(early, late), 2, []Lacking{{"acme", "goes"}}, 0, 0, 1, map[string]string{"stays": "sk-stays", "goes": "", "comes": "sk-comes"}},
		{"the org is erased, and the vault is older", mixed(erased, early), 1, []Lacking{}, 0, 1, 0, map[string]string{"stays": "", "goes": "", "comes": ""}},
	} {
		to := t.TempDir()
		done := restore(t, RestoreOptions{Replicas: x.replicas, Dir: to, Master: key})
		if done.Secrets != x.secrets || !slices.Equal(done.Lacking, x.lacking) || done.Detached != x.destroyed || done.Erased != x.erased || done.Unknown != x.unknown {
			t.Errorf("%s: %+v", x.name, done)
		}
		rv := openVault(t, to, key)
		for id, secret := range x.has {
			holds(t, rv, "acme", id, secret)
		}
	}
	to := t.TempDir()
	if _, err := Restore(t.Context(), RestoreOptions{Replicas: late, Dir: to, Master: newKey(t)}); err == nil || !strings.Contains(err.Error(), "master key") {
		t.Errorf("under another master key: %v", err)
	}
	nothingIn(t, to)
	other := newKey(t)
	if done := restore(t, RestoreOptions{Replicas: late, Dir: to, Master: other, LostKey: true}); done.Secrets != 0 || len(done.Lacking) != 3 {
		t.Errorf("with the key lost: %+v", done)
	}
	openVault(t, to, other).Close()
}

// A restored node goes on replicating where the lost one did, and that replica leads to it from then on, whatever part
// of the log was left out.
func TestRestoredNodeReplicatesOn(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	o := Options{Dir: dir, NewID: ids(), Ballast: -1}
	s := newNode(t, o, "acme")
	grow(t, s, []string{"acme"}, 300)
	s.Close()
	openVault(t, dir, key).Close()
	c := copiedTo(t, dir)
	end := uint64(0)
	for i, until := range []Moment{{}, {Position: 200}, {Position: 150}, {}} {
		to := filepath.Join(t.TempDir(), "node")
		done := restore(t, RestoreOptions{Replicas: c, Dir: to, Master: key, Until: until})
		if until.Position == 0 && end != 0 && done.From != end {
			t.Errorf("restored to %d, want %d", done.From, end)
		}
		if want := uint64(i) + 2; done.Epoch != want { // also where the log ends before the last epoch began
			t.Errorf("epoch %d, want %d", done.Epoch, want)
		}
		for i := range c.Databases {
			c.Databases[i].Path = filepath.Join(to, filepath.Base(c.Databases[i].Path))
		}
		r := replicate(t, c)
		s := reopen(t, Options{Dir: to, Ballast: -1, Replicated: true})
		must(t, s, admit("acme", fmt.Sprint("r", done.Epoch)), settle("acme", fmt.Sprint("r", done.Epoch)))
		synced(t, r)
		if err := errors.Join(s.Close(), r.Close(t.Context())); err != nil {
			t.Fatal(err)
		}
		end = done.From + 3
	}
}

// Where the lost node lives after all and writes on, the restored one does not take its replica from it; and where the restored one
// has, the lost one does not take it back.
func TestRestoredNodeAndTheLostOne(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	o := Options{Dir: dir, NewID: ids(), Ballast: -1}
	newNode(t, o, "acme").Close()
	openVault(t, dir, key).Close()
	c := copiedTo(t, dir)
	at := func(dir string) *ReplicaConfig {
		own := *c
		own.Databases = slices.Clone(c.Databases)
		for i := range own.Databases {
			own.Databases[i].Path = filepath.Join(dir, filepath.Base(own.Databases[i].Path))
		}
		return &own
	}
	work := func(dir, request string) error {
		r, err := Replicate(t.Context(), at(dir), logPath(dir), filepath.Join(dir, vaultFile))
		if err != nil {
			return err
		}
		r.Begin()
		s := reopen(t, Options{Dir: dir, Ballast: -1, Replicated: true})
		must(t, s, admit("acme", request))
		return errors.Join(r.SyncTo(t.Context()), s.Close(), r.Close(t.Context()))
	}
	first, second := restore(t, RestoreOptions{Replicas: c, Master: key}), restore(t, RestoreOptions{Replicas: c, Master: key})
	if err := work(dir, "r1"); err != nil {
		t.Fatal(err)
	}
	var other *Divergence
	if err := work(first.Dir, "r2"); !errors.As(err, &other) {
		t.Errorf("the lost node lives, and the restored one goes on: %v", err)
	}
	third := restore(t, RestoreOptions{Replicas: c, Master: key})
	if err := work(third.Dir, "r3"); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{dir, second.Dir} {
		if err := work(dir, "r4"); !errors.As(err, &other) {
			t.Errorf("another node has taken over, and %s goes on: %v", dir, err)
		}
	}
	if last := restore(t, RestoreOptions{Replicas: c, Master: key}); last.From != third.From+2 {
		t.Errorf("the replica leads to %d, want %d", last.From, third.From+2)
	}
}

func TestRestoreRefusesAFolderInUse(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	newNode(t, Options{Dir: dir, Ballast: -1}, "acme").Close()
	openVault(t, dir, key).Close()
	c := copiedTo(t, dir)
	for _, x := range []struct{ name, says string }{{"waybill.db", "a log"}, {"waybill.db-wal", ""}, {"vault.db", ""}, {"vault.db-wal", ""}, {".waybill.db-litestream", ""}} {
		name, to := x.name, t.TempDir()
		if err := os.WriteFile(filepath.Join(to, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Restore(t.Context(), RestoreOptions{Replicas: c, Dir: to, Master: key}); err == nil || !strings.Contains(err.Error(), cmp.Or(x.says, x.name)) {
			t.Errorf("with %s in it: %v", name, err)
		}
		if b, err := os.ReadFile(filepath.Join(to, name)); string(b) != "x" {
			t.Errorf("%s was changed: %q, %v", name, b, err)
		}
	}
	to := t.TempDir()
	l, err := TakeLock(to)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	if _, err := Restore(t.Context(), RestoreOptions{Replicas: c, Dir: to, Master: key}); err == nil || !strings.Contains(err.Error(), "another waybill") {
		t.Errorf("while somebody has it: %v", err)
	}
}

// A restore that ended anywhere is begun anew, or, where all of it was made, comes to its place.
func TestRestoreIsInterrupted(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	newNode(t, Options{Dir: dir, Ballast: -1}, "acme").Close()
	openVault(t, dir, key).Close()
	o := RestoreOptions{Replicas: copiedTo(t, dir), Master: key}
	o.Dir = filepath.Join(t.TempDir(), "steps")
	for n := 1; ; n++ {
		ctx, cancel := context.WithCancel(t.Context())
		steps := 0
		o.Step = func(string) {
			if steps++; steps == n {
				cancel()
			}
		}
		_, err := Restore(ctx, o)
		cancel()
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		nothingIn(t, o.Dir)
	}
	want := headOf(t, o.Dir)
	o.Step = nil

	// Half a restore is there, as kill -9 leaves it.
	o.Dir = filepath.Join(t.TempDir(), "half")
	partial := filepath.Join(o.Dir, partialFolder)
	if err := errors.Join(os.MkdirAll(partial, 0o700), os.WriteFile(filepath.Join(partial, logFile), []byte("half"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if done := restore(t, o); done.Resumed || headOf(t, o.Dir) != want {
		t.Errorf("%+v", done)
	}

	// It was whole, and some of it in its place.
	for _, moved := range [][]string{nil, {vaultFile}, {vaultFile, ".vault.db-litestream"}} {
		whole := restore(t, RestoreOptions{Replicas: o.Replicas, Master: key, Dir: filepath.Join(t.TempDir(), "whole")})
		partial := filepath.Join(whole.Dir, partialFolder)
		if err := os.Mkdir(partial, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{logFile, vaultFile, ".vault.db-litestream", ".waybill.db-litestream"} {
			if !slices.Contains(moved, name) {
				if err := os.Rename(filepath.Join(whole.Dir, name), filepath.Join(partial, name)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := complete(partial, whole); err != nil {
			t.Fatal(err)
		}
		done := restore(t, RestoreOptions{Replicas: o.Replicas, Master: key, Dir: whole.Dir})
		if !done.Resumed || done.From != whole.From || headOf(t, whole.Dir) != want {
			t.Errorf("after %q: %+v", moved, done)
		}
		o.Dir = whole.Dir
	}

	// All of it had come to its place, but for the word that it was whole: there is a log then, and once that is gone there is none.
	if err := errors.Join(os.Mkdir(filepath.Join(o.Dir, partialFolder), 0o700), complete(filepath.Join(o.Dir, partialFolder), Restored{})); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), o); err == nil || !strings.Contains(err.Error(), "a log in") {
		t.Errorf("over what has come to its place: %v", err)
	}
	left, err := os.ReadDir(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		if e.Name() != partialFolder {
			if err := os.RemoveAll(filepath.Join(o.Dir, e.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
	if done := restore(t, o); done.Resumed || headOf(t, o.Dir) != want {
		t.Errorf("anew: %+v", done)
	}

	// It was whole, and another log has come there since.
	partial = filepath.Join(o.Dir, partialFolder)
	if err := errors.Join(os.Rename(restore(t, RestoreOptions{Replicas: o.Replicas, Master: key}).Dir, partial), complete(partial, Restored{})); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(logPath(o.Dir))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), o); err == nil || !strings.Contains(err.Error(), "a log in") {
		t.Errorf("over another log: %v", err)
	}
	if after, err := os.ReadFile(logPath(o.Dir)); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the log was changed: %v", err)
	}
}

// A replica that holds nothing, cannot be read, or is damaged says which, and leaves nothing behind.
func TestRestoreOfABadReplica(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	newNode(t, Options{Dir: dir, Ballast: -1}, "acme").Close()
	openVault(t, dir, key).Close()
	c := copiedTo(t, dir)
	fails := func(name, want string, c *ReplicaConfig) {
		t.Helper()
		to := t.TempDir()
		_, err := Restore(t.Context(), RestoreOptions{Replicas: c, Dir: to, Master: key})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
		nothingIn(t, to)
	}
	fails("an empty replica", "no copy", replicas(dir, t.TempDir()))
	fails("another's replica", "name 0 databases waybill.db", &ReplicaConfig{Databases: []ReplicatedFile{{Path: "/x/other.db"}}})
	half := *c
	half.Databases = []ReplicatedFile{c.Databases[0], replicas(dir, t.TempDir()).Databases[1]}
	fails("no vault", "vault.db from", &half)

	var files []string
	err := filepath.WalkDir(c.Databases[0].Replica, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)/2] ^= 1
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fails("a flipped bit", "restoring from the replica", c)
}

// gappy is a replica whose listings lack a file, as one does that is made while a node writes.
type gappy struct {
	litestream.ReplicaClient
	mu    sync.Mutex
	times int
}

func (g *gappy) LTXFiles(ctx context.Context, level int, seek ltx.TXID, metadata bool) (ltx.FileIterator, error) {
	files, err := g.ReplicaClient.LTXFiles(ctx, level, seek, metadata)
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil || level != 0 || g.times == 0 {
		return files, err
	}
	g.times--
	var kept []*ltx.FileInfo
	for files.Next() {
		kept = append(kept, files.Item())
	}
	if len(kept) < 3 {
		return nil, io.ErrUnexpectedEOF
	}
	return ltx.NewFileInfoSliceIterator(slices.Delete(kept, 1, 2)), files.Close()
}

func TestFetchTriesAgain(t *testing.T) {
	dir, _, c := small(t)
	r := replicate(t, c)
	s := reopen(t, Options{Dir: dir, Ballast: -1, Replicated: true})
	for i := range 3 {
		must(t, s, admit("acme", fmt.Sprint("r", i)))
		synced(t, r)
	}
	client, err := c.Databases[0].client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for times, want := range map[int]bool{1: true, fetchTries - 1: true, 100: false} {
		to := t.TempDir()
		db := litestream.NewDB(filepath.Join(to, logFile))
		err := fetchFrom(t.Context(), db, &gappy{ReplicaClient: client, times: times}, time.Millisecond)
		if (err == nil) != want {
			t.Errorf("after %d gaps: %v", times, err)
		}
	}
}
