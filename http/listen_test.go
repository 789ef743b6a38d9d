package http_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	wbhttp "waybill/http"
)

// until waits for what another goroutine is about to do.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// listen serves a node's server itself, on a free port and on a socket.
func (n *node) listen() (url, socket string, served chan error) {
	n.t.Helper()
	addr, err := n.server.Listen("127.0.0.1:0")
	n.must(err)
	socket = filepath.Join(n.t.TempDir(), "waybill.sock")
	n.must(os.WriteFile(socket, nil, 0o644)) // what an earlier node left behind
	n.must(n.server.ListenUnix(socket))
	served = make(chan error, 1)
	go func() { served <- n.server.Serve() }()
	return "http://" + addr.String(), socket, served
}

// Over the Unix socket, and within the process, the caller is the operator.
func TestClient(t *testing.T) {
	n := newNode(t, nil)
	_, socket, served := n.listen()
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 || info.Mode().Type() != os.ModeSocket {
		t.Errorf("socket: %v, %v", info, err)
	}
	here, there := wbhttp.InProcess(n.server), wbhttp.Dial(socket)
	for name, c := range map[string]*wbhttp.Client{"here": here, "there": there} {
		var org struct{ ID, Name string }
		n.must(c.Do(t.Context(), "POST", "/api/v1/orgs", map[string]string{"name": name}, &org))
		if org.ID == "" || org.Name != name {
			t.Errorf("%s: %+v", name, org)
		}
		var raw json.RawMessage
		n.must(c.Do(t.Context(), "GET", "/api/v1/orgs/"+name, nil, &raw))
		var p *wbhttp.Problem
		if err := c.Do(t.Context(), "GET", "/api/v1/orgs/nobody", nil, nil); !errors.As(err, &p) || p.Status != 404 || p.Code != "not_found" || p.Detail == "" || p.Request == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	n.must(here.Close())
	n.must(there.Close())
	n.must(n.server.Drain(t.Context()))
	n.must(<-served)
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket stays: %v", err)
	}
	if err := wbhttp.Dial(socket).Do(t.Context(), "GET", "/healthz", nil, nil); err == nil || strings.Contains(err.Error(), "http://") {
		t.Errorf("calling a node that is gone: %v", err)
	}
}

// The tail gives what is there after a position, then what comes, until its reader has enough.
func TestTail(t *testing.T) {
	n := newNode(t, nil)
	n.open("acme", "teams")
	c := wbhttp.InProcess(n.server)
	defer c.Close()
	enough := errors.New("enough")
	var seen []uint64
	var types []string
	err := c.Tail(t.Context(), "/api/v1/events/tail?org=acme&after=0", func(data []byte) error {
		var e struct {
			Position uint64
			Type     string
			Data     json.RawMessage
		}
		n.must(json.Unmarshal(data, &e))
		seen, types = append(seen, e.Position), append(types, e.Type)
		switch e.Type {
		case "key.issued":
			return c.Do(t.Context(), "POST", "/api/v1/orgs/acme/suspend", nil, nil)
		case "org.suspended":
			return enough
		}
		return nil
	})
	if want := "org.opened plan.subscribed period.opened key.issued org.suspended"; err != enough || strings.Join(types, " ") != want {
		t.Errorf("%v: %v", err, types)
	}
	var page struct{ Events []struct{ Position uint64 } }
	n.must(c.Do(t.Context(), "GET", "/api/v1/events?org=acme&limit=1000", nil, &page))
	for i, e := range page.Events {
		if e.Position != seen[i] {
			t.Errorf("event %d of the page is %d, of the tail %d", i, e.Position, seen[i])
		}
	}
	if err := c.Tail(t.Context(), "/api/v1/events/tail?org=nobody", nil); err == nil {
		t.Error("a tail of an org that is not there")
	}
	_, admin := n.open("other", "teams", "admin")
	n.as(admin).call("GET", "/api/v1/events/tail", "").want(403)
	n.as(admin).call("GET", "/api/v1/events", "").want(403)
}

