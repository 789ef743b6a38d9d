package routertest

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"waybill/ledger"
	"waybill/router"
	"waybill/router/dialects"
	"waybill/router/sandbox"
)

// Pair is a caller's dialect and the upstream that answers it.
type Pair struct {
	In Client
	Up Upstream
}

// Same tells whether the upstream speaks the caller's dialect, so that the caller's bytes are forwarded.
func (p Pair) Same() bool { return p.In.Dialect() == p.Up.Dialect() }

// Session is a caller's conversation with one upstream.
type Session struct {
	*testing.T
	Pair
	Streamed bool
	bench    *bench
	d        *router.Dispatcher
	keys     secrets
}

// Reply is what came of one call.
type Reply struct {
	*Answer
	id      string
	ask     Ask
	body    []byte // as the caller got it
	facts   router.Facts
	started bool
	status  int // HTTP
	events  []ledger.Record
	calls   []sandbox.Call
}

// sink takes an answer down.
type sink struct {
	facts   router.Facts
	started bool
	body    bytes.Buffer
}

func (s *sink) Start(f router.Facts) { s.facts, s.started = f, true }
func (s *sink) Send(b []byte) error  { s.body.Write(b); return nil }

// model is the name of one of the upstream's.
func (p Pair) model(kind string) string {
	switch kind {
	case "":
		kind = modelAny
	case modelSealed:
		kind = p.Up.Sealing
	}
	return p.Up.Name + "/" + kind
}

func (b *bench) session(t *testing.T, p Pair, streamed bool, idle time.Duration) *Session {
	n := b.seq.Add(1)
	s := &Session{T: t, Pair: p, Streamed: streamed, bench: b, keys: secrets{}}
	for _, u := range standing() {
		for i := range 2 {
			s.keys[u.credential(i)] = fmt.Sprintf("sk-%s-%d-%d", u.Name, n, i)
		}
	}
	s.d = b.dispatcher(s.keys, idle)
	return s
}

// Do makes one call and reads what comes of it.
func (s *Session) Do(a Ask, kind string) *Reply {
	s.Helper()
	a.Stream = s.Streamed && !a.Embed && !a.Count
	in, err := s.In.Write(a, s.model(kind))
	if err != nil {
		s.Fatalf("%s cannot say it: %v", s.In.Dialect(), err)
	}
	return s.send(in, a)
}

func (s *Session) send(in router.Incoming, a Ask) *Reply {
	s.Helper()
	after := s.bench.last.Load()
	inbound := dialects.Inbounds[s.In.Dialect()]
	r := &Reply{id: fmt.Sprintf("req_%06d", s.bench.seq.Add(1)), ask: a, status: http.StatusOK}
	var k sink
	q, err := inbound.Decode(in)
	var f *router.Failure
	if err != nil {
		f = router.FailureOf(err)
	} else {
		f = s.d.Do(s.Context(), router.Task{ID: r.id, By: ledger.By{Actor: "test", Cause: r.id}, Org: org, Request: q, Inbound: inbound}, &k)
	}
	r.facts, r.started, r.body = k.facts, k.started, k.body.Bytes()
	r.events, r.calls = s.bench.events(s, r.id), s.bench.served(r.id, after)
	switch {
	case f != nil:
		f.Request = r.id
		r.status, r.body = f.Status, inbound.Failure(*f)
		r.Answer = &Answer{}
		if r.Fault, err = s.In.Fault(f.Status, r.body); err != nil {
			s.Fatalf("the error is not readable: %v", err)
		}
		if r.started {
			s.Fatal("an answer was begun and an error given")
		}
	case a.Stream:
		r.Answer, err = s.In.Stream(r.body, a)
	default:
		r.Answer, err = s.In.Read(r.body, a)
	}
	if err != nil {
		s.Fatalf("a client cannot read the answer: %v\n%s", err, cut(r.body))
	}
	return r
}

func cut(b []byte) string {
	const most = 3000
	if len(b) > most {
		return string(b[:most/2]) + " … " + string(b[len(b)-most/2:])
	}
	return string(b)
}

// upstream is what the last attempt of a reply sent and got.
func (s *Session) upstream(r *Reply) *crossing {
	s.Helper()
	if len(r.calls) == 0 {
		s.Fatal("there was no call upstream")
	}
	c := s.bench.wire.call(r.calls[len(r.calls)-1].Attempt)
	if c == nil {
		s.Fatal("nothing went over the wire")
	}
	return c
}

// settled is the reply's settlement.
func (r *Reply) settled(s *Session) *ledger.RequestSettled {
	s.Helper()
	var found *ledger.RequestSettled
	for _, e := range r.events {
		if settled, ok := e.Event.(*ledger.RequestSettled); ok {
			found = settled
		}
	}
	if found == nil {
		s.Fatalf("the request is not settled: %s", describe(r))
	}
	return found
}

