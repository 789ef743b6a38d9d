package ledger

import (
	"slices"
	"testing"
)

// batch decides several commands on one draft, as the writer does, and commits them.
func batch(t *testing.T, w *world, commands ...Command) {
	t.Helper()
	for _, c := range commands {
		if _, refused, broken := w.decide(c); refused != nil || broken != nil {
			t.Fatalf("%T: refused %v, broken %v", c, refused, broken)
		}
	}
	if err := w.commit(); err != nil {
		t.Fatal(err)
	}
}

// TestBatchOfOneLife: what came and went within one batch leaves the state as if it had been committed step by step.
func TestBatchOfOneLife(t *testing.T) {
	w := play(t, "org acme tiny\norg beta tiny\ncredential old acme openai prefer")
	attach := func(org, id string) Command {
		return AttachCredential{Who: operator, Org: org, Credential: id, Provider: "openai", Fingerprint: "f", Use: UsePrefer}
	}
	batch(t, w, attach("acme", "brief"), DetachCredential{operator, "acme", "brief"})
	// The id moves to another org in one batch: both wallets change.
	batch(t, w, DetachCredential{operator, "acme", "old"}, attach("beta", "old"))
	if len(w.state.Wallet("acme")) != 0 || len(w.state.Wallet("beta")) != 1 {
		t.Errorf("wallets of %d and %d", len(w.state.Wallet("acme")), len(w.state.Wallet("beta")))
	}
	batch(t, w, IssueKey{Who: operator, Org: "acme", Key: "k", Hash: secret("a"), Scopes: []Scope{ScopeInference}},
		RotateKey{operator, "acme", "k", secret("b"), instant("2027-01-01")}, RotateKey{operator, "acme", "k", secret("c"), instant("2027-01-01")})
	if w.state.KeyByHash(secret("a")) != nil || w.state.KeyByHash(secret("b")) == nil || w.state.KeyByHash(secret("c")) == nil {
		t.Error("of a key's secrets the last two are known")
	}
	demand := Demand{Choice: Choice{"openai/luna", "pool", PlatformPool}, Input: 10, Output: 10}
	batch(t, w, Admit{Who: operator, Org: "acme", Request: "r1", Lane: LaneManual, Demand: demand}, Void{operator, "acme", "r1", Resolution{}})
}

// TestDraftTellsInOrder: what a draft has touched comes in the order in which it was, so that the same log makes the same files.
func TestDraftTellsInOrder(t *testing.T) {
	w := play(t, "org acme tiny")
	d := w.state.Draft(counter(new(uint64)))
	var orgs []string
	for i := range 20 {
		id := "org-" + itoa(i)
		if _, err := d.Decide(w.now, OpenOrg{operator, id, "tiny"}); err != nil {
			t.Fatal(err)
		}
		orgs = append(orgs, id)
	}
	if _, err := d.Decide(w.now, SuspendOrg{operator, orgs[0], "unpaid"}); err != nil {
		t.Fatal(err)
	}
	var rows, accounts []string
	for row, err := range d.Rows() {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row.ID)
	}
	for b := range d.Balances() {
		if b.Account.Org != "" {
			accounts = append(accounts, b.Account.Org)
		}
	}
	if !slices.Equal(rows, orgs) || !slices.Equal(accounts, orgs) {
		t.Errorf("rows of %v, balances of %v", rows, accounts)
	}
}

// TestPriceWithinABatch: a price decides from its own batch on.
func TestPriceWithinABatch(t *testing.T) {
	w := play(t, "org acme payg\npurchase acme l1 $1")
	rates := Rates{Input: 5e9, CacheRead: 5e9, CacheWrite: 5e9, CacheWriteLong: 5e9, Output: 5e9}
	batch(t, w, PublishPrice{operator, Price{ID: "luna-5", Model: "openai/luna", From: w.now, Tiers: []Tier{{0, rates}}}},
		Admit{Who: operator, Org: "acme", Request: "r1", Lane: LaneManual,
			Demand: Demand{Choice: Choice{"openai/luna", "pool", PlatformPool}, Input: 10, Output: 10}})
	if h := w.state.Hold("r1"); h.Leg.Price != "luna-5" {
		t.Errorf("held on price %s", h.Leg.Price)
	}
	batch(t, w, WithdrawPrice{operator, "luna-5"},
		Admit{Who: operator, Org: "acme", Request: "r2", Lane: LaneManual,
			Demand: Demand{Choice: Choice{"openai/luna", "pool", PlatformPool}, Input: 10, Output: 10}})
	if h := w.state.Hold("r2"); h.Leg.Price != "luna-1" {
		t.Errorf("held on price %s", h.Leg.Price)
	}
}

