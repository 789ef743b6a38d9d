package router

import (
	"fmt"
	"slices"
	"strings"

	"waybill/ledger"
)

// unlisted is what a model is taken to bear that the catalogue does not list: all that its caller asks of it. What it does
// not bear, its provider refuses.
var unlisted = []string{ledger.FeatureChat, ledger.FeatureReasoning, ledger.FeatureSampling, ledger.FeatureImages, ledger.FeatureDocuments, ledger.FeatureTools,
	ledger.FeatureStructured, ledger.FeaturePrefill, ledger.FeatureMaxTokens, ledger.FeatureEmbedding}

// candidate is a leg that a route proposes, and what the call needs that its model lacks.
type candidate struct {
	Leg
	unfit string // a reason to pass it over; none: it fits
}

// propose gathers the candidates, in groups: all of a group go before those of the next.
func (r *routing) propose() error {
	switch {
	case len(r.rule.Try) > 0:
		r.listed(r.rule.Try)
		return nil
	case r.decision.Lane == ledger.LaneAuto:
		return r.pooled()
	}
	m, err := r.named()
	if err != nil {
		return err
	}
	r.byMode([]*ledger.Model{m}, "")
	return nil
}

// listed takes a rule's list as it stands: each of its lines comes before the next.
func (r *routing) listed(try []Try) {
	for _, t := range try {
		whose, id, _ := strings.Cut(t.Credential, "/")
		m, unfit := r.meant(t.Model, whose, id)
		before := len(r.groups)
		switch whose {
		case "":
			r.byMode([]*ledger.Model{m}, unfit)
		case string(ledger.PlatformPool):
			r.group(r.view.Pool, []*ledger.Model{m}, unfit, all)
		default:
			r.group(r.view.Own, []*ledger.Model{m}, unfit, func(c *ledger.Credential) bool { return id == "" || c.ID == id })
			if len(r.groups) == before && id != "" && r.anyOwn(m.Provider) {
				// Attached anew under the old name it is another one: who has done that takes it for the one that the policy means.
				r.groups = append(r.groups, []candidate{{Leg{m, &ledger.Credential{ID: id, Provider: m.Provider}}, passReplaced}})
			}
		}
		switch {
		case len(r.groups) > before:
		case unfit == passUnknown:
			r.pass(ledger.Choice{Model: m.Name}, passUnknown)
		default:
			r.pass(ledger.Choice{Model: m.Name, Credential: id, Kind: ledger.CredentialKind(whose)}, passMissing)
		}
	}
}

// meant is the model of a line of a list, and why it cannot serve the call. Where there is none by that name, or none any more, it
// still is of a provider, by whose credentials the line is passed over: those of the org's own fail in it, and are not absent.
func (r *routing) meant(name, whose, id string) (m *ledger.Model, unfit string) {
	own := slices.IndexFunc(r.view.Own, func(c *ledger.Credential) bool { return id != "" && c.ID == id })
	m = r.known(name, whose != string(ledger.PlatformPool))
	if m != nil && (own < 0 || r.view.Own[own].Provider == m.Provider) {
		return m, r.unfit(m)
	}
	name = r.view.Policy.means(name)
	provider, _, full := strings.Cut(name, "/")
	if m = r.view.Model(name); m != nil {
		name, provider, full = m.Name, m.Provider, true
	}
	if own < 0 && !full { // a bare name that several providers have by now
		own = slices.IndexFunc(r.view.Own, func(c *ledger.Credential) bool { return r.view.Model(c.Provider+"/"+name) != nil })
	}
	if own >= 0 {
		provider = r.view.Own[own].Provider
	}
	return &ledger.Model{Name: name, Provider: provider}, passUnknown
}

