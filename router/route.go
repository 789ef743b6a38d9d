package router

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"waybill/ledger"
)

// ModelAuto is the name by which a caller leaves the choice of the model to waybill; auto:cost and the like say by which
// goal.
const ModelAuto = "auto"

// unlisted is what a model is taken to bear that the catalogue does not list: all that its caller asks of it. What it does
// not bear, its provider refuses.
var unlisted = []string{ledger.FeatureChat, ledger.FeatureReasoning, ledger.FeatureSampling, ledger.FeatureImages, ledger.FeatureTools,
	ledger.FeatureStructured, ledger.FeaturePrefill, ledger.FeatureMaxTokens, ledger.FeatureEmbedding}

// Route orders the legs that may serve a call. It is pure: the same ask and view, the same decision.
//
// The first route of the policy that matches says what to try; without one it is the model that the caller named. The mode
// says whose credentials serve. Where the org has one of its own for the call, capacity that costs it money is no leg at all,
// unless the policy says paid_fallback: a failing credential never turns into a charge. Credentials that the org keeps as a
// fallback come after the platform's. A leg that has sealed reasoning into the conversation goes before all others.
func Route(a Ask, v View) (Decision, error) {
	r := &routing{ask: a, view: v, decision: Decision{Lane: ledger.LaneManual}}
	if err := r.match(); err != nil {
		return r.decision, err
	}
	if err := r.propose(); err != nil {
		return r.decision, err
	}
	r.arrange()
	if legs := r.decision.Legs; r.decision.Lane == ledger.LaneAuto && len(legs) > 0 && legs[0].Credential.Kind() == a.Sticky.Kind {
		r.first(a.Sticky) // a cache is no reason to pay where the org's own credential comes first
	}
	r.first(a.Origin)
	r.cut()
	if len(r.decision.Legs) == 0 {
		return r.decision, r.none()
	}
	return r.decision, nil
}

// routing is a decision in the making.
type routing struct {
	ask      Ask
	view     View
	model    string // what the caller's name means
	rule     PolicyRoute
	refusal  error // why the ledger would not admit the first leg that it would not
	groups   [][]Leg
	decision Decision
}

// match finds the rule, and the settings that hold.
func (r *routing) match() error {
	d := &r.decision
	settings := DefaultSettings
	r.model = r.ask.Model
	if p := r.view.Policy; p != nil {
		settings = p.Settings.over(settings)
		if means, ok := p.Aliases[r.model]; ok {
			r.model = means
		}
		for i, rule := range p.Routes {
			if r.matches(rule.When) {
				r.rule, d.Route = rule, rule.Name
				if rule.Name == "" {
					d.Route = fmt.Sprintf("routes[%d]", i)
				}
				settings = rule.Settings.over(settings)
				break
			}
		}
	}
	d.Settings = settings
	if r.rule.Refuse != "" {
		return &ledger.Error{Code: ledger.CodePolicyForbids, Message: fmt.Sprintf("the org's policy does not serve this call: route %q: %s", d.Route, r.rule.Refuse)}
	}
	name, goal, _ := strings.Cut(r.model, ":")
	if name == ModelAuto {
		d.Lane, d.Goal = ledger.LaneAuto, Goal(goal)
		if goal != "" && goals[d.Goal] == (weights{}) {
			return &FieldError{r.ask.Field, fmt.Sprintf("%q is no goal: auto, auto:balanced, auto:cost, auto:latency or auto:reliability", goal)}
		}
	}
	if r.rule.Auto != nil {
		d.Lane = ledger.LaneAuto
		if d.Goal == "" {
			d.Goal = r.rule.Auto.Goal
		}
	}
	if g := r.ask.Narrowed.Goal; g != "" {
		d.Goal = Goal(g)
	}
	if d.Goal == "" {
		d.Goal = GoalBalanced
	}
	return nil
}

func (r *routing) matches(w When) bool {
	a := r.ask
	if w.Model != "" {
		ok := matchName(w.Model, a.Model) || matchName(w.Model, r.model)
		if base, _, _ := strings.Cut(r.model, ":"); base == ModelAuto {
			ok = ok || w.Model == ModelAuto
		}
		if m := r.view.Model(r.model); m != nil {
			ok = ok || matchName(w.Model, m.Name) || matchName(w.Model, m.ID)
		}
		if !ok {
			return false
		}
	}
	if w.Endpoint != "" && w.Endpoint != "any" && w.Endpoint != string(a.Endpoint) ||
		w.Dialect != "" && w.Dialect != "any" && w.Dialect != string(a.Dialect) ||
		w.Key != "" && !matchName(w.Key, a.Note.Key) {
		return false
	}
	for name, pattern := range w.Metadata {
		if value, ok := a.Note.Metadata[name]; !ok || !matchName(pattern, value) {
			return false
		}
	}
	return true
}

