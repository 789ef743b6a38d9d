package router_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/ledger"
	"waybill/ledger/catalogue"
	"waybill/router"
)

// lane is a state with the catalogue, the platform's credentials and an org on each plan.
type lane struct {
	state *ledger.State
	at    ledger.Instant
}

func newLane(t testing.TB) *lane {
	t.Helper()
	who := ledger.By{Actor: "operator", Cause: "test"}
	l := &lane{state: ledger.NewState(), at: ledger.InstantOf(time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC))}
	commands, err := catalogue.Commands(who)
	if err != nil {
		t.Fatal(err)
	}
	chat := []string{ledger.FeatureChat}
	for id, m := range map[string]ledger.Model{
		"plain":    {Name: "openai/plain", Provider: "openai", ID: "plain", Context: 8192, MaxOutput: 2048, Features: chat},
		"free":     {Name: "google/free", Provider: "google", ID: "free", Context: 1 << 20, MaxOutput: 65536, Features: chat},
		"unpriced": {Name: "openai/unpriced", Provider: "openai", ID: "unpriced", Context: 1 << 20, MaxOutput: 65536, Features: chat},
		"retired":  {Name: "openai/retired", Provider: "openai", ID: "retired", Context: 1 << 20, MaxOutput: 65536, Features: chat},
	} {
		commands = append(commands, ledger.PublishModel{Who: who, Model: m})
		rate := map[string]ledger.Rate{"plain": 10_000_000, "free": 0, "retired": 1}
		if r, ok := rate[id]; ok {
			commands = append(commands, ledger.PublishPrice{Who: who, Price: ledger.Price{ID: id, Model: m.Name, Tiers: []ledger.Tier{{Rates: ledger.Rates{Input: r, CacheRead: r, CacheWrite: r, CacheWriteLong: r, Output: r}}}}})
		}
	}
	commands = append(commands, ledger.RetireModel{Who: who, Model: "openai/retired"})
	for _, provider := range []string{"openai", "anthropic", "google"} {
		commands = append(commands, ledger.AttachCredential{Who: who, Org: ledger.Platform, Credential: "pool-" + provider, Provider: provider, Fingerprint: "f", Use: ledger.UsePrefer})
	}
	for _, org := range []string{"free", "starter", "teams"} {
		commands = append(commands, ledger.OpenOrg{Who: who, Org: org, Plan: org}, ledger.OpenOrg{Who: who, Org: org + "-own", Plan: org},
			ledger.AttachCredential{Who: who, Org: org + "-own", Credential: org + "-openai", Provider: "openai", Fingerprint: "f", Use: ledger.UsePrefer},
			ledger.AttachCredential{Who: who, Org: org + "-own", Credential: org + "-anthropic", Provider: "anthropic", Fingerprint: "f", Use: ledger.UsePrefer})
	}
	d := l.state.Draft(func() (id [16]byte) { return id })
	for _, c := range commands {
		if _, err := d.Decide(l.at, c); err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
	}
	l.state.Merge(d)
	return l
}

// seen is how legs have been observed to do, by model, or by model and credential where they differ.
type seen map[string]ledger.Condition

func (s seen) of(c ledger.Choice) ledger.Condition {
	o, ok := s[short(c.Model)+"@"+c.Credential]
	if !ok {
		o = s[short(c.Model)]
	}
	o.Model, o.Credential = c.Model, c.Credential
	return o
}

func first(d time.Duration) ledger.Condition { return ledger.Condition{FirstByte: int64(d)} }
func pace(d time.Duration, rate int64) ledger.Condition {
	return ledger.Condition{FirstByte: int64(d), Throughput: rate}
}
func failing(perMille int64) ledger.Condition { return ledger.Condition{Failures: perMille} }

var down = ledger.Condition{Open: true, Failures: 750}

// decide routes an ask, with a pool of the policy's if there is one.
func (l *lane) decide(org, pool string, a router.Ask, s seen, settings router.Settings) (router.Decision, error) {
	var policy *router.Policy
	if pool != "" || settings.Credentials != "" || settings.PaidFallback != nil || settings.Providers != nil {
		policy = &router.Policy{Settings: settings}
		if pool != "" {
			rule := router.PolicyRoute{When: router.When{Model: "auto"}, Auto: &router.Auto{}}
			for name := range strings.FieldsSeq(pool) {
				rule.Auto.Pool = append(rule.Auto.Pool, shorts[name])
			}
			policy.Routes = append(policy.Routes, rule)
		}
	}
	v := router.ViewOf(l.state, org, "", policy, a, l.at)
	v.Condition = s.of
	return router.Route(a, v)
}

// told is a decision in a line: the legs, by whose they are, and what was passed over and why.
func told(d router.Decision) (legs, passed string) {
	var out []string
	for _, l := range d.Legs {
		name := short(l.Model.Name)
		if l.Credential.Kind() == ledger.BYOK {
			name += "*"
		}
		out = append(out, name)
	}
	legs, out = strings.Join(out, " "), nil
	for _, p := range d.Passed {
		out = append(out, short(p.Model)+" "+p.Reason)
	}
	return legs, strings.Join(out, ", ")
}

// weighed are the goals' weights of cost, latency and reliability.
var weighed = map[router.Goal][3]int64{router.GoalBalanced: {2, 1, 2}, router.GoalCost: {8, 1, 2}, router.GoalLatency: {1, 8, 2}, router.GoalReliability: {1, 1, 8}}

// why is what the first leg has over the cheapest of its kind or, where it is that itself, over the second: what weighs most
// of the difference of their scores.
func why(d router.Decision, s seen) string {
	if len(d.Legs) < 2 {
		return "alone"
	}
	var scores []ledger.Score // of the legs, in their order
	for _, l := range d.Legs {
		for _, score := range d.Scores {
			if score.Model == l.Model.Name && score.Credential == l.Credential.ID {
				scores = append(scores, score)
			}
		}
	}
	a, b := scores[0], scores[1]
	for _, o := range scores[1:] {
		if o.Kind == a.Kind && o.Cost < min(a.Cost, b.Cost) {
			b = o
		}
	}
	w := weighed[d.Goal]
	diffs := []int64{w[0] * (b.Cost - a.Cost), w[1] * (b.Latency - a.Latency), w[2] * (b.Reliability - a.Reliability)}
	switch {
	case a.Kind != b.Kind:
		return "own"
	case s.of(b.Choice).Open && !s.of(a.Choice).Open:
		return "open"
	case a.Total > b.Total:
		return "kept" // it goes first for another reason than its score
	case a.Total == b.Total:
		return "order"
	}
	return []string{"cheaper", "faster", "safer"}[slices.Index(diffs, slices.Max(diffs))]
}

// autoAsk is a call of the auto lane in the caller's JSON.
func autoAsk(t testing.TB, model, more string) router.Ask {
	t.Helper()
	if !strings.Contains(more, `"messages"`) {
		more += `,"messages":[{"role":"user","content":"hello"}]`
	}
	q, err := inbound.Decode(router.Incoming{Body: fmt.Appendf(nil, `{"model":%q%s}`, model, more)})
	if err != nil {
		t.Fatal(err)
	}
	return router.AskOf(q, router.Note{})
}
