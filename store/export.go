package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"waybill/ledger"
)

// Format is how traces are exported.
type Format string

// The formats.
const (
	FormatSQL    Format = "sql"    // statements for SQLite or PostgreSQL: all tables
	FormatSQLite Format = "sqlite" // a database file: all tables
	FormatCSV    Format = "csv"    // one table, with a header
	FormatJSONL  Format = "jsonl"  // an object a line, its table first
)

// Dialect is whose SQL an export is in.
type Dialect string

// The dialects of SQL.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

// ExportOptions say what to export. Empty fields do not filter.
type ExportOptions struct {
	Format  Format
	Dialect Dialect // of FormatSQL; empty is SQLite
	Table   string  // FormatCSV: which, requests if empty; FormatJSONL: which alone
	Org     string
	// Since leaves out events and entries from before, and requests that were admitted before, with their attempts. The
	// balances and lots are those at the end all the same.
	Since ledger.Instant
}

// Exported is what an export holds.
type Exported struct {
	Position uint64 // of the log, up to which it goes
	Rows     map[string]int64
}

// exportTables are the tables of an export, in the order in which they are made.
var exportTables = []table{eventsTable, requestsTable, attemptsTable, entriesTable, balancesTable, lotsTable}

// Export writes the traces of a log: its events and what follows from them, as they are when it is called. It folds the
// events up to there and needs no reports, so every table is of the same moment though the node goes on writing, and memory
// holds the state and the open requests only.
func Export(ctx context.Context, r *Reader, w io.Writer, o ExportOptions) (Exported, error) {
	if o.Format == FormatSQLite {
		return exportFile(ctx, r, w, o)
	}
	s, err := o.sink(w)
	if err != nil {
		return Exported{}, err
	}
	return exportTo(ctx, r, s, o)
}

// sink takes the rows of an export.
type sink interface {
	begin(tables []table) error
	put(t table, row []any) error
	end() error
}

func (o ExportOptions) sink(w io.Writer) (sink, error) {
	var only *table
	if o.Table != "" {
		i := slices.IndexFunc(exportTables, func(t table) bool { return t.name == o.Table })
		if i < 0 || o.Format == FormatSQL {
			return nil, &QueryError{fmt.Errorf("table %q: csv and jsonl export one of events, requests, attempts, entries, balances, lots", o.Table)}
		}
		only = &exportTables[i]
	}
	switch {
	case o.Format == FormatCSV && only == nil:
		return newCSVSink(w, requestsTable), nil
	case o.Format == FormatCSV:
		return newCSVSink(w, *only), nil
	case o.Format == FormatJSONL:
		return newJSONSink(w, only), nil
	case o.Format == FormatSQL && (o.Dialect == SQLite || o.Dialect == ""):
		return newDump(w, SQLite), nil
	case o.Format == FormatSQL && o.Dialect == Postgres:
		return newDump(w, Postgres), nil
	case o.Format == FormatSQL:
		return nil, &QueryError{fmt.Errorf("dialect %q: there are sqlite and postgres", o.Dialect)}
	}
	return nil, &QueryError{fmt.Errorf("format %q: there are sql, sqlite, csv and jsonl", o.Format)}
}

func exportTo(ctx context.Context, r *Reader, s sink, o ExportOptions) (out Exported, err error) {
	head, _, err := r.Head(ctx)
	if err != nil {
		return out, err
	}
	x := &export{sink: s, o: o, traces: newTraces(), fold: newRefold(), out: Exported{Position: head, Rows: map[string]int64{}}}
	if err := s.begin(exportTables); err != nil {
		return out, err
	}
	if err := x.walk(ctx, r, head); err != nil {
		return out, err
	}
	if err := x.finish(); err != nil {
		return out, err
	}
	return x.out, s.end()
}

// export is one export under way.
type export struct {
	sink
	o      ExportOptions
	traces *traces
	fold   *refold
	out    Exported
}

// walk goes over the log up to its head, or over the stream of the org. What is before the head does not change, so it
// takes no snapshot, and a long export does not keep the writer's WAL from being checkpointed.
func (x *export) walk(ctx context.Context, r *Reader, head uint64) error {
	if x.o.Org != "" {
		return x.stream(ctx, r, head)
	}
	err := walk(ctx, r.db, 0, func(s *step) error {
		if s.Position > head {
			return errStop
		}
		if s.fault != nil {
			return fmt.Errorf("event %d: %w", s.Position, s.fault)
		}
		return x.add(&s.Record)
	})
	if err == errStop {
		err = nil
	}
	return err
}

func (x *export) stream(ctx context.Context, r *Reader, head uint64) error {
	for version := uint64(0); ; {
		recs, err := r.Stream(ctx, x.o.Org, version, streamPage)
		if err != nil {
			return err
		}
		if version == 0 && len(recs) == 0 {
			return &ledger.Error{Code: ledger.CodeNotFound, Message: fmt.Sprintf("org %q is not known", x.o.Org)}
		}
		for i := range recs {
			if recs[i].Position > head {
				return nil
			}
			if err := x.add(&recs[i]); err != nil {
				return err
			}
			version = recs[i].Version
		}
		if len(recs) < streamPage {
			return nil
		}
	}
}

