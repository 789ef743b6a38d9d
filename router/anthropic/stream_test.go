package anthropic

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/ledger/secret"
	"waybill/router"
)

// answered makes a call to an upstream that says one thing, and reads all of the answer.
func answered(t *testing.T, c router.Call, kind, answer string) (steps []router.Chunk, reply router.Reply, sent *http.Request, body string, err error) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		sent, body = r, string(b)
		w.Header().Set("Content-Type", kind)
		io.WriteString(w, answer)
	}))
	defer s.Close()
	c.BaseURL, c.Client, c.Secret, c.Attempt = s.URL, s.Client(), secret.New("secret"), "req_1.1"
	if reply, err = (Upstream{}).Open(context.Background(), c); err != nil {
		return nil, nil, sent, body, err
	}
	t.Cleanup(func() { reply.Close() })
	for {
		step, err := reply.Next()
		if err != nil {
			if err == io.EOF {
				err = nil
			}
			return steps, reply, sent, body, err
		}
		steps = append(steps, step)
	}
}

// tell writes steps down, without their frames.
func tell(steps []router.Chunk) string {
	var b strings.Builder
	for _, c := range steps {
		var words []string
		add := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }
		if c.Kind == router.KindCall {
			add("call %d", c.Call)
		} else if c.Kind != "" {
			add("%s", c.Kind)
		}
		for _, w := range []struct{ name, value string }{{"", c.Text}, {"id ", c.CallID}, {"name ", c.Name}, {"seal ", c.Signature},
			{"finish ", string(c.Finish)}, {"native ", c.Native}, {"stopped ", c.Stopped}, {"answer ", c.ID}, {"model ", c.Model}, {"tier ", c.Tier}} {
			if w.value != "" {
				add("%s%q", w.name, w.value)
			}
		}
		if c.Content {
			add("!")
		}
		if c.End {
			add("end")
		}
		b.WriteString(strings.Join(words, " ") + "\n")
	}
	return b.String()
}

// A stream as Anthropic's documentation has it, with thinking, two calls of which one has no arguments, a tool of
// the provider's own, pings, an unknown event, an unknown delta and odd line ends.
const long = "event: message_start\r\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-haiku-5-5\",\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":10,\"cache_creation_input_tokens\":300,\"cache_read_input_tokens\":40,\"cache_creation\":{\"ephemeral_5m_input_tokens\":100,\"ephemeral_1h_input_tokens\":200},\"output_tokens\":1,\"service_tier\":\"standard\"}}}\r\n\r\n" +
	`event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}

event: ping
data: {"type":"ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Let me"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":" see"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"ZGF0YQ"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: content_block_start
data: {"type":"content_block_start","index":2,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"I look <é>"}}

event: content_block_stop
data: {"type":"content_block_stop","index":2}

event: content_block_start
data: {"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"toolu_1","name":"weather","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{\"city\":"}}

event: content_block_delta
data: {"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":" \"Bonn\"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":3}

event: content_block_start
data: {"type":"content_block_start","index":4,"content_block":{"type":"tool_use","id":"toolu_2","name":"time","input":{}}}

event: content_block_stop
data: {"type":"content_block_stop","index":4}

event: brand_new
data: {"type":"brand_new","x":1}

: a comment

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":null},"usage":{"output_tokens":50}}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":10,"cache_creation_input_tokens":300,"cache_read_input_tokens":40,"output_tokens":89,"output_tokens_details":{"thinking_tokens":30}}}

event: message_stop
data: {"type":"message_stop"}

`

const longSteps = `answer "msg_1" model "claude-haiku-5-5" tier "standard"
reasoning

reasoning "Let me" !
reasoning " see" !
!
reasoning seal "c2ln"
reasoning seal "ZGF0YQ" !

text
text "I look <é>" !

call 0 id "toolu_1" name "weather" !
call 0 !
call 0 "{\"city\":" !
call 0 " \"Bonn\"}" !

call 1 id "toolu_2" name "time" !
call 1 "{}" !



finish "tool_calls" native "tool_use"
end
`

var counted = ledger.Usage{Input: 10, CacheRead: 40, CacheWrite: 100, CacheWriteLong: 200, Output: 89, Reasoning: 30}