// TestRefusedCommandInABatch: a command that is refused costs only itself, but what fell due before it stands.
func TestRefusedCommandInABatch(t *testing.T) {
	w := play(t, "org acme tiny\norg beta tiny")
	w.now = instant("2026-02-02")
	recs, refused, broken := w.decide(ResumeOrg{operator, "acme"})
	if broken != nil || refused == nil || len(recs) != 1 || recs[0].Type != "period.opened" || recs[0].Actor != "waybill" {
		t.Fatalf("%v %v %v", recs, refused, broken)
	}
	batch(t, w, SuspendOrg{operator, "beta", "unpaid"})
	if w.state.Org("acme").Period.ID != "p2" || !w.state.Org("beta").Suspended {
		t.Error("the batch is not what it decided")
	}
}

// TestCancelWithoutAFreePlan: a cancellation needs a plan to fall back to, or the period's end would have none to open.
func TestCancelWithoutAFreePlan(t *testing.T) {
	w := newWorld()
	w.now = 1
	batch(t, w, DefinePlan{operator, Plan{ID: "solo", Tokens: 10}}, OpenOrg{operator, "acme", "solo"})
	if _, refused, _ := w.decide(CancelPlan{operator, "acme"}); refused == nil || refused.(*Error).Code != CodeNotFound {
		t.Errorf("refused with %v", refused)
	}
}

// TestDue: an org is due when its period or its next lot ends, and never before.
func TestDue(t *testing.T) {
	w := play(t, "org acme payg\norg beta tiny\ngrant acme l1 $1 expires=2026-05-01\ngrant acme l2 $1 expires=2026-04-01\ngrant acme l3 $1\ngrant beta l1 $1 expires=2026-01-20")
	for org, want := range map[string]string{"acme": "2026-04-01", "beta": "2026-01-20"} {
		if got := w.state.Org(org).Due(); got != instant(want) {
			t.Errorf("%s is due at %s", org, got)
		}
	}
	w.now = instant("2026-04-10")
	batch(t, w, Mature{"acme"}, Mature{"beta"})
	if got := w.state.Org("acme").Due(); got != instant("2026-05-01") {
		t.Errorf("acme is due at %s", got)
	}
	if got := w.state.Org("beta").Due(); got != w.state.Org("beta").Period.End {
		t.Errorf("beta is due at %s", got)
	}
}

// TestOnce: a command names the causes that must be new: its own if a caller named it, and a payment's always.
func TestOnce(t *testing.T) {
	named := By{Actor: "operator", Cause: "abc", Input: "digest"}
	for _, c := range []struct {
		command Command
		want    []Cause
	}{
		{SuspendOrg{Who: operator, Org: "acme"}, nil},
		{SuspendOrg{Who: named, Org: "acme"}, []Cause{{"acme", "abc", "digest"}}},
		{OpenOrg{Who: named, Org: "acme"}, []Cause{{Platform, "abc", "digest"}}},
		{EraseOrg{Who: named, Org: "acme"}, []Cause{{"acme", "abc", "digest"}}},
		{RestoreLog{Who: named}, []Cause{{Platform, "abc", "digest"}}},
		{DefinePlan{Who: named}, []Cause{{Platform, "abc", "digest"}}},
		{Admit{Who: named, Org: "acme"}, []Cause{{"acme", "abc", "digest"}}},
		{Settle{Who: named, Org: "acme"}, nil},
		{PurchaseCredit{Who: operator, Org: "acme", Reference: "pi_1", Amount: Dollar}, []Cause{{"payment", "pi_1", "purchase acme 1.000000 1.000000"}}},
		{PurchaseCredit{Who: named, Org: "acme", Reference: "pi_1", Amount: Dollar, Paid: 2 * Dollar}, []Cause{{"acme", "abc", "digest"}, {"payment", "pi_1", "purchase acme 1.000000 2.000000"}}},
		{RefundCredit{Who: operator, Org: "acme", Lot: "l", Amount: Dollar, Reference: "re_1"}, []Cause{{"payment", "re_1", "refund acme l 1.000000"}}},
		{RefundCredit{Who: operator, Org: "acme", Lot: "l", Amount: Dollar, Chargeback: true, Reference: "re_1"}, []Cause{{"payment", "re_1", "chargeback acme l 1.000000"}}},
	} {
		if got := c.command.Once(); !slices.Equal(got, c.want) {
			t.Errorf("%T is once by %v, not %v", c.command, got, c.want)
		}
	}
}

