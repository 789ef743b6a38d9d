package gemini

import (
	"slices"
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/router"
)

// hear reads frames as a caller of another dialect's leg does.
func hear(t *testing.T, d *decoder, frames ...string) (steps []router.Chunk) {
	t.Helper()
	for _, f := range frames {
		var err error
		if steps, err = d.Frame([]byte(f), steps); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
	}
	return steps
}

// Thoughts, text, two calls at once of which Gemini gives no ids and seals the first, and running totals.
func TestDecoderReadsTools(t *testing.T) {
	d := decoder{attempt: "req_1.1", turn: &turn{}}
	steps := hear(t, &d,
		`{"candidates":[{"content":{"parts":[{"text":"Hm.","thought":true}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":90,"totalTokenCount":95,"thoughtsTokenCount":5},"modelVersion":"gemini-3.5-flash","responseId":"R1"}`,
		`{"candidates":[{"content":{"parts":[{"text":"Let "}],"role":"model"},"index":0}]}`,
		`{"candidates":[{"content":{"parts":[{"text":"me."},{"functionCall":{"name":"weather","args":{"city":"Köln"}},"thoughtSignature":"c2Vh-_w"},{"functionCall":{"name":"now"}}],"role":"model"},"index":0}]}`,
		`{"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":90,"cachedContentTokenCount":30,"toolUsePromptTokenCount":4,
			"candidatesTokenCount":12,"thoughtsTokenCount":8,"totalTokenCount":114,"trafficType":"ON_DEMAND_PRIORITY"}}`)
	type seen struct {
		kind       router.Kind
		text, name string
		call       int
		seal       string
		finish     router.Finish
	}
	var got []seen
	for _, c := range steps {
		got = append(got, seen{c.Kind, c.Text, c.Name, c.Call, c.Signature, c.Finish})
	}
	if want := []seen{{kind: router.KindReasoning, text: "Hm."}, {kind: router.KindText, text: "Let "}, {kind: router.KindText, text: "me."},
		{kind: router.KindCall, text: `{"city":"Köln"}`, name: "weather", seal: "c2Vh+/w="}, {kind: router.KindCall, text: "{}", name: "now", call: 1},
		{kind: router.KindText, finish: router.FinishTool}}; !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if a, b := steps[3].CallID, steps[4].CallID; a == "" || b == "" || a == b {
		t.Errorf("ids %q %q", a, b)
	}
	if steps[0].ID != "R1" || steps[0].Model != "gemini-3.5-flash" || steps[5].Tier != "priority" || steps[5].Content {
		t.Errorf("%+v", steps)
	}
	// 90 + 4 that tools brought in, of which 30 from the cache: 64 plain. 12 + 8 thoughts: 20 of output.
	if u, final := d.Usage(); u != (ledger.Usage{Input: 64, CacheRead: 30, Output: 20, Reasoning: 8}) || !final {
		t.Errorf("%+v %t", u, final)
	}
	if got, want := string(d.Turn()), `[{"text":"Let me."},{"functionCall":{"name":"weather","args":{"city":"Köln"}},"thoughtSignature":"c2Vh-_w"},{"functionCall":{"name":"now"}}]`; got != want {
		t.Errorf("turn %s", got)
	}
}

// What Gemini itself ran, or made, is content that other dialects cannot show.
func TestDecoderReadsWhatItDoesNotKnow(t *testing.T) {
	var d decoder
	steps := hear(t, &d, `{"candidates":[{"content":{"parts":[{"executableCode":{"code":"1"}},{"codeExecutionResult":{"output":"1"}},{"brandNew":{}},{"text":"One."}]},"finishReason":"STOP"}]}`)
	if len(steps) != 4 || !steps[0].Content || !steps[2].Content || steps[0].Kind != "" || steps[3].Text != "One." || steps[3].Finish != router.FinishStop {
		t.Errorf("%+v", steps)
	}
	d = decoder{turn: &turn{}}
	hear(t, &d, `{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f"}}]},"finishReason":"STOP"}]}`)
	if d.Turn() != nil {
		t.Error("a turn without a seal need not be kept")
	}
}

