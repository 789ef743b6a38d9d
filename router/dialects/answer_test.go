package dialects_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"waybill/ledger"
	"waybill/ledger/secret"
	"waybill/router"
	"waybill/router/dialects"
)

const (
	chat   = ledger.DialectOpenAIChat
	resp   = ledger.DialectOpenAIResponses
	claude = ledger.DialectAnthropicMessages
	gem    = ledger.DialectGemini
)

// request reads a caller's body.
func request(t *testing.T, body string) *router.Request {
	t.Helper()
	r, err := dialects.Inbounds[chat].Decode(router.Incoming{Body: []byte(body)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func hello(t *testing.T, stream bool) *router.Request {
	return request(t, fmt.Sprintf(`{"model":"m","messages":[{"role":"user","content":"Hi"}],"stream":%t}`, stream))
}

func call(r *router.Request, base string) router.Call {
	return router.Call{
		Request: r, Attempt: "req-1.1", BaseURL: base, Secret: secret.New("sk-secret-0123"), OutputCap: 500,
		Client: http.DefaultClient, Idle: 5 * time.Second,
		Model: ledger.Model{Name: "provider/model", ID: "model-1", Features: []string{
			ledger.FeatureChat, ledger.FeatureSampling, ledger.FeatureReasoning, ledger.FeatureMaxTokens}},
	}
}

// fixed serves one answer to every call.
func fixed(t *testing.T, kind string, body []byte) string {
	return serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Write(body)
	})
}

func serve(t *testing.T, h http.HandlerFunc) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// read reads a reply to its end.
func read(reply router.Reply) (steps []router.Chunk, err error) {
	for {
		c, err := reply.Next()
		if err != nil {
			if again, stays := reply.Next(); stays != err {
				return steps, fmt.Errorf("after %w: %v %w", err, again, stays)
			}
			return steps, err
		}
		steps = append(steps, c)
	}
}

func open(t *testing.T, d ledger.Dialect, c router.Call) router.Reply {
	t.Helper()
	reply, err := dialects.Upstreams[d].Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reply.Close() })
	return reply
}

func failure(t *testing.T, err error) *router.UpstreamError {
	t.Helper()
	e, ok := errors.AsType[*router.UpstreamError](err)
	if !ok {
		t.Fatalf("%v is no upstream error", err)
	}
	return e
}

