package router_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"waybill/ledger"
	"waybill/router"
	"waybill/router/sandbox"
)

// policy sets an org's policy.
func (n *node) policy(org, document string) {
	n.t.Helper()
	n.do(ledger.SetPolicy{Org: org, Document: []byte(document)})
}

// A leg without another is called once more, after its pause and as a leg of its own.
func TestOnceMore(t *testing.T) {
	n := newNode(t)
	n.open("org_a", "teams")
	n.up.Script("openai", "gpt-6-luna", sandbox.Script{Fail: sandbox.Overloaded, Times: 1})
	a := n.ask(t.Context(), "org_a", "openai/gpt-6-luna", "hello", "")
	if a.failure != nil {
		t.Fatalf("%+v", a.failure)
	}
	s := n.settled(a.id)
	if len(s.Attempts) != 2 || s.Attempts[0].Outcome != ledger.Failed || s.Attempts[0].N != 1 || s.Attempts[1].Outcome != ledger.Answered || s.Attempts[1].N != 2 || a.facts.Attempts != 2 {
		t.Errorf("attempts %+v", s.Attempts)
	}
	if events := n.trace(a.id); len(events) != 3 { // admitted, extended, settled
		t.Errorf("%d events", len(events))
	}
}

// What a policy does not retry on ends the call.
func TestRetryOn(t *testing.T) {
	n := newNode(t)
	n.open("org_a", "teams")
	n.policy("org_a", `{"retry_on":["timeout"],"routes":[{"when":{"model":"auto"},"auto":{"pool":["openai/gpt-6-luna","anthropic/claude-haiku-5-5"]}}]}`)
	n.up.Script("openai", "gpt-6-luna", sandbox.Script{Fail: sandbox.Overloaded})
	a := n.ask(t.Context(), "org_a", "auto", "hello", "")
	if a.code() != "upstream_failed" || len(n.up.Calls()) != 1 {
		t.Errorf("%+v after %d calls", a.failure, len(n.up.Calls()))
	}
}

// A model that its provider does not know moves on like other failures: by default, and where the policy names it.
func TestRetryOnNotFound(t *testing.T) {
	for _, tt := range []struct {
		retry string
		calls int
	}{{"", 2}, {`"retry_on":["not_found"],`, 2}, {`"retry_on":["timeout"],`, 1}, {`"retry_on":[],`, 1}} {
		n := newNode(t)
		n.open("org_a", "teams")
		n.policy("org_a", `{`+tt.retry+`"routes":[{"try":[{"model":"openai/gpt-6-luna"},{"model":"anthropic/claude-haiku-5-5"}]}]}`)
		n.up.Script("openai", "gpt-6-luna", sandbox.Script{Fail: sandbox.NotFound})
		a := n.ask(t.Context(), "org_a", "auto", "hello", "")
		if moved := tt.calls == 2; len(n.up.Calls()) != tt.calls || (a.failure == nil) != moved || !moved && (a.failure.Status != 404 || a.code() != "unknown_model") {
			t.Errorf("%s: %+v after %d calls", tt.retry, a.failure, len(n.up.Calls()))
		}
	}
}

// An outage is not amplified: retries have a budget of a tenth of the calls, and ten.
func TestRetryBudget(t *testing.T) {
	n := newNode(t)
	n.open("org_a", "teams")
	n.up.Script("openai", "gpt-6-luna", sandbox.Script{Fail: sandbox.Overloaded})
	const calls = 60
	for range calls {
		n.d.Health = router.NewHealth() // the breaker would hold all of them back
		n.ask(t.Context(), "org_a", "openai/gpt-6-luna", "hello", "")
	}
	if got := len(n.up.Calls()); got < calls+10 || got > calls+10+calls/10 {
		t.Errorf("%d calls upstream for %d", got, calls)
	}
}

// A leg that is passed over makes no call, and earns none: only the first call of a request does, for its own credential.
func TestRetriesAreEarnedByCalls(t *testing.T) {
	n := newNode(t)
	n.open("org_a", "teams")
	n.policy("org_a", `{"routes":[{"when":{"model":"fast"},"try":[{"model":"anthropic/claude-haiku-5-5"},{"model":"anthropic/claude-sonnet-5-5"},{"model":"openai/gpt-6-luna"}]}],"aliases":{"fast":"openai/gpt-6-luna"}}`)
	n.up.Script("anthropic", "claude-haiku-5-5", sandbox.Script{Fail: sandbox.Overloaded})
	fails := func() int {
		n.d.Health = router.NewHealth()
		before := len(n.up.Calls())
		n.ask(t.Context(), "org_a", "anthropic/claude-haiku-5-5", "hello", "")
		return len(n.up.Calls()) - before
	}
	for calls := 2; calls == 2; {
		calls = fails() // until no retry is left
	}
	for range 30 {
		if a := n.ask(t.Context(), "org_a", "fast", "hello", `,"seed":7`); a.failure != nil || a.facts.Model != models[0] { // which Anthropic has no place for
			t.Fatalf("%+v", a.failure)
		}
	}
	retries := 0
	for range 5 {
		retries += fails() - 1
	}
	if retries > 1 {
		t.Errorf("%d retries after 5 more calls", retries)
	}
}

