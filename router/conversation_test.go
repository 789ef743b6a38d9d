package router_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
	"waybill/router/dialects"
	"waybill/router/sandbox"
)

// say makes a call in any dialect.
func (n *node) say(d ledger.Dialect, org, body string) *answer {
	n.t.Helper()
	in := dialects.Inbounds[d]
	a := &answer{id: fmt.Sprintf("req_%06d", n.seq.Add(1))}
	q, err := in.Decode(router.Incoming{Endpoint: router.EndpointChat, Body: []byte(body), Model: gjson.Get(body, "model").Str})
	if err != nil {
		n.t.Fatal(err)
	}
	a.failure = n.d.Do(n.t.Context(), router.Task{ID: a.id, By: ledger.By{Actor: "test", Cause: a.id}, Org: org, Request: q, Inbound: in}, a)
	return a
}

// own gives an org credentials of its own.
func (n *node) own(org, provider string, ids ...string) {
	n.t.Helper()
	for _, id := range ids {
		n.do(ledger.AttachCredential{Who: ledger.By{Actor: "test", Cause: id}, Org: org, Credential: id, Provider: provider, Fingerprint: "test", Use: ledger.UsePrefer})
		n.d.Secrets.(secrets)[id] = "sk-" + id
	}
}

// Servers that count their calls from 0 give every conversation the same ids. What was thought in one never goes into another,
// and each goes on with its own.
func TestTwoConversationsWithOneID(t *testing.T) {
	n := newNode(t)
	n.open("acme", "teams")
	var sent []string
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		sent = append(sent, string(b))
		who := "alice"
		if strings.Contains(string(b), "bob") {
			who = "bob"
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"id":"x","model":"k","choices":[{"index":0,"finish_reason":"tool_calls","message":{"role":"assistant","content":"on it","reasoning_content":"about %s",
			"tool_calls":[{"id":"functions.pay:0","type":"function","function":{"name":"pay","arguments":"{}"}}]}}],"usage":{"prompt_tokens":1,"completion_tokens":1}}`, who)
	}))
	defer up.Close()
	n.d.Providers["moonshot"] = router.Provider{Dialects: []ledger.Dialect{ledger.DialectOpenAIChat}, BaseURL: up.URL}
	n.own("acme", "moonshot", "cred_m")
	ask := func(turns ...string) *answer {
		return n.say(ledger.DialectAnthropicMessages, "acme", `{"model":"moonshot/kimi-k2-thinking","max_tokens":500,"tools":[{"name":"pay","input_schema":{"type":"object"}}],"messages":[`+strings.Join(turns, ",")+`]}`)
	}
	turns, ids := map[string][]string{}, map[string]bool{}
	for _, who := range []string{"alice", "bob"} {
		a := ask(`{"role":"user","content":"I am ` + who + `"}`)
		content := gjson.Get(a.text(), "content")
		id := content.Get(`#(type=="tool_use").id`).Str
		if a.failure != nil || ids[id] {
			t.Fatalf("%+v %s", a.failure, a.text())
		}
		ids[id] = true
		turns[who] = []string{`{"role":"user","content":"I am ` + who + `"}`, `{"role":"assistant","content":` + content.Raw + `}`,
			`{"role":"user","content":[{"type":"tool_result","tool_use_id":"` + id + `","content":"ok"}]}`}
	}
	for _, who := range []string{"alice", "bob"} {
		if a := ask(turns[who]...); a.failure != nil {
			t.Fatal(a.failure)
		}
		messages := gjson.Get(sent[len(sent)-1], "messages").Array()
		if got := messages[1].Get("reasoning_content").Str; got != "about "+who {
			t.Errorf("%s's turn goes back as %s", who, messages[1])
		}
		if call, result := messages[1].Get("tool_calls.0.id").Str, messages[2].Get("tool_call_id").Str; call == "" || ids[call] || result != call {
			t.Errorf("the call %q is answered as %q", call, result)
		}
	}
}

// The hold covers what is sent of what is remembered, and not of what came in alone.
func TestHoldCoversRememberedTurns(t *testing.T) {
	n := newNode(t)
	n.open("acme", "teams")
	const tools = `"tools":[{"functionDeclarations":[{"name":"weather"}]}],"generationConfig":{"thinkingConfig":{"includeThoughts":true}}`
	const first = `{"role":"user","parts":[{"text":"[[sandbox call=weather reasoning=6000]]"}]}`
	a := n.say(ledger.DialectGemini, "acme", `{"model":"anthropic/claude-haiku-5-5","contents":[`+first+`],`+tools+`}`)
	call := gjson.Get(a.text(), `candidates.0.content.parts.#(functionCall.name=="weather")`)
	a = n.say(ledger.DialectGemini, "acme", `{"model":"anthropic/claude-haiku-5-5","contents":[`+first+`,{"role":"model","parts":[`+call.Raw+`]},
		{"role":"user","parts":[{"functionResponse":{"id":`+call.Get("functionCall.id").Raw+`,"name":"weather","response":{"output":"ok"}}}]}],`+tools+`}`)
	if a.failure != nil {
		t.Fatal(a.failure)
	}
	var bound, used int64
	for _, e := range n.trace(a.id) {
		switch e := e.(type) {
		case *ledger.RequestAdmitted:
			bound = e.Leg.Input
		case *ledger.RequestSettled:
			used = e.Usage.InputTotal()
		}
	}
	if used < 6000 || bound < used {
		t.Errorf("the hold bounds the input by %d tokens, and %d were used", bound, used)
	}
}

// A conversation that has been elsewhere keeps the seals of those it goes on with.
func TestConversationOnThreeLegs(t *testing.T) {
	n := newNode(t)
	n.open("acme", "teams")
	n.own("acme", "anthropic", "cred_a", "cred_b")
	turns := []string{`{"role":"user","content":"[[sandbox call=weather reasoning=20]]"}`}
	ask := func() gjson.Result {
		t.Helper()
		a := n.say(ledger.DialectAnthropicMessages, "acme", `{"model":"anthropic/claude-haiku-5-5","max_tokens":4000,"thinking":{"type":"adaptive","display":"summarized"},
			"tools":[{"name":"weather","input_schema":{"type":"object"}}],"messages":[`+strings.Join(turns, ",")+`]}`)
		if a.failure != nil {
			t.Fatalf("%d turns: %+v", len(turns), a.failure)
		}
		content := gjson.Get(a.text(), "content")
		turns = append(turns, `{"role":"assistant","content":`+content.Raw+`}`)
		return content
	}
	id := ask().Get(`#(type=="tool_use").id`).Raw
	turns = append(turns, `{"role":"user","content":[{"type":"tool_result","tool_use_id":`+id+`,"content":"cold"}]}`)
	reasons := n.up.Script("", "", sandbox.Script{Key: "sk-cred_b", Reasoning: 20})
	undo := n.up.Script("", "", sandbox.Script{Key: "sk-cred_a", Fail: sandbox.Overloaded})
	ask()
	undo()
	defer reasons()
	turns = append(turns, `{"role":"user","content":"and now?"}`)
	ask()
	calls := n.up.Calls()
	if n := len(calls); n != 4 || calls[3].Key != calls[2].Key || calls[3].Key == calls[0].Key {
		t.Errorf("the conversation has left the leg that it was on: %+v", calls)
	}
}
