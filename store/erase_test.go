package store

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/benbjohnson/litestream"
	"github.com/benbjohnson/litestream/file"
	"github.com/superfly/ltx"

	"waybill/ledger"
)

// thief has the master key and looks for what it opens in any bytes, whatever file structure they are in: he tries every place as the
// beginning of a wrapped data key, and with each data key that he got as that of a sealed secret. He knows every id.
type thief struct {
	master sealer
	id     string
	keys   [][2]string // org and id of each data key that there ever was
	org    string      // of the secret that he is after
	secret string      // its id
	length int         // of its text
}

func newThief(t *testing.T, m MasterKey, v *Vault, org, secret string, length int) *thief {
	t.Helper()
	s, err := newSealer([]byte(m.key.Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	h := &thief{master: s, id: m.ID(), org: org, secret: secret, length: length}
	h.learn(t, v)
	return h
}

// learn notes the data keys that there are now.
func (h *thief) learn(t *testing.T, v *Vault) {
	t.Helper()
	for _, id := range texts(t, v.db, `SELECT org || ' ' || id FROM data_keys`) {
		org, id, _ := strings.Cut(id, " ")
		if !slices.Contains(h.keys, [2]string{org, id}) {
			h.keys = append(h.keys, [2]string{org, id})
		}
	}
}

const overhead = 12 + 16 // nonce and tag

// loot is what opens in some bytes: the data keys, and the texts of the secret. A key and what it seals may lie in different files.
func (h *thief) loot(pieces ...[]byte) (keys []dataKey, found []string) {
	for _, k := range h.keys {
		place := placeOfDataKey(h.id, k[0], k[1])
		try(pieces, 32, h.master, place, func(key []byte) {
			if s, err := newSealer(key); err == nil && !slices.ContainsFunc(keys, func(d dataKey) bool { return d.id == k[1] }) {
				keys = append(keys, dataKey{k[1], s})
			}
		})
	}
	for _, k := range keys {
		for version := int64(1); version <= 2; version++ {
			try(pieces, h.length, k.sealer, placeOfSecret(h.org, h.secret, version, k.id), func(text []byte) { found = append(found, string(text)) })
		}
	}
	return keys, found
}

// try opens what begins at any byte, with so much text in it.
func try(pieces [][]byte, length int, s sealer, place []byte, opened func([]byte)) {
	var none [12]byte // no nonce
	for _, b := range pieces {
		for at := 0; at+length+overhead <= len(b); at++ {
			if bytes.Equal(b[at:at+len(none)], none[:]) {
				continue
			}
			if text, err := s.open(b[at:at+length+overhead], place); err == nil {
				opened(text)
			}
		}
	}
}

// live is the vault's file and its WAL.
func live(t *testing.T, dir string) (pieces [][]byte) {
	t.Helper()
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(filepath.Join(dir, vaultFile+suffix))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		pieces = append(pieces, b)
	}
	return pieces
}

// everything is all files below some folders; those of Litestream page by page, as they are compressed.
func everything(t *testing.T, dirs ...string) (pieces [][]byte) {
	t.Helper()
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if filepath.Ext(path) == ".ltx" {
				pieces = append(pieces, pages(t, path, b)...)
			} else {
				pieces = append(pieces, b)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return pieces
}

func pages(t *testing.T, path string, b []byte) (all [][]byte) {
	t.Helper()
	d := ltx.NewDecoder(bytes.NewReader(b))
	if err := d.DecodeHeader(); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	for {
		page := make([]byte, d.Header().PageSize)
		var h ltx.PageHeader
		if err := d.DecodePage(&h, page); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, page)
	}
}

// retire lets the retention of a replica pass: what Litestream does at its intervals, without waiting for them.
func retire(t *testing.T, r *Replication) {
	t.Helper()
	d := r.dbs[0]
	err := d.db.Checkpoint(t.Context(), "PASSIVE") // as a round does when nothing else is written
	synced(t, r)
	_, compacted := d.db.Compact(t.Context(), 1)
	_, copied := d.db.Snapshot(t.Context())
	if err := errors.Join(err, compacted, copied, d.store.EnforceSnapshotRetention(t.Context(), d.db), d.db.EnforceL0RetentionByTime(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// With the master key in hand, and every id: the secret opens from the live file and from the replica before its org is erased. After the
// erasure nothing in the file or its WAL opens, and after the retention nothing anywhere. What is of other orgs opens throughout.
func TestErasedSecretOpensNowhere(t *testing.T) {
	const canary = "sk-canary-0123456789-abcdefghij-0123456789"
	dir, replica, key := t.TempDir(), t.TempDir(), newKey(t)
	c := replicas(dir, replica)
	c.Databases = c.Databases[1:]
	c.Databases[0].Retention, c.L0Retention = 1, 1 // ns; the intervals are an hour, and retire drives them
	r := replicate(t, c)
	v := openVault(t, dir, key)
	v.ReplicatedBy(r)
	put(t, v, "other", "c1", "sk-other-0123456789-abcdefghij-0123456789-")
	put(t, v, "acme", "c1", strings.Replace(canary, "canary", "before", 1))
	synced(t, r)
	put(t, v, "acme", "c1", canary)
	synced(t, r)
	steal := newThief(t, key, v, "acme", "c1", len(canary))
	other := newThief(t, key, v, "other", "c1", len(canary))
	sees := func(when string, h *thief, want bool, pieces [][]byte) {
		t.Helper()
		keys, found := h.loot(pieces...)
		for _, s := range found {
			if !strings.HasPrefix(s, "sk-") {
				t.Errorf("%s: it opens as %q", when, s)
			}
		}
		own := slices.ContainsFunc(keys, func(k dataKey) bool { return slices.Contains(h.keys, [2]string{h.org, k.id}) })
		if want != (len(found) > 0) || want != own {
			t.Errorf("%s: of %d bytes in %d pieces, the key of %s opens: %t, its secret: %d times; want %t", when, size(pieces), len(pieces), h.org, own, len(found), want)
		}
	}
	sees("in the live file", steal, true, live(t, dir))
	sees("in the replica", steal, true, everything(t, replica))
	sees("of another org in the live file", other, true, live(t, dir))

	n, err := v.EraseOrg(t.Context(), "acme")
	if err != nil || n != 1 {
		t.Fatalf("%d secrets, %v", n, err)
	}
	holds(t, v, "acme", "c1", "")
	holds(t, v, "other", "c1", "sk-other-0123456789-abcdefghij-0123456789-")
	sees("in the live file after the erasure", steal, false, live(t, dir))
	synced(t, r)
	sees("in the replica before its retention is over", steal, true, everything(t, replica)) // or this test shows nothing
	rounds := 0
	for ; rounds < 3; rounds++ { // see Forgets: a copy from before goes when others are made after it
		retire(t, r)
	}
	sees("anywhere after the retention", steal, false, everything(t, dir, replica))
	sees("of another org", other, true, everything(t, replica))
	o := litestream.NewRestoreOptions()
	o.OutputPath = filepath.Join(t.TempDir(), vaultFile)
	if err := litestream.NewReplicaWithClient(nil, file.NewReplicaClient(c.Databases[0].Replica)).Restore(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	rv := openVault(t, filepath.Dir(o.OutputPath), key)
	holds(t, rv, "acme", "c1", "")
	holds(t, rv, "other", "c1", "sk-other-0123456789-abcdefghij-0123456789-")
}

func size(pieces [][]byte) (n int) {
	for _, p := range pieces {
		n += len(p)
	}
	return n
}

// After a rotation nothing in the live file opens with the former master key; with new data keys, nothing of before does with the
// new one either.
func TestRotatedKeysOpenNothing(t *testing.T) {
	const canary = "sk-canary-0123456789"
	c := newCustody(t)
	v := c.open(t)
	c.put(t, v, "acme", "c1", canary)
	former, err := ReadMasterKey(c.key)
	if err != nil {
		t.Fatal(err)
	}
	with := func(m MasterKey) *thief { return newThief(t, m, v, "acme", "c1", len(canary)) }
	old := with(former)
	if _, found := old.loot(live(t, c.dir)...); len(found) == 0 {
		t.Fatal("it does not open before the rotation: this test shows nothing")
	}
	if _, err := v.Rotate(t.Context(), c.key, Rotation{}, func(Rotated) error { return nil }); err != nil {
		t.Fatal(err)
	}
	present, err := ReadMasterKey(c.key)
	if err != nil {
		t.Fatal(err)
	}
	rewrapped := with(present)
	if keys, _ := old.loot(live(t, c.dir)...); len(keys) > 0 {
		t.Errorf("%d data keys open with the former master key", len(keys))
	}
	if _, found := rewrapped.loot(live(t, c.dir)...); len(found) == 0 {
		t.Error("the secret does not open with the new one")
	}
	if _, err := v.Rotate(t.Context(), c.key, Rotation{KeepKey: true}, func(Rotated) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if keys, _ := rewrapped.loot(live(t, c.dir)...); len(keys) > 0 {
		t.Errorf("%d data keys of before are still there", len(keys))
	}
	rewrapped.learn(t, v)
	if _, found := rewrapped.loot(live(t, c.dir)...); len(found) == 0 {
		t.Error("the secret does not open under its new data key")
	}
}

// An org is erased with its event: names and notes in the same transaction, what the vault has at once or at the next start. Every figure stays,
// the log verifies, and nothing of it gets a name again.
func TestEraseOrg(t *testing.T) {
	ctx := t.Context()
	o := Options{Dir: t.TempDir()}
	s := newNode(t, o, "acme", "beta")
	for _, c := range []ledger.Command{
		ledger.IssueKey{Who: asked("k1"), Org: "acme", Key: "key-1", Hash: strings.Repeat("1", 64), Scopes: []ledger.Scope{ledger.ScopeAdmin}},
		ledger.IssueKey{Who: asked("k2"), Org: "acme", Key: "key-2", Hash: strings.Repeat("2", 64), Scopes: []ledger.Scope{ledger.ScopeAdmin}},
		ledger.AttachCredential{Who: asked("c1"), Org: "acme", Credential: "own-1", Provider: "openai", Fingerprint: "f", Use: ledger.UsePrefer},
	} {
		if _, err := s.Execute(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range []Label{{"org", "acme", "", "Jane & Sons"}, {"key", "key-1", "acme", "phone of Jane"}, {"credential", "own-1", "acme", "Jane's own"},
		{"org", "beta", "", "Beta"}, {"credential", "pool", ledger.Platform, "pool"}} {
		if err := s.Rename(ctx, l); err != nil {
			t.Fatal(err)
		}
	}
	a := admit("acme", "r1")
	if _, err := s.ExecuteNoted(ctx, a, "r1", []byte(`{"metadata":{"who":"Jane"}}`)); err != nil {
		t.Fatal(err)
	}
	erase := ledger.EraseOrg{Who: asked("gone"), Org: "acme"}
	if _, err := s.Execute(ctx, erase); refusal(err) != ledger.CodeConflict || err.(*ledger.Error).Of != "r1" {
		t.Errorf("with an open request: %v", err)
	}
	must(t, s, settle("acme", "r1"))
	var before ledger.Standing
	s.View(func(st *ledger.State) { before, _ = st.Standing("acme") })

	rec, err := s.Execute(ctx, erase)
	if err != nil || len(rec.Records) != 4 {
		t.Fatalf("%+v, %v", rec, err)
	}
	if again, err := s.Execute(ctx, erase); err != nil || !again.Repeated || again.Position() != rec.Position() {
		t.Errorf("under the same cause again: %+v, %v", again, err)
	}
	for _, c := range []struct{ kind, scope, id string }{{"org", "", "acme"}, {"key", "acme", "key-1"}, {"credential", "acme", "own-1"}} {
		if l, err := s.Label(ctx, c.kind, c.id); err != nil || l.Name != "" {
			t.Errorf("%s %s is still called %q, %v", c.kind, c.id, l.Name, err)
		}
		if err := s.Rename(ctx, Label{c.kind, c.id, c.scope, "Jane"}); refusal(err) != ledger.CodeConflict {
			t.Errorf("%s %s gets a name again: %v", c.kind, c.id, err)
		}
		if err := s.Rename(ctx, Label{c.kind, c.id, c.scope, ""}); err != nil {
			t.Errorf("to take no name from it: %v", err)
		}
	}
	for kind, id := range map[string]string{"org": "beta", "credential": "pool"} {
		if l, err := s.Label(ctx, kind, id); err != nil || l.Name == "" {
			t.Errorf("%s %s lost its name: %v", kind, id, err)
		}
	}
	if text, err := s.Note(ctx, "r1"); err != nil || text != nil {
		t.Errorf("the note %s, %v", text, err)
	}
	check := func(when string) {
		t.Helper()
		s.View(func(st *ledger.State) {
			after, _ := st.Standing("acme")
			after.Position, after.At = before.Position, before.At
			if !reflect.DeepEqual(before, after) || st.Org("acme").State() != "erased" || len(st.Wallet("acme")) != 0 || !st.Key("key-2").Revoked || !st.Key("key-1").Revoked {
				t.Errorf("%s: %+v, was %+v", when, after, before)
			}
		})
		if v, err := Verify(ctx, s.Reader, VerifyOptions{}); err != nil || v.First() != nil {
			t.Errorf("%s: %v, %v", when, v.First(), err)
		}
	}
	check("erased")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(o.Dir, logFile)); err != nil || bytes.Contains(b, []byte("Jane")) {
		t.Errorf("the log's file still has the name: %v", err)
	}
	s = reopen(t, o)
	check("opened again")
}

// A vault that did not hear of an erasure, because the node ended between the two or because it is an older copy, hears of it at the
// next start. What is of an org whose erasure lies past the head stays.
func TestEraseOrgsAtStart(t *testing.T) {
	v := openVault(t, t.TempDir(), newKey(t))
	put(t, v, "acme", "c1", "sk-acme")
	put(t, v, "beta", "c1", "sk-beta")
	put(t, v, "gone", "c1", "sk-gone")
	if err := v.Delete(t.Context(), "gone", "c1"); err != nil {
		t.Fatal(err)
	}
	erased := func(org string) bool { return org == "acme" || org == "gone" }
	for _, want := range []int{2, 0} {
		if n, err := v.EraseOrgs(t.Context(), erased); err != nil || n != want {
			t.Errorf("%d orgs, %v", n, err)
		}
	}
	holds(t, v, "acme", "c1", "")
	holds(t, v, "beta", "c1", "sk-beta")
	if left := texts(t, v.db, `SELECT org FROM data_keys`); !slices.Equal(left, []string{"beta"}) {
		t.Errorf("data keys of %v are left", left)
	}
}
