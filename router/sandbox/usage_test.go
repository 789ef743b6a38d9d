package sandbox_test

import (
	"testing"

	"github.com/tidwall/gjson"

	"waybill/router/sandbox"
)

// The same call, as each provider reports it: 400 input tokens, of which 128 came from the
// cache and 64 (where there is such a thing) went into it; 60 tokens of text after 40 of
// reasoning. The figures are written down here by hand, from the providers' conventions.
var usageGolden = map[string]struct {
	words  string
	usage  string
	record sandbox.Tokens
}{
	// Cached tokens are inside the prompt, reasoning inside the completion.
	sandbox.OpenAI: {
		words: "input=400 cached=128 cache_write=64 output=60 reasoning=40",
		usage: `{"prompt_tokens":400,"completion_tokens":100,"total_tokens":500,
			"prompt_tokens_details":{"cached_tokens":128,"cache_write_tokens":64,"audio_tokens":0},
			"completion_tokens_details":{"reasoning_tokens":40,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}`,
		record: sandbox.Tokens{Input: 208, CacheRead: 128, CacheWrite: 64, Output: 100, Reasoning: 40},
	},
	// Cached tokens are outside the input, thinking inside the output.
	sandbox.Anthropic: {
		words: "input=400 cached=128 cache_write=64 output=60 reasoning=40",
		usage: `{"input_tokens":208,"cache_creation_input_tokens":64,"cache_read_input_tokens":128,
			"cache_creation":{"ephemeral_5m_input_tokens":64,"ephemeral_1h_input_tokens":0},
			"output_tokens":100,"output_tokens_details":{"thinking_tokens":40},"service_tier":"standard"}`,
		record: sandbox.Tokens{Input: 208, CacheRead: 128, CacheWrite: 64, Output: 100, Reasoning: 40},
	},
	// Cached tokens are inside the prompt, thoughts outside the candidates; no cache writes.
	sandbox.Google: {
		words: "input=400 cached=128 output=60 reasoning=40",
		usage: `{"promptTokenCount":400,"candidatesTokenCount":60,"totalTokenCount":500,"cachedContentTokenCount":128,"thoughtsTokenCount":40,
			"promptTokensDetails":[{"modality":"TEXT","tokenCount":400}],"cacheTokensDetails":[{"modality":"TEXT","tokenCount":128}]}`,
		record: sandbox.Tokens{Input: 272, CacheRead: 128, Output: 100, Reasoning: 40},
	},
}

func TestUsageConventions(t *testing.T) {
	each(t, func(t *testing.T, provider string, stream bool) {
		golden := usageGolden[provider]
		c := start(t, sandbox.Options{})
		extra := ""
		if provider == sandbox.OpenAI && stream {
			extra = `"stream_options":{"include_usage":true}`
		}
		r := c.ask(provider, "[[sandbox "+golden.words+"]] usage", stream, extra)
		want := gjson.Get(golden.usage, "@ugly").Raw
		if provider == sandbox.Anthropic && stream {
			// message_start has all the input and hardly any output, message_delta the totals.
			all, _ := events(t, r.body)
			begun := gjson.Get(all[0].data, "message.usage")
			if all[0].name != "message_start" || begun.Get("input_tokens").Int() != 208 || begun.Get("cache_read_input_tokens").Int() != 128 ||
				begun.Get("cache_creation_input_tokens").Int() != 64 || begun.Get("output_tokens").Int() != 1 {
				t.Errorf("message_start %s", all[0].data)
			}
			want = `{"input_tokens":208,"cache_creation_input_tokens":64,"cache_read_input_tokens":128,"output_tokens":100,"output_tokens_details":{"thinking_tokens":40}}`
		}
		if got := r.understand(t, provider, stream).usage.Raw; got != want {
			t.Errorf("usage\n%s, want\n%s", got, want)
		}
		if call := c.calls(1)[0]; call.Tokens != golden.record {
			t.Errorf("record %+v", call.Tokens)
		}
	})
}

func TestInputCount(t *testing.T) {
	// 2 (system) + 1 + 2 + 1 tokens of text.
	bodies := map[string]string{
		sandbox.OpenAI:    `{"model":"m","messages":[{"role":"system","content":"12345678"},{"role":"user","content":[{"type":"text","text":"1234"}]},{"role":"assistant","content":"12345"},{"role":"user","content":"123"}]}`,
		sandbox.Anthropic: `{"model":"m","max_tokens":9,"system":"12345678","messages":[{"role":"user","content":[{"type":"text","text":"1234"}]},{"role":"assistant","content":"12345"},{"role":"user","content":"123"}]}`,
		sandbox.Google:    `{"systemInstruction":{"parts":[{"text":"12345678"}]},"contents":[{"parts":[{"text":"1234"}]},{"role":"model","parts":[{"text":"12345"}]},{"role":"user","parts":[{"text":"123"}]}]}`,
	}
	c := start(t, sandbox.Options{})
	for i, provider := range providers {
		r := c.do(c.request(provider, false, bodies[provider]))
		call := c.calls(i + 1)[i]
		if r.status != 200 || call.Tokens.Input != 6 || call.Messages != 4 {
			t.Errorf("%s: %s, record %+v", provider, r.body, call)
		}
	}
}