// matchName tells whether a pattern, in which * stands for any run of characters but a slash, matches a name.
func matchName(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return err == nil && ok
}

// propose gathers the legs, in groups: all of a group go before those of the next.
func (r *routing) propose() error {
	switch {
	case len(r.rule.Try) > 0:
		return r.listed(r.rule.Try)
	case r.decision.Lane == ledger.LaneAuto:
		return r.pooled()
	}
	m, err := r.named()
	if err != nil {
		return err
	}
	r.byMode([]*ledger.Model{m})
	return nil
}

// listed takes a rule's list as it stands: each of its lines is a group.
func (r *routing) listed(try []Try) error {
	for _, t := range try {
		m := r.known(t.Model, t.Credential != "platform")
		if m == nil {
			r.pass(ledger.Choice{Model: t.Model}, passUnknown)
			continue
		}
		whose, id, _ := strings.Cut(t.Credential, "/")
		before := len(r.groups)
		switch {
		case whose == "":
			r.byMode([]*ledger.Model{m})
		case whose == string(ledger.PlatformPool):
			r.group(r.view.Pool, []*ledger.Model{m}, func(*ledger.Credential) bool { return true })
		default:
			r.group(r.view.Own, []*ledger.Model{m}, func(c *ledger.Credential) bool { return id == "" || c.ID == id })
		}
		if len(r.groups) == before {
			r.pass(ledger.Choice{Model: m.Name, Credential: id, Kind: ledger.CredentialKind(whose)}, passMissing)
		}
	}
	return nil
}

// pooled takes the models of the auto lane that can do what the request needs.
func (r *routing) pooled() error {
	if r.ask.Endpoint == EndpointEmbed {
		return &FieldError{r.ask.Field, "name a model: vectors of different models cannot be compared"}
	}
	pool := r.view.Auto
	if r.rule.Auto != nil && len(r.rule.Auto.Pool) > 0 {
		pool = r.rule.Auto.Pool
	}
	var models []*ledger.Model
	for _, name := range pool {
		switch m := r.known(name, true); {
		case m == nil:
			r.pass(ledger.Choice{Model: name}, passUnknown)
		case m.Context > 0 && r.ask.Input > m.Context:
			r.pass(ledger.Choice{Model: m.Name}, passContext)
		default:
			i := slices.IndexFunc(r.ask.Needs, func(f string) bool { return !m.Has(f) })
			if i >= 0 {
				r.pass(ledger.Choice{Model: m.Name}, passLacks+r.ask.Needs[i])
				continue
			}
			models = append(models, m)
		}
	}
	r.byMode(models)
	return nil
}

// named is the model that the caller named.
func (r *routing) named() (*ledger.Model, error) {
	if m := r.view.Model(r.model); m != nil && !m.Retired {
		switch embeds := r.ask.Endpoint == EndpointEmbed; {
		case embeds && !m.Has(ledger.FeatureEmbedding):
			return nil, &FieldError{r.ask.Field, m.Name + " makes no embeddings"}
		case !embeds && !m.Has(ledger.FeatureChat):
			return nil, &FieldError{r.ask.Field, m.Name + " does not chat"}
		}
		return m, nil
	}
	if m := r.known(r.model, true); m != nil {
		return m, nil
	}
	return nil, &ledger.Error{Code: ledger.CodeUnknownModel, Message: "model \"" + r.ask.Model + "\" is not in the catalogue: see GET /v1/models"}
}

// known finds a model, in the catalogue or, where an org's own credential may serve it, as one of its provider's that the
// catalogue does not list.
func (r *routing) known(name string, own bool) *ledger.Model {
	if m := r.view.Model(name); m != nil {
		if m.Retired {
			return nil
		}
		return m
	}
	provider, id, ok := strings.Cut(name, "/")
	has := own && slices.ContainsFunc(r.view.Own, func(c *ledger.Credential) bool { return c.Provider == provider })
	if !ok || !has || id == "" || len(name) > 128 || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return nil
	}
	return &ledger.Model{Name: name, Provider: provider, ID: id, Features: unlisted}
}

// byMode groups models' legs by whose turn it is.
func (r *routing) byMode(models []*ledger.Model) {
	own := func(fallback bool) func(c *ledger.Credential) bool {
		return func(c *ledger.Credential) bool { return (c.Use == ledger.UseFallback) == fallback }
	}
	all := func(*ledger.Credential) bool { return true }
	switch r.decision.Settings.Credentials {
	case BYOKOnly:
		r.group(r.view.Own, models, own(false))
		r.group(r.view.Own, models, own(true))
	case PlatformFirst:
		r.group(r.view.Pool, models, all)
		r.group(r.view.Own, models, own(false))
		r.group(r.view.Own, models, own(true))
	case PlatformOnly:
		r.group(r.view.Pool, models, all)
	default:
		r.group(r.view.Own, models, own(false))
		r.group(r.view.Pool, models, all)
		r.group(r.view.Own, models, own(true))
	}
}

