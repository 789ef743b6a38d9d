package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// SQL for people: a query of the operator's over the public tables. Neither mode=ro nor query_only keeps a query from the
// other tables of a file, so it runs on a connection of its own that has nothing but views, under an authorizer.

// views are what a query may read, and how they are made. An id is shown in its usual form, and data as text, so that
// data ->> '$.request' works.
var views = map[string]string{
	"events": `SELECT position, stream, version, lower(substr(hex(id), 1, 8) || '-' || substr(hex(id), 9, 4) || '-' ||
		substr(hex(id), 13, 4) || '-' || substr(hex(id), 17, 4) || '-' || substr(hex(id), 21)) AS id, type, schema, at, actor, cause,
		CAST(data AS TEXT) AS data FROM log.events`,
	"requests":    `SELECT ` + requestsTable.names() + ` FROM reports.requests`,
	"attempts":    `SELECT ` + attemptsTable.names() + ` FROM reports.attempts`,
	"entries":     `SELECT ` + entriesTable.names() + ` FROM reports.entries`,
	"usage_daily": `SELECT ` + usageTable.names() + ` FROM reports.usage_daily`,
	"balances":    `SELECT account, unit, amount FROM log.balances`,
	"lots": `SELECT s.id AS org, l.value ->> 'lot' AS lot, l.value ->> 'amount' AS amount, coalesce(b.amount, 0) AS remaining,
		coalesce(h.amount, 0) AS held, coalesce(l.value ->> 'paid', 0) AS paid, coalesce(l.value ->> 'reference', '') AS reference,
		coalesce(l.value ->> 'promotion', 0) AS promotion, coalesce(l.value ->> 'priority', 0) AS priority,
		coalesce(l.value ->> 'expires', 0) AS expires, coalesce(l.value ->> 'closed', 0) AS closed, l.value ->> 'position' AS position
		FROM log.state s JOIN json_each(CAST(s.data AS TEXT), '$.lots') l
		LEFT JOIN log.balances b ON b.account = 'org/' || s.id || '/credit/' || (l.value ->> 'lot') AND b.unit = 'usd'
		LEFT JOIN log.balances h ON h.account = 'org/' || s.id || '/credit/' || (l.value ->> 'lot') || '/held' AND h.unit = 'usd'
		WHERE s.kind = 'org'`,
}

// Column is a column of a view. An integer is whole, whatever it counts.
type Column struct{ View, Name, Type string }

// Columns are those of the public views, in the order in which SELECT * gives them.
func Columns() (all []Column) {
	for _, t := range append(slices.Clip(exportTables), usageTable) {
		for _, c := range t.columns {
			kind := "integer"
			if c.text {
				kind = "text"
			}
			all = append(all, Column{t.name, c.name, kind})
		}
	}
	return all
}

// Limits bounds a query beside its context's deadline.
type Limits struct {
	Rows  int   // given back, at most; 0 is no bound
	Bytes int64 // of the values given back, at most, and of a few more for each; 0 is no bound
}

// Rows is the answer to a query.
type Rows struct {
	Columns []string
	rows    *sql.Rows
	limits  Limits
	close   func() error
}

// What ends an answer that is larger than its limits.
var (
	ErrTooManyRows  error = &QueryError{errors.New("the answer has more rows than the limit: add LIMIT, or ask for less")}
	ErrTooManyBytes error = &QueryError{errors.New("the answer is larger than the limit: add LIMIT, or ask for less")}
)

// QueryError is a query, or what is asked of an export, that is at fault itself.
type QueryError struct{ cause error }

// Error says what is wrong with it.
func (e *QueryError) Error() string { return e.cause.Error() }

// Unwrap gives the database's error, if it is one's.
func (e *QueryError) Unwrap() error { return e.cause }

