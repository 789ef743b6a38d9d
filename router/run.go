package router

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"waybill/ledger"
)

// run is what a request gathers on its way.
type run struct {
	d        *Dispatcher
	task     Task
	out      outlet
	client   context.Context // ends when the caller leaves
	started  time.Time
	timeouts Timeouts

	past     past // what is remembered of the conversation
	decision Decision
	inputs   ledger.Inputs // of the decision, as the log keeps them
	admitted bool
	leg      ledger.Leg // the latest that was admitted
	calls    int        // made upstream
	attempts []ledger.Attempt

	refusal   error          // why the ledger would not admit the first leg that it refused
	unfit     *FieldError    // why the first leg that could not carry the request could not
	unwritten error          // why the request could not be written for the latest leg for which it could not
	last      *UpstreamError // how the last call failed
	said      string         // about it, by the upstream, the network or waybill
	lastLeg   Leg            // which leg that was

	lastDialect ledger.Dialect // that it was made in; empty if it was not

	fleeting    *UpstreamError // how the latest call failed of those that may go better in a moment, as far as their upstreams say
	fleetingLeg Leg
	restingLeg  Leg // the first that was passed over because its upstream has asked for a moment
}

// Why a leg is passed over when it is its turn, beside the codes of the ledger's refusals.
const (
	breakerOpen     = "breaker_open"          // it rests
	unreadable      = "credential_unreadable" // the vault does not give its secret
	passUnsupported = "unsupported: "         // and a field of the request that it cannot carry
	unwritten       = "unwritten"             // the request could not be written for it
)

// pass notes a leg for which no call was made.
func (r *run) pass(leg Leg, reason string) {
	r.attempts = append(r.attempts, ledger.Attempt{Choice: leg.choice(), Outcome: ledger.Skipped, Reason: reason})
}

// mismatch passes over a leg that cannot carry the request. N is 0 if it was not admitted.
func (r *run) mismatch(leg Leg, n int, unfit *FieldError) {
	r.attempts = append(r.attempts, ledger.Attempt{N: n, Choice: leg.choice(), Outcome: ledger.Skipped, Reason: passUnsupported + cutTo(unfit.Field, 64)})
	if r.unfit == nil {
		r.unfit = unfit
	}
}

