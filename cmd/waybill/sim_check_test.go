package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"waybill/ledger"
	"waybill/store"
)

// simBooks is what the simulator knows by itself: from the log as it lies on the disk, and from what it was told.
type simBooks struct {
	head     uint64
	at       ledger.Instant
	requests map[string]*simRequest
	lots     map[string]int64 // by lot: what is left, held or not, in nano-dollars
	bought   []bought         // that were acknowledged
	whole    []simHeld        // answers that a caller holds whole
	said     uint64           // the highest position that anybody was told of
	replica  uint64           // where the replica is known to be
}

// simHeld is a request whose answer a caller holds whole, and a position by which it was settled.
type simHeld struct {
	id string
	by uint64
}

// simRequest is what the log has of a request.
type simRequest struct {
	legs     int
	resolved ledger.Type
	settled  *ledger.RequestSettled
	org      string
	held     map[holding]int64
}

// holding is what a request holds from: a unit, and a period or a lot.
type holding struct {
	unit ledger.Unit
	id   string
}

func (q *simRequest) hold(draws []ledger.Draw, sign int64) {
	for _, d := range draws {
		q.held[holding{d.Unit, d.ID}] += sign * d.Amount
	}
}

// bought is a purchase, the lot that it was answered with, and a position by which it was in the log.
type bought struct {
	org, once, body, lot string
	by                   uint64
}

// again forgets what was read, since the log may be another now.
func (b *simBooks) again(s *sim) {
	b.head, b.at, b.requests, b.lots = 0, 0, map[string]*simRequest{}, map[string]int64{}
	b.read(s)
	if b.head < b.said {
		s.fail("the log ends at %d, and somebody was told of %d", b.head, b.said)
	}
	for _, h := range b.whole {
		if r := b.requests[h.id]; r == nil || r.resolved != "request.settled" {
			s.fail("a caller holds the whole answer to %s, and the log has %+v of it", h.id, r)
		}
	}
	for _, p := range b.bought {
		status, answer := s.control("POST", "/orgs/"+p.org+"/credits", p.body, p.once)
		if lot := lotOf(answer); status/100 != 2 || lot != p.lot {
			s.fail("the purchase %s was acknowledged as %s, and now: %d %s", p.once, p.lot, status, answer)
		}
	}
}

// lose forgets what came after a position: no replica had it.
func (b *simBooks) lose(s *sim, position uint64) {
	b.said = min(b.said, position)
	b.bought = slices.DeleteFunc(b.bought, func(p bought) bool { return p.by > position })
	b.whole = slices.DeleteFunc(b.whole, func(h simHeld) bool { return h.by > position })
	s.calls = slices.DeleteFunc(s.calls, func(x *exchange) bool { return x.by > position })
}

// lotOf is the id of the lot that a purchase is answered with.
func lotOf(answer []byte) string {
	var lot struct{ ID string }
	_ = json.Unmarshal(answer, &lot) // of a refusal there is none
	return lot.ID
}

// read reads what the log has more, from the file and not from the node's memory, and holds each event against those before.
func (b *simBooks) read(s *sim) {
	for {
		recs, err := s.node.store.Page(s.t.Context(), b.head, 500)
		if err != nil {
			s.fail("reading the log: %v", err)
		}
		if len(recs) == 0 {
			return
		}
		for i := range recs {
			b.event(s, &recs[i])
		}
	}
}

func (b *simBooks) event(s *sim, r *ledger.Record) {
	if r.Position != b.head+1 || r.At <= b.at {
		s.fail("event %d of %d follows %d of %d", r.Position, r.At, b.head, b.at)
	}
	b.head, b.at = r.Position, r.At
	b.credit(r.Event)
	id := r.Request()
	if id == "" {
		return
	}
	q := b.requests[id]
	if e, ok := r.Event.(*ledger.RequestAdmitted); ok && (q == nil || q.resolved != "") {
		q = &simRequest{legs: 1, org: r.Stream, held: map[holding]int64{}}
		q.hold(e.Held, 1)
		b.requests[id] = q
		return
	}
	if q == nil || q.resolved != "" {
		s.fail("event %d, %s, is of %s, of which the log has %+v", r.Position, r.Type, id, q)
	}
	switch e := r.Event.(type) {
	case *ledger.RequestAdmitted:
		s.fail("event %d admits %s again", r.Position, id)
	case *ledger.RequestExtended:
		q.legs++
		q.hold(e.Released, -1)
		q.hold(e.Held, 1)
	case *ledger.RequestSettled:
		q.resolved, q.settled, q.held = r.Type, e, nil
	default:
		q.resolved, q.held = r.Type, nil
	}
}

// credit follows what is left of each lot.
func (b *simBooks) credit(e ledger.Event) {
	take := func(draws []ledger.Draw) {
		for _, d := range draws {
			if d.Unit == ledger.USD {
				b.lots[d.ID] -= d.Amount
			}
		}
	}
	switch e := e.(type) {
	case *ledger.CreditPurchased:
		b.lots[e.Lot] += int64(e.Amount)
	case *ledger.CreditExpired:
		b.lots[e.Lot] -= int64(e.Amount)
	case *ledger.CreditRefunded:
		b.lots[e.Lot] -= int64(e.Taken)
	case *ledger.RequestExtended:
		take(e.Expired)
	case *ledger.RequestSettled:
		take(e.Draws)
		take(e.Expired)
	case *ledger.RequestVoided:
		take(e.Expired)
	case *ledger.RequestInterrupted:
		take(e.Draws)
		take(e.Expired)
	}
}

