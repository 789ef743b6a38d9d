package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"waybill/ledger"
	"waybill/ledger/secret"
	"waybill/router"
	"waybill/router/dialects"
	"waybill/router/sandbox"
)

// spoken is how the one call of the comparison is said in each dialect, and a model that it reaches. The call has a tool,
// which is not called, and streams.
var spoken = []struct {
	dialect         ledger.Dialect
	provider, model string
	in              router.Incoming
}{
	{ledger.DialectOpenAIChat, "openai", "gpt-4.1-mini", said(`{"model":"m","stream":true,"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":%q}],
		"tools":[{"type":"function","function":{"name":"look","parameters":{"type":"object","properties":{"at":{"type":"string"}}}}}]}`)},
	{ledger.DialectOpenAIResponses, "openai", "gpt-6-luna", said(`{"model":"m","stream":true,"instructions":"Be brief.","input":%q,
		"tools":[{"type":"function","name":"look","strict":false,"parameters":{"type":"object","properties":{"at":{"type":"string"}}}}]}`)},
	{ledger.DialectAnthropicMessages, "anthropic", "claude-haiku-5-5", said(`{"model":"m","stream":true,"max_tokens":8000,"system":"Be brief.","messages":[{"role":"user","content":%q}],
		"tools":[{"name":"look","input_schema":{"type":"object","properties":{"at":{"type":"string"}}}}]}`)},
	{ledger.DialectGemini, "google", "gemini-3.5-flash-lite", said(`{"systemInstruction":{"parts":[{"text":"Be brief."}]},"contents":[{"role":"user","parts":[{"text":%q}]}],
		"tools":[{"functionDeclarations":[{"name":"look","parameters":{"type":"OBJECT","properties":{"at":{"type":"STRING"}}}}]}]}`)},
}

// said is the call, with a prompt of 2 kB and an answer of 200 tokens in 50 frames.
func said(body string) router.Incoming {
	prompt := strings.Repeat("The manifest lists every crate. ", 64) + "[[sandbox output=200 chunks=50]]"
	return router.Incoming{Endpoint: router.EndpointChat, Model: "m", Stream: true, Body: fmt.Appendf(nil, body, prompt)}
}

// canned answers every call with one recorded answer, so that what is measured is reading and writing alone.
type canned struct {
	header http.Header
	body   []byte
}

func (c canned) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: c.header, Body: io.NopCloser(bytes.NewReader(c.body))}, nil
}

// recorder keeps the answer that passes.
type recorder struct{ canned }

func (r *recorder) RoundTrip(q *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(q)
	if err != nil {
		return nil, err
	}
	r.header = resp.Header
	if r.body, err = io.ReadAll(resp.Body); err != nil {
		return nil, err
	}
	return r.canned.RoundTrip(q)
}

// pair is one caller's dialect at one upstream's.
type pair struct {
	in, up    int // in spoken
	each      time.Duration
	allocs    float64 // a call
	bytes     float64 // likewise
	transport http.RoundTripper
	base      string
}

// translation measures what it costs to translate a streamed call, against forwarding it in the upstream's own dialect: both
// in this process, on answers recorded from the sandbox.
func translation(ctx context.Context, o Options) error {
	up, err := sandbox.Listen("127.0.0.1:0", sandbox.Options{})
	if err != nil {
		return err
	}
	defer up.Close()
	table := tabwriter.NewWriter(o.Out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\ncaller\tupstream\tCPU a call, µs\tallocations\tkB\tCPU ×\tallocations ×\t")
	for u := range spoken {
		var own pair
		for _, i := range append([]int{u}, others(u)...) {
			p := pair{in: i, up: u, base: up.BaseURL(spoken[u].provider)}
			if err := p.measure(ctx, o.Each); err != nil {
				return fmt.Errorf("%s at %s: %w", spoken[i].dialect, spoken[u].dialect, err)
			}
			if i == u {
				own = p
			}
			fmt.Fprintf(table, "%s\t%s\t%.0f\t%.0f\t%.0f\t%.2f\t%.2f\t\n", spoken[i].dialect, spoken[u].dialect, p.each.Seconds()*1e6, p.allocs, p.bytes/1e3,
				p.each.Seconds()/own.each.Seconds(), p.allocs/own.allocs)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	return memory(ctx, o, up)
}

func others(u int) (all []int) {
	for i := range spoken {
		if i != u {
			all = append(all, i)
		}
	}
	return all
}

func (p *pair) measure(ctx context.Context, during time.Duration) error {
	r := &recorder{}
	p.transport = r
	if err := p.call(ctx); err != nil {
		return err
	}
	p.transport = r.canned
	for range 100 { // until pools and caches are full
		if err := p.call(ctx); err != nil {
			return err
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	calls := 0
	// The least of many short rounds: what else the machine does adds to a round, and takes nothing off.
	for began := time.Now(); time.Since(began) < during/4; calls += perRound {
		start, err := cpuTime()
		if err != nil {
			return err
		}
		for range perRound {
			if err := p.call(ctx); err != nil {
				return err
			}
		}
		end, err := cpuTime()
		if err != nil {
			return err
		}
		if each := (end - start) / perRound; p.each == 0 || each < p.each {
			p.each = each
		}
	}
	runtime.ReadMemStats(&after)
	p.allocs = float64(after.Mallocs-before.Mallocs) / float64(calls)
	p.bytes = float64(after.TotalAlloc-before.TotalAlloc) / float64(calls)
	return nil
}

// perRound is how many calls are timed together.
const perRound = 100

// cpuTime is what this process has had of the processors.
func cpuTime() (time.Duration, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0, fmt.Errorf("reading the CPU time: %w", err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()), nil
}

// open sends a request to an upstream.
func open(ctx context.Context, q *router.Request, u int, base string, transport http.RoundTripper) (router.Reply, error) {
	up := spoken[u]
	return dialects.Upstreams[up.dialect].Open(ctx, router.Call{Request: q, Attempt: "req_bench.1", BaseURL: base, Secret: secret.New("sk-bench"), OutputCap: 8000,
		Client: &http.Client{Transport: transport}, Idle: time.Minute, Model: ledger.Model{Name: up.provider + "/" + up.model, Provider: up.provider, ID: up.model,
			Features: []string{ledger.FeatureChat, ledger.FeatureTools}}})
}

// call reads a request, sends it, and writes the answer, as the router does around them.
func (p *pair) call(ctx context.Context) error {
	in, up := spoken[p.in], spoken[p.up]
	inbound := dialects.Inbounds[in.dialect]
	q, err := inbound.Decode(in.in)
	if err != nil {
		return err
	}
	reply, err := open(ctx, q, p.up, p.base, p.transport)
	if err != nil {
		return err
	}
	defer reply.Close()
	w := inbound.Writer(q, router.Head{Request: "req_bench", Model: up.provider + "/" + up.model}, up.dialect)
	written := 0
	for {
		c, err := reply.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		for b := w.Chunk(c); len(b) > 0; b = w.More() {
			written += len(b)
		}
	}
	u, final := reply.Usage()
	for b := w.End(u); len(b) > 0; b = w.More() {
		written += len(b)
	}
	if written == 0 || !final {
		return errors.New("the answer is not whole")
	}
	return nil
}
