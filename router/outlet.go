package router

import (
	"sync"
	"time"

	"waybill/ledger"
)

// keepAlives is what is sent on a stream where nothing else can be yet, in the dialects whose clients bear it. Google's own
// take no comment.
var keepAlives = map[ledger.Dialect][]byte{
	ledger.DialectOpenAIChat:        []byte(": waybill\n\n"),
	ledger.DialectOpenAIResponses:   []byte(": waybill\n\n"),
	ledger.DialectAnthropicMessages: []byte("event: ping\ndata: {\"type\": \"ping\"}\n\n"),
}

// outlet is a request's way to its caller: for an answer and, while a stream has none, for signs of life.
type outlet struct {
	mu      sync.Mutex
	sink    Sink
	request string
	leave   func() // the caller takes nothing any more
	beat    []byte // the sign of life; nil: none
	quiet   time.Duration
	timer   *time.Timer
	sent    bool // since the last look
	headed  bool // the caller has got headers
	begun   bool // and content
	closed  bool
}

// listen starts the signs of life of a stream whose caller waits from now on.
func (o *outlet) listen(q *Request, quiet time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.timer != nil || !q.Stream || q.Array || keepAlives[q.Dialect] == nil || quiet <= 0 {
		return
	}
	o.beat, o.quiet = keepAlives[q.Dialect], quiet
	o.timer = time.AfterFunc(quiet, o.tick)
}

// tick sends a sign of life if there was none since the last look.
func (o *outlet) tick() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	if !o.sent {
		o.write(Facts{Request: o.request}, o.beat)
	}
	o.sent = false
	o.timer.Reset(o.quiet)
}

// send takes bytes of an answer to the caller. The facts are those of its headers, if they have not gone out.
func (o *outlet) send(facts func() Facts, b []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var f Facts
	if !o.headed {
		f = facts()
	}
	o.begun, o.sent = true, true
	o.write(f, b)
}

func (o *outlet) write(f Facts, b []byte) {
	if !o.headed {
		o.headed = true
		o.sink.Start(f)
	}
	if err := o.sink.Send(b); err != nil {
		o.leave()
	}
}

// refuse gives back a failure whose caller has got nothing, and tells it to one who has got headers already.
func (o *outlet) refuse(f *Failure, t Task) *Failure {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true // no sign of life comes between the end and whoever writes it
	if f == nil || !o.headed {
		return f
	}
	w := t.Inbound.Writer(t.Request, Head{Request: t.ID, Model: t.Request.Model}, t.Request.Dialect)
	o.write(Facts{}, w.Error(*f))
	return nil
}

// close ends the signs of life: the sink is the caller's again.
func (o *outlet) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	if o.timer != nil {
		o.timer.Stop()
	}
}
