package store

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"waybill/ledger"
)

// A replay shows an org's events on what it had then, and its admissions on what it had when they were decided.
func TestReplay(t *testing.T) {
	y := newStory(t)
	then := map[uint64]map[string]ledger.Standing{} // by position
	y.after = func() {
		head := y.head()
		then[head] = map[string]ledger.Standing{}
		y.s.View(func(s *ledger.State) {
			for _, o := range s.Orgs() {
				then[head][o.ID], _ = s.Standing(o.ID)
			}
		})
	}
	y.tell()
	asOf := map[string]uint64{}
	for i, request := range []string{"late-0", "late-1", "late-2"} { // decided in another order than admitted
		decided := y.head() + uint64(-10+3*i)
		if then[decided] == nil {
			t.Fatalf("nobody looked at %d", decided)
		}
		asOf[request] = decided
		y.do(ledger.Admit{Who: unasked(request), Org: "acme", Request: request, Lane: ledger.LaneAuto, Inputs: ledger.Inputs{AsOf: decided, Legs: []ledger.Choice{platformLeg}},
			Demand: ledger.Demand{Choice: platformLeg, Input: 15, Output: 10}})
		y.do(ledger.GrantCredit{Who: unasked(request), Org: "acme", Lot: request, Amount: 1})
	}
	from, compared := y.head()-25, 0
	same := func(what string, r *ledger.Record, s *ledger.State, position uint64) {
		t.Helper()
		if then[position] == nil { // several events came of one command
			return
		}
		compared++
		got, _ := s.Standing(r.Stream)
		want := then[position][r.Stream]
		got.Position, got.At, want.Position, want.At = 0, 0, 0, 0
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s %d:\n%+v\nwas\n%+v", what, r.Position, got, want)
		}
	}
	for _, org := range []string{"acme", "gamma"} {
		decided, followed, last := 0, 0, uint64(0)
		err := y.s.Replay(t.Context(), org, from, func(s *ledger.State, r *ledger.Record) error {
			e := r.Event.(*ledger.RequestAdmitted)
			decided++
			position := asOf[e.Request]
			if position == 0 {
				position = r.Position - 1
			}
			same("decision on", r, s, position)
			return nil
		}, func(s *ledger.State, r *ledger.Record) error {
			if r.Stream != org || r.Position < from || r.Position <= last {
				t.Errorf("event %d of %s after %d", r.Position, r.Stream, last)
			}
			last = r.Position
			followed++
			same("event", r, s, r.Position-1)
			return nil
		}, nil)
		if err != nil || decided == 0 || followed <= decided {
			t.Errorf("%s: %v after %d decisions and %d events", org, err, decided, followed)
		}
	}
	if compared < 20 {
		t.Errorf("only %d standings were compared", compared)
	}
	stop := errors.New("enough")
	refuse := func(*ledger.State, *ledger.Record) error { return stop }
	allow := func(*ledger.State, *ledger.Record) error { return nil }
	if err := y.s.Replay(t.Context(), "acme", 1, refuse, allow, nil); !errors.Is(err, stop) {
		t.Errorf("a decision that fails: %v", err)
	}
	if err := y.s.Replay(t.Context(), "acme", 1, allow, refuse, nil); !errors.Is(err, stop) {
		t.Errorf("an event that fails: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := y.s.Replay(ctx, "acme", 1, allow, allow, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

// A replay does not wait for the writer, nor the writer for it, and ends where the log ended when it began.
func TestReplayBesideTheWriter(t *testing.T) {
	y := newStory(t)
	y.tell()
	head, seen := y.head(), uint64(0)
	err := y.s.Replay(t.Context(), "acme", 1, func(*ledger.State, *ledger.Record) error { return nil }, func(_ *ledger.State, r *ledger.Record) error {
		done := make(chan struct{})
		go func() {
			defer close(done)
			y.do(ledger.AdjustCredit{Who: unasked("more"), Org: "acme", Lot: "l1", Amount: 1, Reason: "correction"})
		}()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			return errors.New("the writer waits")
		}
		return nil
	}, func(position uint64) { seen = position })
	if err != nil || seen == 0 || seen > head {
		t.Errorf("%v, at %d of %d", err, seen, head)
	}
}
