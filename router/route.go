package router

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"waybill/ledger"
)

// ModelAuto is the name by which a caller leaves the choice of the model to waybill; auto:cost and the like say by which
// goal.
const ModelAuto = "auto"

// Route orders the legs that may serve a call. It is pure: the same ask and view, the same decision.
//
// The first route of the policy that matches says what to try; without one it is the model that the caller named. The mode
// says whose credentials serve. Where the org has one of its own for the call, capacity that costs it money is no leg at all,
// unless the policy says paid_fallback: a failing credential never turns into a charge. Nor does one that the request leaves
// out: it forbids, and allows nothing. Credentials that the org keeps as a fallback come after the platform's. A leg that has
// sealed reasoning into the conversation goes ahead of the others: without it the seals are left behind.
func Route(a Ask, v View) (Decision, error) {
	r := &routing{ask: a, view: v, decision: Decision{Lane: ledger.LaneManual}}
	if err := r.match(); err != nil {
		return r.decision, err
	}
	if err := r.propose(); err != nil {
		return r.decision, err
	}
	r.arrange()
	ahead(r.decision.Legs, a.Origin)
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
	refusals []error // why the ledger would not admit legs
	narrows  bool    // a leg is left out by the request itself and nothing else
	groups   [][]candidate
	decision Decision
}

// match finds the rule, and the settings that hold.
func (r *routing) match() error {
	d := &r.decision
	settings := DefaultSettings
	r.model = r.ask.Model
	if p := r.view.Policy; p != nil {
		settings = p.Settings.over(settings)
		r.model = p.means(r.model)
		for i, rule := range p.Routes {
			if r.mismatch(rule.When) == "" {
				r.rule, d.Route = rule, p.routeName(i)
				settings = rule.Settings.over(settings)
				break
			}
		}
	}
	d.Settings = settings
	if len(r.ask.Model) > maxNameText || !utf8.ValidString(r.ask.Model) {
		return r.unknown() // the log would not have the name whole, and nothing is called so
	}
	if r.rule.Refuse != "" {
		return &ledger.Error{Code: ledger.CodePolicyForbids, Message: fmt.Sprintf("the org's policy does not serve this call: route %q: %s", d.Route, r.rule.Refuse)}
	}
	name, goal, _ := strings.Cut(r.model, ":")
	if name == ModelAuto {
		d.Lane, d.Goal = ledger.LaneAuto, Goal(goal)
		if goal != "" && goals[d.Goal] == (weights{}) {
			return &FieldError{r.ask.Field, fmt.Sprintf("%q is no goal: auto, auto:balanced, auto:cost, auto:latency or auto:reliability", clipped(goal))}
		}
	}
	if r.rule.Auto != nil {
		d.Lane = ledger.LaneAuto
		if d.Goal == "" {
			d.Goal = r.rule.Auto.Goal
		}
	}
	if d.Lane != ledger.LaneAuto {
		return nil
	}
	if g := r.ask.Narrowed.Goal; g != "" {
		d.Goal = Goal(g)
	}
	if d.Goal == "" {
		d.Goal = GoalBalanced
	}
	return nil
}

// means is what a name stands for: an alias for its model, any other for itself.
func (p *Policy) means(name string) string {
	if p != nil {
		if means, ok := p.Aliases[name]; ok {
			return means
		}
	}
	return name
}

// routeName is a route's name, or its place where it has none.
func (p *Policy) routeName(i int) string {
	if name := p.Routes[i].Name; name != "" {
		return name
	}
	return routePath(i)
}

func routePath(i int) string { return elementPath("routes", i) }

func tryPath(i, j int) string { return elementPath(routePath(i)+".try", j) }

func elementPath(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }

// anything is how a condition says that it is none.
const anything = "any"

// mismatch is the first condition that a call does not satisfy, such as metadata.team; empty if it satisfies all.
func (r *routing) mismatch(w When) string {
	a := r.ask
	switch {
	case w.Model != "" && !r.matchesModel(w.Model):
		return "model"
	case w.Endpoint != "" && w.Endpoint != anything && w.Endpoint != string(a.Endpoint):
		return "endpoint"
	case w.Dialect != "" && w.Dialect != anything && w.Dialect != string(a.Dialect):
		return "dialect"
	case w.Key != "" && !matchName(w.Key, a.Note.Key):
		return "key"
	case len(w.Metadata) == 0:
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(w.Metadata)) {
		if value, ok := a.Note.Metadata[name]; !ok || !matchName(w.Metadata[name], value) {
			return "metadata." + name
		}
	}
	return ""
}

// matchesModel matches the name as the caller gave it, what it means, and the full and the bare name of that.
func (r *routing) matchesModel(pattern string) bool {
	if matchName(pattern, r.ask.Model) || matchName(pattern, r.model) || pattern == ModelAuto && isAuto(r.model) {
		return true
	}
	if m := r.view.Model(r.model); m != nil {
		return matchName(pattern, m.Name) || matchName(pattern, m.ID)
	}
	_, bare, ok := strings.Cut(r.model, "/")
	return ok && matchName(pattern, bare)
}

// matchName tells whether a pattern, in which * stands for any run of characters but a slash, matches a name. A * alone is
// any name at all.
func matchName(pattern, name string) bool {
	if pattern == "*" || pattern == name {
		return true
	}
	ok, err := path.Match(pattern, name)
	return err == nil && ok
}

// maxConsidered bounds the legs that are put in order, with their scores and conditions, and the legs that are noted as passed
// over: each admission's record has them. At most maxTries are tried, and an org may have dozens of models on dozens of
// credentials.
const maxConsidered = 64

