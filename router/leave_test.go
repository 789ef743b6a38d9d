package router_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"waybill/ledger"
	"waybill/ledger/secret"
	"waybill/router"
	"waybill/store"
)

// leavingBooks are the books of a caller who leaves while the first leg is being admitted.
type leavingBooks struct {
	*store.Store
	leave context.CancelFunc
}

func (b leavingBooks) Execute(ctx context.Context, c ledger.Command) (ledger.Receipt, error) {
	rec, err := b.Store.Execute(ctx, c)
	b.leave()
	return rec, err
}

// Nothing is called for a caller who has left before the call.
func TestLeftBeforeCall(t *testing.T) {
	n := newNode(t)
	n.open("org_a", "teams")
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	n.d.Books = leavingBooks{n.store, leave}
	if a := n.ask(ctx, "org_a", models[0], "hello", ""); a.failure == nil || a.failure.Status != 499 {
		t.Errorf("failure %+v", a.failure)
	}
	if calls := n.up.Calls(); len(calls) != 0 {
		t.Errorf("an upstream call for nobody: %+v", calls)
	}
	events := n.trace("req_000001")
	if v, ok := events[len(events)-1].(*ledger.RequestVoided); !ok || v.Reason != "client_gone" || n.holds() != 0 {
		t.Errorf("the last event is %+v, and %d holds are open", events[len(events)-1], n.holds())
	}
}

// absent are secrets that come when their reader has lost patience.
type absent struct{ leave context.CancelFunc }

func (s absent) Secret(ctx context.Context, _ *ledger.Credential) (secret.Text, error) {
	s.leave()
	return secret.Text{}, ctx.Err()
}

// A caller's leaving says nothing about a credential.
func TestLeavingFailsNoCredential(t *testing.T) {
	n := newNode(t)
	n.open("org_a", "teams")
	good := n.d.Secrets
	for range 3 {
		ctx, leave := context.WithCancel(t.Context())
		n.d.Secrets = absent{leave}
		n.ask(ctx, "org_a", models[0], "hello", "")
		leave()
	}
	n.d.Secrets = good
	if a := n.ask(t.Context(), "org_a", models[0], "hello", ""); a.failure != nil {
		t.Errorf("callers who left have opened a breaker: %+v", a.failure)
	}
}

// leaveAt makes a call whose caller leaves once it is upstream, and gives its last event.
func (n *node) leaveAt(org, model, words, more string) ledger.Event {
	n.t.Helper()
	before := len(n.up.Calls())
	ctx, leave := context.WithCancel(n.t.Context())
	done := make(chan *answer)
	go func() { done <- n.ask(ctx, org, model, words, more) }()
	until(n.t, func() bool { return len(n.up.Calls()) > before })
	leave()
	events := n.trace((<-done).id)
	if n.holds() != 0 {
		n.t.Errorf("%d holds are open", n.holds())
	}
	return events[len(events)-1]
}

func until(t *testing.T, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come to it")
		}
	}
}

// A caller who leaves before the answer, which is read to its end and billed, and the trace says why nobody got it.
func TestLeftUnary(t *testing.T) {
	n := newNode(t)
	n.open("org_a", "teams")
	s, ok := n.leaveAt("org_a", models[0], "hello [[sandbox output=30 latency=50ms]]", "").(*ledger.RequestSettled)
	if !ok || s.Reason != "client_gone" || s.Usage.Output != 30 || s.Source != ledger.UsageProvider || s.Attempts[0].Outcome != ledger.Answered {
		t.Errorf("settled %+v", s)
	}
}

// A caller who leaves an upstream that gives nothing, streamed or not, owes nothing: not even a free message.
func TestLeftForNothing(t *testing.T) {
	for _, tt := range []struct{ model, words, more string }{
		{models[0], "hello [[sandbox hang=headers]]", ""},
		{models[0], "hello [[sandbox hang=headers]]", `,"stream":true`},
		{models[0], "hello [[sandbox hang=first]]", `,"stream":true`},
		{models[2], "hello [[sandbox hang=first]]", `,"stream":true`},
	} {
		n := newNode(t, ledger.Plan{ID: "trial", Messages: 5, Lanes: []ledger.Lane{ledger.LaneManual}})
		n.open("org_a", "trial")
		n.d.Timeouts.Drain = 20 * time.Millisecond
		v, ok := n.leaveAt("org_a", tt.model, tt.words, tt.more).(*ledger.RequestVoided)
		if !ok || v.Reason != "client_gone" || v.Attempts[0].Outcome != ledger.Failed || v.Attempts[0].Class != string(router.ClassCanceled) {
			t.Errorf("%+v: voided %+v", tt, v)
		}
		if left := n.balance(ledger.Account{Org: "org_a", Kind: "free"}, ledger.Msg); left != 5 {
			t.Errorf("%+v: %d free messages are left of 5", tt, left)
		}
	}
}

// What a provider has counted before its caller left is billed, though nothing of the answer came.
func TestLeftForInput(t *testing.T) {
	n := newNode(t)
	n.open("org_a", "teams")
	n.d.Timeouts.Drain = 200 * time.Millisecond
	for _, place := range []string{"0", "content"} {
		words := "hello [[sandbox input=100 output=80 chunks=8 hang=" + place + "]]"
		s, ok := n.leaveAt("org_a", models[1], words, `,"stream":true`).(*ledger.RequestSettled)
		if !ok || s.Usage.Input != 100 || (s.Usage.Output >= 10) != (place == "content") || s.Source != ledger.UsageEstimate || s.Reason != "client_gone" {
			t.Fatalf("%s: settled %+v", words, s)
		}
		if at := s.Attempts[0]; at.Outcome != ledger.Abandoned || at.Status != http.StatusOK || at.Class != string(router.ClassCanceled) {
			t.Errorf("%s: the attempt: %+v", words, at)
		}
	}
}
