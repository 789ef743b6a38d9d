package main

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"waybill/ledger"
)

// pot is what an org draws from: a lot, the allowance of a period, its free messages.
type pot struct {
	org  string
	unit ledger.Unit
	id   string
}

// simMoney is what the events say of money, counted in the simulator's own way.
type simMoney struct {
	left    map[pot]int64 // held or not
	ends    map[pot]ledger.Instant
	closed  map[pot]bool
	paid    map[string]string // by the reference of a payment: the lot
	back    map[string]bool   // references of refunds
	periods map[string]ledger.Period
}

func (m *simMoney) clear() {
	*m = simMoney{map[pot]int64{}, map[pot]ledger.Instant{}, map[pot]bool{}, map[string]string{}, map[string]bool{}, map[string]ledger.Period{}}
}

// held is what open requests hold of a pot.
func (b *simBooks) held(p pot) (n int64) {
	for _, q := range b.requests {
		n += q.held[p]
	}
	return n
}

// value follows what an event moves, and holds it against what there was.
func (b *simBooks) value(s *sim, r *ledger.Record) {
	m := &b.money
	switch e := r.Event.(type) {
	case *ledger.PeriodOpened:
		if old := (pot{r.Stream, ledger.Tok, e.Closes}); e.Closes != "" {
			b.lapses(s, r, old, e.Expired)
		}
		p := pot{r.Stream, ledger.Tok, e.ID}
		m.left[p], m.ends[p], m.periods[r.Stream] = e.Tokens, e.End, e.Period
		m.left[pot{r.Stream, ledger.Msg, ""}] += e.Messages
	case *ledger.CreditPurchased:
		asked := s.asked[e.Reference]
		if m.paid[e.Reference] != "" || asked == nil || asked.id != r.Stream || asked.amount != e.Amount {
			s.fail("event %d: payment %s buys %s for %s in lot %s; asked for was %+v, and it bought %q before", r.Position, e.Reference, e.Amount, r.Stream, e.Lot, asked, m.paid[e.Reference])
		}
		m.paid[e.Reference] = e.Lot
		p := pot{r.Stream, ledger.USD, e.Lot}
		m.left[p], m.ends[p] = int64(e.Amount), e.Expires
	case *ledger.CreditExpired:
		p := pot{r.Stream, ledger.USD, e.Lot}
		if m.ends[p] == 0 || r.At < m.ends[p] {
			s.fail("event %d of %s has lot %s expire, which ends at %s", r.Position, r.At, e.Lot, m.ends[p])
		}
		b.lapses(s, r, p, int64(e.Amount))
	case *ledger.CreditRefunded:
		p := pot{r.Stream, ledger.USD, e.Lot}
		if m.back[e.Reference] {
			s.fail("event %d: %s is refunded again", r.Position, e.Reference)
		}
		m.back[e.Reference] = true
		m.left[p] -= int64(e.Taken)
		m.closed[p] = m.closed[p] || e.Chargeback && m.left[p] == b.held(p)
	}
}

// lapses closes a pot: what nobody holds of it is gone.
func (b *simBooks) lapses(s *sim, r *ledger.Record, p pot, n int64) {
	if free := b.money.left[p] - b.held(p); free != n || b.money.closed[p] {
		s.fail("event %d has %d %s of %q expire, of which %d are free", r.Position, n, p.unit, p.id, free)
	}
	b.money.left[p] -= n
	b.money.closed[p] = true
}

// takes takes draws of a request out of their pots, and what has expired of its hold.
func (b *simBooks) takes(s *sim, r *ledger.Record, draws, expired []ledger.Draw) {
	for _, d := range append(slices.Clone(draws), expired...) {
		b.money.left[pot{r.Stream, d.Unit, d.ID}] -= d.Amount
	}
	for p, closed := range b.money.closed {
		if free := b.money.left[p] - b.held(p); closed && p.org == r.Stream && free != 0 {
			s.fail("event %d, %s, leaves %d %s of %q, which is closed", r.Position, r.Type, free, p.unit, p.id)
		}
	}
}

