package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"waybill/ledger"
)

// receipts holds the table causes against the log. A row must name exactly the events of one command, with the cause that
// they record; every payment must have its row. Which other causes were a caller's own, and what was asked under them, is in no
// event: such a row's absence and its input cannot be told.
type receipts struct {
	payments map[string]uint64 // by reference, where it was credited or returned
}

func newReceipts() *receipts { return &receipts{payments: map[string]uint64{}} }

func (c *receipts) add(r *ledger.Record) {
	if ref := reference(r.Event); ref != "" {
		c.payments[ref] = r.Position
	}
}

func reference(e ledger.Event) string {
	switch e := e.(type) {
	case *ledger.CreditPurchased:
		return e.Reference
	case *ledger.CreditRefunded:
		return e.Reference
	}
	return ""
}

// span is a row of causes.
type span struct {
	scope, key  string
	first, last int64
}

func (c *receipts) compare(ctx context.Context, q querier, head uint64, differ func(Difference)) error {
	spans, err := c.read(ctx, q, head, differ)
	if err != nil {
		return err
	}
	for _, s := range spans {
		recs, err := records(ctx, q, "SELECT "+recordColumns+" FROM events WHERE position BETWEEN ? AND ? ORDER BY position", s.first-1, s.last+1)
		if err != nil {
			return err
		}
		if column, want, found := s.wrong(recs); column != "" {
			differ(s.difference(column, want, found))
		}
	}
	for ref, position := range c.payments {
		differ(Difference{position, "causes", "payment " + ref, "", "there", "missing"})
	}
	return nil
}

// read goes through the table and leaves the rows that need a look at more than one event.
func (c *receipts) read(ctx context.Context, q querier, head uint64, differ func(Difference)) (spans []span, err error) {
	rows, err := q.QueryContext(ctx, `SELECT c.scope, c.key, c.first, c.last, coalesce(e.stream, ''), coalesce(e.cause, ''),
		coalesce((b.stream, b.cause) = (e.stream, e.cause), 0) + coalesce((a.stream, a.cause) = (e.stream, e.cause), 0)
		FROM causes c LEFT JOIN events e ON e.position = c.last LEFT JOIN events b ON b.position = c.first - 1
		LEFT JOIN events a ON a.position = c.last + 1`)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var s span
		var stream, cause string
		var neighbours int // that may be of the same command
		if err := rows.Scan(&s.scope, &s.key, &s.first, &s.last, &stream, &cause, &neighbours); err != nil {
			return nil, err
		}
		if s.scope == "payment" {
			delete(c.payments, s.key)
		}
		switch {
		case s.last < 1 || uint64(s.last) > head:
			differ(s.difference("last", fmt.Sprintf("a position up to %d", head), strconv.FormatInt(s.last, 10)))
		case s.first < 1 || s.first > s.last:
			differ(s.difference("first", fmt.Sprintf("a position up to %d", s.last), strconv.FormatInt(s.first, 10)))
		case s.first != s.last || s.scope != stream || neighbours > 0:
			spans = append(spans, s)
		case s.key != cause:
			differ(s.difference("key", cause, s.key))
		}
	}
	return spans, rows.Err()
}

func (s span) difference(column, want, found string) Difference {
	return Difference{uint64(max(1, min(s.first, s.last))), "causes", s.scope + " " + s.key, column, want, found}
}

// wrong compares a row with the records of its span and one neighbour on either side.
func (s span) wrong(recs []ledger.Record) (column, want, found string) {
	var before, after *ledger.Record
	if s.first > 1 {
		before, recs = &recs[0], recs[1:]
	}
	if n := len(recs); recs[n-1].Position > uint64(s.last) {
		after, recs = &recs[n-1], recs[:n-1]
	}
	// What fell due in the stream before the command is part of its receipt.
	own := recs
	for len(own) > 1 && own[0].Actor == "waybill" && own[0].Cause == "due" {
		own = own[1:]
	}
	last := &own[len(own)-1]
	for i := range recs {
		if recs[i].Stream != last.Stream {
			return "first", "the first event of the command that ends at " + strconv.FormatInt(s.last, 10), strconv.FormatInt(s.first, 10)
		}
	}
	for i := range own[1:] {
		if !continues(&own[i], &own[i+1]) {
			return "first", strconv.FormatUint(own[i+1].Position, 10), strconv.FormatInt(s.first, 10)
		}
	}
	if before != nil && continues(before, &own[0]) {
		return "first", strconv.FormatUint(before.Position, 10), strconv.FormatInt(s.first, 10)
	}
	if after != nil && continues(last, after) {
		return "last", strconv.FormatUint(after.Position, 10), strconv.FormatInt(s.last, 10)
	}
	return s.misnamed(&own[0])
}

// misnamed compares scope and key with the first event that the command itself led to.
func (s span) misnamed(r *ledger.Record) (column, want, found string) {
	scope := r.Stream
	if r.Type == (&ledger.OrgOpened{}).Type() {
		scope = ledger.Platform
	}
	switch {
	case s.scope == "payment":
		if ref := reference(r.Event); ref != s.key {
			return "key", strconv.Quote(ref), s.key
		}
	case s.scope != scope:
		return "scope", scope, s.scope
	case s.key != r.Cause:
		return "key", r.Cause, s.key
	}
	return "", "", ""
}

// continues tells whether b came from the same command as a.
func continues(a, b *ledger.Record) bool {
	if a.Stream != b.Stream || a.Actor != b.Actor || a.Cause != b.Cause {
		return false
	}
	switch b.Event.(type) {
	case *ledger.PlanSubscribed:
		_, ok := a.Event.(*ledger.OrgOpened)
		return ok
	case *ledger.PeriodOpened:
		_, ok := a.Event.(*ledger.PlanSubscribed)
		return ok
	case *ledger.OrgSuspended:
		_, ok := a.Event.(*ledger.CreditRefunded)
		return ok
	}
	return false
}
