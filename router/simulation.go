package router

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"waybill/ledger"
)

// Simulation decides an org's past calls again under another policy, and adds up what they cost and would have cost. It is fed
// with the org's events in the order of the log. Its fields are set before the first.
type Simulation struct {
	Org    string
	Policy *Policy // nil: the defaults
	// Recorded decides each call under the policy that was in force. What was recorded must come out: it is how decisions are
	// checked.
	Recorded bool
	// Note gives the note of a call, nil if there is none; KeyName what a key is called now.
	Note    func(request string) (*Note, error)
	KeyName func(key string) (string, error)

	result  Simulated
	pending map[string]*redecided // calls that are open
	changes map[string]*Change
	former  Policies
	period  string       // of the allowance
	extra   ledger.Purse // what the simulated calls took beyond what the real ones did: of tokens in this period
}

// Simulated is what a simulation has found.
type Simulated struct {
	Considered  int64 // calls
	Same        int64 // decided as they were
	Different   int64
	Undecided   int64 // of which it is not known any more what the policy would match
	PresentName int64 // were matched by what their key is called now: what it was called then was not kept
	// Refused are the calls that would have been refused, by code: by the policy, or because nothing would have paid for them.
	Refused map[ledger.Code]int64
	// Of the calls that were decided again, those without a settlement: they used nothing, and nothing is priced.
	Unsettled int64

	Before, After Sums            // of the calls that were decided again and have a settlement
	Models        map[string]*Sum // by the model that answered, or would have
	Credentials   map[ledger.Choice]*Sum
	Changes       []*Change // the most frequent first
}

// Sums add up calls.
type Sums struct {
	Calls    int64
	Unpriced int64 // without a price: their list cost is not known
	ledger.Bill
}

// Sum is what there was, and what there would have been.
type Sum struct{ Before, After Sums }

// Change is a decision that would have been another, and how often.
type Change struct {
	From, To           []ledger.Choice
	FromRoute, ToRoute string
	FromLane, ToLane   ledger.Lane
	Refused            ledger.Code // instead
	Reason             string      // for it, at the first of the calls
	Requests           int64
	Request            string // the first
}

// redecided is an open call, decided again, with what it would be billed by.
type redecided struct {
	undecided bool
	refused   bool
	gratis    bool
	legs      []ledger.Choice
	prices    []*ledger.Price // of the legs
	plan      *ledger.Plan
}

// Bounds of what a simulation keeps: callers may name any model of their own provider's.
const (
	mostChanges = 1000
	mostSums    = 1000
	otherSums   = "others"
)

// Decide takes a call's admission, on the state that it was decided on.
func (m *Simulation) Decide(s *ledger.State, r *ledger.Record) error {
	e, ok := r.Event.(*ledger.RequestAdmitted)
	if !ok {
		return nil
	}
	if m.pending == nil {
		m.pending, m.changes = map[string]*redecided{}, map[string]*Change{}
		m.result = Simulated{Refused: map[ledger.Code]int64{}, Models: map[string]*Sum{}, Credentials: map[ledger.Choice]*Sum{}}
	}
	m.result.Considered++
	p := &redecided{gratis: Endpoint(e.Inputs.Endpoint) == EndpointCount}
	m.pending[e.Request] = p
	d, err := m.decide(s, r, e)
	var fe *FieldError
	var le *ledger.Error
	switch {
	case errors.Is(err, ErrNoteGone):
		p.undecided = true
		m.result.Undecided++
		return nil
	case err == nil:
		p.legs = d.Choices()
	case errors.As(err, &le):
		m.refuse(p, le.Code)
	case errors.As(err, &fe):
		m.refuse(p, ledger.CodeInvalid)
	default:
		return err
	}
	for _, l := range d.Legs {
		p.prices = append(p.prices, s.PriceOf(l.Model.Name, cmp.Or(e.Inputs.Decided, r.At)))
	}
	if o := s.Org(m.Org); o != nil {
		p.plan = s.Plan(o.Plan)
	}
	if d.Lane == e.Lane && slices.Equal(p.legs, e.Inputs.Legs) {
		m.result.Same++
		return nil
	}
	m.result.Different++
	m.change(e, &d, p, err)
	return nil
}

func (m *Simulation) decide(s *ledger.State, r *ledger.Record, e *ledger.RequestAdmitted) (Decision, error) {
	past := Past{Org: m.Org, Admitted: e, At: r.At}
	policy := m.Policy
	if m.Recorded {
		row, err := s.Policy(m.Org), error(nil)
		var version uint64
		if policy, version, err = m.former.Of(row); err != nil {
			return Decision{}, err
		}
		if version != e.Inputs.Policy { // it was decided further back in the log than the walk looks
			return Decision{}, ErrNoteGone
		}
	}
	if policy.reads() {
		var err error
		if past.Note, err = m.Note(e.Request); err != nil {
			return Decision{}, err
		}
		if past.Note == nil && !e.Inputs.Noted && e.Key != "" {
			if past.KeyName, err = m.KeyName(e.Key); err != nil {
				return Decision{}, err
			}
			m.result.PresentName++
		}
	}
	return past.Decide(s, policy)
}

func (m *Simulation) refuse(p *redecided, code ledger.Code) {
	p.refused = true
	m.result.Refused[code]++
}

