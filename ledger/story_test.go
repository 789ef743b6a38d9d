package ledger

import "testing"

// goldenStory is a log with every event and every field of it: plans, credit, keys, and requests that are answered,
// straddle, fall back, break off and are interrupted.
func goldenStory(t *testing.T) *world {
	t.Helper()
	w := newWorld()
	step := func(minutes int, commands ...Command) {
		w.now += Instant(minutes) * 60e9
		for _, c := range commands {
			if _, refused, broken := w.do(c); refused != nil || broken != nil {
				t.Fatalf("%T %+v: refused %v, broken %v", c, c, refused, broken)
			}
		}
	}
	w.now = instant("2026-11-01T09:30")
	storyCatalogue(step)
	storyOrgs(step)
	storyPaid(step)
	storyOwn(step)
	storyEnds(step)
	storyRouted(step)
	storyCapped(step)
	storyNode(step)
	w.now = instant("2026-12-15T09:30") // periods and lots fall due
	step(0, Mature{"acme"}, Mature{"beta"},
		SuspendOrg{operator, "beta", "unpaid"}, ResumeOrg{operator, "beta"},
		RevokeKey{operator, "acme", "key-2"}, DetachCredential{operator, "acme", "cred-own-2"},
		WithdrawPrice{operator, "openai/nova@2027-01-01"}, RetireModel{operator, "anthropic/opal"})
	return w
}

// storyNode is a node that is restored, drilled and given another master key, and an org that is erased with all it has.
func storyNode(step func(int, ...Command)) {
	step(1,
		CompleteDrill{By{Actor: "waybill", Cause: "drill-1"}, Drill{Position: 60, OK: true, Behind: 3, Duration: 2_500_000_000}},
		CompleteDrill{By{Actor: "waybill", Cause: "drill-2"}, Drill{Failure: "unreachable", Duration: 1_000_000}},
		RestoreLog{By{Actor: "operator", Cause: "restore-1"}, 60, 62, 0}, RestoreLog{By{Actor: "operator", Cause: "restore-2"}, 61, 0, 0},
		RotateVault{operator, "1a2b3c4d5e6f7081", 4, 3},
		OpenOrg{operator, "echo", "teams"}, PurchaseCredit{By{Actor: "stripe", Cause: "evt_4"}, "echo", "lot-1", 5 * Dollar, 0, "pi_3Qc", instant("2026-11-30")},
		IssueKey{operator, "echo", "key-5", secret("a5"), []Scope{ScopeInference}, nil, 0, nil, 0, 0},
		AttachCredential{operator, "echo", "cred-own-4", "openai", "…7c8d 1e0f", "", UsePrefer, 0, Commitment{}, false},
		SetPolicy{Who: operator, Org: "echo", Document: []byte(`{"credentials":"byok-only"}`)},
		EraseOrg{operator, "echo"}) // before its lot expires
}

