package router

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"time"

	"waybill/ledger"
)

// Explanation is a decision with its reasons, for people: what Route decided, of which it is computed, and what the legs would
// hold and cost. It is made of a call that is not made, and nothing is held by it.
type Explanation struct {
	Asked    string          `json:"model_asked"`
	Means    string          `json:"model_meant,omitzero"` // what the org's alias stands for
	Endpoint Endpoint        `json:"endpoint"`
	Lane     ledger.Lane     `json:"lane,omitzero"`
	Goal     Goal            `json:"goal,omitzero"`
	Route    string          `json:"route,omitzero"` // that matched, by its name or place; none: the defaults
	Routes   []ExplainedRule `json:"routes"`         // of the policy, in their order
	Settings Settings        `json:"settings"`       // that hold for the call
	Needs    []string        `json:"needs"`          // features that a model must have
	Input    int64           `json:"input_tokens"`   // estimated
	Bound    int64           `json:"input_bound"`    // in tokens: for which it is held
	Output   int64           `json:"output_tokens"`  // of the estimate of the cost
	Assumed  bool            `json:"output_assumed"` // the caller set no cap, and so this is what is usual
	Plan     string          `json:"plan,omitzero"`
	Lanes    []ledger.Lane   `json:"plan_lanes,omitempty"` // to platform capacity
	Caps     []ExplainedCap  `json:"caps,omitempty"`       // of the key
	Legs     []ExplainedLeg  `json:"legs"`                 // all that were considered: first those that are tried, in order
	Refused  *ExplainedError `json:"refused,omitempty"`    // what the caller would get; none: there is a leg to try
}

// ExplainedRule is one route of a policy, and whether it matched.
type ExplainedRule struct {
	Route   string `json:"route"`
	Matched bool   `json:"matched"`
	// Mismatch is the first condition that the call does not satisfy, such as model or metadata.team; "after_the_match" of
	// those that come after the one that matched.
	Mismatch string `json:"mismatch,omitzero"`
}

const afterMatch = "after_the_match"

// ExplainedLeg is one leg that was considered. Dollars are decimal strings.
type ExplainedLeg struct {
	Order int `json:"order,omitzero"` // of the legs that are tried, from 1; none: passed over
	ledger.Choice
	Reason  string `json:"reason,omitzero"`  // why it is passed over: a word
	Meaning string `json:"meaning,omitzero"` // likewise, a sentence
	Price   string `json:"price,omitzero"`   // id of the price in force
	// ListCost is what the estimated tokens cost at list price; Charge, PlanTokens and Messages what of them the org would owe
	// here. Charge is empty where it is not known.
	ListCost   string `json:"list_cost_usd,omitzero"`
	Charge     string `json:"charge_usd,omitzero"`
	PlanTokens int64  `json:"plan_tokens,omitzero"`
	Messages   int64  `json:"messages,omitzero"`
	// Holds is what would be held meanwhile, in dollars of credit, plan tokens and free messages; Cap the output cap that would be
	// sent, and Worst the list cost of the leg at worst.
	Holds     *ExplainedHold    `json:"holds,omitempty"`
	Cap       int64             `json:"output_cap,omitzero"`
	Worst     string            `json:"worst_usd,omitzero"`
	Unfunded  *ExplainedError   `json:"unfunded,omitempty"` // why the ledger would not admit the leg now: money, or a cap of the key
	Rests     string            `json:"rests,omitzero"`     // why it is not called when its turn comes now: breaker_open, of what failure and since when
	Score     *ledger.Score     `json:"score,omitempty"`    // of the auto lane
	Condition *ledger.Condition `json:"condition,omitempty"`
}

// ExplainedHold is a hold.
type ExplainedHold struct {
	Credit     string `json:"credit_usd"`
	PlanTokens int64  `json:"plan_tokens"`
	Messages   int64  `json:"messages"`
}

// ExplainedCap is a cap of the key, and how far it is used up: in dollars as decimal strings, or in plan tokens.
type ExplainedCap struct {
	Unit     ledger.Unit   `json:"unit"`
	Window   ledger.Window `json:"window"`
	Amount   string        `json:"amount"`
	Settled  string        `json:"settled"`
	Held     string        `json:"held"`
	Left     string        `json:"left"`
	ResetsAt string        `json:"resets_at,omitzero"` // RFC 3339; none of a lifetime
}

