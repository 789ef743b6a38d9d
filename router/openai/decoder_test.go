package openai

import (
	"bytes"
	"io"
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
	f.Add([]byte("data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\ndata: [DONE]\n\n"))
	f.Add([]byte("data: {\"error\":{\"message\":\"m\",\"code\":1}}\n\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var d decoder
		frames := router.NewFrameReader(bytes.NewReader(in))
		for {
			frame, err := frames.Next()
			if err != nil {
				break
			}
			steps, err := d.Frame(frame.Data, nil)
			if len(steps) > router.MaxAnswers {
				t.Fatalf("%d steps", len(steps))
			}
			if err == io.EOF && d.Whole() && !d.answers.Any() {
				t.Fatal("whole without an answer")
			}
			if err != nil {
				break
			}
		}
		u, _ := d.Usage()
		if u != u.Clamped() {
			t.Fatalf("%+v", u)
		}
		var unary decoder
		if steps, err := unary.Body(in, nil); err == nil && unary.Whole() && steps[0].Finish == "" {
			t.Fatalf("whole without a finish reason: %+v", steps[0])
		}
	})
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
