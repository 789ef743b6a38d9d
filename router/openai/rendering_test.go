package openai

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"waybill/ledger"
	"waybill/router"
)

// calls is an answer with a text and two calls in turns, as another dialect's upstream gives it.
var calls = []router.Chunk{
	{Kind: router.KindReasoning, Text: "hidden", Content: true},
	{Kind: router.KindText, Text: "Let me see.", Content: true},
	{Kind: router.KindCall, Call: 0, CallID: "toolu_1", Name: "weather", Content: true},
	{Kind: router.KindCall, Call: 0, Text: `{"city":`, Content: true},
	{Kind: router.KindCall, Call: 1, CallID: "toolu_2", Name: "time", Text: "{}", Content: true},
	{Kind: router.KindCall, Call: 0, Text: `"Rome"}`, Signature: "sealed", Content: true},
	{Finish: router.FinishTool, Native: "tool_use"},
}

func TestRenderingCalls(t *testing.T) {
	w := Inbound{}.Writer(&router.Request{}, head, ledger.DialectAnthropicMessages)
	got := deltas(write(w, calls...))
	want := `{"role":"assistant","content":""} null
{"content":"Let me see."} null
{"tool_calls":[{"index":0,"id":"toolu_1","type":"function","function":{"name":"weather","arguments":""}}]} null
{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":"}}]} null
{"tool_calls":[{"index":1,"id":"toolu_2","type":"function","function":{"name":"time","arguments":""}}]} null
{"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]} null
{"tool_calls":[{"index":0,"function":{"arguments":"\"Rome\"}"}}]} null
{} "tool_calls"
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	w = Inbound{}.Writer(&router.Request{}, head, ledger.DialectAnthropicMessages)
	body := string(w.Body(calls, usage))
	if want := `"message":{"role":"assistant","content":"Let me see.","refusal":null,"tool_calls":[` +
		`{"id":"toolu_1","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Rome\"}"}},` +
		`{"id":"toolu_2","type":"function","function":{"name":"time","arguments":"{}"}}]},"logprobs":null,"finish_reason":"tool_calls"}`; !strings.Contains(body, want) {
		t.Errorf("%s", body)
	}
	body = string(w.Body(append(calls[2:6:6], calls[6]), usage))
	if !strings.Contains(body, `"content":null,"refusal":null,"tool_calls":[`) {
		t.Errorf("%s", body)
	}
}

// deltas is what the chunks of a stream add, a line each.
func deltas(stream string) string {
	var b strings.Builder
	for frame := range strings.SplitSeq(stream, "\n\n") {
		if _, rest, ok := strings.Cut(frame, `"delta":`); ok {
			delta, finish, _ := strings.Cut(rest, `,"finish_reason":`)
			finish, _, _ = strings.Cut(finish, "}]")
			b.WriteString(delta + " " + finish + "\n")
		}
	}
	return b.String()
}

// A caller whose tools are in the deprecated form gets its call in that form, and no further one is lost.
func TestRenderingFunctionCall(t *testing.T) {
	r := &router.Request{Tools: []router.Tool{{Name: "weather", Field: "functions[0]"}}}
	got := deltas(write(Inbound{}.Writer(r, head, ledger.DialectGemini), calls[2:]...))
	want := `{"role":"assistant","content":null} null
{"function_call":{"name":"weather","arguments":""}} null
{"function_call":{"arguments":"{\"city\":"}} null
{"tool_calls":[{"index":0,"id":"toolu_2","type":"function","function":{"name":"time","arguments":""}}]} null
{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]} null
{"function_call":{"arguments":"\"Rome\"}"}} null
{} "function_call"
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	body := string(Inbound{}.Writer(r, head, ledger.DialectGemini).Body(calls[2:], usage))
	if want := `"content":null,"refusal":null,"function_call":{"name":"weather","arguments":"{\"city\":\"Rome\"}"},` +
		`"tool_calls":[{"id":"toolu_2","type":"function","function":{"name":"time","arguments":"{}"}}]},"logprobs":null,"finish_reason":"function_call"}`; !strings.Contains(body, want) {
		t.Errorf("%s", body)
	}
}

