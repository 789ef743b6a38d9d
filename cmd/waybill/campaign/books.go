package campaign

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"waybill/ledger"
	"waybill/router/sandbox"
	"waybill/store"
)

// books are what a log says of calls and purchases, read from its file, and where it does not agree with what others know.
type books struct {
	head     uint64
	last     [16]byte // id of the event there
	requests map[string]*request
	lots     map[string]lot // by payment reference
	open     int            // requests
	cut      int            // requests that a crash has interrupted

	differences []string
}

type lot struct {
	id string
	at uint64
}

// request is what the log has of one.
type request struct {
	legs int
	end  ledger.Event // nil: it is open
	at   uint64       // position of the end; 0: it is open
}

func newBooks() *books { return &books{requests: map[string]*request{}, lots: map[string]lot{}} }

func (b *books) differ(format string, args ...any) {
	b.differences = append(b.differences, fmt.Sprintf(format, args...))
}

// read reads on in the log of a folder. What was read of it before must still be there.
func (b *books) read(ctx context.Context, dir string) error {
	r, err := store.OpenReader(ctx, dir)
	if err != nil {
		return err
	}
	defer r.Close()
	if b.head > 0 {
		recs, err := r.Page(ctx, b.head-1, 1)
		if err != nil {
			return err
		}
		if len(recs) == 0 || recs[0].Position != b.head || recs[0].ID != b.last {
			b.differ("the log had an event %d, and has it no more", b.head)
		}
	}
	for {
		page, err := r.Page(ctx, b.head, 5000)
		if err != nil || len(page) == 0 {
			return err
		}
		for i := range page {
			b.event(&page[i])
		}
	}
}

func (b *books) event(r *ledger.Record) {
	if r.Position != b.head+1 {
		b.differ("event %d follows event %d", r.Position, b.head)
	}
	b.head, b.last = r.Position, r.ID
	if e, ok := r.Event.(*ledger.CreditPurchased); ok {
		if old, twice := b.lots[e.Reference]; twice {
			b.differ("the payment %s is booked twice, as %s and %s", e.Reference, old.id, e.Lot)
		}
		b.lots[e.Reference] = lot{e.Lot, r.Position}
	}
	id := r.Request()
	if id == "" {
		return
	}
	q := b.requests[id]
	switch e := r.Event.(type) {
	case *ledger.RequestAdmitted:
		if q != nil {
			b.differ("event %d admits %s again", r.Position, id)
			return
		}
		b.requests[id] = &request{legs: 1}
		b.open++
	case *ledger.RequestExtended:
		if q == nil || q.end != nil {
			b.differ("event %d extends %s, which is not open", r.Position, id)
			return
		}
		q.legs++
	case *ledger.RequestSettled, *ledger.RequestVoided, *ledger.RequestInterrupted:
		if q == nil || q.end != nil {
			b.differ("event %d, %s, resolves %s, which is not open", r.Position, r.Type, id)
			return
		}
		q.end, q.at = e, r.Position
		b.open--
		if r.Type == "request.interrupted" {
			b.cut++
		}
	}
}

// resolved wants every request to have ended.
func (b *books) resolved() {
	if b.open == 0 {
		return
	}
	for id, q := range b.requests {
		if q.end == nil {
			b.differ("%s is open", id)
		}
	}
}

// served holds the upstreams' record against the log, and tells whether there is a call that had ended upstream when the
// process did, and was not settled.
func (b *books) served(calls []sandbox.Call) (between bool) {
	for i := range calls {
		c := &calls[i]
		id, n, _ := strings.Cut(c.Attempt, ".")
		q := b.requests[id]
		if q == nil {
			b.differ("the upstream has served %s, and the log has no admission", c.Attempt)
			continue
		}
		leg := 0
		if _, err := fmt.Sscan(n, &leg); err != nil || leg < 1 || leg > q.legs {
			b.differ("the upstream has served %s, and the log has %d legs of it", c.Attempt, q.legs)
		}
		t := ledger.Usage{Input: int64(c.Tokens.Input), CacheRead: int64(c.Tokens.CacheRead), CacheWrite: int64(c.Tokens.CacheWrite),
			CacheWriteLong: int64(c.Tokens.CacheWriteLong), Output: int64(c.Tokens.Output), Reasoning: int64(c.Tokens.Reasoning)}
		switch e := q.end.(type) {
		case *ledger.RequestSettled:
			if e.Leg == leg && e.Source == ledger.UsageProvider && e.Usage != t {
				b.differ("%s is settled at %+v, and the upstream has served %+v", id, e.Usage, t)
			}
		case *ledger.RequestInterrupted:
			between = between || c.Ended && (c.Outcome == sandbox.Completed || c.Outcome == sandbox.Hung)
			if e.Leg.N == leg && (t.InputTotal() > e.Leg.Input || t.Output > e.Leg.Output) {
				b.differ("the upstream has served %+v for %s, beyond its bound %+v", t, id, e.Leg)
			}
		}
	}
	return between
}

// held holds the log against what callers hold: answers and acknowledged purchases.
func (b *books) held(l *Load) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, a := range l.whole {
		q := b.requests[id]
		if q == nil {
			b.differ("a caller holds the whole answer to %s, of which the log has nothing", id)
			continue
		}
		e, ok := q.end.(*ledger.RequestSettled)
		if !ok {
			b.differ("a caller holds the whole answer to %s, and the log has %T", id, q.end)
			continue
		}
		u := e.Usage
		if a.counted && (a.input != u.InputTotal() || a.output != u.Output || a.thinks && a.reasoning != u.Reasoning) {
			b.differ("the answer to %s shows %d tokens in and %d out, %d of them reasoning, and is settled at %+v", id, a.input, a.output, a.reasoning, u)
		}
	}
	for _, p := range l.bought {
		if is := b.lots[p.reference]; is.id != p.lot {
			b.differ("the purchase %s was acknowledged as lot %s, and the log has %q", p.reference, p.lot, is.id)
		}
	}
	b.differences = append(b.differences, l.differences...)
	l.differences = nil
}

// Reconcile holds the log of a folder against calls of the upstreams' record and against what the callers of a load hold, and
// gives what does not agree.
func Reconcile(ctx context.Context, dir string, calls []sandbox.Call, l *Load) (differences []string, err error) {
	b := newBooks()
	if err := b.read(ctx, dir); err != nil {
		return nil, err
	}
	b.resolved()
	b.served(calls)
	b.held(l)
	return b.differences, nil
}

// Forget takes off the callers' hands the answers to some requests: what the log had of them is lost with its disk.
func (l *Load) Forget(requests []string) (answers int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range requests {
		if _, ok := l.whole[id]; ok {
			delete(l.whole, id)
			answers++
		}
	}
	return answers
}

// forget takes off their hands what a log has after a position, but for what durability has kept from them until a replica had it.
func (l *Load) forget(b *books, position uint64, durability string) (answers, purchases int) {
	if durability == "replicated" {
		return 0, 0
	}
	var lost []string
	for id, q := range b.requests {
		if q.at > position {
			lost = append(lost, id)
		}
	}
	answers = l.Forget(lost)
	if durability == "money" {
		return answers, 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	had := len(l.bought)
	l.bought = slices.DeleteFunc(l.bought, func(p purchase) bool { return b.lots[p.reference].at > position })
	return answers, had - len(l.bought)
}
