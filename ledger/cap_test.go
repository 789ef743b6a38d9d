package ledger

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestCapsHold: whatever calls of a key are admitted, extended and resolved in whatever order, over the ends of days and
// months, and whoever pays, what its caps count never goes beyond them, but by what upstreams counted beyond a bound.
func TestCapsHold(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := newCapped(rt)
		for n := 10 + h.roll(60, "commands"); n > 0; n-- {
			h.step()
			for _, s := range h.w.folded.Spending("k", h.w.now) {
				name, _ := window(s.Window, h.w.now)
				if over := s.Settled + s.Held - s.Amount; over > h.beyond[name+string(s.Window)+string(s.Unit)] {
					rt.Fatalf("%+v is %d beyond its amount", s, over)
				}
			}
		}
		if err := h.w.commit(); err != nil {
			rt.Fatal(err)
		}
	})
}

// capped is an org with one key that has caps.
type capped struct {
	drawn
	w      *world
	caps   []Cap
	legs   map[string]Leg     // of the open requests
	legAt  map[string]Instant // when they were admitted
	beyond map[string]int64   // by window and unit, what was used beyond a bound
	made   int
}

func newCapped(rt *rapid.T) *capped {
	h := &capped{drawn: drawn{rt}, w: newWorld(), legs: map[string]Leg{}, legAt: map[string]Instant{}, beyond: map[string]int64{}}
	h.w.now = instant([]string{"2026-01-31T22:00", "2026-02-27T20:00", "2028-02-28T20:00", "2026-12-31T23:59:59"}[h.roll(4, "start")])
	h.caps = (&history{dice: h.drawn}).caps()
	h.must(DefinePlan{operator, Plan{ID: "p", Lanes: []Lane{LaneManual}, Credit: true, Tokens: int64(h.roll(3, "tokens") * 20_000),
		Messages: int64(h.roll(2, "messages") * 5), Markup: int64(h.roll(2, "markup") * 3000), Weights: map[string]int64{"openai/a": int64(h.roll(4, "weight"))}}})
	h.must(PublishModel{operator, Model{Name: "openai/a", Provider: "openai", ID: "a", Context: 1 << 20, MaxOutput: 5000}})
	h.must(PublishPrice{operator, Price{ID: "x", Model: "openai/a", Tiers: []Tier{{0, Rates{1e9, 1e8, 2e9, 3e9, 1e10}}, {500, Rates{2e9, 2e8, 4e9, 6e9, 2e10}}},
		ServiceTiers: map[string]int64{"flex": 5000, "priority": 20_001}}})
	h.must(AttachCredential{Who: operator, Org: Platform, Credential: "pool", Provider: "openai", Fingerprint: "f", Use: UsePrefer})
	h.must(OpenOrg{operator, "acme", "p"})
	h.must(AttachCredential{Who: operator, Org: "acme", Credential: "own", Provider: "openai", Fingerprint: "f", Use: UsePrefer})
	h.must(GrantCredit{operator, "acme", "l1", Dollar / 4, 0, 0})
	h.must(IssueKey{Who: operator, Org: "acme", Key: "k", Hash: secret("k"), Scopes: []Scope{ScopeInference}, Caps: h.caps})
	return h
}

func (h *capped) must(c Command) []Record {
	recs, refused, broken := h.w.decide(c)
	if refused != nil || broken != nil {
		h.t.Fatalf("%T: %v %v", c, refused, broken)
	}
	return recs
}

func (h *capped) demand() Demand {
	d := Demand{Choice: Choice{"openai/a", "pool", PlatformPool}, Input: int64(h.roll(900, "input")), Answers: int64(h.roll(3, "answers")),
		ServiceTier: []string{"", "flex", "priority"}[h.roll(3, "tier")], Floor: 1}
	if h.roll(2, "capped") > 0 {
		d.Output = int64(1 + h.roll(400, "output"))
	}
	if h.roll(5, "own") == 0 {
		d.Credential, d.Kind = "own", BYOK
	}
	return d
}

// admitted asks for a leg, which may be refused, and holds it to the caps if it is not.
func (h *capped) admitted(request string, c Command) {
	recs, refused, broken := h.w.decide(c)
	if broken != nil {
		h.t.Fatal(broken)
	}
	if refused != nil {
		return
	}
	last := recs[len(recs)-1]
	switch e := last.Event.(type) {
	case *RequestAdmitted:
		h.legs[request] = e.Leg
	case *RequestExtended:
		h.legs[request] = e.Leg
	}
	h.legAt[request] = last.At
	leg := h.legs[request]
	for _, s := range h.w.folded.Spending("k", last.At) {
		if leg.counted(s.Unit) > 0 && s.Settled+s.Held > s.Amount {
			h.t.Fatalf("%+v was admitted, and %+v", leg, s)
		}
	}
}

