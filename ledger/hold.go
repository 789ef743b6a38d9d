package ledger

import "strings"

// Choice is a leg of a route: a model on a credential.
type Choice struct {
	Model      string         `json:"model"`      // provider/id
	Credential string         `json:"credential"` // its id
	Kind       CredentialKind `json:"kind"`
}

// Demand is what a leg may use at the most, before the ledger has said what it may.
type Demand struct {
	Choice
	Input       int64  // bound on the input, in tokens
	Output      int64  // output cap of one answer, in tokens; 0: the caller set none
	Floor       int64  // below so many tokens of output the call is not worth making
	Answers     int64  // answers asked for; 0 and 1 are one
	ServiceTier string // as asked
	NoOutput    bool   // the answer has no tokens of output, as vectors have none
	Gratis      bool   // the provider takes nothing for the call, as for a count of tokens: neither does waybill
}

// MaxOutput bounds an output cap, in tokens: more than any model puts out.
const MaxOutput = maxTokens

// ValidTier tells whether a word can be a service tier.
func ValidTier(word string) bool { return word == "" || validID(strings.ToLower(word)) }

// maxAnswers bounds the answers of one call; no provider gives more than 128.
const maxAnswers = 1024

// validate refuses figures that no call has, before a product of them overflows and holds too little.
func (dm Demand) validate() error {
	switch {
	case dm.Input < 0 || dm.Input > maxTokens:
		return refuse(CodeInvalid, "an input of %d tokens: not negative and at most %d", dm.Input, int64(maxTokens))
	case dm.Output < 0 || dm.Output > maxTokens:
		return refuse(CodeInvalid, "an output cap of %d tokens: not negative and at most %d", dm.Output, int64(maxTokens))
	case dm.Floor < 0 || dm.Floor > maxTokens:
		return refuse(CodeInvalid, "an output of at least %d tokens: not negative and at most %d", dm.Floor, int64(maxTokens))
	case dm.Answers < 0 || dm.Answers > maxAnswers:
		return refuse(CodeInvalid, "%d answers: not negative and at most %d", dm.Answers, maxAnswers)
	case !ValidTier(dm.ServiceTier):
		return refuse(CodeInvalid, "service tier %q: a word such as flex or priority", dm.ServiceTier)
	}
	return nil
}

// Leg is a leg as it was admitted: everything that bounds what it can cost.
type Leg struct {
	N int `json:"n"` // in the request, from 1
	Choice
	Input       int64  `json:"input_bound"`
	Output      int64  `json:"output_cap"` // what is sent upstream, in tokens
	Clipped     bool   `json:"clipped,omitzero"`
	Answers     int64  `json:"answers,omitzero"`
	ServiceTier string `json:"service_tier,omitzero"`
	Price       string `json:"price,omitzero"`      // the price row; none: the list cost is unknown
	Markup      int64  `json:"markup_bps,omitzero"` // of the plan
	Weight      int64  `json:"weight,omitzero"`     // plan tokens a token
	Bound       Nano   `json:"bound,omitzero"`      // list cost at worst
}

// worst is the usage of the leg at the most, with a cap on the output of one answer.
func (l *Leg) worst(output int64) Usage {
	return Usage{Input: l.Input, Output: output * max(1, l.Answers)}.Clamped()
}

// Hold is the authorisation of one open request. It has no expiry: only a resolution ends it.
type Hold struct {
	Request  string  `json:"request"`
	Org      string  `json:"org"`
	Key      string  `json:"key,omitzero"`
	Lane     Lane    `json:"lane"`
	Admitted Instant `json:"admitted"`
	Extended Instant `json:"extended,omitzero"` // when the latest leg was admitted, if that was on a later day than the first
	Position uint64  `json:"position"`          // of request.admitted
	Leg      Leg     `json:"leg"`               // the latest
	Draws    []Draw  `json:"draws,omitempty"`
}

// since is when the latest leg was admitted, to the day.
func (h *Hold) since() Instant { return max(h.Admitted, h.Extended) }

// Admit asks for a request's first leg.
type Admit struct {
	Who      By
	Org      string
	Key      string // none for a call of the operator's
	Request  string
	Lane     Lane
	Dialect  Dialect
	Asked    string // the model as the caller named it
	Streamed bool
	Inputs   Inputs
	Demand   Demand
}

// Extend asks for a further leg of an admitted request. It replaces the hold.
type Extend struct {
	Who     By
	Org     string
	Request string
	Demand  Demand
}

// RequestAdmitted is request.admitted: it is durable before a byte goes upstream.
type RequestAdmitted struct {
	Request string  `json:"request"`
	Key     string  `json:"key,omitzero"`
	Lane    Lane    `json:"lane"`
	Dialect Dialect `json:"dialect"`
	Asked   string  `json:"asked"`
	Stream  bool    `json:"stream,omitzero"`
	Inputs  Inputs  `json:"inputs"`
	Leg     Leg     `json:"leg"`
	Held    []Draw  `json:"held,omitempty"`
}

// RequestExtended is request.extended: a further leg, and the change of the hold.
type RequestExtended struct {
	Request  string `json:"request"`
	Leg      Leg    `json:"leg"`
	Released []Draw `json:"released,omitempty"`
	Expired  []Draw `json:"expired,omitempty"` // of the released, what had nowhere to return to
	Held     []Draw `json:"held,omitempty"`
}

