package router

import (
	"slices"
	"strings"

	"waybill/ledger"
)

// Supply is what a routing decision reads: who could serve.
type Supply struct {
	Own  []*ledger.Credential // the org's, in the order of use
	Pool []*ledger.Credential // the platform's
	// Model finds a model by its full or bare name, nil if the catalogue has none.
	Model func(name string) *ledger.Model
	// Origin is the leg that sealed reasoning into the conversation; zero if none is known to have.
	Origin ledger.Choice
}

// Leg is one choice of a route.
type Leg struct {
	Model      *ledger.Model
	Credential *ledger.Credential
}

func (l Leg) choice() ledger.Choice {
	return ledger.Choice{Model: l.Model.Name, Credential: l.Credential.ID, Kind: l.Credential.Kind()}
}

// ModelAuto is the name by which a caller leaves the choice of the model to waybill.
const ModelAuto = "auto"

// unlisted is what a model is taken to bear that the catalogue does not list: all that its caller asks of it. What it does
// not bear, its provider refuses.
var unlisted = []string{ledger.FeatureChat, ledger.FeatureReasoning, ledger.FeatureSampling, ledger.FeatureImages, ledger.FeatureTools,
	ledger.FeatureStructured, ledger.FeaturePrefill, ledger.FeatureMaxTokens, ledger.FeatureEmbedding}

// maxLegs bounds a route.
const maxLegs = 3

// autoPool is the models of the auto lane, the cheap first.
var autoPool = []string{"openai/gpt-6-luna", "anthropic/claude-haiku-5-5", "google/gemini-2.5-flash-lite"}

// Route orders the legs that may serve a call of a model. It is pure: the same request and view, the same legs.
//
// The org's own credentials come first. Where it has one for the call, capacity that costs the org money is no leg at
// all: a failing credential of its own never turns into a charge. Credentials that the org keeps as a fallback come
// after the platform's. A leg that has sealed reasoning into the conversation goes before all others.
func Route(q *Request, v Supply) (ledger.Lane, []Leg, error) {
	asked := q.Model
	lane, models := ledger.LaneAuto, []*ledger.Model(nil)
	if asked == ModelAuto {
		if q.Endpoint == EndpointEmbed {
			return "", nil, &FieldError{q.Name("model"), "name a model: vectors of different models cannot be compared"}
		}
		for _, name := range autoPool {
			if m := v.Model(name); m != nil && !m.Retired {
				models = append(models, m)
			}
		}
	} else {
		m, err := v.named(q)
		if err != nil {
			return "", nil, err
		}
		lane, models = ledger.LaneManual, []*ledger.Model{m}
	}
	own, fallback := v.legs(v.Own, models, false), v.legs(v.Own, models, true)
	legs := own
	if len(own) == 0 {
		legs = v.legs(v.Pool, models, false)
	}
	legs = append(legs, fallback...)
	if len(legs) == 0 {
		return lane, nil, &ledger.Error{Code: ledger.CodeUnavailable, Message: "no credential is attached that reaches " + asked +
			": attach one of your own, or ask the operator"}
	}
	if i := slices.IndexFunc(legs, func(l Leg) bool { return l.choice() == v.Origin }); i > 0 {
		legs = slices.Insert(slices.Delete(slices.Clone(legs), i, i+1), 0, legs[i])
	}
	return lane, legs[:min(len(legs), maxLegs)], nil
}

func (v Supply) named(q *Request) (*ledger.Model, error) {
	asked := q.Model
	if m := v.Model(asked); m != nil && !m.Retired {
		switch embeds := q.Endpoint == EndpointEmbed; {
		case embeds && !m.Has(ledger.FeatureEmbedding):
			return nil, &FieldError{q.Name("model"), m.Name + " makes no embeddings"}
		case !embeds && !m.Has(ledger.FeatureChat):
			return nil, &FieldError{q.Name("model"), m.Name + " does not chat"}
		}
		return m, nil
	}
	// A provider's model that the catalogue does not list is open on the org's own credential.
	provider, id, ok := strings.Cut(asked, "/")
	own := slices.ContainsFunc(v.Own, func(c *ledger.Credential) bool { return c.Provider == provider })
	if ok && own && id != "" && v.Model(asked) == nil && len(asked) <= 128 && !strings.ContainsFunc(asked, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return &ledger.Model{Name: asked, Provider: provider, ID: id, Features: unlisted}, nil
	}
	return nil, &ledger.Error{Code: ledger.CodeUnknownModel, Message: "model \"" + asked + "\" is not in the catalogue: see GET /v1/models"}
}

// legs pairs models with the credentials of a wallet that reach them, model by model.
func (v Supply) legs(wallet []*ledger.Credential, models []*ledger.Model, fallback bool) []Leg {
	var legs []Leg
	for _, m := range models {
		for _, c := range wallet {
			if c.Provider == m.Provider && (c.Kind() == ledger.BYOK && c.Use == ledger.UseFallback) == fallback {
				legs = append(legs, Leg{m, c})
			}
		}
	}
	return legs
}