// answers are recorded-looking answers and what they come to. The usage of each was worked out by hand from the
// provider's documentation.
var answers = []struct {
	file    string
	dialect ledger.Dialect
	text    map[int]string // by answer
	finish  map[int]string // canonical and native word
	id      string
	model   string
	tier    string
	usage   ledger.Usage
	content int // steps with content; −1: however many the dialect makes of it
	// Where the answer has more than text: what was thought, and the calls as name(arguments).
	thought string
	calls   string
}{
	// OpenAI: the 2,006 prompt tokens include 1,536 read and 256 written; the 310 completion tokens include 192
	// of reasoning. 2006 − 1536 − 256 = 214.
	{"openai_text.sse", chat, map[int]string{0: "Hello é\n"}, map[int]string{0: "stop stop"},
		"chatcmpl-B1", "gpt-6-luna-2026-09-22", "default", openaiUsage, 2, "", ""},
	{"openai_tool.sse", chat, map[int]string{0: ""}, map[int]string{0: "tool_calls tool_calls"},
		"chatcmpl-B1", "gpt-6-luna-2026-09-22", "default", openaiUsage, 3, "", `weather({"city":"Oslo"})`},
	{"openai_two.sse", chat, map[int]string{0: "one", 1: "two"}, map[int]string{0: "length length", 1: "stop stop"},
		"chatcmpl-B1", "gpt-6-luna-2026-09-22", "default", openaiUsage, 2, "", ""},
	{"openai_text.json", chat, map[int]string{0: "Hello é"}, map[int]string{0: "length length"},
		"chatcmpl-B2", "gpt-6-luna-2026-09-22", "flex", openaiUsage, 1, "", ""},
	// Anthropic: the 412 input tokens exclude 9,000 read and 3,000 written, 2,000 of these for an hour. The
	// output is the last cumulative figure, 250, not 4 + 250, and includes 180 of thinking.
	{"anthropic_text.sse", claude, map[int]string{0: "Hello é\n"}, map[int]string{0: "stop end_turn"},
		"msg_01", "claude-sonnet-5-5-20260928", "standard",
		ledger.Usage{Input: 412, CacheRead: 9000, CacheWrite: 1000, CacheWriteLong: 2000, Output: 250, Reasoning: 180}, 4, "Let me see.", ""},
	// A delta that gives the output alone leaves the other figures as they were.
	{"anthropic_tool.sse", claude, map[int]string{0: ""}, map[int]string{0: "tool_calls tool_use"},
		"msg_01", "claude-sonnet-5-5-20260928", "standard",
		ledger.Usage{Input: 412, CacheRead: 9000, CacheWrite: 1000, CacheWriteLong: 2000, Output: 61}, 2, "", `weather({"city": "Oslo"})`},
	{"anthropic_text.json", claude, map[int]string{0: "Hello é"}, map[int]string{0: "length max_tokens"},
		"msg_02", "claude-haiku-5-5", "fast",
		ledger.Usage{Input: 20, CacheRead: 700, Output: 90, Reasoning: 55}, 3, "", ""},
	// Gemini: the prompt's 1,200 include 1,000 cached; 60 more came from tools; the last total counts, not the
	// sum of the totals. 1200 + 60 − 1000 = 260. The 40 of the candidates exclude 100 of thoughts.
	{"gemini_text.sse", gem, map[int]string{0: "Hello é\n"}, map[int]string{0: "stop STOP"},
		"R1", "gemini-3.5-flash-lite", "standard", geminiUsage, 4, "**Greeting**", ""},
	{"gemini_tool.sse", gem, map[int]string{0: ""}, map[int]string{0: "tool_calls STOP"},
		"R1", "gemini-3.5-flash-lite", "standard", geminiUsage, 1, "", `weather({"city":"Oslo"})`},
	{"gemini_two.sse", gem, map[int]string{0: "one.", 1: "two!"}, map[int]string{0: "stop STOP", 1: "length MAX_TOKENS"},
		"R1", "gemini-3.5-flash-lite", "standard", geminiUsage, 4, "", ""},
	{"gemini_text.json", gem, map[int]string{0: "Hello é", 1: "Hi"}, map[int]string{0: "stop STOP", 1: "length MAX_TOKENS"},
		"R3", "gemini-3.5-flash-lite", "", ledger.Usage{Input: 200, CacheRead: 1000, Output: 103, Reasoning: 100}, 3, "", ""},
	{"gemini_blocked.sse", gem, map[int]string{0: ""}, map[int]string{0: "content_filter PROHIBITED_CONTENT"},
		"R2", "gemini-3.5-flash-lite", "", ledger.Usage{Input: 14}, 0, "", ""},
	{"gemini_blocked.json", gem, map[int]string{0: ""}, map[int]string{0: "content_filter SAFETY"},
		"R4", "gemini-3.5-flash-lite", "", ledger.Usage{Input: 14}, 0, "", ""},
	// 4,096 of prompt include 1,024 read and 2,048 written: 4096 − 1024 − 2048 = 1,024 plain. 333 of completion include 256 of
	// reasoning.
	{"openai_tools.sse", chat, map[int]string{0: ""}, map[int]string{0: "tool_calls tool_calls"}, "chatcmpl-B3", "gpt-5.5-2026-02-11", "priority",
		ledger.Usage{Input: 1024, CacheRead: 1024, CacheWrite: 2048, Output: 333, Reasoning: 256}, 5, "", `weather({"city":"Tromsø"}) time({})`},
	// Without details everything is plain. Arguments need not be JSON: they are the model's words.
	{"openai_tools.json", chat, map[int]string{0: ""}, map[int]string{0: "tool_calls tool_calls"}, "chatcmpl-B4", "gpt-5.5-2026-02-11", "default",
		ledger.Usage{Input: 77, Output: 45}, 2, "", `weather({"city":"Oslo"}) time({"zone":)`},
	{"openai_refusal.json", chat, map[int]string{0: "I will not."}, map[int]string{0: "stop stop"}, "chatcmpl-B5", "gpt-5.5-2026-02-11", "default",
		ledger.Usage{Input: 12, Output: 9}, 1, "", ""},
	// A compatible server with thoughts of its own, and usage in the chunk that ends the answer: 600 − 512 = 88 plain.
	{"compatible_reasoning.sse", chat, map[int]string{0: "Hello é"}, map[int]string{0: "stop stop"}, "cmpl-7", "deepseek-v4", "",
		ledger.Usage{Input: 88, CacheRead: 512, Output: 50, Reasoning: 30}, 4, "Hm, yes.", ""},
	// Anthropic's 35 are plain as they are; of 5,120 written 4,096 are for five minutes and 1,024 for an hour: 4096 + 1024 = 5120.
	// The delta at the end repeats the sum without the split, which stays as it was. The second call has no fragment at all: {}.
	{"anthropic_tools.sse", claude, map[int]string{0: "Let me see."}, map[int]string{0: "tool_calls tool_use"}, "msg_03", "claude-opus-5-5-20260922", "batch",
		ledger.Usage{Input: 35, CacheRead: 20480, CacheWrite: 4096, CacheWriteLong: 1024, Output: 310, Reasoning: 204}, -1, "Two tools.", `weather({"city": "Tromsø"}) time({})`},
	{"anthropic_tools.json", claude, map[int]string{0: ""}, map[int]string{0: "tool_calls tool_use"}, "msg_04", "claude-opus-5-5-20260922", "standard",
		ledger.Usage{Input: 8, CacheWriteLong: 1024, Output: 140, Reasoning: 64}, -1, "Two tools.", `weather({"city":"Tromsø"}) time({})`},
	// Gemini: 3,000 of prompt include 2,048 cached: 952 plain. 34 of the candidates and 120 of thoughts are 154 of output; the 80 of
	// thoughts that were told before are among them. 3000 + 34 + 120 = 3154, the total.
	{"gemini_tools.sse", gem, map[int]string{0: ""}, map[int]string{0: "tool_calls STOP"}, "R5", "gemini-3.8-flash", "priority", geminiTools, -1,
		"Two tools.", `weather({"city":"Tromsø"}) time({})`},
	{"gemini_tools.json", gem, map[int]string{0: ""}, map[int]string{0: "tool_calls STOP"}, "R6", "gemini-3.8-flash", "standard", geminiTools, -1,
		"Two tools.", `weather({"city":"Tromsø"}) time({})`},
	// Responses: 5,000 of input include 3,072 read and 1,536 written, 512 of these for twelve hours: 5000 − 3072 − 1536 = 392 plain,
	// 1536 − 512 = 1,024 short. 420 of output include 320 of reasoning.
	{"responses_tools.sse", resp, map[int]string{0: ""}, map[int]string{0: "tool_calls completed"}, "resp_01", "gpt-6-sol-2026-09-22", "flex", responsesTools, -1,
		"Two tools.", `weather({"city":"Tromsø"}) time({})`},
	{"responses_tools.json", resp, map[int]string{0: ""}, map[int]string{0: "tool_calls completed"}, "resp_01", "gpt-6-sol-2026-09-22", "flex", responsesTools, -1,
		"Two tools.", `weather({"city":"Tromsø"}) time({})`},
	{"responses_text.sse", resp, map[int]string{0: "Hello é\n"}, map[int]string{0: "stop completed"}, "resp_01", "gpt-6-sol-2026-09-22", "flex",
		ledger.Usage{Input: 100, Output: 7}, -1, "", ""},
	// 2100 − 2048 = 52 plain; of the 64 that the cap allowed 60 went into reasoning.
	{"responses_incomplete.json", resp, map[int]string{0: "Hello é"}, map[int]string{0: "length max_output_tokens"}, "resp_01", "gpt-6-sol-2026-09-22", "flex",
		ledger.Usage{Input: 52, CacheRead: 2048, Output: 64, Reasoning: 60}, -1, "", ""},
}

