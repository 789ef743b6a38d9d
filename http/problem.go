package http

import (
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"waybill/ledger"
	"waybill/router"
)

// Problem is an error of the control API, as RFC 9457 has it, with the class in Code.
type Problem struct {
	Type    string       `json:"type"` // about:blank: the code says it all
	Title   string       `json:"title"`
	Status  int          `json:"status"`
	Code    string       `json:"code"`
	Detail  string       `json:"detail"`
	Field   string       `json:"field,omitempty"`   // of the request, if one is at fault
	Of      string       `json:"of,omitempty"`      // the id of what stands in the way
	Errors  []policyNote `json:"errors,omitempty"`  // each thing that is wrong with a policy, with its place in the text
	Request string       `json:"request,omitempty"` // waybill's id of the call, to be found in the node's log
}

// Error is what happened, for people.
func (p *Problem) Error() string { return p.Detail }

func notFound(what, id string) error {
	return &ledger.Error{Code: ledger.CodeNotFound, Message: what + " \"" + id + "\" is not known"}
}

// invalid is a request whose field is at fault.
func invalid(field, reason string) error { return &router.FieldError{Field: field, Reason: reason} }

var errForbidden = &ledger.Error{Code: ledger.CodeForbidden, Message: "this needs the operator's token, or a key of the org with scope admin where the org itself is concerned"}

var errNoKey = &ledger.Error{Code: ledger.CodeUnknownKey, Message: "the call has no key and no token: send Authorization: Bearer wbk_…"}

var errUnknownKey = &ledger.Error{Code: ledger.CodeUnknownKey, Message: "the key is unknown, revoked or expired: send Authorization: Bearer wbk_…"}

// failureOf is an error as a caller sees it. What is nobody's fault but ours goes to the node's log, under the call's id.
func (s *Server) failureOf(err error, request string) router.Failure {
	return s.presentable(*router.FailureOf(err), request)
}

func (s *Server) presentable(f router.Failure, request string) router.Failure {
	if f.Code == string(ledger.CodeInternal) {
		s.o.Logger.Error("internal error", slog.String("request", request), slog.String("error", f.Message))
		f.Message = "the node failed to do this; its log says why under " + request
	}
	return f
}

func problemOf(f router.Failure) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(f.Status), Status: f.Status, Code: f.Code, Detail: f.Message, Field: f.Field, Of: f.Of}
}

// problem answers a call of the control API with an error.
func (s *Server) problem(w http.ResponseWriter, request string, err error) {
	var p *Problem
	if !errors.As(err, &p) {
		if e, ok := errors.AsType[*router.PolicyError](err); ok {
			s.problem(w, request, &Problem{Type: "about:blank", Title: http.StatusText(http.StatusBadRequest), Status: http.StatusBadRequest,
				Code: string(ledger.CodeInvalid), Field: "document", Detail: e.Error(), Errors: e.Notes})
			return
		}
		f := s.failureOf(err, request)
		if f.Status == 499 {
			return // nobody is there to read it
		}
		retryHeaders(w.Header(), f)
		p = problemOf(f)
	}
	p.Request = request
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	b, _ := json.Marshal(p) // strings and a number: it cannot fail
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_, _ = w.Write(b) // a caller who has left reads nothing
}

// refuse answers an inference call with an error in its dialect.
func (s *Server) refuse(w http.ResponseWriter, in router.Inbound, request string, f router.Failure) {
	if f.Status == 499 {
		return
	}
	f = s.presentable(f, request)
	h := w.Header()
	if strings.HasPrefix(f.Of, requestPrefix) { // the first call under a repeated Idempotency-Key
		request = f.Of
	}
	h["Waybill-Request"], f.Request = []string{request}, request
	h["Content-Type"] = []string{"application/json"}
	retryHeaders(h, f)
	if f.Status == http.StatusConflict || f.Status == http.StatusPaymentRequired || f.Until != 0 || f.Code == string(ledger.CodeNotReplicated) {
		// The SDKs retry a 409, a 429 and a 504 unless told otherwise: none until midnight, nor what is done and billed.
		h["X-Should-Retry"] = []string{"false"}
	}
	w.WriteHeader(f.Status)
	_, _ = w.Write(in.Failure(f)) // as above
}

// retryHeaders say when another try may go better: in seconds, and in the milliseconds that both official SDKs read first.
func retryHeaders(h http.Header, f router.Failure) {
	if f.RetryAfter <= 0 {
		return
	}
	h["Retry-After"] = []string{strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds())))}
	h["Retry-After-Ms"] = []string{strconv.FormatInt(int64((f.RetryAfter+time.Millisecond-1)/time.Millisecond), 10)}
}
