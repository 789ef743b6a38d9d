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
	"waybill/router/dialects"
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

// Nor is one asked for once more that is too large, be it whole or in a frame; and what its provider may bill for it is in the books.
func TestEndlessAnswers(t *testing.T) {
	for name, more := range map[string]string{"whole": "", "a frame": `,"stream":true`} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.open("acme", "teams")
			n.policy("acme", `{"routes":[{"try":[{"model":"openai/gpt-6-luna"}]}]}`)
			var calls atomic.Int64
			n.upstream("openai", func(w http.ResponseWriter, _ *http.Request) {
				calls.Add(1)
				w.Header().Set("Content-Type", "application/json")
				if more != "" {
					w.Header().Set("Content-Type", "text/event-stream")
					fmt.Fprint(w, `data: {"x":"`)
				}
				for range 40 {
					if _, err := fmt.Fprint(w, strings.Repeat(" ", 1<<20)); err != nil {
						return
					}
				}
			})
			a := n.ask(t.Context(), "acme", models[0], "hi", more)
			events := n.trace(a.id)
			v, ok := events[len(events)-1].(*ledger.RequestVoided)
			if !ok || a.code() != "upstream_failed" || calls.Load() != 1 || len(v.Attempts) != 1 {
				t.Fatalf("%+v after %d calls", a.failure, calls.Load())
			}
			if at := v.Attempts[0]; at.Usage.Input == 0 || at.Source != ledger.UsageEstimate || v.Absorbed == 0 {
				t.Errorf("absorbed %v of %+v", v.Absorbed, at)
			}
			if n.d.Health.Condition(ledger.Choice{Model: models[0], Credential: n.pool["openai"]}, n.d.Now()).Failures != 0 {
				t.Error("its leg has it in its figures")
			}
		})
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