// arrived is told of each call upstream, on its way there.
func (s *sim) arrived(x *exchange) {
	defer s.caught()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.books.read(s)
	id, n, _ := strings.Cut(x.attempt, ".")
	leg, err := strconv.Atoi(n)
	q := s.books.requests[id]
	if err != nil || q == nil || q.resolved != "" || leg > q.legs {
		s.fail("call %q goes upstream, and the log has %+v of it", x.attempt, q)
	}
	for _, c := range s.callers {
		if c.request() == id && c.hasContent() {
			s.fail("call %q goes upstream after its caller has got %q", x.attempt, c.body.String())
		}
	}
	for _, other := range s.calls {
		if other.attempt == x.attempt {
			s.fail("call %q goes upstream twice", x.attempt)
		}
	}
	x.by = s.books.head
	s.calls = append(s.calls, x)
	s.count("calls upstream")
}

// held is told of each answer that looks finished, before its caller has it.
func (s *sim) held(id string) {
	defer s.caught()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.books.read(s)
	if q := s.books.requests[id]; q == nil || q.settled == nil {
		s.fail("the answer to %s ends before the log has its bill: %+v", id, q)
	}
	s.books.whole = append(s.books.whole, simHeld{id, s.books.head})
	s.count("whole answers")
}

// check holds the invariants that hold at any time.
func (s *sim) check() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.books.read(s)
	sums, lots, held := map[ledger.Unit]int64{}, map[string]int64{}, map[string]map[holding]int64{}
	s.node.store.View(func(st *ledger.State) {
		head, _ := st.Head()
		if head != s.books.head {
			s.fail("the node is at %d, and its file at %d", head, s.books.head)
		}
		s.books.said = head
		for b := range st.Balances() {
			sums[b.Unit] += b.Amount
			a := b.Account
			if a.Org == "" || a.Kind == "byok" {
				continue
			}
			if b.Amount < 0 {
				s.fail("%s is at %d %s", a, b.Amount, b.Unit)
			}
			if a.Kind == "credit" {
				lots[a.ID] += b.Amount
			}
			if a.Held {
				if held[a.Org] == nil {
					held[a.Org] = map[holding]int64{}
				}
				held[a.Org][holding{b.Unit, a.ID}] += b.Amount
			}
		}
		open := 0
		for id, q := range s.books.requests {
			if q.resolved == "" {
				open++
				if st.Hold(id) == nil {
					s.fail("%s is open, and not in the node's memory", id)
				}
			}
			for h, n := range q.held {
				if n != 0 {
					held[q.org][h] -= n
				}
			}
		}
		if n := len(st.Holds()); n != open {
			s.fail("%d requests are open in the node's memory, and %d in its log", n, open)
		}
	})
	for unit, sum := range sums {
		if sum != 0 {
			s.fail("the balances in %s sum to %d", unit, sum)
		}
	}
	for lot, left := range s.books.lots {
		if lots[lot] != left {
			s.fail("lot %s has %d nano-dollars, by its events %d", lot, lots[lot], left)
		}
	}
	for org, all := range held {
		for h, n := range all {
			if n != 0 {
				s.fail("%s holds %d %s of %q more than its open requests", org, n, h.unit, h.id)
			}
		}
	}
	s.callers = slices.DeleteFunc(s.callers, func(c *simCaller) bool { return c.ended.Load() })
}

// reconcile holds what the upstreams have served against the log, once nothing is open any more.
func (s *sim) reconcile() {
	served := map[string][]*exchange{}
	for _, x := range s.calls {
		served[x.request()] = append(served[x.request()], x)
	}
	for id, q := range s.books.requests {
		if q.resolved == "" {
			s.fail("request %s is never resolved", id)
		}
		if n := len(served[id]); n > q.legs {
			s.fail("%d calls were made for %s, and %d admitted", n, id, q.legs)
		}
	}
	for id, all := range served {
		q := s.books.requests[id]
		if q == nil {
			s.fail("the upstream has served %s, of which the log has nothing", id)
		}
		if q.settled == nil || q.settled.Source != ledger.UsageProvider {
			continue
		}
		i := slices.IndexFunc(all, func(x *exchange) bool { return x.attempt == fmt.Sprintf("%s.%d", id, q.settled.Leg) })
		if i < 0 {
			s.fail("leg %d of %s is settled, and no call was made for it", q.settled.Leg, id)
		}
		u, t := q.settled.Usage, all[i].tokens
		if u.InputTotal() != int64(t.Input+t.CacheRead+t.CacheWrite+t.CacheWriteLong) || u.Output != int64(t.Output) {
			s.fail("%s is settled at %+v, and the upstream has counted %+v", id, u, t)
		}
	}
}

// verify folds the whole log again, as waybill verify does.
func (s *sim) verify() {
	r, err := store.OpenReader(s.t.Context(), s.conf.data)
	if err != nil {
		s.fail("%v", err)
	}
	defer r.Close()
	res, err := store.Verify(s.t.Context(), r, store.VerifyOptions{})
	if err != nil || res.First() != nil {
		s.fail("verify: %v %v", err, res.First())
	}
	s.tell("the log ends at %s", res.Head)
}