func TestStreamRelayed(t *testing.T) {
	body := `{"model":"claude-haiku-5-5","max_tokens":100,"stream":true,"messages":[{"role":"user","content":"Hi"}]}`
	r := decode(t, body)
	r.Header = http.Header{"Anthropic-Beta": {"a,b", "c"}}
	model := ledger.Model{ID: "claude-haiku-5-5", Name: "anthropic/claude-haiku-5-5", Features: able}
	steps, reply, req, sent, err := answered(t, router.Call{Request: r, Model: model, OutputCap: 100}, "text/event-stream", long)
	if err != nil {
		t.Fatal(err)
	}
	if got := tell(steps); got != longSteps {
		t.Errorf("got\n%s\nwant\n%s", got, longSteps)
	}
	if u, final := reply.Usage(); u != counted || !final {
		t.Errorf("%+v %t", u, final)
	}
	if reply.Turn() != nil {
		t.Error("a caller of this dialect brings its turns back itself")
	}
	var out bytes.Buffer
	w := Inbound{}.Writer(r, top, ledger.DialectAnthropicMessages)
	for _, c := range steps {
		out.Write(w.Chunk(c))
	}
	out.Write(w.End(counted))
	if out.String() != long {
		t.Errorf("got\n%s", out.String())
	}
	if sent != body || req.URL.Path != "/v1/messages" || req.Header.Get("X-Api-Key") != "secret" || req.Header.Get("Authorization") != "" ||
		req.Header.Get("Anthropic-Version") != version || strings.Join(req.Header["Anthropic-Beta"], ";") != "a,b;c" {
		t.Errorf("%s %v", sent, req.Header)
	}
}

// Clients of the version that has bearers get their version and a bearer upstream.
func TestBearer(t *testing.T) {
	r := decode(t, `{"model":"m","max_tokens":100,"messages":[{"role":"user","content":"Hi"}]}`)
	r.Header = http.Header{"Anthropic-Version": {"2026-10-21"}}
	_, _, req, _, err := answered(t, router.Call{Request: r}, "application/json", `{"type":"message","content":[],"stop_reason":"end_turn","usage":{}}`)
	if err != nil || req.Header.Get("X-Api-Key") != "" || req.Header.Get("Authorization") != "Bearer secret" || req.Header.Get("Anthropic-Version") != "2026-10-21" {
		t.Errorf("%v %v", err, req.Header)
	}
}

func TestUnaryRelayed(t *testing.T) {
	const answer = ` {"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[{"type":"thinking","thinking":"a","signature":"c2ln"},
		{"type":"text","text":"b"},{"type":"server_tool_use","id":"s","name":"web_search","input":{}},{"type":"tool_use","id":"t","name":"n","input":{"a": 1}},{"type":"tool_use","id":"u","name":"n"}],
		"stop_reason":"stop_sequence","stop_sequence":"END","x":[1,2],"usage":{"input_tokens":3,"output_tokens":4,"speed":"fast","service_tier":"standard"}}`
	r := decode(t, `{"model":"m","max_tokens":100,"messages":[{"role":"user","content":"Hi"}]}`)
	steps, reply, _, _, err := answered(t, router.Call{Request: r, OutputCap: 100}, "application/json", answer)
	want := `reasoning "a" seal "c2ln" answer "msg_1" model "claude" !
text "b" !
!
call 0 "{\"a\": 1}" id "t" name "n" !
call 1 "{}" id "u" name "n" !
finish "stop" native "stop_sequence" stopped "END" tier "fast"
`
	if err != nil || tell(steps) != want {
		t.Errorf("%v got\n%s\nwant\n%s", err, tell(steps), want)
	}
	if u, final := reply.Usage(); u != (ledger.Usage{Input: 3, Output: 4}) || !final {
		t.Errorf("%+v", u)
	}
	if got := (Inbound{}).Writer(r, top, ledger.DialectAnthropicMessages).Body(steps, ledger.Usage{}); string(got) != answer {
		t.Errorf("%s", got)
	}
}

func TestRefusalDetails(t *testing.T) {
	const details = `"stop_reason":"refusal","stop_sequence":null,"stop_details":{"type":"refusal","category":"cyber","explanation":"No."}`
	var d decoder
	steps, err := d.Frame([]byte(`{"type":"message_delta","delta":{`+details+`},"usage":{"output_tokens":1}}`), nil)
	const want = "refusal \"No.\" !\nfinish \"content_filter\" native \"refusal\"\n"
	if err != nil || tell(steps) != want {
		t.Errorf("%v %s", err, tell(steps))
	}
	steps, err = new(decoder).Body([]byte(`{"type":"message","content":[],`+details+`,"usage":{"output_tokens":1}}`), nil)
	if err != nil || tell(steps) != want {
		t.Errorf("%v %s", err, tell(steps))
	}
}

