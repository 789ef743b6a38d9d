package router

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"waybill/ledger"
)

// attempt is one call upstream, made for the leg of a run that was admitted last.
type attempt struct {
	*run
	on     Leg
	secret string
	n      int
	began  time.Time

	ctx    context.Context // the call's own: it outlives the caller, so that an answer can be read to its end
	cancel context.CancelCauseFunc
	stops  []func() bool
	timers []*time.Timer

	reply  Reply
	writer Writer

	first    time.Duration // from the start of the request to the first content
	received int64         // bytes of content
	begun    bool          // the caller has got headers
	gone     bool          // the caller has left
	finish   string
	id       string
	answered string
	tier     string
	pending  []byte // held back: what came before content, or from the first finish reason on
}

var (
	errTotal = &UpstreamError{Class: ClassTimeout, Err: errors.New("the attempt took longer than its total timeout")}
	errFirst = &UpstreamError{Class: ClassTimeout, Err: errors.New("no byte of the answer came within the first-byte timeout")}
	errDrain = &UpstreamError{Class: ClassCanceled, Err: errors.New("the caller left, and the answer did not end within the drain timeout")}
	errStop  = &UpstreamError{Class: ClassConnection, Err: errors.New("the node is stopping")}
)

func (r *run) attempt(leg Leg, secret string) *attempt {
	r.calls++
	a := &attempt{run: r, on: leg, secret: secret, n: r.calls, began: r.d.Now()}
	a.ctx, a.cancel = context.WithCancelCause(context.WithoutCancel(r.client))
	t := r.d.Timeouts
	a.timers = append(a.timers, time.AfterFunc(t.Total, func() { a.cancel(errTotal) }))
	a.stops = append(a.stops,
		context.AfterFunc(r.client, func() { time.AfterFunc(t.Drain, func() { a.cancel(errDrain) }) }),
		context.AfterFunc(r.d.Stop, func() { a.cancel(errStop) }))
	return a
}

func (a *attempt) close() {
	if a.reply != nil {
		a.reply.Close()
	}
	a.cancel(nil)
	for _, stop := range a.stops {
		stop()
	}
	for _, t := range a.timers {
		t.Stop()
	}
}

// call makes the call and takes its answer to the caller.
func (a *attempt) call() (done bool, failure *Failure) {
	if err := a.open(); err != nil {
		return a.failed(err)
	}
	if a.task.Request.Stream {
		return a.stream()
	}
	return a.unary()
}

func (a *attempt) open() error {
	provider, ok := a.d.Providers[a.on.Model.Provider]
	if !ok {
		return &UpstreamError{Class: ClassNotFound, Message: "provider " + a.on.Model.Provider + " is not configured"}
	}
	base := provider.BaseURL
	if a.on.Credential.BaseURL != "" {
		base = a.on.Credential.BaseURL
	}
	var firstByte *time.Timer
	if a.task.Request.Stream {
		firstByte = time.AfterFunc(a.d.Timeouts.FirstByte, func() { a.cancel(errFirst) })
		defer firstByte.Stop()
	}
	reply, err := a.d.Upstreams[provider.Dialect].Open(a.ctx, Call{Request: a.task.Request, Attempt: a.task.ID + "." + strconv.Itoa(a.n),
		Model: *a.on.Model, BaseURL: base, Secret: a.secret, OutputCap: a.leg.Output, Client: a.d.Client, Idle: a.d.Timeouts.Idle})
	if err != nil {
		return err
	}
	a.reply = reply
	a.writer = a.task.Inbound.Writer(a.task.Request, Head{Request: a.task.ID, Model: a.on.Model.Name, Created: a.run.started.Unix()}, provider.Dialect)
	return nil
}

// unary reads the one step of an answer, settles it, and only then shows it.
func (a *attempt) unary() (done bool, failure *Failure) {
	step, err := a.reply.Next()
	if err == nil {
		a.note(step)
		_, err = a.reply.Next()
	}
	if err != io.EOF {
		return a.failed(err)
	}
	settled, fail := a.settle(ledger.Answered, "")
	if fail != nil {
		return true, fail
	}
	u, _ := a.reply.Usage()
	facts := a.facts()
	facts.Settled, facts.Billing, facts.Charge = true, settled.Billing(), settled.Charge
	body := a.writer.Body(step, u)
	a.sink.Start(facts)
	_ = a.sink.Send(body) // the caller who has left is billed all the same: the answer was made
	return true, nil
}

