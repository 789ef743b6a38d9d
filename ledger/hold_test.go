package ledger

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// TestHoldCovers: whatever the price, tiers, cache classes, service tier, answers, weight, markup and balance, usage
// within a call's bounds is paid by its hold alone.
func TestHoldCovers(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := drawn{rt}
		w := newWorld()
		w.now = instant("2026-01-01")
		must := func(c Command) []Record {
			recs, refused, broken := w.decide(c)
			if refused != nil || broken != nil {
				rt.Fatalf("%T: %v %v", c, refused, broken)
			}
			return recs
		}
		const model = "openai/a"
		p := Price{ID: "p", Model: model, From: 1, ServiceTiers: map[string]int64{"low": int64(1 + d.roll(10_000, "low")), "high": int64(10_000 + d.roll(50_000, "high"))}}
		rate := func(what string) Rate { return Rate(d.roll(50_000_000_000, what)) }
		for above, n := int64(0), 1+d.roll(3, "tiers"); n > 0; n-- {
			p.Tiers = append(p.Tiers, Tier{Above: above, Rates: Rates{rate("input"), rate("read"), rate("write"), rate("long"), rate("output")}})
			above += int64(1 + d.roll(4000, "tier"))
		}
		plan := Plan{ID: "plan", Lanes: []Lane{LaneAuto}, Credit: true, Tokens: int64(d.roll(30_000, "tokens")),
			Markup: int64(d.roll(3, "marked") * d.roll(20_000, "markup")), Weights: map[string]int64{model: int64(d.roll(6, "weight"))}}
		must(DefinePlan{operator, plan})
		must(PublishModel{operator, Model{Name: model, Provider: "openai", ID: "a", Context: 1, MaxOutput: 5000}})
		must(PublishPrice{operator, p})
		must(AttachCredential{Who: operator, Org: Platform, Credential: "pool", Provider: "openai", Fingerprint: "f", Use: UsePrefer})
		must(OpenOrg{operator, "acme", "plan"})
		for i := d.roll(4, "lots"); i > 0; i-- {
			must(GrantCredit{operator, "acme", "l" + itoa(i), Nano(1 + d.roll(3_000_000_000, "credit")), d.roll(2, "priority"), 0})
		}
		demand := Demand{Choice: Choice{model, "pool", PlatformPool}, Input: int64(d.roll(10_000, "input")), Answers: int64(d.roll(5, "answers")),
			ServiceTier: []string{"", "low", "high", "other"}[d.roll(4, "tier")]}
		switch {
		case d.roll(4, "vectors") == 0:
			demand.NoOutput = true
		case d.roll(2, "capped") > 0:
			demand.Output = int64(1 + d.roll(5000, "output"))
		default:
			demand.Floor = 256
		}
		recs, refused, broken := w.decide(Admit{Who: operator, Org: "acme", Request: "r", Lane: LaneAuto, Demand: demand})
		if broken != nil {
			rt.Fatal(broken)
		}
		if refused != nil {
			return
		}
		leg := recs[0].Event.(*RequestAdmitted).Leg
		h := history{dice: d}
		u := h.usageWithin(leg)
		tier := []string{demand.ServiceTier, "", "low", "default"}[d.roll(4, "reported")]
		recs = must(Settle{Who: operator, Org: "acme", Request: "r", Usage: u, ServiceTier: tier})
		e := recs[0].Event.(*RequestSettled)
		if err := covered(e); err != nil {
			rt.Fatalf("%v\nleg %+v\nprice %+v\nplan %+v", err, leg, p, plan)
		}
		if e.ListCost > leg.Bound {
			rt.Fatalf("list cost %s beyond the leg's bound %s", e.ListCost, leg.Bound)
		}
	})
}

// TestManyCallers: of any number of parallel callers who retry while funds are held, a balance B serves
// ⌊(B−H)/C⌋+1 calls that hold H and cost C, in any interleaving, once on credit and once on plan tokens.
func TestManyCallers(t *testing.T) {
	for _, c := range []struct {
		name          string
		plan          Plan
		credit        Nano
		unit          Unit
		hold, cost, b int64
	}{
		// 1,000 in and 1,000 out are held; 1,000 in and 100 out are used, at 1 and 10 dollars a million.
		{"credit", Plan{ID: "p", Lanes: []Lane{LaneManual}, Credit: true}, Dollar / 10, USD, 11_000_000, 2_000_000, int64(Dollar / 10)},
		{"plan tokens", Plan{ID: "p", Lanes: []Lane{LaneManual}, Tokens: 24_750}, 0, Tok, 2000, 1100, 24_750},
	} {
		for seed := range uint64(20) {
			t.Run(fmt.Sprintf("%s, seed %d", c.name, seed), func(t *testing.T) {
				manyCallers(t, seed, c.plan, c.credit, c.unit, c.hold, (c.b-c.hold)/c.cost+1)
			})
		}
	}
}

