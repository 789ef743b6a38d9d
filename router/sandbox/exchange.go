package sandbox

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
)

// exchange is one call while it is being answered.
type exchange struct {
	s       *Sandbox
	w       http.ResponseWriter
	flusher *http.ResponseController
	ctx     context.Context
	d       *dialect
	call    *Call
	id      string // of the answer, before the provider's prefix
	seen    glance

	whole  any // the body of an answer that is none of a model's: a count, embeddings
	a      *answer
	script *Script
	at     faults
	out    *frames
	status int  // of the answer; 0 before its status line
	begun  bool // the answer's first frame is out, so that it has cost something
	sent   int  // content frames that are out

	released chan struct{} // set while the call hangs, or is about to
}

// unaryFrames is the length of an answer that is not streamed, as [Place] counts:
// half of the body is 1, all but its last byte is 2.
const unaryFrames = 2

// framesPool holds buffers, the one large allocation of a call.
var framesPool = sync.Pool{New: func() any { return new(frames) }}

// reply answers the call with x.a.
func (x *exchange) reply() {
	x.out = framesPool.Get().(*frames)
	defer func() {
		x.s.hung.forget(x.released)
		x.out.reset()
		framesPool.Put(x.out)
	}()
	x.out.crlf, x.out.extras, x.out.array = x.script.CRLF, x.script.Extras, x.seen.array
	n := unaryFrames
	if x.a.prompt.stream {
		n = x.d.contentFrames(x.a)
	}
	var err error
	if x.at, err = x.script.faults(n); err != nil {
		x.refuse(scriptFault(x.d.provider, err))
		return
	}
	if !x.a.prompt.stream && x.script.Fail != "" {
		x.at.fail = pointHeaders
	}
	if !x.wait(x.script.Latency) || !x.reach(pointHeaders) {
		return
	}
	if x.a.prompt.stream {
		x.stream(n)
	} else {
		x.unary()
	}
}

// stream sends an answer of n content frames, and the faults between them.
func (x *exchange) stream(n int) {
	h := x.w.Header()
	h["Content-Type"] = sseType
	if x.seen.array {
		h["Content-Type"] = jsonType
	}
	h["Cache-Control"] = noCache
	x.status = http.StatusOK
	x.w.WriteHeader(x.status)
	if !x.reach(pointFirst) {
		return
	}
	x.d.opening(x.out, x.a)
	x.begun = true
	for i := range n {
		if !x.reach(i) || !x.wait(x.script.Delay) {
			return
		}
		if x.script.Pings {
			x.d.ping(x.out)
		}
		x.d.content(x.out, x.a, i)
		x.sent++
		if !x.flush() {
			return
		}
	}
	if !x.reach(n) || !x.complete() {
		return
	}
	x.d.closing(x.out, x.a)
	if !x.reach(n + 1) {
		return
	}
	x.d.terminator(x.out, x.a)
	x.flush()
}

