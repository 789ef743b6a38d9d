package router_test

import (
	"slices"
	"strings"

	"waybill/ledger"
	"waybill/router"
)

// routeOracle tells which legs are forbidden, as plain predicates: written from the words of the policy, not from the code.
type routeOracle struct {
	c        *routeCase
	means    string // of the model that was asked for
	rule     router.PolicyRoute
	mode     router.Mode
	paid     bool
	attempts int
	only     []string // providers
	auto     bool     // the lane
}

// glob is * at the end, for anything without a slash; * alone is anything.
func glob(pattern, s string) bool {
	prefix, open := strings.CutSuffix(pattern, "*")
	if !open {
		return pattern == s
	}
	rest, ok := strings.CutPrefix(s, prefix)
	return ok && (prefix == "" || !strings.Contains(rest, "/"))
}

func newRouteOracle(c *routeCase) *routeOracle {
	o := &routeOracle{c: c, means: c.ask.Model, mode: router.BYOKFirst, attempts: 3}
	set := func(s router.Settings) {
		if s.Credentials != "" {
			o.mode = s.Credentials
		}
		if s.PaidFallback != nil {
			o.paid = *s.PaidFallback
		}
		if s.MaxAttempts > 0 {
			o.attempts = s.MaxAttempts
		}
		if s.Providers != nil {
			o.only = s.Providers
		}
	}
	if p := c.policy; p != nil {
		o.means = o.alias(o.means)
		set(p.Settings)
		if i := slices.IndexFunc(p.Routes, func(r router.PolicyRoute) bool { return o.when(r.When) }); i >= 0 {
			o.rule = p.Routes[i]
			set(o.rule.Settings)
		}
	}
	o.auto = o.rule.Auto != nil || strings.HasPrefix(o.means, "auto")
	return o
}

func (o *routeOracle) alias(name string) string {
	if o.c.policy != nil && o.c.policy.Aliases[name] != "" {
		return o.c.policy.Aliases[name]
	}
	return name
}

// full is a model's full name.
func (o *routeOracle) full(name string) string {
	name = o.alias(name)
	for full, m := range o.c.models {
		if m.ID == name {
			return full
		}
	}
	return name
}

func (o *routeOracle) when(w router.When) bool {
	a := o.c.ask
	full := o.full(a.Model)
	names := []string{a.Model, o.means, full, full[strings.Index(full, "/")+1:]}
	model := w.Model == "" || slices.ContainsFunc(names, func(n string) bool { return glob(w.Model, n) }) ||
		w.Model == "auto" && strings.HasPrefix(o.means, "auto")
	data := true
	for k, v := range w.Metadata {
		got, ok := a.Note.Metadata[k]
		data = data && ok && glob(v, got)
	}
	return model && data &&
		(w.Endpoint == "" || w.Endpoint == "any" || w.Endpoint == string(a.Endpoint)) &&
		(w.Dialect == "" || w.Dialect == "any" || w.Dialect == string(a.Dialect)) &&
		(w.Key == "" || glob(w.Key, a.Note.Key))
}

func (o *routeOracle) most() int {
	n := o.attempts
	if f := o.rule.MaxFallbacks; f != nil {
		n = min(n, *f+1)
	}
	if m := o.c.ask.Narrowed.MaxAttempts; m > 0 {
		n = min(n, m)
	}
	return n
}

// fits tells whether a model can do what is asked.
func (o *routeOracle) fits(full string) bool {
	m, ok := o.c.models[full]
	if !ok {
		return true // nobody knows
	}
	a := o.c.ask
	if a.Endpoint == router.EndpointEmbed {
		return m.Has(ledger.FeatureEmbedding)
	}
	for _, f := range append([]string{ledger.FeatureChat}, a.Needs...) {
		if !m.Has(f) {
			return false
		}
	}
	need := a.Input
	if a.Endpoint == router.EndpointChat {
		need += a.Output
	}
	return need <= m.Context && (m.MaxOutput == 0 || a.Output <= m.MaxOutput)
}

// keyed tells whether the key may call a model.
func (o *routeOracle) keyed(full string) bool {
	return len(o.c.key.Models) == 0 || slices.ContainsFunc(o.c.key.Models, func(p string) bool {
		if strings.Contains(p, "/") {
			return glob(p, full)
		}
		return glob(p, full[strings.Index(full, "/")+1:])
	})
}

func provider(full string) string { return full[:strings.Index(full, "/")] }

func (o *routeOracle) takesProvider(full string) bool {
	return o.only == nil || slices.Contains(o.only, provider(full))
}

// has tells whether the org has a credential for a model that is of one of some uses.
func (o *routeOracle) has(full string, uses ...ledger.Use) bool {
	return slices.ContainsFunc(o.c.own, func(a ledger.AttachCredential) bool {
		return strings.Contains(full, "/") && a.Provider == provider(full) && slices.Contains(uses, a.Use)
	})
}