func TestOpenAIUsageChunk(t *testing.T) {
	c := start(t, sandbox.Options{})
	all, _ := events(t, c.ask(sandbox.OpenAI, "[[sandbox chunks=2]] u", true, `"stream_options":{"include_usage":true}`).body)
	if len(all) != 1+2+1+1+1 {
		t.Fatalf("%d events", len(all))
	}
	for _, e := range all[:4] {
		if v := gjson.Get(e.data, "usage"); v.Type != gjson.Null || !v.Exists() {
			t.Errorf("usage before the end: %s", e.data)
		}
	}
	if last := gjson.Parse(all[4].data); len(last.Get("choices").Array()) != 0 || !last.Get("choices").IsArray() || !last.Get("usage.total_tokens").Exists() {
		t.Errorf("usage chunk %s", last.Raw)
	}
	if finish := gjson.Parse(all[3].data); finish.Get("choices.0.delta").Raw != "{}" || finish.Get("choices.0.finish_reason").Str != "stop" {
		t.Errorf("finish chunk %s", finish.Raw)
	}
	r := c.ask(sandbox.OpenAI, "u", true, `"stream_options":{"include_obfuscation":false}`)
	if got := r.understand(t, sandbox.OpenAI, true); got.usage.Exists() || gjson.Get(r.body, "usage").Exists() {
		t.Error("usage without include_usage")
	}
	for _, test := range []struct {
		extra string
		want  bool
	}{{`"stream_options":{"include_obfuscation":false}`, false}, {"", true}} {
		all, _ := events(t, c.ask(sandbox.OpenAI, "u", true, test.extra).body)
		if got := gjson.Get(all[1].data, "obfuscation").Exists(); got != test.want {
			t.Errorf("%s: obfuscation %t", test.extra, got)
		}
	}
}

func TestGeminiRunningTotals(t *testing.T) {
	c := start(t, sandbox.Options{})
	all, _ := events(t, c.ask(sandbox.Google, "[[sandbox chunks=5 output=50 reasoning=7]] totals", true, "").body)
	if len(all) != 5 {
		t.Fatalf("%d events", len(all))
	}
	for i, e := range all {
		u := gjson.Get(e.data, "usageMetadata")
		if got := u.Get("candidatesTokenCount").Int(); got != int64(10*(i+1)) && got != int64(10*(i+1))-1 {
			t.Errorf("event %d: %s", i, u.Raw)
		}
		if u.Get("thoughtsTokenCount").Int() != 7 {
			t.Errorf("event %d: %s", i, u.Raw)
		}
		if finish := gjson.Get(e.data, "candidates.0.finishReason").Exists(); finish != (i == 4) {
			t.Errorf("event %d: finish %t", i, finish)
		}
	}
	if gjson.Get(all[4].data, "candidates.0.content.parts.0.thoughtSignature").Str == "" {
		t.Error("a model that thought signs its last part")
	}
}

// Reasoning is shown only to those who ask, and comes before the text.
func TestThoughts(t *testing.T) {
	c := start(t, sandbox.Options{})
	const text = "[[sandbox reasoning=20]] think"
	r := c.ask(sandbox.Anthropic, text, false, "")
	if first := r.get("content.0"); first.Get("type").Str != "thinking" || first.Get("thinking").Str != "" || first.Get("signature").Str == "" {
		t.Errorf("omitted: %s", r.body)
	}
	r = c.ask(sandbox.Anthropic, text, false, `"thinking":{"type":"adaptive","display":"summarized"}`)
	thought := r.get("content.0.thinking").Str
	if sandbox.CountTokens(thought) != 20 || r.get("content.1.text").Str != sandbox.Answer("think", 0) {
		t.Errorf("summarized: %s", r.body)
	}
	r = c.ask(sandbox.Anthropic, text, true, `"thinking":{"type":"adaptive","display":"summarized"}`)
	all, _ := events(t, r.body)
	var names []string
	streamed := ""
	for _, e := range all {
		v := gjson.Parse(e.data)
		streamed += v.Get("delta.thinking").Str
		if e.name != "content_block_delta" || v.Get("delta.type").Str != "text_delta" {
			names = append(names, e.name+v.Get("index").Raw+v.Get("delta.type").Str)
		}
	}
	want := []string{"message_start", "content_block_start0", "content_block_delta0thinking_delta", "content_block_delta0signature_delta",
		"content_block_stop0", "content_block_start1", "ping", "content_block_stop1", "message_delta", "message_stop"}
	if len(names) != len(want) {
		t.Fatalf("events %v", names)
	}
	for i := range want {
		if names[i] != want[i] {
			t.Errorf("event %d is %s, want %s", i, names[i], want[i])
		}
	}
	if streamed != thought {
		t.Errorf("streamed %q", streamed)
	}
	r = c.ask(sandbox.Google, text, true, `"generationConfig":{"thinkingConfig":{"includeThoughts":true}}`)
	all, _ = events(t, r.body)
	if part := gjson.Get(all[0].data, "candidates.0.content.parts.0"); !part.Get("thought").Bool() || part.Get("text").Str != thought {
		t.Errorf("first event %s", all[0].data)
	}
	if got := r.understand(t, sandbox.Google, true); got.text != sandbox.Answer("think", 0) {
		t.Errorf("%q", got.text)
	}
}
