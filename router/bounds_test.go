package router_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"waybill/ledger"
	"waybill/router"
	"waybill/router/sandbox"
)

// gap is how long an upstream was left alone between its first two calls.
func (n *node) gap(t *testing.T) time.Duration {
	t.Helper()
	calls := n.up.Calls()
	if len(calls) != 2 {
		t.Fatalf("%d calls upstream, want 2: %+v", len(calls), calls)
	}
	return calls[1].OpenedAt.Sub(calls[0].OpenedAt)
}

// What a provider says of when to come again is honoured, up to a bound; what is beyond it is the caller's to wait for.
func TestRetryAfter(t *testing.T) {
	for _, tt := range []struct {
		hint time.Duration
		more bool // the leg is called once more
	}{{700 * time.Millisecond, true}, {6 * time.Second, false}} {
		t.Run(tt.hint.String(), func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			n.open("org_a", "teams")
			n.up.Script("openai", "gpt-6-luna", sandbox.Script{Fail: sandbox.RateLimited, RetryAfter: tt.hint, Times: 1})
			a := n.ask(t.Context(), "org_a", models[0], "hello", "")
			if !tt.more {
				if a.code() != "rate_limited" || a.failure.RetryAfter != tt.hint || len(n.up.Calls()) != 1 {
					t.Errorf("%+v after %d calls", a.failure, len(n.up.Calls()))
				}
				return
			}
			if wait := n.gap(t); a.failure != nil || wait < tt.hint {
				t.Errorf("%+v after %v", a.failure, wait)
			}
		})
	}
}

// The pause is the request's own: at least what is asked, at most five seconds, and no two requests come again together. The
// same request waits as long when it is decided again.
func TestRetryPause(t *testing.T) {
	for _, hint := range []time.Duration{0, 50 * time.Millisecond, time.Second, 4 * time.Second, 5 * time.Second} {
		least := max(hint, 100*time.Millisecond)
		seen := map[time.Duration]bool{}
		for seed := range uint64(200) {
			pause := router.RetryPause(hint, seed, 1)
			if pause < least || pause > min(2*least, 5*time.Second) || pause != router.RetryPause(hint, seed, 1) {
				t.Fatalf("after %v: %v", hint, pause)
			}
			seen[pause] = true
		}
		if spread := len(seen); hint < 4*time.Second && spread < 190 || hint == 4*time.Second && spread < 20 {
			t.Errorf("after %v: %d pauses of 200 differ", hint, spread)
		}
	}
}

// The time that a request has is held to its pause, not to the longest that a pause can be.
func TestRetryWithinTotal(t *testing.T) {
	for total, calls := range map[time.Duration]int{3 * time.Second: 2, 90 * time.Millisecond: 1} {
		n := newNode(t)
		n.open("org_a", "teams")
		n.d.Timeouts.Total = total
		n.up.Script("openai", "gpt-6-luna", sandbox.Script{Fail: sandbox.Overloaded})
		if a := n.ask(t.Context(), "org_a", models[0], "hello", ""); a.code() != "upstream_failed" || len(n.up.Calls()) != calls {
			t.Errorf("of %v: %+v after %d calls, want %d", total, a.failure, len(n.up.Calls()), calls)
		}
	}
}

// Nobody is called once more for a caller who has left, nor by a node that is stopping.
func TestNoRetryForNobody(t *testing.T) {
	for _, stopping := range []bool{false, true} {
		n := newNode(t)
		n.open("org_a", "teams")
		n.up.Script("openai", "gpt-6-luna", sandbox.Script{Fail: sandbox.RateLimited, RetryAfter: 4 * time.Second})
		ctx, leave := context.WithCancel(t.Context())
		done := make(chan *answer)
		began := time.Now()
		go func() { done <- n.ask(ctx, "org_a", models[0], "hello", "") }()
		until(t, func() bool { c := n.up.Calls(); return len(c) == 1 && c[0].Ended })
		if stopping {
			n.stop()
		} else {
			leave()
		}
		a := <-done
		leave()
		if a.failure == nil || len(n.up.Calls()) != 1 || n.holds() != 0 || time.Since(began) > 3*time.Second {
			t.Errorf("stopping %v: %+v after %d calls and %v", stopping, a.failure, len(n.up.Calls()), time.Since(began))
		}
		events := n.trace(a.id)
		v, ok := events[len(events)-1].(*ledger.RequestVoided)
		if !ok || len(v.Attempts) != 1 || !stopping && v.Reason != "client_gone" {
			t.Errorf("stopping %v: voided %+v", stopping, v)
		}
	}
}

// An attempt has its own bound, and all of a request together have another: what is left when the first has used up its share is
// all that the second gets, and the third is not called.
func TestAttemptAndTotal(t *testing.T) {
	n := newNode(t)
	n.open("org_a", "starter")
	n.inOrder("org_a")
	n.d.Timeouts.Attempt, n.d.Timeouts.Total = 600*time.Millisecond, 900*time.Millisecond
	n.up.Script("", "", sandbox.Script{Hang: sandbox.AtHeaders})
	a := n.ask(t.Context(), "org_a", "auto", "hello", "")
	events := n.trace(a.id)
	v, ok := events[len(events)-1].(*ledger.RequestVoided)
	if !ok || a.code() != "upstream_failed" || len(n.up.Calls()) != 2 || len(v.Attempts) != 2 {
		t.Fatalf("%+v after %d calls: %+v", a.failure, len(n.up.Calls()), v)
	}
	first, second := time.Duration(v.Attempts[0].Latency), time.Duration(v.Attempts[1].Latency)
	if v.Attempts[0].Class != string(router.ClassTimeout) || v.Attempts[1].Class != string(router.ClassTimeout) || first < 600*time.Millisecond || second >= 400*time.Millisecond {
		t.Errorf("attempts %+v", v.Attempts)
	}
}

