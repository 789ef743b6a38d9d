package http_test

import (
	"strings"
	"testing"
)

// What a request says to waybill about its routing goes no further: upstream arrives what would have without it.
func TestNarrowedRequests(t *testing.T) {
	n := newNode(t, nil)
	org, secret := n.open("acme", "teams")
	for _, c := range []struct{ path, body, said string }{
		{"/v1/chat/completions", `{"model":"openai/gpt-6-luna","messages":[{"role":"user","content":"hi"}]}`, `,"waybill":{"models":["gpt-*"],"metadata":{"team":"research"}}`},
		{"/v1/responses", `{"model":"openai/gpt-6-luna","input":"hi"}`, `,"waybill":{"max_attempts":1}`},
		{"/v1/messages", `{"model":"anthropic/claude-haiku-5-5","max_tokens":50,"messages":[{"role":"user","content":"hi"}]}`, `,"waybill":{"credentials":"platform-only"}`},
		{"/v1beta/models/google/gemini-2.5-flash-lite:generateContent", `{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}`, `,"waybill":{"goal":"cost"}`},
		{"/v1/embeddings", `{"model":"openai/text-embedding-3-small","input":"hi"}`, `,"waybill":{}`},
	} {
		n.as(secret).call("POST", c.path, c.body).want(200)
		narrowed := n.as(secret).call("POST", c.path, strings.TrimSuffix(c.body, "}")+c.said+"}").want(200)
		calls := n.up.Calls()
		plain, cut := calls[len(calls)-2], calls[len(calls)-1]
		if plain.BodySHA256 != cut.BodySHA256 {
			t.Errorf("%s: what waybill is told has changed what its upstream is", c.path)
		}
		if strings.Contains(c.said, "models") {
			id := narrowed.header.Get("Waybill-Request")
			got := n.as(operatorToken).call("GET", "/api/v1/orgs/"+org+"/requests/"+id, "").want(200)
			if !strings.Contains(string(got.body), `"narrowed":{"models":["gpt-*"]}`) || strings.Contains(string(got.body), "research") {
				t.Errorf("the trace must have what narrowed the call, and no metadata: %s", got.body)
			}
		}
	}
	before := len(n.up.Calls())
	if a := n.as(secret).with("Waybill-Models", "claude-*").chat(luna, "hi", "").want(400); a.text("error.param") != "waybill.models" {
		t.Errorf("%s", a.body)
	}
	if a := n.as(secret).with("Waybill-Goal", "fun").chat("auto", "hi", "").want(400); a.text("error.param") != "Waybill-Goal" {
		t.Errorf("%s", a.body)
	}
	if a := n.as(secret).with("Waybill-Credentials", "byok-only").chat(luna, "hi", "").want(400); a.text("error.param") != "waybill.credentials" {
		t.Errorf("%s", a.body)
	}
	for name, field := range map[string]string{"Waybill-Modles": "Waybill-Modles", "waybill-request": "Waybill-Request"} {
		for _, a := range []answer{n.as(secret).with(name, "claude-*").chat(luna, "hi", "").want(400), n.as(secret).with(name, "claude-*").call("GET", "/v1/models", "").want(400)} {
			if m := a.text("error.message"); a.text("error.code") != "invalid" || !strings.Contains(m, field+": is not known") || !strings.Contains(m, "Waybill-Models, Waybill-Credentials, Waybill-Goal, Waybill-Max-Attempts, Waybill-Metadata") {
				t.Errorf("%s: %s", name, a.body)
			}
		}
	}
	n.as(secret).with("Waybill-Models", "claude-*").chat("auto", "hi", "").want(200)
	if a := n.as(secret).with("Waybill-Models", "claude-*").chat("auto", "hi", "").want(200); !strings.HasPrefix(a.header.Get("Waybill-Model"), "anthropic/") {
		t.Errorf("answered by %s", a.header.Get("Waybill-Model"))
	}
	if after := len(n.up.Calls()); after != before+2 {
		t.Errorf("%d calls upstream for two that were served", after-before)
	}
}
