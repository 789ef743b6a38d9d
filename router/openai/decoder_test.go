package openai

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/router"
)

func TestOddUsage(t *testing.T) {
	for body, want := range map[string]ledger.Usage{
		// The written tokens are unadjusted: they may exceed what is left of the prompt, never push it below zero.
		`{"prompt_tokens":100,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":80,"cache_write_tokens":40}}`: {CacheRead: 80, CacheWrite: 40, Output: 5},
		`{"prompt_tokens":-100,"completion_tokens":-5}`:                                                                    {},
		`{"prompt_tokens":9223372036854775807,"prompt_tokens_details":{"cached_tokens":-9223372036854775808}}`:             {Input: 1 << 40},
		`{"prompt_tokens":1,"completion_tokens":5,"completion_tokens_details":{"reasoning_tokens":9}}`:                     {Input: 1, Output: 5, Reasoning: 5},
		`{"prompt_tokens":1,"completion_tokens":5,"prompt_tokens_details":null}`:                                           {Input: 1, Output: 5},
	} {
		var d decoder
		if _, err := d.Body([]byte(`{"choices":[{"index":0,"message":{"content":"a"},"finish_reason":"stop"}],"usage":`+body+`}`), nil); err != nil {
			t.Fatal(err)
		}
		if u, final := d.Usage(); u != want || !final {
			t.Errorf("%s: %+v, want %+v", body, u, want)
		}
	}
}

// A server that reports running figures has not reported the final one before its answer ends.
func TestRunningUsageIsNotFinal(t *testing.T) {
	var d decoder
	d.Frame([]byte(`{"choices":[{"index":0,"delta":{"content":"a"}}],"usage":{"prompt_tokens":3,"completion_tokens":1}}`), nil)
	if u, final := d.Usage(); final || u.Output != 1 {
		t.Errorf("%+v %t", u, final)
	}
	d.Frame([]byte(`{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}`), nil)
	if u, final := d.Usage(); !final || u.Output != 2 {
		t.Errorf("%+v %t", u, final)
	}
}

func TestWhatIsContent(t *testing.T) {
	for delta, want := range map[string]bool{
		`{}`: false, `{"role":"assistant"}`: false, `{"role":"assistant","content":"","refusal":null}`: false, `{"tool_calls":[]}`: false,
		`{"content":"a"}`: true, `{"refusal":"no"}`: true, `{"reasoning_content":"hm"}`: true, `{"audio":{"id":"x"}}`: true,
		`{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":""}}]}`: true, `{"function_call":{"name":"f"}}`: true,
	} {
		var d decoder
		steps, err := d.Frame([]byte(`{"choices":[{"index":0,"delta":`+delta+`}]}`), nil)
		if err != nil || len(steps) != 1 || steps[0].Content != want {
			t.Errorf("%s: %+v %v", delta, steps, err)
		}
	}
}

func FuzzDecoder(f *testing.F) {
	for _, name := range []string{"tools.sse", "deepseek.sse", "refusal.json"} {
		f.Add(fixture(f, name))
	}
	f.Add([]byte("data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\ndata: [DONE]\n\n"))
	f.Add([]byte("data: {\"error\":{\"message\":\"m\",\"code\":1}}\n\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		d := decoder{attempt: "req.1"}
		frames := router.NewFrameReader(bytes.NewReader(in))
		w := Inbound{}.Writer(&router.Request{IncludeUsage: true}, head, ledger.DialectGemini)
		var all []router.Chunk
		for {
			frame, err := frames.Next()
			if err != nil {
				break
			}
			steps, err := d.Frame(frame.Data, nil)
			if err == io.EOF && d.Whole() && !d.answers.Any() {
				t.Fatal("whole without an answer")
			}
			for _, c := range steps {
				renderable(t, w.Chunk(c))
			}
			all = append(all, steps...)
			if err != nil {
				break
			}
		}
		u, _ := d.Usage()
		if u != u.Clamped() {
			t.Fatalf("%+v", u)
		}
		renderable(t, w.End(u))
		if body := w.Body(all, u); !json.Valid(body) {
			t.Fatalf("%q", body)
		}
		if turn := d.Turn(); turn != nil && !json.Valid(turn) {
			t.Fatalf("%q", turn)
		}
		var unary decoder
		if steps, err := unary.Body(in, nil); err == nil && unary.Whole() && steps[len(steps)-1].Finish == "" {
			t.Fatalf("whole without a finish reason: %+v", steps)
		}
		vectors := embedDecoder{texts: 2}
		if steps, err := vectors.Body(in, nil); err == nil && (len(steps) != 2 || !vectors.Whole()) {
			t.Fatalf("%+v", steps)
		}
	})
}

