package router

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"waybill/ledger"
	"waybill/ledger/secret"
)

// attempt is one call upstream, made for the leg of a run that was admitted last.
type attempt struct {
	*run
	on     Leg
	trial  *Trial
	secret secret.Text
	began  time.Time

	ctx    context.Context // the call's own: it outlives the caller, so that an answer can be read to its end
	cancel context.CancelCauseFunc
	stops  []func() bool // of all that may end the call
	most   time.Duration // it may take
	sent   atomic.Bool   // all of the request has gone upstream

	dialect    ledger.Dialect // that the upstream speaks
	translates bool           // the caller speaks another
	reply      Reply
	writer     Writer

	tally
	first   time.Duration // from the start of the request to the first content
	taking  time.Duration // that its caller has taken to take it
	room    Room
	pending []byte // held back: what came before content, or from the first finish reason on

	mu     sync.Mutex
	closed bool
	drain  *time.Timer // runs from when the caller has left
}

// clientGone is the reason of a resolution whose caller has left.
const clientGone = "client_gone"

func (r *run) attempt(leg Leg, trial *Trial, key secret.Text) *attempt {
	a := &attempt{run: r, on: leg, trial: trial, secret: key, began: r.d.Now(), room: Room{rooms: &r.d.rooms, org: r.task.Org}}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(r.client))
	a.ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(w httptrace.WroteRequestInfo) {
		if w.Err == nil {
			a.sent.Store(true)
		}
	}})
	a.cancel, a.most = cancel, r.timeouts.attempt(a.began.Sub(r.started))
	total := time.AfterFunc(a.most, func() { cancel(errTotal) })
	a.stops = []func() bool{
		context.AfterFunc(r.client, a.leave),
		context.AfterFunc(r.d.Stop, func() { cancel(errStop) }),
		total.Stop,
	}
	return a
}

func (a *attempt) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	if a.drain != nil {
		a.drain.Stop()
		a.d.drains.end(a.task.Org)
	}
	if a.reply != nil {
		a.reply.Close()
	}
	a.room.leave()
	a.cancel(nil)
	for _, stop := range a.stops {
		stop()
	}
}

// call makes the call and takes its answer to the caller. Done means that the request has its end, and failure is what its
// caller gets, nil if the sink was served.
func (a *attempt) call() (done bool, failure *Failure) {
	a.await()
	err := a.open()
	if unfit, ok := errors.AsType[*FieldError](err); ok {
		a.mismatch(a.on, a.leg.N, unfit)
		return false, nil
	}
	if _, ok := errors.AsType[*UpstreamError](err); err != nil && !ok { // it arose here, before anything was sent
		a.attempts = append(a.attempts, ledger.Attempt{N: a.leg.N, Choice: a.on.choice(), Outcome: ledger.Skipped, Reason: unwritten})
		a.unwritten = err
		return false, nil
	}
	if a.calls++; a.calls == 1 {
		a.d.Retries.earn(a.on.Credential.ID)
	}
	switch {
	case err != nil:
		return a.fall(err)
	case a.task.Request.Stream:
		return a.stream()
	}
	return a.unary()
}

// name is the attempt's id.
func (a *attempt) name() string { return a.task.ID + "." + strconv.Itoa(a.leg.N) }

func (a *attempt) open() error {
	provider, ok := a.d.Providers[a.on.Model.Provider]
	if !ok {
		return &UpstreamError{Class: ClassNotFound, Message: "provider " + a.on.Model.Provider + " is not configured"}
	}
	if a.task.Request.Stream {
		first := time.AfterFunc(a.timeouts.FirstByte, func() { a.cancel(errFirst) })
		defer first.Stop()
	}
	base := cmp.Or(a.on.Credential.BaseURL, provider.BaseURL)
	if base == "" {
		return &UpstreamError{Class: ClassNotFound, Message: "provider " + a.on.Model.Provider + " has no address of its own: attach the credential with its base URL, or configure upstreams." + a.on.Model.Provider + ".base_url"}
	}
	q := a.task.Request
	dialect, err := provider.dialect(q, a.on.Model)
	if err != nil {
		return err
	}
	if dialect == q.Dialect && a.on.Credential.Kind() == ledger.Platform {
		if err := outside(q); err != nil {
			return err
		}
	}
	a.dialect = dialect
	c := Call{
		Request: q, Attempt: a.name(), Model: *a.on.Model, Quirks: provider.Quirks,
		BaseURL: base, Secret: a.secret,
		OutputCap: a.leg.Output, Client: a.d.client(a.on.Credential.Fenced()), Connect: a.timeouts.Connect, Idle: a.timeouts.Idle, Room: &a.room,
	}
	a.recall(&c, dialect)
	if a.reply, err = a.d.Upstreams[dialect].Open(a.ctx, c); err != nil {
		a.reply = nil
		return err
	}
	a.translates = !c.Own(dialect)
	a.writer = a.task.Inbound.Writer(q, Head{Request: a.task.ID, Model: a.on.Model.Name, Created: a.run.started.Unix(),
		Input: estimate(q, a.leg, 0).Input}, dialect)
	return nil
}