// stream takes the steps of an answer to the caller as they come. Nothing goes out before content, so that a failure up
// to there can still move on; and from the first finish reason on everything waits for the settlement.
func (a *attempt) stream() (done bool, failure *Failure) {
	finished := false
	for {
		step, err := a.reply.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return a.broken(err)
		}
		a.note(step)
		finished = finished || step.Finish != ""
		if b := a.writer.Chunk(step); len(b) > 0 {
			a.pending = append(a.pending, b...)
		}
		if a.received > 0 && !finished {
			a.flush()
		}
	}
	u, _ := a.reply.Usage()
	a.pending = append(a.pending, a.writer.End(u)...)
	if _, fail := a.settle(ledger.Answered, a.left()); fail != nil {
		return a.fail(fail)
	}
	a.flush()
	return true, nil
}

// flush sends what was held back. A caller who has left is noted, and the answer read on without one.
func (a *attempt) flush() {
	if a.gone || len(a.pending) == 0 {
		a.pending = a.pending[:0]
		return
	}
	if !a.begun {
		a.begun = true
		a.sink.Start(a.facts())
	}
	if err := a.sink.Send(a.pending); err != nil {
		a.gone = true
		a.timers = append(a.timers, time.AfterFunc(a.d.Timeouts.Drain, func() { a.cancel(errDrain) }))
	}
	a.pending = a.pending[:0]
}

// note takes down what a step says of the answer.
func (a *attempt) note(step Chunk) {
	for _, s := range append([]Chunk{step}, step.Others...) {
		if s.Content {
			if a.received == 0 {
				a.first = a.d.Now().Sub(a.run.started)
			}
			n := len(s.Text)
			if n == 0 {
				n = len(s.Frame)
			}
			a.received += int64(max(1, n))
		}
		set(&a.finish, string(s.Finish))
		set(&a.id, s.ID)
		set(&a.answered, s.Model)
		set(&a.tier, s.Tier)
	}
}

func set(s *string, v string) {
	if v != "" {
		*s = v
	}
}

// facts is what the headers of this attempt's answer say.
func (a *attempt) facts() Facts {
	f := Facts{Request: a.task.ID, Model: a.on.Model.Name, Kind: a.on.Credential.Kind(), Attempts: a.calls, Warnings: a.reply.Warnings()}
	if a.leg.Clipped {
		f.OutputCap = a.leg.Output
	}
	return f
}

// broken ends an attempt whose stream did not come to its end: with the next leg, as long as nothing was sent.
func (a *attempt) broken(err error) (done bool, failure *Failure) {
	if !a.begun && !a.gone && a.client.Err() == nil {
		return a.failed(err)
	}
	e := upstreamError(err)
	a.report(e)
	outcome, reason := ledger.Cut, string(e.Class)
	if a.left() != "" {
		outcome, reason = ledger.Abandoned, a.left()
	}
	if _, fail := a.settle(outcome, reason); fail != nil {
		return a.fail(fail)
	}
	return a.fail(&Failure{Status: http.StatusBadGateway, Code: "upstream_failed",
		Message: "the answer broke off: " + e.Error() + "; what was received of it is settled on an estimate"})
}

// fail tells the caller of a failure: as an event, if the answer has begun.
func (a *attempt) fail(f *Failure) (done bool, failure *Failure) {
	if !a.begun {
		return true, f
	}
	a.pending = append(a.pending[:0], a.writer.Error(*f)...)
	a.flush()
	return true, nil
}

