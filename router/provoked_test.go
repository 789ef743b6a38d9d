package router_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"waybill/ledger"
	"waybill/router"
)

// upstream has a provider answer by a handler, for one test.
func (n *node) upstream(provider string, answer http.HandlerFunc) {
	n.t.Helper()
	s := httptest.NewServer(answer)
	n.t.Cleanup(s.Close)
	p := n.d.Providers[provider]
	p.BaseURL = s.URL
	n.d.Providers[provider] = p
}

// unwritable is an upstream for which nothing can be written.
type unwritable struct{ router.Upstream }

func (unwritable) Open(context.Context, router.Call) (router.Reply, error) {
	return nil, errors.New("no such form")
}

// What a request brings about says nothing of how its upstream does: no caller opens a breaker for others.
func TestCallersOpenNoBreaker(t *testing.T) {
	for _, tt := range []struct {
		name, model, more string
		arrange           func(*node)
		status            int
		field             string
	}{
		{"a schema without one, to Claude", "anthropic/claude-haiku-5-5", `,"response_format":{"type":"json_schema","json_schema":{"name":"x"}}`, nil, 400, "response_format"},
		{"to Gemini", "google/gemini-3.5-flash", `,"response_format":{"type":"json_schema","json_schema":{"name":"x"}}`, nil, 400, "response_format"},
		{"to Responses", "openai/gpt-6-luna", `,"response_format":{"type":"json_schema","json_schema":{"name":"x"}},"tools":[{"type":"function","function":{"name":"f"}}]`, nil, 400, "response_format"},
		{"what cannot be written", "anthropic/claude-haiku-5-5", "", func(n *node) {
			n.d.Upstreams = maps.Clone(n.d.Upstreams)
			n.d.Upstreams[ledger.DialectAnthropicMessages] = unwritable{}
		}, 500, ""},
		{"a call that is none", "google/gemini-3.5-flash", "", func(n *node) {
			n.upstream("google", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprint(w, `{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL","finishMessage":"call:f("}],"usageMetadata":{"promptTokenCount":3}}`)
			})
		}, 502, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t)
			n.open("acme", "teams")
			up, providers := n.d.Upstreams, maps.Clone(n.d.Providers)
			if tt.arrange != nil {
				tt.arrange(n)
			}
			for range 4 {
				a := n.ask(t.Context(), "acme", tt.model, "hi", tt.more)
				if a.failure == nil || a.failure.Status != tt.status || a.failure.Field != tt.field {
					t.Fatalf("%+v", a.failure)
				}
			}
			n.d.Upstreams, n.d.Providers = up, providers
			if a := n.ask(t.Context(), "acme", tt.model, "hi", ""); a.failure != nil {
				t.Errorf("the next call: %+v", a.failure)
			}
			if n.holds() > 0 {
				t.Errorf("%d holds are left", n.holds())
			}
		})
	}
}

// A tier that costs more is priced by the word that is sent.
func TestHoldsArePricedByTheTierThatIsSent(t *testing.T) {
	n := newNode(t)
	n.open("acme", "teams")
	a := n.ask(t.Context(), "acme", "google/gemini-3.5-flash", "hi", `,"service_tier":"fast"`)
	if a.failure == nil || a.failure.Field != "service_tier" {
		t.Errorf("%+v", a.failure)
	}
	a = n.ask(t.Context(), "acme", "google/gemini-3.5-flash", "hi", `,"service_tier":"priority"`)
	if e, ok := n.trace(a.id)[0].(*ledger.RequestAdmitted); !ok || a.failure != nil || e.Leg.ServiceTier != "priority" {
		t.Errorf("%+v %+v", a.failure, e)
	}
}

// Who is told that no upstream answered is told why, by the upstream's own words or the network's.
func TestFailuresSayWhy(t *testing.T) {
	n := newNode(t)
	n.open("acme", "teams")
	n.upstream("openai", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusTooManyRequests)
		fmt.Fprint(w, `{"error":{"message":"Limit 3 a minute on sk-1","type":"requests","code":"rate_limit_exceeded"}}`)
	})
	a := n.ask(t.Context(), "acme", "openai/gpt-4.1-mini", "hi", "")
	if f := a.failure; f == nil || f.Status != 429 || !strings.Contains(f.Message, "Limit 3 a minute on [redacted]") {
		t.Errorf("%+v", f)
	}
	n.upstream("anthropic", func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) })
	a = n.ask(t.Context(), "acme", "anthropic/claude-haiku-5-5", "hi", "")
	if f := a.failure; f == nil || f.Status != 502 || !strings.HasSuffix(f.Message, ": EOF") {
		t.Errorf("%+v", f)
	}
}

// An answer without end is ended, for those who translate it keep the arguments of its calls.
func TestEndlessArguments(t *testing.T) {
	n := newNode(t)
	n.open("acme", "teams")
	var pieces atomic.Int64 // read
	n.upstream("openai", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, `data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\":\""}}]}}]}`+"\n\n")
		piece := `data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"` + strings.Repeat("x", 1<<20) + `"}}]}}]}` + "\n\n"
		for ; pieces.Load() < 100; pieces.Add(1) {
			if _, err := fmt.Fprint(w, piece); err != nil {
				return
			}
		}
	})
	a := n.say(ledger.DialectAnthropicMessages, "acme", `{"model":"openai/gpt-4.1-mini","max_tokens":500,"stream":true,"messages":[{"role":"user","content":"hi"}],"tools":[{"name":"f","input_schema":{"type":"object"}}]}`)
	if pieces.Load() > 60 || !strings.Contains(a.text()[max(0, len(a.text())-500):], "larger than 32 MiB") {
		t.Errorf("%d MiB were read: %+v %d", pieces.Load(), a.failure, len(a.text()))
	}
	if n.holds() > 0 {
		t.Error("its hold is left")
	}
}

// Whoever brings back hundreds of items is not told of each.
func TestWarningsOfManyItems(t *testing.T) {
	n := newNode(t)
	n.open("acme", "teams")
	var items []string
	for range 300 {
		items = append(items, `{"type":"message","role":"user","content":"q"},{"type":"reasoning","id":"r","summary":[],"encrypted_content":"`+router.MintSeal("r")+`"},{"type":"message","role":"assistant","content":[{"type":"output_text","text":"a"}]}`)
	}
	a := n.say(ledger.DialectOpenAIResponses, "acme", `{"model":"openai/gpt-6-luna","store":false,"input":[`+strings.Join(items, ",")+`,{"type":"message","role":"user","content":"q"}]}`)
	w := a.facts.Warnings
	if a.failure != nil || len(w) != 4 || !strings.HasPrefix(w[0], "input[1]: ") || !strings.HasSuffix(w[3], ", and 296 more like it") {
		t.Errorf("%+v %q", a.failure, w)
	}
}