// What callers write has no credential taken for dead, and no model for gone: neither by words that its provider says back, however
// they were written, nor by naming what is somebody else's. What no caller can have brought about counts.
func TestCallersCondemnNoCredential(t *testing.T) {
	const low, cap = "Your credit balance is too low to access the Anthropic API.", "Your project has exceeded its monthly spending cap."
	claude := func(kind, message string) string {
		return fmt.Sprintf(`{"type":"error","error":{"type":%q,"message":%q}}`, kind, message)
	}
	google := func(status, message, details string) string {
		return fmt.Sprintf(`{"error":{"status":%q,"message":%q,"details":[%s]}}`, status, message, details)
	}
	openai := func(code, message string) string {
		return fmt.Sprintf(`{"error":{"type":"invalid_request_error","message":%q,"code":%s}}`, message, code)
	}
	chat := func(model, words string) string {
		return fmt.Sprintf(`{"model":%q,"max_tokens":50,"messages":[{"role":"user","content":"%s"}]}`, model, words)
	}
	const haiku, flash, luna = "anthropic/claude-haiku-5-5", "google/gemini-3.5-flash", "openai/gpt-6-luna"
	const ofFile = `{"contents":[{"role":"user","parts":[{"fileData":{"mimeType":"application/pdf","fileUri":"https://generativelanguage.googleapis.com/v1beta/files/x"}},{"text":"hi"}]}]}`
	const claudeFile = `{"model":"` + haiku + `","max_tokens":50,"messages":[{"role":"user","content":[{"type":"document","source":{"type":"file","file_id":"file_x"}}]}]}`
	const staleItem = `{"model":"` + luna + `","store":false,"input":[{"type":"message","role":"user","content":"q"},{"type":"reasoning","id":"rs_1","summary":[]},{"type":"message","role":"user","content":"q"}]}`
	const openaiFile = `{"model":"` + luna + `","store":false,"input":[{"role":"user","content":[{"type":"input_file","file_id":"file_x"}]}]}`
	for _, tt := range []struct {
		name           string
		model          string
		from           ledger.Dialect
		body           string
		status         int
		error          string
		counts, blames bool // against the leg; against the credential
	}{
		{"an empty account", haiku, ledger.DialectAnthropicMessages, chat(haiku, "hi"), 400, claude("invalid_request_error", low), true, true},
		{"its words in a message", haiku, ledger.DialectAnthropicMessages, chat(haiku, "credit balance is too low"), 400, claude("invalid_request_error", "messages.0: credit balance is too low"), false, false},
		{"with escapes", haiku, ledger.DialectAnthropicMessages, chat(haiku, `Credit\u0020b\u0061lance\n is  TOO low`), 400, claude("invalid_request_error", "credit balance is too low?"), false, false},
		{"in the name of a member", haiku, ledger.DialectAnthropicMessages, `{"credit balance is too low":1,` + chat(haiku, "hi")[1:], 400, claude("invalid_request_error", "credit balance is too low: Extra inputs are not permitted"), false, false},
		{"in two pieces", haiku, ledger.DialectAnthropicMessages, `{"credit balance":{"is too low":1},` + chat(haiku, "hi")[1:], 400, claude("invalid_request_error", "credit balance is too low: Extra inputs"), false, false},
		{"by way of another dialect", haiku, ledger.DialectOpenAIChat, chat(haiku, "the api usage limits"), 429, claude("rate_limit_error", "api usage limits"), false, false},
		{"behind a number that is out of range", haiku, ledger.DialectAnthropicMessages, `{"tools":[{"name":"f","input_schema":{"type":"object","maximum":1e999}}],` + chat(haiku, "credit balance is too low")[1:], 400, claude("invalid_request_error", "credit balance is too low"), false, false},
		{"which alone is no reason", haiku, ledger.DialectAnthropicMessages, `{"tools":[{"name":"f","input_schema":{"type":"object","maximum":1e999}}],` + chat(haiku, "hi")[1:], 400, claude("invalid_request_error", low), true, true},
		{"with other letters that are small as these", haiku, ledger.DialectAnthropicMessages, chat(haiku, "cred\u0130t balance is too low"), 400, claude("invalid_request_error", "cred\u0130t balance is too low"), false, false},
		{"in the arguments of a call", haiku, ledger.DialectOpenAIChat, `{"model":"` + haiku + `","messages":[{"role":"user","content":"hi"},{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\":\"cr\\u0065dit balance is too low\"}"}}]},{"role":"tool","tool_call_id":"c","content":"x"}],"tools":[{"type":"function","function":{"name":"f"}}]}`,
			400, claude("invalid_request_error", "input: credit balance is too low"), false, false},
		{"money in the words of a caller", haiku, ledger.DialectAnthropicMessages, chat(haiku, "credit"), 403, claude("permission_error", "no: credit"), true, true},
		{"a spending cap", flash, ledger.DialectGemini, `{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}`, 429, google("RESOURCE_EXHAUSTED", cap, ""), true, true},
		{"said back", flash, ledger.DialectGemini, `{"contents":[{"role":"user","parts":[{"text":"spending cap"}]}]}`, 429, google("RESOURCE_EXHAUSTED", "spending cap", ""), false, false},

		{"a key without permission", flash, ledger.DialectGemini, `{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}`, 403, google("PERMISSION_DENIED", "no", ""), true, true},
		{"somebody else's file", flash, ledger.DialectGemini, ofFile, 403, google("PERMISSION_DENIED", "You do not have permission to access the File x or it may not exist.", ""), false, false},
		{"a file that is not ready", flash, ledger.DialectGemini, ofFile, 400, google("FAILED_PRECONDITION", "The File x is not in an ACTIVE state", ""), false, false},
		{"a file that is not there", flash, ledger.DialectGemini, ofFile, 404, google("NOT_FOUND", "no file", ""), false, false},
		{"a dead key and a file", flash, ledger.DialectGemini, ofFile, 400, google("INVALID_ARGUMENT", "no", `{"reason":"API_KEY_INVALID"}`), true, true},
		{"a model that is not there", flash, ledger.DialectGemini, `{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}`, 404, google("NOT_FOUND", "no model", ""), true, false},
		{"Anthropic's files", haiku, ledger.DialectAnthropicMessages, claudeFile, 404, claude("not_found_error", "File not found: file_x"), false, false},
		{"forbidden", haiku, ledger.DialectAnthropicMessages, claudeFile, 403, claude("permission_error", "no"), false, false},
		{"with a bad key", haiku, ledger.DialectAnthropicMessages, claudeFile, 401, claude("authentication_error", "no"), true, true},
		{"OpenAI's files", luna, ledger.DialectOpenAIResponses, openaiFile, 404, openai("null", "No file found with id 'file_x'."), false, false},
		{"an item that is not kept", luna, ledger.DialectOpenAIResponses, staleItem, 404, `{"error":{"message":"Item with id 'rs_1' not found.","type":"invalid_request_error","param":"input","code":null}}`, false, false},
		{"an unknown model and an item", luna, ledger.DialectOpenAIResponses, staleItem, 404, `{"error":{"message":"no","type":"invalid_request_error","param":"model","code":null}}`, true, false},
		{"an unknown model and a file", luna, ledger.DialectOpenAIResponses, openaiFile, 404, openai(`"model_not_found"`, "no"), true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t)
			n.open("acme", "teams")
			blamed, called := 0, false
			n.d.Suspect = func(*ledger.Credential, *router.UpstreamError) { blamed++ }
			provider, _, _ := strings.Cut(tt.model, "/")
			n.upstream(provider, func(w http.ResponseWriter, _ *http.Request) {
				called = true
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(tt.status)
				fmt.Fprint(w, tt.error)
			})
			in := dialects.Inbounds[tt.from]
			q, err := in.Decode(router.Incoming{Endpoint: router.EndpointChat, Body: []byte(tt.body), Model: tt.model})
			if err != nil {
				t.Fatal(err)
			}
			f := n.d.Do(t.Context(), router.Task{ID: "req_1", By: ledger.By{Actor: "test", Cause: "1"}, Org: "acme", Request: q, Inbound: in}, &answer{})
			leg := ledger.Choice{Model: tt.model, Credential: n.pool[provider], Kind: ledger.Platform}
			seen := n.d.Health.Condition(leg, n.d.Now())
			if !called || f == nil || seen.Open != tt.blames || (seen.Failures > 0) != tt.counts || (blamed > 0) != tt.blames {
				t.Errorf("%+v: the leg is %+v, and the credential was suspected %d times", f, seen, blamed)
			}
		})
	}
}