// group pairs models with the credentials of a wallet that reach them, model by model.
func (r *routing) group(wallet []*ledger.Credential, models []*ledger.Model, takes func(*ledger.Credential) bool) {
	var legs []Leg
	for _, m := range models {
		for _, c := range wallet {
			if c.Provider == m.Provider && takes(c) {
				legs = append(legs, Leg{m, c})
			}
		}
	}
	if len(legs) > 0 {
		r.groups = append(r.groups, legs)
	}
}

// arrange leaves out what must not be tried, and puts the rest in order.
func (r *routing) arrange() {
	d := &r.decision
	owned := false // a credential of the org's own comes before
	for _, legs := range r.groups {
		var open []Leg
		owns := false
		for _, l := range legs {
			byok := l.Credential.Kind() == ledger.BYOK
			reason := r.forbids(l)
			if reason == "" && !byok && owned && !*d.Settings.PaidFallback {
				reason = passPaid
			}
			if reason != "" {
				r.pass(l.choice(), reason)
				continue
			}
			owns = owns || byok
			open = append(open, l)
		}
		owned = owned || owns
		if d.Lane == ledger.LaneAuto && len(r.rule.Try) == 0 {
			open = r.rank(open)
		}
		for _, l := range open {
			if !slices.Contains(d.Legs, l) {
				d.Legs = append(d.Legs, l)
			}
		}
	}
}

// forbids says why a leg must not be tried, empty if it may.
func (r *routing) forbids(l Leg) string {
	d, byok := &r.decision, l.Credential.Kind() == ledger.BYOK
	mode, narrowed := d.Settings.Credentials, Mode(r.ask.Narrowed.Credentials)
	switch {
	case byok && mode == PlatformOnly, !byok && mode == BYOKOnly:
		return passMode
	case byok && narrowed == PlatformOnly, !byok && narrowed == BYOKOnly:
		return passNarrowed
	case len(d.Settings.Providers) > 0 && !slices.Contains(d.Settings.Providers, l.Model.Provider):
		return passProvider
	case len(r.ask.Narrowed.Models) > 0 && !slices.ContainsFunc(r.ask.Narrowed.Models, func(p string) bool { return matchName(p, l.Model.Name) || matchName(p, l.Model.ID) }):
		return passNarrowed
	case !byok && slices.ContainsFunc(r.view.Own, func(c *ledger.Credential) bool { return c.Provider == l.Model.Provider && c.Use == ledger.UseOnly }):
		return passOnly
	}
	if err := r.view.Permits(d.Lane, l); err != nil {
		if r.refusal == nil {
			r.refusal = err
		}
		return reasonOf(err)
	}
	return ""
}

// first puts a leg before the others, if it is among them.
func (r *routing) first(c ledger.Choice) {
	legs := r.decision.Legs
	if i := slices.IndexFunc(legs, func(l Leg) bool { return l.choice() == c }); i > 0 {
		l := legs[i]
		r.decision.Legs = slices.Insert(slices.Delete(legs, i, i+1), 0, l)
	}
}

// cut ends the route where enough has been tried.
func (r *routing) cut() {
	d := &r.decision
	most := d.Settings.MaxAttempts
	if f := r.rule.MaxFallbacks; f != nil {
		most = min(most, 1+*f)
	}
	if n := r.ask.Narrowed.MaxAttempts; n > 0 {
		most = min(most, n)
	}
	if len(d.Legs) > most {
		for _, l := range d.Legs[most:] {
			r.pass(l.choice(), passMore)
		}
		d.Legs = d.Legs[:most]
	}
}

// none is why nothing can be tried.
func (r *routing) none() error {
	if r.refusal != nil {
		return r.refusal
	}
	for _, p := range r.decision.Passed {
		switch {
		case p.Reason == passNarrowed:
			return &FieldError{"waybill", "what the request leaves of its policy is nothing: " + p.Model + " on " + string(p.Kind) + " is left out by the request itself"}
		case p.Reason == passMode, p.Reason == passProvider:
			return &ledger.Error{Code: ledger.CodePolicyForbids, Message: "the org's policy leaves nothing for this call: " + p.Model + ": " + p.Reason}
		case p.Reason == passContext, strings.HasPrefix(p.Reason, passLacks):
			return &FieldError{r.ask.Field, "no model of the auto lane can serve this call: " + p.Model + ": " + p.Reason}
		}
	}
	return &ledger.Error{Code: ledger.CodeUnavailable, Message: "no credential is attached that reaches " + r.ask.Model +
		": attach one of your own, or ask the operator"}
}

func (r *routing) pass(c ledger.Choice, reason string) {
	r.decision.Passed = append(r.decision.Passed, ledger.Passed{Choice: c, Reason: reason})
}

func reasonOf(err error) string {
	if le, ok := err.(*ledger.Error); ok {
		return string(le.Code)
	}
	return "forbidden"
}
