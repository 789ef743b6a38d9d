package router

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"waybill/ledger"
)

// reply is the answer to one attempt: frames or a body from the upstream, read by the dialect's Decoder.
type reply struct {
	outer    context.Context // the dispatcher's
	ctx      context.Context // the call's own, which the watchdog may cancel
	cancel   context.CancelCauseFunc
	call     Call
	envelope Envelope
	resp     *http.Response
	watchdog *time.Timer
	closed   bool

	frames *FrameReader // nil for a unary answer
	steps  []Chunk      // read and not yet returned
	room   []Chunk      // where steps begin
	named  bool         // the first step has been returned
	err    error        // how the answer ended
}

var errCut = errors.New("the answer was cut before its end")

// Next returns the next step of the answer.
func (r *reply) Next() (Chunk, error) {
	for len(r.steps) == 0 {
		if r.err != nil {
			return Chunk{}, r.err
		}
		if r.frames == nil {
			r.readUnary()
		} else {
			r.readFrame()
		}
	}
	c := r.steps[0]
	r.steps = r.steps[1:]
	if name := r.envelope.TierHeader; name != "" && !r.named && c.Tier == "" {
		c.Tier = r.resp.Header.Get(name)
	}
	r.named = true
	for _, word := range []*string{&c.ID, &c.Model, &c.Tier, &c.Native, &c.CallID, &c.Name} {
		if *word != "" { // it goes into the log, and is kept: by itself, not with the whole frame that it stands in
			*word = strings.Clone(plain(*word, r.call.Secret, maxWord))
		}
	}
	return c, nil
}

func (r *reply) readUnary() {
	body, err := r.readBody()
	if err != nil {
		r.err = r.failed(err)
		return
	}
	steps, err := r.envelope.Decoder.Body(body, nil)
	if _, told := errors.AsType[*UpstreamError](err); err != nil && !told && unended(body) ||
		err == nil && (len(steps) == 0 || !r.envelope.Decoder.Whole()) {
		err = &UpstreamError{Class: ClassConnection, Err: errCut}
	}
	if err != nil {
		r.err = r.ended(err)
		return
	}
	steps[len(steps)-1].Frame = body
	r.steps, r.err = steps, io.EOF
}

// unended tells whether a body stops in the middle of its JSON, or before it.
func unended(body []byte) bool {
	var v json.RawMessage
	err := json.NewDecoder(bytes.NewReader(body)).Decode(&v)
	return err == io.EOF || err == io.ErrUnexpectedEOF
}

func (r *reply) readFrame() {
	f, err := r.frames.Next()
	if err != nil && err != io.EOF {
		r.err = r.failed(err)
		return
	}
	r.call.Room.read(-len(f.Raw)) // which its step has, and so who reads that
	r.room = r.room[:0]
	if err == nil && len(f.Data) > 0 {
		r.room, err = r.envelope.Decoder.Frame(f.Data, r.room)
	}
	if err == io.EOF && !r.envelope.Decoder.Whole() {
		err = &UpstreamError{Class: ClassConnection, Err: errCut}
	}
	if err != nil {
		r.err = r.ended(err)
	}
	if err != nil && (err != io.EOF || len(r.room) == 0) {
		return
	}
	if len(r.room) == 0 {
		r.room = append(r.room, Chunk{})
	}
	r.room[len(r.room)-1].Frame = f.Raw
	r.steps = r.room
}

// ended makes a decoder's error the reply's.
func (r *reply) ended(err error) error {
	if err == io.EOF {
		return err
	}
	e, ok := errors.AsType[*UpstreamError](err)
	if !ok {
		e = &UpstreamError{Class: ClassServerError, Err: err}
	}
	return presentable(e, r.resp.StatusCode, r.call.Secret)
}

// Usage is what the upstream has reported so far.
func (r *reply) Usage() (ledger.Usage, bool) {
	u, final := r.envelope.Decoder.Usage()
	return u.Clamped(), final
}

// Turn is the answer as its provider wants it back.
func (r *reply) Turn() []byte { return r.envelope.Decoder.Turn() }

// Header is the header of the upstream's answer.
func (r *reply) Header() http.Header { return r.resp.Header }

// Warnings says what of the request this leg left out or altered.
func (r *reply) Warnings() []string { return r.envelope.Warnings }
