package router

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"waybill/ledger"
)

// Bounds of what is read of an answer, in bytes.
const (
	maxBody    = 32 << 20 // a whole unary answer
	maxRefusal = 64 << 10 // an error answer
)

// drainTime is how long Close waits for the bytes that follow an answer's end mark. Reading them lets the
// connection serve the next call.
const drainTime = 50 * time.Millisecond

var (
	errConnect  = errors.New("no connection stood within the connect timeout")
	errIdle     = errors.New("no byte came for longer than the idle timeout")
	errTooLarge = fmt.Errorf("the answer is larger than %d MiB", maxBody>>20)
)

// Envelope is one attempt as its dialect wants it sent and read.
type Envelope struct {
	Path       string      // what follows the base URL, escaped
	Header     http.Header // the dialect's own: authentication and version, keys in canonical form
	Body       []byte      // JSON
	Stream     bool        // the answer is to come as SSE
	Decoder    Decoder     // reads the answer
	TierHeader string      // the header that names the service tier used, if the dialect has one
	Warnings   []string    // what the body leaves out or alters of the request
}

// Decoder reads the answer to one attempt in one dialect. What its methods return as an *UpstreamError needs a
// class, and a code and message where the provider gave them.
type Decoder interface {
	// Frame appends the steps that an SSE frame with data holds. For the dialect's end mark it appends a step that says
	// so, and returns io.EOF.
	Frame(data []byte, steps []Chunk) ([]Chunk, error)
	// Body appends the steps of a whole unary answer.
	Body(body []byte, steps []Chunk) ([]Chunk, error)
	// Whole tells whether what was read is an answer with its end, now that the upstream has ended it.
	Whole() bool
	// Usage is what Reply.Usage returns.
	Usage() (u ledger.Usage, final bool)
	// Turn is what Reply.Turn returns.
	Turn() []byte
	// Refusal reads the provider's error body, which does not exist where there was none in JSON.
	Refusal(status int, body gjson.Result) *UpstreamError
}

// Exchange makes one HTTP call for an Upstream: what all dialects share of it.
func Exchange(ctx context.Context, c Call, e Envelope) (Reply, error) {
	outer := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	r := &reply{outer: outer, ctx: ctx, cancel: cancel, call: c, envelope: e}
	if err := r.open(); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *reply) open() error {
	e := &r.envelope
	req, err := http.NewRequestWithContext(r.ctx, http.MethodPost, r.call.BaseURL+e.Path, bytes.NewReader(e.Body))
	if err != nil {
		return r.failed(err)
	}
	req.Header = http.Header{
		"Content-Type": {"application/json"},
		"Accept":       {"application/json"},
		// A compressed stream is held back by its compressor, and the bytes are forwarded as they come.
		"Accept-Encoding":     {"identity"},
		"User-Agent":          {"waybill"},
		"X-Client-Request-Id": {r.call.Attempt},
	}
	if e.Stream {
		req.Header["Accept"] = []string{"text/event-stream"}
	}
	for name, values := range e.Header {
		req.Header[name] = values
	}
	r.call.Quirks.authenticate(req.Header, r.call.Secret)
	if wait := r.call.Connect; wait > 0 {
		connecting := time.AfterFunc(wait, func() { r.cancel(errConnect) })
		defer connecting.Stop()
		req = req.WithContext(httptrace.WithClientTrace(r.ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connecting.Stop() }}))
	}
	if r.resp, err = r.call.Client.Do(req); err != nil {
		return r.failed(err)
	}
	if r.resp.StatusCode != http.StatusOK {
		return r.refused()
	}
	if !e.Stream {
		return nil
	}
	if kind, _, _ := strings.Cut(r.resp.Header.Get("Content-Type"), ";"); strings.EqualFold(kind, "application/json") {
		return r.refused() // an error that came with a 200, or an answer that nobody could stream
	}
	r.frames = NewFrameReader((*patient)(r))
	return nil
}

// refused reads the error answer.
func (r *reply) refused() error {
	body, err := io.ReadAll(io.LimitReader((*patient)(r), maxRefusal))
	if err != nil && r.ctx.Err() != nil {
		return r.failed(err)
	}
	return refusal(r.envelope.Decoder, r.resp.StatusCode, r.resp.Header, body, r.call.Secret)
}

// failed classes what the transport or our own clock did to the call.
func (r *reply) failed(err error) *UpstreamError {
	e := &UpstreamError{Class: ClassConnection, Err: err}
	// The address says nothing that the attempt does not, and may hold what a credential's owner put there.
	if u, ok := errors.AsType[*url.Error](err); ok {
		e.Err = u.Err
	}
	if errors.Is(err, ErrFenced) {
		e.Err = ErrFenced
	}
	if r.resp != nil {
		e.Status = r.resp.StatusCode
	}
	cause := context.Cause(r.ctx)
	switch {
	case errors.Is(cause, errIdle), errors.Is(cause, errConnect):
		e.Class, e.Err = ClassTimeout, cause
	case r.outer.Err() != nil:
		if own, ok := errors.AsType[*UpstreamError](cause); ok {
			return own
		}
		e.Class, e.Err = ClassCanceled, cause
		if r.outer.Err() == context.DeadlineExceeded || errors.Is(cause, context.DeadlineExceeded) {
			e.Class = ClassTimeout
		}
	case errors.Is(err, os.ErrDeadlineExceeded) || isTimeout(err):
		e.Class = ClassTimeout
	case err == errNoRoom:
		return errNoRoom
	case errors.Is(err, ErrFrameTooLarge), errors.Is(err, errTooLarge):
		e.Class, e.Provoked = ClassServerError, true
	}
	return e
}

func isTimeout(err error) bool {
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && t.Timeout()
}

// patient reads the answer's body, but waits no longer than the call's idle timeout for a byte. Only the
// waiting counts: a caller who reads slowly is not the upstream's fault.
type patient reply

func (p *patient) Read(b []byte) (int, error) {
	if idle := p.call.Idle; idle > 0 {
		if p.watchdog == nil {
			cancel := p.cancel
			p.watchdog = time.AfterFunc(idle, func() { cancel(errIdle) })
		} else {
			p.watchdog.Reset(idle)
		}
		defer p.watchdog.Stop()
	}
	n, err := p.resp.Body.Read(b)
	if !p.call.Room.read(n) {
		err = errNoRoom
	}
	return n, err
}

// readBody reads a whole unary answer.
func (r *reply) readBody() ([]byte, error) {
	var b bytes.Buffer
	// One byte more than the body, so that its end is found without growing.
	b.Grow(int(min(max(r.resp.ContentLength, 0), 1<<20)) + bytes.MinRead)
	n, err := b.ReadFrom(io.LimitReader((*patient)(r), maxBody+1))
	if err == nil && n > maxBody {
		err = errTooLarge
	}
	return b.Bytes(), err
}

// Close ends the call upstream, whatever is left of it.
func (r *reply) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	defer r.cancel(context.Canceled)
	if r.watchdog != nil {
		r.watchdog.Stop()
	}
	if r.resp == nil {
		return nil
	}
	if r.err == io.EOF {
		cancel := r.cancel
		late := time.AfterFunc(drainTime, func() { cancel(context.Canceled) })
		defer late.Stop()
		// What the drain meets is no part of the answer any more.
		_, _ = io.CopyN(io.Discard, r.resp.Body, maxRefusal)
	}
	return r.resp.Body.Close()
}