func (c Admit) Stream() string { return c.Org }
func (c Admit) By() By         { return c.Who }
func (c Admit) Once() []Cause  { return c.Who.once(c.Org) }
func (c Admit) decide(d *Draft, at Instant) ([]Event, error) {
	o, err := d.callable(c.Org, c.Key, at)
	if err != nil {
		return nil, err
	}
	if !validReference(c.Request) {
		return nil, refuse(CodeInvalid, "request id %q: 1 to 128 letters, digits and -_.:/", c.Request)
	}
	if d.hold(c.Request) != nil {
		return nil, refuse(CodeConflict, "request %s is admitted already", c.Request)
	}
	leg, held, err := d.fund(o, c.Key, c.Lane, c.Demand, nil, at)
	if err != nil {
		return nil, err
	}
	leg.N = 1
	return []Event{&RequestAdmitted{c.Request, c.Key, c.Lane, c.Dialect, c.Asked, c.Streamed, c.Inputs, leg, held}}, nil
}

func (c Extend) Stream() string { return c.Org }
func (c Extend) By() By         { return c.Who.within() }
func (c Extend) Once() []Cause  { return nil }
func (c Extend) decide(d *Draft, at Instant) ([]Event, error) {
	h, err := d.openHold(c.Org, c.Request)
	if err != nil {
		return nil, err
	}
	o, err := d.callable(c.Org, h.Key, at)
	if err != nil {
		return nil, err
	}
	leg, held, err := d.fund(o, h.Key, h.Lane, c.Demand, h, at)
	if err != nil {
		return nil, err
	}
	leg.N = h.Leg.N + 1
	return []Event{&RequestExtended{c.Request, leg, h.Draws, d.stranded(o, h.Draws), held}}, nil
}

// callable gives the org of a call, if the org and the key may call at all.
func (d *Draft) callable(org, key string, at Instant) (*Org, error) {
	o, err := d.openOrg(org)
	if err != nil {
		return nil, err
	}
	if o.Suspended {
		return nil, refuse(CodeOrgSuspended, "org %s is suspended: ask the operator", org)
	}
	if key == "" {
		return o, nil
	}
	k := d.key(key)
	switch {
	case k == nil || k.Org != org || k.Revoked || k.Expires.passed(at):
		return nil, refuse(CodeUnknownKey, "the key is unknown, revoked or expired")
	case !k.Has(ScopeInference):
		return nil, refuse(CodeForbidden, "the key may not call models: it lacks the scope inference")
	}
	return o, nil
}

func (d *Draft) openHold(org, request string) (*Hold, error) {
	h := d.hold(request)
	if h == nil || h.Org != org {
		return nil, refuse(CodeConflict, "request %s is not open: it was never admitted, or is resolved", request)
	}
	return h, nil
}

// stranded is what of a released hold has nowhere to return to, because its period or lot has closed since.
func (d *Draft) stranded(o *Org, held []Draw) []Draw {
	var lost []Draw
	for _, w := range held {
		if w.Amount > 0 && o.closed(w) {
			lost = append(lost, w)
		}
	}
	return lost
}

// closed tells whether the period or lot of a draw no longer takes anything back.
func (o *Org) closed(w Draw) bool {
	switch w.Unit {
	case Tok:
		return w.ID != o.Period.ID
	case USD:
		for i := range o.Lots {
			if o.Lots[i].ID == w.ID {
				return o.Lots[i].Closed
			}
		}
	}
	return false
}

// modelOf is the catalogue's row of a name, or the bare description of a model that only the org's own credentials
// can reach because the catalogue does not know it.
func (d *Draft) modelOf(c Choice) (*Model, error) {
	m := d.model(c.Model)
	if m != nil && !m.Retired {
		return m, nil
	}
	provider, id, ok := strings.Cut(c.Model, "/")
	if m == nil && c.Kind == BYOK && ok {
		return &Model{Name: c.Model, Provider: provider, ID: id}, nil
	}
	return nil, refuse(CodeUnknownModel, "model %q is not in the catalogue: see GET /v1/models", c.Model)
}

func (*RequestAdmitted) Type() Type { return "request.admitted" }
func (e *RequestAdmitted) postings(org string) []Posting {
	return hold(make(entry, 0, 4), org, e.Held).whole()
}
func (e *RequestAdmitted) evolve(d *Draft, r *Record) {
	d.holds.set(e.Request, &Hold{Request: e.Request, Org: r.Stream, Key: e.Key, Lane: e.Lane, Admitted: r.At,
		Position: r.Position, Leg: e.Leg, Draws: e.Held})
	d.touch(r, "hold", e.Request)
	d.spend(r, e.Key, outlay{began: &e.Leg})
}

func (*RequestExtended) Type() Type { return "request.extended" }
func (e *RequestExtended) postings(org string) []Posting {
	return hold(release(make(entry, 0, 8), org, e.Released, e.Expired), org, e.Held).whole()
}
func (e *RequestExtended) evolve(d *Draft, r *Record) {
	if h := d.hold(e.Request); h != nil {
		n := *h
		n.Leg, n.Draws = e.Leg, e.Held
		if WindowDay.begins(r.At) != WindowDay.begins(h.Admitted) {
			n.Extended = r.At
		}
		d.holds.set(n.Request, &n)
		d.touch(r, "hold", n.Request)
		d.spend(r, h.Key, outlay{ended: h, began: &e.Leg})
	}
}

// hold moves draws from their accounts to the held twins.
func hold(en entry, org string, held []Draw) entry {
	for _, w := range held {
		en.move(w.of(org), w.of(org).held(), w.Unit, w.Amount)
	}
	return en
}

// release moves draws back from the held twins, and what is stranded on to house/expired.
func release(en entry, org string, held, stranded []Draw) entry {
	for _, w := range held {
		en.move(w.of(org).held(), w.of(org), w.Unit, w.Amount)
	}
	for _, w := range stranded {
		en.move(w.of(org), houseExpired, w.Unit, w.Amount)
	}
	return en
}

func providerOf(model string) string {
	provider, _, _ := strings.Cut(model, "/")
	return provider
}