// solvent holds a leg that was just admitted against what there is at its time: in its pots, and in the cap of its key.
func (b *simBooks) solvent(s *sim, r *ledger.Record, q *simRequest) {
	for p := range q.held {
		if free := b.money.left[p] - b.held(p); free < 0 {
			s.fail("event %d, %s, holds %d %s of %q more than there are", r.Position, r.Type, -free, p.unit, p.id)
		}
		if ends := b.money.ends[p]; ends != 0 && ends <= r.At || p.unit == ledger.Tok && b.money.periods[p.org].ID != p.id {
			s.fail("event %d of %s holds %s of %q, which ended at %s", r.Position, r.At, p.unit, p.id, ends)
		}
	}
	if q.leg.Kind == ledger.BYOK && len(q.held) > 0 {
		s.fail("event %d holds %v for a call on the org's own credential", r.Position, q.held)
	}
	org := s.orgOf(r.Stream)
	if org == nil || org.cap == 0 || q.leg.Kind == ledger.BYOK {
		return
	}
	sum, today := int64(0), r.At.Time().Format("2006-01-02")
	for _, o := range b.requests {
		if o.org == r.Stream && o.at.Time().Format("2006-01-02") == today {
			sum += o.counted()
		}
	}
	if sum > org.cap {
		s.fail("event %d takes the key of %s to %d tokens a day, of %d", r.Position, org.name, sum, org.cap)
	}
}

// counted is what a request counts against a cap in tokens: what it may come to, and what it has come to.
func (q *simRequest) counted() int64 {
	switch {
	case q.leg.Kind == ledger.BYOK:
		return 0
	case q.resolved == "":
		return (q.leg.Input + q.leg.Output*q.leg.Answers) * q.leg.Weight
	case q.settled != nil:
		return q.settled.Usage.Total() * q.leg.Weight
	}
	return 0
}

// billed holds a settlement against the leg that it is of, the rates that it names, and the usage.
func (b *simBooks) billed(s *sim, r *ledger.Record, q *simRequest, e *ledger.RequestSettled) {
	if e.Leg != q.leg.N || e.Choice != q.leg.Choice || e.Weight != q.leg.Weight || e.Price != q.leg.Price {
		s.fail("event %d settles %+v, and the last leg of %s is %+v", r.Position, e.Choice, e.Request, q.leg)
	}
	sums := map[ledger.Unit]int64{}
	for _, d := range e.Draws {
		sums[d.Unit] += d.Amount
	}
	total := e.Usage.Total() * q.leg.Weight
	owed, uncovered := int64(0), total-sums[ledger.Tok]
	switch {
	case q.leg.Kind == ledger.BYOK && len(e.Draws) > 0, sums[ledger.Msg] > 1, uncovered < 0:
		s.fail("event %d takes %v for %d tokens on a credential of kind %s", r.Position, e.Draws, total, q.leg.Kind)
	case q.leg.Kind != ledger.BYOK && sums[ledger.Msg] == 0 && total > 0:
		owed = costOf(e.Rates, e.Usage, 10_000+q.leg.Markup, uncovered, total)
	}
	if list := costOf(e.Rates, e.Usage, 10_000, 1, 1); int64(e.Charge) != sums[ledger.USD] || int64(e.Charge+e.Overage) != owed || int64(e.ListCost) != list {
		s.fail("event %d charges %d and %d beyond the hold, takes %v, at a list cost of %d; owed are %d, at %d", r.Position, e.Charge, e.Overage, e.Draws, e.ListCost, owed, list)
	}
	if e.Overage > 0 {
		s.fail("event %d charges %d more than %s held, and no upstream here bills past its bound", r.Position, e.Overage, e.Request)
	}
}

// costOf is what part of whole tokens cost in nano-dollars, at list rates with a markup in basis points: the rates are rounded up,
// and then the cost.
func costOf(list ledger.Rates, u ledger.Usage, markup, part, whole int64) int64 {
	sum := new(big.Int)
	for _, class := range []struct {
		rate   ledger.Rate
		tokens int64
	}{{list.Input, u.Input}, {list.CacheRead, u.CacheRead}, {list.CacheWrite, u.CacheWrite}, {list.CacheWriteLong, u.CacheWriteLong}, {list.Output, u.Output}} {
		rate := (int64(class.rate)*markup + 9_999) / 10_000
		sum.Add(sum, new(big.Int).Mul(big.NewInt(rate), big.NewInt(class.tokens)))
	}
	by := new(big.Int).Mul(big.NewInt(whole), big.NewInt(1_000_000))
	sum.Mul(sum, big.NewInt(part)).Add(sum, by).Sub(sum, big.NewInt(1))
	return sum.Div(sum, by).Int64()
}

