package router

import (
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"

	"waybill/ledger"
)

// Bounds of what a policy says.
const (
	maxRoutes      = 100
	maxTries       = 8  // legs of a route, and max_attempts
	maxPool        = 32 // models of an auto lane
	maxAliases     = 100
	maxPatternText = 256 // bytes of a pattern
	maxNameText    = 128 // bytes of a name: the log takes no longer ones of models
	maxRefuseText  = 512 // bytes
	minDeadline    = 100 * time.Millisecond
	maxDeadline    = 30 * time.Minute
)

// The members that each object of a policy may have.
var (
	settingNames = []string{"credentials", "paid_fallback", "max_attempts", "retry_on", "timeouts", "on_abort", "providers"}
	policyNames  = append([]string{"aliases", "routes"}, settingNames...)
	routeNames   = append([]string{"name", "when", "try", "auto", "refuse", "max_fallbacks", "prefer"}, settingNames...)
	whenNames    = []string{"model", "endpoint", "dialect", "key", "metadata"}
	tryNames     = []string{"model", "credential"}
	autoNames    = []string{"goal", "pool"}
	timeoutNames = []string{"connect", "first_byte", "idle", "attempt", "total"}
)

// retryable are the classes that retry_on may name. A call that is itself at fault, or whose caller has left, goes nowhere.
var retryable = []Class{ClassRateLimited, ClassOverloaded, ClassServerError, ClassTimeout, ClassConnection, ClassCredential, ClassNotFound}

// PreferCommitment takes the org's own credentials with commitment left before its others.
const PreferCommitment = "commitment"

// ParsePolicy reads a policy as people write it, YAML or JSON. What it does not know it refuses, and so a policy is never
// half understood. The error is a *PolicyError.
func ParsePolicy(text []byte) (*Policy, error) {
	r := &policyReader{at: map[string]place{}}
	p := &Policy{at: r.at}
	switch s := strings.TrimPrefix(string(text), "\ufeff"); {
	case len(text) > maxPolicyText:
		r.fault("", place{1, 1}, "the document has %d bytes: at most %d", len(text), maxPolicyText)
	case !utf8.Valid(text) || !printable(strings.Map(unspace, s)):
		r.fault("", place{1, 1}, "the document is not text in UTF-8, or has control characters")
	default:
		if n := r.parse(s); n != nil {
			r.at[""] = place{1, 1}
			r.policy(n, p)
		}
	}
	if len(r.notes) > 0 {
		return nil, &PolicyError{r.notes}
	}
	return p, nil
}

// unspace leaves out the white space that texts may have.
func unspace(c rune) rune {
	if c == '\n' || c == '\r' || c == '\t' || c == ' ' {
		return -1
	}
	return c
}

func (r *policyReader) policy(n ast.Node, p *Policy) {
	r.object(n, "", policyNames, func(name, at string, v ast.Node) {
		switch name {
		case "aliases":
			p.Aliases = r.aliases(v, at)
		case "routes":
			r.list(v, at, 0, maxRoutes, func(at string, v ast.Node) { p.Routes = append(p.Routes, r.route(v, at)) })
		default:
			r.setting(&p.Settings, name, at, v)
		}
	})
	named := map[string]string{}
	for i, route := range p.Routes {
		at := routePath(i)
		if had, ok := named[route.Name]; ok && route.Name != "" {
			r.wrong(at+".name", "%q is the name of %s too: traces could not tell them apart", route.Name, had)
		}
		named[route.Name] = at
		r.unaliased(p, at, route)
	}
}

// unaliased refuses a lane where a model is wanted, be it by an alias.
func (r *policyReader) unaliased(p *Policy, at string, route PolicyRoute) {
	check := func(at, name string) {
		if isAuto(p.Aliases[name]) {
			r.wrong(at, "%q is an alias of %s: a model is wanted here", name, p.Aliases[name])
		}
	}
	for i, t := range route.Try {
		check(elementPath(at+".try", i)+".model", t.Model)
	}
	if route.Auto != nil {
		for i, name := range route.Auto.Pool {
			check(elementPath(at+".auto.pool", i), name)
		}
	}
}

func (r *policyReader) aliases(n ast.Node, at string) map[string]string {
	all := map[string]string{}
	r.object(n, at, nil, func(name, at string, v ast.Node) {
		means := r.text(v, at, maxNameText)
		switch {
		case means == "":
			return
		case !modelName(name) || isAuto(name):
			r.wrong(at, "%q cannot be an alias: one is a word without spaces and *, and not auto", name)
		case isAuto(means):
			if goal := strings.TrimPrefix(means[len(ModelAuto):], ":"); goal != "" && goals[Goal(goal)] == (weights{}) {
				r.wrong(at, "%q is no goal of the auto lane: balanced, cost, latency, reliability", goal)
			}
		case !modelName(means):
			r.wrong(at, "%q is not the name of a model", means)
		}
		all[name] = means
	})
	for name, means := range all {
		if _, chained := all[means]; chained {
			r.wrong(at+"."+name, "%q is an alias itself: an alias stands for a model", means)
		}
	}
	if len(all) > maxAliases {
		r.wrong(at, "has %d aliases: at most %d", len(all), maxAliases)
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

// modelName tells whether a text can be the name of a model. A pattern cannot.
func modelName(s string) bool {
	return s != "" && len(s) <= maxNameText && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune("*?[\\,", c) })
}

// isAuto tells whether a name is the auto lane's.
func isAuto(name string) bool { return name == ModelAuto || strings.HasPrefix(name, ModelAuto+":") }