// What an upstream says to wait for longer than a pause may last is no reason to give up a leg that may be well in a moment.
func TestRetryOfTheOneThatMayAnswer(t *testing.T) {
	n := newNode(t)
	n.open("org_a", "teams")
	n.policy("org_a", `{"routes":[{"try":[{"model":"openai/gpt-6-luna"},{"model":"anthropic/claude-haiku-5-5"}]}]}`)
	n.up.Script("openai", "gpt-6-luna", sandbox.Script{Fail: sandbox.Overloaded, Times: 1, RetryAfter: 10 * time.Millisecond})
	n.up.Script("anthropic", "claude-haiku-5-5", sandbox.Script{Fail: sandbox.RateLimited, RetryAfter: 30 * time.Second})
	if a := n.ask(t.Context(), "org_a", "auto", "hello", ""); a.failure != nil || a.facts.Model != models[0] || a.facts.Attempts != 3 {
		t.Errorf("%+v %+v", a.failure, a.facts)
	}
}

// Budgets of credentials that nobody calls any more are no reason to leave others without one.
func TestBudgetsAreBounded(t *testing.T) {
	var b router.Retries
	for i := range 10_000 {
		if !b.Take(fmt.Sprintf("cred_%d", i)) {
			t.Fatalf("credential %d has no retry", i)
		}
	}
	if n := b.Len(); n > 4096 {
		t.Errorf("%d budgets are remembered", n)
	}
}

// A call that has no time left is not called again.
func TestTotal(t *testing.T) {
	n := newNode(t)
	n.open("org_a", "starter")
	n.inOrder("org_a")
	n.d.Timeouts.Total = 200 * time.Millisecond
	n.up.Script("openai", "gpt-6-luna", sandbox.Script{Hang: sandbox.AtHeaders})
	a := n.ask(t.Context(), "org_a", "auto", "hello", "")
	if a.code() != "upstream_failed" || !strings.Contains(a.failure.Message, "timeout") || len(n.up.Calls()) != 1 {
		t.Errorf("%+v after %d calls", a.failure, len(n.up.Calls()))
	}
}

// A cap that is used up says when it no longer is, and is no reason to pass over a credential of the org's own.
func TestCapReached(t *testing.T) {
	n := newNode(t)
	n.open("org_a", "teams")
	n.do(ledger.IssueKey{Org: "org_a", Key: "key_capped", Hash: strings.Repeat("0", 64), Scopes: []ledger.Scope{ledger.ScopeInference},
		Caps: []ledger.Cap{{Unit: ledger.USD, Amount: 200_000, Window: ledger.WindowDay}}})
	call := func(id string) *answer {
		a := &answer{id: id}
		task := n.task(id, "org_a", "openai/gpt-6-luna", "hello", `,"max_tokens":50`)
		task.Key = "key_capped"
		a.failure = n.d.Do(t.Context(), task, a)
		return a
	}
	var a *answer
	for i := 0; i < 100 && (a == nil || a.failure == nil); i++ {
		a = call(fmt.Sprintf("req_%d", i))
	}
	if a.code() != "cap_reached" || a.failure.Status != 429 || a.failure.RetryAfter <= 0 || a.failure.RetryAfter > 24*time.Hour {
		t.Errorf("%+v", a.failure)
	}
	n.do(ledger.AttachCredential{Org: "org_a", Credential: "cred_own", Provider: "openai", Fingerprint: "f", Use: ledger.UseFallback})
	if a := call("req_own"); a.failure != nil || a.facts.Kind != ledger.BYOK {
		t.Errorf("%+v", a.failure)
	}
}

