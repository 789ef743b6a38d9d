package router

import (
	"slices"
	"strings"

	"waybill/ledger"
)

// Ask is what a routing decision reads of a call: all of it is recorded, so that the decision can be made again.
type Ask struct {
	Endpoint Endpoint
	Dialect  ledger.Dialect
	Model    string // as the caller named it
	Field    string // the caller's word for the field that names it
	Needs    []string
	Input    int64 // estimate, in tokens
	Most     int64 // bound on the input, in tokens
	Output   int64 // the caller's cap, in tokens; 0: none
	Narrowed ledger.Narrowing
	Origin   ledger.Choice // the leg that sealed reasoning into the conversation; zero if none is known to have
	Sticky   ledger.Choice // the leg whose cache holds the conversation; zero if none is known to
	Note     Note
}

// Note is what a policy may match that no log may keep: it stands beside the log, and can be erased.
type Note struct {
	Key      string            `json:"key,omitzero"` // the key's name
	Metadata map[string]string `json:"metadata,omitempty"`
}

// View is what else a decision reads.
type View struct {
	Policy *Policy              // nil: the defaults
	Own    []*ledger.Credential // the org's, in the order of use
	Pool   []*ledger.Credential // the platform's
	Auto   []string             // full names: what the auto lane takes where the policy does not say
	// Model finds a model by its full or bare name, nil if the catalogue has none.
	Model func(name string) *ledger.Model
	// Price is the price row in force, nil if there is none.
	Price func(model string) *ledger.Price
	// Permits is why the ledger would not admit a leg, money aside; nil if it would.
	Permits func(lane ledger.Lane, leg Leg) error
	// Condition is how a leg has been observed to do.
	Condition func(ledger.Choice) ledger.Condition
	Now       ledger.Instant
	Seed      uint64
	Funds     *Funds // what there is to pay with: no decision reads it, and Explain tells it; nil: it does not
}

// Leg is one choice of a route.
type Leg struct {
	Model      *ledger.Model
	Credential *ledger.Credential
}

func (l Leg) choice() ledger.Choice {
	return ledger.Choice{Model: l.Model.Name, Credential: l.Credential.ID, Kind: l.Credential.Kind()}
}

// Decision is a route, and why it is this one.
type Decision struct {
	Lane     ledger.Lane
	Route    string // of the policy, that matched: its name or place; empty: the defaults
	Goal     Goal   // of the auto lane
	Settings Settings
	Legs     []Leg
	Passed   []ledger.Passed
	Scores   []ledger.Score
	// Conditions is what was read of how legs have been observed to do.
	Conditions []ledger.Condition
}

// The reasons for which a leg is passed over before it is tried, beside the codes of the ledger's refusals.
const (
	passProvider = "provider_excluded"   // the policy leaves the provider out
	passNarrowed = "narrowed"            // the request leaves it out
	passPaid     = "paid_fallback_off"   // it would turn the failure of the org's own credential into a charge
	passOnly     = "own_credential_only" // the org has a credential for use instead of the platform's
	passMode     = "mode_excludes"       // the mode of credentials leaves it out
	passMissing  = "credential_absent"   // no such credential is attached
	passReplaced = "credential_replaced" // the one that the policy names is detached, and the org has another for the provider
	passUnknown  = "unknown_model"       // the catalogue does not have the model, or it is retired
	passContext  = "context_too_short"   // the input and an answer do not fit
	passOutput   = "output_too_short"    // the model does not put out as much as the caller asks for
	passLacks    = "lacks_"              // and a feature: the model does not have what the request needs
	passMore     = "beyond_max_attempts" // enough other legs come before it
)

// AskOf says what a decision reads of a request.
func AskOf(q *Request, note Note) Ask {
	a := Ask{Endpoint: q.Endpoint, Dialect: q.Dialect, Model: q.Model, Field: q.Name("model"), Input: inputEstimate(q),
		Most: InputBound(q), Output: q.OutputCap, Needs: needsOf(q), Note: note}
	return a
}

// What media are taken to have, in tokens: providers count what they show, which is not known here.
const (
	estimateImage = 1000
	estimateFile  = 10_000 // of which there is only the address
)

