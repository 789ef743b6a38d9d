package store

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"waybill/ledger"
)

func purchase(reference string, dollars ledger.Nano) ledger.PurchaseCredit {
	return ledger.PurchaseCredit{Who: operator, Org: "acme", Lot: "lot-" + reference, Amount: dollars * ledger.Dollar, Reference: reference}
}

// TestOncePerPayment: one payment credits once, whatever the number of calls, their order, and a restart between them.
func TestOncePerPayment(t *testing.T) {
	ctx := context.Background()
	o := Options{Dir: t.TempDir(), Batch: 7}
	s := newNode(t, o, "acme")
	before, _, _ := s.Head(ctx)
	var mu sync.Mutex
	positions, repeated := map[uint64]int{}, 0
	hundred := func() {
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				r, err := s.Execute(ctx, purchase(fmt.Sprintf("pay-%d", i%2), 25))
				mu.Lock()
				defer mu.Unlock()
				if err != nil || len(r.Records) != 1 || r.Records[0].Type != "credit.purchased" {
					t.Errorf("%+v, %v", r, err)
					return
				}
				positions[r.Position()]++
				if r.Repeated {
					repeated++
				}
			})
		}
		wg.Wait()
	}
	hundred()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, o)
	hundred()
	after, _, _ := s.Head(ctx)
	if after != before+2 || len(positions) != 2 || positions[after] != 100 || repeated != 198 {
		t.Errorf("%d events, positions %v, %d repeated", after-before, positions, repeated)
	}
}

