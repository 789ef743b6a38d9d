package store

import (
	"context"
	"errors"
	"strings"

	"waybill/ledger"
)

// RequestQuery asks for requests, the newest first. Empty fields do not filter.
type RequestQuery struct {
	Org    string
	Key    string
	State  string // admitted, settled, voided, interrupted
	Model  string // provider/id, as it answered
	Since  ledger.Instant
	Before uint64 // admitted before this position: the AdmittedPosition of the last row of the page before; 0 starts
	Limit  int
}

// Requests gives a page of requests.
func (r *Reports) Requests(ctx context.Context, q RequestQuery) ([]ledger.Trace, error) {
	w := where{}
	w.when(q.Org != "", "org = ?", q.Org)
	w.when(q.Key != "", "key = ?", q.Key)
	w.when(q.State != "", "state = ?", q.State)
	w.when(q.Model != "", "model = ?", q.Model)
	w.when(q.Since != 0, "at >= ?", int64(q.Since))
	w.when(q.Before != 0, "admitted_position < ?", int64(q.Before))
	return r.newest(ctx, w, q.Limit)
}

// newest gives the newest requests of which conditions hold.
func (r *Reports) newest(ctx context.Context, w where, limit int) (ts []ledger.Trace, err error) {
	rows, err := r.read.QueryContext(ctx, "SELECT "+requestsTable.names()+" FROM requests"+w.String()+" ORDER BY admitted_position DESC LIMIT ?", w.with(limit)...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		t, err := scanTrace(rows)
		if err != nil {
			return nil, err
		}
		ts = append(ts, *t)
	}
	return ts, rows.Err()
}

// RequestDetail is all there is to tell of one request.
type RequestDetail struct {
	ledger.Trace
	Tried   []Attempt
	Entries []Entry
	Records []ledger.Record // its events, as they stand in the log
}

// Request gives one request of an org, or of any if that is empty, by its id or by one that an upstream gave to its answer; or a
// not-found error.
func (r *Reports) Request(ctx context.Context, org, id string) (RequestDetail, error) {
	t, err := r.named(ctx, org, id)
	if err != nil {
		return RequestDetail{}, err
	}
	d := RequestDetail{Trace: *t}
	positions, err := r.positions(ctx, t)
	if err != nil {
		return d, err
	}
	for _, p := range positions {
		recs, err := r.pages.Page(ctx, p-1, 1)
		if err != nil {
			return d, err
		}
		d.Records = append(d.Records, recs...)
	}
	for i := range d.Records {
		rec := &d.Records[i]
		d.Tried = append(d.Tried, attempts(rec)...)
		d.Entries = append(d.Entries, entries(rec, rec.Postings())...)
	}
	return d, nil
}

// mostNamesakes bounds the requests that are told of one upstream's id.
const mostNamesakes = 5

// byUpstream is the condition of a request to one of whose attempts an upstream has given an id.
const byUpstream = "id IN (SELECT request FROM attempts WHERE upstream_id = ? AND upstream_id <> '')"

// named finds a request. That an upstream gives many answers one id is told, and none of them is taken for the one that is meant.
func (r *Reports) named(ctx context.Context, org, id string) (*ledger.Trace, error) {
	for _, by := range []string{"id = ?", byUpstream} {
		w := where{}
		w.when(true, by, id)
		w.when(org != "", "+org = ?", org) // not by its index: an org has many requests
		ts, err := r.newest(ctx, w, mostNamesakes)
		switch {
		case err != nil:
			return nil, err
		case len(ts) > 1 && ts[0].ID != ts[len(ts)-1].ID:
			names := make([]string, len(ts))
			for i, t := range ts {
				names[i] = t.ID
			}
			return nil, &ledger.Error{Code: ledger.CodeConflict, Message: "upstreams have given the id " + id + " to several answers: name one request of them, the newest being " + strings.Join(names, ", ")}
		case len(ts) > 0:
			return &ts[0], nil
		}
	}
	return nil, &ledger.Error{Code: ledger.CodeNotFound, Message: "request " + id + " is not known"}
}

