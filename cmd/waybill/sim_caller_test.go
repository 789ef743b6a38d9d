package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
)

// simCaller is one call of a developer's.
type simCaller struct {
	s       *sim
	life    *life
	org     simOrg
	dialect string
	stream  bool
	leave   context.CancelFunc
	ended   atomic.Bool

	header http.Header
	mu     sync.Mutex
	status int
	body   bytes.Buffer
	whole  bool   // what has come looks finished
	id     string // of the request, once something has come
}

// simDialects is where callers of each dialect call, how they ask, and what no stream that is cut may show: its end.
var simDialects = map[string]struct{ path, streamed, body, finish string }{
	"chat": {"/v1/chat/completions", "/v1/chat/completions",
		`{"model":%q,"stream":%t,"messages":[{"role":"user","content":%q}]}`, `"finish_reason":"`},
	"responses": {"/v1/responses", "/v1/responses", `{"model":%q,"stream":%t,"input":%q}`, `response.completed`},
	"messages": {"/v1/messages", "/v1/messages",
		`{"model":%q,"stream":%t,"max_tokens":500,"messages":[{"role":"user","content":%q}]}`, `"stop_reason":"`},
	"gemini": {"/v1beta/models/%s:generateContent", "/v1beta/models/%s:streamGenerateContent?alt=sse",
		`{"contents":[{"role":"user","parts":[{"text":%q}]}]}`, `"finishReason":"`},
}

// call begins a call, and goes on while it is open.
func (s *sim) call() {
	org, _ := oneOf(s.rand, s.orgs)
	dialect, _ := oneOf(s.rand, []string{"chat", "responses", "messages", "gemini"})
	model, _ := oneOf(s.rand, org.models)
	c := &simCaller{s: s, life: s.life, org: org, dialect: dialect, stream: s.chance(2), header: http.Header{}}
	prompt := fmt.Sprintf("Call %d. [[sandbox output=%d]]", len(s.callers), 1+s.rand.IntN(60))
	d := simDialects[dialect]
	path, body := d.path, fmt.Sprintf(d.body, model, c.stream, prompt)
	if dialect == "gemini" {
		if c.stream {
			path = d.streamed
		}
		path, body = fmt.Sprintf(path, model), fmt.Sprintf(d.body, prompt)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	c.leave = cancel
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+org.key)
	if s.chance(8) {
		r.Header.Set("Idempotency-Key", fmt.Sprint("again-", s.rand.IntN(5)))
	}
	s.mu.Lock()
	s.callers = append(s.callers, c)
	s.mu.Unlock()
	s.tell("a call of %s in %s, stream %t, for %s", org.name, dialect, c.stream, model)
	s.count("calls")
	server := s.node.server
	go func() {
		defer cancel()
		defer c.ended.Store(true)
		server.ServeHTTP(c, r)
	}()
}

// The caller is what the server writes to.

func (c *simCaller) Header() http.Header { return c.header }

func (c *simCaller) WriteHeader(status int) {
	if c.status == 0 {
		c.status = status
	}
}

func (c *simCaller) Flush() {}

func (c *simCaller) Write(b []byte) (int, error) {
	if c.life.over.Load() {
		return 0, errReset
	}
	if finished := c.take(b); finished {
		c.s.held(c.id) // before the caller can have read it
	}
	return len(b), nil
}

// take takes some of the answer, and tells whether it looks finished with that.
func (c *simCaller) take(b []byte) (finished bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.WriteHeader(http.StatusOK)
	c.id = c.header.Get("Waybill-Request")
	c.body.Write(b)
	if c.status != http.StatusOK || c.whole || c.stream && !strings.Contains(c.body.String(), simDialects[c.dialect].finish) {
		return false
	}
	c.whole = true
	return true
}

// hasContent tells whether something of an answer has reached the caller.
func (c *simCaller) hasContent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for line := range strings.Lines(c.body.String()) {
		if c.status == http.StatusOK && strings.TrimSpace(line) != "" && !strings.HasPrefix(line, ":") && !strings.Contains(line, `"ping"`) && !strings.HasPrefix(line, "event: ping") {
			return true
		}
	}
	return false
}

// request is waybill's id of the call, empty while nothing has come of it: the headers are the server's until then.
func (c *simCaller) request() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.id
}
