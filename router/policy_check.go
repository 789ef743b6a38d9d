package router

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"waybill/ledger"
)

// PolicyView is what a policy is checked against: what there is now of what it speaks of.
type PolicyView struct {
	Own       []*ledger.Credential // the org's
	Pool      []*ledger.Credential // the platform's
	Plan      *ledger.Plan         // the org's; nil: any
	Auto      []string             // what the auto lane takes where the policy does not say
	Models    []*ledger.Model      // the catalogue's, those that are retired too
	Providers []string             // of these
	Model     func(name string) *ledger.Model
}

// PolicyViewOf is what a policy of an org's is checked against.
func PolicyViewOf(s *ledger.State, org string) PolicyView {
	v := PolicyView{Own: s.Wallet(org), Pool: s.Wallet(ledger.Platform), Auto: autoPool, Model: s.Model}
	if o := s.Org(org); o != nil {
		if v.Plan = s.Plan(o.Plan); v.Plan != nil && len(v.Plan.Pool) > 0 {
			v.Auto = v.Plan.Pool
		}
	}
	v.Models = s.Models()
	for _, m := range v.Models {
		if !slices.Contains(v.Providers, m.Provider) {
			v.Providers = append(v.Providers, m.Provider)
		}
	}
	return v
}

// NoModel gives those of a key's patterns that match no model which is known now.
func (v PolicyView) NoModel(patterns []string) (none []string) {
	for _, p := range patterns {
		if key := (&ledger.Key{Models: []string{p}}); !v.known(p, key.Allows) {
			none = append(none, p)
		}
	}
	return none
}

// known tells whether a pattern may match a model, as far as is known: what a provider has of which the catalogue has nothing is not, and
// is called on the org's own credential.
func (v PolicyView) known(pattern string, matches func(*ledger.Model) bool) bool {
	provider, _, full := strings.Cut(pattern, "/")
	return slices.ContainsFunc(v.Models, matches) || slices.ContainsFunc(v.Own, func(o *ledger.Credential) bool {
		return !slices.Contains(v.Providers, o.Provider) && (!full || matchName(provider, o.Provider))
	})
}

// Check tells what of a policy cannot be meant: errors, for which it must not be set, and warnings, of what is so only as things
// are now or may be on purpose. Names of credentials must have been resolved. The notes come in the order of the text.
func (p *Policy) Check(v PolicyView) (errs, warnings []PolicyNote) {
	c := &policyCheck{p: p, v: v, known: routing{view: View{Policy: p, Own: v.Own, Model: v.Model}}}
	for _, name := range slices.Sorted(maps.Keys(p.Aliases)) {
		if !isAuto(p.Aliases[name]) {
			c.model("aliases."+name, p.Aliases[name], true)
		}
	}
	c.providers("providers", p.Providers)
	for i := range p.Routes {
		c.route(i)
	}
	inOrder := func(a, b PolicyNote) int { return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column)) }
	slices.SortStableFunc(c.errs, inOrder)
	slices.SortStableFunc(c.warnings, inOrder)
	return c.errs, c.warnings
}

// policyCheck is a policy on its way through a check.
type policyCheck struct {
	p              *Policy
	v              PolicyView
	known          routing // finds models as a decision does
	errs, warnings []PolicyNote
}

func (c *policyCheck) wrong(at, format string, args ...any) {
	c.errs = append(c.errs, c.p.noteAt(at, fmt.Sprintf(format, args...)))
}

func (c *policyCheck) warn(at, format string, args ...any) {
	c.warnings = append(c.warnings, c.p.noteAt(at, fmt.Sprintf(format, args...)))
}

// model finds a model that the policy names, nil if there is none. Own says that the org's own credential may serve it.
func (c *policyCheck) model(at, name string, own bool) *ledger.Model {
	m := c.known.known(name, own)
	listed := c.v.Model(c.p.means(name))
	switch {
	case m == nil && listed != nil:
		c.wrong(at, "%s is retired", listed.Name)
	case m == nil && own:
		c.wrong(at, "%q is not in the catalogue: see model list; one that the catalogue lacks is named provider/model, and needs a credential of the org's own", name)
	case m == nil:
		c.wrong(at, "%q is not in the catalogue: the platform's credentials cannot serve it", name)
	case listed == nil:
		c.warn(at, "%s is not in the catalogue: it is called on the org's own credential alone, and its cost is not known here", m.Name)
	}
	return m
}