// inputEstimate is how many tokens a request's input has, roughly.
func inputEstimate(q *Request) int64 {
	text, media := int64(len(q.Body)), int64(0)
	var measure func(parts []Part)
	measure = func(parts []Part) {
		for _, p := range parts {
			if p.Kind == KindResult {
				measure(p.Parts)
			}
			if p.Media == nil {
				continue
			}
			size := int64(len(p.Media.Data))
			text -= size
			switch {
			case p.Kind == KindImage:
				media += estimateImage
			case size == 0:
				media += estimateFile
			case p.Kind == KindAudio:
				media += size / 256 // some 32 tokens a second
			case strings.HasPrefix(p.Media.Type, "text/"):
				media += size * 3 / (4 * estimateBytes)
			default:
				media += size / 16 // pages have pictures and fonts in them
			}
		}
	}
	for i := range q.Messages {
		measure(q.Messages[i].Parts)
	}
	return (max(0, text)+estimateBytes-1)/estimateBytes + media
}

// needsOf is the features that a request asks of a model.
func needsOf(q *Request) []string {
	if q.Endpoint == EndpointEmbed {
		return []string{ledger.FeatureEmbedding}
	}
	var needs []string
	if len(q.Tools) > 0 {
		needs = append(needs, ledger.FeatureTools)
	}
	for _, n := range []struct {
		kind    Kind
		feature string
	}{{KindImage, ledger.FeatureImages}, {KindDocument, ledger.FeatureDocuments}} {
		if slices.ContainsFunc(q.Messages, func(m Message) bool { return hasKind(m.Parts, n.kind) }) {
			needs = append(needs, n.feature)
		}
	}
	if q.Format.Kind == FormatSchema {
		needs = append(needs, ledger.FeatureStructured)
	}
	if q.Effort != "" && q.Effort != "none" || q.Budget != nil && *q.Budget != 0 {
		needs = append(needs, ledger.FeatureReasoning)
	}
	return needs
}

func hasKind(parts []Part, k Kind) bool {
	return slices.ContainsFunc(parts, func(p Part) bool { return p.Kind == k || p.Kind == KindResult && hasKind(p.Parts, k) })
}

// ViewOf is what a decision on a call of an org's reads of the state, everything observed excepted.
func ViewOf(s *ledger.State, org, key string, policy *Policy, a Ask, at ledger.Instant) View {
	v := View{Policy: policy, Own: s.Wallet(org), Pool: s.Wallet(ledger.Platform), Auto: autoPool, Model: s.Model, Now: at,
		Price: func(model string) *ledger.Price { return s.PriceOf(model, at) },
		Permits: func(lane ledger.Lane, l Leg) error {
			return s.Permits(org, key, lane, l.Model, a.demand(l), at)
		},
		Condition: func(ledger.Choice) ledger.Condition { return ledger.Condition{} },
	}
	if o := s.Org(org); o != nil && len(s.Plan(o.Plan).Pool) > 0 {
		v.Auto = s.Plan(o.Plan).Pool
	}
	return v
}

// inputs is what the log keeps of a decision.
func (d *Decision) inputs(a Ask, v View, version uint64) ledger.Inputs {
	in := ledger.Inputs{Policy: version, Route: d.Route, Seed: v.Seed, Needs: a.Needs, Input: a.Input, Most: a.Most, Output: a.Output,
		Passed: d.Passed, Scores: d.Scores}
	if a.Endpoint != EndpointChat {
		in.Endpoint = string(a.Endpoint)
	}
	if n := a.Narrowed; len(n.Models) > 0 || n.Credentials != "" || n.Goal != "" || n.MaxAttempts != 0 {
		in.Narrowed = &n
	}
	if a.Origin != (ledger.Choice{}) {
		in.Origin = &a.Origin
	}
	if a.Sticky != (ledger.Choice{}) {
		in.Sticky = &a.Sticky
	}
	in.Legs = make([]ledger.Choice, len(d.Legs))
	for i, l := range d.Legs {
		in.Legs[i] = l.choice()
	}
	in.Conditions = d.Conditions
	in.Noted = v.Policy.reads()
	return in
}

// AskedOf says what a recorded decision read of its call.
func AskedOf(e *ledger.RequestAdmitted, note Note) Ask {
	in := e.Inputs
	a := Ask{Endpoint: Endpoint(in.Endpoint), Dialect: e.Dialect, Model: e.Asked, Field: "model", Needs: in.Needs, Input: in.Input, Most: in.Most, Output: in.Output, Note: note}
	if a.Endpoint == "" {
		a.Endpoint = EndpointChat
	}
	if in.Narrowed != nil {
		a.Narrowed = *in.Narrowed
	}
	if in.Origin != nil {
		a.Origin = *in.Origin
	}
	if in.Sticky != nil {
		a.Sticky = *in.Sticky
	}
	return a
}