func (h *capped) step() {
	open := slices.Sorted(func(yield func(string) bool) {
		for r := range h.legs {
			if !yield(r) {
				return
			}
		}
	})
	pick := h.roll(10, "command")
	switch {
	case pick == 0:
		h.w.now += []Instant{1, 3600e9, 86400e9, 20 * 86400e9}[h.roll(4, "later")]
	case pick < 5 || len(open) == 0:
		h.made++
		request := "r" + itoa(h.made)
		h.admitted(request, Admit{Who: operator, Org: "acme", Key: "k", Request: request, Lane: LaneManual, Demand: h.demand()})
	default:
		request := open[h.roll(len(open), "request")]
		if pick < 7 {
			h.admitted(request, Extend{operator, "acme", request, h.demand()})
			return
		}
		leg := h.legs[request]
		switch h.roll(6, "end") {
		case 0:
			h.must(Void{operator, "acme", request, Resolution{}})
		case 1:
			h.must(Interrupt{"acme", request, []Rule{RuleVoid, RuleCaptureHeld}[h.roll(2, "rule")]})
		default:
			h.settle(request, leg)
		}
		delete(h.legs, request)
	}
}

func (h *capped) settle(request string, leg Leg) {
	c := Settle{Who: operator, Org: "acme", Request: request, ServiceTier: leg.ServiceTier}
	c.Usage = (&history{dice: h.drawn}).usageWithin(leg)
	if h.roll(4, "beyond") == 0 {
		c.Usage.Output += int64(h.roll(2000, "more"))
	}
	recs := h.must(c)
	e := recs[len(recs)-1].Event.(*RequestSettled)
	if e.Kind == BYOK {
		return
	}
	for _, w := range []Window{WindowDay, WindowMonth, WindowLifetime} {
		name, _ := window(w, h.legAt[request])
		h.beyond[name+string(w)+string(USD)] += max(0, int64(e.ListCost-leg.Bound))
		h.beyond[name+string(w)+string(Tok)] += max(0, e.Usage.Total()*leg.Weight-leg.counted(Tok))
	}
}

// TestManyCallersOfAKey: of 64 clients of a key with a dollar a day, whoever pays, those that are served spend it to within
// one hold, and the others are told when the day ends.
func TestManyCallersOfAKey(t *testing.T) {
	seeds := uint64(10)
	if testing.Short() {
		seeds = 1
	}
	for _, plan := range []Plan{
		{ID: "p", Lanes: []Lane{LaneManual}, Credit: true},
		{ID: "p", Lanes: []Lane{LaneManual}, Tokens: 1 << 30},
		{ID: "p", Lanes: []Lane{LaneManual}, Messages: 1000},
	} {
		for seed := range seeds {
			t.Run(fmt.Sprintf("%d tokens, %d messages, seed %d", plan.Tokens, plan.Messages, seed), func(t *testing.T) { callersOfAKey(t, seed, plan) })
		}
	}
}

