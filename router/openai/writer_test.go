package openai

import (
	"encoding/json"
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/router"
)

var (
	head  = router.Head{Request: "req_1", Model: "anthropic/claude-haiku-5-5", Created: 1764000000}
	usage = ledger.Usage{Input: 412, CacheRead: 9000, CacheWrite: 1000, CacheWriteLong: 2000, Output: 250, Reasoning: 180}
)

func write(w router.Writer, chunks ...router.Chunk) string {
	var b strings.Builder
	for _, c := range chunks {
		b.Write(w.Chunk(c))
	}
	return b.String()
}

func TestRendering(t *testing.T) {
	const opening = `data: {"id":"chatcmpl-req_1","object":"chat.completion.chunk","created":1764000000,"model":"anthropic/claude-haiku-5-5","choices":[`
	steps := []router.Chunk{
		{ID: "msg_1", Model: "claude-haiku-5-5-20261007"}, {Frame: []byte(": ping\n\n")},
		{Content: true}, {Kind: router.KindText, Content: true, Text: "Hi <é> \"you\"\n"},
		{Finish: router.FinishStop, Native: "end_turn"}, {Report: true},
	}
	want := opening + `{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}` + "\n\n" +
		opening + `{"index":0,"delta":{"content":"Hi \u003cé\u003e \"you\"\n"},"finish_reason":null}]}` + "\n\n" +
		opening + `{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	w := Inbound{}.Writer(&router.Request{}, head, ledger.DialectAnthropicMessages)
	if got := write(w, steps...); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := string(w.End(usage)); got != "data: [DONE]\n\n" {
		t.Errorf("end %s", got)
	}

	w = Inbound{}.Writer(&router.Request{IncludeUsage: true}, head, ledger.DialectAnthropicMessages)
	if got, want := write(w, steps...), strings.ReplaceAll(want, "}]}\n\n", `}],"usage":null}`+"\n\n"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	// 412 + 9000 + 1000 + 2000 = 12412 of input, 250 of output.
	want = opening + `],"usage":{"prompt_tokens":12412,"completion_tokens":250,"total_tokens":12662,` +
		`"prompt_tokens_details":{"cached_tokens":9000,"cache_write_tokens":3000},` +
		`"completion_tokens_details":{"reasoning_tokens":180}}}` + "\n\ndata: [DONE]\n\n"
	if got := string(w.End(usage)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestRenderingSeveralAnswers(t *testing.T) {
	w := Inbound{}.Writer(&router.Request{}, head, ledger.DialectGemini)
	got := write(w,
		router.Chunk{Index: 1, Kind: router.KindText, Content: true, Text: "b"}, router.Chunk{Kind: router.KindText, Content: true, Text: "a", Finish: router.FinishLength},
		router.Chunk{Index: 1, Finish: router.FinishFiltered}, router.Chunk{Index: 999, Kind: router.KindText, Content: true, Text: "c"})
	for _, want := range []string{
		`{"index":1,"delta":{"role":"assistant","content":""}`, `{"index":1,"delta":{"content":"b"},"finish_reason":null}`,
		`{"index":0,"delta":{"role":"assistant","content":""}`, `{"index":0,"delta":{"content":"a"},"finish_reason":null}`,
		`{"index":0,"delta":{},"finish_reason":"length"}`, `{"index":1,"delta":{},"finish_reason":"content_filter"}`,
	} {
		before, after, ok := strings.Cut(got, want)
		if !ok || strings.Contains(before, `"finish_reason":"content_filter"`) {
			t.Errorf("%s is missing or late in %s", want, got)
		}
		got = before + after
	}
	if strings.Contains(got, "999") {
		t.Error("an index out of range was written")
	}
}

func TestRenderingBody(t *testing.T) {
	w := Inbound{}.Writer(&router.Request{}, head, ledger.DialectGemini)
	got := w.Body([]router.Chunk{{Kind: router.KindText, Content: true, Text: "Hi\n", Finish: router.FinishStop},
		{Frame: []byte("x"), Index: 1, Kind: router.KindText, Content: true, Text: "Ho", Finish: router.FinishLength}}, usage)
	want := `{"id":"chatcmpl-req_1","object":"chat.completion","created":1764000000,"model":"anthropic/claude-haiku-5-5","choices":[
		{"index":0,"message":{"role":"assistant","content":"Hi\n","refusal":null},"logprobs":null,"finish_reason":"stop"},
		{"index":1,"message":{"role":"assistant","content":"Ho","refusal":null},"logprobs":null,"finish_reason":"length"}],
		"usage":{"prompt_tokens":12412,"completion_tokens":250,"total_tokens":12662,
		"prompt_tokens_details":{"cached_tokens":9000,"cache_write_tokens":3000},"completion_tokens_details":{"reasoning_tokens":180}}}`
	if compact(t, got) != compact(t, []byte(want)) {
		t.Errorf("got %s", got)
	}
}

func TestRelay(t *testing.T) {
	frames := []router.Chunk{
		{Frame: []byte("data: 1\n\n"), ID: "chatcmpl-up", Model: "gpt-6-luna-2026-09-22"}, {},
		{Frame: []byte("data: 2\r\n\r\n"), Content: true}, {Frame: []byte(": c\n\n")},
		{Frame: []byte("data: 3\n\n"), Finish: router.FinishStop}, {Frame: []byte("data: usage\n\n"), Report: true},
	}
	const seen = "data: 1\n\ndata: 2\r\n\r\n: c\n\ndata: 3\n\n"
	w := Inbound{}.Writer(&router.Request{}, head, ledger.DialectOpenAIChat)
	if got := write(w, frames...) + string(w.End(usage)); got != seen+"data: [DONE]\n\n" {
		t.Errorf("not asked for: %q", got)
	}
	w = Inbound{}.Writer(&router.Request{IncludeUsage: true}, head, ledger.DialectOpenAIChat)
	if got := write(w, frames...) + string(w.End(usage)); got != seen+"data: usage\n\ndata: [DONE]\n\n" {
		t.Errorf("asked for: %q", got)
	}
	// The upstream never sent it: what was settled is told in its place.
	w = Inbound{}.Writer(&router.Request{IncludeUsage: true}, head, ledger.DialectOpenAIChat)
	got := write(w, frames[:5]...) + string(w.End(usage))
	if !strings.HasPrefix(got, seen+`data: {"id":"chatcmpl-up","object":"chat.completion.chunk","created":1764000000,"model":"gpt-6-luna-2026-09-22","choices":[],"usage":{"prompt_tokens":12412,`) {
		t.Errorf("missing: %q", got)
	}
	if got := w.Body([]router.Chunk{{Frame: []byte("{}\n")}}, usage); string(got) != "{}\n" {
		t.Errorf("body %q", got)
	}
}

func TestFailures(t *testing.T) {
	for status, kind := range map[int]string{
		400: "invalid_request_error", 401: "authentication_error", 402: "insufficient_quota", 403: "permission_error",
		404: "invalid_request_error", 409: "invalid_request_error", 413: "invalid_request_error", 429: "rate_limit_error",
		500: "server_error", 502: "server_error", 503: "server_error",
	} {
		got := Inbound{}.Failure(router.Failure{Status: status, Code: "c", Message: "say \"why\"", Field: "n"})
		if want := `{"error":{"message":"say \"why\"","type":"` + kind + `","param":"n","code":"c"}}`; string(got) != want {
			t.Errorf("%d: %s", status, got)
		}
	}
	for _, from := range []ledger.Dialect{ledger.DialectOpenAIChat, ledger.DialectGemini} {
		w := Inbound{}.Writer(&router.Request{}, head, from)
		got := string(w.Error(router.Failure{Status: 502, Code: "upstream_failed", Message: "two\nlines"}))
		data, ok := strings.CutPrefix(got, "data: ")
		if data = strings.TrimSuffix(data, "\n\n"); !ok || !json.Valid([]byte(data)) || strings.Contains(data, "\n") || !strings.Contains(data, `"param":null`) {
			t.Errorf("%q", got)
		}
	}
}

// What a writer returned stays as it was while it writes on.
func TestWritersNeverOverwrite(t *testing.T) {
	w := Inbound{}.Writer(&router.Request{}, head, ledger.DialectGemini)
	var kept [][]byte
	var then []string
	for i := range 500 {
		b := w.Chunk(router.Chunk{Kind: router.KindText, Content: true, Text: strings.Repeat(string(rune('a'+i%26)), 1+i%1500)})
		kept, then = append(kept, b), append(then, string(b))
	}
	for i := range kept {
		if string(kept[i]) != then[i] {
			t.Fatalf("chunk %d was overwritten", i)
		}
	}
}

func BenchmarkRendering(b *testing.B) {
	w := Inbound{}.Writer(&router.Request{}, head, ledger.DialectGemini)
	c := router.Chunk{Kind: router.KindText, Content: true, Text: "some words "}
	b.ReportAllocs()
	for b.Loop() {
		w.Chunk(c)
	}
}
