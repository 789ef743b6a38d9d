package routertest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"waybill/ledger"
	"waybill/ledger/secret"
	"waybill/router"
	"waybill/router/dialects"
	"waybill/router/sandbox"
)

// Store is the log that the suite writes and reads.
type Store interface {
	router.Books
	Page(ctx context.Context, after uint64, limit int) ([]ledger.Record, error)
}

// Opener opens a new log that begins with commands, until the test ends.
type Opener func(t testing.TB, first []ledger.Command) Store

// Upstream is a provider as the suite stands one up.
type Upstream struct {
	Name     string // as tables have it, and the provider's name in the log
	Title    string // for people
	Provider router.Provider
	Path     string // of its base URL at the sandbox
	Sealing  string // the id of a model that seals its reasoning or its calls
	Strict   bool   // a compatible server that refuses what it does not know
}

// Dialect is what the upstream speaks.
func (u Upstream) Dialect() ledger.Dialect { return u.Provider.Dialects[0] }

func speaks(d ledger.Dialect, q router.Quirks) router.Provider {
	return router.Provider{Dialects: []ledger.Dialect{d}, Quirks: q}
}

// Upstreams are what callers are answered by. A new one is a line here.
var Upstreams = []Upstream{
	{Name: "openai-chat", Title: "OpenAI Chat Completions", Provider: speaks(ledger.DialectOpenAIChat, router.Quirks{}), Path: "/openai/v1"},
	{Name: "openai-responses", Title: "OpenAI Responses", Provider: speaks(ledger.DialectOpenAIResponses, router.Quirks{}), Path: "/openai/v1", Sealing: "gpt-6-sol"},
	{Name: "anthropic-messages", Title: "Anthropic Messages", Provider: speaks(ledger.DialectAnthropicMessages, router.Quirks{}), Path: "/anthropic", Sealing: "claude-haiku-5-5"},
	{Name: "gemini", Title: "Gemini", Provider: speaks(ledger.DialectGemini, router.Quirks{}), Path: "/google", Sealing: "gemini-3.5-flash"},
	{Name: "compatible", Title: "OpenAI-compatible", Provider: speaks(ledger.DialectOpenAIChat, router.Quirks{}), Path: "/compatible/v1"},
	{Name: "compatible-strict", Title: "OpenAI-compatible, strict", Path: "/compatible/strict", Strict: true,
		Provider: speaks(ledger.DialectOpenAIChat, router.Quirks{MaxTokens: true, NoStreamOptions: true, NoDeveloper: true, NoSchema: true, Drop: []string{"reasoning_effort", "parallel_tool_calls", "service_tier"}})},
	{Name: "azure", Title: "Azure OpenAI", Provider: speaks(ledger.DialectOpenAIChat, router.Quirks{KeyHeader: "Api-Key"}), Path: "/compatible/azure"},
}

// openAI is OpenAI as it is: what to speak with it depends on the model and the call.
var openAI = Upstream{Name: "openai", Title: "OpenAI", Provider: router.Provider{Dialects: []ledger.Dialect{ledger.DialectOpenAIChat, ledger.DialectOpenAIResponses}},
	Path: "/openai/v1", Sealing: "gpt-6-sol"}

// standing are the upstreams that a bench stands up.
func standing() []Upstream { return append(slices.Clone(Upstreams), openAI) }

// The models of each upstream, by what they bear.
const (
	modelAny    = "any"      // everything
	modelFixed  = "fixed"    // no sampling values
	modelAuto   = "auto"     // no forced tools
	modelSealed = "sealed"   // Upstream.Sealing
	modelBudget = "budgeted" // reasons by a budget
)

const org = "conformance"

var everything = []string{ledger.FeatureChat, ledger.FeatureReasoning, ledger.FeatureSampling, ledger.FeatureImages, ledger.FeatureDocuments, ledger.FeatureTools,
	ledger.FeatureStructured, ledger.FeaturePrefill, ledger.FeatureMaxTokens, ledger.FeatureEmbedding}

func without(feature string, more ...string) (out []string) {
	for _, f := range everything {
		if f != feature {
			out = append(out, f)
		}
	}
	return append(out, more...)
}

