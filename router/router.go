package router

import (
	"context"
	"errors"
	"hash/fnv"
	"net/http"
	"slices"
	"time"

	"waybill/ledger"
)

// Dispatcher takes requests to upstreams and answers back. Its fields are set once, before its first use.
type Dispatcher struct {
	Books     Books
	Secrets   Secrets
	Upstreams map[ledger.Dialect]Upstream
	Providers map[string]Provider
	Client    *http.Client
	Fence     *Fence // makes the calls to base URLs that orgs have set; nil: one that allows public addresses alone
	Health    *Health
	Memory    *Memory // nil: nothing is remembered
	Policies  Policies
	Sticky    Sticky
	Retries   Retries
	Suspect   func(*ledger.Credential, *UpstreamError) // told of a call that failed by its credential, and must not wait; nil: nobody is
	Now       func() time.Time
	Timeouts  Timeouts
	// Stop ends the calls that are still open: each caller gets an error, each call is settled on an estimate.
	Stop context.Context

	drains drains
	rooms  rooms
}

// Timeouts bound an attempt and a request.
type Timeouts struct {
	Connect   time.Duration // of an attempt, until its connection stands; 0: the client's own
	FirstByte time.Duration // from the call to the first byte of a streamed answer
	Idle      time.Duration // between two bytes of an answer
	Attempt   time.Duration // a whole attempt; 0: no longer than the request
	Total     time.Duration // a whole request, all its attempts together
	Quiet     time.Duration // after so long without a byte for its caller a stream gets a sign of life
	Drain     time.Duration // how long an answer is read on after its caller has left
}

// DefaultTimeouts are those of a policy that sets none.
var DefaultTimeouts = Timeouts{FirstByte: time.Minute, Idle: time.Minute, Total: 10 * time.Minute, Quiet: 10 * time.Second, Drain: 30 * time.Second}

// Do is the whole life of a request. Each leg is admitted durably before it is called. A failure moves on to the next
// leg while no content has been sent. What was used is settled durably before the caller gets the frame that says the
// answer is whole. A returned failure is for the caller, who has got nothing yet; nil means that the sink was served,
// be it with an answer or with an error in the middle of one.
func (d *Dispatcher) Do(ctx context.Context, t Task, sink Sink) *Failure {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	r := &run{d: d, task: t, client: ctx, started: d.Now(), timeouts: d.Timeouts, out: outlet{sink: sink, request: t.ID, leave: leave}}
	defer r.out.close()
	return r.out.refuse(r.do(), t)
}

func (r *run) do() *Failure {
	if fault := r.task.Request.check(); fault != nil {
		return FailureOf(fault)
	}
	if err := r.route(); err != nil {
		return FailureOf(err)
	}
	for _, leg := range r.decision.Legs {
		if r.last != nil && r.late(0) {
			break
		}
		if done, err := r.try(leg); done {
			return err
		}
	}
	if leg, ok := r.again(); ok {
		if done, err := r.try(leg); done {
			return err
		}
	}
	return r.exhausted()
}

// route decides the legs.
func (r *run) route() (err error) {
	q := r.task.Request
	if r.d.Memory != nil {
		r.past = r.d.Memory.of(r.task.Org, q)
	}
	a := AskOf(q, r.task.Note)
	a.Narrowed = r.task.Narrowed
	a.Origin, a.Sticky = r.past.choice(), r.sticky()
	r.d.Books.View(func(s *ledger.State) {
		policy, version, e := r.d.Policies.Of(s.Policy(r.task.Org))
		if err = e; err != nil {
			return
		}
		v := ViewOf(s, r.task.Org, r.task.Key, policy, a, ledger.InstantOf(r.started))
		v.Seed = seedOf(r.task.ID)
		v.Condition = func(c ledger.Choice) ledger.Condition { return r.d.Health.Condition(c, r.started) }
		r.decision, err = Route(a, v)
		r.inputs = r.decision.inputs(a, v, version)
		r.inputs.AsOf, _ = s.Head()
		r.inputs.Decided = v.Now
	})
	r.timeouts = timeoutsOf(r.d.Timeouts, r.decision.Settings.Timeouts)
	return err
}

// seedOf is the chance of a decision: the request's id is as good as any, and is in the log.
func seedOf(request string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(request))
	return h.Sum64()
}

// try takes one leg as far as it goes. Done means that the request has its end, and failure is what its caller gets.
func (r *run) try(leg Leg) (done bool, failure *Failure) {
	if r.client.Err() != nil {
		return true, r.end(callerLeft(), clientGone)
	}
	if unfit := excess(r.task.Request, leg); unfit != nil {
		r.mismatch(leg, 0, unfit)
		return false, nil
	}
	trial, ok := r.d.Health.allow(leg.choice(), r.standing(), r.d.Now())
	if !ok {
		r.pass(leg, breakerOpen)
		if r.restingLeg.Model == nil && r.restsBriefly(leg) {
			r.restingLeg = leg
		}
		return false, nil
	}
	defer func() { trial.Report(ClassCanceled, r.d.Now()) }() // if nobody else does: there was no call
	key, err := r.d.Secrets.Secret(context.WithoutCancel(r.client), leg.Credential)
	if err != nil {
		trial.Report(ClassCredential, r.d.Now())
		r.pass(leg, unreadable)
		return false, nil
	}
	if err := r.admit(leg); err != nil {
		return r.refused(leg, err)
	}
	if r.client.Err() != nil { // nobody waits any more for what would be billed
		return true, r.end(callerLeft(), clientGone)
	}
	r.out.listen(r.task.Request, r.timeouts.Quiet)
	a := r.attempt(leg, trial, key)
	defer a.close()
	return a.call()
}