func (c *policyCheck) providers(at string, names []string) {
	for i, name := range names {
		own := slices.ContainsFunc(c.v.Own, func(o *ledger.Credential) bool { return o.Provider == name })
		if !own && !slices.Contains(c.v.Providers, name) {
			c.warn(elementPath(at, i), "no model of the catalogue and no credential of the org's is of a provider %q", name)
		}
	}
}

func (c *policyCheck) route(i int) {
	r, at := &c.p.Routes[i], routePath(i)
	for j := range i {
		if covers(&c.p.Routes[j].When, &r.When) {
			c.warn(at, "never matches: whatever it would, %s has matched before", c.p.routeName(j))
			break
		}
	}
	c.asked(at+".when.model", r.When.Model)
	c.providers(at+".providers", r.Providers)
	s := r.Settings.over(c.p.Settings.over(DefaultSettings))
	if r.Prefer == PreferCommitment && !slices.ContainsFunc(c.v.Own, func(o *ledger.Credential) bool { return o.Commitment.Amount > 0 }) {
		c.warn(at+".prefer", "no credential of the org's has a commitment")
	}
	switch {
	case len(r.Try) > 0:
		c.try(at, r, s)
	case r.Auto != nil:
		c.auto(at, r, s)
	case r.Refuse == "" && r.When.Model != "":
		if m := c.known.known(r.When.Model, true); m != nil && !takes(s, m) {
			c.wrong(at+".when.model", "nothing is left for %s: providers has %s only", m.Name, joinWords(s.Providers))
		}
	}
}

// asked warns of a condition on the model that no name satisfies which callers have any reason to ask for.
func (c *policyCheck) asked(at, pattern string) {
	names := []string{ModelAuto}
	for goal := range goals {
		names = append(names, ModelAuto+":"+string(goal))
	}
	names = slices.AppendSeq(names, maps.Keys(c.p.Aliases))
	of := func(name string) bool { return matchName(pattern, name) }
	if pattern != "" && !slices.ContainsFunc(names, of) && !c.v.known(pattern, func(m *ledger.Model) bool { return of(m.Name) || of(m.ID) }) {
		c.warn(at, "no model of the catalogue now, and no alias, has such a name: it matches only calls that ask for one that is neither")
	}
}

func takes(s Settings, m *ledger.Model) bool {
	return len(s.Providers) == 0 || slices.Contains(s.Providers, m.Provider)
}

// try checks the legs that a route names.
func (c *policyCheck) try(at string, r *PolicyRoute, s Settings) {
	left, known, owned := 0, 0, false
	for i, t := range r.Try {
		at := elementPath(at+".try", i)
		m := c.model(at+".model", t.Model, t.Credential != string(ledger.PlatformPool))
		if m == nil {
			continue
		}
		known++
		if takes(s, m) {
			left++
		} else {
			c.warn(at+".model", "is never tried: providers has %s only", joinWords(s.Providers))
		}
		switch e := Endpoint(r.When.Endpoint); {
		case e == EndpointEmbed && !m.Has(ledger.FeatureEmbedding):
			c.warn(at+".model", "%s makes no embeddings, and this route is for them", m.Name)
		case (e == EndpointChat || e == EndpointCount) && !m.Has(ledger.FeatureChat):
			c.warn(at+".model", "%s does not chat, and this route is for that", m.Name)
		}
		c.credential(at+".credential", t.Credential, m, s.Credentials)
		if t.Credential == string(ledger.PlatformPool) {
			if owned && !*s.PaidFallback {
				c.warn(at, "is reached only if no credential of the org's own is attached for what comes before it: paid_fallback is false")
			}
			c.paid(at, r, m)
		}
		owned = owned || t.Credential != string(ledger.PlatformPool) && s.Credentials != PlatformOnly && (t.Credential != "" || c.has(c.v.Own, m.Provider))
	}
	if left == 0 && known == len(r.Try) {
		c.wrong(at+".try", "nothing is left of this route: providers has %s only", joinWords(s.Providers))
	}
}

