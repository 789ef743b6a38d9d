package store

import (
	"context"
	"testing"

	"waybill/ledger"
)

var operator = ledger.By{Actor: "operator"}

// seed is a platform with the three plans, and an org on "teams" with credit.
func seed() []ledger.Command {
	return []ledger.Command{
		ledger.DefinePlan{Who: operator, Plan: ledger.Plan{ID: "free", Messages: 5, Lanes: []ledger.Lane{ledger.LaneAuto}}},
		ledger.DefinePlan{Who: operator, Plan: ledger.Plan{ID: "teams", Tokens: 20_000_000, Lanes: []ledger.Lane{ledger.LaneAuto, ledger.LaneManual}, Credit: true}},
		ledger.OpenOrg{Who: operator, Org: "acme", Plan: "teams"},
		ledger.GrantCredit{Who: operator, Org: "acme", Lot: "l1", Amount: 100 * ledger.Dollar},
	}
}

func TestStoreOpens(t *testing.T) {
	ctx := context.Background()
	o := Options{Dir: t.TempDir()}
	if err := Create(ctx, o, seed()); err != nil {
		t.Fatal(err)
	}
	s, err := Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.ExecuteNamed(ctx, ledger.OpenOrg{Who: operator, Org: "beta", Plan: "free"}, Label{Kind: "org", ID: "beta", Name: "Beta"})
	if err != nil {
		t.Fatal(err)
	}
	recs, err := s.Page(ctx, 0, 100)
	if err != nil || recs[len(recs)-1].Position != r.Position() {
		t.Fatal(recs, err)
	}
	if id, err := s.Find(ctx, "org", "", "Beta"); id != "beta" || err != nil {
		t.Fatal(id, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(ctx, o); err != nil {
		t.Fatal(err)
	}
	s.View(func(st *ledger.State) {
		if st.Org("beta") == nil {
			t.Error("beta is gone")
		}
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