// forbidden says by which rule a leg must not be, empty if it may.
func (o *routeOracle) forbidden(l ledger.Choice) string {
	c, byok := o.c, l.Kind == ledger.BYOK
	credential := slices.ContainsFunc(c.own, func(a ledger.AttachCredential) bool {
		return a.Credential == l.Credential && a.Provider == provider(l.Model)
	})
	if !byok {
		credential = l.Credential == "pool-"+provider(l.Model) && slices.Contains(c.pool, provider(l.Model))
	}
	m, known := c.models[l.Model]
	lane := ledger.LaneManual
	if o.auto {
		lane = ledger.LaneAuto
	}
	n := c.ask.Narrowed
	switch {
	case !credential:
		return "there is no such credential of the model's provider"
	case known && m.Retired:
		return "the model is retired"
	case o.rule.Refuse != "":
		return "the route refuses"
	case byok && o.mode == router.PlatformOnly, !byok && o.mode == router.BYOKOnly:
		return "the mode"
	case !o.takesProvider(l.Model):
		return "the providers"
	case byok && n.Credentials == "platform-only", !byok && n.Credentials == "byok-only":
		return "the request's credentials"
	case len(n.Models) > 0 && !slices.ContainsFunc(n.Models, func(p string) bool {
		p = o.alias(p)
		return glob(p, l.Model) || glob(p, l.Model[strings.Index(l.Model, "/")+1:])
	}):
		return "the request's models"
	case !o.keyed(l.Model):
		return "the key"
	case !byok && o.has(l.Model, ledger.UseOnly):
		return "a credential for use instead of the platform's"
	case !byok && !slices.Contains(c.plan.Lanes, lane):
		return "the plan's lanes"
	case !byok && len(c.plan.Pool) > 0 && !slices.Contains(c.plan.Lanes, ledger.LaneManual) && !slices.Contains(c.plan.Pool, l.Model):
		return "the plan's pool"
	case !byok && !c.priced[l.Model]:
		return "no price"
	case !byok && c.plan.MaxInput > 0 && min(c.ask.Most, m.Context) > c.plan.MaxInput:
		return "the plan's bound on the input"
	}
	if why := o.unproposed(l); why != "" {
		return why
	}
	if !byok && !o.paid && !o.freeOfCharge(l) {
		return "paid_fallback"
	}
	return ""
}

// unproposed says why a leg is none of what the route proposes.
func (o *routeOracle) unproposed(l ledger.Choice) string {
	switch {
	case len(o.rule.Try) > 0:
		if !slices.ContainsFunc(o.rule.Try, func(t router.Try) bool { return o.line(t, l) }) {
			return "no line of the route's has it"
		}
		if !o.fits(l.Model) {
			return "it cannot serve the call"
		}
	case o.auto:
		if !slices.Contains(o.pool(), l.Model) {
			return "the pool does not have it"
		}
		if !o.fits(l.Model) || o.c.ask.Endpoint == router.EndpointEmbed {
			return "it cannot serve the call"
		}
	case o.full(o.means) != l.Model:
		return "another model was asked for"
	}
	return ""
}

func (o *routeOracle) pool() (full []string) {
	names := o.c.plan.Pool
	if len(names) == 0 {
		names = []string{"openai/gpt-6-luna", "anthropic/claude-haiku-5-5", "google/gemini-2.5-flash-lite"}
	}
	if o.rule.Auto != nil && len(o.rule.Auto.Pool) > 0 {
		names = o.rule.Auto.Pool
	}
	for _, name := range names {
		full = append(full, o.full(name))
	}
	return full
}

// line tells whether a line of a route's list has a leg.
func (o *routeOracle) line(t router.Try, l ledger.Choice) bool {
	return o.full(t.Model) == l.Model &&
		(t.Credential == "" || t.Credential == string(l.Kind) || t.Credential == "byok/"+l.Credential && l.Kind == ledger.BYOK)
}

// paysForAFailure tells whether a leg on the platform's credentials comes after one on the org's own, which it must not.
func (o *routeOracle) paysForAFailure(legs []ledger.Choice) bool {
	byok := slices.IndexFunc(legs, func(l ledger.Choice) bool { return l.Kind == ledger.BYOK })
	return !o.paid && byok >= 0 && slices.ContainsFunc(legs[byok:], func(l ledger.Choice) bool { return l.Kind != ledger.BYOK })
}

// freeOfCharge tells whether a leg on the platform's credentials comes before all of the org's own.
func (o *routeOracle) freeOfCharge(l ledger.Choice) bool {
	first := []ledger.Use{ledger.UsePrefer, ledger.UseOnly}
	switch {
	case len(o.rule.Try) > 0:
		for _, t := range o.rule.Try {
			full := o.full(t.Model)
			inLine := t.Credential == "" && o.mode == router.BYOKFirst && o.has(full, first...)
			if o.line(t, l) && !inLine {
				return true
			}
			if o.owns(t) {
				return false
			}
		}
		return false
	case o.mode != router.BYOKFirst:
		return true
	case o.auto:
		return !slices.ContainsFunc(o.pool(), func(full string) bool {
			m, known := o.c.models[full]
			return o.has(full, first...) && (!known || !m.Retired) && o.fits(full) && o.keyed(full) && o.takesProvider(full)
		})
	}
	return !o.has(l.Model, first...)
}

// owns tells whether a line of a list is on a credential of the org's own, whatever becomes of it, and whatever of its model.
func (o *routeOracle) owns(t router.Try) bool {
	full := o.full(t.Model)
	if o.mode == router.PlatformOnly {
		return false
	}
	// A line that names one which is not there any more is as one that fails, as long as there is another.
	gone := t.Credential == gonePin
	return slices.ContainsFunc(o.c.own, func(a ledger.AttachCredential) bool {
		if t.Credential == "byok/"+a.Credential {
			return o.takesProvider(a.Provider + "/")
		}
		return strings.Contains(full, "/") && o.takesProvider(full) && a.Provider == provider(full) && (gone || o.line(t, ledger.Choice{Model: full, Credential: a.Credential, Kind: ledger.BYOK}))
	})
}

// gonePin names a credential that was detached after the policy was set.
const gonePin = "byok/own-gone"
