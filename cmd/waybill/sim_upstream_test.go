package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"waybill/router/sandbox"
)

// wire takes the calls of one life upstream. An inference call waits there until the script gives it its answer, in pieces;
// everything else is answered at once.
type wire struct {
	s    *sim
	life *life
}

var errReset = errors.New("connection reset by peer")

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if w.life.over.Load() {
		return nil, errReset
	}
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		r.Body.Close()
	}
	if r.Method != http.MethodPost {
		rec := httptest.NewRecorder()
		w.s.up.ServeHTTP(rec, r)
		return rec.Result(), nil
	}
	x := &exchange{life: w.life, req: r, body: body, attempt: r.Header.Get(sandbox.AttemptHeader), head: make(chan headed, 1), wake: make(chan struct{}, 1)}
	w.s.arrived(x)
	select {
	case h := <-x.head:
		return h.resp, h.err
	case <-r.Context().Done():
		x.mu.Lock()
		defer x.mu.Unlock()
		x.state = atLeave
		return nil, r.Context().Err()
	}
}

// exchange is one call upstream.
type exchange struct {
	life    *life
	req     *http.Request
	body    []byte
	attempt string
	by      uint64 // a position by which it was admitted
	head    chan headed
	wake    chan struct{}

	mu     sync.Mutex
	state  exchangeState
	rest   []byte // of the answer, not delivered yet
	ready  []byte // delivered, and not read yet
	err    error  // the end of the body, once ready is read; nil: it goes on
	status int
	tokens sandbox.Tokens // that the answer reports
}

type headed struct {
	resp *http.Response
	err  error
}

type exchangeState int

const (
	atHead    exchangeState = iota // for its headers
	atBody                         // and some of its body may be there
	atEnd                          // all of its body is
	atFailure                      // by an error of the provider's, whole
	atBreak                        // the connection
	atLeave                        // the node has left
)

// answer gives the headers, of a failure if kind names one.
func (x *exchange) answer(s *sim, kind sandbox.Failure) {
	provider := strings.Split(x.req.URL.Path, "/")[1]
	secret := secretOf(x.req)
	s.up.SetKey(sandbox.Key{Provider: provider, Secret: secret, Fails: kind})
	rec := httptest.NewRecorder()
	r := x.req.Clone(s.t.Context())
	r.Body = io.NopCloser(bytes.NewReader(x.body))
	before := len(s.up.Calls())
	s.up.ServeHTTP(rec, r)
	s.up.SetKey(sandbox.Key{Provider: provider, Secret: secret})
	resp := rec.Result()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.state, x.rest, x.status = atBody, rec.Body.Bytes(), resp.StatusCode
	if calls := s.up.Calls(); len(calls) > before {
		x.tokens = calls[len(calls)-1].Tokens
	}
	resp.Body, resp.ContentLength = &exchangeBody{x}, -1
	x.head <- headed{resp: resp}
}

func secretOf(r *http.Request) string {
	for _, name := range []string{"X-Api-Key", "X-Goog-Api-Key"} {
		if v := r.Header.Get(name); v != "" {
			return v
		}
	}
	return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
}

// deliver gives the next n bytes of the body, or all.
func (x *exchange) deliver(n int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	n = min(n, len(x.rest))
	x.ready, x.rest = append(x.ready, x.rest[:n]...), x.rest[n:]
	if len(x.rest) == 0 {
		x.err, x.state = io.EOF, atEnd
		if x.status != http.StatusOK {
			x.state = atFailure
		}
	}
	x.rouse()
}

// advance takes the call a step on its way, to the end if all.
func (x *exchange) advance(s *sim, all bool) {
	switch x.at() {
	case atHead:
		x.answer(s, "")
	case atBody:
		n := 1 << 30
		if !all && s.rand.IntN(3) > 0 {
			n = 1 + s.rand.IntN(400)
		}
		x.deliver(n)
	}
}

// cut ends the connection where it stands.
func (x *exchange) cut() {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch x.state {
	case atHead:
		x.head <- headed{err: errReset}
	case atBody:
		x.err = io.ErrUnexpectedEOF
		x.rouse()
	default:
		return
	}
	x.state = atBreak
}

func (x *exchange) at() exchangeState {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.state
}

func (x *exchange) rouse() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// request is waybill's id of the request that the call was made for.
func (x *exchange) request() string {
	id, _, _ := strings.Cut(x.attempt, ".")
	return id
}

type exchangeBody struct{ x *exchange }

func (b *exchangeBody) Read(p []byte) (int, error) {
	x := b.x
	for {
		x.mu.Lock()
		if len(x.ready) > 0 {
			n := copy(p, x.ready)
			x.ready = x.ready[n:]
			x.mu.Unlock()
			return n, nil
		}
		err := x.err
		x.mu.Unlock()
		if err != nil {
			return 0, err
		}
		select {
		case <-x.wake:
		case <-x.req.Context().Done():
			x.leave()
			return 0, x.req.Context().Err()
		}
	}
}

func (b *exchangeBody) Close() error {
	b.x.leave()
	return nil
}

func (x *exchange) leave() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.state == atBody {
		x.state = atLeave
	}
	if x.err == nil {
		x.err = io.ErrClosedPipe
	}
	x.rouse()
}