// pooled takes the models of the auto lane that can do what the request needs.
func (r *routing) pooled() error {
	if r.ask.Endpoint == EndpointEmbed {
		reason := "name a model: vectors of different models cannot be compared"
		if r.rule.Auto != nil && !isAuto(r.model) {
			reason = fmt.Sprintf("route %q leaves the model to waybill, and vectors of different models cannot be compared: the policy needs a route for endpoint embeddings before it", r.decision.Route)
		}
		return &FieldError{r.ask.Field, reason}
	}
	pool := r.view.Auto
	if r.rule.Auto != nil && len(r.rule.Auto.Pool) > 0 {
		pool = r.rule.Auto.Pool
	}
	var models []*ledger.Model
	for _, name := range pool {
		m := r.known(name, true)
		if m == nil {
			r.pass(ledger.Choice{Model: r.view.Policy.means(name)}, passUnknown)
			continue
		}
		if why := r.unfit(m); why != "" {
			r.pass(ledger.Choice{Model: m.Name}, why)
			continue
		}
		models = append(models, m)
	}
	r.byMode(models, "")
	return nil
}

// unfit says why a model that the caller did not name cannot serve the call, empty if it can.
func (r *routing) unfit(m *ledger.Model) string {
	a := r.ask
	switch embeds := a.Endpoint == EndpointEmbed; {
	case embeds && !m.Has(ledger.FeatureEmbedding):
		return passLacks + ledger.FeatureEmbedding
	case embeds: // each text has the context to itself
		return ""
	case !m.Has(ledger.FeatureChat):
		return passLacks + ledger.FeatureChat
	}
	return a.unfit(m)
}

// named is the model that the caller named.
func (r *routing) named() (*ledger.Model, error) {
	m := r.known(r.model, true)
	if m == nil {
		return nil, r.unknown()
	}
	switch embeds := r.ask.Endpoint == EndpointEmbed; {
	case embeds && !m.Has(ledger.FeatureEmbedding):
		return nil, &FieldError{r.ask.Field, m.Name + " makes no embeddings"}
	case !embeds && !m.Has(ledger.FeatureChat):
		return nil, &FieldError{r.ask.Field, m.Name + " does not chat"}
	}
	return m, nil
}

// unknown refuses the name that the caller gave.
func (r *routing) unknown() error {
	return &ledger.Error{Code: ledger.CodeUnknownModel, Message: fmt.Sprintf("model %q is not in the catalogue: see GET /v1/models", clipped(r.ask.Model))}
}

// known finds a model by its name or an alias, in the catalogue or, where an org's own credential may serve it, as one of its
// provider's that the catalogue does not list.
func (r *routing) known(name string, own bool) *ledger.Model {
	name = r.view.Policy.means(name)
	if m := r.view.Model(name); m != nil {
		if m.Retired {
			return nil
		}
		return m
	}
	provider, id, ok := strings.Cut(name, "/")
	if !ok || !own || !r.anyOwn(provider) || id == "" || len(name) > maxNameText || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return nil
	}
	return &ledger.Model{Name: name, Provider: provider, ID: id, Features: unlisted}
}

// anyOwn tells whether the org has a credential of its own for a provider.
func (r *routing) anyOwn(provider string) bool {
	return slices.ContainsFunc(r.view.Own, func(c *ledger.Credential) bool { return c.Provider == provider })
}

func all(*ledger.Credential) bool { return true }

// byMode groups models' legs by whose turn it is. Those that the mode leaves out come last: what is passed over is told.
func (r *routing) byMode(models []*ledger.Model, unfit string) {
	own := func() {
		r.group(r.view.Own, models, unfit, func(c *ledger.Credential) bool { return c.Use != ledger.UseFallback })
	}
	kept := func() {
		r.group(r.view.Own, models, unfit, func(c *ledger.Credential) bool { return c.Use == ledger.UseFallback })
	}
	pool := func() { r.group(r.view.Pool, models, unfit, all) }
	var turns []func()
	switch r.decision.Settings.Credentials {
	case BYOKOnly:
		turns = []func(){own, kept, pool}
	case PlatformFirst, PlatformOnly:
		turns = []func(){pool, own, kept}
	default:
		turns = []func(){own, pool, kept}
	}
	for _, turn := range turns {
		turn()
	}
}

// group pairs models with the credentials of a wallet that reach them, model by model.
func (r *routing) group(wallet []*ledger.Credential, models []*ledger.Model, unfit string, takes func(*ledger.Credential) bool) {
	var group []candidate
	for _, m := range models {
		for _, c := range wallet {
			if c.Provider == m.Provider && takes(c) {
				group = append(group, candidate{Leg{m, c}, unfit})
			}
		}
	}
	if len(group) > 0 {
		r.groups = append(r.groups, group)
	}
}
