package http_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	wbhttp "waybill/http"
)

// One key cannot take all calls that the node can have open: who has its share is told to wait, and others are served.
func TestCallsOfAKey(t *testing.T) {
	n := newNode(t, func(o *wbhttp.Options) { o.Limits.KeyCalls = 2 })
	_, greedy := n.open("greedy", "teams", "inference", "admin")
	_, other := n.open("other", "teams")
	var open []*http.Response
	for range 2 {
		open = append(open, n.as(greedy).send("POST", "/v1/chat/completions", strings.NewReader(chatBody(luna, "hi [[sandbox output=60 chunks=10 hang=content]]", `,"stream":true`))))
	}
	calls := n.up.Calls()
	for path, class := range map[string]string{"/v1/chat/completions": "error.code", "/v1/messages": "error.type", "/v1beta/models/gemini-2.5-flash-lite:generateContent": "error.status"} {
		a := n.as(greedy).call("POST", path, chatBody(luna, "hi", "")).want(429)
		if a.header.Get("Retry-After") != "1" || a.text(class) == "" || !strings.Contains(string(a.body), "2 calls open") {
			t.Errorf("%s: %v %s", path, a.header, a.body)
		}
	}
	for path, class := range map[string]string{"/v1/models": "error.code", "/v1/models/gpt-6-luna": "error.code", "/v1beta/models": "error.status"} {
		if a := n.as(greedy).call("GET", path, "").want(429); a.header.Get("Retry-After") != "1" || a.text(class) == "" {
			t.Errorf("%s: %v %s", path, a.header, a.body)
		}
	}
	if a := n.as(greedy).call("GET", "/api/v1/orgs/greedy", "").want(429); a.text("code") != "rate_limited" || a.header.Get("Retry-After") != "1" {
		t.Errorf("%v %s", a.header, a.body)
	}
	n.as(other).chat(luna, "hi", "").want(200)
	for _, c := range calls {
		n.up.Release(c.Attempt)
	}
	for _, r := range open {
		if b, err := io.ReadAll(r.Body); err != nil || !strings.HasSuffix(string(b), "[DONE]\n\n") {
			t.Errorf("%v: %s", err, b)
		}
		r.Body.Close()
	}
	until(t, "a place", func() bool { return n.as(greedy).chat(luna, "hi", "").status == 200 })
}

// Nor can it take all connections. One on which another key calls by now counts for that one.
func TestConnectionsOfAKey(t *testing.T) {
	n := newNode(t, func(o *wbhttp.Options) { o.Limits.KeyConns = 2 })
	_, greedy := n.open("greedy", "teams", "inference", "admin")
	_, other := n.open("other", "teams", "inference", "admin")
	url, _, served := n.listen()
	n.url = url
	ask := func(c net.Conn, org, key string) (status int, closes bool) {
		t.Helper()
		_, err := fmt.Fprintf(c, "GET /api/v1/orgs/%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", org, key)
		n.must(err)
		r, err := http.ReadResponse(bufio.NewReader(c), nil)
		n.must(err)
		_, err = io.Copy(io.Discard, r.Body)
		n.must(err)
		return r.StatusCode, r.Close
	}
	expect := func(c net.Conn, org, key string, status int) {
		t.Helper()
		if got, closes := ask(c, org, key); got != status || closes != (status == 429) {
			t.Errorf("status %d, closed %v: want %d", got, closes, status)
		}
	}
	a, b := n.dial(), n.dial()
	expect(a, "greedy", greedy, 200)
	expect(b, "greedy", greedy, 200)
	expect(a, "greedy", greedy, 200)
	expect(n.dial(), "greedy", greedy, 429)
	expect(n.dial(), "other", other, 200)
	expect(b, "other", other, 200)
	c := n.dial()
	expect(c, "greedy", greedy, 200)
	expect(n.dial(), "greedy", greedy, 429)
	n.must(c.Close())
	until(t, "the closed connection's place", func() bool { s, _ := ask(n.dial(), "greedy", greedy); return s == 200 })
	n.must(n.server.Close())
	n.must(<-served)
}

// A caller who does not read holds no answer of the control API for ever either.
func TestSlowReaderOfControl(t *testing.T) {
	n := newNode(t, func(o *wbhttp.Options) { o.Limits.WriteTimeout = 50 * time.Millisecond })
	for i := range 40 {
		n.open(fmt.Sprintf("org%d", i), "teams")
	}
	c := n.dial()
	n.must(c.(*net.TCPConn).SetReadBuffer(1))
	// Call after call, until the buffers between here and there are full: then it is the server who ends it, or nobody.
	var err error
	for err == nil {
		_, err = fmt.Fprintf(c, "GET /api/v1/events?limit=1000 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", operatorToken)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the server waits for who does not read")
	}
}