// An answer that only looks like one.
func TestNoAnswer(t *testing.T) {
	r := decode(t, `{"model":"m","max_tokens":100,"stream":true,"messages":[{"role":"user","content":"Hi"}]}`)
	for answer, want := range map[string]router.Class{
		strings.TrimSuffix(long, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"):                                           router.ClassConnection,
		"data: {\"type\":\"message_start\",\"message\":{}}\n\ndata: {\"type\":\"message_stop\"}\n\n":                                     router.ClassConnection,
		"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n":              router.ClassOverloaded,
		"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"your API usage limits\"}}\n\n":   router.ClassCredential,
		"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"prompt is too long\"}}\n\n": router.ClassBadRequest,
	} {
		_, _, _, _, err := answered(t, router.Call{Request: r}, "text/event-stream", answer)
		if e, ok := err.(*router.UpstreamError); !ok || e.Class != want {
			t.Errorf("%.80s: %v, want %s", answer, err, want)
		}
	}
}

func TestCount(t *testing.T) {
	const talk = `"messages":[{"role":"user","content":"Hi"}]}`
	r, err := Inbound{}.Decode(router.Incoming{Endpoint: router.EndpointCount, Body: []byte(`{"model":"fast",` + talk)})
	if err != nil {
		t.Fatal(err)
	}
	model := ledger.Model{ID: "claude", Name: "anthropic/claude", Features: able}
	steps, reply, req, sent, err := answered(t, router.Call{Request: r, Model: model, OutputCap: 9}, "application/json", `{"input_tokens": 2095 }`)
	if err != nil || req.URL.Path != "/v1/messages/count_tokens" || sent != `{"model":"claude",`+talk {
		t.Fatalf("%v %s %s", err, req.URL, sent)
	}
	if c := steps[0]; len(steps) != 1 || c.Tokens != 2095 || !c.Content || c.Finish != router.FinishStop {
		t.Errorf("%+v", steps)
	}
	if u, final := reply.Usage(); u != (ledger.Usage{}) || !final {
		t.Errorf("%+v", u)
	}
	if got := (Inbound{}).Writer(r, top, ledger.DialectAnthropicMessages).Body(steps, ledger.Usage{}); string(got) != `{"input_tokens": 2095 }` {
		t.Errorf("%s", got)
	}
	foreign := &router.Request{Endpoint: router.EndpointCount, Dialect: ledger.DialectGemini, Temperature: ptr(0.5), Stop: []string{"x"}, EndUser: "u", Stream: true,
		System: []router.Part{router.Text("Be brief.")}, Messages: []router.Message{text(router.RoleUser, "Hi")}}
	_, _, req, sent, err = answered(t, router.Call{Request: foreign, Model: model, OutputCap: 9}, "application/json", `{"input_tokens":1}`)
	const want = `{"model":"claude","system":[{"type":"text","text":"Be brief."}],"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]}]}`
	if err != nil || req.URL.Path != "/v1/messages/count_tokens" || sent != want {
		t.Errorf("%v %s", err, sent)
	}
	for _, answer := range []string{`{}`, `{"input_tokens":"2"}`, `[]`} {
		if _, _, _, _, err := answered(t, router.Call{Request: r, Model: model}, "application/json", answer); err == nil {
			t.Errorf("%s is no count", answer)
		}
	}
	_, err = Upstream{}.Open(context.Background(), router.Call{Request: &router.Request{Endpoint: router.EndpointEmbed}, Model: ledger.Model{Provider: "anthropic"}})
	if _, ok := err.(*router.FieldError); !ok {
		t.Error(err)
	}
}

func TestDropped(t *testing.T) {
	r := decode(t, `{"model":"m","max_tokens":100,"messages":[{"role":"user","content":"Hi"}],"service_tier":"auto"}`)
	c := router.Call{Request: r, Model: ledger.Model{ID: "m", Provider: "like"}, Quirks: router.Quirks{Drop: []string{"service_tier"}}}
	_, reply, _, sent, err := answered(t, c, "application/json", `{"type":"message","content":[],"stop_reason":"end_turn","usage":{}}`)
	if err != nil || strings.Contains(sent, "service_tier") || fmt.Sprint(reply.Warnings()) != "[service_tier: left out, like refuses it]" {
		t.Errorf("%v %s %q", err, sent, reply.Warnings())
	}
}
