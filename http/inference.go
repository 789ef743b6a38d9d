package http

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"time"

	"waybill/ledger"
	"waybill/router"
)

// door is an address at which callers speak one dialect.
type door struct {
	dialect ledger.Dialect
	router.Incoming
}

// inferenceRoutes is where each dialect's clients call. Gemini's say the model and the method in the address.
func inferenceRoutes() []route {
	chat, responses, messages := ledger.DialectOpenAIChat, ledger.DialectOpenAIResponses, ledger.DialectAnthropicMessages
	all := []route{
		infer("/v1/chat/completions", "Answer a conversation, in OpenAI's Chat Completions dialect", door{chat, router.Incoming{Endpoint: router.EndpointChat}}),
		infer("/v1/responses", "Answer a conversation, in OpenAI's Responses dialect", door{responses, router.Incoming{Endpoint: router.EndpointChat}}),
		infer("/v1/responses/input_tokens", "Count the tokens of a conversation, in OpenAI's Responses dialect", door{responses, router.Incoming{Endpoint: router.EndpointCount}}),
		infer("/v1/embeddings", "Embed texts, in OpenAI's dialect", door{chat, router.Incoming{Endpoint: router.EndpointEmbed}}),
		infer("/v1/messages", "Answer a conversation, in Anthropic's Messages dialect", door{messages, router.Incoming{Endpoint: router.EndpointChat}}),
		infer("/v1/messages/count_tokens", "Count the tokens of a conversation, in Anthropic's dialect", door{messages, router.Incoming{Endpoint: router.EndpointCount}}),
	}
	// Clients that are not Google's own put a name with a slash into the path as it is, without models/.
	for _, prefix := range []string{"/v1beta/models/{model:.+}:", "/v1beta/{model:.+}:"} {
		for _, g := range []struct {
			method, summary string
			in              router.Incoming
		}{
			{"generateContent", "Answer a conversation, in Gemini's dialect", router.Incoming{Endpoint: router.EndpointChat}},
			{"streamGenerateContent", "Stream an answer, in Gemini's dialect: as SSE with alt=sse, else as one JSON array", router.Incoming{Endpoint: router.EndpointChat, Stream: true}},
			{"countTokens", "Count the tokens of a conversation, in Gemini's dialect", router.Incoming{Endpoint: router.EndpointCount}},
			{"embedContent", "Embed a text, in Gemini's dialect", router.Incoming{Endpoint: router.EndpointEmbed}},
			{"batchEmbedContents", "Embed texts, in Gemini's dialect", router.Incoming{Endpoint: router.EndpointEmbed, Batch: true}},
		} {
			all = append(all, infer(prefix+g.method, g.summary, door{ledger.DialectGemini, g.in}))
		}
	}
	return all
}

func infer(path, summary string, d door) route {
	return route{method: http.MethodPost, path: path, summary: summary, who: inference, status: http.StatusOK,
		serve: func(s *Server, c *call, w http.ResponseWriter) { s.infer(d, c, w) }}
}

// infer answers one inference call: who calls, what they say, and then it is the router's.
func (s *Server) infer(d door, c *call, w http.ResponseWriter) {
	in := s.o.Inbounds[d.dialect]
	if in == nil {
		s.lost(w, c.r, router.Failure{Status: http.StatusServiceUnavailable, Code: "not_ready", Message: "this node serves no inference"})
		return
	}
	w.Header()["Waybill-Request"] = []string{c.id}
	d.Array = arrayed(c.r)
	refuse := func(f router.Failure) {
		f.Array = d.Array
		s.refuse(w, in, c.id, f)
	}
	if err := s.authenticate(c); err != nil {
		refuse(*router.FailureOf(err))
		return
	}
	if !s.calls.enter() {
		refuse(router.Failure{Status: http.StatusServiceUnavailable, Code: "not_ready", RetryAfter: time.Second, Message: "the node is stopping"})
		return
	}
	defer s.calls.leave()
	leave, f := s.admit(c, w, c.key.ID)
	if f != nil {
		refuse(*f)
		return
	}
	defer leave()
	if err := s.ready(); err != nil {
		refuse(router.Failure{Status: http.StatusServiceUnavailable, Code: "not_ready", RetryAfter: time.Second, Message: "the node is not ready: " + err.Error()})
		return
	}
	m := s.meter(c, w, d.dialect)
	if f := m.request(); f != nil {
		refuse(*f)
		return
	}
	body, taken, f := s.body(w, c.r, s.o.Limits.MaxBody)
	if f != nil {
		refuse(*f)
		return
	}
	defer s.bodies.give(taken)
	t, err := s.task(d, c, in, body)
	if err != nil {
		refuse(*router.FailureOf(err))
		return
	}
	if f := m.reserve(t.Request); f != nil {
		refuse(*f)
		return
	}
	defer m.release()
	defer s.resolve(c)
	t.Settled = m.settled
	k := &sink{w: w, control: http.NewResponseController(w), stream: t.Request.Stream, array: t.Request.Array, limited: m.limited()}
	if f := s.o.Dispatcher.Do(c, t, k); f != nil {
		m.capped(*f)
		refuse(*f)
	}
}

// task reads what a call asks for.
func (s *Server) task(d door, c *call, in router.Inbound, body []byte) (t router.Task, err error) {
	t = router.Task{ID: c.id, Org: c.key.Org, Key: c.key.ID, Inbound: in}
	if t.By, err = byOf(c.r, ledger.By{Actor: c.actor(), Cause: c.id}, body); err != nil {
		return t, err
	}
	body, narrowed, metadata, err := router.Narrow(body, c.r.Header)
	if err != nil {
		return t, err
	}
	t.Narrowed = narrowed
	d.Body, d.Header, d.Model = body, endToEnd(c.r.Header), c.vars["model"]
	if t.Request, err = in.Decode(d.Incoming); err != nil {
		return t, err
	}
	t.Note, err = s.note(c, metadata)
	return t, err
}

// endToEnd is a call's headers without those that it says are for this connection alone: none of them goes upstream.
func endToEnd(h http.Header) http.Header {
	said := h["Connection"]
	if len(said) == 0 {
		return h
	}
	h = maps.Clone(h)
	for _, list := range said {
		for name := range strings.SplitSeq(list, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	return h
}

// authenticate finds the key of an inference call.
func (s *Server) authenticate(c *call) error {
	if c.key = s.key(secretOf(c.r.Header)); c.key == nil {
		return unknownKey(c.r)
	}
	if !c.key.Has(ledger.ScopeInference) {
		return &ledger.Error{Code: ledger.CodeForbidden, Message: "the key may not call models: it lacks the scope inference"}
	}
	return nil
}

// ready says why the node must not get calls now.
func (s *Server) ready() error {
	if s.o.Ready == nil {
		return nil
	}
	return s.o.Ready()
}

// resolve ends a request that a panic has left open, as a start after a crash would, and lets the panic go on.
func (s *Server) resolve(c *call) {
	p := recover()
	if p == nil {
		return
	}
	_, err := s.o.Books.Execute(context.WithoutCancel(c), ledger.Interrupt{Org: c.key.Org, Request: c.id, Rule: ledger.RuleVoid})
	if le, ok := errors.AsType[*ledger.Error](err); err != nil && (!ok || le.Code != ledger.CodeConflict) {
		s.o.Logger.Error("a request that panicked stays open until the next start", slog.String("request", c.id), slog.String("error", err.Error()))
	}
	panic(p)
}
