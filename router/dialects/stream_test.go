package dialects_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"reflect"
	"testing"

	"waybill/router"
	"waybill/router/dialects"
)

// pieces is a transport whose answers come in the pieces that a test cuts them into.
type pieces struct {
	kind   string
	pieces [][]byte
	end    error
}

func (p *pieces) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return nil, err
	}
	body := &pieceReader{p.pieces, p.end}
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {p.kind}}, Body: body, Request: r, ContentLength: -1}, nil
}

type pieceReader struct {
	left [][]byte
	end  error
}

func (r *pieceReader) Read(b []byte) (int, error) {
	for len(r.left) > 0 && len(r.left[0]) == 0 {
		r.left = r.left[1:]
	}
	if len(r.left) == 0 {
		return 0, r.end
	}
	n := copy(b, r.left[0])
	r.left[0] = r.left[0][n:]
	return n, nil
}

func (r *pieceReader) Close() error { return nil }

// pieced reads a fixture that comes in pieces.
func pieced(t *testing.T, i int, p *pieces, stream bool) (steps []router.Chunk, reply router.Reply, err error) {
	c := call(hello(t, stream), "http://upstream.test")
	c.Client, c.Idle = &http.Client{Transport: p}, 0
	if reply, err = dialects.Upstreams[answers[i].dialect].Open(context.Background(), c); err != nil {
		return nil, nil, err
	}
	defer reply.Close()
	steps, err = read(reply)
	return steps, reply, err
}

// Wherever the bytes of an answer are parted on their way, between the lines of an event, within its words or within a rune,
// the same steps come of them, and the same usage.
func TestStreamsPartedAtEveryByte(t *testing.T) {
	for i, tt := range answers {
		t.Run(tt.file, func(t *testing.T) {
			t.Parallel()
			body, kind, stream := fixture(t, tt.file)
			if !stream {
				return
			}
			want, _, err := pieced(t, i, &pieces{kind, [][]byte{bytes.Clone(body)}, io.EOF}, stream)
			if err != io.EOF {
				t.Fatal(err)
			}
			for at := range body {
				got, reply, err := pieced(t, i, &pieces{kind, [][]byte{bytes.Clone(body[:at]), bytes.Clone(body[at:])}, io.EOF}, stream)
				if err != io.EOF {
					t.Fatalf("parted at byte %d: %v", at, err)
				}
				if u, final := reply.Usage(); u != tt.usage || !final {
					t.Fatalf("parted at byte %d: usage %+v, final %t", at, u, final)
				}
				if !reflect.DeepEqual(want, got) {
					t.Fatalf("parted at byte %d: %+v, want %+v", at, got, want)
				}
			}
			var single [][]byte
			for _, b := range body {
				single = append(single, []byte{b})
			}
			if got, _, err := pieced(t, i, &pieces{kind, single, io.EOF}, stream); err != io.EOF || !reflect.DeepEqual(want, got) {
				t.Errorf("byte by byte: %v, %d steps of %d", err, len(got), len(want))
			}
		})
	}
}

// At whichever byte an answer ends that is not its last, as if it were whole or by a broken connection, it is not taken for whole,
// and what came before makes the same steps as if the rest had come.
func TestStreamsCutAtEveryByte(t *testing.T) {
	broken := errors.New("the connection broke")
	for i, tt := range answers {
		t.Run(tt.file, func(t *testing.T) {
			t.Parallel()
			body, kind, stream := fixture(t, tt.file)
			body = bytes.TrimRight(body, "\r\n")
			if stream {
				body = append(body, "\n\n"...)
			}
			whole, _, err := pieced(t, i, &pieces{kind, [][]byte{bytes.Clone(body)}, io.EOF}, stream)
			if err != io.EOF {
				t.Fatal(err)
			}
			for at := range len(body) - 1 {
				for _, end := range []error{io.EOF, broken} {
					got, _, err := pieced(t, i, &pieces{kind, [][]byte{bytes.Clone(body[:at])}, end}, stream)
					if err == io.EOF {
						t.Fatalf("cut at byte %d with %v, looks whole: %q", at, end, body[max(0, at-40):at])
					}
					if e := failure(t, err); e.Class != router.ClassConnection && e.Class != router.ClassServerError {
						t.Fatalf("cut at byte %d: %v", at, err)
					}
					if len(got) > len(whole) || len(got) > 0 && !reflect.DeepEqual(got[:len(got)-1], whole[:len(got)-1]) {
						t.Fatalf("cut at byte %d: other steps than of the whole answer", at)
					}
				}
			}
		})
	}
}
