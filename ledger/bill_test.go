package ledger

import (
	"errors"
	"testing"
)

// What a usage would be billed is what a settlement bills: on plan tokens, over their end, on credit, on free messages, and on the
// org's own credential.
func TestBillIsTheSettlements(t *testing.T) {
	w := newWorld()
	do := func(commands ...Command) (recs []Record) {
		for _, c := range commands {
			w.now += 60e9
			r, refused, broken := w.do(c)
			if refused != nil || broken != nil {
				t.Fatalf("%T %+v: refused %v, broken %v", c, c, refused, broken)
			}
			recs = r
		}
		return recs
	}
	w.now = instant("2026-11-01T09:30")
	storyCatalogue(func(_ int, commands ...Command) { do(commands...) })
	do(OpenOrg{operator, "acme", "teams"}, OpenOrg{operator, "beta", FreePlan}, GrantCredit{Who: operator, Org: "acme", Lot: "l", Amount: 10 * Dollar})
	do(AttachCredential{Who: operator, Org: "acme", Credential: "own", Provider: "openai", Fingerprint: "f", Use: UsePrefer})
	legs := []Choice{{"openai/nova", "cred-openai", PlatformPool}, {"anthropic/opal", "cred-anthropic", PlatformPool}, {"openai/nova", "own", BYOK}}
	seen := map[string]int{}
	for i := range 60 {
		org, leg, request := "acme", legs[i%3], "r"+itoa(i)
		if i < 5 {
			org, leg = "beta", legs[i%2]
		}
		do(Admit{Org: org, Request: request, Lane: LaneAuto, Demand: Demand{Choice: leg, Input: 1500, Output: 300}})
		u := Usage{Input: int64(i*331) % 1200, CacheRead: int64(i*7) % 200, Output: int64(i*13) % 300}
		tier := []string{"", "flex", "priority"}[i%7%3]
		h, plan := w.state.Hold(request), w.state.Plan(w.state.Org(org).Plan)
		got, err := BillOf(plan, w.state.prices[h.Leg.Price], leg, u, tier, w.state.Purse(org, request))
		recs := do(Settle{Org: org, Request: request, Usage: u, ServiceTier: tier, Source: UsageProvider})
		e := recs[len(recs)-1].Event.(*RequestSettled)
		if want := e.Bill(); err != nil || got != want {
			t.Errorf("%s: %+v would be billed, %v, and %+v was", request, got, err, want)
		}
		seen[e.Billing()]++
	}
	if seen["free"] != 5 || seen["plan"] < 3 || seen["plan+credit"] == 0 || seen["credit"] < 10 || seen["byok"] < 10 {
		t.Errorf("settlements were %v", seen)
	}
}

// The figures by hand: a million tokens of input cost a dollar, of output four, and the plan adds a tenth.
func TestBillByHand(t *testing.T) {
	price := &Price{ID: "p", Model: "openai/nova", Tiers: []Tier{{0, Rates{Input: 1_000_000_000, Output: 4_000_000_000}}, {1_000, Rates{Input: 2_000_000_000, Output: 8_000_000_000}}},
		ServiceTiers: map[string]int64{"flex": 5_000}}
	paid := &Plan{ID: "paid", Tokens: 1, Credit: true, Markup: 1_000, Weights: map[string]int64{"openai/heavy": 3, "openai/light": 0}}
	bare := &Plan{ID: "bare", Tokens: 1}
	free := &Plan{ID: "free", Messages: 5}
	on := func(model string, k CredentialKind) Choice { return Choice{Model: model, Credential: "c", Kind: k} }
	nova := on("openai/nova", PlatformPool)
	u := Usage{Input: 600, Output: 400} // 600 + 1,600 thousandths of a thousandth of a dollar
	const list = 2_200_000
	for name, c := range map[string]struct {
		plan  *Plan
		price *Price
		on    Choice
		u     Usage
		tier  string
		purse Purse
		want  Bill
		code  Code
	}{
		"own":                 {bare, price, on("openai/nova", BYOK), u, "", Purse{}, Bill{ListCost: list}, ""},
		"own, unlisted":       {bare, nil, on("openai/new", BYOK), u, "", Purse{}, Bill{}, ""},
		"plan":                {paid, price, nova, u, "", Purse{Tokens: 1_000}, Bill{ListCost: list, PlanTokens: 1_000}, ""},
		"credit":              {paid, price, nova, u, "", Purse{}, Bill{ListCost: list, Charge: 2_420_000}, ""},
		"overdrawn":           {paid, price, nova, u, "", Purse{Tokens: -5}, Bill{ListCost: list, Charge: 2_420_000}, ""},
		"straddle":            {paid, price, nova, u, "", Purse{Tokens: 250}, Bill{ListCost: list, PlanTokens: 250, Charge: 1_815_000}, ""},
		"tier":                {paid, price, nova, u, "flex", Purse{}, Bill{ListCost: list / 2, Charge: 1_210_000}, ""},
		"long context":        {paid, price, nova, Usage{Input: 1_001}, "", Purse{}, Bill{ListCost: 2_002_000, Charge: 2_202_200}, ""},
		"weight":              {paid, price, on("openai/heavy", PlatformPool), u, "", Purse{Tokens: 1_500}, Bill{ListCost: list, PlanTokens: 1_500, Charge: 1_210_000}, ""},
		"weightless":          {paid, price, on("openai/light", PlatformPool), u, "", Purse{Tokens: 1}, Bill{ListCost: list}, ""},
		"weightless, on none": {paid, price, on("openai/light", PlatformPool), u, "", Purse{}, Bill{ListCost: list, Charge: 2_420_000}, ""},
		"message":             {free, price, nova, u, "", Purse{Messages: 1}, Bill{ListCost: list, Messages: 1}, ""},
		"no message left":     {free, price, nova, u, "", Purse{}, Bill{}, CodeInsufficientFunds},
		"no credit taken":     {bare, price, nova, u, "", Purse{Tokens: 999}, Bill{}, CodeInsufficientFunds},
		"nonsense":            {bare, price, nova, Usage{Input: -4}, "", Purse{}, Bill{}, ""},
	} {
		got, err := BillOf(c.plan, c.price, c.on, c.u, c.tier, c.purse)
		var coded *Error
		if errors.As(err, &coded) != (c.code != "") || coded != nil && coded.Code != c.code || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v, %q", name, got, err, c.want, c.code)
		}
	}
}
