package store

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"maps"
	"slices"
	"strings"

	"waybill/ledger"
)

// step folds one batch in one transaction, and gives the number of its events: 0 once the reports are at the head.
func (r *Reports) step(ctx context.Context) (n int, err error) {
	r.stepping.Lock()
	defer r.stepping.Unlock()
	defer func() {
		if err != nil {
			r.traces.open = map[string]*ledger.Trace{} // it may be ahead of what was committed
		}
	}()
	after := r.Position()
	recs, err := r.pages.Page(ctx, after, reportBatch)
	if err != nil || len(recs) == 0 {
		return 0, err
	}
	// The transaction outlives ctx: were it rolled back from the side, what the connection's own statements have still to
	// write would be committed row by row.
	ctx = context.WithoutCancel(ctx)
	tx, err := r.pinned.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	var position uint64
	if err := tx.QueryRowContext(ctx, "SELECT position FROM checkpoint").Scan(&position); err != nil {
		return 0, err
	}
	if position != after { // another process has been here
		r.traces.open = map[string]*ledger.Trace{}
		r.moveTo(position)
		return len(recs), nil
	}
	if err := r.fold(ctx, tx, recs); err != nil {
		return 0, err
	}
	last := &recs[len(recs)-1]
	if _, err := tx.ExecContext(ctx, "UPDATE checkpoint SET position = ?, event = ?", int64(last.Position), last.ID[:]); err != nil {
		return 0, err
	}
	if err := tx.Commit(); err != nil {
		return 0, err
	}
	r.moveTo(last.Position)
	return len(recs), nil
}

// fold writes the rows that the records lead to. A request that is admitted and resolved in one batch is written once.
func (r *Reports) fold(ctx context.Context, tx *sql.Tx, recs []ledger.Record) error {
	w := &batch{insert: r.insert, rows: map[string][]driver.Value{}}
	r.traces.lookup = func(request string) (*ledger.Trace, error) {
		return traceByID(ctx, tx, request)
	}
	touched := map[uint64]*ledger.Trace{}
	usage := map[usageKey]*UsageRow{}
	for i := range recs {
		rec := &recs[i]
		for _, e := range entries(rec, rec.Postings()) {
			w.put(entriesTable, e.row())
		}
		tr, err := r.traces.fold(rec)
		if err != nil {
			return err
		}
		if tr == nil {
			continue
		}
		touched[tr.AdmittedPosition] = tr
		for _, a := range attempts(rec) {
			w.put(attemptsTable, a.row())
		}
		switch rec.Position {
		case tr.AdmittedPosition:
		case tr.SettledPosition:
			k := usageOf(tr, rec.At)
			if usage[k] == nil {
				usage[k] = &UsageRow{}
			}
			usage[k].add(tr)
		default:
			w.put(extensionsTable, []any{int64(rec.Position), tr.ID})
		}
	}
	for _, at := range slices.Sorted(maps.Keys(touched)) {
		w.put(requestsTable, requestRow(touched[at]))
	}
	for _, k := range slices.SortedFunc(maps.Keys(usage), usageKey.compare) {
		w.put(usageTable, usage[k].row(k))
	}
	// The statements are the connection's own, below database/sql: they run in the transaction that is open on it.
	return r.pinned.Raw(func(any) error { return w.write() })
}

func (k usageKey) compare(o usageKey) int {
	return cmp.Or(cmp.Compare(k.day, o.day), cmp.Compare(k.org, o.org), cmp.Compare(k.key, o.key),
		cmp.Compare(k.model, o.model), cmp.Compare(k.kind, o.kind))
}

// batch gathers the values of rows by table, and writes them many rows to a statement.
type batch struct {
	insert map[string]inserts
	rows   map[string][]driver.Value
}

func (b *batch) put(t table, row []any) {
	values := b.rows[t.name]
	for _, v := range row {
		values = append(values, v)
	}
	b.rows[t.name] = values
}

func (b *batch) write() error {
	for name, values := range b.rows {
		if err := b.insert[name].exec(values); err != nil {
			return err
		}
	}
	return nil
}

// upsert is the statement that writes so many rows: usage adds up, anything else replaces.
func (t table) upsert(rows int) string {
	s := insertOf(t.name, t.names(), len(t.columns), rows)
	if t.name != usageTable.name {
		return strings.Replace(s, "INSERT", "INSERT OR REPLACE", 1)
	}
	var sets []string
	for _, c := range t.columns {
		switch {
		case c.text:
		case c.name == "position":
			sets = append(sets, "position = excluded.position")
		default:
			sets = append(sets, c.name+" = "+c.name+" + excluded."+c.name)
		}
	}
	return s + " ON CONFLICT DO UPDATE SET " + strings.Join(sets, ", ")
}

// traceByID gives the latest request of an id, nil if there is none.
func traceByID(ctx context.Context, q querier, id string) (*ledger.Trace, error) {
	t, err := scanTrace(q.QueryRowContext(ctx, "SELECT * FROM requests WHERE id = ? ORDER BY admitted_position DESC LIMIT 1", id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return t, err
}

// scanTrace reads a row of requests. Both kinds of cache write come back as one.
func scanTrace(row interface{ Scan(...any) error }) (*ledger.Trace, error) {
	t := new(ledger.Trace)
	u := &t.Usage
	return t, row.Scan(&t.ID, &t.Org, &t.Key, &t.At, &t.State, &t.Dialect, &t.Lane, &t.Asked,
		&t.Provider, &t.Model, &t.Kind, &t.Attempts, &u.Input, &u.CacheRead, &u.CacheWrite,
		&u.Output, &u.Reasoning, &t.UsageSource, &t.PlanTokens, &t.Charge, &t.ListCost,
		&t.Skipped, &t.SkipReason, &t.Overage, &t.FirstByte, &t.Duration, &t.Finish,
		&t.UpstreamID, &t.Reason, &t.AdmittedPosition, &t.SettledPosition)
}
