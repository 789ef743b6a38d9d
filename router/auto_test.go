package router_test

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"waybill/ledger"
	"waybill/router"
)

const (
	image    = `,"messages":[{"role":"user","content":[{"type":"text","text":"what is this"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo="}}]}]`
	pdf      = `,"messages":[{"role":"user","content":[{"type":"text","text":"what is this"},{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,JVBERi0="}}]}]`
	tools    = `,"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]`
	schema   = `,"response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{"type":"object"}}}`
	thinking = `,"reasoning_effort":"high"`
)

// words is a turn of so many tokens, as they are estimated.
func words(tokens int) string {
	return `,"messages":[{"role":"user","content":"` + strings.Repeat("word", tokens) + `"}]`
}

// autoCases are decisions of the auto lane: which legs, in which order, why the first goes before the second, and what was
// passed over. A * is the org's own credential.
var autoCases = []struct {
	name   string
	org    string // teams if none
	model  string // auto if none
	pool   string // of the policy; the plan's if none
	body   string
	seen   seen
	policy router.Settings
	more   func(*router.Ask)
	legs   string
	why    string
	passed string
}{
	// Nothing is known but prices.
	{name: "balanced, nothing known", legs: "lite luna haiku", why: "cheaper"},
	{name: "cost, nothing known", model: "auto:cost", legs: "lite luna haiku", why: "cheaper"},
	{name: "latency, nothing known", model: "auto:latency", legs: "lite luna haiku", why: "cheaper"},
	{name: "reliability, nothing known", model: "auto:reliability", legs: "lite luna haiku", why: "cheaper"},
	{name: "dear ones come last", pool: "sol sonnet luna", legs: "luna sol sonnet", why: "cheaper"},
	{name: "order of the pool where prices are equal", pool: "haiku luna", legs: "haiku luna", why: "order"},
	{name: "the other order", pool: "luna haiku", legs: "luna haiku", why: "order"},
	{name: "sol and sonnet cost the same", pool: "sonnet sol", legs: "sonnet sol", why: "order"},
	{name: "long input makes haiku dear", pool: "haiku luna", body: words(120_000), legs: "luna haiku", why: "cheaper"},
	{name: "longer input makes luna dearer, haiku stays dear", pool: "haiku luna", body: words(300_000), legs: "luna haiku", why: "cheaper"},
	{name: "cheap to ask", pool: "4.1-mini 5-mini", body: words(50_000), legs: "5-mini 4.1-mini", why: "cheaper"},
	{name: "cheap to answer", pool: "5-mini 4.1-mini", legs: "4.1-mini 5-mini", why: "cheaper"},
	{name: "cheap to answer, and told not to", pool: "4.1-mini 5-mini", body: `,"max_completion_tokens":1`, legs: "5-mini 4.1-mini", why: "cheaper"},
	{name: "a free model", pool: "lite free", legs: "free lite", why: "cheaper"},
	{name: "a free model that fails half the time is still free", pool: "lite free", model: "auto:cost", seen: seen{"free": failing(500)}, legs: "free lite", why: "cheaper"},

	// Latency.
	{name: "slow cheapest, balanced", seen: seen{"lite": first(5 * time.Second), "luna": first(400 * time.Millisecond), "haiku": first(500 * time.Millisecond)}, legs: "luna haiku lite", why: "faster"},
	{name: "slow cheapest, cost", model: "auto:cost", seen: seen{"lite": first(5 * time.Second), "luna": first(400 * time.Millisecond), "haiku": first(500 * time.Millisecond)}, legs: "lite luna haiku", why: "cheaper"},
	{name: "very slow cheapest, cost", model: "auto:cost", seen: seen{"lite": first(60 * time.Second), "luna": first(400 * time.Millisecond), "haiku": first(500 * time.Millisecond)}, legs: "luna haiku lite", why: "faster"},
	{name: "fastest, latency", model: "auto:latency", seen: seen{"lite": first(900 * time.Millisecond), "luna": first(700 * time.Millisecond), "haiku": first(300 * time.Millisecond)}, body: `,"max_completion_tokens":20`, legs: "haiku luna lite", why: "faster"},
	{name: "pace outweighs the first content in a long answer", model: "auto:latency", seen: seen{"lite": pace(300*time.Millisecond, 50), "luna": pace(900*time.Millisecond, 300), "haiku": pace(time.Second, 100)}, legs: "luna haiku lite", why: "faster"},
	{name: "and not in a short one", model: "auto:latency", body: `,"max_completion_tokens":10`, seen: seen{"lite": pace(300*time.Millisecond, 50), "luna": pace(900*time.Millisecond, 300), "haiku": pace(time.Second, 100)}, legs: "lite luna haiku", why: "faster"},
	{name: "slow and alone known: the others are tried", seen: seen{"lite": first(20 * time.Second)}, legs: "luna haiku lite", why: "faster"},
	{name: "fast and alone known: the others are not worse", model: "auto:latency", seen: seen{"haiku": first(300 * time.Millisecond)}, legs: "lite luna haiku", why: "cheaper"},
	{name: "unknown is as the middle of the known", model: "auto:latency", body: `,"max_completion_tokens":10`, seen: seen{"lite": first(900 * time.Millisecond), "haiku": first(300 * time.Millisecond)}, legs: "luna haiku lite", why: "faster"},
	{name: "all slow: the cheapest", seen: seen{"lite": first(8 * time.Second), "luna": first(8 * time.Second), "haiku": first(8 * time.Second)}, legs: "lite luna haiku", why: "cheaper"},
	{name: "nobody is told apart by a few milliseconds", model: "auto:latency", seen: seen{"lite": first(90 * time.Millisecond), "luna": first(5 * time.Millisecond), "haiku": first(20 * time.Millisecond)}, legs: "lite luna haiku", why: "cheaper"},
	{name: "a fast dear one, latency", model: "auto:latency", pool: "lite sol", body: `,"max_completion_tokens":16`, seen: seen{"lite": first(9 * time.Second), "sol": first(300 * time.Millisecond)}, legs: "sol lite", why: "faster"},
	{name: "a fast dear one, balanced", pool: "lite sol", body: `,"max_completion_tokens":16`, seen: seen{"lite": first(9 * time.Second), "sol": first(300 * time.Millisecond)}, legs: "lite sol", why: "cheaper"},
	{name: "a pace alone", model: "auto:latency", seen: seen{"lite": {Throughput: 20}, "luna": {Throughput: 400}, "haiku": {Throughput: 100}}, legs: "luna haiku lite", why: "faster"},

	{name: "an unknown pace is as the middle of the known", model: "auto:latency", seen: seen{"lite": first(300 * time.Millisecond), "luna": pace(300*time.Millisecond, 400), "haiku": pace(300*time.Millisecond, 50)}, legs: "lite luna haiku", why: "cheaper"},

	// Failures.
	{name: "failing cheapest, balanced", seen: seen{"lite": failing(300)}, legs: "luna haiku lite", why: "safer"},
	{name: "failing cheapest, cost", model: "auto:cost", seen: seen{"lite": failing(300)}, legs: "luna haiku lite", why: "safer"},
	{name: "failing a little, cost", model: "auto:cost", seen: seen{"lite": failing(20)}, legs: "lite luna haiku", why: "cheaper"},
	{name: "failing a little, reliability", model: "auto:reliability", seen: seen{"lite": failing(20)}, legs: "luna haiku lite", why: "safer"},
	{name: "the safe one is dear, reliability", model: "auto:reliability", pool: "lite sol", seen: seen{"lite": failing(300)}, legs: "sol lite", why: "safer"},
	{name: "the safe one is dear, cost", model: "auto:cost", pool: "lite sol", seen: seen{"lite": failing(300)}, legs: "lite sol", why: "cheaper"},
	{name: "all fail alike", seen: seen{"lite": failing(500), "luna": failing(500), "haiku": failing(500)}, legs: "lite luna haiku", why: "cheaper"},
	{name: "two fail", seen: seen{"lite": failing(500), "luna": failing(400)}, legs: "haiku luna lite", why: "safer"},
	{name: "failing and fading", seen: seen{"lite": failing(5)}, legs: "lite luna haiku", why: "cheaper"},
	{name: "slow against failing", seen: seen{"lite": failing(100), "luna": first(4 * time.Second), "haiku": {FirstByte: int64(4 * time.Second), Failures: 100}}, legs: "luna lite haiku", why: "safer"},

	// Breakers.
	{name: "open breaker of the cheapest", seen: seen{"lite": {Open: true}}, legs: "luna haiku lite", why: "open"},
	{name: "open breakers of two", seen: seen{"lite": down, "haiku": down}, legs: "luna lite haiku", why: "open"},
	{name: "all open: in their order", seen: seen{"lite": {Open: true}, "luna": {Open: true}, "haiku": {Open: true}}, legs: "lite luna haiku", why: "cheaper"},
	{name: "open and dear against open and cheap", pool: "sol sonnet lite", seen: seen{"sol": {Open: true}, "lite": {Open: true}}, legs: "sonnet lite sol", why: "open"},
	{name: "open loses also to the slow and failing", pool: "lite sol", seen: seen{"lite": {Open: true}, "sol": {FirstByte: int64(time.Minute), Failures: 900}}, legs: "sol lite", why: "open"},

	// Needs.
	{name: "images", pool: "plain lite luna", body: image, legs: "lite luna", why: "cheaper", passed: "plain lacks_images"},
	{name: "documents", pool: "plain lite luna", body: pdf, legs: "lite luna", why: "cheaper", passed: "plain lacks_documents"},
	{name: "tools", pool: "plain lite luna", body: tools, legs: "lite luna", why: "cheaper", passed: "plain lacks_tools"},
	{name: "structured output", pool: "plain lite luna", body: schema, legs: "lite luna", why: "cheaper", passed: "plain lacks_structured"},
	{name: "reasoning", pool: "plain 4o luna", body: thinking, legs: "luna", why: "alone", passed: "plain lacks_reasoning, 4o lacks_reasoning"},
	{name: "all at once", pool: "plain 4o haiku", body: image + tools + schema + thinking, legs: "haiku", why: "alone", passed: "plain lacks_tools, 4o lacks_reasoning"},
	{name: "no needs", pool: "plain lite luna", legs: "plain lite luna", why: "cheaper"},
	{name: "nobody can", pool: "plain", body: tools, why: "model: no model that the org's policy takes can serve this call: openai/plain: lacks_tools", passed: "plain lacks_tools"},
	{name: "no vectors", pool: "lite luna", more: func(a *router.Ask) { a.Endpoint = router.EndpointEmbed }, why: "model: name a model: vectors of different models cannot be compared"},

	// Context and output.
	{name: "does not fit the small one", pool: "plain lite", body: words(8000), legs: "lite", why: "alone", passed: "plain context_too_short"},
	{name: "fits with little to spare", pool: "plain lite", body: words(7800), legs: "plain lite", why: "cheaper"},
	{name: "the cap does not fit beside the input", pool: "plain lite", body: words(7000) + `,"max_completion_tokens":2000`, legs: "lite", why: "alone", passed: "plain context_too_short"},
	{name: "the cap is more than the model puts out", pool: "plain lite", body: `,"max_completion_tokens":4096`, legs: "lite", why: "alone", passed: "plain output_too_short"},
	{name: "the small window of 4o", pool: "mini 4o luna", body: words(130_000), legs: "luna", why: "alone", passed: "mini context_too_short, 4o context_too_short"},
	{name: "a count needs no room for an answer", pool: "plain lite", body: words(8000), more: func(a *router.Ask) { a.Endpoint = router.EndpointCount }, legs: "plain lite", why: "cheaper"},
	{name: "a picture is not as long as its bytes", pool: "plain lite", body: strings.Replace(image, "iVBORw0KGgo=", strings.Repeat("iVBORw0KGgoA", 500_000), 1), legs: "lite", why: "alone", passed: "plain lacks_images"},
	{name: "fits nowhere", pool: "plain mini", body: words(300_000), why: "model: no model that the org's policy takes can serve this call: openai/plain: context_too_short; openai/gpt-4o-mini: context_too_short", passed: "plain context_too_short, mini context_too_short"},

	// Plans.
	{name: "starter: its pool", org: "starter", legs: "lite luna haiku", why: "cheaper"},
	{name: "starter: a policy cannot widen the plan", org: "starter", pool: "sol lite sonnet", legs: "lite", why: "alone", passed: "sol plan_excludes_model, sonnet plan_excludes_model"},
	{name: "starter: premium alone", org: "starter", pool: "sol sonnet", why: "the auto lane of plan starter does not take openai/gpt-6-sol: attach a credential of your own for openai, or change the plan", passed: "sol plan_excludes_model, sonnet plan_excludes_model"},
	{name: "starter: premium where all else is down", org: "starter", pool: "sol lite luna haiku", seen: seen{"lite": down, "luna": down, "haiku": down}, legs: "lite luna haiku", why: "cheaper", passed: "sol plan_excludes_model"},
	{name: "starter: premium for the goal of latency", org: "starter", model: "auto:latency", pool: "sol lite", seen: seen{"lite": first(30 * time.Second), "sol": first(100 * time.Millisecond)}, legs: "lite", why: "alone", passed: "sol plan_excludes_model"},
	{name: "starter: premium on its own key", org: "starter-own", pool: "sol lite", legs: "sol*", why: "alone", passed: "sol plan_excludes_model, lite paid_fallback_off"},
	{name: "free: its pool", org: "free", legs: "lite luna haiku", why: "cheaper"},
	{name: "free: too long for the plan", org: "free", body: words(40_000), why: "plan free takes up to 32768 tokens of input, and this call may have 160586", passed: "luna plan_limit, haiku plan_limit, lite plan_limit"},
	{name: "teams: whatever the policy names", pool: "sol sonnet pro", legs: "sol sonnet pro", why: "order"},

	// Prices.
	{name: "unpriced is no platform leg", pool: "unpriced lite", legs: "lite", why: "alone", passed: "unpriced unpriced_model"},
	{name: "unpriced on the own key is as dear as the dearest", org: "teams-own", pool: "unpriced luna sol", policy: router.Settings{Credentials: router.BYOKOnly}, legs: "luna* unpriced* sol*", why: "cheaper", passed: "unpriced mode_excludes, luna mode_excludes, sol mode_excludes"},
	{name: "unpriced alone", org: "teams-own", pool: "unpriced", policy: router.Settings{Credentials: router.BYOKOnly}, legs: "unpriced*", why: "alone", passed: "unpriced mode_excludes"},
	{name: "retired and unheard of", pool: "retired ghost lite", legs: "lite", why: "alone", passed: "retired unknown_model, ghost unknown_model"},
	{name: "not listed, on the own key", org: "teams-own", pool: "unlisted luna", policy: router.Settings{Credentials: router.BYOKOnly}, legs: "unlisted* luna*", why: "order", passed: "unlisted mode_excludes, luna mode_excludes"},

	// Whose credentials.
	{name: "own first, the platform not for what the own key could", org: "teams-own", legs: "luna* haiku*", why: "order", passed: "luna paid_fallback_off, haiku paid_fallback_off, lite paid_fallback_off"},
	{name: "own first, and then paid", org: "teams-own", policy: router.Settings{PaidFallback: new(true), MaxAttempts: 6}, legs: "luna* haiku* lite luna haiku", why: "order"},
	{name: "the own key goes first though it is dear", org: "teams-own", pool: "sol lite", policy: router.Settings{PaidFallback: new(true)}, legs: "sol* lite sol", why: "own"},
	{name: "platform first", org: "teams-own", policy: router.Settings{Credentials: router.PlatformFirst, MaxAttempts: 6}, legs: "lite luna haiku luna* haiku*", why: "cheaper"},
	{name: "platform only", org: "teams-own", policy: router.Settings{Credentials: router.PlatformOnly}, legs: "lite luna haiku", why: "cheaper", passed: "luna mode_excludes, haiku mode_excludes"},
	{name: "own only", org: "teams-own", policy: router.Settings{Credentials: router.BYOKOnly}, legs: "luna* haiku*", why: "order", passed: "luna mode_excludes, haiku mode_excludes, lite mode_excludes"},
	{name: "own, its breaker open: no reason to pay", org: "teams-own", seen: seen{"luna@teams-openai": down, "haiku@teams-anthropic": down}, legs: "luna* haiku*", why: "order", passed: "luna paid_fallback_off, haiku paid_fallback_off, lite paid_fallback_off"},
	{name: "a key that is down alone", org: "teams-own", policy: router.Settings{PaidFallback: new(true)}, seen: seen{"luna@teams-openai": down}, legs: "haiku* luna* lite", why: "open", passed: "luna beyond_max_attempts, haiku beyond_max_attempts"},
	{name: "providers by policy", policy: router.Settings{Providers: []string{"anthropic", "openai"}}, legs: "luna haiku", why: "order", passed: "lite provider_excluded"},

	// What goes before all scores.
	{name: "sticky", more: func(a *router.Ask) { a.Sticky = pooled("haiku", "anthropic") }, legs: "haiku lite luna", why: "kept"},
	{name: "sticky, not for what it cannot", pool: "plain lite", body: tools, more: func(a *router.Ask) { a.Sticky = pooled("plain", "openai") }, legs: "lite", why: "alone", passed: "plain lacks_tools"},
	{name: "sticky, not for money", org: "teams-own", policy: router.Settings{PaidFallback: new(true)}, more: func(a *router.Ask) { a.Sticky = pooled("lite", "google") }, legs: "luna* haiku* lite", why: "order", passed: "luna beyond_max_attempts, haiku beyond_max_attempts"},
	{name: "origin", more: func(a *router.Ask) { a.Origin = pooled("haiku", "anthropic") }, legs: "haiku lite luna", why: "kept"},
	{name: "origin before sticky", more: func(a *router.Ask) { a.Origin, a.Sticky = pooled("haiku", "anthropic"), pooled("luna", "openai") }, legs: "haiku luna lite", why: "kept"},
	{name: "origin though it is down", seen: seen{"haiku": down}, more: func(a *router.Ask) { a.Origin = pooled("haiku", "anthropic") }, legs: "haiku lite luna", why: "kept"},

	// What the request leaves of it.
	{name: "narrowed to models", more: func(a *router.Ask) { a.Narrowed.Models = []string{"claude-*"} }, legs: "haiku", why: "alone", passed: "luna narrowed, lite narrowed"},
	{name: "narrowed to another goal", model: "auto:cost", body: `,"max_completion_tokens":20`, seen: seen{"haiku": first(200 * time.Millisecond), "lite": first(time.Second), "luna": first(time.Second)}, more: func(a *router.Ask) { a.Narrowed.Goal = "latency" }, legs: "haiku lite luna", why: "faster"},
	{name: "narrowed to one attempt", more: func(a *router.Ask) { a.Narrowed.MaxAttempts = 1 }, legs: "lite", why: "alone", passed: "luna beyond_max_attempts, haiku beyond_max_attempts"},
}

