package store

import (
	"database/sql"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestVerifyClean: a log that nobody touched, and the reports of it, agree with the fold.
func TestVerifyClean(t *testing.T) {
	y := newStory(t)
	y.tell()
	head := y.head()
	if r := y.verify(VerifyOptions{}); r.First() != nil || r.Head.Position != head || r.Reports != 0 {
		t.Fatalf("%+v", r)
	}
	y.reports()
	r := y.verify(VerifyOptions{})
	if r.First() != nil || r.Reports != head {
		t.Fatalf("%+v", r)
	}
	root, err := y.s.Root(t.Context(), head)
	if err != nil || root != r.Head.Hash {
		t.Fatalf("verify computes the root %v, the tree has %v: %v", r.Head.Hash, root, err)
	}
	saved, err := ParseSavedHead(r.Head.String())
	if err != nil || saved != r.Head {
		t.Fatalf("%v %v", saved, err)
	}
}

// mutant is a copy of a told story's files, to be changed behind waybill's back.
func mutant(t *testing.T, from string) (dir string, log, reports *sql.DB) {
	t.Helper()
	dir = t.TempDir()
	open := func(path string) *sql.DB {
		db, err := sql.Open("sqlite", dsn(path, nil))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return db
	}
	for _, path := range []func(string) string{logPath, reportsPath} {
		b, err := os.ReadFile(path(from))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path(dir), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log, reports = open(logPath(dir)), open(reportsPath(dir))
	for _, trigger := range []string{"events_no_update", "events_no_delete", "tree_no_update", "tree_no_delete"} {
		run(t, log, "DROP TRIGGER "+trigger)
	}
	return dir, log, reports
}

func run(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	res, err := db.Exec(query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	if n, _ := res.RowsAffected(); n == 0 && strings.HasPrefix(query, "UPDATE") {
		t.Fatalf("%s changed nothing", query)
	}
}

// told is a story whose node has ended, with its reports at the head.
func told(t *testing.T) *story {
	t.Helper()
	y := newStory(t)
	y.tell()
	r := y.reports()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	y.close()
	return y
}

// TestVerifyNamesEveryColumn changes one value after another, in each column of each table that follows from the log, and
// of the log itself. Each is found, at the position of the event that the row is about.
func TestVerifyNamesEveryColumn(t *testing.T) {
	y := told(t)
	const at = "position"
	tables := []struct {
		name     string
		position string // of the event that a row is about, or of the first and the last of them
	}{
		{"events", at}, {"tree", at}, {"state", at}, {"balances", at},
		{"causes", "first, last"},
		{"requests", "max(settled_position, admitted_position)"},
		{"extensions", at}, {"attempts", at}, {"entries", at}, {"usage_daily", at},
	}
	for _, table := range tables {
		_, log, reports := mutant(t, y.dir)
		db := log
		if reportsHas(t, reports, table.name) {
			db = reports
		}
		var rows int
		if err := db.QueryRow("SELECT count(*) FROM " + table.name).Scan(&rows); err != nil || rows == 0 {
			t.Fatalf("table %s: %d rows, %v", table.name, rows, err)
		}
		for _, c := range columnsOf(t, db, table.name) {
			some := slices.Compact([]int{0, rows / 2, rows - 1})
			for i := 0; i < len(some); i += stride(3) {
				row := some[i]
				t.Run(fmt.Sprintf("%s.%s/%d", table.name, c.name, row), func(t *testing.T) {
					dir, log, reports := mutant(t, y.dir)
					db := log
					if reportsHas(t, reports, table.name) {
						db = reports
					}
					key := strings.Join(keyOf(t, db, table.name), ", ")
					which := fmt.Sprintf("(%s) = (SELECT %s FROM %s ORDER BY %s LIMIT 1 OFFSET %d)", key, key, table.name, key, row)
					about := table.position
					if table.name != "causes" {
						about += ", " + about
					}
					var first, last uint64
					if err := db.QueryRow("SELECT "+about+" FROM "+table.name+" WHERE "+which).Scan(&first, &last); err != nil {
						t.Fatal(err)
					}
					run(t, db, "UPDATE "+table.name+" SET "+c.name+" = "+c.changed()+" WHERE "+which)
					d := (&story{TB: t, dir: dir}).verify(VerifyOptions{}).First()
					if d == nil {
						t.Fatal("verify found nothing")
					}
					if d.Table != table.name || d.Position < first || d.Position > last {
						t.Fatalf("changed at position %d to %d; verify says %v", first, last, d)
					}
				})
			}
		}
	}
}

func reportsHas(t *testing.T, reports *sql.DB, name string) bool {
	return len(columnsOf(t, reports, name)) > 0
}

type columnOf struct {
	name, kind string
	key        int
}

// changed is another value of the column, as SQL.
func (c columnOf) changed() string {
	switch c.kind {
	case "INTEGER":
		return c.name + " + 100000"
	case "TEXT":
		return c.name + " || 'x'"
	default: // one byte more, which leaves JSON as it was
		return "CAST(" + c.name + " || x'20' AS BLOB)"
	}
}

func columnsOf(t testing.TB, db *sql.DB, name string) (cs []columnOf) {
	t.Helper()
	rows, err := db.Query("SELECT name, type, pk FROM pragma_table_info(?)", name)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var c columnOf
		if err := rows.Scan(&c.name, &c.kind, &c.key); err != nil {
			t.Fatal(err)
		}
		cs = append(cs, c)
	}
	return cs
}

func keyOf(t *testing.T, db *sql.DB, name string) []string {
	cs := columnsOf(t, db, name)
	slices.SortFunc(cs, func(a, b columnOf) int { return a.key - b.key })
	var names []string
	for _, c := range cs {
		if c.key > 0 {
			names = append(names, c.name)
		}
	}
	return names
}

// TestVerifyNamesEveryRow takes rows away and puts others in.
func TestVerifyNamesEveryRow(t *testing.T) {
	y := told(t)
	for _, c := range []struct {
		table, query string
		position     uint64 // 0: whichever the row is about
	}{
		{"events", "DELETE FROM events WHERE position = 20", 20},
		{"events", "DELETE FROM events WHERE position = 1", 1},
		{"tree", `INSERT INTO events SELECT (SELECT max(position) + 1 FROM events), 'acme', (SELECT max(version) + 1 FROM events WHERE stream = 'acme'),
			id, type, schema, (SELECT max(at) + 1 FROM events), actor, cause, data FROM events WHERE position = 13`, 0},
		{"events", `UPDATE events SET position = -position - 1 WHERE position > 30;
			INSERT INTO events SELECT 31, 'other', 1, id, type, schema, at + 1, actor, cause, data FROM events WHERE position = 30;
			UPDATE events SET position = -position WHERE position < 0`, 31},
		{"events", `UPDATE events SET position = -1 WHERE position = 25; UPDATE events SET position = 25 WHERE position = 26;
			UPDATE events SET position = 26 WHERE position = -1`, 25},
		{"events", `UPDATE events SET data = (SELECT data FROM events e WHERE e.position = 22) WHERE position = 24`, 24},
		{"tree", "DELETE FROM tree WHERE position = 20", 20},
		{"tree", "INSERT INTO tree SELECT 1000, hashes FROM tree WHERE position = 1", 0},
		{"state", "DELETE FROM state WHERE kind = 'org' AND id = 'acme'", 0},
		{"state", "INSERT INTO state SELECT kind, 'other', position, data FROM state WHERE kind = 'plan' AND id = 'free'", 1},
		{"balances", "DELETE FROM balances WHERE account = 'house/revenue'", 0},
		{"balances", "INSERT INTO balances VALUES ('org/acme/credit/l9', 'usd', 1, 17)", 17},
		{"causes", "DELETE FROM causes WHERE scope = 'payment' AND key = 'pi_1'", 15},
		{"causes", "DELETE FROM causes WHERE key = 'buy-1'", 15},
		{"causes", "DELETE FROM causes WHERE key = 'open-beta'", 0},
		{"causes", "INSERT INTO causes VALUES ('acme', 'mine', 'x', 20, 20)", 20},
		{"causes", "INSERT INTO causes VALUES ('beta', 'acme-0', 'x', 22, 22)", 22},
		{"causes", "UPDATE causes SET first = first + 1 WHERE key = 'open-beta'", 0},
		{"causes", "UPDATE causes SET first = first - 1 WHERE key = 'open-beta'", 0},
		{"causes", "UPDATE causes SET last = last - 1 WHERE key = 'open-beta'", 0},
		{"causes", "UPDATE causes SET last = last + 1 WHERE key = 'open-beta'", 0},
		{"causes", "UPDATE causes SET first = first + 1 WHERE key = 'upgrade-1'", 0},
		{"causes", "UPDATE causes SET key = 're_9' WHERE key = 're_1'", 0},
		{"requests", "DELETE FROM requests WHERE id = 'acme-1'", 0},
		{"requests", `INSERT INTO requests SELECT id || 'x', org, key, at, state, dialect, lane, model_asked, provider, model, credential, attempts,
			input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, usage_source, plan_tokens, charge_nano, list_cost_nano,
			skipped_nano, skip_reason, overage_nano, first_byte_ns, duration_ns, finish_reason, upstream_id, reason, 15, settled_position
			FROM requests WHERE id = 'acme-0'`, 15},
		{"extensions", "DELETE FROM extensions", 0},
		{"extensions", "INSERT INTO extensions VALUES (1, 'acme-0')", 1},
		{"attempts", "DELETE FROM attempts WHERE request = 'gamma-1' AND line = 1", 0},
		{"entries", "DELETE FROM entries WHERE position = 15", 15},
		{"entries", "INSERT INTO entries SELECT position, line + 10, org, account, unit, amount, type, at, request FROM entries WHERE position = 15", 15},
		{"checkpoint", "UPDATE checkpoint SET event = x'00'", 0},
		{"checkpoint", "UPDATE checkpoint SET position = position + 1", 0},
		{"usage_daily", "DELETE FROM usage_daily WHERE org = 'beta'", 0},
		{"usage_daily", `INSERT INTO usage_daily SELECT '1999-12-31', org, key, model, kind, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3 FROM usage_daily WHERE org = 'beta'`, 0},
	} {
		t.Run(c.query, func(t *testing.T) {
			dir, log, reports := mutant(t, y.dir)
			if reportsHas(t, reports, c.table) {
				log = reports
			}
			run(t, log, c.query)
			d := (&story{TB: t, dir: dir}).verify(VerifyOptions{}).First()
			if d == nil {
				t.Fatal("verify found nothing")
			}
			if d.Table != c.table || c.position != 0 && d.Position != c.position {
				t.Fatalf("verify says %v", d)
			}
		})
	}
}

// rehash makes the tree anew over whatever the events say now: what somebody would do who edits a log.
func rehash(t *testing.T, dir string, log *sql.DB) {
	t.Helper()
	run(t, log, "DELETE FROM tree")
	r, err := OpenReader(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	recs, err := r.Page(t.Context(), 0, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	var e edge
	for i := range recs {
		h, _ := leafHash(&recs[i], nil)
		run(t, log, "INSERT INTO tree VALUES (?, ?)", int64(recs[i].Position), e.grow(nil, recs[i].Position, h))
	}
}

// TestVerifyOfAnUnsoundLog: events that no writer would append, under hashes that fit them.
func TestVerifyOfAnUnsoundLog(t *testing.T) {
	y := told(t)
	for _, c := range []struct{ column, query, where string }{
		{"at", "UPDATE events SET at = (SELECT at FROM events e WHERE e.position = events.position - 1)", "type = 'credit.adjusted'"},
		{"version", "UPDATE events SET version = version + 100", "type = 'credit.adjusted'"},
		{"data", `UPDATE events SET data = CAST(replace(CAST(data AS TEXT), '"amount":-1000000000', '"amount":-900000000000') AS BLOB)`, "type = 'credit.adjusted'"},
		{"data", `UPDATE events SET data = CAST(replace(CAST(data AS TEXT), '"request":"acme-1"', '"request":"acme-0"') AS BLOB)`, "type = 'request.settled' AND cause LIKE 'acme-1%'"},
	} {
		t.Run(c.column+" of "+c.where, func(t *testing.T) {
			dir, log, _ := mutant(t, y.dir)
			var position uint64
			if err := log.QueryRow("SELECT position FROM events WHERE " + c.where).Scan(&position); err != nil {
				t.Fatal(err)
			}
			run(t, log, c.query+" WHERE "+c.where)
			rehash(t, dir, log)
			res := (&story{TB: t, dir: dir}).verify(VerifyOptions{})
			if !slices.ContainsFunc(res.Differences, func(d Difference) bool { return d.Table == "events" && d.Position == position && d.Column == c.column }) {
				t.Fatalf("changed at %d; verify says %v", position, res.Differences)
			}
		})
	}
}

// TestVerifyAgainstASavedHead: a tail that was cut off with all that follows from it, and an edit whose hashes were made
// anew, can be told by nothing in the folder; a head that was saved elsewhere tells of both.
func TestVerifyAgainstASavedHead(t *testing.T) {
	y := newStory(t)
	y.tell()
	before := y.verify(VerifyOptions{}).Head
	y.admit("acme", "acme-late", platformLeg)
	after := y.verify(VerifyOptions{Head: &before})
	if after.First() != nil || after.Head.Position != before.Position+1 {
		t.Fatalf("a log that grew does not continue its saved head: %v", after)
	}
	y.reports().Close()
	y.close()

	t.Run("truncated", func(t *testing.T) {
		// The files of an earlier moment: whole, and too short.
		z := told(t)
		res := z.verify(VerifyOptions{})
		if res.First() != nil || res.Head != before {
			t.Fatalf("the same story gives another log: %v", res)
		}
		if d := z.verify(VerifyOptions{Head: &after.Head}).First(); d == nil || d.Table != "events" || d.Position != before.Position+1 {
			t.Fatalf("verify says %v", d)
		}
	})
	t.Run("truncated, tables left", func(t *testing.T) {
		dir, log, _ := mutant(t, y.dir)
		run(t, log, "DELETE FROM events WHERE position > 40; DELETE FROM tree WHERE position > 40")
		if d := (&story{TB: t, dir: dir}).verify(VerifyOptions{}).First(); d == nil {
			t.Fatal("verify found nothing")
		}
		if d := (&story{TB: t, dir: dir}).verify(VerifyOptions{Head: &before}).First(); d == nil || d.Position > 41 {
			t.Fatalf("verify says %v", d)
		}
	})
	t.Run("edited, hashes made anew", func(t *testing.T) {
		dir, log, _ := mutant(t, y.dir)
		// A field that no table shows.
		run(t, log, `UPDATE events SET data = CAST(replace(CAST(data AS TEXT), '"seed":7', '"seed":8') AS BLOB) WHERE type = 'request.admitted' AND cause LIKE 'acme-0 %'`)
		rehash(t, dir, log)
		if d := (&story{TB: t, dir: dir}).verify(VerifyOptions{}).First(); d != nil {
			t.Fatalf("the edit was not the one that this test wants: %v", d)
		}
		if d := (&story{TB: t, dir: dir}).verify(VerifyOptions{Head: &before}).First(); d == nil || d.Position != before.Position {
			t.Fatalf("verify says %v", d)
		}
	})
	t.Run("edited, hashes made anew, tables left", func(t *testing.T) {
		dir, log, _ := mutant(t, y.dir)
		var position uint64
		if err := log.QueryRow("SELECT position FROM events WHERE type = 'request.settled' AND cause = 'acme-0'").Scan(&position); err != nil {
			t.Fatal(err)
		}
		run(t, log, `UPDATE events SET data = CAST(replace(CAST(data AS TEXT), '"output":600', '"output":601') AS BLOB) WHERE position = ?`, int64(position))
		rehash(t, dir, log)
		if d := (&story{TB: t, dir: dir}).verify(VerifyOptions{Head: &before}).First(); d == nil || d.Position != position {
			t.Fatalf("verify says %v", d)
		}
	})
}

// TestVerifyOfUnreadableReports: reports that lack a table are said to be unreadable, and stop nothing else.
func TestVerifyOfUnreadableReports(t *testing.T) {
	dir, _, reports := mutant(t, told(t).dir)
	run(t, reports, "DROP TABLE attempts")
	r, err := OpenReader(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := Verify(t.Context(), r, VerifyOptions{}); err == nil || !strings.Contains(err.Error(), "reports.db cannot be read") {
		t.Fatalf("%v", err)
	}
}
