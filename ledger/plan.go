package ledger

import "slices"

// Plan is what an org may use without paying by the call. Plans are data: an operator may define others.
type Plan struct {
	ID        string           `json:"plan"`
	Tokens    int64            `json:"tokens,omitzero"`     // allowance of a period of one month, in plan tokens
	Messages  int64            `json:"messages,omitzero"`   // free messages, granted once in an org's life
	Lanes     []Lane           `json:"lanes"`               // to platform capacity; the org's own credentials are open on every plan
	Credit    bool             `json:"credit,omitzero"`     // may buy and spend add-on credit
	Markup    int64            `json:"markup_bps,omitzero"` // on list rates, when credit pays, in basis points above ×1
	Output    int64            `json:"output,omitzero"`     // output cap of a call that sets none, in tokens; 0 is DefaultOutput
	MaxInput  int64            `json:"max_input,omitzero"`  // bound on the input of one call, in tokens; 0 is none
	MaxOutput int64            `json:"max_output,omitzero"` // bound on the output of one call, all answers together, in tokens; 0 is none
	Weights   map[string]int64 `json:"weights,omitempty"`   // plan tokens that one token of a model costs; 1 unless named
	Pool      []string         `json:"pool,omitempty"`      // models of platform capacity that its auto lane takes; all if none

	RequestsPerMinute int64 `json:"requests_per_minute,omitzero"` // of an org, all its keys together; 0 is no limit
	TokensPerMinute   int64 `json:"tokens_per_minute,omitzero"`   // likewise
}

// DefaultOutput is the output cap of a call that sets none, where its plan does not say otherwise, in tokens.
const DefaultOutput = 32_768

func (p *Plan) output() int64 {
	if p.Output > 0 {
		return p.Output
	}
	return DefaultOutput
}

func (p *Plan) weight(model string) int64 {
	if w, ok := p.Weights[model]; ok {
		return w
	}
	return 1
}

// Reaches tells whether the plan has a model of platform capacity at all: with a manual lane every one, else those of its pool.
func (p *Plan) Reaches(model string) bool {
	return len(p.Pool) == 0 || p.Allows(LaneManual) || slices.Contains(p.Pool, model)
}

// Allows tells whether the plan covers a lane of platform capacity.
func (p *Plan) Allows(l Lane) bool { return slices.Contains(p.Lanes, l) }

// Period is one month's allowance of an org, or the open-ended time on a plan that has none.
type Period struct {
	ID     string  `json:"period"` // p1, p2, … in the org
	Number int     `json:"number"`
	Anchor Instant `json:"anchor"` // the subscription that its months are counted from
	Start  Instant `json:"start"`
	End    Instant `json:"end,omitzero"` // exclusive; none on a plan without an allowance
	Tokens int64   `json:"tokens,omitzero"`
}

// DefinePlan defines a plan, or defines it anew for what is decided from then on.
type DefinePlan struct {
	Who By
	Plan
}

// PlanDefined is plan.defined.
type PlanDefined struct{ Plan }

// SubscribePlan puts an org on a plan. More tokens than now is an upgrade and opens a period at once; anything else
// waits for the end of the period that runs. Naming the present plan takes back a change that waits.
type SubscribePlan struct {
	Who  By
	Org  string
	Plan string
}

// CancelPlan ends the subscription with the period that runs; the org is then on the plan "free".
type CancelPlan struct {
	Who By
	Org string
}

// PlanSubscribed is plan.subscribed. With From set, it takes effect then.
type PlanSubscribed struct {
	Plan string  `json:"plan"`
	From Instant `json:"from,omitzero"`
}

// PlanCancelled is plan.cancelled.
type PlanCancelled struct {
	From Instant `json:"from"`
}

// PeriodOpened is period.opened: it grants the allowance of a period and expires what the last one left unheld.
type PeriodOpened struct {
	Plan     string `json:"plan"`
	Period          // the new one
	Messages int64  `json:"messages,omitzero"` // free messages granted, the org's first time on a plan with some
	Closes   string `json:"closes,omitzero"`   // the period that ends
	Expired  int64  `json:"expired,omitzero"`  // tokens of it that nobody held
}

// FreePlan is where an org is after a cancellation.
const FreePlan = "free"

func (c DefinePlan) Stream() string { return Platform }
func (c DefinePlan) By() By         { return c.Who }
func (c DefinePlan) Once() []Cause  { return c.Who.once(Platform) }
func (c DefinePlan) decide(d *Draft, _ Instant) ([]Event, error) {
	if !validID(c.ID) {
		return nil, refuse(CodeInvalid, "plan %q: a plan's id is lower-case letters, digits and dashes", c.ID)
	}
	for _, n := range []int64{c.Tokens, c.Messages, c.Markup, c.Output, c.MaxInput, c.MaxOutput, c.RequestsPerMinute, c.TokensPerMinute} {
		if n < 0 || n > maxTokens {
			return nil, refuse(CodeInvalid, "plan %s: %d: a figure is not negative and at most %d", c.ID, n, int64(maxTokens))
		}
	}
	for model, w := range c.Weights {
		if w < 0 || w > 1000 {
			return nil, refuse(CodeInvalid, "plan %s: the weight of %s is not between 0 and 1000", c.ID, model)
		}
	}
	for _, l := range c.Lanes {
		if l != LaneAuto && l != LaneManual {
			return nil, refuse(CodeInvalid, "plan %s: lane %q is neither auto nor manual", c.ID, l)
		}
	}
	return []Event{&PlanDefined{c.Plan}}, nil
}