func storyCatalogue(step func(int, ...Command)) {
	step(0,
		DefinePlan{operator, Plan{ID: FreePlan, Messages: 5, Lanes: []Lane{LaneAuto}, MaxInput: 32_768, MaxOutput: 2_048}},
		DefinePlan{operator, Plan{ID: "starter", Tokens: 4_000, Lanes: []Lane{LaneAuto}, Credit: true}},
		DefinePlan{operator, Plan{ID: "teams", Tokens: 10_000, Lanes: []Lane{LaneAuto, LaneManual}, Credit: true, Markup: 1_250,
			Output: 4_096, Weights: map[string]int64{"anthropic/opal": 3}}},
		PublishModel{operator, Model{Name: "openai/nova", Provider: "openai", ID: "nova", Context: 400_000, MaxOutput: 128_000,
			Features: []string{FeatureChat, FeatureTools}}},
		PublishModel{operator, Model{Name: "anthropic/opal", Provider: "anthropic", ID: "opal", Context: 200_000, MaxOutput: 64_000,
			Features: []string{FeatureChat}}},
		PublishPrice{operator, Price{ID: "openai/nova@2026-01-01", Model: "openai/nova", From: instant("2026-01-01"), To: instant("2027-06-01"),
			Tiers:        []Tier{{0, Rates{1_000_000_000, 100_000_000, 1_250_000_000, 2_000_000_000, 8_000_000_000}}, {1_000, Rates{2_000_000_000, 200_000_000, 2_500_000_000, 4_000_000_000, 12_000_000_000}}},
			ServiceTiers: map[string]int64{"flex": 5_000, "priority": 20_000}}},
		PublishPrice{operator, Price{ID: "openai/nova@2027-01-01", Model: "openai/nova", From: instant("2027-01-01"),
			Tiers: []Tier{{0, Rates{2_000_000_000, 200_000_000, 2_500_000_000, 4_000_000_000, 16_000_000_000}}}}},
		PublishPrice{operator, Price{ID: "anthropic/opal@2026-01-01", Model: "anthropic/opal", From: instant("2026-01-01"),
			Tiers: []Tier{{0, Rates{3_000_000_000, 300_000_000, 3_750_000_000, 6_000_000_000, 15_000_000_001}}}}},
		AttachCredential{operator, Platform, "cred-openai", "openai", "…1a2b 0f9e", "", UsePrefer, 0, Commitment{}, false},
		AttachCredential{operator, Platform, "cred-anthropic", "anthropic", "…3c4d 8d7c", "", UsePrefer, 0, Commitment{}, false})
}

func storyOrgs(step func(int, ...Command)) {
	step(5,
		OpenOrg{operator, "acme", "starter"}, OpenOrg{operator, "beta", FreePlan}, OpenOrg{operator, "cyan", "teams"},
		IssueKey{operator, "acme", "key-1", secret("a1"), []Scope{ScopeInference, ScopeAdmin}, []string{"openai/*", "opal"}, instant("2027-12-31"), nil, 0, 0},
		IssueKey{operator, "acme", "key-2", secret("a2"), []Scope{ScopeInference}, nil, 0, nil, 0, 0},
		LimitKey{operator, "acme", "key-2", []Scope{ScopeInference}, []string{"nova"}, instant("2027-01-31"), nil, 0, 0},
		RotateKey{operator, "acme", "key-1", secret("a3"), instant("2026-11-08")},
		AttachCredential{operator, "acme", "cred-own-1", "openai", "…5e6f 6b5a", "https://proxy.example/v1", UseFallback, 2, Commitment{}, true},
		AttachCredential{operator, "acme", "cred-own-2", "anthropic", "…7a8b 4938", "", UseOnly, 1, Commitment{}, false},
		RotateCredential{operator, "acme", "cred-own-2", "…9c0d 2716"},
		SubscribePlan{operator, "acme", "teams"},
		SubscribePlan{operator, "acme", "starter"}, // waits for the period's end
		CancelPlan{operator, "cyan"},
		PurchaseCredit{By{Actor: "stripe", Cause: "evt_1"}, "acme", "lot-1", 25 * Dollar, 24 * Dollar, "pi_3Qa", instant("2027-11-01")},
		PurchaseCredit{By{Actor: "stripe", Cause: "evt_2"}, "cyan", "lot-1", Dollar / 100, 0, "pi_3Qb", 0},
		GrantCredit{operator, "acme", "lot-2", Dollar / 100, -1, instant("2026-11-20")},
		AdjustCredit{operator, "acme", "lot-1", -Dollar / 2, "correction"},
		RefundCredit{operator, "acme", "lot-1", 4 * Dollar, false, "re_1"})
}