func pooled(model, provider string) ledger.Choice {
	return ledger.Choice{Model: shorts[model], Credential: "pool-" + provider, Kind: ledger.PlatformPool}
}

func TestAuto(t *testing.T) {
	if len(autoCases) < 60 {
		t.Errorf("%d cases", len(autoCases))
	}
	l := newLane(t)
	for _, c := range autoCases {
		t.Run(c.name, func(t *testing.T) {
			a := autoAsk(t, cmp.Or(c.model, "auto"), c.body)
			if c.more != nil {
				c.more(&a)
			}
			d, err := l.decide(cmp.Or(c.org, "teams"), c.pool, a, c.seen, c.policy)
			legs, passed := told(d)
			reason := why(d, c.seen)
			if err != nil {
				reason = err.Error()
			}
			if legs != c.legs || reason != c.why || passed != c.passed {
				t.Errorf("legs: %q, why: %q, passed: %q\n%+v", legs, reason, passed, d.Scores)
			}
			// The same again from what is kept of what was seen.
			kept := seen{}
			for _, o := range d.Conditions {
				kept[short(o.Model)+"@"+o.Credential] = o
			}
			again, _ := l.decide(cmp.Or(c.org, "teams"), c.pool, a, kept, c.policy)
			if diff := gocmp.Diff(d, again); diff != "" {
				t.Errorf("from what was recorded it is decided otherwise:\n%s", diff)
			}
		})
	}
}

