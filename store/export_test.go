package store

import (
	"bytes"
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/ledger"
)

func (y *story) export(o ExportOptions) ([]byte, Exported) {
	y.Helper()
	r, err := OpenReader(y.Context(), y.dir)
	if err != nil {
		y.Fatal(err)
	}
	defer r.Close()
	var b bytes.Buffer
	x, err := Export(y.Context(), r, &b, o)
	if err != nil {
		y.Fatal(err)
	}
	return b.Bytes(), x
}

// rowsOf lists a table's rows in the order of its key.
func rowsOf(t testing.TB, db *sql.DB, table table) (all []string) {
	t.Helper()
	rows, err := db.Query("SELECT " + table.names() + " FROM " + table.name + " ORDER BY " + strings.Join(table.key, ", "))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		row, dest := make([]any, len(table.columns)), make([]any, len(table.columns))
		for i := range row {
			dest[i] = &row[i]
		}
		if err := rows.Scan(dest...); err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%#v", row))
	}
	return all
}

// askedFor lists the rows that a query for people gives.
func (y *story) askedFor(query string) (all []string) {
	y.Helper()
	rows, err := Query(y.Context(), y.dir, query, Limits{})
	if err != nil {
		y.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for row, err := range rows.All() {
		if err != nil {
			y.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%#v", row))
	}
	return all
}

func database(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(path, nil))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// TestExportEqualsTheViews: what an export holds is what waybill sql shows, table by table and column by column, whether the
// file is made by the stock sqlite3, by the driver from the same statements, or by waybill itself.
func TestExportEqualsTheViews(t *testing.T) {
	y := newStory(t)
	y.tell()
	y.reports()
	text, x := y.export(ExportOptions{Format: FormatSQL})
	if head := y.head(); x.Position != head {
		t.Fatalf("the export goes up to %d, the log to %d", x.Position, head)
	}
	dir := t.TempDir()
	loaded := database(t, filepath.Join(dir, "loaded.db"))
	if _, err := loaded.Exec(string(text)); err != nil {
		t.Fatal(err)
	}
	file, _ := y.export(ExportOptions{Format: FormatSQLite})
	if err := os.WriteFile(filepath.Join(dir, "file.db"), file, 0o600); err != nil {
		t.Fatal(err)
	}
	files := map[string]*sql.DB{"driver": loaded, "file": database(t, filepath.Join(dir, "file.db"))}
	if shell, err := exec.LookPath("sqlite3"); err == nil {
		c := exec.Command(shell, "-bail", filepath.Join(dir, "shell.db"))
		c.Stdin = bytes.NewReader(text)
		if out, err := c.CombinedOutput(); err != nil || len(out) > 0 {
			t.Fatalf("sqlite3: %v %s", err, out)
		}
		files["sqlite3"] = database(t, filepath.Join(dir, "shell.db"))
	}
	for _, table := range exportTables {
		want := y.askedFor("SELECT " + table.names() + " FROM " + table.name + " ORDER BY " + strings.Join(table.key, ", "))
		if len(want) == 0 || x.Rows[table.name] != int64(len(want)) {
			t.Errorf("%s: %d rows, the export says %d", table.name, len(want), x.Rows[table.name])
		}
		for name, db := range files {
			if got := rowsOf(t, db, table); !slices.Equal(got, want) {
				t.Errorf("%s in %s:\n%s\nwant\n%s", table.name, name, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	}
	for name, db := range files {
		totals := rowsOf(t, db, table{"(SELECT account, unit, sum(amount) AS amount FROM entries GROUP BY 1, 2 HAVING sum(amount) <> 0)",
			balancesTable.columns, balancesTable.key})
		if want := rowsOf(t, db, balancesTable); !slices.Equal(totals, want) {
			t.Errorf("%s: the entries add up to %v, the balances are %v", name, totals, want)
		}
	}
}

// TestExportOfOneOrg has that org's rows and no other's, and its balances are the standing that the org is told.
func TestExportOfOneOrg(t *testing.T) {
	y := newStory(t)
	y.tell()
	text, _ := y.export(ExportOptions{Format: FormatSQL, Org: "gamma"})
	db := database(t, filepath.Join(t.TempDir(), "gamma.db"))
	if _, err := db.Exec(string(text)); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"SELECT count(*) FROM events WHERE stream <> 'gamma'", "SELECT count(*) FROM requests WHERE org <> 'gamma'",
		"SELECT count(*) FROM entries WHERE org <> 'gamma'", "SELECT count(*) FROM lots WHERE org <> 'gamma'",
		"SELECT count(*) FROM balances WHERE account NOT LIKE 'org/gamma/%'"} {
		var n int
		if err := db.QueryRow(q).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s: %d, %v", q, n, err)
		}
	}
	var st ledger.Standing
	y.s.View(func(s *ledger.State) { st, _ = s.Standing("gamma") })
	var held, requests int64
	if err := db.QueryRow("SELECT sum(amount) FROM balances WHERE account LIKE 'org/gamma/plan/%' AND account LIKE '%/held'").Scan(&held); err != nil || held != st.Plan.Held || held == 0 {
		t.Errorf("%d tokens are held, the standing says %d: %v", held, st.Plan.Held, err)
	}
	if err := db.QueryRow("SELECT count(*) FROM requests").Scan(&requests); err != nil || requests != 4 {
		t.Errorf("%d requests, %v", requests, err)
	}
	r, err := OpenReader(t.Context(), y.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, err = Export(t.Context(), r, new(bytes.Buffer), ExportOptions{Format: FormatJSONL, Org: "nobody"})
	var refused *ledger.Error
	if !errors.As(err, &refused) || refused.Code != ledger.CodeNotFound {
		t.Errorf("an org that is not there: %v", err)
	}
}

// TestExportSince leaves out what came before, and only that.
func TestExportSince(t *testing.T) {
	y := newStory(t)
	y.tell()
	march := ledger.InstantOf(storyBegins.AddDate(0, 0, 32))
	_, all := y.export(ExportOptions{Format: FormatJSONL})
	_, late := y.export(ExportOptions{Format: FormatJSONL, Since: march})
	want := map[string]int64{"requests": 3, "attempts": 1, "balances": all.Rows["balances"], "lots": all.Rows["lots"]}
	for name, n := range want {
		if late.Rows[name] != n {
			t.Errorf("%s: %d rows, want %d", name, late.Rows[name], n)
		}
	}
	if n := late.Rows["events"]; n == 0 || n >= all.Rows["events"] {
		t.Errorf("%d of %d events", n, all.Rows["events"])
	}
}

// TestExportFormats reads CSV and JSON lines back.
func TestExportFormats(t *testing.T) {
	y := newStory(t)
	y.tell()
	y.reports()
	text, x := y.export(ExportOptions{Format: FormatCSV})
	records, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil || int64(len(records)) != x.Rows["requests"]+1 || strings.Join(records[0], ", ") != requestsTable.names() {
		t.Fatalf("%d records, %v: %v", len(records), err, records[0])
	}
	asked := slices.Index(records[0], "model_asked")
	if !slices.ContainsFunc(records, func(r []string) bool { return r[asked] == storyAsked["gamma"] }) {
		t.Errorf("no request asked for %q", storyAsked["gamma"])
	}
	if text, x = y.export(ExportOptions{Format: FormatCSV, Table: "balances"}); bytes.Count(text, []byte("\n")) != int(x.Rows["balances"])+1 {
		t.Errorf("balances as CSV: %s", text)
	}
	text, x = y.export(ExportOptions{Format: FormatJSONL})
	counts := map[string]int64{}
	var data json.RawMessage
	for line := range bytes.Lines(text) {
		var row map[string]json.RawMessage
		if err := json.Unmarshal(line, &row); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		counts[strings.Trim(string(row["table"]), `"`)]++
		if string(row["position"]) == "1" && row["data"] != nil {
			data = row["data"]
		}
	}
	for name, n := range x.Rows {
		if counts[name] != n {
			t.Errorf("%s: %d lines, want %d", name, counts[name], n)
		}
	}
	recs, err := y.s.Page(t.Context(), 0, 1)
	if err != nil || !bytes.Equal(recs[0].Data, data) {
		t.Errorf("the first event's data is %s, not %s", data, recs[0].Data)
	}
	for _, o := range []ExportOptions{{Format: "xml"}, {Format: FormatSQL, Dialect: "oracle"}, {Format: FormatCSV, Table: "state"}, {Format: FormatSQL, Table: "requests"}} {
		if _, err := Export(t.Context(), y.s.Reader, new(bytes.Buffer), o); err == nil {
			t.Errorf("%+v was exported", o)
		}
	}
}

// TestExportIsOfOneMoment: while the node goes on writing, every table of an export ends at the same event.
func TestExportIsOfOneMoment(t *testing.T) {
	y := newStory(t)
	y.tell()
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			_, err := y.s.Execute(t.Context(), ledger.GrantCredit{Who: unasked("g"), Org: "acme", Lot: fmt.Sprint("more-", i), Amount: ledger.Dollar})
			if err != nil {
				stopped <- err
				return
			}
		}
	}()
	for began := time.Now(); time.Since(began) < 200*time.Millisecond; {
		file, x := y.export(ExportOptions{Format: FormatSQLite})
		path := filepath.Join(t.TempDir(), "moment.db")
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		var events, lots, made, remaining, balance int64
		if err := database(t, path).QueryRow(`SELECT (SELECT max(position) FROM events), (SELECT count(*) FROM lots), (SELECT count(*) FROM events
			WHERE type IN ('credit.purchased', 'credit.granted')), (SELECT sum(remaining) FROM lots), (SELECT sum(amount) FROM balances
			WHERE account LIKE 'org/%/credit/%' AND account NOT LIKE '%/held')`).Scan(&events, &lots, &made, &remaining, &balance); err != nil {
			t.Fatal(err)
		}
		if uint64(events) != x.Position || lots != made || remaining != balance {
			t.Fatalf("up to %d: events up to %d, %d lots of %d, %d remaining of %d", x.Position, events, lots, made, remaining, balance)
		}
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
}