// models are what an upstream offers.
func (u Upstream) models() (out []ledger.Model) {
	for id, features := range map[string][]string{modelAny: everything, modelFixed: without(ledger.FeatureSampling),
		modelAuto: append([]string{ledger.FeatureAutoTools}, everything...), modelBudget: append([]string{ledger.FeatureBudget}, everything...),
		u.Sealing: without(ledger.FeatureSampling, ledger.FeatureResponsesTools)} {
		if id != "" {
			out = append(out, ledger.Model{Name: u.Name + "/" + id, Provider: u.Name, ID: id, Context: 1 << 20, MaxOutput: 64_000, Features: features})
		}
	}
	return out
}

// bench is what all calls of a run share: a log, the upstreams, and what went over the wire.
type bench struct {
	store  Store
	up     *sandbox.Server
	client *http.Client
	wire   *wire
	seq    atomic.Int64
	last   atomic.Int64 // the latest place in the sandbox's record that was seen

	mu    sync.Mutex
	after uint64
	log   map[string][]ledger.Record // by request
}

func newBench(t testing.TB, open Opener) *bench {
	who := ledger.By{Actor: "operator", Cause: "conformance"}
	first := []ledger.Command{
		ledger.DefinePlan{Who: who, Plan: ledger.Plan{ID: "own", Lanes: []ledger.Lane{ledger.LaneManual}}},
		ledger.OpenOrg{Who: who, Org: org, Plan: "own"},
	}
	for _, u := range standing() {
		for _, m := range u.models() {
			first = append(first, ledger.PublishModel{Who: who, Model: m})
		}
		for n := range 2 {
			first = append(first, ledger.AttachCredential{Who: who, Org: org, Credential: u.credential(n), Provider: u.Name,
				Fingerprint: "test", Use: ledger.UsePrefer, Order: n})
		}
	}
	b := &bench{store: open(t, first), log: map[string][]ledger.Record{}}
	var err error
	if b.up, err = sandbox.Listen("127.0.0.1:0", sandbox.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.up.Close() })
	b.wire = &wire{inner: &http.Transport{MaxIdleConnsPerHost: 64}, calls: map[string]*crossing{}}
	b.client = &http.Client{Transport: b.wire}
	t.Cleanup(b.wire.inner.CloseIdleConnections)
	return b
}

func (u Upstream) credential(n int) string { return fmt.Sprintf("cred_%s_%d", u.Name, n) }

// events are the log's of one request.
func (b *bench) events(t testing.TB, request string) []ledger.Record {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		page, err := b.store.Page(context.Background(), b.after, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			return b.log[request]
		}
		for _, r := range page {
			b.after = r.Position
			if id := r.Request(); id != "" {
				b.log[id] = append(b.log[id], r)
			}
		}
	}
}

// served is what the sandbox recorded of a request's attempts, if they came after a place of its record.
func (b *bench) served(request string, after int64) (out []sandbox.Call) {
	for _, c := range b.up.CallsAfter(after) {
		for last := b.last.Load(); c.Seq > last && !b.last.CompareAndSwap(last, c.Seq); last = b.last.Load() {
		}
		if id, _, _ := strings.Cut(c.Attempt, "."); id == request {
			out = append(out, c)
		}
	}
	return out
}

// secrets are those of one session.
type secrets map[string]string

func (s secrets) Secret(_ context.Context, c *ledger.Credential) (secret.Text, error) {
	return secret.New(s[c.ID]), nil
}

// dispatcher makes one of its own for a session, so that no breaker and no memory is shared.
func (b *bench) dispatcher(keys secrets, idle time.Duration) *router.Dispatcher {
	providers := map[string]router.Provider{}
	for _, u := range standing() {
		p := u.Provider
		p.BaseURL = b.up.URL() + u.Path
		providers[u.Name] = p
	}
	t := router.DefaultTimeouts
	t.Idle = idle
	return &router.Dispatcher{Books: b.store, Secrets: keys, Upstreams: dialects.Upstreams, Providers: providers, Client: b.client,
		Health: router.NewHealth(), Memory: router.NewMemory(), Now: time.Now, Timeouts: t, Stop: context.Background()}
}
