package http_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	wbhttp "waybill/http"
	"waybill/ledger"
	"waybill/router"
	"waybill/router/dialects"
)

const luna = "openai/gpt-6-luna"

var models = []string{luna, "anthropic/claude-haiku-5-5", "google/gemini-2.5-flash-lite"}

// A unary answer says in its headers who answered and what it cost, and the trace says the same.
func TestUnaryHeaders(t *testing.T) {
	n := newNode(t, nil)
	org, secret := n.open("acme", "teams")
	for _, model := range models {
		a := n.as(secret).chat(model, "hello [[sandbox output=20]]", "").want(200)
		if got := a.text("choices.0.message.content"); got == "" {
			t.Errorf("%s: no content: %s", model, a.body)
		}
		for name, want := range map[string]string{"Waybill-Model": model, "Waybill-Credential": "platform", "Waybill-Attempts": "1", "Waybill-Billing": "plan",
			"Waybill-Charge": "0.000000", "Content-Type": "application/json", "Content-Length": fmt.Sprint(len(a.body))} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s: %s: %q, want %q", model, name, got, want)
			}
		}
		id := a.header.Get("Waybill-Request")
		d := n.as(operatorToken).call("GET", "/api/v1/orgs/"+org+"/requests/"+id, "").want(200)
		if d.text("request.state") != "settled" || d.text("request.model") != model || d.get("request.output_tokens") != 20.0 {
			t.Errorf("%s: trace %s", model, d.body)
		}
		if d.text("attempts.0.outcome") != "answered" || d.text("events.1.type") != "request.settled" || d.get("entries.0.account") == nil {
			t.Errorf("%s: trace %s", model, d.body)
		}
	}
}

func TestStream(t *testing.T) {
	n := newNode(t, nil)
	_, secret := n.open("acme", "teams")
	for _, model := range models {
		a := n.as(secret).chat(model, "hello [[sandbox output=40 chunks=5]]", `,"stream":true`).want(200)
		h := a.header
		if h.Get("Content-Type") != "text/event-stream; charset=utf-8" || h.Get("Cache-Control") != "no-cache" || h.Get("X-Accel-Buffering") != "no" ||
			h.Get("Waybill-Model") != model || h.Get("Waybill-Billing") != "" || h.Get("Waybill-Request") == "" {
			t.Errorf("%s: headers %v", model, h)
		}
		if !strings.HasSuffix(string(a.body), "data: [DONE]\n\n") {
			t.Errorf("%s: %s", model, a.body)
		}
	}
	if n.holds() != 0 {
		t.Errorf("%d holds are open", n.holds())
	}
}

// Each error comes in the dialect of the path, with its class in code.
func TestInferenceErrors(t *testing.T) {
	n := newNode(t, nil)
	_, starter := n.open("small", "starter")
	_, teams := n.open("large", "teams")
	adminOnly := n.as(operatorToken).call("POST", "/api/v1/orgs/large/keys", `{"name":"admin","scopes":["admin"]}`).want(201).text("key")
	limited := n.as(operatorToken).call("POST", "/api/v1/orgs/large/keys", `{"name":"limited","models":["claude-*"]}`).want(201).text("key")
	mistyped := teams[:len(teams)-1] + "_"
	for _, tt := range []struct {
		name, secret, body string
		status             int
		code, param        string
	}{
		{"no key", "", chatBody(luna, "hi", ""), 401, "unknown_key", ""},
		{"mistyped key", mistyped, chatBody(luna, "hi", ""), 401, "unknown_key", ""},
		{"operator's token", operatorToken, chatBody(luna, "hi", ""), 401, "unknown_key", ""},
		{"admin key", adminOnly, chatBody(luna, "hi", ""), 403, "forbidden", ""},
		{"model not on the key's list", limited, chatBody(luna, "hi", ""), 403, "key_forbids_model", ""},
		{"manual lane", starter, chatBody(luna, "hi", ""), 403, "plan_excludes_model", ""},
		{"unknown model", teams, chatBody("openai/gpt-0", "hi", ""), 404, "unknown_model", ""},
		{"no JSON", teams, `{"model":`, 400, "invalid", "body"},
		{"empty", teams, ``, 400, "invalid", "body"},
		{"wrong type", teams, chatBody(luna, "hi", `,"temperature":"hot"`), 400, "invalid", "temperature"},
		{"no messages", teams, `{"model":"` + luna + `"}`, 400, "invalid", "messages"},
		{"upstream fails", teams, chatBody(luna, "hi [[sandbox fail=overloaded]]", ""), 502, "upstream_failed", ""},
		{"upstream slows down", teams, chatBody(luna, "hi [[sandbox fail=rate_limited]]", ""), 429, "rate_limited", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := n.as(tt.secret).call("POST", "/v1/chat/completions", tt.body)
			if a.status != tt.status || a.text("error.code") != tt.code || a.text("error.param") != tt.param || a.text("error.message") == "" {
				t.Errorf("status %d: %s", a.status, a.body)
			}
			if !strings.HasPrefix(a.header.Get("Waybill-Request"), "req_") {
				t.Errorf("headers %v", a.header)
			}
			if again := a.header.Get("Retry-After"); (a.status == 429) != (again != "") {
				t.Errorf("Retry-After %q with %d", again, a.status)
			}
		})
	}
}

