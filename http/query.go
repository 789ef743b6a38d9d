package http

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"waybill/ledger"
)

// Tables shows the traces as SQL and files know them.
type Tables interface {
	// Query runs one SELECT over the public views and gives its whole answer, of at most so many rows. A query that is at fault is a
	// *QueryError.
	Query(ctx context.Context, query string, most int) (columns []string, rows [][]any, err error)
	// Export writes the traces of an org. Nothing is written before an error of what is asked for, which is a *QueryError.
	Export(ctx context.Context, w io.Writer, e ExportQuery) error
}

// QueryError says what is wrong with what is asked for.
type QueryError struct{ Reason string }

// Error is the reason.
func (e *QueryError) Error() string { return e.Reason }

// queryOrder is a question to the public views.
type queryOrder struct {
	Query string `json:"query"` // one SELECT over events, requests, attempts, entries, balances, lots and usage_daily
	Limit int64  `json:"limit"` // of rows, 1000 unless given, at most 100,000; more are an error
}

// queried is its answer. Whole numbers, strings and null are what they are; other numbers are numbers or, where JSON has none, their
// names; bytes are in hex.
type queried struct {
	Columns []string `json:"columns"`
	Rows    [][]cell `json:"rows"`
}

// cell is one value of a row.
type cell struct{ value any }

// MarshalJSON writes what JSON has no form for as a string.
func (v cell) MarshalJSON() ([]byte, error) {
	switch x := v.value.(type) {
	case nil:
		return []byte("null"), nil
	case int64:
		return strconv.AppendInt(nil, x, 10), nil
	case float64:
		if math.IsInf(x, 0) || math.IsNaN(x) {
			return strconv.AppendQuote(nil, strconv.FormatFloat(x, 'g', -1, 64)), nil
		}
		return strconv.AppendFloat(nil, x, 'g', -1, 64), nil
	case []byte:
		return fmt.Appendf(nil, `"%x"`, x), nil
	}
	return json.Marshal(v.value)
}

// Bounds of a query.
const (
	queryTime     = 30 * time.Second
	maxQueryRows  = 100_000
	queriesAtOnce = 2 // each may take a core
	exportsAtOnce = 4 // each reads an org's whole past, of which one runs at a time
)

// ExportQuery asks for an org's traces in a file.
type ExportQuery struct {
	Org     string
	Format  string
	Dialect string
	Table   string
	Since   ledger.Instant
}

type exportQuery struct {
	Format  string `query:"format" doc:"sqlite, sql, csv or jsonl; sqlite unless given"`
	Dialect string `query:"dialect" doc:"whose SQL: sqlite or postgres"`
	Table   string `query:"table" doc:"the one table of csv (requests unless given) or jsonl (all unless given)"`
	Since   Time   `query:"since" doc:"leave out what is earlier"`
}

func tableRoutes() []route {
	export := endpoint(http.MethodGet, "/api/v1/orgs/{org}/export", "An org's traces as a SQLite file, SQL, CSV or JSON lines: what concerns it alone", admin,
		func(*call, exportQuery) (nothing, error) { return nothing{}, nil })
	export.media, export.serve = "application/octet-stream", (*Server).export
	return []route{
		question("/api/v1/sql", "Ask the public views a question in SQL, read-only", operator, query),
		export,
	}
}

var errNoTables = &ledger.Error{Code: ledger.CodeUnavailable, Message: "the tables are not open"}

// turn takes one of few places for what takes long.
func turn(places chan struct{}, what string) (end func(), err error) {
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	default:
		return nil, &ledger.Error{Code: ledger.CodeUnavailable, Message: fmt.Sprintf("%d %s run: a node has no more at a time; try again", cap(places), what)}
	}
}

func query(c *call, in queryOrder) (queried, error) {
	t := c.s.o.Tables
	switch {
	case t == nil:
		return queried{}, errNoTables
	case in.Query == "":
		return queried{}, invalid("query", "is empty")
	case in.Limit < 0 || in.Limit > maxQueryRows:
		return queried{}, invalid("limit", fmt.Sprintf("must be between 1 and %d", maxQueryRows))
	case in.Limit == 0:
		in.Limit = maxLimit
	}
	if _, err := c.reports(); err != nil { // the views show what is there
		return queried{}, err
	}
	end, err := turn(c.s.queries, "queries")
	if err != nil {
		return queried{}, err
	}
	defer end()
	ctx, cancel := context.WithTimeout(c, queryTime)
	defer cancel()
	columns, rows, err := t.Query(ctx, in.Query, int(in.Limit))
	if q, ok := errors.AsType[*QueryError](err); ok {
		return queried{}, invalid("query", q.Reason)
	}
	if ctx.Err() == context.DeadlineExceeded {
		return queried{}, invalid("query", fmt.Sprintf("took longer than %s: ask for less", queryTime))
	}
	out := queried{Columns: columns, Rows: make([][]cell, len(rows))}
	for i, row := range rows {
		out.Rows[i] = make([]cell, len(row))
		for j, v := range row {
			out.Rows[i][j] = cell{v}
		}
	}
	return out, err
}

// exportTime bounds how long an export may take, its reader included.
const exportTime = 15 * time.Minute

// export sends an org's traces. One that fails in the middle is cut, so that what the caller holds does not look whole.
func (s *Server) export(c *call, w http.ResponseWriter) {
	var in exportQuery
	err := c.read(w, &in)
	if err == nil && s.o.Tables == nil {
		err = errNoTables
	}
	if err == nil && !s.shares.take(c.org, "exports", 1) { // or one org's slow readers would have all the places
		err = &ledger.Error{Code: ledger.CodeUnavailable, Message: "another export of the org's runs: it has one at a time"}
	}
	if err != nil {
		s.problem(w, c.id, err)
		return
	}
	defer s.shares.give(c.org, "exports")
	end, err := turn(s.exports, "exports")
	if err != nil {
		s.problem(w, c.id, err)
		return
	}
	defer end()
	if in.Format == "" {
		in.Format = "sqlite"
	}
	ctx, cancel := context.WithTimeout(c, exportTime)
	defer cancel()
	v := w.(*visit)
	w.Header()["Content-Type"] = []string{"application/octet-stream"}
	err = s.o.Tables.Export(ctx, w, ExportQuery{Org: c.org, Format: in.Format, Dialect: in.Dialect, Table: in.Table, Since: ledger.Instant(in.Since)})
	if q, ok := errors.AsType[*QueryError](err); ok {
		err = invalid("format", q.Reason)
	}
	switch {
	case err != nil && v.status == 0:
		s.problem(w, c.id, err)
	case err != nil:
		s.o.Logger.Warn("an export was cut", slog.String("request", c.id), slog.String("error", err.Error()))
		panic(http.ErrAbortHandler)
	}
}