func (x *export) write(t table, row []any) error {
	x.out.Rows[t.name]++
	return x.put(t, row)
}

func (x *export) add(r *ledger.Record) error {
	ps := r.Postings()
	if d := x.fold.add(r, ps); d != nil {
		return fmt.Errorf("the log is not sound, run waybill verify: %s", d)
	}
	tr, err := x.traces.fold(r)
	if err != nil {
		return err
	}
	if tr != nil && tr.SettledPosition == r.Position && tr.At >= x.o.Since {
		if err := x.write(requestsTable, requestRow(tr)); err != nil {
			return err
		}
		for _, a := range attempts(r) {
			if err := x.write(attemptsTable, a.row()); err != nil {
				return err
			}
		}
	}
	if r.At < x.o.Since {
		return nil
	}
	for _, e := range entries(r, ps) {
		if err := x.write(entriesTable, e.row()); err != nil {
			return err
		}
	}
	return x.write(eventsTable, eventRow(r))
}

// finish writes what is so at the end: open requests, balances and lots.
func (x *export) finish() error {
	open := make([]*ledger.Trace, 0, len(x.traces.open))
	for _, tr := range x.traces.open {
		if tr.At >= x.o.Since {
			open = append(open, tr)
		}
	}
	slices.SortFunc(open, func(a, b *ledger.Trace) int { return int(a.AdmittedPosition) - int(b.AdmittedPosition) })
	for _, tr := range open {
		if err := x.write(requestsTable, requestRow(tr)); err != nil {
			return err
		}
	}
	if err := x.fold.merge(); err != nil {
		return err
	}
	var balances [][]any
	for b := range x.fold.state.Balances() {
		if x.o.Org != "" && b.Account.Org == "" {
			continue // the house's, of which one org is a part
		}
		balances = append(balances, []any{b.Account.String(), string(b.Unit), b.Amount})
	}
	slices.SortFunc(balances, func(a, b []any) int {
		return strings.Compare(a[0].(string)+" "+a[1].(string), b[0].(string)+" "+b[1].(string))
	})
	for _, row := range balances {
		if err := x.write(balancesTable, row); err != nil {
			return err
		}
	}
	for _, o := range x.fold.state.Orgs() {
		s, _ := x.fold.state.Standing(o.ID)
		for i := range s.Lots {
			if err := x.write(lotsTable, lotRow(o.ID, &s.Lots[i])); err != nil {
				return err
			}
		}
	}
	return nil
}

func lotRow(org string, l *ledger.LotStanding) []any {
	flag := func(b bool) int64 {
		if b {
			return 1
		}
		return 0
	}
	return []any{org, l.ID, int64(l.Amount), int64(l.Left), int64(l.Held), int64(l.Paid), l.Reference,
		flag(l.Promotion), int64(l.Priority), int64(l.Expires), flag(l.Closed), int64(l.Position)}
}

// exportFile makes a database in a temporary file and copies that out.
func exportFile(ctx context.Context, r *Reader, w io.Writer, o ExportOptions) (out Exported, err error) {
	dir, err := os.MkdirTemp("", "waybill-export-")
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "traces.db")
	s, err := newFileSink(ctx, path)
	if err != nil {
		return out, err
	}
	if out, err = exportTo(ctx, r, s, o); err != nil {
		return out, errors.Join(err, s.db.Close())
	}
	if err := s.db.Close(); err != nil {
		return out, err
	}
	f, err := os.Open(path)
	if err != nil {
		return out, err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return out, err
}

// fileSink writes the tables of an export into a database file.
type fileSink struct {
	ctx    context.Context
	db     *sql.DB
	tx     *sql.Tx
	insert map[string]*sql.Stmt
}

func newFileSink(ctx context.Context, path string) (*fileSink, error) {
	// A file that a crash breaks is made again, so nothing is synced.
	db, err := sql.Open("sqlite", dsn(path, map[string][]string{"_pragma": {"journal_mode(OFF)", "synchronous(OFF)"}}))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return &fileSink{ctx: ctx, db: db, insert: map[string]*sql.Stmt{}}, nil
}

func (f *fileSink) begin(tables []table) (err error) {
	if f.tx, err = f.db.BeginTx(f.ctx, nil); err != nil {
		return err
	}
	for _, t := range tables {
		if _, err := f.tx.ExecContext(f.ctx, t.create(SQLite)); err != nil {
			return err
		}
		if f.insert[t.name], err = f.tx.PrepareContext(f.ctx, "INSERT INTO "+t.name+" VALUES (?"+strings.Repeat(", ?", len(t.columns)-1)+")"); err != nil {
			return err
		}
	}
	return nil
}

func (f *fileSink) put(t table, row []any) error {
	_, err := f.insert[t.name].ExecContext(f.ctx, row...)
	return err
}

func (f *fileSink) end() error { return f.tx.Commit() }
