package gemini

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/router"
)

func TestOddUsage(t *testing.T) {
	for body, want := range map[string]ledger.Usage{
		`{"promptTokenCount":10,"cachedContentTokenCount":40,"candidatesTokenCount":5}`:                     {CacheRead: 40, Output: 5},
		`{"promptTokenCount":10,"thoughtsTokenCount":8}`:                                                    {Input: 10, Output: 8, Reasoning: 8},
		`{"promptTokenCount":-1,"candidatesTokenCount":-5,"thoughtsTokenCount":-8}`:                         {},
		`{"promptTokenCount":10,"toolUsePromptTokenCount":7,"candidatesTokenCount":1,"totalTokenCount":18}`: {Input: 17, Output: 1},
	} {
		var d decoder
		if _, err := d.Body([]byte(`{"candidates":[{"finishReason":"STOP"}],"usageMetadata":`+body+`}`), nil); err != nil {
			t.Fatal(err)
		}
		if u, final := d.Usage(); u != want || !final {
			t.Errorf("%s: %+v, want %+v", body, u, want)
		}
	}
}

// A report of no count is none, and one that later content has overtaken is not final.
func TestNoUsage(t *testing.T) {
	const said, done = `"candidates":[{"content":{"parts":[{"text":"a"}]}}]`, `"candidates":[{"content":{"parts":[{"text":"b"}]},"finishReason":"STOP"}]`
	const some = `"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":1,"totalTokenCount":4}`
	for _, tt := range []struct {
		frames []string
		used   ledger.Usage
		final  bool
	}{
		{[]string{`{` + done + `,"usageMetadata":{"trafficType":"ON_DEMAND"}}`}, ledger.Usage{}, false},
		{[]string{`{` + said + `,` + some + `}`, `{` + done + `}`}, ledger.Usage{Input: 3, Output: 1}, false},
		{[]string{`{` + said + `}`, `{` + done + `,` + some + `}`}, ledger.Usage{Input: 3, Output: 1}, true},
		{[]string{`{` + said + `}`, `{` + done + `}`, `{` + some + `}`}, ledger.Usage{Input: 3, Output: 1}, true},
		{[]string{`{` + done + `,` + some + `}`, `{"usageMetadata":{"trafficType":"ON_DEMAND"}}`}, ledger.Usage{Input: 3, Output: 1}, true},
	} {
		var d decoder
		hear(t, &d, tt.frames...)
		if u, final := d.Usage(); u != tt.used || final != tt.final || !d.Whole() {
			t.Errorf("%q: %+v %t", tt.frames, u, final)
		}
	}
}

func TestFinishReasons(t *testing.T) {
	for native, want := range map[string]router.Finish{
		"STOP": router.FinishStop, "MAX_TOKENS": router.FinishLength, "CONTINUATION": router.FinishLength,
		"SAFETY": router.FinishFiltered, "RECITATION": router.FinishFiltered, "LANGUAGE": router.FinishFiltered,
		"BLOCKLIST": router.FinishFiltered, "PROHIBITED_CONTENT": router.FinishFiltered, "SPII": router.FinishFiltered,
		"OTHER": router.FinishFiltered, "IMAGE_SAFETY": router.FinishFiltered, "NO_IMAGE": router.FinishFiltered,
		"BRAND_NEW": router.FinishStop, "FINISH_REASON_UNSPECIFIED": "",
	} {
		var d decoder
		steps, err := d.Frame([]byte(`{"candidates":[{"finishReason":"`+native+`"}]}`), nil)
		if err != nil || steps[0].Finish != want || steps[0].Native != native || d.Whole() != (want != "") {
			t.Errorf("%s: %+v %v", native, steps, err)
		}
	}
}

