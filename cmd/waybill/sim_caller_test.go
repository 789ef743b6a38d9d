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
	asking
	s     *sim
	life  *life
	leave context.CancelFunc
	ended atomic.Bool

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

// asking is what a call says. Said again under the same Idempotency-Key, it is the same call.
type asking struct {
	org            *simOrg
	dialect, model string
	prompt, once   string
	stream         bool
}

// simPrompt begins what every call says; the org follows, by which an upstream knows whose it should be.
const simPrompt = "A call of "

// call begins a call, and goes on while it is open.
func (s *sim) call() {
	if len(s.keyed) > 0 && s.chance(8) {
		again, _ := oneOf(s.rand, s.keyed)
		s.count("calls again")
		s.begins(again)
		return
	}
	s.callOf(&s.orgs[s.rand.IntN(len(s.orgs))])
}

func (s *sim) callOf(org *simOrg) {
	dialect, _ := oneOf(s.rand, []string{"chat", "responses", "messages", "gemini"})
	model, _ := oneOf(s.rand, org.models)
	a := asking{org: org, dialect: dialect, model: model, stream: s.chance(2),
		prompt: fmt.Sprintf("%s%s [[sandbox output=%d]]", simPrompt, org.name, 1+s.rand.IntN(org.output))}
	if s.chance(6) {
		a.once = fmt.Sprint("again-", s.rand.IntN(12)) // which another may have said something else under
		s.keyed = append(s.keyed, a)
	}
	s.begins(a)
}

func (s *sim) begins(a asking) {
	c := &simCaller{asking: a, s: s, life: s.life, header: http.Header{}}
	d := simDialects[a.dialect]
	path, body := d.path, fmt.Sprintf(d.body, a.model, a.stream, a.prompt)
	if a.dialect == "gemini" {
		if a.stream {
			path = d.streamed
		}
		path, body = fmt.Sprintf(path, a.model), fmt.Sprintf(d.body, a.prompt)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	c.leave = cancel
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+a.org.key)
	if a.once != "" {
		r.Header.Set("Idempotency-Key", a.once)
	}
	s.mu.Lock()
	s.callers = append(s.callers, c)
	s.mu.Unlock()
	s.tell("a call of %s in %s, stream %t, for %s %s", a.org.name, a.dialect, a.stream, a.model, a.once)
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
		c.s.held(c) // before the caller can have read it
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