// A drain lets the open call end, refuses the next, and ends the tails.
func TestDrain(t *testing.T) {
	n := newNode(t, nil)
	_, secret := n.open("acme", "teams")
	url, socket, served := n.listen()
	n.url = url
	c := wbhttp.Dial(socket)
	defer c.Close()
	tail := make(chan error, 1)
	go func() { tail <- c.Tail(t.Context(), "/api/v1/events/tail", func([]byte) error { return nil }) }()
	resp := n.as(secret).send("POST", "/v1/chat/completions", strings.NewReader(chatBody(luna, "hi [[sandbox output=60 chunks=10 hang=content]]", `,"stream":true`)))
	defer resp.Body.Close()
	drained := make(chan error, 1)
	go func() { drained <- n.server.Drain(t.Context()) }()
	until(t, "not ready", func() bool { return n.as("").call("GET", "/readyz", "").status == 503 })
	if a := n.as(secret).chat(luna, "hi", "").want(503); a.text("error.code") != "not_ready" || a.header.Get("Retry-After") == "" {
		t.Errorf("%v %s", a.header, a.body)
	}
	n.must(<-tail)
	calls := n.up.Calls()
	until(t, "the hang", func() bool { return n.up.Release(calls[len(calls)-1].Attempt) > 0 })
	b, err := io.ReadAll(resp.Body)
	if err != nil || !strings.HasSuffix(string(b), "[DONE]\n\n") {
		t.Errorf("the open call does not end well: %v: %s", err, b)
	}
	n.must(<-drained)
	n.must(<-served)
}

// At the end of a drain's time, what is still open gets its dialect's error and is settled on an estimate.
func TestDrainStops(t *testing.T) {
	n := newNode(t, nil)
	org, secret := n.open("acme", "teams")
	url, _, served := n.listen()
	own := n.url
	n.url = url
	resp := n.as(secret).send("POST", "/v1/chat/completions", strings.NewReader(chatBody(luna, "hi [[sandbox output=60 chunks=10 hang=content]]", `,"stream":true`)))
	defer resp.Body.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	n.must(n.server.Drain(ctx))
	n.must(<-served)
	b, err := io.ReadAll(resp.Body)
	if err != nil || strings.Contains(string(b), "[DONE]") || !strings.Contains(string(b), `"upstream_failed"`) {
		t.Errorf("a stopped answer: %v: %s", err, b)
	}
	if n.holds() != 0 {
		t.Errorf("%d holds are open", n.holds())
	}
	n.url = own
	if d := n.as(operatorToken).call("GET", "/api/v1/orgs/"+org+"/requests", "").want(http.StatusOK); d.text("requests.0.state") != "settled" || d.text("requests.0.usage_source") != "estimate" {
		t.Errorf("%s", d.body)
	}
}

// Connections beyond the limit wait for one to end.
func TestMaxConns(t *testing.T) {
	n := newNode(t, func(o *wbhttp.Options) { o.Limits.MaxConns = 1 })
	url, _, served := n.listen()
	n.url = url
	c := n.dial()
	ask := func() int {
		t.Helper()
		req, err := http.NewRequest("GET", url+"/healthz", nil)
		n.must(err)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		resp, err := http.DefaultClient.Do(req.WithContext(ctx))
		if err != nil {
			return 0
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if status := ask(); status != 0 {
		t.Errorf("a second connection is served: %d", status)
	}
	c.Close()
	until(t, "the freed place", func() bool { return ask() == 200 })
	n.must(n.server.Close())
	n.must(<-served)
}

// A data folder whose path is too long for its socket is told so.
func TestLongSocket(t *testing.T) {
	n := newNode(t, nil)
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 120))
	n.must(os.Mkdir(dir, 0o700))
	if err := n.server.ListenUnix(filepath.Join(dir, "waybill.sock")); err == nil || !strings.Contains(err.Error(), "shorter") {
		t.Errorf("%v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
}