// Who comes while the only leg rests for a moment waits for it, at no cost to the budget of retries: it was not called before.
func TestRestingForAMoment(t *testing.T) {
	n := newNode(t)
	n.open("org_a", "teams")
	n.open("org_b", "teams")
	n.policy("org_a", `{"retry_on":[]}`)
	for range 10 {
		n.d.Retries.Take(n.pool["openai"])
	}
	n.up.Script("openai", "gpt-6-luna", sandbox.Script{Fail: sandbox.RateLimited, RetryAfter: 300 * time.Millisecond, Times: 1})
	if a := n.ask(t.Context(), "org_a", models[0], "hello", ""); a.code() != "rate_limited" {
		t.Fatalf("%+v", a.failure)
	}
	if a := n.ask(t.Context(), "org_b", models[0], "hello", ""); a.failure != nil || a.facts.Attempts != 1 || n.gap(t) < 300*time.Millisecond {
		t.Errorf("%+v %+v", a.failure, a.facts)
	}
	n.d.Health = router.NewHealth()
	for range 3 { // a leg that fails is not waited for
		try(n.d.Health, ledger.Choice{Model: models[0], Credential: n.pool["openai"]}, time.Now().Add(-27*time.Second), router.ClassServerError)
	}
	began := time.Now()
	if a := n.ask(t.Context(), "org_b", models[0], "hello", ""); a.failure == nil || a.failure.Status != 503 || time.Since(began) > 2*time.Second {
		t.Errorf("%+v after %v", a.failure, time.Since(began))
	}
}

// The upstream that asks to be left alone is left alone by all, who are told for how long; a call that was too large for it alone
// shuts out no other.
func TestRetryAfterIsEverybodys(t *testing.T) {
	n, clock := wound(t)
	n.open("org_a", "teams")
	n.open("org_b", "teams")
	remove := n.up.Script("openai", "gpt-6-luna", sandbox.Script{Fail: sandbox.RateLimited, RetryAfter: 20 * time.Second})
	if a := n.ask(t.Context(), "org_a", models[0], "hello", ""); a.code() != "rate_limited" || a.failure.RetryAfter != 20*time.Second {
		t.Fatalf("%+v", a.failure)
	}
	remove()
	clock.sleep(t.Context(), 12500*time.Millisecond)
	a := n.ask(t.Context(), "org_b", models[0], "hello", "")
	if f := a.failure; f == nil || f.Status != 503 || f.RetryAfter != 8*time.Second || len(n.up.Calls()) != 1 || !strings.Contains(f.Message, "(breaker_open: rate_limited)") {
		t.Errorf("%+v after %d calls", f, len(n.up.Calls()))
	}
	clock.sleep(t.Context(), 7500*time.Millisecond)
	if a := n.ask(t.Context(), "org_b", models[0], "hello", ""); a.failure != nil {
		t.Errorf("%+v", a.failure)
	}

	large := true
	n.upstream("openai", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if large {
			w.Header().Set("Retry-After", "20")
			w.WriteHeader(http.StatusTooManyRequests)
			fmt.Fprint(w, `{"error":{"message":"Request too large for gpt-6-luna in organization org-x on tokens per min (TPM): Limit 30000, Requested 50000.","type":"tokens","code":"rate_limit_exceeded"}}`)
			return
		}
		fmt.Fprint(w, `{"id":"c","object":"chat.completion","model":"gpt-6-luna","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}`)
	})
	for range 4 {
		if a := n.ask(t.Context(), "org_a", models[0], "hello", ""); a.code() != "rate_limited" {
			t.Fatalf("%+v", a.failure)
		}
	}
	large = false
	if a := n.ask(t.Context(), "org_b", models[0], "hello", ""); a.failure != nil {
		t.Errorf("beside calls that are too large: %+v", a.failure)
	}
}

// Where every leg rests, nothing is called and nothing recorded, and the caller is told which legs those are, why, and when to come again.
func TestNoLegCanBeCalled(t *testing.T) {
	n := newNode(t)
	n.open("acme", "teams")
	n.policy("acme", `{"routes":[{"try":[{"model":"openai/gpt-6-luna"},{"model":"anthropic/claude-haiku-5-5"}]}]}`)
	since := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	n.d.Health.Trip(n.pool["openai"], time.Time{}, router.ClassCredential, since)
	for range 3 {
		trial, _ := n.d.Health.Allow(ledger.Choice{Model: "anthropic/claude-haiku-5-5", Credential: n.pool["anthropic"], Kind: ledger.Platform}, n.d.Now())
		trial.Report(router.ClassOverloaded, n.d.Now())
	}
	a := n.ask(t.Context(), "acme", "auto", "hi", "")
	const why = "openai/gpt-6-luna on platform skipped (breaker_open: credential since 2026-11-25T12:00:00Z); anthropic/claude-haiku-5-5 on platform skipped (breaker_open: overloaded since "
	if f := a.failure; f == nil || f.Status != 503 || f.Code != "upstream_failed" || f.RetryAfter != 30*time.Second || !strings.Contains(f.Message, why) {
		t.Errorf("%+v", f)
	}
	if len(n.trace(a.id)) != 0 || len(n.up.Calls()) != 0 {
		t.Error("something was called or recorded")
	}
}
