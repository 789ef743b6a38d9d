package router

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"waybill/ledger"
)

// How a call fails that we end ourselves.
var (
	errTotal   = &UpstreamError{Class: ClassTimeout, Err: errors.New("the attempt took longer than its total timeout")}
	errFirst   = &UpstreamError{Class: ClassTimeout, Err: errors.New("no byte of the answer came within the first-byte timeout")}
	errDrain   = &UpstreamError{Class: ClassCanceled, Err: errors.New("the caller left, and the answer did not end within the drain timeout")}
	errAbort   = &UpstreamError{Class: ClassCanceled, Err: errors.New("the caller left, and the policy cancels such calls")}
	errDrains  = &UpstreamError{Class: ClassCanceled, Err: errors.New("the caller left, and too many such answers are being read to their end")}
	errEndless = &UpstreamError{Class: ClassServerError, Err: errTooLarge, Provoked: true}
	errStop    = &UpstreamError{Class: ClassConnection, Err: errors.New("the node is stopping"), Provoked: true}
)

// timeoutsOf is the node's timeouts with those that a policy sets.
func timeoutsOf(node Timeouts, d Deadlines) Timeouts {
	for _, t := range []struct {
		of  *time.Duration
		own Duration
	}{{&node.Connect, d.Connect}, {&node.FirstByte, d.FirstByte}, {&node.Idle, d.Idle}, {&node.Attempt, d.Attempt}, {&node.Total, d.Total}} {
		if t.own > 0 {
			*t.of = time.Duration(t.own)
		}
	}
	return node
}

// attempt is how long an attempt may take that begins so long after its request.
func (t Timeouts) attempt(after time.Duration) time.Duration {
	most := t.Total - after
	if t.Attempt > 0 {
		most = min(most, t.Attempt)
	}
	return max(0, most)
}

// late tells whether the request's time is over, or will be after a pause.
func (r *run) late(after time.Duration) bool {
	return r.d.Now().Add(after).Sub(r.started) >= r.timeouts.Total
}

// ended tells whether a failure is that we have ended the call.
func (a *attempt) ended(e *UpstreamError) bool {
	return errors.Is(e, errIdle) || errors.Is(e, errTooLarge) || errors.Is(e, ErrFrameTooLarge) || e == errNoRoom || error(e) == context.Cause(a.ctx)
}

// sign is the class by which a failure counts for the health of the attempt's leg.
func (a *attempt) sign(e *UpstreamError) Class {
	if a.hasty(e) {
		return ClassBadRequest
	}
	return e.sign()
}

// hasty tells whether a call was given less time than is usual on its credential: than the node gives, where others share it,
// and than the org gives, where it is the org's own. That it did not take less says nothing of how the upstream does. Nor does, where
// others share the credential, that one took longer of which so much was asked that it may: silence after the upstream was heard
// of, or an answer that does not come, is no news then. That nothing at all was heard within the first-byte timeout always is.
func (a *attempt) hasty(e *UpstreamError) bool {
	own, usual, long := a.timeouts, a.d.Timeouts, false
	if a.on.Credential.Kind() == ledger.BYOK {
		usual = own
	} else {
		long = a.task.Request.longer(usual.attempt(0))
	}
	switch {
	case errors.Is(e, errConnect):
		return usual.Connect == 0 || own.Connect < usual.Connect // without one the client's own strikes first where it is shorter
	case errors.Is(e, errFirst):
		return own.FirstByte < usual.FirstByte
	case errors.Is(e, errIdle):
		return own.Idle < usual.Idle || long && a.received == 0
	case errors.Is(e, errTotal): // which other attempts may have used up, and a long answer uses up by itself
		return own.attempt(0) < usual.attempt(0) || a.most < usual.attempt(0)/2 || a.received > 0 || long
	}
	return false
}

// longer tells whether a request asks for so much that a well upstream may need more time for it than that, or be silent for as long as it
// likes: thought of more than a low effort, or an output that is not streamed and not written by then at half the usual rate.
func (r *Request) longer(than time.Duration) bool {
	effort := cmp.Or(r.Effort, r.EffortNear())
	return slices.Index(efforts, effort) > slices.Index(efforts, "low") ||
		!r.Stream && r.OutputCap*max(1, r.N) > int64(than/time.Second)*usualRate/2
}