// unary reads the steps of an answer, settles it, and only then shows it.
func (a *attempt) unary() (done bool, failure *Failure) {
	var steps []Chunk
	for {
		step, err := a.reply.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return a.fall(err)
		}
		a.note(&step)
		steps = append(steps, step)
	}
	settled, failure := a.settle(nil)
	if failure != nil {
		return true, failure
	}
	u, _ := a.used()
	facts := a.facts()
	facts.Settled, facts.Billing, facts.Charge = true, settled.Billing(), settled.Charge
	a.out.send(func() Facts { return facts }, a.writer.Body(steps, u)) // a caller who has left is billed all the same: the answer was made
	return true, nil
}

// stream takes the steps of an answer to the caller as they come. Nothing goes out before content, so that a failure up
// to there can still move on; and from the first finish reason on everything waits for the settlement.
func (a *attempt) stream() (done bool, failure *Failure) {
	for {
		step, err := a.reply.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return a.fall(err)
		}
		a.note(&step)
		if a.translates && a.received > maxBody { // of which those who translate keep the arguments of calls
			return a.fall(errEndless)
		}
		for b := a.writer.Chunk(step); ; b = a.writer.More() {
			if !a.fits(&step) {
				return a.fall(errNoRoom)
			}
			if a.received > 0 && a.finish == "" {
				a.flush(b)
			} else if a.pending = append(a.pending, b...); len(a.pending) > maxBody {
				return a.fall(errEndless)
			}
			if len(b) == 0 {
				break
			}
		}
	}
	u, _ := a.used()
	if _, failure := a.settle(nil); failure != nil {
		return true, a.tell(failure)
	}
	for b := a.writer.End(u); ; b = a.writer.More() {
		if a.flush(b); len(b) == 0 {
			return true, nil
		}
	}
}

// note takes down what a step says, and when content began.
func (a *attempt) note(step *Chunk) {
	before := a.received
	a.tally.note(a.task.Org, step)
	if a.translates {
		a.tally.rename(step, a.name())
	}
	if before == 0 && a.received > 0 {
		a.first = a.d.Now().Sub(a.run.started)
		a.trial.Heard()
	}
}

// flush sends what was held back, and what follows it. A caller who does not take it has left, and the answer is read on
// without one.
func (a *attempt) flush(more []byte) {
	b := more
	if len(a.pending) > 0 {
		b, a.pending = append(a.pending, more...), nil
	}
	if !a.left() && len(b) > 0 {
		from := a.d.Now()
		a.out.send(a.facts, b)
		a.taking += a.d.Now().Sub(from)
	}
}

// facts is what the headers of this attempt's answer say.
func (a *attempt) facts() Facts {
	f := Facts{Request: a.task.ID, Model: a.on.Model.Name, Kind: a.on.Credential.Kind(), Attempts: a.calls, Warnings: condensed(a.reply.Warnings())}
	f.Header = a.passed()
	if a.leg.Clipped {
		f.OutputCap = a.leg.Output
	}
	return f
}

// left tells whether the caller has left.
func (a *attempt) left() bool { return a.client.Err() != nil }

// fall ends an attempt whose answer did not come to its end. What the caller has of it is billed, and to one who has left
// what the upstream has counted. Else nothing is, and the next leg is tried if it may do better.
func (a *attempt) fall(err error) (done bool, failure *Failure) {
	e := a.judged(err)
	if a.task.Request.Stream {
		a.observe()
	}
	a.trial.Hinted(e.RetryAfter)
	a.trial.Report(a.sign(e), a.d.Now())
	if tell := a.d.Suspect; tell != nil && e.condemns() {
		tell(a.on.Credential, e)
	}
	if usage, _ := a.used(); a.out.begun || a.left() && usage != (ledger.Usage{}) {
		return true, a.breakOff(e)
	}
	a.record(ledger.Failed, e)
	a.last, a.lastLeg, a.lastDialect = e, a.on, a.dialect
	if slices.Contains(transient, e.Class) && !e.Provoked && e.RetryAfter <= maxRetryPause {
		a.fleeting, a.fleetingLeg = e, a.on
	}
	a.said = plain(e.words(), a.secret, maxMessage)
	switch {
	case a.left():
		return true, a.end(callerLeft(), clientGone)
	case a.d.Stop.Err() != nil:
		return true, a.end(&Failure{Status: http.StatusServiceUnavailable, Code: "not_ready", RetryAfter: time.Second, Message: "the node is stopping"}, "stopping")
	case e == errNoRoom: // nor would there be for the next leg's
		return true, a.end(&Failure{Status: http.StatusServiceUnavailable, Code: "not_ready", RetryAfter: time.Second, Message: a.said + ": try again"}, "no_room")
	case !slices.Contains(a.decision.Settings.RetryOn, e.Class):
		return true, a.end(a.upstreamFailed(), string(e.Class))
	}
	return false, nil
}