// failed ends an attempt that gave its caller nothing. The next leg is tried if another may do better.
func (a *attempt) failed(err error) (done bool, failure *Failure) {
	var fe *FieldError
	if errors.As(err, &fe) {
		a.d.Health.Report(a.on.choice(), ClassCanceled, a.d.Now())
		a.calls--
		a.attempts = append(a.attempts, ledger.Attempt{N: a.leg.N, Choice: a.on.choice(), Outcome: ledger.Skipped, Reason: "unsupported: " + cutTo(fe.Field, 64)})
		if a.field == nil {
			a.field = fe
		}
		return false, nil
	}
	e := upstreamError(err)
	a.report(e)
	if a.client.Err() != nil {
		if usage, _ := a.used(); usage != (ledger.Usage{}) {
			_, fail := a.settle(ledger.Abandoned, a.left())
			return true, fail
		}
	}
	a.record(ledger.Failed, e)
	a.last = e
	switch {
	case a.client.Err() != nil:
		return true, a.end(FailureOf(context.Canceled), a.left())
	case e.Class == ClassBadRequest:
		return true, a.end(a.upstreamFailed(), string(e.Class))
	case a.d.Stop.Err() != nil:
		return true, a.end(&Failure{Status: http.StatusServiceUnavailable, Code: "not_ready", RetryAfter: time.Second, Message: "the node is stopping"}, "stopping")
	}
	return false, nil
}

// report tells the breaker how the call went.
func (a *attempt) report(e *UpstreamError) {
	class := e.Class
	if errors.Is(context.Cause(a.ctx), errStop) {
		class = ClassCanceled
	}
	a.d.Health.Report(a.on.choice(), class, a.d.Now())
}

// left says that the caller has left, if so.
func (a *attempt) left() string {
	if a.gone || a.client.Err() != nil {
		return "client_gone"
	}
	return ""
}

// used is what the call consumed: as the upstream reports it in the end, else at least what it reported so far and at
// least what the received bytes are worth.
func (a *attempt) used() (ledger.Usage, ledger.UsageSource) {
	var u ledger.Usage
	if a.reply != nil {
		var final bool
		if u, final = a.reply.Usage(); final {
			return u, ledger.UsageProvider
		}
	}
	if a.received > 0 {
		e := estimate(a.task.Request, a.leg, a.received)
		if u.InputTotal() == 0 {
			u.Input = e.Input
		}
		u.Output = max(u.Output, e.Output)
	}
	return u, ledger.UsageEstimate
}

// record puts the attempt into the trace.
func (a *attempt) record(outcome ledger.Outcome, e *UpstreamError) {
	t := ledger.Attempt{N: a.leg.N, Choice: a.on.choice(), Outcome: outcome, Latency: a.since(a.began), UpstreamID: a.id}
	if a.received > 0 {
		t.FirstByte = int64(a.first)
	}
	if e != nil {
		t.Status, t.Class, t.Reason = e.Status, string(e.Class), cutTo(e.Code, 64)
	} else {
		t.Status = http.StatusOK
	}
	if outcome == ledger.Failed {
		t.Usage, _ = a.used()
	}
	a.attempts = append(a.attempts, t)
}

// settle resolves the request by what this attempt used; the receipt is durable when it returns.
func (a *attempt) settle(outcome ledger.Outcome, reason string) (*ledger.RequestSettled, *Failure) {
	usage, source := a.used()
	if outcome == ledger.Answered {
		a.d.Health.Report(a.on.choice(), "", a.d.Now())
	}
	a.record(outcome, nil)
	if outcome == ledger.Cut {
		a.attempts[len(a.attempts)-1].Class = reason
	}
	rec, err := a.d.Books.Execute(context.WithoutCancel(a.client), ledger.Settle{Who: a.task.By, Org: a.task.Org, Request: a.task.ID,
		Resolution: ledger.Resolution{Attempts: a.attempts, Duration: a.since(a.run.started), Reason: reason},
		Usage:      usage, Source: source, ServiceTier: a.tier, Finish: a.finish, UpstreamID: a.id, Answered: a.answered, FirstByte: int64(a.first)})
	if err != nil {
		return nil, FailureOf(err)
	}
	return rec.Records[len(rec.Records)-1].Event.(*ledger.RequestSettled), nil
}

func upstreamError(err error) *UpstreamError {
	var e *UpstreamError
	if errors.As(err, &e) {
		return e
	}
	return &UpstreamError{Class: ClassServerError, Err: err}
}

func cutTo(s string, n int) string { return s[:min(len(s), n)] }
