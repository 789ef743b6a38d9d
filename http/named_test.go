package http_test

import (
	"strings"
	"testing"
	"time"

	"waybill/ledger"
)

// A request is found by whatever id its caller has: the header's, the answer's own in each dialect, be it waybill's or the upstream's,
// and by an attempt's. One that was refused is said to be none, and why.
func TestRequestByAnyID(t *testing.T) {
	n := newNode(t, nil)
	org, secret := n.open("acme", "teams", "inference", "admin")
	_, other := n.open("other", "teams", "admin")
	p, op := n.as(secret), n.as(operatorToken)
	haiku := "anthropic/claude-haiku-5-5"
	for _, c := range []struct {
		name, path, body, id string
		own                  bool // it is waybill's
	}{
		{"chat, passed on", "/v1/chat/completions", `{"model":"` + luna + `","messages":[{"role":"user","content":"hi"}]}`, "id", false},
		{"chat, translated", "/v1/chat/completions", `{"model":"` + haiku + `","messages":[{"role":"user","content":"hi"}]}`, "id", true},
		{"responses, translated", "/v1/responses", `{"model":"` + haiku + `","input":"hi"}`, "id", true},
		{"an item of responses", "/v1/responses", `{"model":"` + haiku + `","input":"hi"}`, "output.0.id", true},
		{"messages, passed on", "/v1/messages", `{"model":"` + haiku + `","max_tokens":50,"messages":[{"role":"user","content":"hi"}]}`, "id", false},
		{"messages, translated", "/v1/messages", `{"model":"` + luna + `","max_tokens":50,"messages":[{"role":"user","content":"hi"}]}`, "id", true},
		{"gemini, translated", "/v1beta/models/" + luna + ":generateContent", `{"contents":[{"parts":[{"text":"hi"}]}]}`, "responseId", true},
	} {
		a := p.call("POST", c.path, c.body).want(200)
		id, of := a.text(c.id), a.header.Get("Waybill-Request")
		if id == "" || strings.Contains(id, of) != c.own {
			t.Errorf("%s: the answer's id %q, of %s", c.name, id, of)
		}
		for _, id := range []string{of, id} {
			for _, d := range []answer{p.call("GET", "/api/v1/orgs/acme/requests/"+id, "").want(200), op.call("GET", "/api/v1/requests/"+id, "").want(200)} {
				if d.text("request.id") != of || d.text("request.org") != org || len(d.text("events.0.type")) == 0 {
					t.Errorf("%s: by %s: %s", c.name, id, d.body)
				}
			}
			n.as(other).call("GET", "/api/v1/orgs/other/requests/"+id, "").want(404)
		}
		op.call("GET", "/api/v1/requests/"+of+".1", "").want(200)
	}

	refused := p.chat("nova", "hi", "").want(404)
	id := refused.header.Get("Waybill-Request")
	for _, id := range []string{id, "chatcmpl-" + id, "req_nothing"} {
		d := op.call("GET", "/api/v1/requests/"+id, "").want(404).text("detail")
		if !strings.Contains(d, id) || !strings.Contains(d, "no call was admitted under this id") || !strings.Contains(d, "the error that its caller got says why") {
			t.Errorf("%s: %s", id, d)
		}
		if _, at, told := strings.Cut(d, "given to a call, it was at "); told != (id != "req_nothing") {
			t.Errorf("%s: %s", id, d)
		} else if when, err := time.Parse(time.RFC3339, at); told && (err != nil || time.Since(when) > time.Minute) {
			t.Errorf("%s: %s", id, d)
		}
	}
	if d := n.as(other).call("GET", "/api/v1/orgs/other/requests/"+id, "").want(404); d.text("code") != string(ledger.CodeNotFound) {
		t.Errorf("%s", d.body)
	}
}
