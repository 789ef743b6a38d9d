package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"waybill/ledger"
)

// receipts holds the table causes against the log. A row must name exactly the events of one command and what they record
// of its cause; and there must be as many rows as the log's commands have used up causes.
type receipts struct {
	used int            // causes, by the log
	last *ledger.Record // the one before the next
}

func (c *receipts) add(r *ledger.Record) {
	if c.last == nil || !continues(c.last, r) {
		c.used += len(r.Causes())
	}
	c.last = r
}

// span is a row of causes.
type span struct {
	ledger.Cause
	first, last int64
}

func (c *receipts) compare(ctx context.Context, q querier, head uint64, differ func(Difference)) error {
	rows, spans, err := c.read(ctx, q, head, differ)
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
	if rows < c.used {
		return c.missing(ctx, q, differ)
	}
	return nil
}

// missing names the causes that have no row. It is a look at the whole log, for when it is known that some are missing.
func (c *receipts) missing(ctx context.Context, q querier, differ func(Difference)) error {
	for after := uint64(0); ; {
		recs, err := records(ctx, q, "SELECT "+recordColumns+" FROM events WHERE position > ? ORDER BY position LIMIT 2000", int64(after))
		if err != nil || len(recs) == 0 {
			return err
		}
		for i := range recs {
			r := &recs[i]
			after = r.Position
			for _, cause := range r.Causes() {
				var n int
				if err := q.QueryRowContext(ctx, "SELECT count(*) FROM causes WHERE key = ? AND scope IN (?, ?)", cause.Key, cause.Scope, ledger.Platform).Scan(&n); err != nil {
					return err
				}
				if n == 0 {
					differ(Difference{r.Position, "causes", cause.Scope + " " + cause.Key, "", "there", "missing"})
				}
			}
		}
	}
}

// read goes through the table and leaves the rows that need a look at more than one event.
func (c *receipts) read(ctx context.Context, q querier, head uint64, differ func(Difference)) (n int, spans []span, err error) {
	rows, err := q.QueryContext(ctx, `SELECT c.scope, c.key, c.input, c.first, c.last, coalesce(e.stream, ''), coalesce(e.cause, ''),
		coalesce((b.stream, b.cause) = (e.stream, e.cause), 0) + coalesce((a.stream, a.cause) = (e.stream, e.cause), 0)
		FROM causes c LEFT JOIN events e ON e.position = c.last LEFT JOIN events b ON b.position = c.first - 1
		LEFT JOIN events a ON a.position = c.last + 1`)
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var s span
		var stream, cause string
		var neighbours int // that may be of the same command
		if err := rows.Scan(&s.Scope, &s.Key, &s.Input, &s.first, &s.last, &stream, &cause, &neighbours); err != nil {
			return 0, nil, err
		}
		n++
		switch {
		case s.last < 1 || uint64(s.last) > head:
			differ(s.difference("last", fmt.Sprintf("a position up to %d", head), strconv.FormatInt(s.last, 10)))
		case s.first < 1 || s.first > s.last:
			differ(s.difference("first", fmt.Sprintf("a position up to %d", s.last), strconv.FormatInt(s.first, 10)))
		case s.first != s.last || s.Scope != stream || neighbours > 0 || s.Key+" "+s.Input != cause:
			spans = append(spans, s)
		}
	}
	return n, spans, rows.Err()
}

func (s span) difference(column, want, found string) Difference {
	return Difference{uint64(max(1, min(s.first, s.last))), "causes", s.Scope + " " + s.Key, column, want, found}
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

// misnamed compares the row with the causes that the command's first own event has used up.
func (s span) misnamed(r *ledger.Record) (column, want, found string) {
	used := r.Causes()
	if len(used) == 0 {
		return "key", "no cause", s.Key
	}
	near := used[0]
	for _, c := range used {
		if c == s.Cause {
			return "", "", ""
		}
		if c.Scope == s.Scope {
			near = c
		}
	}
	switch {
	case near.Scope != s.Scope:
		return "scope", near.Scope, s.Scope
	case near.Key != s.Key:
		return "key", near.Key, s.Key
	}
	return "input", near.Input, s.Input
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
	case *ledger.KeyRevoked, *ledger.CredentialDetached, *ledger.OrgErased: // an erasure; else their cause is another
		switch a.Event.(type) {
		case *ledger.KeyRevoked, *ledger.CredentialDetached:
			return true
		}
	}
	return false
}
