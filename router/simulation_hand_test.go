package router_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/router"
)

// hand is a node with an org whose log is written by hand: a thousand plan tokens a month, then credit at list price and a tenth.
type hand struct {
	*past
	calls int
}

func newHand(t *testing.T) *hand {
	h := &hand{past: &past{node: newNode(t, ledger.Plan{ID: "thousand", Tokens: 1000, Credit: true, Markup: 1000, Lanes: []ledger.Lane{ledger.LaneAuto, ledger.LaneManual}}),
		notes: map[string]*router.Note{}}}
	h.open(pastOrg, "thousand")
	h.buy(pastOrg, "lot", 100*ledger.Dollar)
	h.do(ledger.AttachCredential{Org: pastOrg, Credential: "cred_own", Provider: "anthropic", Fingerprint: "f", Use: ledger.UsePrefer})
	for _, key := range []string{"key_a", "key_c"} {
		h.do(ledger.IssueKey{Org: pastOrg, Key: key, Hash: strings.Repeat(key[4:], 64), Scopes: []ledger.Scope{ledger.ScopeInference}})
	}
	return h
}

// call has a call of a model admitted, on the first leg of its decision.
func (h *hand) call(model, key string) (request string) {
	h.t.Helper()
	h.calls++
	request = fmt.Sprint("req_", h.calls)
	q := &router.Request{Endpoint: router.EndpointChat, Dialect: ledger.DialectOpenAIChat, Model: model}
	d, in, err := h.d.Decided(router.Task{ID: request, Org: pastOrg, Key: key, Request: q, Note: router.Note{Key: pastKeys[key]}})
	if err != nil {
		h.t.Fatal(err)
	}
	h.do(ledger.Admit{Org: pastOrg, Key: key, Request: request, Lane: d.Lane, Dialect: q.Dialect, Asked: model, Inputs: in,
		Demand: ledger.Demand{Choice: d.Legs[0].Choice(), Input: 100, Output: 100}})
	return request
}

// used settles a call of a model.
func (h *hand) used(model string, input, output int64, tier string) string {
	h.t.Helper()
	request := h.call(model, "")
	h.do(ledger.Settle{Org: pastOrg, Request: request, Usage: ledger.Usage{Input: input, Output: output}, ServiceTier: tier, Source: ledger.UsageProvider})
	return request
}

// under is what the log would have come to under a policy.
func (h *hand) under(text string) router.Simulated {
	h.t.Helper()
	policy, err := router.ParsePolicy([]byte(text))
	if err != nil {
		h.t.Fatal(err)
	}
	sim := h.simulation(policy, false)
	if err := h.store.Replay(h.t.Context(), pastOrg, 1, sim.Decide, sim.Follow, nil); err != nil {
		h.t.Fatal(err)
	}
	return sim.Result()
}

const micro = ledger.Dollar / 1_000_000

func sums(calls int64, list, charge ledger.Nano, tokens int64) router.Sums {
	return router.Sums{Calls: calls, Bill: ledger.Bill{ListCost: list * micro, Charge: charge * micro, PlanTokens: tokens}}
}