func TestOutOfFunds(t *testing.T) {
	n := newNode(t, nil)
	n.as(operatorToken).call("POST", "/api/v1/plans", `{"id":"tiny","tokens":2000,"lanes":["auto","manual"],"credit":true}`).want(201)
	_, secret := n.open("poor", "tiny")
	clipped := n.as(secret).chat(luna, "hi", "").want(200)
	if limit := clipped.header.Get("Waybill-Output-Cap"); limit == "" {
		t.Errorf("the cap was clipped, and nothing says so: %v", clipped.header)
	}
	a := n.as(secret).chat(luna, "hi", `,"max_tokens":20000`).want(402)
	if a.text("error.code") != "insufficient_funds" || a.header.Get("X-Should-Retry") != "false" {
		t.Errorf("%v %s", a.header, a.body)
	}
}

// The same Idempotency-Key is one call: the second gets the first one's id, and nothing goes upstream.
func TestIdempotency(t *testing.T) {
	n := newNode(t, nil)
	_, secret := n.open("acme", "teams")
	once := n.as(secret).with("Idempotency-Key", `"once"`)
	first := once.chat(luna, "hi", "").want(200)
	calls := len(n.up.Calls())
	again := n.as(secret).with("Idempotency-Key", `once`).chat(luna, "hi", "").want(409)
	if again.text("error.code") != "repeated" || again.header.Get("Waybill-Request") != first.header.Get("Waybill-Request") || again.header.Get("X-Should-Retry") != "false" {
		t.Errorf("%v %s", again.header, again.body)
	}
	if other := once.chat(luna, "something else", "").want(409); other.text("error.code") != "conflict" || other.header.Get("Waybill-Request") != first.header.Get("Waybill-Request") {
		t.Errorf("%v %s", other.header, other.body)
	}
	if now := len(n.up.Calls()); now != calls {
		t.Errorf("%d calls went upstream for repeated ones", now-calls)
	}
	_, elsewhere := n.open("other", "teams")
	n.as(elsewhere).with("Idempotency-Key", "once").chat(luna, "hi", "").want(200) // another org's keys are its own
	n.as(secret).with("Idempotency-Key", strings.Repeat("x", 256)).chat(luna, "hi", "").want(400)
	n.as(secret).with("Idempotency-Key", "with space").chat(luna, "hi", "").want(400)
}

// A key shows in any of the three places where the dialects' clients put it.
func TestKeyPlaces(t *testing.T) {
	n := newNode(t, nil)
	_, secret := n.open("acme", "teams")
	for _, name := range []string{"X-Api-Key", "X-Goog-Api-Key"} {
		n.as("").with(name, secret).chat(luna, "hi", "").want(200)
	}
}

// A caller who leaves is billed for what was made, and leaves no hold.
func TestCallerLeaves(t *testing.T) {
	n := newNode(t, nil)
	org, secret := n.open("acme", "teams")
	ctx, leave := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "POST", n.url+"/v1/chat/completions", strings.NewReader(chatBody(luna, "hi [[sandbox output=100 chunks=20 delay=5ms]]", `,"stream":true`)))
	n.must(err)
	req.Header.Set("Authorization", "Bearer "+secret)
	resp, err := http.DefaultClient.Do(req)
	n.must(err)
	_, err = resp.Body.Read(make([]byte, 1))
	n.must(err)
	leave()
	resp.Body.Close()
	until(t, "the settlement", func() bool { return n.holds() == 0 })
	d := n.as(operatorToken).call("GET", "/api/v1/orgs/"+org+"/requests", "").want(200)
	if d.text("requests.0.state") != "settled" || d.text("requests.0.reason") != "client_gone" || d.get("requests.0.output_tokens") != 100.0 {
		t.Errorf("%s", d.body)
	}
}

// bomb is OpenAI's dialect with a bug: it panics where it is told to.
type bomb struct{ router.Inbound }

func (b bomb) Decode(in router.Incoming) (*router.Request, error) {
	if bytes.Contains(in.Body, []byte("panic at decode")) {
		panic("a bug, with sk-secret nowhere near")
	}
	return b.Inbound.Decode(in)
}

func (b bomb) Writer(q *router.Request, h router.Head, from ledger.Dialect) router.Writer {
	if bytes.Contains(q.Body, []byte("panic at writer")) {
		panic("a bug after admission")
	}
	return fuse{b.Inbound.Writer(q, h, from), bytes.Contains(q.Body, []byte("panic at end"))}
}

type fuse struct {
	router.Writer
	lit bool
}

func (f fuse) End(u ledger.Usage) []byte {
	if f.lit {
		panic("a bug in the middle of an answer")
	}
	return f.Writer.End(u)
}