func (r *policyReader) setting(s *Settings, name, at string, v ast.Node) {
	switch name {
	case "credentials":
		s.Credentials = choice(r, v, at, BYOKFirst, BYOKOnly, PlatformFirst, PlatformOnly)
	case "paid_fallback":
		s.PaidFallback = r.boolean(v, at)
	case "max_attempts":
		s.MaxAttempts = r.integer(v, at, 1, maxTries)
	case "retry_on":
		s.RetryOn = []Class{}
		r.list(v, at, 0, len(retryable), func(at string, v ast.Node) { s.RetryOn = append(s.RetryOn, choice(r, v, at, retryable...)) })
	case "timeouts":
		r.object(v, at, timeoutNames, func(name, at string, v ast.Node) {
			d := r.duration(v, at, minDeadline, maxDeadline)
			switch name {
			case "connect":
				s.Timeouts.Connect = d
			case "first_byte":
				s.Timeouts.FirstByte = d
			case "idle":
				s.Timeouts.Idle = d
			case "attempt":
				s.Timeouts.Attempt = d
			case "total":
				s.Timeouts.Total = d
			}
		})
	case "on_abort":
		s.OnAbort = choice(r, v, at, AbortDrain, AbortCancel)
	case "providers":
		r.list(v, at, 1, maxPool, func(at string, v ast.Node) { s.Providers = append(s.Providers, r.model(v, at)) })
	}
}

// model reads a name that is no pattern and no lane.
func (r *policyReader) model(v ast.Node, at string) string {
	s := r.text(v, at, maxNameText)
	switch {
	case s == "":
	case isAuto(s):
		r.wrong(at, "%s is a lane, not a model: the lane is auto: {…} in place of try", s)
	case !modelName(s):
		r.wrong(at, "%q is not a name: patterns stand in when", s)
	}
	return s
}

func (r *policyReader) route(n ast.Node, at string) (route PolicyRoute) {
	r.object(n, at, routeNames, func(name, at string, v ast.Node) {
		switch name {
		case "name":
			route.Name = r.text(v, at, maxNameText)
		case "when":
			route.When = r.when(v, at)
		case "try":
			r.list(v, at, 1, maxTries, func(at string, v ast.Node) { route.Try = append(route.Try, r.try(v, at)) })
		case "auto":
			route.Auto = r.auto(v, at)
		case "refuse":
			route.Refuse = r.text(v, at, maxRefuseText)
		case "max_fallbacks":
			n := r.integer(v, at, 0, maxTries-1)
			route.MaxFallbacks = &n
		case "prefer":
			route.Prefer = choice(r, v, at, PreferCommitment)
		default:
			r.setting(&route.Settings, name, at, v)
		}
	})
	var does []string
	for _, name := range []string{"try", "auto", "refuse"} {
		if _, ok := r.at[at+"."+name]; ok {
			does = append(does, name)
		}
	}
	if len(does) > 1 {
		r.wrong(at, "has %s: one of them at the most", strings.Join(does, " and "))
	}
	return route
}

func (r *policyReader) when(n ast.Node, at string) (w When) {
	r.object(n, at, whenNames, func(name, at string, v ast.Node) {
		switch name {
		case "model":
			w.Model = r.pattern(v, at)
		case "endpoint":
			w.Endpoint = choice(r, v, at, string(EndpointChat), string(EndpointEmbed), string(EndpointCount), anything)
		case "dialect":
			w.Dialect = choice(r, v, at, string(ledger.DialectOpenAIChat), string(ledger.DialectOpenAIResponses),
				string(ledger.DialectAnthropicMessages), string(ledger.DialectGemini), anything)
		case "key":
			w.Key = r.pattern(v, at)
		case "metadata":
			m := map[string]string{}
			r.object(v, at, nil, func(name, at string, v ast.Node) {
				if why := badMetadataName(name); why != "" {
					r.wrong(at, "%s", why)
				}
				m[name] = r.pattern(v, at)
			})
			if len(m) > maxMetadata {
				r.wrong(at, "has %d names: at most %d", len(m), maxMetadata)
			}
			if len(m) > 0 {
				w.Metadata = m
			}
		}
	})
	return w
}

func (r *policyReader) pattern(v ast.Node, at string) string {
	s := r.text(v, at, maxPatternText)
	if _, err := path.Match(s, ""); err != nil {
		r.wrong(at, "%q is no pattern: * is any run of characters but a slash, ? one of them, [a-z] one of a range", s)
	}
	return s
}

func (r *policyReader) try(n ast.Node, at string) (t Try) {
	r.object(n, at, tryNames, func(name, at string, v ast.Node) {
		if name == "model" {
			t.Model = r.model(v, at)
			return
		}
		t.Credential = r.text(v, at, maxNameText+len("byok/"))
		whose, which, named := strings.Cut(t.Credential, "/")
		if t.Credential != "" && (whose != string(ledger.BYOK) && t.Credential != string(ledger.PlatformPool) || named && which == "") {
			r.wrong(at, "%q is none of platform, byok, byok/NAME", t.Credential)
		}
	})
	if _, ok := r.at[at+".model"]; !ok {
		r.wrong(at, "names no model")
	}
	return t
}

func (r *policyReader) auto(n ast.Node, at string) *Auto {
	a := &Auto{}
	r.object(n, at, autoNames, func(name, at string, v ast.Node) {
		if name == "goal" {
			a.Goal = choice(r, v, at, GoalBalanced, GoalCost, GoalLatency, GoalReliability)
			return
		}
		r.list(v, at, 1, maxPool, func(at string, v ast.Node) { a.Pool = append(a.Pool, r.model(v, at)) })
	})
	return a
}
