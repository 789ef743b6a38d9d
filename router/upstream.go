package router

import (
	"context"
	"net/http"
	"time"

	"waybill/ledger"
	"waybill/ledger/secret"
)

// Upstream opens calls in one dialect. Each dialect's folder has one; package router/dialects lists them.
type Upstream interface {
	// Open makes exactly one attempt. It returns when the answer's headers have arrived, with a Reply to read,
	// or with an *UpstreamError. A *FieldError means that this leg cannot carry the request; then nothing was
	// sent. Cancelling ctx ends the call; if its cause is an *UpstreamError, that is how the call failed.
	Open(ctx context.Context, c Call) (Reply, error)
	// Listing is the free call that shows whether a secret is taken: a GET of the provider's models.
	Listing(key secret.Text) Envelope
}

// Call is one attempt, ready to be sent.
type Call struct {
	Request   *Request
	Attempt   string // attempt id, sent upstream as X-Client-Request-Id: "<request id>.<n>", n from 1
	Model     ledger.Model
	BaseURL   string      // as the provider's own SDK takes it, without a slash at its end
	Secret    secret.Text // the credential, sent in a header only
	Quirks    Quirks      // how the provider departs from its dialect
	OutputCap int64       // tokens, sent in the dialect's own field; 0: none is known, for a model that the catalogue does not list
	Client    *http.Client
	Connect   time.Duration // longest wait for a connection; 0: the client's own
	Idle      time.Duration // longest wait between two bytes of the answer
	Room      *Room         // where it is counted what is in memory of the answer; nil: nowhere
	// Turn finds what this leg's provider said in the turn that made a tool call, as Reply.Turn gave it; nil if it is
	// not remembered, or was said to another credential. Nil where nothing is remembered at all.
	Turn func(callID string) []byte
	// Foreign is the seals in the conversation that another leg than this one made: what is under them must stay behind.
	Foreign map[string]bool
}

// Own tells whether the caller speaks a dialect, so that its bytes are forwarded.
func (c Call) Own(d ledger.Dialect) bool { return c.Request.Dialect == d && len(c.Request.Body) > 0 }

// MaxTurn bounds what is kept of one answer for Reply.Turn, in bytes. The longest answers of any model are of 128 thousand
// tokens, half of this as text; what is beyond it is not kept at all, which costs the model its earlier thoughts.
const MaxTurn = 1 << 20

// Keeps tells whether what the answer says may be wanted back from us: it may call tools, and its caller, who speaks another
// dialect than d, cannot bring everything back.
func (c Call) Keeps(d ledger.Dialect) bool { return !c.Own(d) && len(c.Request.Tools) > 0 }

// Reply is the answer to one attempt. It is read by one goroutine.
type Reply interface {
	// Next returns the next step. The end of a whole answer is io.EOF. An answer that stops before its dialect's end
	// mark, or without a finish reason, is an *UpstreamError of class connection, never io.EOF.
	Next() (Chunk, error)
	// Usage is what the upstream has reported so far, and whether that figure is the final one.
	Usage() (u ledger.Usage, final bool)
	// Turn is the whole answer as its provider wants it back when the conversation goes on past the answer's tool
	// calls: the provider's own words, with its seals. It is nil where there is no seal to keep, and where the caller
	// speaks the provider's dialect and so brings everything back itself. It is known when Next has returned io.EOF.
	Turn() []byte
	// Header is the header of the upstream's answer.
	Header() http.Header
	// Close ends the call upstream, whatever is left of it.
	Close() error
	// Warnings says what of the request this leg left out or altered, one sentence of ASCII each, beginning
	// with the caller's field. They are known when the reply is opened.
	Warnings() []string
}