// TestAccounts: a path is read back as the account that it shows, and nothing else is one.
func TestAccounts(t *testing.T) {
	for _, s := range []string{"house/issued", "org/acme/free", "org/acme/free/held", "org/acme/plan/p1", "org/acme/plan/p1/held",
		"org/acme/credit/l1", "org/acme/credit/l1/held", "org/acme/byok"} {
		if a, err := ParseAccount(s); err != nil || a.String() != s {
			t.Errorf("%q is read as %q (%v)", s, a, err)
		}
	}
	for _, s := range []string{"", "house", "house/", "house/a/b", "org/acme", "org//free", "org/acme/", "org/acme/plan/", "org/acme/plan/p1/p2",
		"org/acme/plan/p1/held/x", "acme/plan/p1"} {
		if a, err := ParseAccount(s); err == nil {
			t.Errorf("%q is read as %+v", s, a)
		}
	}
}

func TestBalanced(t *testing.T) {
	a, b := Account{Kind: "issued"}, Account{Org: "acme", Kind: "free"}
	for _, c := range []struct {
		entry []Posting
		want  bool
	}{
		{nil, true},
		{[]Posting{{a, USD, -5}, {b, USD, 5}}, true},
		{[]Posting{{a, USD, -5}, {b, Tok, 5}}, false},
		{[]Posting{{a, USD, -5}, {b, USD, 4}}, false},
		{[]Posting{{a, Msg, -1}, {b, Msg, 1}, {a, Tok, 1}}, false},
		{[]Posting{{a, "eur", -5}, {b, "eur", 5}}, false},
	} {
		if got := Balanced(c.entry); got != c.want {
			t.Errorf("%v is balanced: %v", c.entry, got)
		}
	}
}

// unbalanced is an event that would make value of nothing, and overdraw.
type unbalanced struct {
	OrgResumed
	entry []Posting
}

func (e *unbalanced) postings(string) []Posting { return e.entry }

// TestUnsoundEvents: an event whose entry makes value, or takes an org below zero, never becomes a fact.
func TestUnsoundEvents(t *testing.T) {
	w := play(t, "org acme tiny")
	free, issued := Account{Org: "acme", Kind: "free"}, Account{Kind: "issued"}
	for _, entry := range [][]Posting{
		{{free, Msg, 1}},
		{{issued, Msg, 1}, {free, Msg, -1}},
	} {
		d := w.state.Draft(counter(new(uint64)))
		recs, err := d.append(nil, "acme", 1, operator, []Event{&unbalanced{entry: entry}})
		if err == nil || err.(*Error).Code != CodeInternal || len(recs) != 0 {
			t.Errorf("%v became a fact (%v)", entry, err)
		}
		if head, _ := w.state.Head(); d.Head() != head {
			t.Error("the draft moved")
		}
	}
}

// TestModelNames: a model is found by its full name, and by its provider's own where only one provider has it.
func TestModelNames(t *testing.T) {
	w := play(t, "model anthropic/shared context=1\nmodel google/shared context=1\nmodel google/shared context=2\nmodel google/alone context=1")
	for name, want := range map[string]string{"luna": "openai/luna", "openai/luna": "openai/luna", "google/shared": "google/shared", "shared": "", "alone": "google/alone", "nova": ""} {
		got := ""
		if m := w.state.Model(name); m != nil {
			got = m.Name
		}
		if got != want {
			t.Errorf("%q is %q, not %q", name, got, want)
		}
	}
}

// TestIssuedNeverOverflows: lots add up, over all orgs, to less than an int64 of nano-dollars holds.
func TestIssuedNeverOverflows(t *testing.T) {
	w := play(t, "org acme payg\norg beta payg")
	grant := func(org string, i int) Command {
		return GrantCredit{Who: operator, Org: org, Lot: "l" + itoa(i), Amount: maxCredit}
	}
	for i := range 80 {
		batch(t, w, grant([]string{"acme", "beta"}[i%2], i))
	}
	for _, c := range []Command{grant("acme", 80), AdjustCredit{operator, "beta", "l1", 1, "goodwill"},
		PurchaseCredit{Who: operator, Org: "acme", Lot: "l81", Amount: 1, Reference: "r"}} {
		if _, refused, broken := w.do(c); refused == nil || refused.(*Error).Code != CodeInvalid || broken != nil {
			t.Errorf("%T: refused %v, broken %v", c, refused, broken)
		}
	}
	batch(t, w, AdjustCredit{operator, "beta", "l1", -1, "correction"}, AdjustCredit{operator, "acme", "l0", 1, "goodwill"})
	if b, _ := w.state.Standing("acme"); b.Credit != 40*maxCredit+1 {
		t.Errorf("credit %s", b.Credit)
	}
}
