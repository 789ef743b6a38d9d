package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
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
	epoch    uint64
	requests map[string]*simRequest
	keys     map[string][]string // by org and Idempotency-Key: the requests that were admitted under it
	money    simMoney
	bought   []bought   // that were acknowledged
	returned []returned // likewise
	whole    []simHeld  // answers that a caller holds whole
	said     uint64     // the highest position that anybody was told of
	replica  uint64     // where the replica is known to be
}

// simHeld is a request whose answer a caller holds whole, under which key it was asked, and a position by which it was settled.
type simHeld struct {
	id, once string
	by       uint64
}

// simRequest is what the log has of a request.
type simRequest struct {
	legs     int
	leg      ledger.Leg // the latest
	at       ledger.Instant
	resolved ledger.Type
	settled  *ledger.RequestSettled
	org      string
	held     map[pot]int64
}

func (q *simRequest) hold(draws []ledger.Draw) {
	q.held = map[pot]int64{}
	for _, d := range draws {
		q.held[pot{q.org, d.Unit, d.ID}] += d.Amount
	}
}

// bought is a purchase, the lot that it was answered with, and a position by which it was in the log.
type bought struct {
	org, id, once, body, lot string
	amount                   ledger.Nano
	by                       uint64
}

// returned is a refund, likewise.
type returned struct {
	reference string
	by        uint64
}

// again forgets what was read, since the log may be another now.
func (b *simBooks) again(s *sim) {
	b.head, b.at, b.epoch, b.requests, b.keys = 0, 0, 1, map[string]*simRequest{}, map[string][]string{}
	b.money.clear()
	b.read(s)
	if b.head < b.said {
		s.fail("the log ends at %d, and somebody was told of %d", b.head, b.said)
	}
	for _, h := range b.whole {
		if r := b.requests[h.id]; r == nil || r.resolved != "request.settled" {
			s.fail("a caller holds the whole answer to %s, and the log has %+v of it", h.id, r)
		}
	}
	for _, r := range b.returned {
		if !b.money.back[r.reference] {
			s.fail("the refund %s was acknowledged, and the log has none", r.reference)
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
	b.returned = slices.DeleteFunc(b.returned, func(r returned) bool { return r.by > position })
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
	b.value(s, r)
	if e, ok := r.Event.(*ledger.LogRestored); ok {
		if e.Epoch != b.epoch+1 || e.From != r.Position-1 {
			s.fail("event %d begins epoch %d from %d on, in epoch %d", r.Position, e.Epoch, e.From, b.epoch)
		}
		b.epoch = e.Epoch
	}
	id := r.Request()
	if id == "" {
		return
	}
	q := b.requests[id]
	if e, ok := r.Event.(*ledger.RequestAdmitted); ok && (q == nil || q.resolved != "") {
		b.once(s, r, id)
		q = &simRequest{legs: 1, leg: e.Leg, at: r.At, org: r.Stream}
		q.hold(e.Held)
		b.requests[id] = q
		b.solvent(s, r, q)
		return
	}
	if q == nil || q.resolved != "" || q.org != r.Stream {
		s.fail("event %d, %s of %s, is of %s, of which the log has %+v", r.Position, r.Type, r.Stream, id, q)
	}
	switch e := r.Event.(type) {
	case *ledger.RequestAdmitted:
		s.fail("event %d admits %s again", r.Position, id)
	case *ledger.RequestExtended:
		q.legs++
		q.leg, q.at = e.Leg, r.At
		q.hold(e.Held)
		b.takes(s, r, nil, e.Expired)
		b.solvent(s, r, q)
	case *ledger.RequestSettled:
		b.billed(s, r, q, e)
		q.resolved, q.settled, q.held = r.Type, e, nil
		b.takes(s, r, e.Draws, e.Expired)
	case *ledger.RequestVoided:
		q.resolved, q.held = r.Type, nil
		b.takes(s, r, nil, e.Expired)
	case *ledger.RequestInterrupted:
		all := map[pot]int64{}
		for _, d := range e.Draws {
			all[pot{r.Stream, d.Unit, d.ID}] += d.Amount
		}
		if e.Rule != s.conf.recovery || e.Rule == ledger.RuleVoid && len(all) > 0 || e.Rule == ledger.RuleCaptureHeld && !maps.Equal(all, q.held) {
			s.fail("event %d takes %v by the rule %s, in place of %s: held was %v", r.Position, e.Draws, e.Rule, s.conf.recovery, q.held)
		}
		q.resolved, q.held = r.Type, nil
		b.takes(s, r, e.Draws, e.Expired)
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
	if _, n, _ := bytes.Cut(x.body, []byte(simPrompt)); !bytes.HasPrefix(n, fmt.Appendf(nil, "%s ", s.orgOf(q.org).name)) {
		s.fail("call %q goes upstream for %s, and says %s", x.attempt, q.org, n)
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
func (s *sim) held(c *simCaller) {
	id := c.id
	defer s.caught()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.books.read(s)
	if q := s.books.requests[id]; q == nil || q.settled == nil {
		s.fail("the answer to %s ends before the log has its bill: %+v", id, q)
	}
	h := simHeld{id, c.org.name + " " + c.once, s.books.head}
	for _, other := range s.books.whole {
		if c.once != "" && other.once == h.once {
			s.fail("callers hold two answers under the key %q: %s and %s", h.once, other.id, id)
		}
	}
	s.books.whole = append(s.books.whole, h)
	s.count("whole answers")
}

// check holds the invariants that hold at any time.
func (s *sim) check() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.books.read(s)
	for _, c := range s.callers {
		if c.ended.Load() && c.status == http.StatusInternalServerError && c.life == s.life {
			s.fail("a call of %s is answered with %s", c.org.name, c.body.String())
		}
	}
	sums, left, held := map[ledger.Unit]int64{}, map[pot]int64{}, map[pot]int64{}
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
			p := pot{a.Org, b.Unit, a.ID}
			left[p] += b.Amount
			if a.Held {
				held[p] += b.Amount
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
			for p, n := range q.held {
				held[p] -= n
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
	for p, n := range s.books.money.left {
		if left[p] != n {
			s.fail("%s has %d %s of %q, by its events %d", p.org, left[p], p.unit, p.id, n)
		}
	}
	for p, n := range held {
		if n != 0 {
			s.fail("%s holds %d %s of %q more than its open requests", p.org, n, p.unit, p.id)
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