// The figures by hand, in millionths of a dollar. A million tokens of input and of output cost: luna 0.10 and 0.50, sol 2 and 10, haiku
// 0.10 and 0.50, gpt-4o 2.50 and 10, flash-lite 0.10 and 0.40; flex is half.
func TestSimulationByHand(t *testing.T) {
	h := newHand(t)
	luna := h.used("gpt-6-luna", 600, 400, "")                    // 60 + 200, on the thousand plan tokens
	h.used("openai/gpt-6-luna", 1000, 1000, "")                   // 100 + 500, on credit: 660
	haiku := h.used("anthropic/claude-haiku-5-5", 2000, 1000, "") // 200 + 500, on the own credential
	fourO := h.used("gpt-4o", 100, 100, "")                       // 250 + 1000: 1375
	h.used("gpt-6-luna", 1000, 0, "flex")                         // 50: 55
	h.used("google/gemini-2.5-flash-lite", 100, 100, "")          // 10 + 40: 55
	h.do(ledger.Void{Org: pastOrg, Request: h.call("gpt-6-luna", "")})
	h.call("gpt-6-luna", "") // is open
	got := h.under(`
credentials: platform-only
routes:
  - {name: dear, when: {model: gpt-4o}, refuse: too dear}
  - {when: {model: gpt-6-luna}, try: [{model: openai/gpt-6-sol}]}
`)
	if got.Considered != 8 || got.Same != 1 || got.Different != 7 || got.Undecided != 0 || got.Unsettled != 2 || !reflect.DeepEqual(got.Refused, map[ledger.Code]int64{ledger.CodePolicyForbids: 1}) {
		t.Errorf("%+v", got)
	}
	pool := func(model, provider string) ledger.Choice {
		return ledger.Choice{Model: model, Credential: h.pool[provider], Kind: ledger.PlatformPool}
	}
	// Sol for luna: 1200 + 4000 on plan tokens, 2000 + 10000 as 13200 of credit, and flex 1000 as 1100. Haiku: 700 as 770.
	if got.Before != sums(6, 2910, 2145, 1000) || got.After != sums(5, 18_950, 15_125, 1000) {
		t.Errorf("before %+v\nafter %+v", got.Before, got.After)
	}
	none := router.Sums{}
	for model, want := range map[string]router.Sum{
		"openai/gpt-6-luna":            {Before: sums(3, 910, 715, 1000), After: none},
		"openai/gpt-6-sol":             {Before: none, After: sums(3, 18_200, 14_300, 1000)},
		"anthropic/claude-haiku-5-5":   {Before: sums(1, 700, 0, 0), After: sums(1, 700, 770, 0)},
		"openai/gpt-4o":                {Before: sums(1, 1250, 1375, 0), After: none},
		"google/gemini-2.5-flash-lite": {Before: sums(1, 50, 55, 0), After: sums(1, 50, 55, 0)},
	} {
		if s := got.Models[model]; s == nil || *s != want {
			t.Errorf("%s: %+v, want %+v", model, s, want)
		}
	}
	for on, want := range map[ledger.Choice]router.Sum{
		{Credential: "cred_own", Kind: ledger.BYOK}:                  {Before: sums(1, 700, 0, 0), After: none},
		{Credential: h.pool["anthropic"], Kind: ledger.PlatformPool}: {Before: none, After: sums(1, 700, 770, 0)},
		{Credential: h.pool["openai"], Kind: ledger.PlatformPool}:    {Before: sums(4, 2160, 2090, 1000), After: sums(3, 18_200, 14_300, 1000)},
		{Credential: h.pool["google"], Kind: ledger.PlatformPool}:    {Before: sums(1, 50, 55, 0), After: sums(1, 50, 55, 0)},
	} {
		if s := got.Credentials[on]; s == nil || *s != want {
			t.Errorf("%v: %+v, want %+v", on, s, want)
		}
	}
	if len(got.Models) != 5 || len(got.Credentials) != 4 || len(got.Changes) != 3 {
		t.Fatalf("%d models, %d credentials, %d changes", len(got.Models), len(got.Credentials), len(got.Changes))
	}
	first := router.Change{From: []ledger.Choice{pool("openai/gpt-6-luna", "openai")}, To: []ledger.Choice{pool("openai/gpt-6-sol", "openai")}, ToRoute: "routes[1]",
		FromLane: ledger.LaneManual, ToLane: ledger.LaneManual, Requests: 5, Request: luna}
	if c := got.Changes[0]; !reflect.DeepEqual(*c, first) {
		t.Errorf("%+v, want %+v", *c, first)
	}
	if c := got.Changes[1]; c.Request != haiku || c.Requests != 1 || !reflect.DeepEqual(c.To, []ledger.Choice{pool("anthropic/claude-haiku-5-5", "anthropic")}) {
		t.Errorf("%+v", *c)
	}
	if c := got.Changes[2]; c.Request != fourO || c.ToRoute != "dear" || c.To != nil || c.Refused != ledger.CodePolicyForbids || c.Reason == "" {
		t.Errorf("%+v", *c)
	}
	if got := h.under("{}"); got.Same != 8 || got.Before != got.After || len(got.Changes) != 0 {
		t.Errorf("under what was in force: %+v", got)
	}
}

// What a simulated call leaves of the allowance, later ones have.
func TestSimulationCarriesTheAllowance(t *testing.T) {
	h := newHand(t)
	h.used("gpt-4o", 600, 400, "")       // 1500 + 4000, on the thousand plan tokens
	h.used("gpt-6-luna", 1000, 1000, "") // 600, on credit: 660
	got := h.under("routes: [{when: {model: gpt-4o}, try: [{model: anthropic/claude-haiku-5-5}]}]")
	// Haiku for gpt-4o: 60 + 200 on the own credential. Half of luna's tokens are covered then.
	if got.Same != 1 || got.Before != sums(2, 6100, 660, 1000) || got.After != sums(2, 860, 330, 1000) {
		t.Errorf("%+v", got)
	}
	h = newHand(t)
	h.used("claude-haiku-5-5", 600, 400, "") // on the own credential
	h.used("gpt-6-luna", 1000, 500, "")      // 100 + 250 on a thousand plan tokens, and a third on credit: 385 × ⅓
	got = h.under("routes: [{when: {model: claude-haiku-5-5}, credentials: platform-only}]")
	third := ledger.Nano(128_334)
	before, after := sums(2, 610, 0, 1000), sums(2, 610, 385, 1000)
	before.Charge = third
	if got.Before != before || got.After != after {
		t.Errorf("%+v", got)
	}
}

