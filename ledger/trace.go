package ledger

import "slices"

// Trace is one row of the view requests: a request as its events tell it. The token classes are disjoint (Usage);
// money is in nano-dollars, durations in nanoseconds.
type Trace struct {
	ID       string         `json:"id"`
	Org      string         `json:"org"`
	Key      string         `json:"key"`
	At       Instant        `json:"at"`    // of the admission
	State    string         `json:"state"` // admitted, settled, voided, interrupted
	Dialect  Dialect        `json:"dialect"`
	Lane     Lane           `json:"lane"`
	Asked    string         `json:"model_asked"`
	Provider string         `json:"provider"`   // of the leg that answered, or the last that was tried
	Model    string         `json:"model"`      // likewise, provider/id
	Kind     CredentialKind `json:"credential"` // likewise: byok or platform
	Attempts int64          `json:"attempts"`   // legs that were called

	Usage       Usage       `json:"usage"`
	UsageSource UsageSource `json:"usage_source"`
	PlanTokens  int64       `json:"plan_tokens"`
	Charge      Nano        `json:"charge_nano"`
	ListCost    Nano        `json:"list_cost_nano"`
	Skipped     Nano        `json:"skipped_nano"`
	SkipReason  string      `json:"skip_reason"`
	Overage     Nano        `json:"overage_nano"`

	FirstByte  int64  `json:"first_byte_ns"`
	Duration   int64  `json:"duration_ns"`
	Finish     string `json:"finish_reason"`
	UpstreamID string `json:"upstream_id"`
	Reason     string `json:"reason"` // why it was voided or interrupted

	AdmittedPosition uint64 `json:"admitted_position"`
	SettledPosition  uint64 `json:"settled_position"` // of the resolution; 0 while open
}

// Trace starts a trace from its admission.
func (e *RequestAdmitted) Trace(r *Record) Trace {
	t := Trace{ID: e.Request, Org: r.Stream, Key: e.Key, At: r.At, State: "admitted", Dialect: e.Dialect, Lane: e.Lane,
		Asked: e.Asked, Attempts: 1, AdmittedPosition: r.Position}
	t.on(e.Leg.Choice)
	return t
}

// Follow carries a trace on by a later event of the same request, and tells whether the event is one.
func (t *Trace) Follow(r *Record) bool {
	switch e := r.Event.(type) {
	case *RequestExtended:
		t.Attempts++
		t.on(e.Leg.Choice)
	case *RequestSettled:
		t.State, t.SettledPosition = "settled", r.Position
		t.on(e.Choice)
		t.Usage, t.UsageSource, t.PlanTokens = e.Usage, e.Source, e.PlanTokens()
		t.Charge, t.ListCost, t.Skipped, t.SkipReason, t.Overage = e.Charge, e.ListCost, e.Skipped, e.SkipReason, e.Overage
		t.FirstByte, t.Finish, t.UpstreamID = e.FirstByte, e.Finish, e.UpstreamID
		t.Duration, t.Reason = e.Duration, e.Reason
	case *RequestVoided:
		t.State, t.SettledPosition = "voided", r.Position
		t.Duration, t.Reason = e.Duration, e.Reason
	case *RequestInterrupted:
		t.State, t.SettledPosition = "interrupted", r.Position
		t.PlanTokens, t.Charge, t.Reason = sum(e.Draws, Tok), e.Charge, string(e.Rule)
	default:
		return false
	}
	return true
}

func (t *Trace) on(c Choice) {
	t.Model, t.Kind = c.Model, c.Kind
	t.Provider = providerOf(c.Model)
}

// Request is the request that an event belongs to, empty if it belongs to none.
func (r *Record) Request() string {
	switch e := r.Event.(type) {
	case *RequestAdmitted:
		return e.Request
	case *RequestExtended:
		return e.Request
	case *RequestSettled:
		return e.Request
	case *RequestVoided:
		return e.Request
	case *RequestInterrupted:
		return e.Request
	}
	return ""
}

// Interrupted is the outcome of the leg that ran, or may have run, when the node stopped. No event tells how it ended.
const Interrupted Outcome = "interrupted"

// Attempted gives the attempts that a resolution tells of, nil for any other event. The one that was settled carries the
// usage of the settlement, so that the attempts together show everything that upstreams counted. Of an interrupted
// request only the last leg is known.
func (r *Record) Attempted() []Attempt {
	switch e := r.Event.(type) {
	case *RequestSettled:
		attempts := slices.Clone(e.Attempts)
		for i, a := range slices.Backward(attempts) {
			if a.N == e.Leg && (a.Outcome == Answered || a.Outcome == Cut || a.Outcome == Abandoned) {
				attempts[i].Usage = e.Usage
				break
			}
		}
		return attempts
	case *RequestVoided:
		return e.Attempts
	case *RequestInterrupted:
		return []Attempt{{N: e.Leg.N, Choice: e.Leg.Choice, Outcome: Interrupted, Reason: string(e.Rule)}}
	}
	return nil
}
