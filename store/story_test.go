package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"waybill/ledger"
)

// story is a small node whose history has something of everything, on a clock that only the test moves.
type story struct {
	testing.TB
	dir   string
	s     *Store
	after func() // runs after each command; may be nil

	mu    sync.Mutex
	clock time.Time
	count uint64
}

var storyBegins = time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC)

func (y *story) now() time.Time {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.clock
}

func (y *story) pass(d time.Duration) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.clock = y.clock.Add(d)
}

func (y *story) id() (id [16]byte) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.count++
	binary.BigEndian.PutUint64(id[8:], y.count)
	return id
}

func asked(cause string) ledger.By {
	return ledger.By{Actor: "operator", Cause: cause, Input: "digest-of-" + cause}
}

func unasked(cause string) ledger.By { return ledger.By{Actor: "operator", Cause: cause} }

// newStory makes a node with plans, a model, a credential of the platform's, and three orgs.
func newStory(t testing.TB) *story {
	t.Helper()
	y := &story{TB: t, dir: t.TempDir(), clock: storyBegins}
	o := Options{Dir: y.dir, Now: y.now, NewID: y.id, Ballast: -1, tick: time.Hour,
		Elapsed: func() time.Duration { return y.now().Sub(storyBegins) }}
	rates := ledger.Rates{Input: 1_000_000_000, CacheRead: 100_000_000, CacheWrite: 1_250_000_000, CacheWriteLong: 2_000_000_000, Output: 4_000_000_000}
	both := []ledger.Lane{ledger.LaneAuto, ledger.LaneManual}
	first := []ledger.Command{
		ledger.DefinePlan{Who: unasked("init"), Plan: ledger.Plan{ID: "free", Messages: 5, Lanes: both[:1]}},
		ledger.DefinePlan{Who: unasked("init"), Plan: ledger.Plan{ID: "teams", Tokens: 4000, Lanes: both, Credit: true}},
		ledger.PublishModel{Who: unasked("init"), Model: ledger.Model{Name: "openai/gpt", Provider: "openai", ID: "gpt", Context: 400_000, MaxOutput: 4000}},
		ledger.PublishPrice{Who: unasked("init"), Price: ledger.Price{ID: "gpt-1", Model: "openai/gpt", From: 1, Tiers: []ledger.Tier{{Rates: rates}}}},
		ledger.AttachCredential{Who: unasked("init"), Org: ledger.Platform, Credential: "pool", Provider: "openai", Fingerprint: "f1", Use: ledger.UsePrefer},
		ledger.OpenOrg{Who: asked("open-acme"), Org: "acme", Plan: "teams"},
		ledger.OpenOrg{Who: asked("open-beta"), Org: "beta", Plan: "free"},
		ledger.OpenOrg{Who: unasked("open"), Org: "gamma", Plan: "teams"},
	}
	if err := Create(context.Background(), o, first); err != nil {
		t.Fatal(err)
	}
	var err error
	if y.s, err = Open(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { y.close() })
	return y
}

func (y *story) close() {
	if y.s != nil {
		if err := y.s.Close(); err != nil {
			y.Error(err)
		}
		y.s = nil
	}
}

func (y *story) do(c ledger.Command) ledger.Receipt {
	y.Helper()
	y.pass(time.Second)
	r, err := y.s.Execute(y.Context(), c)
	if err != nil {
		y.Fatalf("%T: %v", c, err)
	}
	if y.after != nil {
		y.after()
	}
	return r
}

func (y *story) head() uint64 {
	y.Helper()
	head, _, err := y.s.Head(y.Context())
	if err != nil {
		y.Fatal(err)
	}
	return head
}

// storyAsked is what an org names as its model. The last wants quoting in every format.
var storyAsked = map[string]string{"acme": "auto", "beta": "auto", "gamma": "o'hara\n.quit;\n\"\\,\x00é"}

var platformLeg = ledger.Choice{Model: "openai/gpt", Credential: "pool", Kind: ledger.PlatformPool}

func ownLeg(org string) ledger.Choice {
	return ledger.Choice{Model: "openai/gpt", Credential: "own-" + org, Kind: ledger.BYOK}
}

func (y *story) admit(org, request string, leg ledger.Choice) {
	y.Helper()
	y.do(ledger.Admit{Who: asked(request), Org: org, Request: request, Lane: ledger.LaneAuto, Dialect: ledger.DialectOpenAIChat, Asked: storyAsked[org],
		Inputs: ledger.Inputs{Seed: 7, Legs: []ledger.Choice{leg, platformLeg}}, Demand: ledger.Demand{Choice: leg, Input: 1500, Output: 1000}})
}

func (y *story) settle(org, request string, attempts ...ledger.Attempt) {
	y.Helper()
	last := attempts[len(attempts)-1]
	y.do(ledger.Settle{Who: unasked(request), Org: org, Request: request, Source: ledger.UsageProvider, Finish: "stop",
		Usage:      ledger.Usage{Input: 1000, CacheRead: 200, CacheWrite: 30, CacheWriteLong: 7, Output: 600, Reasoning: 100},
		UpstreamID: last.UpstreamID, Answered: "gpt-2026-01", FirstByte: 250_000_000,
		Resolution: ledger.Resolution{Attempts: attempts, Duration: 1_500_000_000}})
}

func tried(n int, leg ledger.Choice, o ledger.Outcome) ledger.Attempt {
	a := ledger.Attempt{N: n, Choice: leg, Outcome: o, Status: 200, Latency: 1_400_000_000, FirstByte: 250_000_000, UpstreamID: fmt.Sprint("up-", n)}
	if o == ledger.Failed {
		a.Status, a.Class, a.Reason, a.UpstreamID = 503, "overloaded", "engine_overloaded", ""
	}
	return a
}

