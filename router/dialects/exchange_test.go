package dialects_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
	"waybill/router/dialects"
)

func TestRequestLine(t *testing.T) {
	for _, tt := range []struct {
		dialect ledger.Dialect
		stream  bool
		url     string
		auth    string
		value   string
	}{
		{chat, false, "/v1/chat/completions", "Authorization", "Bearer sk-secret-0123"},
		{chat, true, "/v1/chat/completions", "Authorization", "Bearer sk-secret-0123"},
		{claude, true, "/v1/v1/messages", "X-Api-Key", "sk-secret-0123"},
		{gem, false, "/v1/v1beta/models/model%2F1%3Fx:generateContent", "X-Goog-Api-Key", "sk-secret-0123"},
		{gem, true, "/v1/v1beta/models/model%2F1%3Fx:streamGenerateContent?alt=sse", "X-Goog-Api-Key", "sk-secret-0123"},
	} {
		base := serve(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			want := map[string]string{
				"Content-Type": "application/json", "User-Agent": "waybill", "X-Client-Request-Id": "req-1.1",
				"Accept-Encoding": "identity", tt.auth: tt.value,
			}
			if tt.dialect == claude {
				want["Anthropic-Version"] = "2023-06-01"
			}
			for name, value := range want {
				if r.Header.Get(name) != value {
					t.Errorf("%s: %s is %q", tt.url, name, r.Header.Get(name))
				}
			}
			if r.Method != "POST" || r.RequestURI != tt.url || !gjson.ValidBytes(body) {
				t.Errorf("%s %s with %s, want POST %s", r.Method, r.RequestURI, body, tt.url)
			}
			w.WriteHeader(400)
		})
		c := call(hello(t, tt.stream), base+"/v1")
		c.Model.ID = "model/1?x"
		if _, err := dialects.Upstreams[tt.dialect].Open(context.Background(), c); failure(t, err).Status != 400 {
			t.Error(err)
		}
	}
}

// stalled serves the beginning of an answer and then nothing until the client leaves.
func stalled(t *testing.T, kind, begin string) string {
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		if kind != "" {
			w.Header().Set("Content-Type", kind)
			w.Write([]byte(begin))
			http.NewResponseController(w).Flush()
		}
		io.Copy(io.Discard, r.Body) // only then does the server see the client leave
		<-r.Context().Done()
	})
}

func TestIdleUpstream(t *testing.T) {
	for _, stream := range []bool{false, true} {
		kind, begin := "application/json", `{"id":`
		if stream {
			kind, begin = "text/event-stream", ": wait\n\n"
		}
		c := call(hello(t, stream), stalled(t, kind, begin))
		c.Idle = 20 * time.Millisecond
		_, err := read(open(t, chat, c))
		if e := failure(t, err); e.Class != router.ClassTimeout || e.Status != 200 {
			t.Errorf("stream %t: %v", stream, e)
		}
	}
}

// Only waiting for the upstream counts: a caller who takes the answer slowly does not make it time out.
func TestSlowReaderIsNotIdle(t *testing.T) {
	body, kind, _ := fixture(t, "openai_text.sse")
	goOn := make(chan struct{})
	c := call(hello(t, true), serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Write(body[:700])
		http.NewResponseController(w).Flush()
		<-goOn
		w.Write(body[700:])
	}))
	c.Idle = 50 * time.Millisecond
	reply := open(t, chat, c)
	if _, err := reply.Next(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * c.Idle) // the time that must not count
	close(goOn)
	if _, err := read(reply); err != io.EOF {
		t.Error(err)
	}
}

func TestEndOfPatience(t *testing.T) {
	own := &router.UpstreamError{Class: router.ClassTimeout, Code: "first_byte"}
	for name, tt := range map[string]struct {
		ctx   func() (context.Context, func())
		class router.Class
	}{
		"deadline": {func() (context.Context, func()) {
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
			return ctx, cancel
		}, router.ClassTimeout},
		"canceled": {func() (context.Context, func()) {
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(30*time.Millisecond, cancel)
			return ctx, cancel
		}, router.ClassCanceled},
		"with a cause": {func() (context.Context, func()) {
			ctx, cancel := context.WithCancelCause(context.Background())
			time.AfterFunc(30*time.Millisecond, func() { cancel(own) })
			return ctx, func() { cancel(nil) }
		}, router.ClassTimeout},
	} {
		for _, kind := range []string{"", "application/json", "text/event-stream"} {
			ctx, cancel := tt.ctx()
			reply, err := dialects.Upstreams[chat].Open(ctx, call(hello(t, kind != "application/json"), stalled(t, kind, " ")))
			if err == nil {
				_, err = read(reply)
				reply.Close()
			}
			if e := failure(t, err); e.Class != tt.class || name == "with a cause" && e != own {
				t.Errorf("%s, %q: %v", name, kind, e)
			}
			cancel()
		}
	}
}

func TestNoUpstream(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base := "http://user:hidden@" + l.Addr().String()
	l.Close()
	for _, base := range []string{base, "http://bad host", "://"} {
		_, err = dialects.Upstreams[chat].Open(context.Background(), call(hello(t, false), base))
		if e := failure(t, err); e.Class != router.ClassConnection || e.Status != 0 || strings.Contains(e.Error(), "hidden") {
			t.Errorf("%s: %v", base, e)
		}
	}
}