func TestDecoderFails(t *testing.T) {
	for frame, class := range map[string]router.Class{
		`{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL","finishMessage":"bad"}]}`:               router.ClassServerError,
		`{"candidates":[{"finishReason":"UNEXPECTED_TOOL_CALL"}]}`:                                        router.ClassServerError,
		`{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}`:                                  router.ClassOverloaded,
		`{"error":{"code":400,"status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}`:     router.ClassCredential,
		`{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"You exceeded your spend limit."}}`: router.ClassCredential,
		`{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","details":[{"retryDelay":"34s"}]}}`:           router.ClassRateLimited,
	} {
		var d decoder
		steps, err := d.Frame([]byte(frame), nil)
		e, ok := err.(*router.UpstreamError)
		if !ok || e.Class != class || len(steps) > 0 {
			t.Errorf("%s: %v %+v", frame, err, steps)
		}
	}
}

func TestBlockedPrompt(t *testing.T) {
	var d decoder
	steps, err := d.Body([]byte(`{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"usageMetadata":{"promptTokenCount":7,"totalTokenCount":7}}`), nil)
	if err != nil || len(steps) != 1 || steps[0].Finish != router.FinishFiltered || steps[0].Native != "PROHIBITED_CONTENT" || !d.Whole() {
		t.Errorf("%+v %v", steps, err)
	}
	if u, final := d.Usage(); u != (ledger.Usage{Input: 7}) || !final {
		t.Errorf("%+v", u)
	}
}

func TestMeasure(t *testing.T) {
	var m measure
	steps, err := m.Body([]byte(`{"totalTokens":31,"promptTokensDetails":[{"modality":"TEXT","tokenCount":31}]}`), nil)
	if u, final := m.Usage(); err != nil || steps[0].Tokens != 31 || !steps[0].Content || steps[0].Finish != router.FinishStop || !m.Whole() || !final || u != (ledger.Usage{}) {
		t.Errorf("%+v %v", steps, err)
	}
	m = measure{wanted: 2}
	steps, err = m.Body([]byte(`{"embeddings":[{"values":[0.25,-1]},{"values":[3]}]}`), nil)
	if _, final := m.Usage(); err != nil || final || len(steps) != 2 || steps[0].Vector[1] != -1 || steps[1].Index != 1 || steps[1].Finish != router.FinishStop {
		t.Errorf("%+v %v", steps, err)
	}
	for _, bad := range []string{`[]`, `["1"]`, `[1e39]`, `null`} {
		m = measure{wanted: 2}
		if _, err = m.Body([]byte(`{"embeddings":[{"values":[0.25]},{"values":`+bad+`}]}`), nil); err == nil {
			t.Errorf("%s is taken for a vector", bad)
		}
	}
	m = measure{wanted: 1}
	steps, err = m.Body([]byte(`{"embedding":{"values":[1]},"usageMetadata":{"promptTokenCount":4}}`), nil)
	if u, final := m.Usage(); err != nil || !final || u != (ledger.Usage{Input: 4}) || len(steps) != 1 {
		t.Errorf("%+v %v", steps, err)
	}
	for _, tt := range []struct {
		wanted int
		body   string
	}{
		{0, `{}`}, {1, `{}`}, {0, `{"embedding":{"values":[1]}}`}, {1, `{"totalTokens":3}`},
		{2, `{"embeddings":[{"values":[1]}]}`}, {2, `{"embeddings":[` + strings.Repeat("0,", 1<<16) + `0]}`},
	} {
		m := measure{wanted: tt.wanted}
		if steps, err := m.Body([]byte(tt.body), nil); err == nil || cap(steps) > 16 {
			t.Errorf("%.40s is no answer to %d texts: %d steps", tt.body, tt.wanted, len(steps))
		}
	}
}