// Of two credentials for one model the one that answers goes first.
func TestAutoCredentials(t *testing.T) {
	l := newLane(t)
	a := autoAsk(t, "auto", "")
	v := router.ViewOf(l.state, "teams", "", nil, a, l.at)
	second := *v.Pool[slices.IndexFunc(v.Pool, func(c *ledger.Credential) bool { return c.Provider == "openai" })]
	second.ID = "pool-second"
	v.Pool, v.Auto = append(slices.Clone(v.Pool), &second), []string{shorts["luna"]}
	for _, tt := range []struct {
		seen seen
		want string
	}{
		{nil, "pool-openai pool-second"},
		{seen{"luna@pool-openai": failing(100)}, "pool-second pool-openai"},
		{seen{"luna@pool-openai": down}, "pool-second pool-openai"},
		{seen{"luna@pool-openai": first(4 * time.Second), "luna@pool-second": first(time.Second)}, "pool-second pool-openai"},
	} {
		v.Condition = tt.seen.of
		d, err := router.Route(a, v)
		var got []string
		for _, leg := range d.Legs {
			got = append(got, leg.Credential.ID)
		}
		if err != nil || strings.Join(got, " ") != tt.want {
			t.Errorf("%v: %v, not %s: %v", tt.seen, got, tt.want, err)
		}
	}
}