func storyPaid(step func(int, ...Command)) {
	nova := Choice{"openai/nova", "cred-openai", PlatformPool}
	opal := Choice{"anthropic/opal", "cred-anthropic", PlatformPool}
	caller := func(cause string) By { return By{Actor: "key/key-1", Cause: cause, Input: "d-" + cause} }
	step(1,
		// An answer on plan tokens, after a leg that failed upstream though its tokens were counted.
		Admit{Who: caller("c1"), Org: "acme", Key: "key-1", Request: "req-1", Lane: LaneManual, Dialect: DialectAnthropicMessages, Asked: "nova", Streamed: true,
			Inputs: Inputs{Policy: 3, Seed: 1<<63 + 7, Needs: []string{FeatureTools}, Failing: []string{"cred-openai openai/nova"}, Legs: []Choice{nova, opal}},
			Demand: Demand{Choice: nova, Input: 1_000, Output: 500, Answers: 2, ServiceTier: "priority"}},
		Extend{caller("c1"), "acme", "req-1", Demand{Choice: opal, Input: 900, Output: 500}})
	step(0,
		Settle{Who: By{Actor: "waybill", Cause: "c1"}, Org: "acme", Request: "req-1", Usage: Usage{Input: 100, CacheRead: 200, CacheWrite: 300, CacheWriteLong: 150, Output: 400, Reasoning: 250},
			Source: UsageProvider, ServiceTier: "standard", Finish: "stop", UpstreamID: "msg_01", Answered: "opal-2026-10-01", FirstByte: 812_000_000,
			Resolution: Resolution{Duration: 4_200_000_000, Reason: "output_capped", Attempts: []Attempt{
				{1, nova, Failed, 529, "overloaded", "overloaded_error", 350_000_000, 120_000_000, Usage{10, 20, 30, 40, 50, 45}, UsageProvider, "chatcmpl-1"},
				{2, opal, Answered, 200, "", "", 3_800_000_000, 812_000_000, Usage{}, "", "msg_01"}}}},
		// It straddles the rest of the allowance and two lots, and its cap is clipped to what there is.
		Admit{Who: caller("c2"), Org: "cyan", Request: "req-2", Lane: LaneManual, Dialect: DialectOpenAIChat, Asked: "openai/nova",
			Inputs: Inputs{Legs: []Choice{nova}}, Demand: Demand{Choice: nova, Input: 9_500, Floor: 256}},
		Settle{Who: By{Actor: "waybill", Cause: "c2"}, Org: "cyan", Request: "req-2", Usage: Usage{Input: 9_500, Output: 5_000}, Source: UsageEstimate,
			Finish: "length", Resolution: Resolution{Duration: 900_000_000, Attempts: []Attempt{{N: 1, Choice: nova, Outcome: Cut, Status: 200, Class: "connection", Reason: "unexpected EOF"}}}},
		RefundCredit{By{Actor: "stripe", Cause: "evt_3"}, "cyan", "lot-1", 0, true, "dp_1"})
}

func storyOwn(step func(int, ...Command)) {
	own := Choice{"openai/nova", "cred-own-1", BYOK}
	nova := Choice{"openai/nova", "cred-openai", PlatformPool}
	step(1,
		Admit{Who: By{Actor: "key/key-2", Cause: "c3"}, Org: "acme", Key: "key-2", Request: "req-3", Lane: LaneAuto, Dialect: DialectGemini, Asked: "auto",
			Inputs: Inputs{Legs: []Choice{own, nova}}, Demand: Demand{Choice: own, Input: 300, Output: 100}},
		Settle{Who: By{Actor: "waybill", Cause: "c3"}, Org: "acme", Request: "req-3", Usage: Usage{Input: 120, Output: 80}, Source: UsageProvider, Finish: "stop",
			UpstreamID: "chatcmpl-2", Answered: "nova", FirstByte: 90_000_000, Resolution: Resolution{Duration: 1_000_000_000,
				Attempts: []Attempt{{N: 1, Choice: own, Outcome: Answered, Status: 200, Latency: 1_000_000_000, FirstByte: 90_000_000}}}},
		Admit{Who: By{Actor: "key/key-3", Cause: "c4"}, Org: "beta", Request: "req-4", Lane: LaneAuto, Dialect: DialectOpenAIChat, Asked: "auto",
			Inputs: Inputs{Legs: []Choice{nova}}, Demand: Demand{Choice: nova, Input: 300, Floor: 256}},
		Settle{Who: By{Actor: "waybill", Cause: "c4"}, Org: "beta", Request: "req-4", Usage: Usage{Input: 250, Output: 80}, Source: UsageProvider, Finish: "stop"})
}

