package router

import (
	"context"
	"errors"
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
	return errors.Is(e, errIdle) || errors.Is(e, errTooLarge) || errors.Is(e, ErrFrameTooLarge) || error(e) == context.Cause(a.ctx)
}

// sign is the class by which a failure counts for the health of the attempt's leg.
func (a *attempt) sign(e *UpstreamError) Class {
	if a.hasty(e) {
		return ClassBadRequest
	}
	return e.sign()
}

// hasty tells whether a call was given less time than is usual on its credential: than the node gives, where others share it,
// and than the org gives, where it is the org's own. That it did not take less says nothing of how the upstream does.
func (a *attempt) hasty(e *UpstreamError) bool {
	own, usual := a.timeouts, a.d.Timeouts
	if a.on.Credential.Kind() == ledger.BYOK {
		usual = own
	}
	switch {
	case errors.Is(e, errConnect):
		return usual.Connect == 0 || own.Connect < usual.Connect // without one the client's own strikes first where it is shorter
	case errors.Is(e, errFirst):
		return own.FirstByte < usual.FirstByte
	case errors.Is(e, errIdle):
		return own.Idle < usual.Idle
	case errors.Is(e, errTotal): // which other attempts may have used up, and a long answer uses up by itself
		return own.attempt(0) < usual.attempt(0) || a.most < usual.attempt(0)/2 || a.received > 0
	}
	return false
}
