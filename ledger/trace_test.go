package ledger

import "testing"

// traces follows every request of a log.
func traces(log []Record) map[string]*Trace {
	out := map[string]*Trace{}
	for i := range log {
		r := &log[i]
		if e, ok := r.Event.(*RequestAdmitted); ok {
			t := e.Trace(r)
			out[e.Request] = &t
		} else if t := out[r.Request()]; t != nil {
			t.Follow(r)
		}
	}
	return out
}

// TestTrace: a trace is what its events say, however the request ended, or while it is open.
func TestTrace(t *testing.T) {
	w := play(t, `
		org acme tiny
		credential c1 acme openai prefer
		model anthropic/opal context=1000
		price opal-1 anthropic/opal 0:1/10 from=2026-01-01
		purchase acme l1 $5
		admit acme r1 openai/luna in=1000 out=200 on=c1 lane=auto
		extend acme r1 anthropic/opal in=1000 out=200
		settle acme r1 in=800 read=200 out=200 reasoning=50
		admit acme r2 openai/luna in=10 out=10
		void acme r2 reason=upstream_failed
		admit acme r3 openai/luna in=10 out=10
		interrupt acme r3 capture_held
		admit acme r4 openai/luna in=10 out=10 on=c1
		settle acme r4 in=10 out=10
		admit acme r5 openai/luna in=10 out=10`)
	all := traces(w.log)
	if len(all) != 5 {
		t.Fatalf("%d traces", len(all))
	}
	zero := func(tr Trace) Trace { tr.At, tr.AdmittedPosition, tr.SettledPosition = 0, 0, 0; return tr }
	for request, want := range map[string]Trace{
		"r1": {ID: "r1", Org: "acme", State: "settled", Dialect: DialectOpenAIChat, Lane: LaneAuto, Asked: "openai/luna", Provider: "anthropic", Model: "anthropic/opal",
			Kind: PlatformPool, Attempts: 2, Usage: Usage{Input: 800, CacheRead: 200, Output: 200, Reasoning: 50}, UsageSource: UsageProvider,
			PlanTokens: 1000, Charge: 500_000, ListCost: 3_000_000},
		"r2": {ID: "r2", Org: "acme", State: "voided", Dialect: DialectOpenAIChat, Lane: LaneManual, Asked: "openai/luna", Provider: "openai", Model: "openai/luna",
			Kind: PlatformPool, Attempts: 1, Reason: "upstream_failed"},
		"r3": {ID: "r3", Org: "acme", State: "interrupted", Dialect: DialectOpenAIChat, Lane: LaneManual, Asked: "openai/luna", Provider: "openai", Model: "openai/luna",
			Kind: PlatformPool, Attempts: 1, Charge: 110_000, Reason: "capture_held"},
		"r4": {ID: "r4", Org: "acme", State: "settled", Dialect: DialectOpenAIChat, Lane: LaneManual, Asked: "openai/luna", Provider: "openai", Model: "openai/luna",
			Kind: BYOK, Attempts: 1, Usage: Usage{Input: 10, Output: 10}, UsageSource: UsageProvider, ListCost: 110_000, Skipped: 110_000, SkipReason: "byok"},
		"r5": {ID: "r5", Org: "acme", State: "admitted", Dialect: DialectOpenAIChat, Lane: LaneManual, Asked: "openai/luna", Provider: "openai", Model: "openai/luna",
			Kind: PlatformPool, Attempts: 1},
	} {
		got := *all[request]
		if zero(got) != want {
			t.Errorf("%s is traced as\n%+v, not\n%+v", request, zero(got), want)
		}
		if got.At == 0 || got.AdmittedPosition == 0 || (got.SettledPosition > got.AdmittedPosition) != (want.State != "admitted") {
			t.Errorf("%s has its places at %d and %d", request, got.AdmittedPosition, got.SettledPosition)
		}
	}
}

// TestBilling says in words who paid.
func TestBilling(t *testing.T) {
	for want, e := range map[string]RequestSettled{
		"byok":        {Choice: Choice{Kind: BYOK}},
		"free":        {Draws: []Draw{{Msg, "", 1}}},
		"plan":        {Draws: []Draw{{Tok, "p1", 1}}},
		"credit":      {Draws: []Draw{{USD, "l1", 1}, {USD, "l2", 1}}},
		"plan+credit": {Draws: []Draw{{Tok, "p1", 1}, {USD, "l1", 1}}},
	} {
		if got := e.Billing(); got != want {
			t.Errorf("%+v is billed as %q, not %q", e.Draws, got, want)
		}
	}
	if got := (&RequestSettled{}).Billing(); got != "plan" {
		t.Errorf("nothing drawn is billed as %q", got)
	}
}

// TestAttempted: the attempt that was settled carries the settlement's usage, and discarded ones their own.
func TestAttempted(t *testing.T) {
	choice := Choice{"openai/luna", "pool", PlatformPool}
	r := Record{Event: &RequestSettled{Leg: 2, Usage: Usage{Input: 5}, Resolution: Resolution{Attempts: []Attempt{
		{N: 1, Choice: choice, Outcome: Failed, Usage: Usage{Input: 3}}, {N: 2, Choice: choice, Outcome: Answered}, {N: 0, Outcome: Skipped}}}}}
	got := r.Attempted()
	if len(got) != 3 || got[0].Usage.Input != 3 || got[1].Usage.Input != 5 || got[2].Usage.Input != 0 {
		t.Errorf("%+v", got)
	}
	if r.Event.(*RequestSettled).Attempts[1].Usage.Input != 0 {
		t.Error("the event was changed")
	}
	if r := (&Record{Event: &OrgOpened{}}); r.Attempted() != nil || r.Request() != "" {
		t.Error("an org's opening has attempts or a request")
	}
	r = Record{Event: &RequestInterrupted{Rule: RuleVoid, Leg: Leg{N: 2, Choice: choice}}}
	if got := r.Attempted(); len(got) != 1 || got[0].N != 2 || got[0].Outcome != Interrupted || got[0].Choice != choice {
		t.Errorf("%+v", got)
	}
}

// TestStanding: what an org has is its open lots and its running period, and what open requests hold of any.
func TestStanding(t *testing.T) {
	w := play(t, `
		at 2026-01-10
		org acme tiny
		purchase acme l1 $5
		grant acme l2 $1 expires=2026-01-20
		admit acme r1 openai/luna in=1000 out=200
		at 2026-01-21
		mature acme`)
	st, ok := w.state.Standing("acme")
	if !ok || st.Credit != 5*Dollar || st.Held != Dollar/2000 || st.Plan.Tokens != 0 || st.Plan.Held != 1000 || st.Plan.Granted != 1000 ||
		st.Plan.Period != "p1" || st.Plan.Plan != "tiny" || st.Plan.ResetsAt != w.state.Org("acme").Period.End {
		t.Errorf("%+v", st)
	}
	if len(st.Lots) != 2 || st.Lots[0].ID != "l2" || st.Lots[0].Left != 0 || st.Lots[0].Held != Dollar/2000 || !st.Lots[0].Closed || st.Lots[1].Left != 5*Dollar {
		t.Errorf("%+v", st.Lots)
	}
	if _, ok := w.state.Standing("nobody"); ok {
		t.Error("nobody has a standing")
	}
}