var (
	openaiUsage    = ledger.Usage{Input: 214, CacheRead: 1536, CacheWrite: 256, Output: 310, Reasoning: 192}
	geminiTools    = ledger.Usage{Input: 952, CacheRead: 2048, Output: 154, Reasoning: 120}
	responsesTools = ledger.Usage{Input: 392, CacheRead: 3072, CacheWrite: 1024, CacheWriteLong: 512, Output: 420, Reasoning: 320}
	geminiUsage    = ledger.Usage{Input: 260, CacheRead: 1000, Output: 140, Reasoning: 100}
)

func fixture(t *testing.T, file string) (body []byte, kind string, stream bool) {
	body, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Ext(file) == ".sse" {
		return body, "text/event-stream; charset=utf-8", true
	}
	return body, "application/json; charset=UTF-8", false
}

func TestAnswers(t *testing.T) {
	for _, tt := range answers {
		t.Run(tt.file, func(t *testing.T) {
			body, kind, stream := fixture(t, tt.file)
			reply := open(t, tt.dialect, call(hello(t, stream), fixed(t, kind, body)))
			steps, err := read(reply)
			if err != io.EOF {
				t.Fatal(err)
			}
			var frames []byte
			var id, model, tier, thought string
			var calls []string
			text, finish, content := map[int]string{}, map[int]string{}, 0
			for _, step := range steps {
				frames = append(frames, step.Frame...)
				id, model, tier = id+step.ID, model+step.Model, tier+step.Tier
				switch text[step.Index] += ""; step.Kind {
				case router.KindReasoning:
					thought += step.Text
				case router.KindCall:
					if step.Name != "" {
						calls = append(calls, step.Name+"(")
					}
					calls[step.Call] += step.Text
				default:
					text[step.Index] += step.Text
				}
				if step.Finish != "" {
					finish[step.Index] += string(step.Finish) + " " + step.Native
				}
				if step.Content {
					content++
				}
			}
			if fmt.Sprint(text) != fmt.Sprint(tt.text) || fmt.Sprint(finish) != fmt.Sprint(tt.finish) {
				t.Errorf("text %v, finish %v, want %v, %v", text, finish, tt.text, tt.finish)
			}
			if id != tt.id || model != tt.model || tt.content >= 0 && content != tt.content {
				t.Errorf("id %q, model %q, %d steps with content, want %q, %q, %d", id, model, content, tt.id, tt.model, tt.content)
			}
			for i := range calls {
				name, args, _ := strings.Cut(calls[i], "(")
				var one bytes.Buffer // a body may have its arguments on many lines
				if json.Compact(&one, []byte(args)) != nil || stream {
					one.Reset()
					one.WriteString(args)
				}
				calls[i] = name + "(" + one.String() + ")"
			}
			if said := strings.Join(calls, " "); thought != tt.thought || said != tt.calls {
				t.Errorf("thought %q, calls %s, want %q, %s", thought, said, tt.thought, tt.calls)
			}
			if tier != tt.tier {
				t.Errorf("tier %q, want %q", tier, tt.tier)
			}
			if u, final := reply.Usage(); u != tt.usage || !final {
				t.Errorf("usage %+v, final %t, want %+v", u, final, tt.usage)
			}
			if string(frames) != string(body) {
				t.Errorf("the frames are %q", frames)
			}
		})
	}
}

