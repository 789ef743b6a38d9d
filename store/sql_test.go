package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// query runs a query to its end.
func (y *story) query(ctx context.Context, query string, l Limits) (all [][]any, err error) {
	rows, err := Query(ctx, y.dir, query, l)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for row, err := range rows.All() {
		if err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, nil
}

// TestQueryShowsTheViews: what people are told to write works.
func TestQueryShowsTheViews(t *testing.T) {
	y := newStory(t)
	y.tell()
	y.reports()
	for query, want := range map[string]any{
		`SELECT count(*) FROM events`:                                                                                                                      int64(y.head()),
		`SELECT sum(amount) FROM balances WHERE unit = 'usd'`:                                                                                              int64(0),
		`SELECT data ->> '$.lot' FROM events WHERE type = 'credit.purchased' AND stream = 'acme'`:                                                          "l1",
		`SELECT count(*) FROM events e, json_each(e.data, '$.attempts') a WHERE a.value ->> '$.outcome' = 'failed'`:                                        int64(2),
		`SELECT length(id) FROM events WHERE position = 1`:                                                                                                 int64(36),
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10) SELECT sum(i) FROM n`:                                                int64(55),
		`SELECT group_concat(state, ' ') FROM (SELECT DISTINCT state FROM requests ORDER BY 1)`:                                                            "admitted interrupted settled voided",
		`SELECT count(*) FROM attempts a JOIN requests r ON r.id = a.request WHERE r.org = 'gamma' AND a.outcome='failed'`:                                 int64(1),
		`SELECT count(*) FROM requests r JOIN lots l USING (org) JOIN usage_daily u USING (org) WHERE closed = 1 AND u.kind = 'byok' AND r.id = 'gamma-0'`: int64(1),
		`SELECT sum(e.amount) - (SELECT sum(amount) FROM balances WHERE account = 'house/revenue') FROM entries e WHERE e.account = 'house/revenue'`:       int64(0),
	} {
		rows, err := y.query(t.Context(), query, Limits{})
		if err != nil || len(rows) != 1 || rows[0][0] != want {
			t.Errorf("%s: %v %v, want %v", query, rows, err, want)
		}
	}
	rows, err := Query(t.Context(), y.dir, "SELECT * FROM requests", Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if !slices.Equal(rows.Columns, strings.Split(requestsTable.names(), ", ")) {
		t.Errorf("the columns of requests are %v", rows.Columns)
	}
}

// TestQueryIsConfined: nothing but the views can be read, and nothing can be changed.
func TestQueryIsConfined(t *testing.T) {
	y := newStory(t)
	y.tell()
	y.reports()
	if err := y.s.SetNodeValue(t.Context(), "secret", []byte("hunter2")); err != nil {
		t.Fatal(err)
	}
	if err := y.s.Rename(t.Context(), Label{Kind: "org", ID: "acme", Name: "Acme Ltd"}); err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{
		"SELECT value FROM node", "SELECT value FROM log.node", "SELECT name FROM log.labels", "SELECT * FROM log.causes", "SELECT hashes FROM log.tree",
		"SELECT count(*) FROM log.labels", "SELECT note FROM log.notes", "SELECT * FROM notes", "SELECT data FROM log.events", "SELECT data FROM log.state", "SELECT made_by FROM reports.checkpoint",
		"WITH events AS (SELECT name FROM log.labels) SELECT * FROM events",
		"SELECT * FROM (SELECT value FROM log.node) AS events",
		"SELECT (SELECT value FROM log.node) FROM events",
		"SELECT * FROM events WHERE EXISTS (SELECT 1 FROM log.node WHERE value = x'00')",
		"SELECT * FROM log.sqlite_schema", "SELECT * FROM sqlite_schema", "SELECT * FROM temp.sqlite_schema", "SELECT sql FROM sqlite_temp_schema",
		"SELECT * FROM pragma_table_info('events')", "SELECT * FROM pragma_database_list", "PRAGMA query_only = 0", "PRAGMA table_info(events)", "PRAGMA database_list",
		"ATTACH ':memory:' AS x", "DETACH log", "VACUUM", "VACUUM INTO 'x.db'", "ANALYZE", "REINDEX",
		"CREATE TABLE x (a)", "CREATE TEMP TABLE x (a)", "CREATE TEMP VIEW x AS SELECT 1", "DROP VIEW events", "ALTER TABLE log.events ADD COLUMN x",
		"DELETE FROM log.events", "UPDATE log.balances SET amount = 1", "INSERT INTO log.node VALUES ('x', x'00')", "INSERT INTO events DEFAULT VALUES",
		"BEGIN IMMEDIATE", "SAVEPOINT x", "SELECT load_extension('x')", "CREATE VIRTUAL TABLE x USING fts5(a)", "SELECT * FROM dbstat",
		"SELECT 1; DELETE FROM log.events",
		"EXPLAIN DELETE FROM log.events",
	} {
		rows, err := y.query(t.Context(), query, Limits{})
		if err == nil {
			t.Errorf("%s was let through: %v", query, rows)
		}
	}
	if r := y.verify(VerifyOptions{}); r.First() != nil {
		t.Errorf("the log was changed: %v", r.First())
	}
}

// TestQueryIsBounded: a query ends when its time is up, when it has more rows than asked for, and before it takes the memory.
func TestQueryIsBounded(t *testing.T) {
	y := newStory(t)
	y.tell()
	y.reports()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := y.query(ctx, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n", Limits{})
	if err == nil || time.Since(began) > 5*time.Second {
		t.Errorf("a query without end ended after %s: %v", time.Since(began), err)
	}
	if _, err := y.query(t.Context(), "SELECT position FROM events", Limits{Rows: 5}); !errors.Is(err, ErrTooManyRows) {
		t.Errorf("more rows than the limit: %v", err)
	}
	if rows, err := y.query(t.Context(), "SELECT position FROM events LIMIT 5", Limits{Rows: 5}); err != nil || len(rows) != 5 {
		t.Errorf("as many rows as the limit: %v", err)
	}
	if _, err := y.query(t.Context(), "SELECT zeroblob(100000000)", Limits{}); err == nil {
		t.Error("a value of a hundred megabytes was given")
	}
	if _, err := y.query(t.Context(), "SELECT 1 -- "+strings.Repeat("x", 1<<20), Limits{}); err == nil {
		t.Error("a query of a megabyte was taken")
	}
}