func (m *Simulation) change(e *ledger.RequestAdmitted, d *Decision, p *redecided, refusal error) {
	c := Change{From: e.Inputs.Legs, To: p.legs, FromRoute: e.Inputs.Route, ToRoute: d.Route, FromLane: e.Lane, ToLane: d.Lane, Request: e.Request}
	if refusal != nil {
		f := FailureOf(refusal)
		c.Refused, c.Reason = ledger.Code(f.Code), f.Message
	}
	key := fmt.Sprint(c.From, c.To, c.FromRoute, c.ToRoute, c.FromLane, c.ToLane, c.Refused)
	have := m.changes[key]
	if have == nil {
		if len(m.changes) == mostChanges {
			return
		}
		have = &c
		m.changes[key] = have
	}
	have.Requests++
}

// Follow takes any event of the org's, on the state before it: the resolution of a call prices it.
func (m *Simulation) Follow(s *ledger.State, r *ledger.Record) error {
	request := r.Request()
	p := m.pending[request]
	if p == nil {
		return nil
	}
	switch e := r.Event.(type) {
	case *ledger.RequestSettled:
		delete(m.pending, request)
		if !p.undecided {
			m.settle(s, p, e)
		}
	case *ledger.RequestVoided, *ledger.RequestInterrupted:
		delete(m.pending, request)
		if !p.undecided {
			m.result.Unsettled++
		}
	}
	return nil
}

// settle prices what a call used, as it was billed and as it would have been.
func (m *Simulation) settle(s *ledger.State, p *redecided, e *ledger.RequestSettled) {
	if o := s.Org(m.Org); o.Period.ID != m.period {
		m.period, m.extra.Tokens = o.Period.ID, 0
	}
	before := Sums{Calls: 1, Bill: e.Bill()}
	if e.Price == "" {
		before.Unpriced = 1
	}
	m.result.Before.add(before)
	model, credential := m.sums(e.Choice)
	model.Before.add(before)
	credential.Before.add(before)
	var after Sums
	if !p.refused {
		i := p.serving(e)
		var err error
		if after, err = m.bill(s, p, i, e); err != nil {
			m.refuse(p, ledger.CodeInsufficientFunds)
		} else {
			m.result.After.add(after)
			model, credential := m.sums(p.legs[i])
			model.After.add(after)
			credential.After.add(after)
		}
	}
	m.extra.Tokens += after.PlanTokens - before.PlanTokens
	m.extra.Messages += after.Messages - before.Messages
}

// serving is the leg that would have answered: the one that did, or the first of which it is not known that it would have failed.
func (p *redecided) serving(e *ledger.RequestSettled) int {
	return max(0, slices.IndexFunc(p.legs, func(l ledger.Choice) bool {
		return l == e.Choice || !slices.ContainsFunc(e.Attempts, func(a ledger.Attempt) bool {
			return a.Choice == l && (a.Outcome == ledger.Failed || a.Outcome == ledger.Skipped)
		})
	}))
}

// bill is what a call would have cost on a leg. The allowance is what the real calls had left, less what the simulated ones took
// beyond them.
func (m *Simulation) bill(s *ledger.State, p *redecided, i int, e *ledger.RequestSettled) (Sums, error) {
	sums := Sums{Calls: 1}
	if p.prices[i] == nil {
		sums.Unpriced = 1
	}
	if l := p.legs[i]; p.gratis || l.Model == e.Model && l.Kind == e.Kind && m.extra == (ledger.Purse{}) {
		sums.Bill = e.Bill()
		return sums, nil
	}
	purse := s.Purse(m.Org, e.Request)
	purse.Tokens -= m.extra.Tokens
	purse.Messages -= m.extra.Messages
	var err error
	sums.Bill, err = ledger.BillOf(p.plan, p.prices[i], p.legs[i], e.Usage, e.ServiceTier, purse)
	return sums, err
}

// sums are those of a leg: by its model, and by its credential.
func (m *Simulation) sums(c ledger.Choice) (model, credential *Sum) {
	on := ledger.Choice{Credential: c.Credential, Kind: c.Kind}
	if m.result.Models[c.Model] == nil {
		if len(m.result.Models) >= mostSums {
			c.Model = otherSums
		}
		m.result.Models[c.Model] = cmp.Or(m.result.Models[c.Model], &Sum{})
	}
	if m.result.Credentials[on] == nil {
		if len(m.result.Credentials) >= mostSums {
			on = ledger.Choice{Credential: otherSums, Kind: c.Kind}
		}
		m.result.Credentials[on] = cmp.Or(m.result.Credentials[on], &Sum{})
	}
	return m.result.Models[c.Model], m.result.Credentials[on]
}

func (s *Sums) add(o Sums) {
	s.Calls += o.Calls
	s.Unpriced += o.Unpriced
	s.ListCost += o.ListCost
	s.Charge += o.Charge
	s.PlanTokens += o.PlanTokens
	s.Messages += o.Messages
}

// Result is what the calls so far have shown.
func (m *Simulation) Result() Simulated {
	r := m.result
	r.Unsettled += int64(len(m.pending)) // but for those that were not decided
	for _, p := range m.pending {
		if p.undecided {
			r.Unsettled--
		}
	}
	r.Changes = make([]*Change, 0, len(m.changes))
	for _, c := range m.changes {
		r.Changes = append(r.Changes, c)
	}
	slices.SortFunc(r.Changes, func(a, b *Change) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Request, b.Request))
	})
	return r
}
