package router_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"waybill/ledger"
	"waybill/router"
	"waybill/router/dialects"
	"waybill/router/sandbox"
)

// again makes a call under an Idempotency-Key.
func (n *node) again(id, key, words string) *answer {
	t := n.task(id, "acme", "openai/gpt-6-luna", words, "")
	t.By = ledger.By{Actor: "key/k", Cause: key, Input: "digest of " + words}
	a := &answer{id: id}
	a.failure = n.d.Do(n.t.Context(), t, a)
	return a
}

// A call that was voided has used nothing, and gives its Idempotency-Key back: to one, however many come at once.
func TestVoidedCallGivesItsKeyBack(t *testing.T) {
	n := newNode(t)
	n.open("acme", "teams")
	const busy = "[[sandbox fail=overloaded]]"
	for i := range 3 { // each is tried, and none burns the key
		n.d.Health = router.NewHealth() // the breaker has no part in it
		if a := n.again(fmt.Sprintf("r%d", i), "K", busy); a.code() != "upstream_failed" {
			t.Fatalf("call %d: %+v", i, a.failure)
		}
	}
	if a := n.again("other", "K", "something else"); a.code() != string(ledger.CodeConflict) {
		t.Errorf("the key bound another call: %+v", a.failure)
	}
	n.d.Health = router.NewHealth()
	failed := n.up.Script("", "", sandbox.Script{Fail: sandbox.Overloaded})
	if a := n.again("first", "L", "hello"); a.failure == nil {
		t.Fatal("the upstream answered")
	}
	failed()
	n.d.Health = router.NewHealth()
	var group sync.WaitGroup
	answers := make([]*answer, 8)
	for i := range answers {
		group.Go(func() { answers[i] = n.again(fmt.Sprintf("p%d", i), "L", "hello") })
	}
	group.Wait()
	served := 0
	for _, a := range answers {
		switch {
		case a.failure == nil:
			served++
		case a.code() != string(ledger.CodeRepeated) || !strings.HasPrefix(a.failure.Of, "p"):
			t.Errorf("%+v", a.failure)
		}
	}
	if served != 1 || n.holds() != 0 {
		t.Errorf("%d calls were answered, %d are open", served, n.holds())
	}
	if a := n.again("last", "L", "hello"); a.code() != string(ledger.CodeRepeated) || !strings.HasPrefix(a.failure.Of, "p") {
		t.Errorf("after an answer: %+v", a.failure)
	}
}

// What the provider says of a request that it refuses reaches the caller, in words of the caller's dialect.
func TestRefusedRequests(t *testing.T) {
	n := newNode(t)
	n.open("acme", "teams")
	n.buy("acme", "lot", 100*ledger.Dollar)
	bodies := map[ledger.Dialect]string{
		ledger.DialectOpenAIChat:        `{"model":%q,"messages":[{"role":"user","content":%q}]}`,
		ledger.DialectOpenAIResponses:   `{"model":%q,"input":%[2]q}`,
		ledger.DialectAnthropicMessages: `{"model":%q,"max_tokens":50,"messages":[{"role":"user","content":%q}]}`,
	}
	for _, tt := range []struct {
		from               ledger.Dialect
		model, fail        string
		status             int
		code, field, shows string
	}{
		{ledger.DialectOpenAIChat, "openai/gpt-4o", "context_length", 400, "context_length_exceeded", "messages", `"code":"context_length_exceeded"`},
		{ledger.DialectOpenAIChat, "anthropic/claude-haiku-5-5", "context_length", 400, "context_length_exceeded", "messages", `"type":"invalid_request_error"`},
		{ledger.DialectOpenAIChat, "google/gemini-2.5-flash", "context_length", 400, "context_length_exceeded", "messages", `"param":"messages"`},
		{ledger.DialectOpenAIResponses, "google/gemini-2.5-flash", "context_length", 400, "context_length_exceeded", "input", `"param":"input"`},
		{ledger.DialectAnthropicMessages, "openai/gpt-4o", "context_length", 400, "context_length_exceeded", "messages", `"type":"invalid_request_error"`},
		{ledger.DialectAnthropicMessages, "anthropic/claude-haiku-5-5", "context_length", 400, "context_length_exceeded", "messages", `prompt is too long`},
		{ledger.DialectAnthropicMessages, "anthropic/claude-haiku-5-5", "bad_request", 400, "invalid", "", `"type":"invalid_request_error"`},
	} {
		in := dialects.Inbounds[tt.from]
		q, err := in.Decode(router.Incoming{Endpoint: router.EndpointChat, Body: fmt.Appendf(nil, bodies[tt.from], tt.model, "[[sandbox fail="+tt.fail+"]]")})
		if err != nil {
			t.Fatal(err)
		}
		id := fmt.Sprintf("req_%06d", n.seq.Add(1))
		f := n.d.Do(t.Context(), router.Task{ID: id, By: ledger.By{Actor: "test", Cause: id}, Org: "acme", Request: q, Inbound: in}, &answer{})
		if f == nil || f.Status != tt.status || f.Code != tt.code || f.Field != tt.field || !strings.Contains(string(in.Failure(*f)), tt.shows) {
			t.Errorf("%s to %s, %s: %+v", tt.from, tt.model, tt.fail, f)
		}
	}
}

// Figures that no call has are refused by the caller's field, before money is asked for them.
func TestExcess(t *testing.T) {
	n := newNode(t)
	n.open("acme", "teams")
	for members, want := range map[string]string{
		`,"max_tokens":200000`:                   "max_tokens: is 200000, and openai/gpt-4o puts out at most 16384 tokens",
		`,"max_completion_tokens":1099511627777`: "max_completion_tokens: must be at most 1099511627776",
		`,"service_tier":"no word"`:              `service_tier: "no word" is no service tier`,
	} {
		a := n.ask(t.Context(), "acme", "openai/gpt-4o", "hi", members)
		if a.failure == nil || a.failure.Status != 400 || a.failure.Field == "" || !strings.HasPrefix(a.failure.Message, want) {
			t.Errorf("%s: %+v", members, a.failure)
		}
	}
	// On a credential of the org's own the provider has the word.
	n.do(ledger.AttachCredential{Org: "acme", Credential: "cred_own", Provider: "openai", Fingerprint: "f", Use: ledger.UseOnly})
	if a := n.ask(t.Context(), "acme", "openai/gpt-4o", "hi", `,"max_tokens":200000`); a.failure == nil || a.failure.Field != "max_tokens" || !strings.Contains(a.failure.Message, "refused the request") {
		t.Errorf("%+v", a.failure)
	}
}