func explainedCap(c ledger.CapStanding) ExplainedCap {
	amount := func(n int64) string {
		if c.Unit == ledger.USD {
			return ledger.Nano(n).String()
		}
		return strconv.FormatInt(n, 10)
	}
	x := ExplainedCap{c.Unit, c.Window, amount(c.Amount), amount(c.Settled), amount(c.Held), amount(c.Left), ""}
	if c.ResetsAt != 0 {
		x.ResetsAt = c.ResetsAt.String()
	}
	return x
}

// ExplainedError is a refusal.
type ExplainedError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Field   string `json:"field,omitzero"`
}

// Funds is what there is to pay a call with.
type Funds struct {
	Plan  *ledger.Plan
	Purse ledger.Purse
	Caps  []ledger.CapStanding
	// Quote tells what a request would hold if a leg were admitted now.
	Quote func(lane ledger.Lane, dm ledger.Demand) (ledger.Leg, []ledger.Draw, error)
}

// FundsOf is what an org, and one of its keys if one is named, have to pay a call with.
func FundsOf(s *ledger.State, org, key string, at ledger.Instant) *Funds {
	f := &Funds{Purse: s.Purse(org, ""), Caps: s.Spending(key, at)}
	if o := s.Org(org); o != nil {
		f.Plan = s.Plan(o.Plan)
	}
	f.Quote = func(lane ledger.Lane, dm ledger.Demand) (ledger.Leg, []ledger.Draw, error) {
		// Decided on a draft of the state that is thrown away, it is what an admission would be.
		d := s.Draft(func() [16]byte { return [16]byte{} })
		recs, err := d.Decide(at, ledger.Admit{Who: ledger.By{Actor: "explain", Cause: "explain"}, Org: org, Key: key, Request: "explain", Lane: lane,
			Dialect: ledger.DialectOpenAIChat, Demand: dm})
		if err != nil {
			return ledger.Leg{}, nil, err
		}
		e := recs[len(recs)-1].Event.(*ledger.RequestAdmitted)
		return e.Leg, e.Held, nil
	}
	return f
}

// Explain tells a decision that Route made of an ask and a view. Of the view's Funds, which FundsOf gives, come holds, charges and
// caps; without them those are left out. An answer is taken to be as long as the caller's cap, or as is usual.
func Explain(d Decision, a Ask, v View) Explanation {
	e := Explanation{Asked: a.Model, Endpoint: a.Endpoint, Lane: d.Lane, Goal: d.Goal, Route: d.Route, Settings: d.Settings, Needs: append([]string{}, a.Needs...),
		Routes: []ExplainedRule{}, Legs: []ExplainedLeg{}, Input: a.Input, Bound: a.Most, Output: cmp.Or(a.Output, usualOutput), Assumed: a.Output == 0}
	if a.Endpoint != EndpointChat {
		e.Output, e.Assumed = 0, false
	}
	if means := v.Policy.means(a.Model); means != a.Model {
		e.Means = means
	}
	e.rules(a, v)
	if f := v.Funds; f != nil {
		if f.Plan != nil {
			e.Plan, e.Lanes = f.Plan.ID, f.Plan.Lanes
		}
		for _, c := range f.Caps {
			e.Caps = append(e.Caps, explainedCap(c))
		}
	}
	for i, l := range d.Legs {
		e.Legs = append(e.Legs, e.leg(d, a, v, ledger.Passed{Choice: l.choice()}, i+1))
	}
	for _, p := range d.Passed {
		e.Legs = append(e.Legs, e.leg(d, a, v, p, 0))
	}
	if len(d.Legs) == 0 {
		_, err := Route(a, v)
		e.Refused = explainedError(err)
	}
	return e
}

// Standing says of the legs that are tried which of them rest at the moment, so that a call would pass them over.
func (e *Explanation) Standing(h *Health, now time.Time) {
	for i := range e.Legs {
		l := &e.Legs[i]
		if l.Order > 0 && h.Open(l.Choice, now) {
			l.Rests = h.State(l.Choice, now).rest()
		}
	}
}

// rules tells which route matched, and why the others did not.
func (e *Explanation) rules(a Ask, v View) {
	if v.Policy == nil {
		return
	}
	r := &routing{ask: a, view: v, model: v.Policy.means(a.Model)}
	matched := false
	for i, rule := range v.Policy.Routes {
		x := ExplainedRule{Route: v.Policy.routeName(i), Mismatch: afterMatch}
		if !matched {
			x.Mismatch = r.mismatch(rule.When)
			x.Matched = x.Mismatch == ""
			matched = x.Matched
		}
		e.Routes = append(e.Routes, x)
	}
}

