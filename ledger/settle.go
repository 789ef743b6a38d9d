package ledger

// Outcome is how one attempt ended.
type Outcome string

// The outcomes of an attempt.
const (
	Answered  Outcome = "answered"  // it gave the answer that was settled
	Failed    Outcome = "failed"    // it gave none, and the next leg was tried or the call ended
	Skipped   Outcome = "skipped"   // no call was made: the breaker was open, or the leg could not be paid for
	Cut       Outcome = "cut"       // its answer broke off after content had reached the caller
	Abandoned Outcome = "abandoned" // the caller left
)

// Attempt is one leg tried, or passed over, as the trace shows it.
type Attempt struct {
	N int `json:"n"` // the leg's number; 0 if it was never admitted
	Choice
	Outcome    Outcome     `json:"outcome"`
	Status     int         `json:"status,omitzero"` // the upstream's HTTP status
	Class      string      `json:"class,omitzero"`  // of its failure
	Reason     string      `json:"reason,omitzero"` // the provider's code, or why it was passed over
	Latency    int64       `json:"latency_ns,omitzero"`
	FirstByte  int64       `json:"first_byte_ns,omitzero"`
	Usage      Usage       `json:"usage,omitzero"`        // of an attempt that was discarded, though its provider may bill it
	Source     UsageSource `json:"usage_source,omitzero"` // of the usage; none where there is none
	UpstreamID string      `json:"upstream_id,omitzero"`
}

// Resolution is what every resolution of a request records beside its money.
type Resolution struct {
	Attempts []Attempt `json:"attempts,omitempty"`
	Duration int64     `json:"duration_ns,omitzero"`
	Reason   string    `json:"reason,omitzero"`   // why it was voided, or what was unusual about a settlement
	Absorbed Nano      `json:"absorbed,omitzero"` // list cost of paid attempts that were discarded
}

// Settle resolves a request by what was used.
type Settle struct {
	Who         By
	Org         string
	Request     string
	Resolution  Resolution
	Usage       Usage
	Source      UsageSource
	ServiceTier string // as the upstream reports it
	Finish      string
	UpstreamID  string
	Answered    string // the model that the upstream says answered
	FirstByte   int64  // nanoseconds from admission to the first content
}

// Void resolves a request of which nothing was used: the whole hold returns, and so does the Idempotency-Key that it was admitted
// under, for By.After.
type Void struct {
	Who        By
	Org        string
	Request    string
	Resolution Resolution
}

// Rule is how the operator has requests resolved that a crash interrupted.
type Rule string

// The rules.
const (
	RuleVoid        Rule = "void"         // the org owes nothing
	RuleCaptureHeld Rule = "capture_held" // the org owes the whole hold
)

// maxMemo bounds what the memo of skipped cost adds up to over all orgs: eight billion dollars.
const maxMemo = 8_000_000_000 * Dollar

// Interrupt resolves a request that was open when the node stopped.
type Interrupt struct {
	Org     string
	Request string
	Rule    Rule
}

// RequestSettled is request.settled. It carries all that a replay needs.
type RequestSettled struct {
	Request string `json:"request"`
	Key     string `json:"key,omitzero"`
	Leg     int    `json:"leg"`
	Choice
	Usage       Usage       `json:"usage"`
	Source      UsageSource `json:"usage_source"`
	ServiceTier string      `json:"service_tier,omitzero"`
	Price       string      `json:"price,omitzero"`
	Rates       Rates       `json:"rates,omitzero"`    // list rates that applied
	Charged     Rates       `json:"charged,omitzero"`  // with the plan's markup: what credit paid by
	Weight      int64       `json:"weight,omitzero"`   // plan tokens a token
	Held        []Draw      `json:"held,omitempty"`    // the hold that this ends
	Draws       []Draw      `json:"draws,omitempty"`   // what was taken, in order
	Expired     []Draw      `json:"expired,omitempty"` // what of the hold had nowhere to return to
	Charge      Nano        `json:"charge"`            // dollars taken from lots
	Overage     Nano        `json:"overage,omitzero"`  // dollars beyond hold and balance
	ListCost    Nano        `json:"list_cost,omitzero"`
	Skipped     Nano        `json:"skipped,omitzero"`     // list cost that was not billed
	SkipReason  string      `json:"skip_reason,omitzero"` // byok
	FirstByte   int64       `json:"first_byte_ns,omitzero"`
	Finish      string      `json:"finish,omitzero"`
	UpstreamID  string      `json:"upstream_id,omitzero"`
	Answered    string      `json:"answered_by,omitzero"`
	Resolution
}