// breakOff settles an answer that broke off, and tells its caller.
func (a *attempt) breakOff(e *UpstreamError) *Failure {
	settled, failure := a.settle(e)
	switch {
	case failure != nil:
	case a.left():
		failure = callerLeft()
	default:
		by := "on an estimate"
		if settled.Source == ledger.UsageProvider {
			by = "by what the upstream has counted"
		}
		failure = &Failure{Status: http.StatusBadGateway, Code: "upstream_failed",
			Message: "the answer broke off: " + plain(e.Error(), a.secret, maxMessage) + "; what was received of it is settled " + by}
	}
	return a.tell(failure)
}

// tell takes a failure to the caller: as the answer's last event if the answer has begun, else by giving it back.
func (a *attempt) tell(f *Failure) *Failure {
	if !a.out.begun {
		return f
	}
	a.pending = nil
	a.flush(a.writer.Error(*f))
	return nil
}

// used is what the call consumed, as far as is known.
func (a *attempt) used() (ledger.Usage, ledger.UsageSource) {
	if a.reply == nil {
		return ledger.Usage{}, ledger.UsageEstimate
	}
	return a.tally.used(a.task.Request, a.leg, a.reply)
}

// discarded is what an attempt used of which its caller gets nothing: as its upstream has counted it or, where we have ended
// a call that its provider may bill all the same, its input by an estimate.
func (a *attempt) discarded(e *UpstreamError) (u ledger.Usage, source ledger.UsageSource) {
	u, source = a.used()
	if u == (ledger.Usage{}) && a.sent.Load() && a.ended(e) && a.task.Request.Endpoint != EndpointCount { // which nobody bills
		u = estimate(a.task.Request, a.leg, 0)
	}
	if u == (ledger.Usage{}) {
		source = ""
	}
	return u, source
}

// settle resolves the request by what this attempt used: durably, when it returns. An answer that did not come to its end
// has the failure that ended it.
func (a *attempt) settle(e *UpstreamError) (*ledger.RequestSettled, *Failure) {
	outcome, reason := ledger.Answered, ""
	switch {
	case e == nil:
		a.observe()
		a.trial.Report("", a.d.Now())
		a.remember()
		a.stick()
	case a.left():
		outcome = ledger.Abandoned
	default:
		outcome, reason = ledger.Cut, string(e.Class)
	}
	if a.left() {
		reason = clientGone
	}
	a.record(outcome, e)
	usage, source := a.used()
	rec, err := a.d.Books.Execute(context.WithoutCancel(a.client), ledger.Settle{Who: a.task.By, Org: a.task.Org, Request: a.task.ID,
		Resolution: ledger.Resolution{Attempts: a.attempts, Duration: a.since(a.run.started), Reason: reason},
		Usage:      usage, Source: source, ServiceTier: a.tier, Finish: a.finish, UpstreamID: a.id, Answered: a.answered, FirstByte: int64(a.first)})
	if err != nil {
		return nil, FailureOf(err)
	}
	if told := a.task.Settled; told != nil {
		told(usage)
	}
	return rec.Records[len(rec.Records)-1].Event.(*ledger.RequestSettled), nil
}

// record puts the attempt into the trace.
func (a *attempt) record(outcome ledger.Outcome, e *UpstreamError) {
	t := ledger.Attempt{N: a.leg.N, Choice: a.on.choice(), Outcome: outcome, Latency: a.since(a.began), FirstByte: int64(a.first), UpstreamID: a.id}
	if a.reply != nil {
		t.Status = http.StatusOK
	}
	if e != nil {
		t.Status, t.Class, t.Reason = cmp.Or(e.Status, t.Status), string(e.Class), cutTo(e.Code, 64)
	}
	if outcome == ledger.Failed {
		t.Usage, t.Source = a.discarded(e)
	}
	a.attempts = append(a.attempts, t)
}

func cutTo(s string, n int) string { return strings.ToValidUTF8(s[:min(len(s), n)], "") }
