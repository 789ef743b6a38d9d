package routertest

import (
	"bytes"
	"io"
	"net/http"
	"sync"

	"waybill/router/sandbox"
)

// crossing is what went over the wire for one attempt.
type crossing struct {
	path     string
	header   http.Header
	sent     []byte
	mu       sync.Mutex
	received bytes.Buffer
}

func (c *crossing) got() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.received.Bytes())
}

// wire is a transport that keeps what it carries.
type wire struct {
	inner *http.Transport
	mu    sync.Mutex
	calls map[string]*crossing // by attempt
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body.Close()
	c := &crossing{path: r.URL.Path, header: r.Header.Clone(), sent: body}
	w.mu.Lock()
	w.calls[r.Header.Get(sandbox.AttemptHeader)] = c
	w.mu.Unlock()
	again := r.Clone(r.Context())
	again.Body = io.NopCloser(bytes.NewReader(body))
	answer, err := w.inner.RoundTrip(again)
	if err == nil {
		answer.Body = &tap{answer.Body, c}
	}
	return answer, err
}

func (w *wire) call(attempt string) *crossing {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls[attempt]
}

// tap keeps what is read of an answer.
type tap struct {
	io.ReadCloser
	of *crossing
}

func (t *tap) Read(b []byte) (int, error) {
	n, err := t.ReadCloser.Read(b)
	t.of.mu.Lock()
	t.of.received.Write(b[:n])
	t.of.mu.Unlock()
	return n, err
}