// credential checks which credential a leg names for its model.
func (c *policyCheck) credential(at, name string, m *ledger.Model, mode Mode) {
	whose, id, _ := strings.Cut(name, "/")
	switch {
	case whose == "":
	case whose == string(ledger.PlatformPool):
		only := slices.ContainsFunc(c.v.Own, func(o *ledger.Credential) bool { return o.Provider == m.Provider && o.Use == ledger.UseOnly })
		switch {
		case mode == BYOKOnly:
			c.wrong(at, "is never taken: credentials is %s", mode)
		case !c.has(c.v.Pool, m.Provider):
			c.warn(at, "the platform has no credential for %s now", m.Provider)
		case only:
			c.warn(at, "is never taken: the org has a credential for %s that is used instead of the platform's", m.Provider)
		}
	case mode == PlatformOnly:
		c.wrong(at, "is never taken: credentials is %s", mode)
	case id == "":
		if !c.has(c.v.Own, m.Provider) {
			c.warn(at, "the org has no credential for %s now", m.Provider)
		}
	default:
		i := slices.IndexFunc(c.v.Own, func(o *ledger.Credential) bool { return o.ID == id })
		switch {
		case i < 0:
			c.wrong(at, "the org has no credential %q", id)
		case c.v.Own[i].Provider != m.Provider:
			c.wrong(at, "is a credential for %s, and %s is of %s", c.v.Own[i].Provider, m.Name, m.Provider)
		}
	}
}

func (c *policyCheck) has(wallet []*ledger.Credential, provider string) bool {
	return slices.ContainsFunc(wallet, func(o *ledger.Credential) bool { return o.Provider == provider })
}

// paid warns of a leg on platform capacity that the org's plan has no lane for.
func (c *policyCheck) paid(at string, r *PolicyRoute, m *ledger.Model) {
	plan := c.v.Plan
	if plan == nil {
		return
	}
	auto := isAuto(c.p.means(r.When.Model)) || r.Auto != nil
	either := r.When.Model == "" || r.When.Model == "*"
	open := (auto || either) && plan.Allows(ledger.LaneAuto) || (!auto || either) && plan.Allows(ledger.LaneManual)
	if !open || !plan.Reaches(m.Name) {
		c.warn(at, "plan %s does not take such calls to %s on the platform's credentials", plan.ID, m.Name)
	}
}

// auto checks the models that a route leaves the choice of.
func (c *policyCheck) auto(at string, r *PolicyRoute, s Settings) {
	switch e := Endpoint(r.When.Endpoint); {
	case e == EndpointEmbed:
		c.wrong(at+".auto", "no vectors can be had by it: those of different models cannot be compared; name one in try")
	case (e == "" || e == anything) && !isAuto(c.p.means(r.When.Model)):
		c.warn(at+".auto", "refuses calls for embeddings, which it matches too: a route with endpoint embeddings may come before it")
	}
	pool := r.Auto.Pool
	if len(pool) == 0 {
		pool = c.v.Auto
	}
	left, known := 0, 0
	for i, name := range pool {
		where := at + ".auto"
		var m *ledger.Model
		if len(r.Auto.Pool) == 0 {
			m = c.known.known(name, true)
		} else {
			where = elementPath(where+".pool", i)
			m = c.model(where, name, true)
		}
		if m == nil {
			continue
		}
		known++
		if takes(s, m) {
			left++
		} else if len(r.Auto.Pool) > 0 {
			c.warn(where, "is never taken: providers has %s only", joinWords(s.Providers))
		}
		if len(r.Auto.Pool) > 0 && s.Credentials != BYOKOnly && !c.has(c.v.Own, m.Provider) {
			c.paid(where, r, m)
		}
		if !m.Has(ledger.FeatureChat) {
			c.warn(where, "%s does not chat", m.Name)
		}
	}
	if left == 0 && known > 0 {
		c.wrong(at+".auto", "nothing is left of this route: providers has %s only", joinWords(s.Providers))
	}
}

// covers tells whether a condition holds wherever another one does.
func covers(w, other *When) bool {
	for name, pattern := range w.Metadata {
		if other.Metadata[name] == "" || !wider(pattern, other.Metadata[name]) {
			return false
		}
	}
	same := func(a, b string) bool { return a == "" || a == anything || a == b }
	return same(w.Endpoint, other.Endpoint) && same(w.Dialect, other.Dialect) &&
		(w.Key == "" || other.Key != "" && wider(w.Key, other.Key)) &&
		(w.Model == "" || w.Model == "*" || other.Model != "" && widerModel(w.Model, other.Model))
}

// wider tells whether a pattern surely matches all that another one does.
func wider(pattern, other string) bool {
	return pattern == "*" || pattern == other || !strings.ContainsAny(other, `*?[\`) && matchName(pattern, other)
}

// widerModel minds that auto is every goal's.
func widerModel(pattern, other string) bool {
	if other == ModelAuto {
		return pattern == ModelAuto
	}
	return wider(pattern, other) || pattern == ModelAuto && isAuto(other) && !strings.ContainsAny(other, `*?[\`)
}
