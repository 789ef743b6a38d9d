package anthropic

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	sdk "github.com/anthropics/anthropic-sdk-go"

	"waybill/ledger"
	"waybill/router"
)

var (
	top   = router.Head{Request: "req_1", Model: "openai/gpt-6-luna", Created: 1764000000, Input: 77}
	usage = ledger.Usage{Input: 412, CacheRead: 9000, CacheWrite: 1000, CacheWriteLong: 2000, Output: 250, Reasoning: 180}
)

func writer(thoughts bool) router.Writer {
	return Inbound{}.Writer(&router.Request{Thoughts: thoughts}, top, ledger.DialectOpenAIChat)
}

func stream(w router.Writer, u ledger.Usage, steps ...router.Chunk) string {
	var b strings.Builder
	for _, c := range steps {
		b.Write(w.Chunk(c))
	}
	b.Write(w.End(u))
	return b.String()
}

// accumulate reads a stream as the official client does.
func accumulate(t *testing.T, s string) sdk.Message {
	t.Helper()
	var m sdk.Message
	frames := router.NewFrameReader(strings.NewReader(s))
	for {
		f, err := frames.Next()
		if err != nil {
			return m
		}
		var e sdk.MessageStreamEventUnion
		if err := json.Unmarshal(f.Data, &e); err != nil || e.Type != f.Event {
			t.Fatalf("%s: %v", f.Raw, err)
		}
		if err := m.Accumulate(e); err != nil {
			t.Fatalf("%s: %v", f.Raw, err)
		}
	}
}

func call(n int, id, name, args string) router.Chunk {
	return router.Chunk{Kind: router.KindCall, Call: n, CallID: id, Name: name, Text: args, Content: true}
}

func says(kind router.Kind, s string) router.Chunk {
	return router.Chunk{Kind: kind, Text: s, Content: true}
}

