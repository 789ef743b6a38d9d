package router

import (
	"net/http"
	"time"

	"waybill/ledger"
)

// Inbound is a dialect as callers speak it: how a request is read and how an answer is written.
type Inbound interface {
	// Decode reads a call. What is malformed is a *FieldError. The request keeps the body, and its strings
	// point into it: the caller must not change it afterwards.
	Decode(in Incoming) (*Request, error)
	// Writer starts an answer to one request. From says which dialect the upstream speaks: the caller's own is
	// forwarded frame by frame, any other is translated.
	Writer(req *Request, head Head, from ledger.Dialect) Writer
	// Failure is the body of an error answer, in the shape that the dialect's clients turn into typed errors.
	Failure(f Failure) []byte
}

// Incoming is a call as it came.
type Incoming struct {
	Endpoint Endpoint
	Body     []byte
	Header   http.Header
	// Of dialects that say it in the address:
	Model  string
	Stream bool
	Array  bool // the stream is to be one JSON array
	Batch  bool // several requests in one (Gemini's batchEmbedContents)
}

// Head is what is known when an answer begins.
type Head struct {
	Request string // waybill's id of the request
	Model   string // provider/model that answers
	Created int64  // seconds since 1970
	Input   int64  // an estimate of the input, in tokens, for dialects that tell it before it is known
}

// Writer turns the steps of one answer into the caller's bytes. A returned nil means nothing to send yet. What it returns it
// never writes again.
type Writer interface {
	// Chunk writes one step of a streamed answer.
	Chunk(c Chunk) []byte
	// End writes what closes a whole streamed answer, after its last step: the usage where it belongs there, and
	// the dialect's end mark where it has one.
	End(u ledger.Usage) []byte
	// More gives what Chunk or End has left to be written, piece by piece and then nil, so that what is large is not
	// in memory all at once. It is asked after each Chunk that gave something, and after End.
	More() []byte
	// Body writes a whole unary answer from its steps.
	Body(steps []Chunk, u ledger.Usage) []byte
	// Error writes the event that ends a streamed answer which cannot be finished.
	Error(f Failure) []byte
}

// AtOnce is of Writers that write all that there is to write at once.
type AtOnce struct{}

// More gives nothing.
func (AtOnce) More() []byte { return nil }

// Failure is an error as a caller sees it.
type Failure struct {
	Status  int    // HTTP
	Code    string // the class, for programs: insufficient_funds, unknown_model, upstream_failed, …
	Message string // for people: what happened, where, and what to do
	Field   string // the request's field at fault, if one is
	Of      string // the id of what stands in the way, for instance the first request under an Idempotency-Key
	Request string // waybill's id of the call

	RetryAfter time.Duration  // when another try may go better, 0 if never
	Until      ledger.Instant // likewise, where the end of a cap's window is waited for; ledger.Never if none helps
	Resets     ledger.Instant // when the window ends of the cap that is in the way, whatever holds it; 0 of a lifetime
	Array      bool           // the answer was to be one JSON array, and so is the error
}