// A bug of ours is a 500 in the caller's dialect, or a cut; never a clean end, never a hold for ever, never the node's end.
func TestPanic(t *testing.T) {
	n := newNode(t, func(o *wbhttp.Options) {
		o.Inbounds = map[ledger.Dialect]router.Inbound{ledger.DialectOpenAIChat: bomb{dialects.Inbounds[ledger.DialectOpenAIChat]}}
	})
	_, secret := n.open("acme", "teams")
	for _, words := range []string{"panic at decode", "panic at writer"} {
		if a := n.as(secret).chat(luna, words, "").want(500); a.text("error.type") != "server_error" || strings.Contains(string(a.body), "a bug") {
			t.Errorf("%s: %s", words, a.body)
		}
	}
	resp := n.as(secret).send("POST", "/v1/chat/completions", strings.NewReader(chatBody(luna, "panic at end [[sandbox output=100 chunks=10]]", `,"stream":true`)))
	b, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err == nil || bytes.Contains(b, []byte("[DONE]")) {
		t.Errorf("a cut answer looks finished: %v, %s", err, b)
	}
	n.as(secret).chat(luna, "hi", "").want(200)
	if n.holds() != 0 {
		t.Errorf("%d holds are open", n.holds())
	}
	if log := n.log.String(); strings.Count(log, "panic=") != 3 || strings.Contains(log, secret) || strings.Contains(log, "sk-platform") || strings.Contains(log, operatorToken) {
		t.Errorf("the node's log: %s", log)
	}
}

// A hundred streams at once each get their own answer whole.
func TestManyStreams(t *testing.T) {
	n := newNode(t, nil)
	_, secret := n.open("acme", "teams")
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			say := fmt.Sprintf("answer number %d of a hundred", i)
			req, err := http.NewRequestWithContext(t.Context(), "POST", n.url+"/v1/chat/completions",
				strings.NewReader(chatBody(models[i%3], fmt.Sprintf(`hi [[sandbox say=%q delay=1ms]]`, say), `,"stream":true,"max_tokens":1000`)))
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("Authorization", "Bearer "+secret)
			resp, err := client.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			if got := spoken(b); err != nil || got != say {
				t.Errorf("stream %d: %v: %q", i, err, got)
			}
		})
	}
	wg.Wait()
	if n.holds() != 0 {
		t.Errorf("%d holds are open", n.holds())
	}
}

// spoken joins the content of a stream that has its end.
func spoken(b []byte) (text string) {
	if !bytes.HasSuffix(b, []byte("data: [DONE]\n\n")) {
		return "cut: " + string(b)
	}
	for line := range strings.Lines(string(b)) {
		var v struct {
			Choices []struct{ Delta struct{ Content string } }
		}
		if data, ok := strings.CutPrefix(line, "data: {"); ok && json.Unmarshal([]byte("{"+data), &v) == nil && len(v.Choices) > 0 {
			text += v.Choices[0].Delta.Content
		}
	}
	return text
}

// A reader who takes nothing cannot hold a call for longer than the write timeout and the drain.
func TestSlowReader(t *testing.T) {
	n := newNode(t, func(o *wbhttp.Options) { o.Limits.WriteTimeout = 50 * time.Millisecond })
	org, secret := n.open("acme", "teams")
	c := n.dial()
	n.must(c.(*net.TCPConn).SetReadBuffer(1))
	// More than the buffers between here and there take, in small frames.
	body := chatBody(luna, "hi [[sandbox output=100000]]", `,"stream":true,"max_tokens":100000`)
	_, err := fmt.Fprintf(c, "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", secret, len(body), body)
	n.must(err)
	until(t, "the beginning of the call", func() bool { return n.holds() != 0 })
	until(t, "its end", func() bool { return n.holds() == 0 })
	if d := n.as(operatorToken).call("GET", "/api/v1/orgs/"+org+"/requests", "").want(200); d.text("requests.0.reason") != "client_gone" || d.text("requests.0.usage_source") != "provider" {
		t.Errorf("%s", d.body)
	}
}

// Each dialect's clients find the id of a call where they look for it, in refusals too.
func TestRequestIDs(t *testing.T) {
	n := newNode(t, nil)
	_, secret := n.open("acme", "teams")
	for path, name := range map[string]string{"/v1/messages": "Request-Id", "/v1/chat/completions": "X-Request-Id", "/v1/responses": "X-Request-Id", "/v1/embeddings": "X-Request-Id"} {
		a := n.as(secret).call("POST", path, `{}`).want(400)
		if id := a.header.Get(name); id == "" || id != a.header.Get("Waybill-Request") {
			t.Errorf("%s: %s is %q, and the call %q", path, name, id, a.header.Get("Waybill-Request"))
		}
	}
	a := n.as(secret).call("POST", "/v1/chat/completions", `{"model":"`+luna+`","messages":[{"role":"user","content":"hello"}]}`).want(200)
	if id := a.header.Get("X-Request-Id"); id == "" || id == a.header.Get("Waybill-Request") {
		t.Errorf("the upstream's id is not passed on: %q", id)
	}
}