func TestCauseConflict(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	s := newNode(t, o, "acme")
	call := func(request, key, input string) ledger.Admit {
		a := admit("acme", request)
		a.Who.Cause, a.Who.Input = key, input
		return a
	}
	keyed := purchase("pay-2", 25)
	keyed.Who = ledger.By{Actor: "operator", Cause: "buy-1", Input: "25"}
	orders := commanded(call("r1", "once", "hello"), call("r2", "once", "hello"), call("r3", "once", "other"),
		purchase("pay-1", 25), purchase("pay-1", 30), keyed)
	check := func(when string, a []answer) {
		t.Helper()
		var e *ledger.Error
		if r := a[1].receipt; a[1].err != nil || !r.Repeated || r.Records[0].Request() != "r1" {
			t.Errorf("%s: the same call again: %+v", when, a[1])
		}
		if e, _ = a[2].err.(*ledger.Error); e == nil || e.Code != ledger.CodeConflict || e.Of != "r1" {
			t.Errorf("%s: another call under the same key: %+v", when, a[2])
		}
		if e, _ = a[4].err.(*ledger.Error); e == nil || e.Code != ledger.CodeConflict {
			t.Errorf("%s: another payment of the same reference: %+v", when, a[4])
		}
	}
	a := together(t, s, orders...)
	check("in one group", a)
	if a[0].receipt.Repeated || a[3].receipt.Repeated || a[5].err != nil {
		t.Errorf("%+v", a)
	}
	check("later", together(t, s, orders...))
	s.Close()
	s = reopen(t, o)
	check("after a restart", together(t, s, orders...))

	// One cause that is known and one that contradicts is a conflict, in either order.
	mixed := keyed
	mixed.Reference, mixed.Amount = "pay-1", 30*ledger.Dollar
	other := keyed
	other.Who.Input = "26"
	for _, c := range []ledger.Command{mixed, other} {
		if _, err := s.Execute(context.Background(), c); refusal(err) != ledger.CodeConflict {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestCauseOfRefused: a refused command has not happened, so its cause is still new.
func TestCauseOfRefused(t *testing.T) {
	s := newNode(t, Options{Dir: t.TempDir()}, "acme")
	c := ledger.GrantCredit{Who: ledger.By{Actor: "operator", Cause: "c1", Input: "x"}, Org: "acme", Lot: "lot-acme", Amount: ledger.Dollar}
	if _, err := s.Execute(context.Background(), c); refusal(err) != ledger.CodeConflict {
		t.Fatal(err)
	}
	c.Lot = "lot-2"
	if r, err := s.Execute(context.Background(), c); err != nil || r.Repeated {
		t.Fatal(r, err)
	}
}

// TestVoidedAdmission: to void again what was voided under a caller's key tells that it was, to void what was settled is refused, and
// the key admits once more, once.
func TestVoidedAdmission(t *testing.T) {
	ctx, o := context.Background(), Options{Dir: t.TempDir()}
	s := newNode(t, o, "acme")
	by := ledger.By{Actor: "key/k", Cause: "once", Input: "hello"}
	do := func(c ledger.Command) ledger.Receipt {
		t.Helper()
		r, err := s.Execute(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	call := func(by ledger.By, request string) ledger.Admit {
		a := admit("acme", request)
		a.Who = by
		return a
	}
	void := func(request string) ledger.Void { return ledger.Void{Who: by, Org: "acme", Request: request} }
	do(call(by, "r1"))
	if do(void("r1")).Repeated || !do(void("r1")).Repeated {
		t.Error("the second voiding is not told from the first")
	}
	again := by.After("r1")
	for i, a := range together(t, s, commanded(call(again, "r2"), call(again, "r3"))...) {
		if a.err != nil || a.receipt.Repeated != (i == 1) || a.receipt.Records[0].Request() != "r2" {
			t.Errorf("%d: %+v", i, a)
		}
	}
	end := settle("acme", "r2")
	end.Who = by
	do(end)
	if _, err := s.Execute(ctx, void("r2")); refusal(err) != ledger.CodeConflict {
		t.Errorf("to void what was settled: %v", err)
	}
	s.Close()
	s = reopen(t, o)
	if !do(void("r1")).Repeated || !do(call(by, "r4")).Repeated || do(call(again.After("r2"), "r5")).Repeated {
		t.Error("after a restart it is otherwise")
	}
	s.Close()
	r, err := OpenReader(ctx, o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if v, err := Verify(ctx, r, VerifyOptions{}); err != nil || len(v.Differences) > 0 {
		t.Errorf("%+v %v", v, err)
	}
}

func TestLabels(t *testing.T) {
	ctx := context.Background()
	o := Options{Dir: t.TempDir()}
	s := newNode(t, o)
	open := func(org, name string) *order {
		return &order{command: ledger.OpenOrg{Who: ledger.By{Actor: "operator", Cause: org, Input: name}, Org: org, Plan: "teams"}, labels: []Label{{Kind: "org", ID: org, Name: name}}}
	}
	a := together(t, s, open("acme", "Acme"), open("beta", "Acme"), open("acme", "Acme"), open("beta", "Beta"))
	var codes []ledger.Code
	for _, a := range a {
		codes = append(codes, refusal(a.err))
	}
	if !slices.Equal(codes, []ledger.Code{"none", "conflict", "none", "none"}) || !a[2].receipt.Repeated {
		t.Fatalf("%v %+v", codes, a)
	}
	if err := s.Rename(ctx, Label{Kind: "org", ID: "beta", Name: "Acme"}); refusal(err) != ledger.CodeConflict {
		t.Error(err)
	}
	if err := s.Rename(ctx, Label{Kind: "org", ID: "beta", Name: "Gamma"}); err != nil {
		t.Error(err)
	}
	if err := s.Rename(ctx, Label{Kind: "key", ID: "beta", Scope: "acme", Name: "Acme"}); err != nil {
		t.Errorf("a name is taken within its kind and scope only: %v", err)
	}
	if err := s.Rename(ctx, Label{Kind: "org", ID: "acme"}); err != nil {
		t.Error(err)
	}
	s.Close()
	s = reopen(t, o)
	ls, err := s.Labels(ctx, "org", "")
	if err != nil || !slices.Equal(ls, []Label{{"org", "beta", "", "Gamma"}}) {
		t.Error(ls, err)
	}
	if l, err := s.Label(ctx, "key", "beta"); err != nil || l != (Label{"key", "beta", "acme", "Acme"}) {
		t.Error(l, err)
	}
	if id, err := s.Find(ctx, "org", "", "Acme"); err != nil || id != "" {
		t.Errorf("an erased name still finds %q, %v", id, err)
	}
	if err := s.SetNodeValue(ctx, "token", []byte("digest")); err != nil {
		t.Error(err)
	}
	if v, err := s.NodeValue(ctx, "token"); err != nil || string(v) != "digest" {
		t.Error(v, err)
	}
	if v, err := s.NodeValue(ctx, "none"); err != nil || v != nil {
		t.Error(v, err)
	}
}