// admit asks the ledger for the leg: durable when it returns without an error.
func (r *run) admit(leg Leg) error {
	q := r.task.Request
	demand := demandOf(q, leg, r.past.size(leg.choice()))
	if !r.admitted {
		e, err := r.once(ledger.Admit{Who: r.task.By, Org: r.task.Org, Key: r.task.Key, Request: r.task.ID,
			Lane: r.decision.Lane, Dialect: q.Dialect, Asked: q.Model, Streamed: q.Stream, Inputs: r.inputs, Demand: demand})
		if err != nil {
			return err
		}
		r.admitted, r.leg = true, e.Leg
		return nil
	}
	rec, err := r.d.Books.Execute(context.WithoutCancel(r.client), ledger.Extend{Who: r.task.By, Org: r.task.Org, Request: r.task.ID, Demand: demand})
	if err != nil {
		return err
	}
	r.leg = rec.Records[len(rec.Records)-1].Event.(*ledger.RequestExtended).Leg
	return nil
}

// passing are the ledger's refusals that are of one leg: others may be admitted.
var passing = []ledger.Code{ledger.CodeInsufficientFunds, ledger.CodeFundsHeld, ledger.CodeCapReached, ledger.CodePlanExcludesModel, ledger.CodePlanLimit,
	ledger.CodeKeyForbidsModel, ledger.CodeUnpricedModel, ledger.CodeUnknownModel, ledger.CodeNotFound}

// refused decides what a leg that the ledger would not admit means: the end, or a leg passed over.
func (r *run) refused(leg Leg, err error) (done bool, failure *Failure) {
	var le *ledger.Error
	if !errors.As(err, &le) {
		return true, r.end(FailureOf(err), "not_admitted")
	}
	if !slices.Contains(passing, le.Code) {
		return true, r.end(FailureOf(err), string(le.Code))
	}
	if r.refusal == nil {
		r.refusal = err
	}
	r.pass(leg, string(le.Code))
	return false, nil
}

// refusedBy is the ledger's refusal as the caller sees it: with the time to wait, where the end of a cap's window helps.
func (r *run) refusedBy(err error) *Failure {
	f := FailureOf(err)
	if f.Until > 0 && f.Until != ledger.Never {
		f.RetryAfter = max(time.Second, f.Until.Time().Sub(r.d.Now()))
	}
	return f
}

// exhausted ends a request that no leg has answered.
func (r *run) exhausted() *Failure {
	switch {
	case r.client.Err() != nil:
		return r.end(callerLeft(), clientGone)
	case r.last != nil:
		return r.end(r.upstreamFailed(), string(r.last.Class))
	case r.unfit != nil:
		return r.end(FailureOf(r.unfit), "unsupported")
	case r.unwritten != nil:
		return r.end(&Failure{Status: http.StatusInternalServerError, Code: string(ledger.CodeInternal),
			Message: "the request could not be written for its model: " + r.unwritten.Error()}, unwritten)
	case r.refusal != nil:
		return r.refusedBy(r.refusal)
	}
	return &Failure{Status: http.StatusServiceUnavailable, Code: "upstream_failed", RetryAfter: r.resting(),
		Message: "no upstream for this model can be called at the moment: " + r.tried()}
}

// resting is after how long the first of the legs that rest may be called again, in whole seconds. One that rests for longer than an
// empty account does is asked for now and then: what has it rest may be over before its time.
func (r *run) resting() time.Duration {
	least, found := breakerPause, false
	for _, a := range r.attempts {
		if a.Reason != breakerOpen {
			continue
		}
		if rests := r.d.Health.rests(a.Choice, r.standing(), r.d.Now()); !found || rests < least {
			least, found = rests, true
		}
	}
	least = min(least, suspectTrip)
	return max(1, (least+time.Second-1)/time.Second) * time.Second
}

// end voids an admitted request and returns what its caller gets.
func (r *run) end(f *Failure, reason string) *Failure {
	if !r.admitted {
		return f
	}
	_, err := r.d.Books.Execute(context.WithoutCancel(r.client), ledger.Void{Who: r.task.By, Org: r.task.Org, Request: r.task.ID,
		Resolution: ledger.Resolution{Attempts: r.attempts, Duration: r.since(r.started), Reason: reason}})
	if err != nil {
		return FailureOf(err)
	}
	return f
}

func (r *run) since(t time.Time) int64 { return int64(r.d.Now().Sub(t)) }
