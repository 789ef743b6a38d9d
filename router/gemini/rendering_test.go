package gemini

import (
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/router"
)

func render(steps ...router.Chunk) string {
	w := Inbound{}.Writer(&router.Request{}, router.Head{Request: "r", Model: "p/m"}, ledger.DialectOpenAIChat)
	return string(w.Body(steps, ledger.Usage{Input: 3, Output: 2}))
}

const tail = `,"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2,"totalTokenCount":5},"modelVersion":"p/m","responseId":"r"}`

func TestRenderingEnds(t *testing.T) {
	said := router.Chunk{Kind: router.KindText, Text: "Hi", Content: true}
	called := router.Chunk{Kind: router.KindCall, CallID: "c", Name: "f", Text: `{"a":`, Content: true}
	for _, tt := range []struct {
		name  string
		steps []router.Chunk
		want  string
	}{
		{"stop", []router.Chunk{said, {Finish: router.FinishStop}}, `{"candidates":[{"content":{"parts":[{"text":"Hi"}],"role":"model"},"finishReason":"STOP","index":0}]`},
		{"cap", []router.Chunk{said, {Finish: router.FinishLength}}, `{"candidates":[{"content":{"parts":[{"text":"Hi"}],"role":"model"},"finishReason":"MAX_TOKENS","index":0}]`},
		{"filtered", []router.Chunk{said, {Finish: router.FinishFiltered}}, `{"candidates":[{"content":{"parts":[{"text":"Hi"}],"role":"model"},"finishReason":"SAFETY","index":0}]`},
		{"blocked", []router.Chunk{{Finish: router.FinishFiltered}}, `{"promptFeedback":{"blockReason":"SAFETY"}`},
		{"silent", []router.Chunk{{Finish: router.FinishLength}}, `{"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"MAX_TOKENS","index":0}]`},
		{"refusal", []router.Chunk{{Kind: router.KindRefusal, Text: "No.", Content: true}, {Finish: router.FinishStop}},
			`{"candidates":[{"content":{"parts":[{"text":"No."}],"role":"model"},"finishReason":"STOP","index":0}]`},
		{"hidden thoughts", []router.Chunk{{Kind: router.KindReasoning, Text: "Hm", Content: true}, said, {Finish: router.FinishStop}},
			`{"candidates":[{"content":{"parts":[{"text":"Hi"}],"role":"model"},"finishReason":"STOP","index":0}]`},
		{"cut call", []router.Chunk{said, called, {Finish: router.FinishLength}},
			`{"candidates":[{"content":{"parts":[{"text":"Hi"}],"role":"model"},"finishReason":"MAX_TOKENS","finishMessage":"the arguments of the call of f are not a JSON object: {\"a\":","index":0}]`},
		{"malformed call", []router.Chunk{called, {Finish: router.FinishTool}},
			`{"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"MALFORMED_FUNCTION_CALL","finishMessage":"the arguments of the call of f are not a JSON object: {\"a\":","index":0}]`},
		{"calls in turns", []router.Chunk{called, {Kind: router.KindCall, Call: 1, CallID: "d", Name: "g", Content: true},
			{Kind: router.KindCall, Text: "1}"}, {Kind: router.KindCall, Call: 1, Text: `{}`}, said, {Finish: router.FinishTool}},
			`{"candidates":[{"content":{"parts":[{"functionCall":{"id":"c","name":"f","args":{"a":1}},"thoughtSignature":"` + router.MintSeal("r") +
				`"},{"functionCall":{"id":"d","name":"g","args":{}}},{"text":"Hi"}],"role":"model"},"finishReason":"STOP","index":0}]`},
		{"a call that was not whole when text followed", []router.Chunk{called, said, {Kind: router.KindCall, Text: "1}"}, said, {Finish: router.FinishTool}},
			`{"candidates":[{"content":{"parts":[{"text":"Hi"},{"text":"Hi"},{"functionCall":{"id":"c","name":"f","args":{"a":1}},"thoughtSignature":"` + router.MintSeal("r") +
				`"}],"role":"model"},"finishReason":"STOP","index":0}]`},
		{"side by side", []router.Chunk{{Index: 1, Kind: router.KindText, Text: "b", Content: true, Finish: router.FinishStop}, {Kind: router.KindText, Text: "a", Content: true, Finish: router.FinishStop}},
			`{"candidates":[{"content":{"parts":[{"text":"a"}],"role":"model"},"finishReason":"STOP","index":0},{"content":{"parts":[{"text":"b"}],"role":"model"},"finishReason":"STOP","index":1}]`},
	} {
		if got := render(tt.steps...); got != tt.want+tail {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.name, got, tt.want+tail)
		}
	}
}

// What a call needs grows with its own length alone, not with the text that follows it: it is read through when something
// follows, and once more at the answer's end.
func TestOpenCallsCostTheirLength(t *testing.T) {
	allocated := func(pieces int) float64 {
		return testing.AllocsPerRun(3, func() {
			w := rendering{req: &router.Request{}}
			w.Chunk(router.Chunk{Kind: router.KindCall, CallID: "c", Name: "f", Text: `{"a":"`, Content: true})
			for range pieces {
				w.Chunk(router.Chunk{Kind: router.KindCall, Text: "b"})
				w.Chunk(router.Chunk{Kind: router.KindText, Text: "b", Content: true})
			}
		})
	}
	// Reading arguments that are not JSON makes an error, so that each reading shows.
	if few, many := allocated(100), allocated(1100); many-few > 8*1000 {
		t.Errorf("%.1f allocations for each piece", (many-few)/1000)
	}
}

// The array grows frame by frame, and is one JSON text in the end.
func TestRenderingAnArray(t *testing.T) {
	w := Inbound{}.Writer(&router.Request{Stream: true, Array: true}, router.Head{Request: "r", Model: "p/m"}, ledger.DialectOpenAIChat)
	first := string(w.Chunk(router.Chunk{Kind: router.KindText, Text: "Hi", Content: true}))
	want := `[{"candidates":[{"content":{"parts":[{"text":"Hi"}],"role":"model"},"index":0}],"modelVersion":"p/m","responseId":"r"}`
	if first != want {
		t.Errorf("got  %s\nwant %s", first, want)
	}
	rest := write(w, router.Chunk{Finish: router.FinishStop}) + string(w.End(ledger.Usage{Input: 3, Output: 2}))
	want = ",\r\n" + `{"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"STOP","index":0}]` + tail + "]"
	if rest != want {
		t.Errorf("got  %s\nwant %s", rest, want)
	}
}

// What a writer returned stays as it was while it writes on.
func TestWritersNeverOverwrite(t *testing.T) {
	w := Inbound{}.Writer(&router.Request{}, router.Head{}, ledger.DialectOpenAIChat)
	var kept [][]byte
	var then []string
	for i := range 200 {
		b := w.Chunk(router.Chunk{Content: true, Kind: router.KindText, Text: strings.Repeat(string(rune('a'+i%26)), 1+i*7)})
		kept, then = append(kept, b), append(then, string(b))
	}
	for i := range kept {
		if string(kept[i]) != then[i] {
			t.Fatalf("chunk %d was overwritten", i)
		}
	}
}

func BenchmarkRendering(b *testing.B) {
	w := Inbound{}.Writer(&router.Request{}, router.Head{Request: "req_1", Model: "p/m"}, ledger.DialectOpenAIChat)
	c := router.Chunk{Content: true, Kind: router.KindText, Text: "some words "}
	b.ReportAllocs()
	for b.Loop() {
		w.Chunk(c)
	}
}