// No figure that could be observed, and no rate that could be published, upsets a score.
func TestAutoExtremes(t *testing.T) {
	l := newLane(t)
	extremes := []int64{0, 1, 999, 1000, 1 << 31, math.MaxInt64}
	for _, goal := range []string{"auto", "auto:cost", "auto:latency", "auto:reliability"} {
		for _, n := range extremes {
			for _, m := range extremes {
				a := autoAsk(t, goal, "")
				a.Input = min(n, 500_000)
				s := seen{"lite": {FirstByte: n, Throughput: m, Failures: min(1000, m)}, "luna": {FirstByte: m, Throughput: n, Failures: min(1000, n)}}
				v := router.ViewOf(l.state, "teams", "", nil, a, l.at)
				v.Condition = s.of
				v.Price = func(model string) *ledger.Price {
					r := ledger.Rate(n)
					return &ledger.Price{Tiers: []ledger.Tier{{Rates: ledger.Rates{Input: r, Output: r}}}}
				}
				d, err := router.Route(a, v)
				if err != nil || len(d.Scores) != 3 {
					t.Fatalf("%s %d %d: %v %+v", goal, n, m, err, d.Scores)
				}
				for _, score := range d.Scores {
					for _, part := range []int64{score.Cost, score.Latency, score.Reliability, score.Total} {
						if part < 1000 || part > 100_000 {
							t.Errorf("%s %d %d: %+v", goal, n, m, score)
						}
					}
				}
			}
		}
	}
}
