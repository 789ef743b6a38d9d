package gemini

import (
	"bytes"

	"waybill/ledger"
	"waybill/router"
)

// sheet is the frame of a streamed answer: SSE, or one JSON array that grows. Google's own SDK fails on a comment in
// SSE, so that none is ever written.
type sheet struct {
	router.AtOnce
	array bool
	begun bool // the array has
}

// frame wraps one partial answer.
func (s *sheet) frame(b, data []byte) []byte {
	if !s.array {
		return append(append(append(b, "data: "...), data...), "\r\n\r\n"...)
	}
	before := ",\r\n"
	if !s.begun {
		s.begun, before = true, "["
	}
	return append(append(b, before...), data...)
}

// close is what follows the last partial answer.
func (s *sheet) close() []byte {
	switch {
	case !s.array:
		return nil
	case !s.begun:
		return []byte("[]")
	}
	return []byte("]")
}

// Error writes the partial answer that the SDKs raise. Nothing follows it but the array's end.
func (s *sheet) Error(f router.Failure) []byte {
	f.Array = false
	return append(s.frame(nil, Inbound{}.Failure(f)), s.close()...)
}

// relay forwards an answer that came in this dialect.
type relay struct{ sheet }

// Chunk forwards the frame.
func (w *relay) Chunk(c router.Chunk) []byte {
	if len(c.Frame) == 0 {
		return nil
	}
	if !w.array && bytes.HasPrefix(c.Frame, []byte("data:")) && !bytes.Contains(c.Frame, []byte("\n:")) {
		return c.Frame
	}
	f, err := router.NewFrameReader(bytes.NewReader(c.Frame)).Next()
	switch {
	case err != nil || len(f.Data) == 0: // a comment, which the callers' SDK would fail on
		return nil
	case w.array || f.Event == "":
		return w.frame(nil, f.Data)
	}
	return c.Frame
}

// End closes the array.
func (w *relay) End(ledger.Usage) []byte { return w.close() }

// Body forwards a whole answer.
func (w *relay) Body(steps []router.Chunk, _ ledger.Usage) []byte { return steps[len(steps)-1].Frame }