func TestAnswersAreBounded(t *testing.T) {
	chunk := bytes.Repeat([]byte(" "), 1<<20)
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") == "text/event-stream" {
			w.Header().Set("Content-Type", "text/event-stream")
		}
		for range 40 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	for _, stream := range []bool{false, true} {
		_, err := read(open(t, chat, call(hello(t, stream), base)))
		if e := failure(t, err); e.Class != router.ClassServerError {
			t.Errorf("stream %t: %v", stream, e)
		}
	}
}

// Closing ends the call upstream at once, and is harmless afterwards.
func TestCloseEndsTheCall(t *testing.T) {
	left := make(chan struct{})
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Write([]byte(": wait\n\n"))
		http.NewResponseController(w).Flush()
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		close(left)
	})
	reply := open(t, chat, call(hello(t, true), base))
	if _, err := reply.Next(); err != nil {
		t.Fatal(err)
	}
	reply.Close()
	reply.Close()
	<-left
}

// A connection serves the next call after an answer was read to its end mark, though the body ends after that.
func TestConnectionsAreKept(t *testing.T) {
	var connections atomic.Int64
	body, kind, _ := fixture(t, "openai_text.sse")
	marked := make(chan struct{})
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", kind)
		w.Write(body)
		http.NewResponseController(w).Flush()
		<-marked
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	for range 5 {
		reply := open(t, chat, call(hello(t, true), s.URL))
		if _, err := read(reply); err != io.EOF {
			t.Fatal(err)
		}
		marked <- struct{}{}
		reply.Close()
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections for five calls one after the other", n)
	}
}

func TestTierFromTheHeader(t *testing.T) {
	body, _, _ := fixture(t, "gemini_text.json")
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Gemini-Service-Tier", "flex")
		w.Write(body)
	})
	steps, err := read(open(t, gem, call(hello(t, false), base)))
	if err != io.EOF || steps[0].Tier != "flex" {
		t.Errorf("%v %+v", err, steps)
	}
}

// What a leg cannot carry is refused by the caller's own name for it, or for a part of it, and nothing is sent.
func TestNothingIsLostSilently(t *testing.T) {
	var sent atomic.Int64
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) { sent.Add(1) })
	for body, want := range map[string]map[ledger.Dialect]string{
		`{"model":"m","messages":[{"role":"user","content":"a"}],"tools":[{"type":"custom","custom":{"name":"x"}}]}`:                                                               {claude: "tools", gem: "tools"},
		`{"model":"m","messages":[{"role":"user","content":"a"}],"logit_bias":{"1":5}}`:                                                                                            {claude: "logit_bias", gem: "logit_bias"},
		`{"model":"m","messages":[{"role":"user","content":"a"}],"store":true}`:                                                                                                    {claude: "store", gem: "store"},
		`{"model":"m","messages":[{"role":"user","content":"a"}],"seed":1}`:                                                                                                        {claude: "seed"},
		`{"model":"m","messages":[{"role":"user","content":"a"}],"seed":4294967296}`:                                                                                               {claude: "seed", gem: "seed"},
		`{"model":"m","messages":[{"role":"user","content":"a"}],"n":2}`:                                                                                                           {claude: "n"},
		`{"model":"m","messages":[{"role":"user","content":"a"}],"presence_penalty":1}`:                                                                                            {claude: "presence_penalty"},
		`{"model":"m","messages":[{"role":"user","content":"a"}],"frequency_penalty":1}`:                                                                                           {claude: "frequency_penalty"},
		`{"model":"m","messages":[{"role":"user","content":"a"}],"service_tier":"flex"}`:                                                                                           {claude: "service_tier"},
		`{"model":"m","messages":[{"role":"user","content":"a"}],"service_tier":"scale"}`:                                                                                          {claude: "service_tier", gem: "service_tier"},
		`{"model":"m","messages":[{"role":"user","content":"a"}],"reasoning_effort":"odd"}`:                                                                                        {claude: "reasoning_effort", gem: "reasoning_effort"},
		`{"model":"m","messages":[{"role":"system","content":"a"}]}`:                                                                                                               {claude: "messages", gem: "messages"},
		`{"model":"m","messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}`:                                                                              {claude: "messages", gem: "messages"},
		`{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"u"}}]}]}`:                                           {claude: "messages[0].content[1]", gem: "messages[0].content[1]"},
		`{"model":"m","messages":[{"role":"system","content":[{"type":"file","file":{}}]},{"role":"user","content":"a"}]}`:                                                         {claude: "messages[0].content[0]", gem: "messages[0].content[0]"},
		`{"model":"m","messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"custom","custom":{"name":"x","input":"y"}}]},{"role":"user","content":"a"}]}`: {claude: "messages[0].tool_calls", gem: "messages[0].tool_calls"},
	} {
		for d, field := range want {
			_, err := dialects.Upstreams[d].Open(context.Background(), call(request(t, body), base))
			if e, ok := errors.AsType[*router.FieldError](err); !ok || !strings.HasPrefix(e.Field, field) || e.Reason == "" {
				t.Errorf("%s %s: %v, want %s", d, body, err, field)
			}
		}
	}
	if n := sent.Load(); n != 0 {
		t.Errorf("%d calls went out", n)
	}
}
