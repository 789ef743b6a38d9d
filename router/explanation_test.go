package router_test

import (
	"encoding/json"
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/router"
)

// explained decides an ask under a policy, and explains it.
func (l *lane) explained(t testing.TB, org, key, policy string, a router.Ask) router.Explanation {
	t.Helper()
	var p *router.Policy
	if policy != "" {
		p = parsePolicy(t, policy)
	}
	v := router.ViewOf(l.state, org, key, p, a, l.at)
	v.Funds = router.FundsOf(l.state, org, key, l.at)
	d, _ := router.Route(a, v)
	return router.Explain(d, a, v)
}

func TestExplain(t *testing.T) {
	l := newLane(t)
	const policy = `paid_fallback: true
aliases: {fast: openai/gpt-6-luna}
routes:
- name: for embeddings
  when: {endpoint: embeddings}
- name: research
  when: {model: fast, metadata: {team: research}}
- name: the fast one
  when: {model: fast}
  try:
  - {model: fast, credential: byok}
  - {model: openai/plain, credential: byok}
  - {model: fast, credential: platform}
  - {model: nova, credential: platform}
- name: the rest
`
	a := router.Ask{Endpoint: router.EndpointChat, Dialect: ledger.DialectOpenAIChat, Model: "fast", Field: "model", Needs: []string{ledger.FeatureTools}, Input: 400, Most: 1000}
	e := l.explained(t, "teams-own", "", policy, a)
	if e.Means != "openai/gpt-6-luna" || e.Route != "the fast one" || e.Lane != ledger.LaneManual || e.Plan != "teams" || e.Refused != nil || !e.Assumed || e.Output != 1024 {
		t.Errorf("%+v", e)
	}
	var rules []string
	for _, r := range e.Routes {
		rules = append(rules, r.Route+": "+r.Mismatch)
		if r.Matched != (r.Route == "the fast one") {
			t.Errorf("%+v", r)
		}
	}
	if got, want := strings.Join(rules, "; "), "for embeddings: endpoint; research: metadata.team; the fast one: ; the rest: after_the_match"; got != want {
		t.Errorf("routes: %s\nnot     %s", got, want)
	}
	if len(e.Legs) != 4 {
		t.Fatalf("%+v", e.Legs)
	}
	own, paid, nova, plain := e.Legs[0], e.Legs[1], e.Legs[2], e.Legs[3]
	if own.Order != 1 || own.Kind != ledger.BYOK || own.Holds != nil || own.Charge != "0.000000" || own.ListCost == "" || own.Unfunded != nil {
		t.Errorf("the own leg: %+v", own)
	}
	if paid.Order != 2 || paid.Kind != ledger.PlatformPool || paid.Price == "" || paid.Cap != 32_768 || paid.Worst == "" {
		t.Errorf("the paid leg: %+v", paid)
	}
	if h := paid.Holds; h == nil || h.PlanTokens != 1000+32_768 || h.Credit != "0.000000" || paid.PlanTokens != 400+1024 || paid.Charge != "0.000000" {
		t.Errorf("what the paid leg holds: %+v, and costs: %+v", h, paid)
	}
	if plain.Order != 0 || plain.Reason != "lacks_tools" || !strings.Contains(plain.Meaning, "does not have what the request needs: tools") {
		t.Errorf("the model without tools: %+v", plain)
	}
	if nova.Order != 0 || nova.Reason != "unknown_model" || nova.Meaning == "" {
		t.Errorf("the unknown model: %+v", nova)
	}
	b, err := json.Marshal(e)
	if err != nil || !strings.Contains(string(b), `"credit_usd":"0.000000"`) {
		t.Errorf("%s %v", b, err)
	}
}

func TestExplainRefusals(t *testing.T) {
	l := newLane(t)
	a := router.Ask{Endpoint: router.EndpointChat, Dialect: ledger.DialectOpenAIChat, Model: "openai/gpt-6-sol", Field: "model", Input: 400, Most: 1000}
	e := l.explained(t, "starter", "", "", a)
	if e.Refused == nil || e.Refused.Code != "plan_excludes_model" || len(e.Legs) != 1 || e.Legs[0].Reason != "plan_excludes_model" || !strings.Contains(e.Legs[0].Meaning, "plan starter has no manual lane") {
		t.Errorf("%+v %+v", e.Refused, e.Legs)
	}
	e = l.explained(t, "teams", "", "routes:\n- name: closed\n  refuse: ask first\n", a)
	if e.Refused == nil || e.Refused.Code != "policy_forbids" || e.Route != "closed" || len(e.Legs) != 0 {
		t.Errorf("%+v", e)
	}
	a.Model, a.Most, a.Output = "openai/gpt-6-luna", 900_000, 1000
	e = l.explained(t, "starter", "", "routes:\n- auto: {}\n", a) // ten million tokens are enough
	if e.Lane != ledger.LaneAuto || len(e.Legs) == 0 || e.Legs[0].Unfunded != nil || e.Legs[0].Score == nil {
		t.Errorf("%+v", e)
	}
	a = router.Ask{Endpoint: router.EndpointChat, Dialect: ledger.DialectOpenAIChat, Model: "auto", Field: "model", Input: 400, Most: 1000}
	e = l.explained(t, "free", "", "", a)
	if len(e.Legs) == 0 || e.Legs[0].Holds == nil || e.Legs[0].Holds.Messages != 1 || e.Legs[0].Messages != 1 {
		t.Errorf("on free messages: %+v", e.Legs)
	}
}