// A leg that failed when the call was made is not taken for the one that would have answered.
func TestSimulationLeavesWhatFailed(t *testing.T) {
	h := newHand(t)
	request := h.call("gpt-6-luna", "")
	dead := ledger.Choice{Model: "anthropic/claude-haiku-5-5", Credential: "cred_own", Kind: ledger.BYOK}
	h.do(ledger.Settle{Org: pastOrg, Request: request, Usage: ledger.Usage{Input: 1}, Source: ledger.UsageProvider,
		Resolution: ledger.Resolution{Attempts: []ledger.Attempt{{Choice: dead, Outcome: ledger.Failed}}}})
	got := h.under("routes: [{paid_fallback: true, try: [{model: claude-haiku-5-5, credential: byok}, {model: gemini-2.5-flash-lite}, {model: gpt-6-luna}]}]")
	if m := got.Models["google/gemini-2.5-flash-lite"]; got.Different != 1 || m == nil || m.After.Calls != 1 || got.After.Calls != 1 {
		t.Errorf("%+v", got)
	}
}

// What a policy would match beside the log is taken from the notes that were kept. Where there is none, a call is decided only if
// that does not matter.
func TestSimulationWithoutNotes(t *testing.T) {
	h := newHand(t)
	h.do(ledger.SetPolicy{Org: pastOrg, Document: document(t, "routes: [{when: {model: gpt-4o, key: prod-*}, auto: {}}]")})
	for _, c := range []struct {
		name, model, key, policy string
		note                     *router.Note
		noted                    bool
		different, undecided     int64
	}{
		{"a key's name of today", "gpt-6-luna", "key_a", "routes: [{when: {key: prod-*}, try: [{model: gpt-4o}]}]", nil, false, 1, 0},
		{"another key's", "gpt-6-luna", "key_c", "routes: [{when: {key: prod-*}, try: [{model: gpt-4o}]}]", nil, false, 0, 0},
		{"no key", "gpt-6-luna", "", "routes: [{when: {key: prod-*}, try: [{model: gpt-4o}]}]", nil, false, 0, 0},
		{"an erased note", "gpt-6-luna", "key_a", "routes: [{when: {key: prod-*}, try: [{model: gpt-4o}]}]", nil, true, 0, 1},
		{"the name of then", "gpt-6-luna", "key_a", "routes: [{when: {key: prod-*}, try: [{model: gpt-4o}]}]", &router.Note{Key: "dev"}, true, 0, 0},
		{"metadata that was not kept", "gpt-6-luna", "key_a", "routes: [{when: {metadata: {team: red}}, try: [{model: gpt-4o}]}]", nil, false, 0, 1},
		{"metadata that was kept", "gpt-6-luna", "key_a", "routes: [{when: {metadata: {team: red}}, try: [{model: gpt-4o}]}]", &router.Note{Metadata: map[string]string{"team": "red"}}, true, 1, 0},
		{"metadata of another model's rule", "gpt-6-luna", "key_a", "routes: [{when: {model: gpt-4o, metadata: {team: red}}, try: [{model: gpt-4o}]}]", nil, true, 0, 0},
		{"metadata of a later rule", "gpt-6-luna", "key_a", "routes: [{try: [{model: gpt-4o}]}, {when: {metadata: {team: red}}, refuse: no}]", nil, true, 1, 0},
		{"metadata of another key's rule", "gpt-6-luna", "key_c", "routes: [{when: {key: prod-*, metadata: {team: red}}, refuse: no}]", nil, false, 0, 0},
	} {
		request := h.call(c.model, c.key)
		h.do(ledger.Settle{Org: pastOrg, Request: request, Usage: ledger.Usage{Input: 1}, Source: ledger.UsageProvider})
		if c.note != nil {
			h.notes[request] = c.note
		}
		policy, err := router.ParsePolicy([]byte(c.policy))
		if err != nil {
			t.Fatal(err)
		}
		sim := h.simulation(policy, false)
		err = h.store.Replay(t.Context(), pastOrg, 1, func(s *ledger.State, r *ledger.Record) error {
			e := *r.Event.(*ledger.RequestAdmitted)
			if e.Request != request {
				return nil
			}
			e.Inputs.Noted = c.noted
			one := *r
			one.Event = &e
			return sim.Decide(s, &one)
		}, sim.Follow, nil)
		got := sim.Result()
		if err != nil || got.Considered != 1 || got.Different != c.different || got.Undecided != c.undecided || got.Before.Calls != 1-c.undecided || got.After.Calls != 1-c.undecided {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}