// RequestVoided is request.voided.
type RequestVoided struct {
	Request string `json:"request"`
	Key     string `json:"key,omitzero"`
	Held    []Draw `json:"held,omitempty"`
	Expired []Draw `json:"expired,omitempty"`
	Resolution
}

// RequestInterrupted is request.interrupted. The leg is the last that may have been called, with its bound.
type RequestInterrupted struct {
	Request string `json:"request"`
	Key     string `json:"key,omitzero"`
	Rule    Rule   `json:"rule"`
	Leg     Leg    `json:"leg"`
	Held    []Draw `json:"held,omitempty"`
	Draws   []Draw `json:"draws,omitempty"`
	Expired []Draw `json:"expired,omitempty"`
	Charge  Nano   `json:"charge"`
}

// PlanTokens is what the settlement took from the allowance.
func (e *RequestSettled) PlanTokens() int64 { return sum(e.Draws, Tok) }

// Billing says in a word or two who paid: plan, credit, byok, free, or a mix such as plan+credit.
func (e *RequestSettled) Billing() string {
	if e.Kind == BYOK {
		return string(BYOK)
	}
	s := ""
	for _, b := range []struct {
		unit Unit
		word string
	}{{Msg, "free"}, {Tok, "plan"}, {USD, "credit"}} {
		if sum(e.Draws, b.unit) > 0 {
			if s != "" {
				s += "+"
			}
			s += b.word
		}
	}
	if s == "" {
		return "plan" // nothing was drawn, because nothing was used or the model weighs nothing
	}
	return s
}

func (c Settle) Stream() string { return c.Org }
func (c Settle) By() By         { return c.Who.within() }
func (c Settle) Once() []Cause  { return nil }
func (c Settle) decide(d *Draft, _ Instant) ([]Event, error) {
	h, err := d.openHold(c.Org, c.Request)
	if err != nil {
		return nil, err
	}
	u := c.Usage.Clamped()
	e := &RequestSettled{Request: c.Request, Key: h.Key, Leg: h.Leg.N, Choice: h.Leg.Choice, Usage: u, Source: c.Source,
		ServiceTier: c.ServiceTier, Price: h.Leg.Price, Weight: h.Leg.Weight, Held: h.Draws, FirstByte: c.FirstByte,
		Finish: c.Finish, UpstreamID: c.UpstreamID, Answered: c.Answered, Resolution: c.Resolution}
	e.Absorbed = d.absorbed(h, c.Resolution.Attempts)
	if p := d.price(h.Leg.Price); p != nil {
		e.Rates = p.Applied(u.InputTotal(), c.ServiceTier)
		e.Charged = e.Rates.Scale(basis + h.Leg.Markup)
		e.ListCost = Cost(e.Rates, u)
	}
	if h.Leg.Kind == BYOK {
		e.Charged = Rates{}
		// An org may run its own upstream, and that may report anything: the memo stops before it could overflow.
		seen := Nano(-d.balance(houseBYOK, USD))
		e.Skipped, e.SkipReason = min(e.ListCost, max(0, maxMemo-seen)), string(BYOK)
		return []Event{e}, nil
	}
	cp := d.capture(h, d.org(c.Org), e.Charged, u)
	e.Draws, e.Expired, e.Overage = cp.draws, cp.expired, cp.overage
	e.Charge = Nano(sum(cp.draws, USD))
	return []Event{e}, nil
}

// absorbed is the list cost of what upstreams counted on platform credentials for attempts that were discarded.
func (d *Draft) absorbed(h *Hold, attempts []Attempt) Nano {
	var n Nano
	for _, a := range attempts {
		if a.Kind == BYOK || a.Outcome == Answered || a.Usage == (Usage{}) {
			continue
		}
		if p := d.priceOf(a.Model, h.Admitted); p != nil {
			u := a.Usage.Clamped()
			n += Cost(p.Applied(u.InputTotal(), ""), u)
		}
	}
	return n
}

