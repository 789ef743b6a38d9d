package sandbox_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"waybill/router/sandbox"
)

// line is one line of the journal, read by names of its own.
type line struct {
	Event, Attempt, Outcome, Finish, Model, Key string
	Seq                                         int64
	Ended                                       bool
	Tokens                                      map[string]int
	BodySHA256                                  string `json:"body_sha256"`
}

// journal keeps the lines, and what the client had received when each was written.
type journal struct {
	mu       sync.Mutex
	lines    []line
	whole    bool // each Write was one line
	received func() string
	seen     []string
	fail     func(n int) error
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.fail != nil {
		if err := j.fail(len(j.lines)); err != nil {
			return 0, err
		}
	}
	var l line
	j.whole = json.Unmarshal(b, &l) == nil && bytes.Count(b, []byte("\n")) == 1 && bytes.HasSuffix(b, []byte("\n"))
	j.lines = append(j.lines, l)
	if j.received != nil {
		j.seen = append(j.seen, j.received())
	}
	return len(b), nil
}

// TestJournalComesFirst watches the order of the record and the bytes of the answer.
func TestJournalComesFirst(t *testing.T) {
	each(t, func(t *testing.T, provider string, stream bool) {
		w := &writes{header: http.Header{}}
		j := &journal{received: func() string { return strings.Join(w.pieces, "") }}
		c := start(t, sandbox.Options{Journal: j})
		c.box.ServeHTTP(w, c.request(provider, stream, body(provider, "[[sandbox output=40]] order", stream, "")))
		if len(j.lines) != 2 || !j.whole || j.lines[0].Event != "opened" || j.lines[1].Event != "ended" || j.lines[0].Ended || !j.lines[1].Ended {
			t.Fatalf("lines %+v", j.lines)
		}
		opened, ended := j.lines[0], j.lines[1]
		if opened.Outcome != "open" || opened.Attempt != "req.1" || opened.Model != models[provider] || opened.Key != sandbox.Fingerprint("secret") || len(opened.BodySHA256) != 64 {
			t.Errorf("opened %+v", opened)
		}
		if ended.Outcome != "completed" || ended.Finish != finishes[provider][0] || ended.Tokens["output"] != 40 {
			t.Errorf("ended %+v", ended)
		}
		if j.seen[0] != "" {
			t.Errorf("bytes went out before the call was recorded: %q", j.seen[0])
		}
		if strings.Contains(j.seen[1], finishes[provider][0]+`"`) {
			t.Errorf("the finish reason went out before the record was closed: %q", j.seen[1])
		}
		if stream && !strings.Contains(j.seen[1], "data:") {
			t.Errorf("a stream's record is closed at its end, not before %q", j.seen[1])
		}
	})
}

func TestBrokenJournal(t *testing.T) {
	each(t, func(t *testing.T, provider string, stream bool) {
		full := errors.New("disk full")
		j := &journal{fail: func(n int) error { return []error{nil, full}[min(n, 1)] }}
		c := start(t, sandbox.Options{Journal: j})
		// The line that opens the call is written, the one that ends it is not.
		if r := c.ask(provider, "hello", stream, ""); r.err == nil || strings.Contains(r.body, finishes[provider][0]+`"`) {
			t.Errorf("%+v", r)
		}
		// Nothing can be recorded any more.
		if r := c.ask(provider, "hello", stream, ""); r.status != 500 || !strings.Contains(r.body, "journal") {
			t.Errorf("%d %s", r.status, r.body)
		}
		if calls := c.box.Calls(); len(calls) != 1 {
			t.Errorf("record %+v", calls)
		}
		if err := c.box.Err(); !errors.Is(err, full) {
			t.Errorf("Err is %v", err)
		}
	})
}

func TestSecretsStayOut(t *testing.T) {
	var out bytes.Buffer
	c := start(t, sandbox.Options{Journal: &out, Keys: []sandbox.Key{{Secret: "good"}}})
	for _, provider := range providers {
		r := c.request(provider, false, body(provider, "hello", false, ""))
		authorise(r, provider, "very-secret-key")
		got := c.do(r)
		if got.status == 200 || strings.Contains(got.body, "very") || strings.Contains(out.String(), "very") {
			t.Errorf("%s: %d %s", provider, got.status, got.body)
		}
	}
	if !strings.Contains(out.String(), sandbox.Fingerprint("very-secret-key")) {
		t.Error("the record does not name the key")
	}
}