// unary sends an answer whole, unless a fault wants it in pieces.
func (x *exchange) unary() {
	if x.whole == nil {
		x.whole = x.d.unary(x.a)
	}
	x.out.value(x.whole)
	body := bytes.Clone(x.out.buf.Bytes())
	x.out.buf.Reset()
	x.begun, x.sent, x.status = true, x.a.frames, http.StatusOK
	if !x.complete() {
		return
	}
	h := x.w.Header()
	h["Content-Type"] = jsonType
	if x.at.truncate == pointNone {
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	x.w.WriteHeader(x.status)
	done := 0
	for point, end := range [...]int{0, 0, len(body) / 2, len(body) - 1, len(body)} {
		point += pointFirst
		x.out.buf.Write(body[done:end])
		done = end
		if !x.reach(point) {
			return
		}
	}
	x.flush()
}

// complete closes the record before the end of the answer may go out. If a fault
// waits behind that end, the record already says so.
func (x *exchange) complete() bool {
	if x.ctx.Err() != nil {
		return x.gone()
	}
	end := x.d.contentFrames(x.a)
	outcome, finish := Completed, x.finish()
	if !x.a.prompt.stream {
		end = unaryFrames
	}
	switch {
	case x.at.hang > pointHeaders && (x.at.hang > end || !x.a.prompt.stream):
		outcome = Hung
		x.arm()
	case x.at.fail > end:
		outcome = Failed(x.script.Fail)
	case x.at.cut > pointHeaders:
		outcome = Cut
		if x.at.cut <= end {
			finish = ""
		}
	case x.at.truncate > pointHeaders:
		outcome = Truncated
		if x.at.truncate <= end {
			finish = ""
		}
	}
	x.sent = x.a.frames
	return x.end(outcome, finish)
}

// finish is the provider's word for how the first choice ended.
func (x *exchange) finish() string {
	if x.call.Endpoint != Generate {
		return ""
	}
	if x.script.Finish != "" {
		return x.script.Finish
	}
	return x.d.finish(&x.a.choices[0])
}

// end writes the record of how the call ended. A journal that fails ends the call:
// an answer without a record is worth less than none.
func (x *exchange) end(outcome Outcome, finish string) bool {
	var tokens Tokens
	if x.begun {
		tokens = x.a.tokens(x.sent)
	}
	err := x.s.calls.end(x.call, func(c *Call) {
		c.Outcome, c.Finish, c.Tokens = outcome, finish, tokens
		c.Status = x.status
		if x.begun && c.Endpoint == Generate {
			c.AnswerID = x.a.id
		}
	})
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return true
}

func (x *exchange) gone() bool {
	x.end(Gone, "")
	return false
}

// reach lets the faults strike that are set for a point. It reports whether the
// answer goes on.
func (x *exchange) reach(point int) bool {
	at := x.at
	if at.hang != point && at.fail != point && at.cut != point && at.truncate != point {
		return true
	}
	if point > pointHeaders && !x.flush() {
		return false
	}
	if at.hang == point && !x.hang() {
		return false
	}
	if at.fail == point {
		x.fail(point)
		return false
	}
	if at.cut == point {
		x.end(Cut, "")
		panic(http.ErrAbortHandler)
	}
	if at.truncate == point {
		if point == pointHeaders {
			x.status = http.StatusOK
			x.w.WriteHeader(x.status)
		}
		x.end(Truncated, "")
		return false
	}
	return true
}

// arm makes the call known to Release, before the record says that it hangs.
func (x *exchange) arm() {
	if x.released == nil {
		x.released = x.s.hung.add(x.call.Attempt)
	}
}

// hang stops until the client goes away or a test lets the call go on.
func (x *exchange) hang() bool {
	x.arm()
	x.s.calls.update(x.call, func(c *Call) { c.Outcome = Hung })
	select {
	case <-x.released:
		x.s.calls.update(x.call, func(c *Call) { c.Outcome = Open })
		return true
	case <-x.ctx.Done():
		x.end(Hung, "")
		return false
	}
}

// fail answers with an error: as the status if there was none yet, else in the stream.
func (x *exchange) fail(point int) {
	f := faultOf(x.d.provider, x.script.Fail, x.script.RetryAfter).about(x.a.prompt.model)
	if point == pointHeaders {
		x.refuse(f)
		return
	}
	x.end(Failed(f.kind), "")
	if b, ok := x.d.speaker.(breaker); ok {
		b.breakOff(x.out, x.a, f, x.begun)
	} else {
		x.out.event(x.d.errorEvent, x.d.failure(f, x.a.request))
	}
	if x.seen.array {
		x.out.buf.WriteByte(']')
	}
	x.flush()
}

// refuse answers with an error status and records why.
func (x *exchange) refuse(f *fault) {
	err := x.s.calls.end(x.call, func(c *Call) {
		c.Outcome, c.Status = Failed(f.kind), f.status
	})
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	x.s.refuse(x.w, x.d, f, x)
}

// wait pauses the answer.
func (x *exchange) wait(d time.Duration) bool {
	if d == 0 {
		return true
	}
	if x.out.buf.Len() > 0 && !x.flush() {
		return false
	}
	if x.s.sleep(x.ctx, d) != nil {
		return x.gone()
	}
	return true
}

// flush sends what is buffered, in the pieces that the script wants.
func (x *exchange) flush() bool {
	if x.ctx.Err() != nil {
		return x.gone()
	}
	rest := x.out.buf.Bytes()
	for len(rest) > 0 {
		n := len(rest)
		switch {
		case x.script.Split > 0:
			n = min(n, x.script.Split)
		case x.script.Split == SplitUTF8:
			n = insideRune(rest)
		}
		if _, err := x.w.Write(rest[:n]); err != nil {
			return x.gone()
		}
		if err := x.flusher.Flush(); err != nil {
			return x.gone()
		}
		rest = rest[n:]
	}
	if x.out.buf.Len() == 0 {
		if err := x.flusher.Flush(); err != nil { // the status line alone
			return x.gone()
		}
	}
	x.out.buf.Reset()
	return true
}

// insideRune is the length of the shortest part that ends after the first byte of a
// rune of several bytes.
func insideRune(b []byte) int {
	for i := range b {
		if b[i] >= utf8.RuneSelf && utf8.RuneStart(b[i]) {
			return i + 1
		}
	}
	return len(b)
}

// hung are the calls that stand still.
type hung struct {
	mu    sync.Mutex
	calls map[chan struct{}]string // to attempt
}

func (h *hung) add(attempt string) (released chan struct{}) {
	released = make(chan struct{})
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.calls == nil {
		h.calls = map[chan struct{}]string{}
	}
	h.calls[released] = attempt
	return released
}

func (h *hung) forget(released chan struct{}) {
	if released != nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.calls, released)
	}
}

// Release lets the hung calls of one attempt ("" is every one) go on, and returns
// how many there were.
func (s *Sandbox) Release(attempt string) int {
	s.hung.mu.Lock()
	defer s.hung.mu.Unlock()
	n := 0
	for released, of := range s.hung.calls {
		if attempt == "" || attempt == of {
			close(released)
			delete(s.hung.calls, released)
			n++
		}
	}
	return n
}