// arrange leaves out what must not be tried, and puts the rest in order.
func (r *routing) arrange() {
	d := &r.decision
	taken := map[ledger.Choice]bool{}
	owned := false // a credential of the org's own comes before
	for _, group := range r.groups {
		var open []Leg
		owns := false
		share, of := shareOf(group), map[*ledger.Model]int{}
		for _, c := range group {
			if taken[c.choice()] {
				continue
			}
			if len(taken) == maxConsidered || of[c.Model] == share {
				r.pass(c.choice(), passMore)
				continue
			}
			reason := r.forbids(c)
			byok := c.Credential.Kind() == ledger.BYOK
			switch shut := !byok && owned && !*d.Settings.PaidFallback; {
			case reason != "":
			case !r.narrowed(c.Leg): // before paid_fallback: what the caller itself leaves out no policy would bring back
				reason = passNarrowed
				r.narrows = r.narrows || !shut
			case shut:
				reason = passPaid
			}
			owns = owns || byok && r.owes(reason)
			if reason != "" {
				r.pass(c.choice(), reason)
				continue
			}
			taken[c.choice()] = true
			of[c.Model]++
			open = append(open, c.Leg)
		}
		owned = owned || owns
		if d.Lane == ledger.LaneAuto && len(r.rule.Try) == 0 {
			r.rank(open)
			ahead(open, r.ask.Sticky)
		}
		d.Legs = append(d.Legs, r.preferred(open)...)
	}
}

// shareOf is how many legs of each model a group may have: where it has more than can be considered, no model's credentials leave
// out those of another.
func shareOf(group []candidate) int {
	if len(group) <= maxConsidered {
		return maxConsidered
	}
	models := 1 // which come one after the other
	for i := range group[1:] {
		if group[i].Model != group[i+1].Model {
			models++
		}
	}
	return max(1, maxConsidered/models)
}

// owes tells whether an own credential's leg, taken or passed over for a reason, still keeps what comes after it from costing
// money. One that the policy itself leaves out does not. In a list that the org wrote, one that cannot serve this call does:
// the list has it first, and only a credential that nothing has taken the place of is absent.
func (r *routing) owes(reason string) bool {
	switch reason {
	case "", passNarrowed:
		return true
	case passMode, passProvider:
		return false
	}
	return len(r.rule.Try) > 0
}

// forbids says why a leg must not be tried whatever the request says, empty if it may.
func (r *routing) forbids(c candidate) string {
	d, byok := &r.decision, c.Credential.Kind() == ledger.BYOK
	switch mode := d.Settings.Credentials; {
	case byok && mode == PlatformOnly, !byok && mode == BYOKOnly:
		return passMode
	case len(d.Settings.Providers) > 0 && !slices.Contains(d.Settings.Providers, c.Model.Provider):
		return passProvider
	case !byok && r.onlyOwn(c.Model.Provider):
		return passOnly
	case c.unfit != "":
		return c.unfit
	}
	if err := r.view.Permits(d.Lane, c.Leg); err != nil {
		r.refusals = append(r.refusals, err)
		return reasonOf(err)
	}
	return ""
}

// onlyOwn tells whether the org has a credential for a provider that it uses instead of the platform's.
func (r *routing) onlyOwn(provider string) bool {
	return slices.ContainsFunc(r.view.Own, func(c *ledger.Credential) bool { return c.Provider == provider && c.Use == ledger.UseOnly })
}

// narrowed tells whether what the request leaves of its policy has a leg.
func (r *routing) narrowed(l Leg) bool {
	n := r.ask.Narrowed
	switch mode, byok := Mode(n.Credentials), l.Credential.Kind() == ledger.BYOK; {
	case byok && mode == PlatformOnly, !byok && mode == BYOKOnly:
		return false
	}
	return len(n.Models) == 0 || slices.ContainsFunc(n.Models, func(p string) bool {
		p = r.view.Policy.means(p)
		return matchName(p, l.Model.Name) || matchName(p, l.Model.ID)
	})
}

// preferred puts credentials that still have to be used up before the others, where the route says so.
func (r *routing) preferred(legs []Leg) []Leg {
	if r.rule.Prefer != PreferCommitment {
		return legs
	}
	committed := func(l Leg) bool {
		return l.Credential.Kind() == ledger.BYOK && l.Credential.CommitmentLeft(r.view.Now) > 0
	}
	first := slices.DeleteFunc(slices.Clone(legs), func(l Leg) bool { return !committed(l) })
	return append(first, slices.DeleteFunc(slices.Clone(legs), committed)...)
}

// ahead moves a leg before those of its own kind that come right before it. It passes none of another kind: neither a cache nor
// a seal is a reason to pay before the org's own credential was tried, or after it has failed.
func ahead(legs []Leg, c ledger.Choice) {
	i := slices.IndexFunc(legs, func(l Leg) bool { return l.choice() == c })
	for ; i > 0 && legs[i-1].Credential.Kind() == c.Kind; i-- {
		legs[i-1], legs[i] = legs[i], legs[i-1]
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
		rest := d.Legs[most:]
		d.Legs = d.Legs[:most]
		for _, l := range rest {
			r.pass(l.choice(), passMore)
		}
	}
}

// pass notes a leg that is passed over.
func (r *routing) pass(c ledger.Choice, reason string) {
	d := &r.decision
	if len(d.Passed) < maxConsidered && !slices.ContainsFunc(d.Passed, func(p ledger.Passed) bool { return p.Choice == c }) {
		d.Passed = append(d.Passed, ledger.Passed{Choice: c, Reason: reason})
	}
}