func TestRenderingRefusal(t *testing.T) {
	steps := []router.Chunk{{Kind: router.KindRefusal, Text: "No \"way\".", Content: true}, {Finish: router.FinishFiltered}}
	w := Inbound{}.Writer(&router.Request{}, head, ledger.DialectOpenAIResponses)
	if got, want := deltas(write(w, steps...)), "{\"role\":\"assistant\",\"content\":null} null\n{\"refusal\":\"No \\\"way\\\".\"} null\n{} \"content_filter\"\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := string(w.Body(steps, usage)); !strings.Contains(got, `"content":null,"refusal":"No \"way\"."}`) {
		t.Errorf("%s", got)
	}
}

// OpenAI's own client reads what is rendered.
func TestRenderingForTheSDK(t *testing.T) {
	r := &router.Request{Stream: true, IncludeUsage: true}
	w := Inbound{}.Writer(r, head, ledger.DialectAnthropicMessages)
	stream := write(w, calls...) + string(w.End(usage))
	unary := Inbound{}.Writer(r, head, ledger.DialectAnthropicMessages).Body(calls, usage)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Header.Get("Accept") == "text/event-stream" || r.URL.Query().Has("stream") {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = w.Write([]byte(stream)) // the client says what it missed
			return
		}
		_, _ = w.Write(unary)
	}))
	defer s.Close()
	client := openai.NewClient(option.WithBaseURL(s.URL), option.WithAPIKey("k"), option.WithMaxRetries(0))
	params := openai.ChatCompletionNewParams{Model: "m", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("a")}}
	whole, err := client.Chat.Completions.New(context.Background(), params)
	if err != nil {
		t.Fatal(err)
	}
	var acc openai.ChatCompletionAccumulator
	chunks := client.Chat.Completions.NewStreaming(context.Background(), params, option.WithQuery("stream", ""))
	for chunks.Next() {
		if !acc.AddChunk(chunks.Current()) {
			t.Fatal("a chunk does not fit the ones before it")
		}
	}
	if err := chunks.Err(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []openai.ChatCompletion{*whole, acc.ChatCompletion} {
		m := c.Choices[0].Message
		if m.Content != "Let me see." || c.Choices[0].FinishReason != "tool_calls" || len(m.ToolCalls) != 2 || c.ID != "chatcmpl-req_1" || c.Model != head.Model {
			t.Fatalf("%+v", c)
		}
		if f := m.ToolCalls[0]; f.ID != "toolu_1" || f.Function.Name != "weather" || f.Function.Arguments != `{"city":"Rome"}` {
			t.Errorf("%+v", f)
		}
		if f := m.ToolCalls[1]; f.ID != "toolu_2" || f.Function.Name != "time" || f.Function.Arguments != `{}` {
			t.Errorf("%+v", f)
		}
		if u := c.Usage; u.PromptTokens != 12412 || u.CompletionTokens != 250 {
			t.Errorf("%+v", u)
		}
	}
}

// The answers of a body come in their order, in whatever order their steps came.
func TestRenderingBodyInOrder(t *testing.T) {
	got := string(Inbound{}.Writer(&router.Request{}, head, ledger.DialectGemini).Body([]router.Chunk{
		{Index: 1, Kind: router.KindText, Text: "b", Content: true, Finish: router.FinishStop},
		{Index: 0, Kind: router.KindText, Text: "a", Content: true},
		{Index: 0, Finish: router.FinishLength},
	}, usage))
	if first, second := strings.Index(got, `{"index":0,"message":{"role":"assistant","content":"a"`), strings.Index(got, `{"index":1,"message":{"role":"assistant","content":"b"`); first < 0 || second < first {
		t.Errorf("%s", got)
	}
}