func (c Void) Stream() string { return c.Org }
func (c Void) By() By         { return c.Who.voiding(c.Request) }
func (c Void) Once() []Cause  { return c.By().once(c.Org) }
func (c Void) decide(d *Draft, _ Instant) ([]Event, error) {
	h, err := d.openHold(c.Org, c.Request)
	if err != nil {
		return nil, err
	}
	e := &RequestVoided{Request: c.Request, Key: h.Key, Held: h.Draws, Expired: d.stranded(d.org(c.Org), h.Draws), Resolution: c.Resolution}
	e.Absorbed = d.absorbed(h, c.Resolution.Attempts)
	return []Event{e}, nil
}

func (c Interrupt) Stream() string { return c.Org }
func (c Interrupt) By() By         { return By{Actor: "waybill", Cause: "recovery"} }
func (c Interrupt) Once() []Cause  { return nil }
func (c Interrupt) decide(d *Draft, _ Instant) ([]Event, error) {
	h, err := d.openHold(c.Org, c.Request)
	if err != nil {
		return nil, err
	}
	e := &RequestInterrupted{Request: c.Request, Key: h.Key, Rule: c.Rule, Leg: h.Leg, Held: h.Draws}
	switch c.Rule {
	case RuleVoid:
		e.Expired = d.stranded(d.org(c.Org), h.Draws)
	case RuleCaptureHeld:
		e.Draws, e.Charge = h.Draws, Nano(sum(h.Draws, USD))
	default:
		return nil, refuse(CodeInvalid, "rule %q is neither void nor capture_held", c.Rule)
	}
	return []Event{e}, nil
}

// settled is the entry of a resolution: the hold ends, draws are earned, what is stranded expires.
func settled(org string, held, draws, expired []Draw) entry {
	en := release(make(entry, 0, 10), org, held, expired)
	for _, w := range draws {
		en.move(w.of(org), w.earned(), w.Unit, w.Amount)
	}
	return en
}

// endHold ends the hold of a request, of which so much was settled at list cost and in plan tokens.
func endHold(d *Draft, r *Record, request string, usd Nano, tok int64) {
	if h := d.hold(request); h != nil {
		d.spend(r, h.Key, outlay{ended: h, usd: int64(usd), tok: tok})
	}
	d.holds.delete(request)
	d.touch(r, "hold", request)
}

func (*RequestSettled) Type() Type { return "request.settled" }
func (e *RequestSettled) postings(org string) []Posting {
	en := settled(org, e.Held, e.Draws, e.Expired)
	en.move(houseOverage, houseRevenue, USD, int64(e.Overage))
	en.move(houseIssued, houseAbsorbed, USD, int64(e.Absorbed))
	en.move(houseBYOK, Account{Org: org, Kind: "byok"}, USD, int64(e.Skipped))
	return en.whole()
}
func (e *RequestSettled) evolve(d *Draft, r *Record) {
	endHold(d, r, e.Request, e.ListCost, e.Usage.Total()*e.Weight)
	d.drawDown(r, e.Credential, e.ListCost)
}

func (*RequestVoided) Type() Type { return "request.voided" }
func (e *RequestVoided) postings(org string) []Posting {
	en := settled(org, e.Held, nil, e.Expired)
	en.move(houseIssued, houseAbsorbed, USD, int64(e.Absorbed))
	return en.whole()
}
func (e *RequestVoided) evolve(d *Draft, r *Record) { endHold(d, r, e.Request, 0, 0) }

func (*RequestInterrupted) Type() Type { return "request.interrupted" }
func (e *RequestInterrupted) postings(org string) []Posting {
	return settled(org, e.Held, e.Draws, e.Expired).whole()
}
func (e *RequestInterrupted) evolve(d *Draft, r *Record) {
	if e.Rule == RuleCaptureHeld {
		endHold(d, r, e.Request, e.Leg.Bound, e.Leg.counted(Tok))
	} else {
		endHold(d, r, e.Request, 0, 0)
	}
}