// leg tells one leg.
func (e *Explanation) leg(d Decision, a Ask, v View, p ledger.Passed, order int) ExplainedLeg {
	x := ExplainedLeg{Order: order, Choice: p.Choice, Reason: p.Reason}
	price := v.Price(p.Model)
	if price != nil {
		x.Price = price.ID
	}
	if i := slices.IndexFunc(d.Scores, func(s ledger.Score) bool { return s.Choice == p.Choice }); i >= 0 {
		x.Score = &d.Scores[i]
	}
	if i := slices.IndexFunc(d.Conditions, func(c ledger.Condition) bool { return c.Model == p.Model && c.Credential == p.Credential }); i >= 0 {
		x.Condition = &d.Conditions[i]
	}
	leg, whole := legOf(p.Choice, v)
	x.Meaning = meaning(p.Reason)
	if p.Reason != "" && whole {
		if err := v.Permits(d.Lane, leg); err != nil && reasonOf(err) == p.Reason { // in the ledger's own words: with the plan, and what to do
			x.Meaning = err.Error()
		}
	}
	e.money(&x, price, v)
	if order == 0 || v.Funds == nil || !whole {
		return x
	}
	l, held, err := v.Funds.Quote(d.Lane, a.demand(leg))
	if err != nil {
		x.Unfunded = explainedError(err)
		return x
	}
	x.Cap = l.Output
	if p.Kind == ledger.BYOK {
		return x
	}
	x.Worst = l.Bound.String()
	h := ExplainedHold{}
	credit := ledger.Nano(0)
	for _, w := range held {
		switch w.Unit {
		case ledger.USD:
			credit += ledger.Nano(w.Amount)
		case ledger.Tok:
			h.PlanTokens += w.Amount
		case ledger.Msg:
			h.Messages += w.Amount
		}
	}
	h.Credit = credit.String()
	x.Holds = &h
	return x
}

// money tells what the estimated usage would cost.
func (e *Explanation) money(x *ExplainedLeg, price *ledger.Price, v View) {
	u := ledger.Usage{Input: e.Input, Output: e.Output}
	if e.Endpoint == EndpointCount {
		u = ledger.Usage{}
	}
	switch {
	case price != nil:
		x.ListCost = ledger.Cost(price.Applied(u.Input, ""), u).String()
	case e.Endpoint == EndpointCount:
		x.ListCost = ledger.Nano(0).String()
	}
	switch {
	case x.Kind == ledger.BYOK, e.Endpoint == EndpointCount:
		x.Charge = ledger.Nano(0).String()
	case price == nil || v.Funds == nil || v.Funds.Plan == nil:
	default:
		b, err := ledger.BillOf(v.Funds.Plan, price, x.Choice, u, "", v.Funds.Purse)
		if err == nil {
			x.Charge, x.PlanTokens, x.Messages = b.Charge.String(), b.PlanTokens, b.Messages
		}
	}
}

// legOf finds the leg of a choice: not of one that is a model alone, or has no credential.
func legOf(c ledger.Choice, v View) (l Leg, ok bool) {
	r := routing{view: View{Own: v.Own, Model: v.Model}} // a leg's model goes by its own name
	if l.Model = r.known(c.Model, true); l.Model == nil {
		return l, false
	}
	for _, o := range slices.Concat(v.Own, v.Pool) {
		if o.ID == c.Credential && o.Kind() == c.Kind {
			l.Credential = o
			return l, true
		}
	}
	return l, false
}

// demand is what a leg may use of the ledger, as far as an ask tells: one answer, on the usual tier.
func (a *Ask) demand(l Leg) ledger.Demand {
	dm := ledger.Demand{Choice: l.choice(), Input: a.Most, Output: a.Output, Floor: 256}
	if l.Model.Context > 0 {
		dm.Input = min(dm.Input, l.Model.Context)
	}
	if slices.Contains(a.Needs, ledger.FeatureTools) || slices.Contains(a.Needs, ledger.FeatureStructured) {
		dm.Floor = 1024
	}
	switch a.Endpoint {
	case EndpointEmbed:
		dm.NoOutput = true
	case EndpointCount:
		dm.Gratis = true
	}
	return dm
}

func explainedError(err error) *ExplainedError {
	var le *ledger.Error
	var fe *FieldError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &le):
		return &ExplainedError{Code: string(le.Code), Message: le.Message}
	case errors.As(err, &fe):
		return &ExplainedError{Code: string(ledger.CodeInvalid), Message: fe.Reason, Field: fe.Field}
	}
	return &ExplainedError{Code: string(ledger.CodeInternal), Message: err.Error()}
}