// Query runs one SELECT over the public views of a data folder: events, requests, attempts, entries, balances, lots and
// usage_daily. It shows the reports as they are: CatchUp or WaitFor comes first. The Rows must be closed.
func Query(ctx context.Context, dir, query string, limits Limits) (*Rows, error) {
	if strings.ContainsRune(query, 0) { // what is behind it would not be read
		return nil, &QueryError{errors.New("a query has no NUL")}
	}
	db, err := sql.Open("sqlite", "file::memory:?_pragma=busy_timeout(5000)&_pragma=temp_store(1)")
	if err != nil {
		return nil, err
	}
	closing := db.Close
	conn, err := db.Conn(ctx)
	if err == nil {
		closing = func() error { return errors.Join(conn.Close(), db.Close()) }
		err = confine(ctx, conn, dir)
	}
	if err != nil {
		return nil, errors.Join(err, closing())
	}
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return nil, errors.Join(explained(err), closing())
	}
	r := &Rows{rows: rows, limits: limits, close: closing}
	if r.Columns, err = rows.Columns(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// confine attaches the files read-only, makes the views, and lets nothing else through from then on.
func confine(ctx context.Context, conn *sql.Conn, dir string) error {
	for name, path := range map[string]string{"log": logPath(dir), "reports": reportsPath(dir)} {
		if _, err := os.Stat(path); err != nil {
			return err
		}
		if _, err := conn.ExecContext(ctx, "ATTACH ? AS "+name, dsn(path, reading)); err != nil {
			return fmt.Errorf("attaching %s: %w", path, err)
		}
	}
	inner := "inner_" + rand.Text() + "_"
	for name, query := range views {
		if _, err := conn.ExecContext(ctx, "CREATE TEMP VIEW "+inner+name+" AS "+query+"; CREATE TEMP VIEW "+name+" AS SELECT * FROM "+inner+name); err != nil {
			return fmt.Errorf("view %s: %w", name, err)
		}
	}
	if _, err := conn.ExecContext(ctx, "PRAGMA query_only = 1"); err != nil {
		return err
	}
	for id, n := range map[int]int{sqlite3.SQLITE_LIMIT_ATTACHED: 0, sqlite3.SQLITE_LIMIT_LENGTH: 16 << 20, sqlite3.SQLITE_LIMIT_SQL_LENGTH: 64 << 10,
		sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50, sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 0, sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 0} {
		if _, err := sqlite.Limit(conn, id, n); err != nil {
			return err
		}
	}
	return conn.Raw(func(c any) error {
		return c.(sqlite.AuthorizerRegisterer).RegisterAuthorizer(func(action sqlite.AuthorizerActionCode, arg1, arg2, database, through string) sqlite.AuthorizerReturnCode {
			return allowed(action, arg1, arg2, database, through, inner)
		})
	})
}

// behind is which tables the views are made of. They are read through inner views, whose names nobody can guess: through what a
// column is read is known by its name alone, and a query may call a part of its own by the name of a view.
var behind = map[string][]string{
	"log":     {"events", "balances", "state"},
	"reports": {"requests", "attempts", "entries", "usage_daily"},
}

// tables that hold nothing: they take a JSON text apart.
var jsonTables = []string{"json_each", "json_tree"}

// allowed is the authorizer: reading, of the views, and of the tables behind them through a view.
func allowed(action sqlite.AuthorizerActionCode, arg1, arg2, database, through, inner string) sqlite.AuthorizerReturnCode {
	switch action {
	case sqlite.AuthSelect, sqlite.AuthRecursive:
		return sqlite.AuthorizerOK
	case sqlite.AuthFunction:
		if arg2 == "load_extension" {
			return sqlite.AuthorizerDeny
		}
		return sqlite.AuthorizerOK
	case sqlite.AuthRead:
		_, view := views[strings.TrimPrefix(arg1, inner)]
		via := strings.HasPrefix(through, inner)
		// count(*) reads a table's rows but no column of it, and is presented without the view that it is in.
		if database == "temp" && view || slices.Contains(behind[database], arg1) && (via || arg2 == "") ||
			database == "main" && slices.Contains(jsonTables, arg1) {
			return sqlite.AuthorizerOK
		}
	}
	return sqlite.AuthorizerDeny
}

// explained says what a refused query may do, and tells faults of the query from those of the files.
func explained(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_AUTH:
		return &QueryError{fmt.Errorf("%w: a query may SELECT from events, requests, attempts, entries, balances, lots and usage_daily, and nothing else", err)}
	case sqlite3.SQLITE_ERROR, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_MISUSE:
		return &QueryError{err}
	}
	return err
}

// All gives the rows: integers, floats, strings, byte slices and nil. An error is the last thing it gives.
func (r *Rows) All() iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		bytes := int64(0)
		for n := 0; r.rows.Next(); n++ {
			if r.limits.Rows > 0 && n == r.limits.Rows {
				yield(nil, ErrTooManyRows)
				return
			}
			row, dest := make([]any, len(r.Columns)), make([]any, len(r.Columns))
			for i := range row {
				dest[i] = &row[i]
			}
			if err := r.rows.Scan(dest...); err != nil {
				yield(nil, err)
				return
			}
			for _, v := range row {
				bytes += sizeOf(v)
			}
			if r.limits.Bytes > 0 && bytes > r.limits.Bytes {
				yield(nil, ErrTooManyBytes)
				return
			}
			if !yield(row, nil) {
				return
			}
		}
		if err := r.rows.Err(); err != nil {
			yield(nil, explained(err))
		}
	}
}

// sizeOf is what a value takes of the memory of who keeps it, roughly.
func sizeOf(v any) int64 {
	switch v := v.(type) {
	case string:
		return 16 + int64(len(v))
	case []byte:
		return 16 + int64(len(v))
	}
	return 16
}

// Close ends the query and closes the files.
func (r *Rows) Close() error { return errors.Join(r.rows.Close(), r.close()) }