// storyRouted is a call whose route a policy decided.
func storyRouted(step func(int, ...Command)) {
	nova := Choice{"openai/nova", "cred-openai", PlatformPool}
	opal := Choice{"anthropic/opal", "cred-anthropic", PlatformPool}
	step(1, DefinePlan{operator, Plan{ID: "trial", Lanes: []Lane{LaneAuto}, Pool: []string{"openai/nova"}, RequestsPerMinute: 20, TokensPerMinute: 40_000}},
		SetPolicy{Who: operator, Org: "beta", Document: []byte(`{"routes":[{"name":"cheap","auto":{"goal":"cost"}}]}`)},
		Admit{Who: By{Actor: "operator", Cause: "c8"}, Org: "beta", Request: "req-14", Lane: LaneAuto, Dialect: DialectGemini, Asked: "auto:cost",
			Inputs: Inputs{Policy: 1, Route: "cheap", AsOf: 20, Decided: 1_790_000_000_000_000_000, Seed: 9, Endpoint: "count", Needs: []string{FeatureImages}, Input: 40, Most: 160, Output: 20,
				Narrowed: &Narrowing{Models: []string{"nova"}, Credentials: "platform-only", Goal: "latency", MaxAttempts: 2}, Origin: &opal, Sticky: &nova,
				Noted: true, Conditions: []Condition{{"openai/nova", "cred-openai", true, 120, 350_000_000, 90}}, Legs: []Choice{nova},
				Passed: []Passed{{opal, "narrowed"}}, Scores: []Score{{nova, 1_000, 1_100, 1_200, 1_050}}},
			Demand: Demand{Choice: nova, Input: 160, Output: 20, Gratis: true}},
		Settle{Who: By{Actor: "waybill", Cause: "c8"}, Org: "beta", Request: "req-14", Source: UsageProvider})
}

// storyCapped is a key with caps, which are changed while a call of it is open, and a credential with a commitment.
func storyCapped(step func(int, ...Command)) {
	own := Choice{"anthropic/opal", "cred-own-3", BYOK}
	nova := Choice{"openai/nova", "cred-openai", PlatformPool}
	admit := func(request string, dm Demand) Command {
		return Admit{Who: By{Actor: "key/key-4", Cause: request}, Org: "beta", Key: "key-4", Request: request, Lane: LaneAuto, Dialect: DialectOpenAIResponses,
			Asked: "auto", Inputs: Inputs{Legs: []Choice{dm.Choice}}, Demand: dm}
	}
	step(1,
		AttachCredential{operator, "beta", "cred-own-3", "anthropic", "…1e2f 5a6b", "", UsePrefer, 0, Commitment{Dollar, instant("2026-12-31")}, false},
		CheckCredential{By{Actor: "waybill", Cause: "check-1"}, "beta", "cred-own-3", "…1e2f 5a6b", CheckUnfunded, "billing_error"},
		IssueKey{operator, "beta", "key-4", secret("a4"), []Scope{ScopeInference}, nil, 0,
			[]Cap{{USD, int64(Dollar / 50), WindowDay}, {Tok, 5_000, WindowMonth}}, 60, 100_000},
		admit("req-15", Demand{Choice: nova, Input: 500, Floor: 256}), // clipped to what the key may spend
		LimitKey{operator, "beta", "key-4", []Scope{ScopeInference}, nil, 0,
			[]Cap{{USD, int64(Dollar / 40), WindowDay}, {USD, int64(Dollar), WindowLifetime}}, 30, 50_000},
		Settle{Who: By{Actor: "waybill", Cause: "req-15"}, Org: "beta", Request: "req-15", Usage: Usage{Input: 400, Output: 200}, Source: UsageProvider, Finish: "stop"},
		CheckCredential{By{Actor: "waybill", Cause: "check-2"}, "beta", "cred-own-3", "…1e2f 5a6b", CheckOK, ""},
		admit("req-16", Demand{Choice: own, Input: 500, Output: 100}),
		Settle{Who: By{Actor: "waybill", Cause: "req-16"}, Org: "beta", Request: "req-16", Usage: Usage{Input: 400, Output: 80}, Source: UsageProvider, Finish: "stop"},
		CommitCredential{operator, Platform, "cred-openai", Commitment{50_000 * Dollar, instant("2027-03-31")}},
		admit("req-17", Demand{Choice: nova, Input: 200, Output: 100})) // stays open
}

