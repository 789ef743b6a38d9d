package router_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/router"
)

// What is in memory of an org's answers is bounded, be it that its upstream sends much before any content, much at once, or a
// translated answer that goes on and on; ordinary answers find room all the same, and so do those of other orgs. It ends no other leg
// and opens no breaker, and everything is given back.
func TestRoomOfAnswers(t *testing.T) {
	const mebi = 1 << 20
	pad := strings.Repeat("x", mebi)
	luna, claude := "openai/gpt-6-luna", haiku
	end := `data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}` + "\n\ndata: [DONE]\n\n"
	text := func(s string) string {
		return fmt.Sprintf(`data: {"id":"c","choices":[{"index":0,"delta":{"content":%q}}]}`+"\n\n", s)
	}
	messages := func(deltas string) string {
		return "data: " + `{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"x","content":[],"usage":{"input_tokens":1,"output_tokens":1}}}` + "\n\n" +
			"data: " + `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}` + "\n\n" + deltas +
			"data: " + `{"type":"content_block_stop","index":0}` + "\n\n" + "data: " + `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}}` + "\n\n" +
			"data: " + `{"type":"message_stop"}` + "\n\n"
	}
	delta := fmt.Sprintf("data: "+`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":%q}}`+"\n\n", pad[:mebi/4])
	for _, tt := range []struct {
		name, model, provider, answer string
		stream, fits, begun           bool
	}{
		{"much before content", luna, "openai", strings.Repeat(`data: {"id":"c","pad":"`+pad+`","choices":[]}`+"\n\n", 4) + text("hi") + end, true, false, false},
		{"much at once", luna, "openai", text(strings.Repeat(pad, 4)) + end, true, false, false},
		{"much in the end", luna, "openai", text("hi") + strings.Replace(end, "data: [", strings.Repeat(`data: {"id":"c","pad":"`+pad+`","choices":[]}`+"\n\n", 4)+"data: [", 1), true, false, true},
		{"a whole answer", luna, "openai", `{"id":"c","pad":"` + strings.Repeat(pad, 4) + `","choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}]}`, false, false, false},
		{"translated", claude, "anthropic", messages(strings.Repeat(delta, 16)), true, false, true},
		{"a long stream that its caller takes", luna, "openai", strings.Repeat(text(strings.Repeat("x", mebi/2)), 16) + end, true, true, true},
		{"an ordinary answer", luna, "openai", text("hi") + end, true, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t)
			n.open("greedy", "teams")
			n.open("other", "teams")
			n.upstream(tt.provider, func(w http.ResponseWriter, r *http.Request) {
				if w.Header().Set("Content-Type", "text/event-stream"); !tt.stream {
					w.Header().Set("Content-Type", "application/json")
				}
				fmt.Fprint(w, tt.answer)
			})
			const taken = router.MaxOrgRoom - 2*mebi
			if !n.d.Occupy("greedy", taken) {
				t.Fatal("an org has less than its share")
			}
			more := fmt.Sprintf(`,"stream":%v,"max_completion_tokens":300`, tt.stream)
			for range 4 {
				a := n.ask(t.Context(), "greedy", tt.model, "hi", more)
				switch f := a.failure; {
				case tt.fits:
					if f != nil || !a.whole() {
						t.Fatalf("%+v, %d bytes", f, a.body.Len())
					}
				case tt.begun:
					if f != nil || a.whole() || !strings.Contains(a.text(), "as many bytes of answers as it may") {
						t.Fatalf("%+v, %.2000s", f, a.text()[max(0, a.body.Len()-1000):])
					}
				case f == nil || f.Status != http.StatusServiceUnavailable || f.Code != "not_ready" || f.RetryAfter == 0 || a.started:
					t.Fatalf("%+v, %d bytes", f, a.body.Len())
				}
				if n.d.Occupied() != taken || n.holds() != 0 {
					t.Fatalf("%d bytes are not given back, %d holds are open", n.d.Occupied()-taken, n.holds())
				}
			}
			if a := n.ask(t.Context(), "other", tt.model, "hi", more); a.failure != nil || tt.stream && !a.whole() {
				t.Errorf("another org: %+v", a.failure)
			}
			leg := ledger.Choice{Model: tt.model, Credential: n.pool[tt.provider], Kind: ledger.Platform}
			if n.d.Health.Open(leg, n.d.Now()) {
				t.Error("a breaker is open")
			}
		})
	}
}
