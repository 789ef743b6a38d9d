package http_test

import (
	"strings"
	"testing"
)

// A key is found in whatever header it comes, beside secrets that are not ours, and who sends none is told where it goes.
func TestWhereKeysAre(t *testing.T) {
	n := newNode(t, nil)
	_, key := n.open("acme", "teams")
	const messages, gemini = "/v1/messages", "/v1beta/models/gemini-2.5-flash-lite:generateContent"
	body := `{"model":"openai/gpt-6-luna","max_tokens":50,"messages":[{"role":"user","content":"hi"}]}`
	n.as("sk-ant-of-another").with("X-Api-Key", key).call("POST", messages, body).want(200)
	n.as("wbk_mistyped").with("X-Goog-Api-Key", key).call("POST", messages, body).want(200)
	for _, tt := range []struct{ secret, path, field, says string }{
		{"", "/v1/chat/completions", "error.message", "send Authorization: Bearer wbk_"},
		{"", messages, "error.message", "send x-api-key: wbk_"},
		{"sk-other", gemini, "error.message", "send x-goog-api-key: wbk_"},
		{"", gemini + "?key=" + key, "error.message", "?key= ends up in logs: send x-goog-api-key: wbk_"},
	} {
		if a := n.as(tt.secret).call("POST", tt.path, body).want(401); !strings.Contains(a.text(tt.field), tt.says) || strings.Contains(a.text(tt.field), key) {
			t.Errorf("%s: %s", tt.path, a.body)
		}
	}
}

// What is not quite a call of a dialect's is answered in its shape, and a byte order mark is no fault.
func TestNearCalls(t *testing.T) {
	n := newNode(t, nil)
	_, key := n.open("acme", "teams")
	a := n.as(key).call("POST", "/v1beta/models/gemini-2.5-flash-lite:foo", `{}`).want(404)
	if a.text("error.status") != "NOT_FOUND" || !strings.Contains(a.text("error.message"), `no method "foo"`) {
		t.Errorf("%s", a.body)
	}
	n.as(key).call("POST", "/v1beta/models/gemini-2.5-flash-lite", `{}`).want(405)
	n.as(key).call("POST", "/v1/chat/completions", "\uFEFF"+chatBody(luna, "hi", "")).want(200)
}
