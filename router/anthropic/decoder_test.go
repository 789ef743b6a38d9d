package anthropic

import (
	"bytes"
	"encoding/json"
	"testing"

	"waybill/ledger"
	"waybill/router"
)

func TestOddUsage(t *testing.T) {
	for body, want := range map[string]ledger.Usage{
		// Without the split by lifetime, all is short-lived.
		`{"input_tokens":5,"cache_creation_input_tokens":300,"output_tokens":7}`: {Input: 5, CacheWrite: 300, Output: 7},
		// The split never exceeds the total.
		`{"input_tokens":5,"cache_creation_input_tokens":300,"cache_creation":{"ephemeral_1h_input_tokens":900},"output_tokens":7}`: {Input: 5, CacheWriteLong: 300, Output: 7},
		`{"input_tokens":-5,"cache_read_input_tokens":null,"output_tokens":0}`:                                                      {},
		// Shortening the conversation is billed, and is in none of the other figures; all other iterations are.
		`{"input_tokens":5,"cache_read_input_tokens":20,"output_tokens":7,"iterations":[{"type":"message","input_tokens":2,"output_tokens":3},
		  {"type":"compaction","input_tokens":1000,"cache_read_input_tokens":30,"cache_creation_input_tokens":40,"cache_creation":{"ephemeral_1h_input_tokens":10},"output_tokens":100},
		  {"type":"compaction","input_tokens":2000,"output_tokens":200},{"type":"message","input_tokens":3,"output_tokens":4}, null]}`: {Input: 3005, CacheRead: 50, CacheWrite: 30, CacheWriteLong: 10, Output: 307},
		// Who was asked for advice is not in the figures around it.
		`{"input_tokens":412,"output_tokens":531,"iterations":[{"type":"message","input_tokens":412,"output_tokens":89},
		  {"type":"advisor_message","model":"claude-opus-4-8","input_tokens":823,"output_tokens":1612},{"type":"message","input_tokens":0,"output_tokens":442}]}`: {Input: 1235, Output: 2143},
	} {
		var d decoder
		if _, err := d.Body([]byte(`{"type":"message","content":[],"stop_reason":"end_turn","usage":`+body+`}`), nil); err != nil {
			t.Fatal(err)
		}
		if u, final := d.Usage(); u != want || !final {
			t.Errorf("%s: %+v, want %+v", body, u, want)
		}
	}
}

// A report that does not say what was put out is not one to bill by.
func TestNoUsage(t *testing.T) {
	for _, body := range []string{`{}`, `null`, `{"input_tokens":5}`, `{"input_tokens":5,"output_tokens":"7"}`} {
		var d decoder
		if _, err := d.Body([]byte(`{"type":"message","content":[],"stop_reason":"end_turn","usage":`+body+`}`), nil); err != nil {
			t.Fatal(err)
		}
		if u, final := d.Usage(); final || !d.Whole() {
			t.Errorf("%s: %+v %t", body, u, final)
		}
	}
}

// Of a stream the last report counts, that of iterations too.
func TestCompactionInAStream(t *testing.T) {
	var d decoder
	for _, data := range []string{
		`{"type":"message_start","message":{"usage":{"input_tokens":9,"output_tokens":1,"iterations":[{"type":"compaction","input_tokens":50,"output_tokens":5}]}}}`,
		`{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":8,"iterations":[{"type":"compaction","input_tokens":60,"output_tokens":6}]}}`,
	} {
		if _, err := d.Frame([]byte(data), nil); err != nil {
			t.Fatal(err)
		}
	}
	if u, final := d.Usage(); u != (ledger.Usage{Input: 69, Output: 14}) || !final {
		t.Errorf("%+v %t", u, final)
	}
}

func TestStopReasons(t *testing.T) {
	for native, want := range map[string]router.Finish{
		"end_turn": router.FinishStop, "stop_sequence": router.FinishStop, "max_tokens": router.FinishLength,
		"model_context_window_exceeded": router.FinishLength, "tool_use": router.FinishTool, "refusal": router.FinishFiltered,
		"pause_turn": router.FinishLength, "brand_new": router.FinishStop,
	} {
		var d decoder
		steps, err := d.Frame([]byte(`{"type":"message_delta","delta":{"stop_reason":"`+native+`"},"usage":{"output_tokens":1}}`), nil)
		if err != nil || steps[0].Finish != want || steps[0].Native != native {
			t.Errorf("%s: %+v %v", native, steps, err)
		}
	}
}

// The usage that came before the stop reason is not the final one.
func TestUsageOfACutAnswer(t *testing.T) {
	var d decoder
	d.Frame([]byte(`{"type":"message_start","message":{"usage":{"input_tokens":9,"output_tokens":1}}}`), nil)
	if u, final := d.Usage(); final || u != (ledger.Usage{Input: 9, Output: 1}) {
		t.Errorf("%+v %t", u, final)
	}
	if d.Frame([]byte(`{"type":"message_stop"}`), nil); d.Whole() {
		t.Error("whole without a stop reason")
	}
}

func FuzzDecoder(f *testing.F) {
	f.Add([]byte("event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":1}}}\n\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":2}}\n\ndata: {\"type\":\"message_stop\"}\n\n"))
	f.Add([]byte(`{"type":"message","content":[{"type":"text","text":"a"}],"stop_reason":"refusal","usage":{}}`))
	f.Add([]byte(long))
	f.Fuzz(func(t *testing.T, in []byte) {
		d := decoder{turn: &turn{}}
		stopped := false
		frames := router.NewFrameReader(bytes.NewReader(in))
		for {
			frame, err := frames.Next()
			if err != nil {
				break
			}
			steps, err := d.Frame(frame.Data, nil)
			for _, c := range steps {
				stopped = stopped || c.Finish != ""
				if c.Kind == router.KindCall && c.Call >= d.calls {
					t.Fatalf("%+v is of no call", c)
				}
			}
			if err != nil {
				break
			}
		}
		if d.Whole() && !stopped {
			t.Fatal("whole without a stop reason")
		}
		if turn := d.Turn(); turn != nil && !json.Valid(turn) {
			t.Fatalf("%s", turn)
		}
		if u, _ := d.Usage(); u != u.Clamped() {
			t.Fatalf("%+v", u)
		}
		var unary decoder
		if steps, err := unary.Body(in, nil); err == nil && unary.Whole() && steps[len(steps)-1].Finish == "" {
			t.Fatalf("whole without a stop reason: %+v", steps)
		}
	})
}