// tried tells the attempts in a sentence, for an error's text.
func (r *run) tried() string {
	var parts []string
	for _, a := range r.attempts {
		s := fmt.Sprintf("%s on %s %s", a.Model, a.Kind, a.Outcome)
		reason := a.Reason
		if reason == breakerOpen {
			reason = r.d.Health.state(a.Choice, r.standing(), r.d.Now()).rest()
		}
		if why := strings.TrimSpace(a.Class + " " + reason); why != "" {
			s += " (" + why + ")"
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, "; ")
}

// upstreamFailed is what a caller gets when the last call failed: the request's own fault as such, anything else as the
// upstream's.
func (r *run) upstreamFailed() *Failure {
	e := r.last
	switch e.Class {
	case ClassBadRequest:
		status := e.Status
		if status < 400 || status > 499 {
			status = http.StatusBadRequest
		}
		code, field := r.named()
		return &Failure{Status: status, Code: code, Field: field, Message: r.lastLeg.Model.Name + " refused the request: " + r.said}
	case ClassNotFound:
		return &Failure{Status: http.StatusNotFound, Code: string(ledger.CodeUnknownModel), Message: r.lastLeg.Model.Name + " is unknown to its provider: " + r.said, Field: "model"}
	case ClassRateLimited:
		return &Failure{Status: http.StatusTooManyRequests, Code: "rate_limited", RetryAfter: max(e.RetryAfter, time.Second), Message: "the upstream asks to slow down: " + r.tried() + ": " + r.said}
	}
	return &Failure{Status: http.StatusBadGateway, Code: "upstream_failed", Message: "no upstream answered: " + r.tried() + ": " + r.said}
}

// CodeTooLong is OpenAI's code for an input that is longer than the model takes, and waybill's in every dialect.
const CodeTooLong = "context_length_exceeded"

// named is the code and the field that a caller gets for what a provider has refused: the provider's own where they are
// words of the caller's dialect.
func (r *run) named() (code, field string) {
	e, q := r.last, r.task.Request
	code = string(ledger.CodeInvalid)
	if r.lastDialect == q.Dialect {
		field = e.Field
	}
	switch own := r.lastDialect == q.Dialect || openAI(r.lastDialect) && openAI(q.Dialect); {
	case e.TooLong:
		return CodeTooLong, cmp.Or(field, q.Name("messages"))
	case own && e.Code != "" && e.Code != "invalid_request_error" && e.Code != "INVALID_ARGUMENT": // which say no more than the status
		code = e.Code
	}
	return code, field
}

func openAI(d ledger.Dialect) bool {
	return d == ledger.DialectOpenAIChat || d == ledger.DialectOpenAIResponses
}

// statuses are the HTTP statuses of the ledger's refusals.
var statuses = map[ledger.Code]int{
	ledger.CodeInvalid:           http.StatusBadRequest,
	ledger.CodeNotFound:          http.StatusNotFound,
	ledger.CodeConflict:          http.StatusConflict,
	ledger.CodeRepeated:          http.StatusConflict,
	ledger.CodeUnknownKey:        http.StatusUnauthorized,
	ledger.CodeForbidden:         http.StatusForbidden,
	ledger.CodeOrgSuspended:      http.StatusForbidden,
	ledger.CodePlanExcludesModel: http.StatusForbidden,
	ledger.CodePlanExcludesCred:  http.StatusForbidden,
	ledger.CodePlanLimit:         http.StatusForbidden,
	ledger.CodeKeyForbidsModel:   http.StatusForbidden,
	ledger.CodeUnknownModel:      http.StatusNotFound,
	ledger.CodePolicyForbids:     http.StatusForbidden,
	ledger.CodeUnpricedModel:     http.StatusForbidden,
	ledger.CodeInsufficientFunds: http.StatusPaymentRequired,
	ledger.CodeFundsHeld:         http.StatusTooManyRequests,
	ledger.CodeCapReached:        http.StatusTooManyRequests,
	ledger.CodeUnavailable:       http.StatusServiceUnavailable,
	ledger.CodeNotReplicated:     http.StatusGatewayTimeout,
	ledger.CodeInternal:          http.StatusInternalServerError,
}

// StatusOf is the HTTP status of a refusal.
func StatusOf(c ledger.Code) int {
	if s, ok := statuses[c]; ok {
		return s
	}
	return http.StatusInternalServerError
}

// FailureOf is an error as a caller sees it. What is nobody's fault but ours keeps its details to the log.
func FailureOf(err error) *Failure {
	var le *ledger.Error
	var fe *FieldError
	switch {
	case errors.As(err, &le):
		f := &Failure{Status: StatusOf(le.Code), Code: string(le.Code), Message: le.Message, Of: le.Of}
		switch le.Code {
		case ledger.CodeFundsHeld:
			f.RetryAfter = time.Second
		case ledger.CodeCapReached:
			f.Resets = le.Resets
			if f.Until = le.Until; f.Until == 0 { // other calls' holds alone stand in the way
				f.RetryAfter = time.Second
			}
		case ledger.CodeUnavailable:
			f.RetryAfter, f.Code = time.Second, "not_ready"
		}
		return f
	case errors.As(err, &fe):
		return &Failure{Status: http.StatusBadRequest, Code: string(ledger.CodeInvalid), Message: fe.Error(), Field: fe.Field}
	case errors.Is(err, context.Canceled):
		return callerLeft()
	}
	return &Failure{Status: http.StatusInternalServerError, Code: string(ledger.CodeInternal), Message: "the node could not keep its books: " + err.Error()}
}

// callerLeft is the end of a call that nobody waits for any more.
func callerLeft() *Failure {
	return &Failure{Status: 499, Code: string(ClassCanceled), Message: "the caller left"}
}
