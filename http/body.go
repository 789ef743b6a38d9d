package http

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"waybill/router"
)

// budget bounds the bytes of bodies that are in memory at a time, over all calls.
type budget struct {
	left atomic.Int64
	size int64
}

func newBudget(n int64) *budget {
	b := &budget{size: n}
	b.left.Store(n)
	return b
}

func (b *budget) take(n int64) bool {
	if b.left.Add(-n) >= 0 {
		return true
	}
	b.left.Add(n)
	return false
}

func (b *budget) give(n int64) { b.left.Add(n) }

func (b *budget) used() int64 { return b.size - b.left.Load() }

// bodyStep is how much a body of unknown length takes of the budget at first; each further step doubles it.
const bodyStep = 64 << 10

// body reads a call's body, within a cap, the budget and the deadline that ServeHTTP has set. What was taken of the budget is for the caller to
// give back when the body is no longer needed.
//
// The bytes are allocated once, in their declared size, and not pooled: the request's strings point into them, and some of
// those live on in the books and in a transport that is still sending when the call has ended.
func (s *Server) body(w http.ResponseWriter, r *http.Request, most int64) (b []byte, taken int64, f *router.Failure) {
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return nil, 0, &router.Failure{Status: http.StatusUnsupportedMediaType, Code: "invalid", Field: "Content-Encoding", Message: "Content-Encoding " + e + ": send the body as it is"}
	}
	if r.ContentLength == 0 {
		return nil, 0, nil
	}
	if r.ContentLength > most {
		return nil, 0, s.tooLarge(w, r, most)
	}
	step := r.ContentLength
	if step < 0 {
		step = bodyStep
	}
	buf := bytes.Buffer{}
	for {
		if !s.bodies.take(step) {
			s.bodies.give(taken)
			w.Header().Set("Connection", "close")
			return nil, 0, &router.Failure{Status: http.StatusServiceUnavailable, Code: "not_ready", RetryAfter: time.Second, Message: "the node holds as many bytes of requests as it may: try again"}
		}
		taken += step
		if r.ContentLength >= 0 {
			b = make([]byte, r.ContentLength)
			n, err := io.ReadFull(r.Body, b)
			return s.whole(w, b[:n], taken, err)
		}
		n, err := buf.ReadFrom(io.LimitReader(r.Body, step))
		if err != nil || n < step {
			return s.whole(w, buf.Bytes(), taken, err)
		}
		if int64(buf.Len()) > most {
			s.bodies.give(taken)
			return nil, 0, s.tooLarge(w, r, most)
		}
		step = min(taken, most+1-int64(buf.Len()))
		if step <= 0 {
			step = 1
		}
	}
}

// byteOrderMark is what some editors and languages put before UTF-8, and no reader of JSON wants.
var byteOrderMark = []byte("\xEF\xBB\xBF")

// whole ends the reading of a body.
func (s *Server) whole(w http.ResponseWriter, b []byte, taken int64, err error) ([]byte, int64, *router.Failure) {
	if err == nil {
		return bytes.TrimPrefix(b, byteOrderMark), taken, nil
	}
	s.bodies.give(taken)
	w.Header().Set("Connection", "close")
	if t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err); ok && t.Timeout() {
		return nil, 0, &router.Failure{Status: http.StatusRequestTimeout, Code: "invalid", Message: fmt.Sprintf("the body did not arrive within %s", s.o.Limits.BodyTimeout)}
	}
	return nil, 0, &router.Failure{Status: http.StatusBadRequest, Code: "invalid", Field: "body", Message: "body: ended before its end"}
}

// maxDiscard bounds what is read and dropped of a body that is too large, and discardTime how long that takes: many
// clients look for the answer only when they have sent everything.
const (
	maxDiscard  = 64 << 20
	discardTime = 5 * time.Second
)

func (s *Server) tooLarge(w http.ResponseWriter, r *http.Request, most int64) *router.Failure {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(discardTime)) // not a connection: the size alone bounds it
	_, _ = io.CopyN(io.Discard, r.Body, maxDiscard)                                // whatever it meets, the answer is the same
	w.Header().Set("Connection", "close")
	return &router.Failure{Status: http.StatusRequestEntityTooLarge, Code: "too_large", Field: "body", Message: fmt.Sprintf("body: larger than %d bytes", most)}
}