func TestRenderingText(t *testing.T) {
	got := stream(writer(false), usage, router.Chunk{ID: "c", Model: "m"}, router.Chunk{Content: true}, says(router.KindReasoning, "hm"),
		says(router.KindText, "Hi \"é\""), says(router.KindText, "\n"), router.Chunk{Finish: router.FinishStop, Native: "stop"}, router.Chunk{Report: true}, router.Chunk{End: true})
	// 1000 + 2000 = 3000 written to the cache.
	want := `event: message_start
data: {"type":"message_start","message":{"id":"msg_req_1","type":"message","role":"assistant","model":"openai/gpt-6-luna","content":[],"stop_reason":null,"stop_sequence":null,"stop_details":null,"usage":{"input_tokens":77,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":0,"output_tokens_details":{"thinking_tokens":0}}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi \"é\""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\n"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null,"stop_details":null},"usage":{"input_tokens":412,"cache_creation_input_tokens":3000,"cache_read_input_tokens":9000,"cache_creation":{"ephemeral_5m_input_tokens":1000,"ephemeral_1h_input_tokens":2000},"output_tokens":250,"output_tokens_details":{"thinking_tokens":180}}}

event: message_stop
data: {"type":"message_stop"}

`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// summary tells a message as the official client sees it.
func summary(m sdk.Message) string {
	s := fmt.Sprintf("%s %s %s %q:", m.ID, m.Model, m.StopReason, m.StopSequence)
	for _, b := range m.Content {
		switch b.Type {
		case "tool_use":
			s += fmt.Sprintf(" %s(%s %s)", b.Name, b.ID, b.Input)
		case "thinking":
			s += fmt.Sprintf(" <%s %t>", b.Thinking, router.IsMinted(b.Signature))
		default:
			s += fmt.Sprintf(" %q", b.Text)
		}
	}
	u := m.Usage
	return s + fmt.Sprintf(" %d+%d+%d %d(%d) %s", u.InputTokens, u.CacheReadInputTokens, u.CacheCreationInputTokens, u.OutputTokens, u.OutputTokensDetails.ThinkingTokens, m.StopDetails.Explanation)
}

func TestRenderingAsTheClientSeesIt(t *testing.T) {
	const begins, ends = "msg_req_1 openai/gpt-6-luna ", " 412+9000+3000 250(180) "
	finish := func(f router.Finish) router.Chunk { return router.Chunk{Finish: f} }
	for _, tt := range []struct {
		name     string
		thoughts bool
		steps    []router.Chunk
		want     string
	}{
		{"thoughts", true, []router.Chunk{says(router.KindReasoning, "a"), says(router.KindReasoning, "b"), says(router.KindText, "c"), finish(router.FinishLength)},
			`max_tokens "": <ab true> "c"` + ends},
		{"thoughts alone", true, []router.Chunk{says(router.KindReasoning, "a"), finish(router.FinishLength)}, `max_tokens "": <a true>` + ends},
		{"tools", false, []router.Chunk{says(router.KindText, "c"), call(0, "i", "n", ""), says(router.KindCall, `{"a":`), says(router.KindCall, `1}`), call(1, "j", "o", "{}"), finish(router.FinishTool)},
			`tool_use "": "c" n(i {"a":1}) o(j {})` + ends},
		{"mixed", false, []router.Chunk{call(0, "i", "n", ""), call(1, "j", "o", `{"b":`), {Kind: router.KindCall, Call: 0, Text: `{"a":1}`, Content: true},
			{Kind: router.KindCall, Call: 1, Text: `2}`, Content: true}, says(router.KindText, "c"), finish(router.FinishTool)}, `tool_use "": n(i {"a":1}) o(j {"b":2}) "c"` + ends},
		{"stop string", false, []router.Chunk{says(router.KindText, "c"), {Finish: router.FinishStop, Stopped: "END"}}, `stop_sequence "END": "c"` + ends},
		{"refusal", false, []router.Chunk{says(router.KindRefusal, "I won't"), finish(router.FinishStop)}, `refusal "": "I won't"` + ends + "I won't"},
		{"blocked", false, []router.Chunk{finish(router.FinishFiltered)}, `refusal "":` + ends},
		{"another answer", false, []router.Chunk{{Index: 1, Kind: router.KindText, Text: "x", Content: true}, says(router.KindText, "c"), finish(router.FinishStop)}, `end_turn "": "c"` + ends},
	} {
		if got := summary(accumulate(t, stream(writer(tt.thoughts), usage, tt.steps...))); got != begins+tt.want {
			t.Errorf("%s, streamed:\ngot  %s\nwant %s", tt.name, got, begins+tt.want)
		}
		body := writer(tt.thoughts).Body(tt.steps, usage)
		var m sdk.Message
		if err := json.Unmarshal(body, &m); err != nil || summary(m) != begins+tt.want {
			t.Errorf("%s, whole: %v\ngot  %s\nwant %s", tt.name, err, summary(m), begins+tt.want)
		}
		if c := m.Usage.CacheCreation; c.Ephemeral5mInputTokens != 1000 || c.Ephemeral1hInputTokens != 2000 {
			t.Errorf("%s: %+v", tt.name, c)
		}
	}
	body := writer(false).Body([]router.Chunk{call(0, "i", "n", `{"cut`), call(1, "j", "o", ``), {Finish: router.FinishLength}}, usage)
	var m sdk.Message
	if err := json.Unmarshal(body, &m); err != nil || summary(m) != begins+`max_tokens "": n(i {"arguments":"{\"cut"}) o(j {})`+ends {
		t.Errorf("%v %s", err, body)
	}
}

// A block's end comes before the next one's beginning, whatever the order of what came: clients rely on it.
func TestRenderingOneBlockAtATime(t *testing.T) {
	got := stream(writer(true), usage, call(0, "i", "n", ""), call(1, "j", "o", `{}`), router.Chunk{Kind: router.KindCall, Call: 0, Text: `{}`}, says(router.KindReasoning, "x"), router.Chunk{Finish: router.FinishTool})
	open := -1
	for _, line := range strings.Split(got, "\n") {
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		var e struct {
			Type  string
			Index int
		}
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			t.Fatal(err)
		}
		switch e.Type {
		case "content_block_start":
			if open >= 0 {
				t.Fatalf("block %d begins inside block %d", e.Index, open)
			}
			open = e.Index
		case "content_block_delta":
			if e.Index != open {
				t.Fatalf("a piece of block %d inside block %d", e.Index, open)
			}
		case "content_block_stop":
			open = -1
		}
	}
}