func TestKeepCalls(t *testing.T) {
	c := start(t, sandbox.Options{KeepCalls: 3})
	for i := range 20 {
		c.ask(sandbox.OpenAI, "hello", false, "")
		calls := c.box.Calls()
		if len(calls) != min(i+1, 3) || calls[len(calls)-1].Seq != int64(i+1) {
			t.Fatalf("after %d calls: %+v", i+1, calls)
		}
	}
}

// A client that dies before its body is whole is in the record, too.
func TestHalfARequest(t *testing.T) {
	c := start(t, sandbox.Options{})
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.root, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST /openai/v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-Client-Request-Id: half.1\r\nContent-Length: 100\r\n\r\n{\"model\":\"m\"")
	conn.Close()
	if call := c.calls(1)[0]; call.Outcome != sandbox.Gone || call.Attempt != "half.1" || call.Tokens != (sandbox.Tokens{}) {
		t.Errorf("record %+v", call)
	}
}

// TestConcurrency has many clients at once, some of them unlucky, and wants each of
// their calls in the record once, with the tokens that its client was told.
func TestConcurrency(t *testing.T) {
	var out bytes.Buffer // the register's lock is what protects it
	c := start(t, sandbox.Options{Journal: &out, Now: time.Now})
	c.box.Script(sandbox.Google, "", sandbox.Script{Fail: sandbox.Overloaded, Times: 10})
	const clients, each = 16, 12
	var wg sync.WaitGroup
	var mu sync.Mutex
	toldOutput := map[string]int64{}
	for i := range clients {
		wg.Go(func() {
			for n := range each {
				provider := providers[n%3]
				stream := n%2 == 0
				words := []string{"", "[[sandbox cut=1]]", "[[sandbox fail=server_error]]", "[[sandbox reasoning=9]]"}[n%4]
				extra := ""
				if provider == sandbox.OpenAI && stream {
					extra = `"stream_options":{"include_usage":true}`
				}
				r := c.request(provider, stream, body(provider, words+fmt.Sprint(i), stream, extra))
				attempt := fmt.Sprintf("client%d.%d", i, n)
				r.Header.Set(sandbox.AttemptHeader, attempt)
				got := c.do(r)
				if got.err != nil || got.status != 200 {
					continue
				}
				usage := got.understand(t, provider, stream).usage
				mu.Lock()
				toldOutput[attempt] = usage.Get("completion_tokens").Int() + usage.Get("output_tokens").Int() +
					usage.Get("candidatesTokenCount").Int() + usage.Get("thoughtsTokenCount").Int()
				mu.Unlock()
				c.box.Calls()
			}
		})
	}
	wg.Wait()
	recorded := map[string]bool{}
	for i, call := range c.calls(clients * each) {
		if recorded[call.Attempt] || call.Seq != int64(i+1) {
			t.Errorf("record %d is %+v", i, call)
		}
		recorded[call.Attempt] = true
		output, held := toldOutput[call.Attempt]
		if held != (call.Outcome == sandbox.Completed) || held && output != int64(call.Tokens.Output) {
			t.Errorf("client holds %d, record %+v", output, call)
		}
	}
	if lines := strings.Count(out.String(), "\n"); lines != 2*clients*each {
		t.Errorf("%d journal lines", lines)
	}
}

func BenchmarkUnary(b *testing.B) { benchmark(b, false) }

func BenchmarkStream(b *testing.B) { benchmark(b, true) }

// benchmark measures the handler alone: net/http costs the same for whoever serves.
func benchmark(b *testing.B, stream bool) {
	for _, provider := range providers {
		b.Run(provider, func(b *testing.B) {
			box := sandbox.New(sandbox.Options{KeepCalls: 1000})
			c := &client{t: b, root: "http://x", box: box}
			text := body(provider, "[[sandbox output=100 chunks=10]] bench", stream, "")
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				w := &discard{header: http.Header{}}
				r := c.request(provider, stream, text)
				for pb.Next() {
					r.Body = io.NopCloser(strings.NewReader(text))
					box.ServeHTTP(w, r)
				}
			})
		})
	}
}

type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Flush()                      {}
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