// positions is where the events of a request stand in the log.
func (r *Reports) positions(ctx context.Context, t *ledger.Trace) (ps []uint64, err error) {
	ps = append(ps, t.AdmittedPosition)
	rows, err := r.read.QueryContext(ctx, "SELECT position FROM extensions WHERE request = ? AND position > ? ORDER BY position", t.ID, int64(t.AdmittedPosition))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var p uint64
		if err := rows.Scan(&p); err != nil {
			return nil, err
		}
		ps = append(ps, p)
	}
	if t.SettledPosition != 0 {
		ps = append(ps, t.SettledPosition)
	}
	return ps, rows.Err()
}

// EntryQuery asks for the entries of an org, the newest first. Empty fields do not filter.
type EntryQuery struct {
	Org     string
	Account string // as ledger.Account shows it
	Since   ledger.Instant
	Before  uint64 // a position: that of the last entry of the page before; 0 starts
	Limit   int    // of entries, each whole
}

// Entries gives a page of entries, their postings in order.
func (r *Reports) Entries(ctx context.Context, q EntryQuery) (es []Entry, err error) {
	w := where{}
	w.when(true, "org = ?", q.Org)
	w.when(q.Account != "", "account = ?", q.Account)
	w.when(q.Since != 0, "at >= ?", int64(q.Since))
	w.when(q.Before != 0, "position < ?", int64(q.Before))
	rows, err := r.read.QueryContext(ctx, "SELECT "+entriesTable.names()+" FROM entries WHERE position IN (SELECT DISTINCT position FROM entries"+
		w.String()+" ORDER BY position DESC LIMIT ?) ORDER BY position DESC, line", w.with(q.Limit)...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var e Entry
		if err := rows.Scan(&e.Position, &e.Line, &e.Org, &e.Account, &e.Unit, &e.Amount, &e.Type, &e.At, &e.Request); err != nil {
			return nil, err
		}
		es = append(es, e)
	}
	return es, rows.Err()
}

// UsageQuery asks for sums of an org's requests.
type UsageQuery struct {
	Org      string
	By       string // day, model or key
	From, To string // days as YYYY-MM-DD, both inclusive; empty for all
}

// Usage gives the sums, each day's, model's or key's apart, and what ran on the org's own credentials apart from the rest.
func (r *Reports) Usage(ctx context.Context, q UsageQuery) (us []UsageRow, err error) {
	column := map[string]string{"day": "day", "model": "model", "key": "key"}[q.By]
	if column == "" {
		return nil, &ledger.Error{Code: ledger.CodeInvalid, Message: "usage is summed by day, model or key"}
	}
	w := where{}
	w.when(true, "org = ?", q.Org)
	w.when(q.From != "", "day >= ?", q.From)
	w.when(q.To != "", "day <= ?", q.To)
	rows, err := r.read.QueryContext(ctx, "SELECT "+column+", kind, sum(requests), sum(settled), sum(input_tokens), sum(cache_read_tokens),"+
		" sum(cache_write_tokens), sum(output_tokens), sum(reasoning_tokens), sum(plan_tokens), sum(charge_nano), sum(list_cost_nano),"+
		" sum(skipped_nano), sum(overage_nano) FROM usage_daily"+w.String()+" GROUP BY 1, 2 ORDER BY 1, 2", w.args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var u UsageRow
		var by string
		n := &u.Usage
		if err := rows.Scan(&by, &u.Kind, &u.Requests, &u.Settled, &n.Input, &n.CacheRead, &n.CacheWrite, &n.Output, &n.Reasoning,
			&u.PlanTokens, &u.Charge, &u.ListCost, &u.Skipped, &u.Overage); err != nil {
			return nil, err
		}
		*map[string]*string{"day": &u.Day, "model": &u.Model, "key": &u.Key}[column] = by
		us = append(us, u)
	}
	return us, rows.Err()
}

// where gathers the conditions of a query.
type where struct {
	conditions []string
	args       []any
}

func (w *where) when(is bool, condition string, arg any) {
	if is {
		w.conditions = append(w.conditions, condition)
		w.args = append(w.args, arg)
	}
}

func (w *where) with(args ...any) []any { return append(w.args, args...) }

func (w *where) String() string {
	if len(w.conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.conditions, " AND ")
}