// once holds an admission against those before it under the same Idempotency-Key: each must have been voided.
func (b *simBooks) once(s *sim, r *ledger.Record, id string) {
	key, _, named := strings.Cut(r.Cause, " ")
	key, _, _ = strings.Cut(key, "§")
	if !named {
		return
	}
	key = r.Stream + " " + key
	for _, before := range b.keys[key] {
		if q := b.requests[before]; q.resolved != "request.voided" {
			s.fail("event %d admits %s under the key %q, under which %s is %q", r.Position, id, key, before, q.resolved)
		}
	}
	b.keys[key] = append(b.keys[key], id)
}

func (s *sim) orgOf(id string) *simOrg {
	for i := range s.orgs {
		if s.orgs[i].id == id {
			return &s.orgs[i]
		}
	}
	return nil
}

// buys buys credit, sometimes with a payment that was booked before: then the answer is the first one's. What was not answered
// is asked for again, until it is.
func (s *sim) buys() {
	if s.pending != nil {
		s.pays(*s.pending)
		return
	}
	if again, ok := oneOf(s.rand, s.books.bought); ok && s.chance(3) {
		s.count("purchases again")
		s.pays(again)
		return
	}
	org := []*simOrg{&s.orgs[0], &s.orgs[1], &s.orgs[4]}[s.rand.IntN(3)]
	expires := ""
	if s.chance(2) {
		expires = fmt.Sprintf(`,"expires_at":%q`, s.now().Add(10*time.Minute).UTC().Format(time.RFC3339))
	}
	s.pays(s.purchase(org, ledger.Nano(1+s.rand.IntN(199))*10_000_000, expires))
}

func (s *sim) purchase(org *simOrg, amount ledger.Nano, expires string) bought {
	once := fmt.Sprint("pay-", len(s.asked))
	return bought{org: org.name, id: org.id, once: once, amount: amount,
		body: fmt.Sprintf(`{"kind":"purchase","amount_usd":%q,"reference":%q%s}`, amount, once, expires)}
}

func (s *sim) pays(b bought) {
	s.mu.Lock()
	s.asked[b.once] = &b
	s.mu.Unlock()
	status, answer := s.control("POST", "/orgs/"+b.org+"/credits", b.body, b.once)
	s.tell("%s buys credit for %s as %s: %d", b.org, b.amount, b.once, status)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.books.read(s)
	lot, was := lotOf(answer), s.books.money.paid[b.once]
	switch {
	case status/100 == 5:
		s.pending = &b
		return
	case status/100 == 4 && (was != "" || b.lot != ""), status/100 == 2 && lot != was, b.lot != "" && b.lot != lot:
		s.fail("%s buys credit as %s: %d %s; the log has lot %q of it, and it was told %q", b.org, b.once, status, answer, was, b.lot)
	case status/100 == 2 && b.lot == "":
		b.lot, b.by = lot, s.books.head
		s.books.bought = append(s.books.bought, b)
		s.count("purchases")
	}
	s.pending = nil
}

func (s *sim) refunds() {
	b, ok := oneOf(s.rand, s.books.bought)
	if !ok {
		return
	}
	reference := "back-" + b.once
	body := fmt.Sprintf(`{"reference":%q,"chargeback":%t}`, reference, s.chance(4))
	status, answer := s.control("POST", "/orgs/"+b.org+"/credits/"+b.lot+"/refund", body, "refund-"+b.once)
	s.tell("%s is refunded %s: %d %s", b.org, b.once, status, firstLine(answer))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.books.read(s)
	if status/100 == 2 {
		s.count("refunds")
		s.books.returned = append(s.books.returned, returned{reference, s.books.head})
	}
}