// A step after the finish reason does not open the answer again; some models send one that only counts.
func TestStepsAfterTheFinish(t *testing.T) {
	var d decoder
	for _, frame := range []string{
		`{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}]}`,
		`{"candidates":[{"content":{"parts":[]}}],"usageMetadata":{"promptTokenCount":2}}`,
		`{"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":4}}`, `{"usageMetadata":{}}`, `{}`,
	} {
		if _, err := d.Frame([]byte(frame), nil); err != nil || !d.Whole() {
			t.Fatalf("%s: %v", frame, err)
		}
	}
	if u, final := d.Usage(); !final || u != (ledger.Usage{Input: 3, Output: 4}) {
		t.Errorf("%+v %t", u, final)
	}
}

func TestWhatIsContent(t *testing.T) {
	for part, want := range map[string]struct {
		content bool
		text    string
	}{
		`{"text":""}`: {}, `{"text":"","thoughtSignature":"x"}`: {}, `{"thoughtSignature":"x"}`: {},
		`{"text":"a"}`: {true, "a"}, `{"text":"a","thought":true}`: {true, "a"}, `{"functionCall":{"name":"f"}}`: {true, "{}"},
		`{"inlineData":{"mimeType":"image/png","data":"x"}}`: {true, ""}, `{"brandNew":1}`: {true, ""},
	} {
		var d decoder
		steps, err := d.Frame([]byte(`{"candidates":[{"content":{"parts":[`+part+`]}}]}`), nil)
		if err != nil || steps[0].Content != want.content || steps[0].Text != want.text {
			t.Errorf("%s: %+v %v", part, steps, err)
		}
	}
}

// An image cannot be shown to a caller of another dialect, and an answer without it would look finished.
func TestMediaForOthers(t *testing.T) {
	const answer = `{"candidates":[{"content":{"parts":[{"text":"Here:"},{"inlineData":{"mimeType":"image/png","data":"iVBO"}}]},"finishReason":"STOP"}]}`
	for _, read := range []func(*decoder, []byte, []router.Chunk) ([]router.Chunk, error){(*decoder).Frame, (*decoder).Body} {
		if steps, err := read(&decoder{}, []byte(answer), nil); err != nil || len(steps) != 2 {
			t.Errorf("a caller of this dialect: %+v %v", steps, err)
		}
		steps, err := read(&decoder{foreign: true}, []byte(answer), nil)
		if e, ok := errors.AsType[*router.UpstreamError](err); !ok || e.Class != router.ClassBadRequest || !strings.Contains(e.Message, `"image/png"`) || len(steps) > 0 {
			t.Errorf("%+v %v", steps, err)
		}
	}
}

func FuzzDecoder(f *testing.F) {
	f.Add([]byte("data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"},{\"text\":\"b\",\"thought\":true}]},\"index\":1},{\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":3}}\r\n\r\n"))
	f.Add([]byte(`{"promptFeedback":{"blockReason":"SAFETY"}}`))
	f.Add([]byte(`[{"error":{"code":429,"details":[{"retryDelay":"3s"},{"violations":[{"quotaId":"PerDay"}]}]}}]`))
	f.Fuzz(func(t *testing.T, in []byte) {
		var d decoder
		finished := false
		frames := router.NewFrameReader(bytes.NewReader(in))
		for {
			frame, err := frames.Next()
			if err != nil {
				break
			}
			steps, err := d.Frame(frame.Data, nil)
			if len(steps) > maxSteps {
				t.Fatalf("%d steps", len(steps))
			}
			for _, c := range steps {
				finished = finished || c.Finish != ""
			}
			if err != nil {
				break
			}
		}
		if d.Whole() && !finished {
			t.Fatal("whole without a finish reason")
		}
		if u, _ := d.Usage(); u != u.Clamped() {
			t.Fatalf("%+v", u)
		}
		if doc, err := router.Document(in); err == nil {
			if e := d.Refusal(400, doc); e.Class == "" || e.RetryAfter < 0 {
				t.Fatalf("%+v", e)
			}
		}
	})
}
