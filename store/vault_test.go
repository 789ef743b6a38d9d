package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func newKey(t *testing.T) MasterKey {
	t.Helper()
	key, err := CreateMasterKey(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func openVault(t *testing.T, dir string, key MasterKey) *Vault {
	t.Helper()
	v, err := OpenVault(t.Context(), dir, key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

func put(t *testing.T, v *Vault, org, id, secret string) {
	t.Helper()
	if err := v.Put(t.Context(), org, id, NewSecret(secret)); err != nil {
		t.Fatal(err)
	}
}

// holds asserts what Get gives: a secret, or ErrNoSecret for "".
func holds(t *testing.T, v *Vault, org, id, want string) {
	t.Helper()
	s, err := v.Get(t.Context(), org, id)
	if want == "" {
		if !errors.Is(err, ErrNoSecret) {
			t.Errorf("%s of %s: got %q, %v, want ErrNoSecret", id, org, s.Reveal(), err)
		}
		return
	}
	if err != nil || s.Reveal() != want {
		t.Errorf("%s of %s: got %q, %v, want %q", id, org, s.Reveal(), err, want)
	}
}

func TestVault(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	v := openVault(t, dir, key)
	holds(t, v, "acme", "c1", "")
	put(t, v, "acme", "c1", "sk-one")
	put(t, v, "acme", "c2", "sk-two")
	put(t, v, "other", "c1", "sk-three")
	holds(t, v, "acme", "c1", "sk-one")
	put(t, v, "acme", "c1", "sk-rotated")
	for range 2 { // as opened now, and as read again by another vault
		holds(t, v, "acme", "c1", "sk-rotated")
		holds(t, v, "acme", "c2", "sk-two")
		holds(t, v, "other", "c1", "sk-three")
		holds(t, v, "other", "c2", "")
		v.Close()
		v = openVault(t, dir, key)
	}
	if err := v.Delete(t.Context(), "acme", "c1"); err != nil {
		t.Fatal(err)
	}
	if err := v.Delete(t.Context(), "acme", "c1"); err != nil {
		t.Errorf("deleting twice: %v", err)
	}
	holds(t, v, "acme", "c1", "")
	holds(t, v, "acme", "c2", "sk-two")
	for _, bad := range []string{"", strings.Repeat("x", maxSecret+1)} {
		if err := v.Put(t.Context(), "acme", "c9", NewSecret(bad)); err == nil {
			t.Errorf("a secret of %d bytes was taken", len(bad))
		}
	}
	info, err := os.Stat(filepath.Join(dir, "vault.db"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("vault.db has mode %v, %v", info.Mode(), err)
	}
}

func TestVaultOpensAgainAfterItsTime(t *testing.T) {
	v := openVault(t, t.TempDir(), newKey(t))
	now := time.Unix(1_800_000_000, 0)
	v.now = func() time.Time { return now }
	put(t, v, "acme", "c1", "sk-one")
	put(t, v, "acme", "c2", "sk-two")
	holds(t, v, "acme", "c1", "sk-one")
	holds(t, v, "acme", "c2", "sk-two")
	change(t, v.db, `DELETE FROM secrets WHERE id = 'c1'`) // behind the vault's back
	now = now.Add(keepOpened - 1)
	holds(t, v, "acme", "c1", "sk-one")
	now = now.Add(1)
	holds(t, v, "acme", "c1", "")
	holds(t, v, "acme", "c2", "sk-two")
	if len(v.opened) != 1 {
		t.Errorf("%d secrets are open, want the one that was asked for", len(v.opened))
	}
}

func TestVaultWrongMasterKey(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	v := openVault(t, dir, key)
	put(t, v, "acme", "c1", "sk-one")
	v.Close()
	other := newKey(t)
	_, err := OpenVault(t.Context(), dir, other)
	if err == nil || !strings.Contains(err.Error(), key.ID()) || !strings.Contains(err.Error(), other.ID()) {
		t.Errorf("got %v, want both key ids", err)
	}
	if _, err := OpenVault(t.Context(), dir, MasterKey{}); err == nil {
		t.Error("it opened without a key")
	}
	v = openVault(t, dir, key)
	holds(t, v, "acme", "c1", "sk-one")

	// A check value that is gone is not made again under whatever key comes along.
	change(t, v.db, `DELETE FROM vault`)
	v.Close()
	if _, err := OpenVault(t.Context(), dir, other); err == nil || !strings.Contains(err.Error(), "check value") {
		t.Errorf("without its check value: %v", err)
	}
}

func change(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.Exec(query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// blob is a place in vault.db that holds something sealed.
type blob struct{ table, column, where string }

func (b blob) read(t *testing.T, db *sql.DB) (x []byte) {
	t.Helper()
	if err := db.QueryRow("SELECT " + b.column + " FROM " + b.table + " WHERE " + b.where).Scan(&x); err != nil {
		t.Fatal(err)
	}
	return x
}

func (b blob) write(t *testing.T, db *sql.DB, x []byte) {
	t.Helper()
	change(t, db, "UPDATE "+b.table+" SET "+b.column+" = ? WHERE "+b.where, x)
}

// Whatever sealed value is put in the place of another, what depends on that place does not open.
func TestVaultMovedValuesDoNotOpen(t *testing.T) {
	v := openVault(t, t.TempDir(), newKey(t))
	put(t, v, "acme", "c1", "sk-older")
	row := blob{"secrets", "sealed", "org = 'acme' AND id = 'c1'"}
	older := row.read(t, v.db)
	put(t, v, "acme", "c1", "sk-one")
	put(t, v, "acme", "c2", "sk-one") // the same secret: not told apart by what it says
	put(t, v, "other", "c1", "sk-one")
	// A second data key of the same org.
	key, wrapped, err := v.ring.Load().newDataKey("acme")
	if err != nil {
		t.Fatal(err)
	}
	change(t, v.db, `INSERT INTO data_keys (id, org, master, wrapped, created) VALUES (?, 'acme', ?, ?, ?)`, key.id, v.ring.Load().current, wrapped, time.Now().UnixNano())
	put(t, v, "acme", "c3", "sk-one")

	places := []blob{{"vault", "sealed", "name = 'check'"}}
	for _, s := range [][2]string{{"acme", "c1"}, {"acme", "c2"}, {"acme", "c3"}, {"other", "c1"}} {
		places = append(places, blob{"secrets", "sealed", fmt.Sprintf("org = '%s' AND id = '%s'", s[0], s[1])})
	}
	for _, k := range texts(t, v.db, `SELECT id FROM data_keys`) {
		places = append(places, blob{"data_keys", "wrapped", fmt.Sprintf("id = '%s'", k)})
	}
	if len(places) != 8 {
		t.Fatalf("%d places, want 8", len(places))
	}
	values := map[string][]byte{"older version": older, "flipped": nil}
	for _, p := range places {
		values[p.table+" "+p.where] = p.read(t, v.db)
	}
	for _, p := range places {
		own := p.read(t, v.db)
		for from, x := range values {
			if bytes.Equal(x, own) {
				continue
			}
			if from == "flipped" {
				x = append([]byte{own[0] ^ 1}, own[1:]...)
			}
			p.write(t, v.db, x)
			if n := opens(v); n >= 5 {
				t.Errorf("%s in the place of %s %s: everything opens", from, p.table, p.where)
			}
			p.write(t, v.db, own)
		}
	}
	// A row that is moved whole, under another org, id, version or data key.
	for _, set := range []string{"id = 'c9'", "org = 'third'", "version = version + 1",
		"data_key = (SELECT data_key FROM secrets WHERE org = 'other')", "data_key = '" + key.id + "'"} {
		change(t, v.db, `SAVEPOINT s`)
		change(t, v.db, "UPDATE secrets SET "+set+" WHERE org = 'acme' AND id = 'c1'")
		if n := opens(v); n >= 5 {
			t.Errorf("after SET %s everything opens", set)
		}
		change(t, v.db, `ROLLBACK TO s`)
		change(t, v.db, `RELEASE s`)
	}
	if n := opens(v); n != 5 {
		t.Errorf("%d of 5 open at the end", n)
	}
}

// opens counts what opens, each anew from the file: the check value and every secret under its own name.
func opens(v *Vault) (n int) {
	ctx := context.Background()
	if v.check(ctx) == nil {
		n++
	}
	for _, s := range []secretName{{"acme", "c1"}, {"acme", "c2"}, {"acme", "c3"}, {"other", "c1"}} {
		if _, err := v.open(ctx, s.org, s.id); err == nil {
			n++
		}
	}
	// Under the name that a row was moved to, it must not open either.
	for _, s := range []secretName{{"acme", "c9"}, {"third", "c1"}} {
		if _, err := v.open(ctx, s.org, s.id); err == nil {
			n++
		}
	}
	return n
}

func texts(t *testing.T, db *sql.DB, query string) (all []string) {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

// What was deleted, or replaced, is gone from the file and its WAL: the sealed bytes too.
func TestVaultDeleteLeavesNoBytes(t *testing.T) {
	dir := t.TempDir()
	v := openVault(t, dir, newKey(t))
	row := blob{"secrets", "sealed", "org = 'acme' AND id = 'c1'"}
	put(t, v, "acme", "c0", strings.Repeat("z", 100))
	put(t, v, "acme", "c1", strings.Repeat("x", 3000)) // longer than fits on its row's page
	first := row.read(t, v.db)
	put(t, v, "acme", "c1", strings.Repeat("y", 3000))
	second := row.read(t, v.db)
	if onDisk(t, dir, first) || !onDisk(t, dir, second) {
		t.Error("after the rotation the first is there, or the second is not")
	}
	if err := v.Delete(t.Context(), "acme", "c1"); err != nil {
		t.Fatal(err)
	}
	if onDisk(t, dir, first) || onDisk(t, dir, second) {
		t.Error("after the deletion it is still there")
	}
}

// onDisk looks in all files of a folder for a piece of a value that stands on one page.
func onDisk(t *testing.T, dir string, value []byte) bool {
	t.Helper()
	piece := value[len(value)-64:]
	any := false
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		var b []byte
		if err == nil && !e.IsDir() {
			b, err = os.ReadFile(path)
		}
		any = any || bytes.Contains(b, piece)
		if errors.Is(err, os.ErrNotExist) {
			return nil // gone since its folder was read
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return any
}

func TestVaultReconcile(t *testing.T) {
	v := openVault(t, t.TempDir(), newKey(t))
	for _, id := range []string{"attached", "detached", "pending"} {
		put(t, v, "acme", id, "sk-"+id)
	}
	live := func(id string) bool { return id == "attached" }
	known := func(id string) (bool, error) { return id == "attached" || id == "detached", nil }
	failing := errors.New("the log is unreadable")
	if _, err := v.Reconcile(t.Context(), live, func(string) (bool, error) { return true, failing }); !errors.Is(err, failing) {
		t.Errorf("got %v", err)
	}
	holds(t, v, "acme", "detached", "sk-detached") // and so nothing was deleted
	for want := range 2 {
		n, err := v.Reconcile(t.Context(), live, known)
		if err != nil || n != 1-want {
			t.Errorf("pass %d deleted %d, %v", want, n, err)
		}
		holds(t, v, "acme", "attached", "sk-attached")
		holds(t, v, "acme", "detached", "")
		holds(t, v, "acme", "pending", "sk-pending")
	}
}

func TestVaultConcurrent(t *testing.T) {
	v := openVault(t, t.TempDir(), newKey(t))
	ctx := t.Context()
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			org := fmt.Sprint("org", w%2) // two share each org's data key
			for i := range 10 {
				id := fmt.Sprint("c", w, i%3)
				want := fmt.Sprint("sk-", w, "-", i)
				if err := v.Put(ctx, org, id, NewSecret(want)); err != nil {
					t.Error(err)
				}
				if s, err := v.Get(ctx, org, id); err != nil || s.Reveal() != want {
					t.Errorf("after its Put, Get gave %q, %v, want %q", s.Reveal(), err, want)
				}
				if i%3 == 2 {
					if err := v.Delete(ctx, org, id); err != nil {
						t.Error(err)
					}
					if s, err := v.Get(ctx, org, id); !errors.Is(err, ErrNoSecret) {
						t.Errorf("after its Delete, Get gave %q, %v", s.Reveal(), err)
					}
				}
			}
		})
	}
	// One that is read and written at once: what is kept after the last write is that write.
	for i := range 20 {
		wg.Go(func() { _, _ = v.Get(ctx, "hot", "c") })
		if err := v.Put(ctx, "hot", "c", NewSecret(fmt.Sprint("sk-", i))); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	holds(t, v, "hot", "c", "sk-19")
	if n := len(texts(t, v.db, `SELECT id FROM data_keys`)); n != 3 {
		t.Errorf("%d data keys, want one for each of 3 orgs", n)
	}
}

// A secret that is replaced while it is being opened is not kept as it was.
func TestVaultReplacedWhileOpening(t *testing.T) {
	v := openVault(t, t.TempDir(), newKey(t))
	put(t, v, "acme", "c1", "sk-one")
	start, replaced := time.Now(), false
	v.now = func() time.Time { // Get asks for the time between reading and keeping
		if !replaced {
			replaced = true
			put(t, v, "acme", "c1", "sk-two")
		}
		return start
	}
	holds(t, v, "acme", "c1", "sk-one")
	holds(t, v, "acme", "c1", "sk-two")
}

// Whatever the umask, and whoever may look into the folder: what a node makes there is for its owner's eyes.
func TestFilesAreTheOwnersAlone(t *testing.T) {
	dir := t.TempDir()
	s := newNode(t, Options{Dir: dir}, "acme")
	openVault(t, dir, newKey(t))
	r, err := OpenReports(t.Context(), dir, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) < 5 {
		t.Fatal(entries, err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", e.Name(), info.Mode())
		}
	}
}
