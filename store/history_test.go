package store

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"waybill/ledger"
)

// TestBalanceAt: what an org had at each position of the log is what the live state said when the log stood there.
func TestBalanceAt(t *testing.T) {
	y := newStory(t)
	orgs := []string{"acme", "beta", "gamma"}
	var then []ledger.Standing
	y.after = func() {
		y.s.View(func(s *ledger.State) {
			for _, org := range orgs {
				st, ok := s.Standing(org)
				if !ok {
					t.Errorf("org %s is not there", org)
				}
				then = append(then, st)
			}
		})
	}
	y.tell()
	if len(then) < 100 {
		t.Fatalf("only %d standings were seen", len(then))
	}
	for _, want := range then {
		got, err := y.s.BalanceAt(t.Context(), want.Org, want.Position)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("at %d:\n%+v\nwas\n%+v: %v", want.Position, got, want, err)
		}
		for _, at := range []ledger.Instant{want.At, want.At + 1} {
			if got, err := y.s.BalanceAtTime(t.Context(), want.Org, at); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("at %s:\n%+v\nwas\n%+v: %v", at, got, want, err)
			}
		}
	}
	last := then[len(then)-len(orgs)]
	if got, err := y.s.BalanceAt(t.Context(), "acme", 0); err != nil || !reflect.DeepEqual(got, last) {
		t.Errorf("now:\n%+v\nwant\n%+v: %v", got, last, err)
	}
	if distinct := slices.CompactFunc(then, func(a, b ledger.Standing) bool { return a.Credit == b.Credit && a.Held == b.Held }); len(distinct) < 30 {
		t.Errorf("the story moves too little: %d", len(distinct))
	}
}

// TestBalanceBeforeAndAfter: positions and times outside of the log, and before an org was opened, are refused.
func TestBalanceBeforeAndAfter(t *testing.T) {
	y := newStory(t)
	for name, ask := range map[string]func() error{
		"position beyond": func() error { _, err := y.s.BalanceAt(t.Context(), "acme", y.head()+1); return err },
		"before opening":  func() error { _, err := y.s.BalanceAt(t.Context(), "acme", 1); return err },
		"before the log": func() error {
			_, err := y.s.BalanceAtTime(t.Context(), "acme", ledger.InstantOf(storyBegins)-1)
			return err
		},
		"no such org": func() error { _, err := y.s.BalanceAt(t.Context(), "nobody", 0); return err },
		"platform":    func() error { _, err := y.s.BalanceAt(t.Context(), ledger.Platform, 0); return err },
	} {
		var refused *ledger.Error
		if err := ask(); !errors.As(err, &refused) || refused.Code != ledger.CodeNotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
}
