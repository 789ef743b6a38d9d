package router

import (
	"time"

	"waybill/ledger"
)

// Inbound is a dialect as callers speak it: how a request is read and how an answer is written.
type Inbound interface {
	// Decode reads a body. What is malformed is a *FieldError. The request keeps the body, and its strings
	// point into it: the caller must not change it afterwards.
	Decode(body []byte) (*Request, error)
	// Writer starts an answer to one request. From says which dialect the upstream speaks: the caller's own is
	// forwarded frame by frame, any other is translated.
	Writer(req *Request, head Head, from ledger.Dialect) Writer
	// Failure is the body of an error answer, in the shape that the dialect's clients turn into typed errors.
	Failure(f Failure) []byte
}

// Head is what is known when an answer begins.
type Head struct {
	Request string // waybill's id of the request
	Model   string // provider/model that answers
	Created int64  // seconds since 1970
}

// Writer turns the steps of one answer into the caller's bytes. A returned nil means nothing to send yet.
type Writer interface {
	// Chunk writes one step of a streamed answer.
	Chunk(c Chunk) []byte
	// End writes what closes a whole streamed answer, after its last step: the usage chunk where it was asked
	// for, and the dialect's end mark where it has one.
	End(u ledger.Usage) []byte
	// Body writes a whole unary answer from its one step.
	Body(c Chunk, u ledger.Usage) []byte
	// Error writes the event that ends a streamed answer which cannot be finished.
	Error(f Failure) []byte
}

// Failure is an error as a caller sees it.
type Failure struct {
	Status  int    // HTTP
	Code    string // the class, for programs: insufficient_funds, unknown_model, upstream_failed, …
	Message string // for people: what happened, where, and what to do
	Field   string // the request's field at fault, if one is
	Of      string // the id of what stands in the way, for instance the first request under an Idempotency-Key

	RetryAfter time.Duration // when another try may go better, 0 if never
}
