package store

import (
	"bytes"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// sealedPlace is a sealed column of one row, and what finds out whether it opens there.
type sealedPlace struct {
	blob
	name  string
	opens func() error
}

// sealedPlaces are all of them in a vault, from the file as it is.
func sealedPlaces(t *testing.T, v *Vault) []sealedPlace {
	t.Helper()
	ctx := t.Context()
	places := []sealedPlace{
		{blob{"vault", "sealed", "name = 'check'"}, "check", func() error { return v.check(ctx) }},
		{blob{"vault", "sealed", "name = 'rotation'"}, "rotation", func() error { _, err := v.progress(ctx); return err }},
	}
	for _, id := range texts(t, v.db, `SELECT id FROM data_keys ORDER BY id`) {
		where := fmt.Sprintf("id = '%s'", id)
		places = append(places, sealedPlace{blob{"data_keys", "wrapped", where}, "data key " + id, func() error {
			var org, master string
			var wrapped []byte
			if err := v.db.QueryRow("SELECT org, master, wrapped FROM data_keys WHERE "+where).Scan(&org, &master, &wrapped); err != nil {
				t.Fatal(err)
			}
			_, err := v.ring.Load().unwrap(master, org, id, wrapped)
			return err
		}})
	}
	names, err := v.names(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		places = append(places, sealedPlace{blob{"secrets", "sealed", fmt.Sprintf("org = '%s' AND id = '%s'", n.org, n.id)},
			"secret " + n.id + " of " + n.org, func() error { _, err := v.open(ctx, n.org, n.id); return err }})
	}
	return places
}

// sealedWorld is a vault with something of everything: orgs, secrets that were replaced, an org with two data keys, a rotation that
// has begun; and what it had before: the values of earlier versions, of the former master key, and of another vault.
func sealedWorld(t *testing.T) (v *Vault, before map[string][]byte) {
	t.Helper()
	before = map[string][]byte{}
	c := newCustody(t)
	v = c.open(t)
	remember := func(as string) {
		for _, p := range sealedPlaces(t, v) {
			if p.name != "rotation" {
				before[as+" "+p.name] = p.read(t, v.db)
			}
		}
	}
	put(t, v, "node", "c1", "sk-acme-c1") // under one name in another org, and of the same text
	put(t, v, "acme", "c2", "sk-acme-c1")
	remember("earlier:")
	put(t, v, "acme", "c1", "sk-acme-c1") // another version of the same text
	put(t, v, "acme", "c1", "sk-acme-c1")
	rotate := func(o Rotation) {
		if _, err := v.Rotate(t.Context(), c.key, o, func(Rotated) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	remember("under the former key:")
	rotate(Rotation{})
	remember("before the data keys:")
	rotate(Rotation{KeepKey: true})
	key, wrapped, err := v.ring.Load().newDataKey("acme")
	if err != nil {
		t.Fatal(err)
	}
	change(t, v.db, `INSERT INTO data_keys (id, org, master, wrapped, created) VALUES (?, 'acme', ?, ?, 9e18)`, key.id, v.ring.Load().current, wrapped)
	put(t, v, "acme", "c3", "sk-acme-c1")
	master, err := ReadMasterKey(c.key)
	if err != nil {
		t.Fatal(err)
	}
	own := v
	v = openVault(t, t.TempDir(), master) // another node's, of the same master key
	put(t, v, "acme", "c1", "sk-acme-c1")
	remember("of another vault:")
	v = own
	if _, err := v.Rotate(&countdown{t.Context(), 2}, c.key, Rotation{KeepKey: true}, nil); err == nil {
		t.Fatal("the rotation did not stop where it should")
	}
	return v, before
}

// Every pair of sealed columns changes places, between rows, orgs and versions: neither opens. Nor does anything from before.
func TestEveryPairOfSealedColumns(t *testing.T) {
	v, before := sealedWorld(t)
	places := sealedPlaces(t, v)
	if len(places) != 2+4+6 {
		t.Fatalf("%d places", len(places))
	}
	whole := func(when string) {
		for _, p := range places {
			if err := p.opens(); err != nil {
				t.Fatalf("%s: %s does not open: %v", when, p.name, err)
			}
		}
	}
	whole("before anything")
	pairs := 0
	for i, a := range places {
		for _, b := range places[:i] {
			x, y := a.read(t, v.db), b.read(t, v.db)
			a.write(t, v.db, y)
			b.write(t, v.db, x)
			if a.opens() == nil {
				t.Errorf("what was sealed as %s opens as %s", b.name, a.name)
			}
			if b.opens() == nil {
				t.Errorf("what was sealed as %s opens as %s", a.name, b.name)
			}
			a.write(t, v.db, x)
			b.write(t, v.db, y)
			pairs++
		}
		own := a.read(t, v.db)
		for as, x := range before {
			if bytes.Equal(x, own) || a.name == "check" && strings.HasSuffix(as, " check") && !strings.HasPrefix(as, "under the former key") && !strings.HasPrefix(as, "earlier") {
				continue // it says of its master key alone that this is the one
			}
			a.write(t, v.db, x)
			if a.opens() == nil {
				t.Errorf("%s opens as %s", as, a.name)
			}
		}
		for at := range own { // and nothing that is changed by a bit
			x := bytes.Clone(own)
			x[at] ^= 1
			a.write(t, v.db, x)
			if a.opens() == nil {
				t.Errorf("%s opens with byte %d changed", a.name, at)
			}
		}
		a.write(t, v.db, own)
	}
	whole("at the end")
	if pairs != 66 || len(before) < 20 {
		t.Errorf("%d pairs and %d values from before", pairs, len(before))
	}
}

// Every pair of rows exchanges each choice of what a row is known by: under its new name none opens.
func TestEveryPairOfRows(t *testing.T) {
	v, _ := sealedWorld(t)
	change(t, v.db, `PRAGMA foreign_keys = OFF`)
	change(t, v.db, `PRAGMA synchronous = OFF`)
	for _, c := range []struct {
		table   string
		columns []string // by which a row is known
		rest    string
		opens   func(values []any) error
	}{
		{"secrets", []string{"org", "id", "version", "data_key"}, "sealed, created", func(values []any) error {
			_, err := v.open(t.Context(), values[0].(string), values[1].(string))
			return err
		}},
		{"data_keys", []string{"id", "org", "master"}, "wrapped, created", func(values []any) error {
			_, err := v.ring.Load().unwrap(values[2].(string), values[1].(string), values[0].(string), values[3].([]byte))
			return err
		}},
	} {
		rows := sealedRows(t, v.db, c.table, c.columns, c.rest)
		tried := 0
		for i, a := range rows {
			for _, b := range rows[:i] {
				for choice := 1; choice < 1<<len(c.columns); choice++ {
					x, y := slices.Clone(a), slices.Clone(b)
					for n := range c.columns {
						if choice&(1<<n) != 0 {
							x[n], y[n] = y[n], x[n]
						}
					}
					if x[0] == a[0] && x[1] == a[1] && x[2] == a[2] && fmt.Sprint(x[3]) == fmt.Sprint(a[3]) {
						continue // they have the same there
					}
					if slices.ContainsFunc(rows, func(r []any) bool {
						return !same(r, a) && !same(r, b) && c.table == "secrets" && (same(r, x) || same(r, y))
					}) {
						continue // a third row is known by that
					}
					writeRows(t, v.db, c.table, c.columns, c.rest, x, y)
					for _, row := range [][]any{x, y} {
						if c.opens(row) == nil {
							t.Errorf("%s: with %v and %v exchanged by %b, %v opens", c.table, a[:3], b[:3], choice, row[:3])
						}
					}
					writeRows(t, v.db, c.table, c.columns, c.rest, a, b)
					tried++
				}
				for _, row := range [][]any{a, b} {
					if err := c.opens(row); err != nil {
						t.Fatalf("%s: back in its place %v does not open: %v", c.table, row[:3], err)
					}
				}
			}
		}
		t.Logf("%s: %d exchanges", c.table, tried)
	}
}

func sealedRows(t *testing.T, db *sql.DB, table string, columns []string, rest string) (all [][]any) {
	t.Helper()
	rows, err := db.Query("SELECT " + strings.Join(columns, ", ") + ", " + rest + " FROM " + table)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		row := make([]any, len(columns)+2)
		into := make([]any, len(row))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		all = append(all, row)
	}
	return all
}

// same tells whether two rows have one key.
func same(a, b []any) bool { return a[0] == b[0] && a[1] == b[1] }

// writeRows puts two rows in the place of those that hold what they hold.
func writeRows(t *testing.T, db *sql.DB, table string, columns []string, rest string, rows ...[]any) {
	t.Helper()
	sealed, _, _ := strings.Cut(rest, ",")
	for _, row := range rows {
		change(t, db, "DELETE FROM "+table+" WHERE "+sealed+" = ?", row[len(columns)])
	}
	for _, row := range rows {
		change(t, db, "INSERT INTO "+table+" ("+strings.Join(columns, ", ")+", "+rest+") VALUES (?"+strings.Repeat(", ?", len(row)-1)+")", row...)
	}
}