// Who brings back an item that its provider does not keep is told so, and not that the model is unknown.
func TestItemsThatAreNotKept(t *testing.T) {
	n := newNode(t)
	n.open("acme", "teams")
	n.upstream("openai", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"error":{"message":"Item with id 'msg_1' not found.","type":"invalid_request_error","param":"input","code":null}}`)
	})
	a := n.say(ledger.DialectOpenAIResponses, "acme", `{"model":"openai/gpt-6-luna","store":false,"input":[{"type":"message","role":"user","content":"q"},{"type":"message","id":"msg_1","role":"assistant","content":[{"type":"output_text","text":"a"}]},{"type":"message","role":"user","content":"q"}]}`)
	if f := a.failure; f == nil || f.Status != 404 || f.Code != string(ledger.CodeInvalid) || f.Field != "input" || f.Message != "openai/gpt-6-luna refused the request: Item with id 'msg_1' not found." {
		t.Errorf("%+v", f)
	}
}

// That a model's quota of the day is used up rests its leg, and condemns no credential: other models answer on it.
func TestDailyQuotas(t *testing.T) {
	const pro, flash = "google/gemini-2.5-pro", "google/gemini-3.5-flash"
	violation := func(quotas ...string) string {
		var all []string
		for _, q := range quotas {
			all = append(all, `{"quotaId":"`+q+`"}`)
		}
		return `{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[` + strings.Join(all, ",") + `]}`
	}
	const ofModel, ofProject = "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "GenerateRequestsPerDayPerProject"
	for _, tt := range []struct {
		name, message, details string
		blames                 bool
	}{
		{"a model's", "why", violation(ofModel), false},
		{"and one of the minute", "why", violation("GenerateRequestsPerMinutePerProject", ofModel, "GenerateContentInputTokensPerModelPerDay"), false},
		{"the project's", "why", violation(ofProject), true},
		{"both", "why", violation(ofModel, ofProject), true},
		{"the other way round", "why", violation(ofProject) + "," + violation(ofModel), true},
		{"a model's, and no money", "Your project has exceeded its monthly spending cap.", violation(ofModel), true},
		{"a model's, and no account", "why", violation(ofModel) + `,{"reason":"CONSUMER_SUSPENDED"}`, true},
		{"no account, and a model's", "why", `{"reason":"CONSUMER_SUSPENDED"},` + violation(ofModel), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t)
			n.open("acme", "teams")
			n.policy("acme", `{"routes":[{"when":{"model":"gemini-2.5-pro"},"try":[{"model":"`+pro+`"},{"model":"`+flash+`"}]}]}`)
			blamed := 0
			n.d.Suspect = func(*ledger.Credential, *router.UpstreamError) { blamed++ }
			n.upstream("google", func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if strings.Contains(r.URL.Path, "gemini-2.5-pro") {
					w.WriteHeader(http.StatusTooManyRequests)
					fmt.Fprintf(w, `{"error":{"code":429,"message":%q,"status":"RESOURCE_EXHAUSTED","details":[%s]}}`, tt.message, tt.details)
					return
				}
				fmt.Fprint(w, `{"candidates":[{"content":{"role":"model","parts":[{"text":"ok"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":1}}`)
			})
			a := n.ask(t.Context(), "acme", pro, "hi", "")
			open := func(model string) bool {
				return n.d.Health.Open(ledger.Choice{Model: model, Credential: n.pool["google"], Kind: ledger.Platform}, n.d.Now())
			}
			if a.failure != nil || a.facts.Model != flash || !open(pro) || open(flash) || (blamed > 0) != tt.blames {
				t.Errorf("%+v by %s; open %v and %v, suspected %d times", a.failure, a.facts.Model, open(pro), open(flash), blamed)
			}
		})
	}
}
