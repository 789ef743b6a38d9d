package router_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/router/sandbox"
)

// inOrder has an org's calls try the models one after the other, whatever they cost.
func (n *node) inOrder(org string) {
	n.t.Helper()
	n.do(ledger.SetPolicy{Org: org, Document: fmt.Appendf(nil, `{"routes":[{"try":[{"model":%q},{"model":%q},{"model":%q}]}]}`, models[0], models[1], models[2])})
}

// An attempt goes upstream under the number that the log has for its leg, also behind a leg that could not carry the request.
func TestAttemptIDs(t *testing.T) {
	n := newNode(t)
	n.open("org_a", "starter")
	n.inOrder("org_a")
	n.up.Script("openai", "gpt-6-luna", sandbox.Script{Fail: sandbox.Overloaded})
	a := n.ask(t.Context(), "org_a", "auto", "hello", `,"seed":7`) // which Anthropic has no place for
	if a.failure != nil {
		t.Fatalf("%+v", a.failure)
	}
	s := n.settled(a.id)
	var outcomes []ledger.Outcome
	for _, at := range s.Attempts {
		outcomes = append(outcomes, at.Outcome)
	}
	if got := fmt.Sprint(outcomes); got != "[failed skipped answered]" || s.Attempts[1].Reason != "unsupported: seed" {
		t.Errorf("attempts %+v", s.Attempts)
	}
	calls := n.up.Calls()
	for i, at := range []ledger.Attempt{s.Attempts[0], s.Attempts[2]} {
		if want := fmt.Sprintf("%s.%d", a.id, at.N); calls[i].Attempt != want {
			t.Errorf("attempt %s went upstream as %s", want, calls[i].Attempt)
		}
	}
	if a.facts.Attempts != 2 || s.Leg != 3 {
		t.Errorf("the headers say %d attempts, the settlement leg %d", a.facts.Attempts, s.Leg)
	}
}

// A model that the catalogue does not list is open on the org's own credential: what the caller says of it goes through
// as it is, and it gets no cap that nobody knows.
func TestUnlistedModel(t *testing.T) {
	n := newNode(t)
	n.open("org_a", "free")
	for _, model := range []string{"openai/gpt-9", "anthropic/claude-nova", "google/gemini-9"} {
		provider, _, _ := strings.Cut(model, "/")
		n.do(ledger.AttachCredential{Org: "org_a", Credential: "cred_own_" + provider, Provider: provider, Fingerprint: "x", Use: ledger.UsePrefer})
		n.d.Secrets.(secrets)["cred_own_"+provider] = "sk-own"
		for _, more := range []string{"", `,"max_completion_tokens":null`, `,"max_tokens":50,"temperature":0.5,"reasoning_effort":"low"`} {
			a := n.ask(t.Context(), "org_a", model, "hello [[sandbox output=20]]", more)
			if a.failure != nil {
				t.Errorf("%s%s: %+v", model, more, a.failure)
				continue
			}
			if s := n.settled(a.id); s.Usage.Output != 20 || s.Price != "" || s.ListCost != 0 || s.Kind != ledger.BYOK || len(a.facts.Warnings) != 0 {
				t.Errorf("%s%s: settled %+v with warnings %q", model, more, s, a.facts.Warnings)
			}
		}
		a := n.ask(t.Context(), "org_a", model, "hello [[sandbox output=80 chunks=8 cut=content]]", `,"stream":true`)
		if s := n.settled(a.id); s == nil || s.Usage.Output == 0 || s.Source != ledger.UsageEstimate {
			t.Errorf("%s: cut, and settled %+v", model, s)
		}
	}
}

// An answer that goes on after its finish reason is held back within a bound, and then no answer.
func TestEndlessTail(t *testing.T) {
	n := newNode(t)
	n.open("org_a", "teams")
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, `data: {"id":"c1","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}`+"\n\n")
		frame := []byte(`data: {"choices":[{"index":0,"delta":{"content":"` + string(bytes.Repeat([]byte("x"), 1<<20)) + `"}}]}` + "\n\n")
		for range 40 {
			if _, err := w.Write(frame); err != nil {
				return
			}
		}
		fmt.Fprint(w, "data: [DONE]\n\n")
	}))
	defer up.Close()
	n.do(ledger.AttachCredential{Org: "org_a", Credential: "cred_own", Provider: "openai", Fingerprint: "x", Use: ledger.UsePrefer, BaseURL: up.URL, Trusted: true})
	a := n.ask(t.Context(), "org_a", models[0], "hello", `,"stream":true`)
	if a.failure == nil || a.failure.Status != http.StatusBadGateway || a.body.Len() != 0 {
		t.Errorf("failure %+v after %d bytes", a.failure, a.body.Len())
	}
	if n.holds() != 0 {
		t.Errorf("%d holds are open", n.holds())
	}
}
