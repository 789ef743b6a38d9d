package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"waybill/ledger"
	"waybill/router"
	"waybill/router/dialects"
)

// stream is a recorded answer that can be had at any length: the frames of its text are repeated, and so is the text
// wherever the frames behind them say it again, as Responses does. It is written as it is read and lies nowhere whole.
type stream struct {
	header http.Header
	head   []byte
	middle []byte // the frames of text
	frames int    // in middle
	text   []byte // that they add, as JSON without its quotes
	tail   [][]byte

	rounds int            // how often the middle is said
	look   func(end bool) // called at several places of the text, and of what follows it
}

// looks is how often a look is taken while the text comes.
const looks = 8

// recordStream has the sandbox answer in a dialect, in frames of so many tokens, and takes its answer apart.
func recordStream(ctx context.Context, i int, base string, each int) (*stream, error) {
	s := spoken[i]
	in := s.in
	in.Body = bytes.Replace(in.Body, []byte("output=200"), fmt.Appendf(nil, "output=%d", each*50), 1)
	q, err := dialects.Inbounds[s.dialect].Decode(in)
	if err != nil {
		return nil, err
	}
	r := &recorder{}
	reply, err := open(ctx, q, i, base, r)
	if err != nil {
		return nil, err
	}
	defer reply.Close()
	out, text, tail := &stream{header: r.header}, "", []byte(nil)
	for {
		c, err := reply.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		switch spoken := c.Kind == router.KindText && c.Text != "" && c.Finish == ""; {
		case spoken && len(tail) > 0:
			return nil, errors.New("the text is not in one piece")
		case spoken:
			out.middle, out.frames, text = append(out.middle, c.Frame...), out.frames+1, text+c.Text
		case out.frames == 0:
			out.head = append(out.head, c.Frame...)
		default:
			tail = append(tail, c.Frame...)
		}
	}
	if out.frames == 0 {
		return nil, errors.New("the answer has no text")
	}
	var quoted bytes.Buffer
	e := json.NewEncoder(&quoted)
	e.SetEscapeHTML(false) // as the sandbox writes
	if err := e.Encode(text); err != nil {
		return nil, err
	}
	out.text = quoted.Bytes()[1 : quoted.Len()-len("\"\n")]
	out.tail = bytes.Split(tail, out.text)
	if again := len(out.tail) > 1; again != (s.dialect == ledger.DialectOpenAIResponses) {
		return nil, fmt.Errorf("the text is said again behind it: %t", again)
	}
	return out, nil
}

// of is the stream with so many frames of text, as near as whole rounds come.
func (s *stream) of(frames int, look func(end bool)) *stream {
	long := *s
	long.rounds, long.look = max(1, frames/s.frames), look
	return &long
}

// RoundTrip answers with the stream, whatever is asked.
func (s *stream) RoundTrip(*http.Request) (*http.Response, error) {
	parts := []io.Reader{bytes.NewReader(s.head)}
	for n := range looks {
		parts = append(parts, &repeated{unit: s.middle, n: s.rounds*(n+1)/looks - s.rounds*n/looks}, glance(func() { s.look(false) }))
	}
	for i, piece := range s.tail {
		if i > 0 {
			parts = append(parts, &repeated{unit: s.text, n: s.rounds})
		}
		parts = append(parts, bytes.NewReader(piece), glance(func() { s.look(true) }))
	}
	return &http.Response{StatusCode: http.StatusOK, Header: s.header, Body: io.NopCloser(io.MultiReader(parts...))}, nil
}

// repeated reads as a text that is said again and again.
type repeated struct {
	unit []byte
	n    int // how often still
	at   int // in the present one
}

func (r *repeated) Read(b []byte) (n int, err error) {
	if r.n == 0 {
		return 0, io.EOF
	}
	n = copy(b, r.unit[r.at:])
	if r.at += n; r.at == len(r.unit) {
		r.n, r.at = r.n-1, 0
	}
	return n, nil
}

// glance has no bytes: it is a place in a stream at which something is done.
type glance func()

func (g glance) Read([]byte) (int, error) {
	g()
	return 0, io.EOF
}