// tell lives the story: plan tokens, a straddle into credit, free messages, credentials of an org's own, fallback, every
// kind of resolution, refund and chargeback, a month that ends, and two requests that are still open.
func (y *story) tell() {
	y.Helper()
	y.do(ledger.PurchaseCredit{Who: asked("buy-1"), Org: "acme", Lot: "l1", Amount: 50 * ledger.Dollar, Paid: 50 * ledger.Dollar, Reference: "pi_1"})
	y.do(ledger.GrantCredit{Who: asked("grant-1"), Org: "acme", Lot: "l2", Amount: 2 * ledger.Dollar, Expires: ledger.InstantOf(storyBegins.AddDate(0, 0, 20))})
	y.do(ledger.PurchaseCredit{Who: unasked("buy-2"), Org: "gamma", Lot: "l1", Amount: 10 * ledger.Dollar, Paid: 10 * ledger.Dollar, Reference: "pi_2"})
	y.do(ledger.IssueKey{Who: asked("key-1"), Org: "acme", Key: "k1", Hash: strings.Repeat("ab", 32), Scopes: []ledger.Scope{ledger.ScopeInference}})
	y.do(ledger.IssueKey{Who: asked("key-2"), Org: "acme", Key: "k2", Hash: strings.Repeat("cd", 32), Scopes: []ledger.Scope{ledger.ScopeAdmin}})
	y.do(ledger.RevokeKey{Who: asked("key-3"), Org: "acme", Key: "k2"})
	y.do(ledger.AttachCredential{Who: asked("own-1"), Org: "gamma", Credential: "own-gamma", Provider: "openai", Fingerprint: "f2", Use: ledger.UsePrefer})
	for i := range 4 { // plan tokens, the straddle, then credit alone
		request := fmt.Sprint("acme-", i)
		y.admit("acme", request, platformLeg)
		y.settle("acme", request, tried(1, platformLeg, ledger.Answered))
	}
	y.admit("beta", "beta-0", platformLeg)
	y.settle("beta", "beta-0", tried(1, platformLeg, ledger.Answered))
	y.admit("gamma", "gamma-0", ownLeg("gamma"))
	y.settle("gamma", "gamma-0", tried(1, ownLeg("gamma"), ledger.Answered))
	y.admit("gamma", "gamma-1", ownLeg("gamma"))
	y.do(ledger.Extend{Who: unasked("gamma-1"), Org: "gamma", Request: "gamma-1", Demand: ledger.Demand{Choice: platformLeg, Input: 1500, Output: 1000}})
	y.settle("gamma", "gamma-1", tried(1, ownLeg("gamma"), ledger.Failed), tried(2, platformLeg, ledger.Answered))
	y.admit("acme", "acme-void", platformLeg)
	discarded := tried(1, platformLeg, ledger.Failed)
	discarded.Usage = ledger.Usage{Input: 900, Output: 5}
	y.do(ledger.Void{Who: unasked("acme-void"), Org: "acme", Request: "acme-void", Resolution: ledger.Resolution{Attempts: []ledger.Attempt{discarded}, Duration: 9, Reason: "upstream_failed"}})
	y.admit("acme", "acme-crash", platformLeg)
	y.admit("gamma", "gamma-crash", platformLeg)
	y.do(ledger.Interrupt{Org: "acme", Request: "acme-crash", Rule: ledger.RuleVoid})
	y.do(ledger.Interrupt{Org: "gamma", Request: "gamma-crash", Rule: ledger.RuleCaptureHeld})
	y.do(ledger.AdjustCredit{Who: asked("adjust-1"), Org: "acme", Lot: "l1", Amount: -ledger.Dollar, Reason: "correction"})
	y.do(ledger.RefundCredit{Who: asked("refund-1"), Org: "acme", Lot: "l1", Amount: 5 * ledger.Dollar, Reference: "re_1"})
	y.pass(35 * 24 * time.Hour) // the lot l2 expires, and a month ends
	y.admit("acme", "acme-march", platformLeg)
	y.settle("acme", "acme-march", tried(1, platformLeg, ledger.Answered))
	y.do(ledger.RefundCredit{Who: unasked("dispute"), Org: "gamma", Lot: "l1", Chargeback: true, Reference: "dp_1"})
	y.do(ledger.ResumeOrg{Who: asked("resume-1"), Org: "gamma"})
	y.do(ledger.SubscribePlan{Who: asked("upgrade-1"), Org: "beta", Plan: "teams"})
	y.admit("acme", "acme-open", platformLeg)
	y.admit("gamma", "gamma-open", ownLeg("gamma"))
	y.do(ledger.Extend{Who: unasked("gamma-open"), Org: "gamma", Request: "gamma-open", Demand: ledger.Demand{Choice: platformLeg, Input: 150, Output: 100}})
}

// reports opens the story's reports and catches them up.
func (y *story) reports() *Reports {
	y.Helper()
	r, err := OpenReports(y.Context(), y.dir, y.s)
	if err != nil {
		y.Fatal(err)
	}
	y.Cleanup(func() { r.Close() })
	if err := r.CatchUp(y.Context()); err != nil {
		y.Fatal(err)
	}
	return r
}

func (y *story) verify(opt VerifyOptions) VerifyResult {
	y.Helper()
	r, err := OpenReader(context.Background(), y.dir)
	if err != nil {
		y.Fatal(err)
	}
	defer r.Close()
	res, err := Verify(context.Background(), r, opt)
	if err != nil {
		y.Fatal(err)
	}
	return res
}