func callersOfAKey(t *testing.T, seed uint64, plan Plan) {
	w := play(t, "at 2026-01-01")
	batch(t, w, DefinePlan{operator, plan}, OpenOrg{operator, "acme", "p"},
		IssueKey{Who: operator, Org: "acme", Key: "k", Hash: secret("k"), Scopes: []Scope{ScopeInference}, Caps: []Cap{{USD, int64(Dollar), WindowDay}}})
	if plan.Credit {
		batch(t, w, GrantCredit{operator, "acme", "l1", 100 * Dollar, 0, 0})
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	const hold, cost = 11_000_000, 5_000_000 // 1,000 in; 1,000 out are held, and 400 used
	served, told, clients, open := int64(0), 0, 64, []string{}
	for i := 0; clients > 0 || len(open) > 0; i++ {
		if n := len(open); n > 0 && rng.IntN(2) == 0 {
			j := rng.IntN(n)
			batch(t, w, Settle{Who: operator, Org: "acme", Request: open[j], Usage: Usage{Input: 1000, Output: 400}})
			open = slices.Delete(open, j, j+1)
			served++
			clients++ // it has another call
		}
		if clients == 0 {
			continue
		}
		request := "r" + itoa(i)
		_, refused, broken := w.decide(Admit{Who: operator, Org: "acme", Key: "k", Request: request, Lane: LaneManual,
			Demand: Demand{Choice: Choice{"openai/luna", "pool", PlatformPool}, Input: 1000, Output: 1000}})
		if broken != nil {
			t.Fatal(broken)
		}
		s := w.folded.Spending("k", w.now)[0]
		if s.Settled+s.Held > s.Amount {
			t.Fatalf("%+v", s)
		}
		if refused == nil {
			open = append(open, request)
			clients--
			continue
		}
		e := refused.(*Error)
		switch {
		case e.Code != CodeCapReached || e.Resets != instant("2026-01-02") || strings.Contains(e.Message, "open calls of the key hold") != (e.Until == 0):
			t.Fatalf("%+v", e)
		case e.Until == instant("2026-01-02"):
			told++
			clients--
		case e.Until != 0 || len(open) == 0 || s.Settled+hold > s.Amount:
			t.Fatalf("until %s, with %d open and %+v", e.Until, len(open), s)
		}
	}
	if err := w.commit(); err != nil {
		t.Fatal(err)
	}
	if want := (int64(Dollar)-hold)/cost + 1; served != want || told != 64 {
		t.Errorf("%d were served, not %d, and %d told when the day ends", served, want, told)
	}
}

// TestSpending: the caps of a key stand at what their windows have by then, in the order of the key's.
func TestSpending(t *testing.T) {
	w := play(t, `
		at 2026-01-30T12:00
		org acme payg
		purchase acme l1 $5
		key k1 acme caps=5000/month,$0.003/day,$1/lifetime
		key k2 acme
		admit acme r1 openai/luna in=1000 out=100 key=k1
		settle acme r1 in=1000 out=100
		admit acme r2 openai/luna in=100 out=10 key=k1`)
	month, day, life := Cap{Tok, 5000, WindowMonth}, Cap{USD, int64(Dollar) * 3 / 1000, WindowDay}, Cap{USD, int64(Dollar), WindowLifetime}
	for _, c := range []struct {
		at   string
		want []CapStanding
	}{
		{"2026-01-30T23:59:59", []CapStanding{{month, 1100, 110, 3790, instant("2026-02-01")},
			{day, 2_000_000, 200_000, 800_000, instant("2026-01-31")}, {life, 2_000_000, 200_000, 997_800_000, 0}}},
		{"2026-01-31", []CapStanding{{month, 1100, 110, 3790, instant("2026-02-01")},
			{day, 0, 0, 3_000_000, instant("2026-02-01")}, {life, 2_000_000, 200_000, 997_800_000, 0}}},
		{"2026-02-01", []CapStanding{{month, 0, 0, 5000, instant("2026-03-01")},
			{day, 0, 0, 3_000_000, instant("2026-02-02")}, {life, 2_000_000, 200_000, 997_800_000, 0}}},
	} {
		if got := w.state.Spending("k1", instant(c.at)); !slices.Equal(got, c.want) {
			t.Errorf("at %s: %+v, not %+v", c.at, got, c.want)
		}
	}
	if got := w.state.Spending("k2", w.now); got != nil {
		t.Errorf("a key without caps stands at %+v", got)
	}
}

// TestCapRefusals: a refusal says what is left of the cap and until when, and what the call would hold, in the cap's unit.
func TestCapRefusals(t *testing.T) {
	for caps, want := range map[string]string{
		"$0.0125/day": "the key may spend 0.012500 dollars a day on platform capacity, of which 0.009900 dollars are left until 2026-01-31T00:00:00Z, and the call would hold at least 0.011000 dollars; " +
			"wait until then, raise the cap, or call on a credential of your own",
		"$0.0105/day": "the key may spend 0.010500 dollars a day on platform capacity, of which 0.007900 dollars are left until 2026-01-31T00:00:00Z, and the call would hold at least 0.011000 dollars; " +
			"that is more than the cap: lower the call's output cap, or call on a credential of your own",
		"$0.0135/day": "the key may spend 0.013500 dollars a day on platform capacity, of which 0.010900 dollars are left until 2026-01-31T00:00:00Z, and the call would hold at least 0.011000 dollars; " +
			"open calls of the key hold 0.000600 dollars: try again when one has ended",
		"2500/lifetime": "the key may spend 2500 plan tokens in its lifetime on platform capacity, of which 890 plan tokens are left, and the call would hold at least 2000 plan tokens; " +
			"raise the cap, or call on a credential of your own",
		"2500/month": "the key may spend 2500 plan tokens a month on platform capacity, of which 890 plan tokens are left until 2026-02-01T00:00:00Z, and the call would hold at least 2000 plan tokens; " +
			"wait until then, raise the cap, or call on a credential of your own",
	} {
		w := play(t, `
			at 2026-01-30T12:00
			org acme payg
			purchase acme l1 $5
			key k1 acme caps=`+caps+`
			admit acme r1 openai/luna in=1000 out=100 key=k1
			settle acme r1 in=1000 out=100
			admit acme r2 openai/luna in=500 out=10 key=k1
			at 2026-01-30T13:00`)
		_, refused, broken := w.do(Admit{Who: operator, Org: "acme", Key: "k1", Request: "r3", Lane: LaneManual,
			Demand: Demand{Choice: Choice{"openai/luna", "pool", PlatformPool}, Input: 1000, Output: 1000}})
		if broken != nil || refused == nil || refused.Error() != want {
			t.Errorf("%s: %v\nwant %s; %v", caps, refused, want, broken)
		}
	}
}

// TestCapsOfFreeCalls: a call for which the provider takes nothing is open to a key that has spent all it may.
func TestCapsOfFreeCalls(t *testing.T) {
	w := play(t, `
		org acme payg
		purchase acme l1 $5
		key k1 acme caps=$0.002/day
		admit acme r1 openai/luna in=1000 out=100 key=k1
		settle acme r1 in=1000 out=900`)
	demand := Demand{Choice: Choice{"openai/luna", "pool", PlatformPool}, Input: 1 << 20, Gratis: true}
	batch(t, w, Admit{Who: operator, Org: "acme", Key: "k1", Request: "r2", Lane: LaneManual, Demand: demand}, Settle{Who: operator, Org: "acme", Request: "r2"})
	if s := w.state.Spending("k1", w.now)[0]; s.Settled != 10_000_000 || s.Held != 0 || s.Left != 0 {
		t.Errorf("%+v", s)
	}
}

// TestCountsNeverOverflow: however absurd the prices, what is open when a cap is set, and what upstreams report, a count
// stops at its bound.
func TestCountsNeverOverflow(t *testing.T) {
	w := play(t, "org acme free\nkey k1 acme\nmodel openai/absurd context=1 max_output=100")
	most := Rate(1<<63 - 1)
	batch(t, w, DefinePlan{operator, Plan{ID: "free", Messages: 100, Lanes: []Lane{LaneAuto}, Weights: map[string]int64{"openai/absurd": 1000}}},
		PublishPrice{operator, Price{ID: "absurd", Model: "openai/absurd", Tiers: []Tier{{0, Rates{most, most, most, most, most}}}}})
	admit := func(request string) Command {
		return Admit{Who: operator, Org: "acme", Key: "k1", Request: request, Lane: LaneAuto,
			Demand: Demand{Choice: Choice{"openai/absurd", "pool", PlatformPool}, Input: maxTokens, Output: 10}}
	}
	batch(t, w, admit("r1"), admit("r2"), admit("r3"), admit("r4"), admit("r5"))
	caps := []Cap{{USD, maxCap, WindowDay}, {Tok, maxCap, WindowLifetime}}
	batch(t, w, LimitKey{Who: operator, Org: "acme", Key: "k1", Scopes: []Scope{ScopeInference}, Caps: caps})
	if s := w.state.Spending("k1", w.now); s[0].Held != maxCount || s[1].Held != 5*1000*(maxTokens+10) {
		t.Errorf("%+v", s)
	}
	if _, refused, broken := w.do(admit("r6")); refused == nil || refused.(*Error).Until != Never || broken != nil {
		t.Errorf("refused %v, broken %v", refused, broken)
	}
	for i := range 4 {
		batch(t, w, Settle{Who: operator, Org: "acme", Request: "r" + itoa(i+1), Usage: Usage{maxTokens, maxTokens, maxTokens, maxTokens, maxTokens, 0}})
	}
	if s := w.state.Spending("k1", w.now); s[0].Settled != maxCount || s[0].Held != 0 || s[0].Left != 0 || s[1].Held != 1000*(maxTokens+10) || s[1].Settled != 4*5*1000*maxTokens {
		t.Errorf("%+v", s)
	}
	if _, refused, broken := w.do(admit("r7")); refused == nil || refused.(*Error).Code != CodeCapReached || broken != nil {
		t.Errorf("refused %v, broken %v", refused, broken)
	}
}