// renderable checks that what was written is frames of JSON, each under one data field.
func renderable(t *testing.T, b []byte) {
	t.Helper()
	for frame := range bytes.SplitSeq(b, []byte("\n\n")) {
		data, ok := bytes.CutPrefix(frame, []byte("data: "))
		if len(frame) > 0 && string(data) != "[DONE]" && (!ok || !json.Valid(data)) {
			t.Fatalf("%q", frame)
		}
	}
}

func BenchmarkDecoder(b *testing.B) {
	frame := []byte(`{"id":"chatcmpl-B1","object":"chat.completion.chunk","created":1764000000,"model":"gpt-6-luna-2026-09-22","service_tier":"default","system_fingerprint":null,"choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"x7yz"}`)
	var d decoder
	var steps []router.Chunk
	var err error
	b.ReportAllocs()
	for b.Loop() {
		if steps, err = d.Frame(frame, steps[:0]); err != nil {
			b.Fatal(err)
		}
	}
}

// Small servers depart from OpenAI in how they tell calls, thoughts and ends.
func TestOddAnswers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		frames []string
		want   string
	}{
		{"thoughts in two members", []string{`{"delta":{"reasoning":"a","reasoning_content":"a"}}`, `{"delta":{"reasoning":"b"}}`},
			"0 reasoning 0   \"a\" \n0 reasoning 0   \"b\" \n"},
		{"thoughts in content", []string{`{"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"a"}]},{"type":"text","text":"b"}]}}`},
			"0 reasoning 0   \"a\" \n0 text 0   \"b\" \n"},
		{"no index", []string{`{"delta":{"tool_calls":[{"id":"c1","function":{"name":"f","arguments":"{}"}},{"id":"c2","function":{"name":"g","arguments":"{}"}}]},"finish_reason":"tool_calls"}`},
			"0 call 0 c1 f \"{}\" \n0 call 1 c2 g \"{}\" tool_calls\n"},
		{"one index for all", []string{`{"delta":{"tool_calls":[{"index":0,"id":"c1","function":{"name":"f","arguments":"{}"}}]}}`, `{"delta":{"tool_calls":[{"index":0,"id":"c2","function":{"name":"f","arguments":"{}"}}]}}`},
			"0 call 0 c1 f \"{}\" \n0 call 1 c2 f \"{}\" \n"},
		{"the id on each fragment", []string{`{"delta":{"tool_calls":[{"index":0,"id":"c1","function":{"name":"f","arguments":"{"}}]}}`, `{"delta":{"tool_calls":[{"index":0,"id":"c1","function":{"name":"f","arguments":"}"}}]}}`},
			"0 call 0 c1 f \"{\" \n0 call 0   \"}\" \n"},
		{"the name after the id", []string{`{"delta":{"tool_calls":[{"index":0,"id":"c1","function":{"arguments":"{"}}]}}`, `{"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"}"}}]}}`},
			"0 call 0 c1 f \"{}\" \n"},
		{"no name at all", []string{`{"delta":{"tool_calls":[{"index":0,"id":"c1","function":{"arguments":"{}"}}]},"finish_reason":"stop"}`},
			"0 call 0 c1  \"{}\" tool_calls\n"},
		{"no id", []string{`{"delta":{"tool_calls":[{"function":{"name":"f"}}]},"finish_reason":"stop"}`},
			"0 call 0 " + router.MintID("req.1", 0, 0) + " f \"\" \n0 call 0   \"{}\" tool_calls\n"},
		{"arguments as an object", []string{`{"delta":{"tool_calls":[{"id":"c1","function":{"name":"f","arguments":{"a":1}}}]}}`}, "0 call 0 c1 f \"{\\\"a\\\":1}\" \n"},
		{"the deprecated form", []string{`{"delta":{"function_call":{"name":"f","arguments":""}}}`, `{"delta":{"function_call":{"arguments":"{}"}},"finish_reason":"function_call"}`},
			"0 call 0 " + router.MintID("req.1", 0, 0) + " f \"\" \n0 call 0   \"{}\" tool_calls\n"},
		{"a refusal", []string{`{"delta":{"refusal":"no"},"finish_reason":"stop"}`}, "0 refusal 0   \"no\" stop\n"},
		{"another word for the cap", []string{`{"delta":{},"finish_reason":"model_length"}`}, "0  0   \"\" length\n"},
		{"several answers", []string{`{"index":1,"delta":{"content":"b"}},{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}`}, "1 text 0   \"b\" \n0 text 0   \"a\" stop\n"},
	} {
		d := decoder{attempt: "req.1"}
		var steps []router.Chunk
		for _, f := range tt.frames {
			var err error
			if steps, err = d.Frame([]byte(`{"choices":[`+f+`]}`), steps); err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
		}
		if got := told(steps); got != tt.want {
			t.Errorf("%s:\ngot\n%swant\n%s", tt.name, got, tt.want)
		}
		for _, s := range steps {
			if s.Kind != "" && !s.Content {
				t.Errorf("%s: %+v is no content", tt.name, s)
			}
		}
	}
}