// storyEnds leaves holds on a lot that expires, which then return in each of the ways there are; one stays open.
func storyEnds(step func(int, ...Command)) {
	nova := Choice{"openai/nova", "cred-openai", PlatformPool}
	admit := func(request string) Command {
		return Admit{Who: By{Actor: "key/key-2", Cause: request}, Org: "acme", Key: "key-2", Request: request, Lane: LaneManual, Dialect: DialectOpenAIChat,
			Asked: "nova", Inputs: Inputs{Legs: []Choice{nova}}, Demand: Demand{Choice: nova, Input: 100, Output: 100}}
	}
	flex := Demand{Choice: nova, Input: 100, Floor: 256, ServiceTier: "flex"} // more than dune can pay for whole
	step(1, OpenOrg{operator, "dune", "teams"}, GrantCredit{operator, "dune", "lot-1", Dollar / 100, 0, 0},
		Admit{Who: By{Actor: "operator", Cause: "c6"}, Org: "dune", Request: "req-12", Lane: LaneManual, Dialect: DialectOpenAIChat, Asked: "nova",
			Inputs: Inputs{Legs: []Choice{nova}}, Demand: Demand{Choice: nova, Input: 9_000, Output: 1_000}},
		Admit{Who: By{Actor: "operator", Cause: "c7"}, Org: "dune", Request: "req-13", Lane: LaneManual, Dialect: DialectOpenAIChat, Asked: "nova",
			Inputs: Inputs{Legs: []Choice{nova, nova}}, Demand: flex},
		Extend{operator, "dune", "req-13", flex}, Interrupt{"dune", "req-13", RuleCaptureHeld})
	step(1, // what is left of the allowance is held, so that the next ones are on credit
		Admit{Who: By{Actor: "key/key-2", Cause: "c5"}, Org: "acme", Key: "key-2", Request: "req-5", Lane: LaneManual, Dialect: DialectOpenAIChat,
			Asked: "nova", Inputs: Inputs{Legs: []Choice{nova}}, Demand: Demand{Choice: nova, Input: 6_000, Output: 550}},
		admit("req-6"), admit("req-7"), admit("req-8"), admit("req-9"), admit("req-10"), admit("req-11"))
	const days = 24 * 60
	step(25*days, // the lot has expired
		Extend{By{Actor: "waybill", Cause: "req-6"}, "acme", "req-6", Demand{Choice: nova, Input: 100, Output: 100}},
		Settle{Who: By{Actor: "waybill", Cause: "req-7"}, Org: "acme", Request: "req-7", Usage: Usage{Input: 50, Output: 20}, Source: UsageProvider},
		Void{By{Actor: "waybill", Cause: "req-8"}, "acme", "req-8", Resolution{Duration: 5, Reason: "upstream_failed",
			Attempts: []Attempt{{1, nova, Failed, 500, "server_error", "internal", 7, 6, Usage{1, 2, 3, 4, 5, 4}, UsageEstimate, "chatcmpl-3"}, {N: 0, Choice: nova, Outcome: Skipped, Reason: "breaker_open"}}}},
		Interrupt{"acme", "req-9", RuleVoid},
		Interrupt{"acme", "req-10", RuleCaptureHeld})
}