// Few enough answers are read on for callers who have left, in all and of an org; those beyond are ended with their callers.
func TestDrainsAreBounded(t *testing.T) {
	for _, tt := range []struct {
		others map[string]int // calls whose callers have left
		source ledger.UsageSource
	}{
		{map[string]int{"org_a": 63, "org_b": 64, "org_c": 64, "org_d": 64}, ledger.UsageProvider},
		{map[string]int{"org_b": 64, "org_c": 64, "org_d": 64, "org_e": 64}, ledger.UsageEstimate},
		{map[string]int{"org_b": 1000}, ledger.UsageProvider}, // of which it gets no more than its share
		{map[string]int{"org_a": 64}, ledger.UsageEstimate},
	} {
		n := newNode(t)
		n.open("org_a", "teams")
		n.d.Drain(tt.others)
		before := n.d.Draining()
		s, ok := n.leaveAt("org_a", models[0], "hello [[sandbox output=40 chunks=8 delay=20ms]]", `,"stream":true`).(*ledger.RequestSettled)
		if tt.source == ledger.UsageEstimate && !ok { // nothing of it had come
			if calls := n.up.Calls(); calls[0].Outcome == sandbox.Completed {
				t.Errorf("beside %v others: it was read on", tt.others)
			}
		} else if s.Source != tt.source || s.Reason != "client_gone" || s.Usage.Output == 40 != (tt.source == ledger.UsageProvider) {
			t.Errorf("beside %v others: settled %+v", tt.others, s)
		}
		if n.d.Draining() != before {
			t.Errorf("%d calls are being drained, want %d", n.d.Draining(), before)
		}
	}
}

// Where the org's own credential fails and it may cost something, it must still be paid for: without means, or beyond a key's
// cap, nothing of the platform's is called.
func TestPaidFallbackWithinMeans(t *testing.T) {
	for _, capped := range []bool{false, true} {
		n := newNode(t, ledger.Plan{ID: "bare", Lanes: []ledger.Lane{ledger.LaneAuto, ledger.LaneManual}, Credit: true})
		n.open("org_a", "bare")
		n.do(ledger.AttachCredential{Org: "org_a", Credential: "cred_dead", Provider: "openai", Fingerprint: "x", Use: ledger.UsePrefer})
		n.policy("org_a", `{"paid_fallback":true}`)
		task, want := n.task("req_a", "org_a", models[0], "hello", `,"max_completion_tokens":50`), string(ledger.CodeInsufficientFunds)
		if capped {
			n.buy("org_a", "lot_1", ledger.Dollar)
			n.do(ledger.IssueKey{Org: "org_a", Key: "key_capped", Hash: strings.Repeat("0", 64), Scopes: []ledger.Scope{ledger.ScopeInference},
				Caps: []ledger.Cap{{Unit: ledger.USD, Amount: 1, Window: ledger.WindowDay}}})
			task.Key, want = "key_capped", string(ledger.CodeCapReached)
		}
		a := &answer{id: "req_a"}
		a.failure = n.d.Do(t.Context(), task, a)
		events := n.trace(a.id)
		v, ok := events[len(events)-1].(*ledger.RequestVoided)
		if !ok || a.code() != "upstream_failed" || len(n.up.Calls()) != 1 || n.up.Calls()[0].Key != sandbox.Fingerprint("sk-sandbox-fail-invalid-key") {
			t.Fatalf("%s: %+v, %+v", want, a.failure, n.up.Calls())
		}
		if got := v.Attempts; len(got) != 2 || got[0].Class != string(router.ClassCredential) || got[1].Outcome != ledger.Skipped || got[1].Kind != ledger.Platform || got[1].Reason != want {
			t.Errorf("%s: attempts %+v", want, got)
		}
		if !strings.Contains(a.failure.Message, want) || n.holds() != 0 {
			t.Errorf("%s: %s", want, a.failure.Message)
		}
	}
}

// An org with several credentials of its own loses one after the other, and pays nothing.
func TestSeveralOwnCredentials(t *testing.T) {
	n := newNode(t)
	n.open("org_a", "free")
	keys := n.d.Secrets.(secrets)
	for i, secret := range []string{"sk-a-sandbox-fail-invalid-key", "sk-b-sandbox-fail-rate-limited", "sk-c"} {
		id := fmt.Sprintf("cred_%d", i)
		n.do(ledger.AttachCredential{Org: "org_a", Credential: id, Provider: "openai", Fingerprint: "x", Use: ledger.UsePrefer})
		keys[id] = secret
	}
	a := n.ask(t.Context(), "org_a", models[0], "hello", "")
	s := n.settled(a.id)
	if a.failure != nil || s == nil || s.Kind != ledger.BYOK || s.Credential != "cred_2" || s.Charge != 0 || len(s.Draws) != 0 || len(s.Attempts) != 3 || s.Absorbed != 0 {
		t.Errorf("%+v, settled %+v", a.failure, s)
	}
}