// Some servers have a finish reason for an answer that failed: it must not pass for an answer.
func TestFailedAnswers(t *testing.T) {
	for word, want := range map[string]router.Class{
		"error": router.ClassServerError, "abort": router.ClassServerError, "insufficient_system_resource": router.ClassOverloaded,
	} {
		var d decoder
		_, err := d.Frame([]byte(`{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"`+word+`"}]}`), nil)
		if e, ok := errors.AsType[*router.UpstreamError](err); !ok || e.Class != want || d.Whole() {
			t.Errorf("%s: %v", word, err)
		}
	}
}

// Where usage is told, and by which convention. The sums are by hand.
func TestPlacesOfUsage(t *testing.T) {
	const finish = `"choices":[{"index":0,"delta":{},"finish_reason":"stop"`
	for frame, want := range map[string]ledger.Usage{
		`{` + finish + `}],"usage":{"prompt_tokens":3,"completion_tokens":2}}`:                     {Input: 3, Output: 2},
		`{` + finish + `,"usage":{"prompt_tokens":3,"completion_tokens":2}}]}`:                     {Input: 3, Output: 2},
		`{` + finish + `}],"x_groq":{"id":"r","usage":{"prompt_tokens":3,"completion_tokens":2}}}`: {Input: 3, Output: 2},
		// DeepSeek: 3 of 10 come from the cache.
		`{` + finish + `}],"usage":{"prompt_tokens":10,"completion_tokens":2,"prompt_cache_hit_tokens":3,"prompt_cache_miss_tokens":7}}`: {Input: 7, CacheRead: 3, Output: 2},
		// xAI: 32 + 9 + 94 = 135, so the completion does not include the reasoning: 103 of output.
		`{` + finish + `}],"usage":{"prompt_tokens":32,"completion_tokens":9,"total_tokens":135,"completion_tokens_details":{"reasoning_tokens":94}}}`: {Input: 32, Output: 103, Reasoning: 94},
		// OpenAI: 32 + 103 = 135, so it does.
		`{` + finish + `}],"usage":{"prompt_tokens":32,"completion_tokens":103,"total_tokens":135,"completion_tokens_details":{"reasoning_tokens":94}}}`: {Input: 32, Output: 103, Reasoning: 94},
	} {
		var d decoder
		if _, err := d.Frame([]byte(frame), nil); err != nil {
			t.Fatal(err)
		}
		if u, final := d.Usage(); u != want || !final {
			t.Errorf("%s: %+v %t", frame, u, final)
		}
	}
}

func TestBounds(t *testing.T) {
	d := decoder{attempt: "req.1"}
	many := strings.TrimSuffix(strings.Repeat(`{"id":"","function":{"name":"f"}},`, maxCalls+1), ",")
	if _, err := d.Frame([]byte(`{"choices":[{"index":0,"delta":{"tool_calls":[`+many+`]}}]}`), nil); err != errTooManyCalls {
		t.Error(err)
	}
	d = decoder{}
	many = strings.TrimSuffix(strings.Repeat(`{"index":0,"delta":{}},`, router.MaxAnswers+1), ",")
	if _, err := d.Frame([]byte(`{"choices":[`+many+`]}`), nil); err != router.ErrTooManyAnswers {
		t.Error(err)
	}
	var kept turn
	for range 3 {
		kept.say(router.KindReasoning, strings.Repeat("x", router.MaxTurn/2))
	}
	if kept.message(nil) != nil {
		t.Error("a turn beyond the bound is kept in part")
	}
}

// What a frame costs between the upstream's bytes and the caller's.
func BenchmarkRelay(b *testing.B) { benchmarkFrame(b, ledger.DialectOpenAIChat) }

// What it costs where the answer is translated from its steps.
func BenchmarkRender(b *testing.B) { benchmarkFrame(b, ledger.DialectGemini) }

func benchmarkFrame(b *testing.B, from ledger.Dialect) {
	frame := []byte("data: " + `{"id":"chatcmpl-B1","object":"chat.completion.chunk","created":1764000000,"model":"gpt-6-luna-2026-09-22","service_tier":"default","system_fingerprint":null,"choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"x7yz"}` + "\n\n")
	d := decoder{own: true}
	w := Inbound{}.Writer(&router.Request{}, head, from)
	var steps []router.Chunk
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if steps, err = d.Frame(frame[len("data: "):len(frame)-2], steps[:0]); err != nil {
			b.Fatal(err)
		}
		steps[0].Frame = frame
		w.Chunk(steps[0])
	}
}