func manyCallers(t *testing.T, seed uint64, plan Plan, credit Nano, unit Unit, hold, want int64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	w := newWorld()
	w.now = 1
	must := func(c Command) {
		if _, refused, broken := w.decide(c); refused != nil || broken != nil {
			t.Fatalf("%T: %v %v", c, refused, broken)
		}
	}
	must(DefinePlan{operator, plan})
	must(PublishModel{operator, Model{Name: "openai/a", Provider: "openai", ID: "a", Context: 1}})
	must(PublishPrice{operator, Price{ID: "x", Model: "openai/a", Tiers: []Tier{{0, Rates{Input: 1e9, CacheRead: 1e9, CacheWrite: 1e9, CacheWriteLong: 1e9, Output: 1e10}}}}})
	must(AttachCredential{Who: operator, Org: Platform, Credential: "pool", Provider: "openai", Fingerprint: "f", Use: UsePrefer})
	must(OpenOrg{operator, "acme", "p"})
	if credit > 0 {
		must(GrantCredit{operator, "acme", "l", credit, 0, 0})
	}
	served, open, callers := int64(0), []string{}, 64
	for callers > 0 || len(open) > 0 {
		if n := len(open); n > 0 && rng.IntN(2) == 0 {
			i := rng.IntN(n)
			must(Settle{Who: operator, Org: "acme", Request: open[i], Usage: Usage{Input: 1000, Output: 100}})
			open = append(open[:i], open[i+1:]...)
			served++
			continue
		}
		if callers == 0 {
			continue
		}
		request := "r" + itoa(callers)
		recs, refused, broken := w.decide(Admit{Who: operator, Org: "acme", Request: request, Lane: LaneManual,
			Demand: Demand{Choice: Choice{"openai/a", "pool", PlatformPool}, Input: 1000, Output: 1000}})
		switch {
		case broken != nil:
			t.Fatal(broken)
		case refused == nil:
			if held := sum(recs[0].Event.(*RequestAdmitted).Held, unit); held != hold {
				t.Fatalf("a hold of %d, not %d", held, hold)
			}
			open = append(open, request)
			callers--
		case refused.(*Error).Code == CodeInsufficientFunds:
			callers--
		case refused.(*Error).Code != CodeFundsHeld || len(open) == 0:
			t.Fatalf("refused with %v while %d are open", refused, len(open))
		}
	}
	if served != want {
		t.Errorf("%d were served, not %d", served, want)
	}
}

// A call for which the provider takes nothing holds and costs nothing, on any plan and with no credit at all, but passes
// the same gates as one that does.
func TestGratis(t *testing.T) {
	for _, plan := range []Plan{{ID: "free", Lanes: []Lane{LaneManual}, Messages: 1}, {ID: "tokens", Lanes: []Lane{LaneManual}, Tokens: 10, Credit: true}, {ID: "credit", Lanes: []Lane{LaneManual}, Credit: true}} {
		w := newWorld()
		must := func(c Command) []Record {
			t.Helper()
			recs, refused, broken := w.decide(c)
			if refused != nil || broken != nil {
				t.Fatalf("%T: %v %v", c, refused, broken)
			}
			return recs
		}
		must(DefinePlan{operator, plan})
		must(PublishModel{operator, Model{Name: "openai/a", Provider: "openai", ID: "a", Context: 1000, MaxOutput: 500}})
		must(PublishPrice{operator, Price{ID: "p", Model: "openai/a", From: 1, Tiers: []Tier{{Rates: Rates{Input: 1000, Output: 1000}}}}})
		must(AttachCredential{Who: operator, Org: Platform, Credential: "pool", Provider: "openai", Fingerprint: "f", Use: UsePrefer})
		must(OpenOrg{operator, "acme", plan.ID})
		demand := Demand{Choice: Choice{"openai/a", "pool", PlatformPool}, Input: 1 << 20, Gratis: true}
		leg := must(Admit{Who: operator, Org: "acme", Request: "r", Lane: LaneManual, Demand: demand})[0].Event.(*RequestAdmitted)
		if leg.Leg.Output != 0 || leg.Leg.Bound != 0 || len(leg.Held) != 0 {
			t.Errorf("%s: admitted %+v", plan.ID, leg)
		}
		s := must(Settle{Who: operator, Org: "acme", Request: "r"})[0].Event.(*RequestSettled)
		if s.Charge != 0 || len(s.Draws) != 0 || s.Overage != 0 || s.ListCost != 0 {
			t.Errorf("%s: settled %+v", plan.ID, s)
		}
		if _, refused, _ := w.decide(Admit{Who: operator, Org: "acme", Request: "r2", Lane: LaneAuto, Demand: demand}); refused == nil {
			t.Errorf("%s: a lane that the plan excludes is open", plan.ID)
		}
	}
}
