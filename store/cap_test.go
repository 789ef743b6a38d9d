package store

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/ledger"
)

// capped has a key with caps make calls over the end of a day, one of which stays open, while a commitment on their credential
// is drawn down.
func (y *story) capped() {
	y.Helper()
	call := func(request string) {
		y.do(ledger.Admit{Who: asked(request), Org: "acme", Key: "k1", Request: request, Lane: ledger.LaneAuto, Dialect: ledger.DialectOpenAIChat, Asked: storyAsked["acme"],
			Inputs: ledger.Inputs{Legs: []ledger.Choice{platformLeg}}, Demand: ledger.Demand{Choice: platformLeg, Input: 1500, Output: 1000}})
	}
	y.do(ledger.CommitCredential{Who: unasked("commit"), Org: ledger.Platform, Credential: "pool", Commitment: ledger.Commitment{Amount: 1000 * ledger.Dollar}})
	y.do(ledger.IssueKey{Who: unasked("key-3"), Org: "acme", Key: "k3", Hash: strings.Repeat("ef", 32), Scopes: []ledger.Scope{ledger.ScopeInference},
		Caps: []ledger.Cap{{Unit: ledger.USD, Amount: int64(ledger.Dollar), Window: ledger.WindowDay}}})
	call("capped-0")
	y.do(ledger.LimitKey{Who: asked("limit-1"), Org: "acme", Key: "k1", Scopes: []ledger.Scope{ledger.ScopeInference},
		Caps: []ledger.Cap{{Unit: ledger.USD, Amount: int64(ledger.Dollar), Window: ledger.WindowDay}, {Unit: ledger.Tok, Amount: 1_000_000, Window: ledger.WindowLifetime}}})
	y.settle("acme", "capped-0", tried(1, platformLeg, ledger.Answered))
	call("capped-1")
	call("capped-2")
	y.pass(24 * time.Hour)
	y.do(ledger.Extend{Who: unasked("capped-2"), Org: "acme", Request: "capped-2", Demand: ledger.Demand{Choice: platformLeg, Input: 150, Output: 100}})
	y.settle("acme", "capped-1", tried(1, platformLeg, ledger.Answered))
	y.do(ledger.LimitKey{Who: asked("limit-2"), Org: "acme", Key: "k3", Scopes: []ledger.Scope{ledger.ScopeInference}})
	y.do(ledger.CheckCredential{Who: unasked("check"), Org: ledger.Platform, Credential: "pool", Fingerprint: "f1", Status: ledger.CheckOK})
}

// TestCapsAreKept: what the caps of keys have counted, and what is drawn of a commitment, is the same after a restart, agrees
// with the log, and verify names the row if it does not.
func TestCapsAreKept(t *testing.T) {
	y := newStory(t)
	y.tell()
	y.capped()
	at := ledger.InstantOf(y.now())
	var before []ledger.CapStanding
	var drawn ledger.Nano
	look := func(st *ledger.State) {
		before, drawn = st.Spending("k1", at), st.Credential("pool").Drawn
	}
	y.s.View(look)
	// Of today, the one that moved over midnight; in all, the two that were settled as well, of 1,837 tokens each.
	want := []ledger.CapStanding{
		{Cap: ledger.Cap{Unit: ledger.USD, Amount: int64(ledger.Dollar), Window: ledger.WindowDay}, Held: before[0].Held, Left: int64(ledger.Dollar) - before[0].Held,
			ResetsAt: ledger.InstantOf(y.now().Truncate(24 * time.Hour).Add(24 * time.Hour))},
		{Cap: ledger.Cap{Unit: ledger.Tok, Amount: 1_000_000, Window: ledger.WindowLifetime}, Settled: 2 * 1837, Held: 250, Left: 1_000_000 - 2*1837 - 250},
	}
	if !slices.Equal(before, want) || before[0].Held == 0 || drawn == 0 {
		t.Fatalf("%+v, not %+v; %s drawn", before, want, drawn)
	}
	told, spent := before, drawn
	if r := y.verify(VerifyOptions{}); r.First() != nil {
		t.Fatalf("%v", r.First())
	}
	if err := y.reports().Close(); err != nil {
		t.Fatal(err)
	}
	y.close()
	s, err := Open(context.Background(), Options{Dir: y.dir, Now: y.now, NewID: y.id, Ballast: -1})
	if err != nil {
		t.Fatal(err)
	}
	s.View(look)
	if !slices.Equal(before, told) || drawn != spent {
		t.Errorf("after a restart %+v, %s drawn", before, drawn)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ id, change string }{
		{"spend k1", `UPDATE state SET data = CAST(replace(data, '"held":250', '"held":249') AS BLOB) WHERE kind = 'spend'`},
		{"spend k1", `DELETE FROM state WHERE kind = 'spend'`},
		{"spend k3", `INSERT INTO state (kind, id, position, data) SELECT kind, 'k3', position, data FROM state WHERE kind = 'spend'`},
		{"credential pool", `UPDATE state SET data = CAST(replace(data, '"drawn":', '"drawn":1') AS BLOB) WHERE kind = 'credential' AND id = 'pool'`},
	} {
		dir, log, _ := mutant(t, y.dir)
		run(t, log, c.change)
		d := (&story{TB: t, dir: dir}).verify(VerifyOptions{}).First()
		if d == nil || d.Table != "state" || d.Row != c.id {
			t.Errorf("%s: verify says %v", c.change, d)
		}
	}
}