func (c SubscribePlan) Stream() string { return c.Org }
func (c SubscribePlan) By() By         { return c.Who }
func (c SubscribePlan) Once() []Cause  { return c.Who.once(c.Org) }
func (c SubscribePlan) decide(d *Draft, at Instant) ([]Event, error) {
	o, err := d.openOrg(c.Org)
	if err != nil {
		return nil, err
	}
	to := d.plan(c.Plan)
	if to == nil {
		return nil, refuse(CodeNotFound, "plan %q is not defined: see GET /api/v1/plans", c.Plan)
	}
	if c.Plan == o.Plan && o.Next == "" {
		return nil, refuse(CodeConflict, "org %s is on plan %s already", c.Org, c.Plan)
	}
	from := d.plan(o.Plan)
	if c.Plan != o.Plan && (o.Period.End == 0 || to.Tokens > from.Tokens) {
		return []Event{&PlanSubscribed{Plan: c.Plan}, d.period(o, to, at+1, 0)}, nil
	}
	return []Event{&PlanSubscribed{Plan: c.Plan, From: o.Period.End}}, nil
}

func (c CancelPlan) Stream() string { return c.Org }
func (c CancelPlan) By() By         { return c.Who }
func (c CancelPlan) Once() []Cause  { return c.Who.once(c.Org) }
func (c CancelPlan) decide(d *Draft, _ Instant) ([]Event, error) {
	o, err := d.openOrg(c.Org)
	if err != nil {
		return nil, err
	}
	if d.plan(FreePlan) == nil {
		return nil, refuse(CodeNotFound, "plan %q is not defined: there is nothing to fall back to", FreePlan)
	}
	if o.Period.End == 0 {
		return nil, refuse(CodeConflict, "org %s has no subscription that could be cancelled: it is on plan %s", c.Org, o.Plan)
	}
	return []Event{&PlanCancelled{From: o.Period.End}}, nil
}

// period is the opening of an org's next period on a plan, months after its anchor; an anchor of 0 is start itself.
func (d *Draft) period(o *Org, p *Plan, start Instant, anchor Instant) *PeriodOpened {
	n := o.Period.Number + 1
	e := &PeriodOpened{Plan: p.ID, Closes: o.Period.ID,
		Period: Period{ID: "p" + itoa(n), Number: n, Anchor: start, Start: start, Tokens: p.Tokens}}
	if anchor != 0 {
		e.Anchor = anchor
		e.Start = monthsAfter(anchor, monthAt(anchor, start))
	}
	if p.Tokens > 0 {
		e.End = monthsAfter(e.Anchor, monthAt(e.Anchor, start)+1)
	}
	if o.Period.ID != "" {
		e.Expired = d.balance(Account{Org: o.ID, Kind: "plan", ID: o.Period.ID}, Tok)
	}
	if !o.FreeGranted {
		e.Messages = p.Messages
	}
	return e
}

func (*PlanDefined) Type() Type                { return "plan.defined" }
func (*PlanDefined) postings(string) []Posting { return nil }
func (e *PlanDefined) evolve(d *Draft, r *Record) {
	p := e.Plan
	d.plans.set(p.ID, &p)
	d.touch(r, "plan", p.ID)
}

func (*PlanSubscribed) Type() Type                { return "plan.subscribed" }
func (*PlanSubscribed) postings(string) []Posting { return nil }
func (e *PlanSubscribed) evolve(d *Draft, r *Record) {
	d.changeOrg(r, func(o *Org) {
		o.Next = ""
		if e.From != 0 && e.Plan != o.Plan {
			o.Next = e.Plan
		}
	})
}

func (*PlanCancelled) Type() Type                { return "plan.cancelled" }
func (*PlanCancelled) postings(string) []Posting { return nil }
func (e *PlanCancelled) evolve(d *Draft, r *Record) {
	d.changeOrg(r, func(o *Org) { o.Next = FreePlan })
}

func (*PeriodOpened) Type() Type { return "period.opened" }
func (e *PeriodOpened) postings(org string) []Posting {
	var en entry
	en.move(Account{Org: org, Kind: "plan", ID: e.Closes}, houseExpired, Tok, e.Expired)
	en.move(houseIssued, Account{Org: org, Kind: "plan", ID: e.ID}, Tok, e.Tokens)
	en.move(houseIssued, Account{Org: org, Kind: "free"}, Msg, e.Messages)
	return en
}
func (e *PeriodOpened) evolve(d *Draft, r *Record) {
	d.changeOrg(r, func(o *Org) {
		o.Plan, o.Next, o.Period = e.Plan, "", e.Period
		o.FreeGranted = o.FreeGranted || e.Messages > 0
	})
}
