package http

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"waybill/ledger"
	"waybill/router"
)

// chat is the row of an endpoint that answers a conversation in one of the callers' dialects.
func chat(path, summary string, dialect ledger.Dialect) route {
	return route{method: http.MethodPost, path: path, summary: summary, who: inference, status: http.StatusOK,
		serve: func(s *Server, c *call, w http.ResponseWriter) { s.chat(s.o.Inbounds[dialect], c, w) }}
}

// chat answers one inference call: who calls, what they say, and then it is the router's.
func (s *Server) chat(in router.Inbound, c *call, w http.ResponseWriter) {
	if in == nil {
		s.lost(w, c.r, router.Failure{Status: http.StatusServiceUnavailable, Code: "not_ready", Message: "this node serves no inference"})
		return
	}
	w.Header()["Waybill-Request"] = []string{c.id}
	if err := s.authenticate(c); err != nil {
		s.refuse(w, in, c.id, *router.FailureOf(err))
		return
	}
	if !s.calls.enter() {
		s.refuse(w, in, c.id, router.Failure{Status: http.StatusServiceUnavailable, Code: "not_ready", RetryAfter: time.Second, Message: "the node is stopping"})
		return
	}
	defer s.calls.leave()
	if err := s.ready(); err != nil {
		s.refuse(w, in, c.id, router.Failure{Status: http.StatusServiceUnavailable, Code: "not_ready", RetryAfter: time.Second, Message: "the node is not ready: " + err.Error()})
		return
	}
	body, taken, f := s.body(w, c.r, s.o.Limits.MaxBody)
	if f != nil {
		s.refuse(w, in, c.id, *f)
		return
	}
	defer s.bodies.give(taken)
	by, err := byOf(c.r, ledger.By{Actor: c.actor(), Cause: c.id}, body)
	if err != nil {
		s.refuse(w, in, c.id, *router.FailureOf(err))
		return
	}
	q, err := in.Decode(router.Incoming{Endpoint: router.EndpointChat, Body: body, Header: c.r.Header})
	if err != nil {
		s.refuse(w, in, c.id, *router.FailureOf(err))
		return
	}
	defer s.resolve(c)
	k := &sink{w: w, control: http.NewResponseController(w), patient: s.o.Limits.WriteTimeout, stream: q.Stream}
	if f := s.o.Dispatcher.Do(c, router.Task{ID: c.id, By: by, Org: c.key.Org, Key: c.key.ID, Request: q, Inbound: in}, k); f != nil {
		s.refuse(w, in, c.id, *f)
	}
}

// authenticate finds the key of an inference call.
func (s *Server) authenticate(c *call) error {
	if c.key = s.key(secretOf(c.r.Header)); c.key == nil {
		return errUnknownKey
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