func TestRelay(t *testing.T) {
	w := Inbound{}.Writer(&router.Request{}, top, ledger.DialectAnthropicMessages)
	if got := stream(w, usage, router.Chunk{Frame: []byte("event: ping\r\ndata: {}\r\n\r\n")}, router.Chunk{Content: true}, router.Chunk{Frame: []byte(": x\n\n")},
		router.Chunk{End: true, Frame: []byte("the mark\n\n")}); got != "event: ping\r\ndata: {}\r\n\r\n: x\n\nthe mark\n\n" {
		t.Errorf("%q", got)
	}
	if got := w.Body([]router.Chunk{{}, {Frame: []byte("{ }")}}, usage); string(got) != "{ }" {
		t.Errorf("%s", got)
	}
}

func TestCountBody(t *testing.T) {
	w := Inbound{}.Writer(&router.Request{Endpoint: router.EndpointCount}, top, ledger.DialectGemini)
	if got := w.Body([]router.Chunk{{Tokens: 4321, Content: true, Finish: router.FinishStop}}, ledger.Usage{}); string(got) != `{"input_tokens":4321}` {
		t.Errorf("%s", got)
	}
}

func TestFailure(t *testing.T) {
	for status, kind := range map[int]string{
		400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error", 404: "not_found_error",
		409: "invalid_request_error", 413: "request_too_large", 422: "invalid_request_error", 429: "rate_limit_error", 499: "api_error",
		500: "api_error", 502: "api_error", 503: "overloaded_error", 504: "timeout_error", 529: "overloaded_error",
	} {
		f := router.Failure{Status: status, Code: "c", Message: "m \"x\"", Request: "req_1"}
		want := `{"type":"error","error":{"type":"` + kind + `","message":"m \"x\"","code":"c"},"request_id":"req_1"}`
		if got := string(Inbound{}.Failure(f)); got != want {
			t.Errorf("%d: %s", status, got)
		}
		for _, w := range []router.Writer{writer(false), &relay{}} {
			if got := string(w.Error(f)); got != "event: error\ndata: "+want+"\n\n" {
				t.Errorf("%d: %s", status, got)
			}
		}
	}
	if got := (Inbound{}).Failure(router.Failure{Status: 400, Field: "stop_sequences"}); !bytes.Contains(got, []byte(`"field":"stop_sequences"`)) {
		t.Errorf("%s", got)
	}
}

func FuzzRendering(f *testing.F) {
	f.Add([]byte("tcarfTe"), true)
	f.Add([]byte("ccaabtb"), false)
	f.Fuzz(func(t *testing.T, script []byte, thoughts bool) {
		var steps []router.Chunk
		calls := 0
		for i, b := range script {
			text := fmt.Sprint(i)
			switch b % 6 {
			case 0:
				steps = append(steps, says(router.KindText, text))
			case 1:
				steps = append(steps, says(router.KindReasoning, text))
			case 2:
				steps = append(steps, call(calls, "id"+text, "n", ""))
				calls++
			case 3:
				if calls > 0 {
					steps = append(steps, router.Chunk{Kind: router.KindCall, Call: int(b) % calls, Text: text, Content: true})
				}
			case 4:
				steps = append(steps, says(router.KindRefusal, text))
			default:
				steps = append(steps, router.Chunk{Finish: router.FinishStop})
			}
		}
		streamed := accumulate(t, stream(writer(thoughts), usage, steps...))
		var whole sdk.Message
		body := writer(thoughts).Body(steps, usage)
		if err := json.Unmarshal(body, &whole); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		if len(whole.Content) != len(streamed.Content) || whole.StopReason != streamed.StopReason {
			t.Fatalf("%s\n%s", summary(whole), summary(streamed))
		}
		for i := range whole.Content {
			a, b := whole.Content[i], streamed.Content[i]
			if a.Type != b.Type || a.Text != b.Text || a.Thinking != b.Thinking || a.ID != b.ID {
				t.Fatalf("%s\n%s", summary(whole), summary(streamed))
			}
		}
	})
}