func describe(r *Reply) string {
	var b strings.Builder
	for _, e := range r.events {
		fmt.Fprintf(&b, "%s; ", e.Event.Type())
	}
	for _, c := range r.calls {
		fmt.Fprintf(&b, "%s %s %d; ", c.Attempt, c.Outcome, c.Status)
	}
	if r.Answer != nil && r.Fault != nil {
		fmt.Fprintf(&b, "%+v", *r.Fault)
	}
	return b.String()
}

// whole checks what holds of every answer that came to its end: it looks finished, nothing of it is an error, the log agrees with
// the provider's own record token class by token class, and the caller was told the same in its dialect's convention.
func (r *Reply) whole(s *Session) {
	s.Helper()
	if r.Fault != nil {
		s.Fatalf("the call failed: %s\n%s", describe(r), cut(r.body))
	}
	if !r.Ended || r.Faults > 0 || r.Finish == "" {
		s.Fatalf("the answer does not look finished: ended %t, finish %q\n%s", r.Ended, r.Finish, cut(r.body))
	}
	settled, call := r.settled(s), r.calls[len(r.calls)-1]
	if call.Outcome != sandbox.Completed {
		s.Fatalf("the upstream's record says %s", call.Outcome)
	}
	want := tokensOf(call.Tokens, ledger.Dialect(call.Dialect))
	if settled.Source != ledger.UsageProvider || settled.Usage != want {
		s.Errorf("settled %+v by %s, the upstream served %+v", settled.Usage, settled.Source, want)
	}
	if settled.UpstreamID != call.AnswerID {
		s.Errorf("settled with answer %q, the upstream's is %q", settled.UpstreamID, call.AnswerID)
	}
	if !r.ask.Hush || !s.Streamed {
		r.told(s, want)
	}
	if ledger.Dialect(call.Dialect) == s.In.Dialect() {
		r.faithful(s)
	}
}

// told compares the caller's usage with what was used, as far as its dialect can say it.
func (r *Reply) told(s *Session, want ledger.Usage) {
	s.Helper()
	if r.Usage == nil {
		s.Errorf("the caller is told no usage\n%s", cut(r.body))
		return
	}
	u := Usage{Input: int(want.InputTotal()), Cached: int(want.CacheRead), Written: int(want.CacheWrite + want.CacheWriteLong),
		WrittenLong: int(want.CacheWriteLong), Output: int(want.Output), Reasoning: int(want.Reasoning)}
	switch s.In.Dialect() {
	case ledger.DialectOpenAIChat:
		u.WrittenLong = 0
	case ledger.DialectGemini:
		u.Written, u.WrittenLong = 0, 0
	}
	if *r.Usage != u {
		s.Errorf("the caller is told %+v, used was %+v", *r.Usage, u)
	}
}

// broken checks what holds of every answer that began and did not come to its end: it does not look finished, one error in the
// dialect tells so, and what was received of it is settled on an estimate.
func (r *Reply) broken(s *Session) {
	s.Helper()
	if r.Ended || r.Finish != "" {
		s.Errorf("an answer that broke off looks finished: %q\n%s", r.Finish, cut(r.body))
	}
	if r.Fault == nil || r.Faults != 1 {
		s.Errorf("%d errors in the stream\n%s", r.Faults, cut(r.body))
	}
	if settled := r.settled(s); settled.Source != ledger.UsageEstimate || settled.Usage.Output == 0 {
		s.Errorf("settled %+v by %s", settled.Usage, settled.Source)
	}
}

// refused checks that nothing went upstream and that the error names a field.
func (r *Reply) refused(s *Session, field string) {
	s.Helper()
	if r.Fault == nil || r.status != http.StatusBadRequest {
		s.Fatalf("not refused, but: %s\n%s", describe(r), cut(r.body))
	}
	if len(r.calls) > 0 {
		s.Errorf("refused only after %d calls upstream: %s", len(r.calls), describe(r))
	}
	if !strings.Contains(r.Fault.Field, field) && !strings.HasPrefix(r.Fault.Message, field) {
		s.Errorf("the error names %q, not %q: %s", r.Fault.Field, field, r.Fault.Message)
	}
	if want := s.In.Type(r.status); want != "" && want != r.Fault.Type {
		s.Errorf("the error's type is %q, not %q", r.Fault.Type, want)
	}
}

// warned checks that the caller is told of one field, or of none.
func (r *Reply) warned(s *Session, field string) {
	s.Helper()
	for _, w := range r.facts.Warnings {
		if field == "" || !strings.HasPrefix(w, field) {
			s.Errorf("a warning: %s", w)
		}
	}
	if field != "" && len(r.facts.Warnings) == 0 {
		s.Errorf("no warning about %s", field)
	}
}
