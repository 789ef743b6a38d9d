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

// TestColumns: the columns that are told of the views are those that they have.
func TestColumns(t *testing.T) {
	y := newStory(t)
	y.reports()
	told := map[string][]string{}
	for _, c := range Columns() {
		told[c.View] = append(told[c.View], c.Name)
	}
	for view := range views {
		rows, err := Query(t.Context(), y.dir, "SELECT * FROM "+view, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(rows.Columns, told[view]) {
			t.Errorf("%s has %v, and it is told %v", view, rows.Columns, told[view])
		}
		if err := rows.Close(); err != nil {
			t.Error(err)
		}
		delete(told, view)
	}
	if len(told) > 0 {
		t.Errorf("there are no views %v", told)
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
