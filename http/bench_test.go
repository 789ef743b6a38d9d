package http_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// BenchmarkOverhead is what this package does for an inference call beside the router: the route, the key, the body, the
// dialect's decoder and an answer. The call is refused for its missing messages.
func BenchmarkOverhead(b *testing.B) {
	n := newNode(b, nil)
	_, secret := n.open("acme", "teams")
	body := `{"model":"openai/gpt-6-luna","temperature":0.5,"user":"` + strings.Repeat("x", 2000) + `"}`
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest("POST", "/v1/chat/completions", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+secret)
		w := &discard{header: http.Header{}}
		n.server.ServeHTTP(w, r)
		if w.status != 400 {
			b.Fatal(w.status)
		}
	}
}

type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(b []byte) (int, error) { return io.Discard.Write(b) }