// Wherever an answer is cut, it does not look finished: by an upstream that ends its body as if it were whole,
// at each frame and in each, and by one that drops the connection, even after the last byte where there is no
// end mark.
func TestCutAnswersAreNeverWhole(t *testing.T) {
	for _, tt := range answers {
		body, kind, stream := fixture(t, tt.file)
		if !stream {
			body = bytes.TrimSpace(body)
		}
		base := serve(t, func(w http.ResponseWriter, r *http.Request) {
			cut, _ := strconv.Atoi(r.URL.Query().Get("cut"))
			w.Header().Set("Content-Type", kind)
			w.Write(body[:cut])
			if http.NewResponseController(w).Flush(); r.URL.Query().Get("drop") == "true" {
				panic(http.ErrAbortHandler)
			}
		})
		places := []int{len(body)}
		for i := 0; i < len(body); i += 97 {
			places = append(places, i)
		}
		for i := 0; stream && i < len(body); {
			blank := min(next(body[i:], "\n\n"), next(body[i:], "\r\n\r\n"))
			i += blank
			places = append(places, i)
		}
		for _, cut := range places {
			for _, drop := range []bool{false, true} {
				if marked := stream && tt.dialect != gem; cut == len(body) && (!drop || marked) {
					continue
				}
				if !drop && bytes.HasSuffix(body[:cut], []byte("\r\n\r")) { // the blank line is there
					continue
				}
				at := fmt.Sprintf("%s?cut=%d&drop=%t&", base, cut, drop)
				reply, err := dialects.Upstreams[tt.dialect].Open(context.Background(), call(hello(t, stream), at))
				if err == nil {
					_, err = read(reply)
					reply.Close()
				}
				if err == io.EOF {
					t.Fatalf("%s cut at byte %d of %d, dropped %t, looks whole", tt.file, cut, len(body), drop)
				}
				if e := failure(t, err); e.Class != router.ClassConnection && (stream || drop || e.Class != router.ClassServerError) {
					t.Errorf("%s cut at byte %d of %d, dropped %t: %v", tt.file, cut, len(body), drop, err)
				}
			}
		}
	}
}

func next(b []byte, blank string) int {
	if i := bytes.Index(b, []byte(blank)); i >= 0 {
		return i + len(blank)
	}
	return len(b)
}
