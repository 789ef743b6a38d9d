package ledger

import "testing"

// TestCommitmentLeft: a commitment is drawn down to nothing and never below it, and ends.
func TestCommitmentLeft(t *testing.T) {
	w := play(t, `
		at 2026-01-01
		org acme payg
		credential c1 acme openai prefer amount=$0.005 until=2026-03-01
		credential c2 acme openai prefer amount=$0.005
		credential c3 acme openai prefer
		admit acme r1 openai/luna in=1000 out=100 on=c1
		settle acme r1 in=1000 out=100`)
	left := func(id, at string) Nano { return w.state.Credential(id).CommitmentLeft(instant(at)) }
	for _, c := range []struct {
		id, at string
		want   Nano
	}{
		{"c1", "2026-01-02", 3_000_000}, {"c1", "2026-02-28T23:59:59", 3_000_000}, {"c1", "2026-03-01", 0},
		{"c2", "2036-01-01", 5_000_000}, {"c3", "2026-01-02", 0},
	} {
		if got := left(c.id, c.at); got != c.want {
			t.Errorf("of %s at %s are %s left, not %s", c.id, c.at, got, c.want)
		}
	}
	demand := Demand{Choice: Choice{"openai/luna", "c1", BYOK}, Input: 1000, Output: 1000}
	batch(t, w, Admit{Who: operator, Org: "acme", Request: "r2", Lane: LaneManual, Demand: demand}, Settle{Who: operator, Org: "acme", Request: "r2", Usage: Usage{Output: 900}})
	if got := left("c1", "2026-01-02"); got != 0 {
		t.Errorf("%s are left of what was overspent", got)
	}
}

// TestWalletOfChanged: a wallet has its credentials as they are now and in their order, and one that a reader took stays as it was.
func TestWalletOfChanged(t *testing.T) {
	w := play(t, `
		org acme payg
		credential c1 acme openai prefer amount=$5
		credential c2 acme openai prefer order=1`)
	taken := w.state.Wallet("acme")
	first := *taken[0]
	batch(t, w, CheckCredential{operator, "acme", "c1", "…abcd", CheckDead, ""}, CheckCredential{operator, "acme", "c2", "…abcd", CheckOK, ""},
		Admit{Who: operator, Org: "acme", Request: "r1", Lane: LaneManual, Demand: Demand{Choice: Choice{"openai/luna", "c1", BYOK}, Input: 10, Output: 10}},
		Settle{Who: operator, Org: "acme", Request: "r1", Usage: Usage{Input: 10}})
	if *taken[0] != first || taken[0].Drawn != 0 || taken[1].Checked != (Checked{}) {
		t.Errorf("a wallet that was taken changed: %+v %+v", taken[0], taken[1])
	}
	now := w.state.Wallet("acme")
	if len(now) != 2 || now[0] != w.state.Credential("c1") || now[1] != w.state.Credential("c2") || now[0].Drawn != 10_000 || now[0].Checked.Status != CheckDead {
		t.Errorf("the wallet is %+v %+v", now[0], now[1])
	}
}
