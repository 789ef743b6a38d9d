package responses

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/ledger/secret"
	"waybill/router"
)

// frames are events as OpenAI sends them; payloads have their type first.
func frames(payloads ...string) string {
	var b strings.Builder
	for _, p := range payloads {
		kind := strings.Split(p, `"`)[3]
		b.WriteString("event: " + kind + "\ndata: " + p + "\n\n")
	}
	return b.String()
}

// answer is the upstream's answer to one call, and what it was sent.
func answer(t *testing.T, c router.Call, status int, body string) (steps []router.Chunk, reply router.Reply, sent *http.Request, err error) {
	t.Helper()
	kind := "application/json"
	if c.Request.Stream {
		kind = "text/event-stream"
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent = r
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	c.Client, c.BaseURL, c.Secret = server.Client(), server.URL, secret.New("sk-secret")
	reply, err = Upstream{}.Open(context.Background(), c)
	if err != nil {
		return nil, nil, sent, err
	}
	t.Cleanup(func() { reply.Close() })
	for {
		step, err := reply.Next()
		if err == io.EOF {
			return steps, reply, sent, nil
		}
		if err != nil {
			return steps, reply, sent, err
		}
		steps = append(steps, step)
	}
}

func streaming() router.Call {
	return translated(router.Request{Stream: true, Tools: []router.Tool{{Name: "look"}}, Messages: []router.Message{said(router.RoleUser, router.Text("a"))}})
}

const (
	opened  = `{"type":"response.created","response":{"id":"resp_1","object":"response","model":"gpt-6.2-sol-2026-10-01","status":"in_progress","service_tier":"auto","output":[]},"sequence_number":0}`
	thought = `{"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"One."},{"type":"summary_text","text":"Two."}],"encrypted_content":"SEAL-whole"}`
	spoken  = `{"id":"msg_1","type":"message","status":"completed","phase":"commentary","role":"assistant","content":[{"type":"output_text","text":"Hi <é>","annotations":[],"logprobs":[]},{"type":"refusal","refusal":"Not that."}]}`
	called  = `{"id":"fc_1","type":"function_call","status":"completed","arguments":"{\"at\":1}","call_id":"call_1","name":"look"}`
	empty   = `{"id":"fc_2","type":"function_call","status":"completed","arguments":"","call_id":"call_2","name":"stop"}`
	// Of 1200 tokens of input 300 were read from the cache and 500 were written to it, 200 of these for 12 hours: 1200 - 300 - 500 = 400 are plain.
	counted1 = `{"input_tokens":1200,"input_tokens_details":{"cached_tokens":300,"cache_write_tokens":500,"cache_write_tokens_details":{"ttl_30m_tokens":300,"ttl_12h_tokens":200}},"output_tokens":70,"output_tokens_details":{"reasoning_tokens":40},"total_tokens":1270}`
	ending   = `{"id":"resp_1","object":"response","model":"gpt-6.2-sol-2026-10-01","status":"completed","service_tier":"priority","error":null,"incomplete_details":null,"output":[` + thought + `,` + spoken + `,` + called + `,` + empty + `],"usage":` + counted1 + `}`
)

var used = ledger.Usage{Input: 400, CacheRead: 300, CacheWrite: 300, CacheWriteLong: 200, Output: 70, Reasoning: 40}

var streamed = []string{
	opened,
	`{"type":"response.in_progress","response":{"id":"resp_1"},"sequence_number":1}`,
	`{"type":"response.output_item.added","output_index":0,"item":{"id":"rs_1","type":"reasoning","summary":[],"encrypted_content":"SEAL-part"},"sequence_number":2}`,
	`{"type":"response.reasoning_summary_part.added","item_id":"rs_1","output_index":0,"summary_index":0,"part":{"type":"summary_text","text":""},"sequence_number":3}`,
	`{"type":"response.reasoning_summary_text.delta","item_id":"rs_1","output_index":0,"summary_index":0,"delta":"On","sequence_number":4}`,
	`{"type":"response.reasoning_summary_text.delta","item_id":"rs_1","output_index":0,"summary_index":0,"delta":"e.","sequence_number":5}`,
	`{"type":"response.reasoning_summary_text.done","item_id":"rs_1","output_index":0,"summary_index":0,"text":"One.","sequence_number":6}`,
	`{"type":"response.reasoning_summary_text.delta","item_id":"rs_1","output_index":0,"summary_index":1,"delta":"Two.","sequence_number":7}`,
	`{"type":"response.output_item.done","output_index":0,"item":` + thought + `,"sequence_number":8}`,
	`{"type":"response.output_item.added","output_index":1,"item":{"id":"msg_1","type":"message","status":"in_progress","phase":"commentary","role":"assistant","content":[]},"sequence_number":9}`,
	`{"type":"response.content_part.added","item_id":"msg_1","output_index":1,"content_index":0,"part":{"type":"output_text","text":"","annotations":[]},"sequence_number":10}`,
	`{"type":"response.output_text.delta","item_id":"msg_1","output_index":1,"content_index":0,"delta":"Hi <é>","obfuscation":"zz","sequence_number":11}`,
	`{"type":"response.output_text.done","item_id":"msg_1","output_index":1,"content_index":0,"text":"Hi <é>","sequence_number":12}`,
	`{"type":"response.refusal.delta","item_id":"msg_1","output_index":1,"content_index":1,"delta":"Not that.","sequence_number":13}`,
	`{"type":"response.output_item.done","output_index":1,"item":` + spoken + `,"sequence_number":14}`,
	`{"type":"response.output_item.added","output_index":2,"item":{"id":"fc_1","type":"function_call","status":"in_progress","arguments":"","call_id":"call_1","name":"look"},"sequence_number":15}`,
	`{"type":"response.function_call_arguments.delta","item_id":"fc_1","output_index":2,"delta":"{\"at\"","sequence_number":16}`,
	`{"type":"response.function_call_arguments.delta","item_id":"fc_1","output_index":2,"delta":":1}","sequence_number":17}`,
	`{"type":"response.function_call_arguments.done","item_id":"fc_1","output_index":2,"arguments":"{\"at\":1}","sequence_number":18}`,
	`{"type":"response.output_item.done","output_index":2,"item":` + called + `,"sequence_number":19}`,
	`{"type":"response.output_item.added","output_index":3,"item":{"id":"fc_2","type":"function_call","status":"in_progress","arguments":"","call_id":"call_2","name":"stop"},"sequence_number":20}`,
	`{"type":"response.output_item.done","output_index":3,"item":` + empty + `,"sequence_number":21}`,
	`{"type":"response.completed","response":` + ending + `,"sequence_number":22}`,
}

// told is what steps add, without their bytes and the steps that add nothing.
func told(steps []router.Chunk) (out []router.Chunk) {
	for _, c := range steps {
		if c.Frame = nil; !reflect.DeepEqual(c, router.Chunk{}) {
			out = append(out, c)
		}
	}
	return out
}

func TestStream(t *testing.T) {
	body := frames(streamed...)
	steps, reply, sent, err := answer(t, streaming(), 200, body)
	if err != nil {
		t.Fatal(err)
	}
	if sent.URL.Path != "/responses" || sent.Header.Get("Authorization") != "Bearer sk-secret" || sent.Header.Get("X-Client-Request-Id") != "req_1.1" {
		t.Errorf("%s %v", sent.URL, sent.Header)
	}
	want := []router.Chunk{
		{ID: "resp_1", Model: "gpt-6.2-sol-2026-10-01"},
		{Kind: router.KindReasoning, Text: "On", Content: true}, {Kind: router.KindReasoning, Text: "e.", Content: true},
		{Kind: router.KindReasoning, Text: "\n\nTwo.", Content: true}, {Kind: router.KindReasoning, Signature: "SEAL-whole"},
		{Kind: router.KindText, Text: "Hi <é>", Content: true}, {Kind: router.KindRefusal, Text: "Not that.", Content: true},
		{Kind: router.KindCall, CallID: "call_1", Name: "look", Content: true},
		{Kind: router.KindCall, Text: `{"at"`, Content: true}, {Kind: router.KindCall, Text: `:1}`, Content: true},
		{Kind: router.KindCall, Call: 1, CallID: "call_2", Name: "stop", Content: true}, {Kind: router.KindCall, Call: 1, Text: `{}`, Content: true},
		{Finish: router.FinishTool, Native: "completed", Tier: "priority"},
	}
	if got := told(steps); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if u, final := reply.Usage(); u != used || !final {
		t.Errorf("%+v %t", u, final)
	}
	if got, want := string(reply.Turn()), "["+strings.Join([]string{thought, spoken, called, empty}, ",")+"]"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	var forwarded strings.Builder
	w := Inbound{}.Writer(&router.Request{}, head, ledger.DialectOpenAIResponses)
	for _, c := range steps {
		forwarded.Write(w.Chunk(c))
	}
	forwarded.Write(w.End(used))
	if forwarded.String() != body {
		t.Errorf("forwarded %s", forwarded.String())
	}
}

func TestUnary(t *testing.T) {
	c := streaming()
	c.Request.Stream = false
	steps, reply, _, err := answer(t, c, 200, ending)
	want := []router.Chunk{
		{ID: "resp_1", Model: "gpt-6.2-sol-2026-10-01", Kind: router.KindReasoning, Text: "One.\n\nTwo.", Signature: "SEAL-whole", Content: true},
		{Kind: router.KindText, Text: "Hi <é>", Content: true}, {Kind: router.KindRefusal, Text: "Not that.", Content: true},
		{Kind: router.KindCall, CallID: "call_1", Name: "look", Text: `{"at":1}`, Content: true},
		{Kind: router.KindCall, Call: 1, CallID: "call_2", Name: "stop", Text: `{}`, Content: true},
		{Finish: router.FinishTool, Native: "completed", Tier: "priority"},
	}
	if got := told(steps); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%v\ngot  %+v\nwant %+v", err, got, want)
	}
	if u, final := reply.Usage(); u != used || !final {
		t.Errorf("%+v %t", u, final)
	}
	if got := (Inbound{}).Writer(&router.Request{}, head, ledger.DialectOpenAIResponses).Body(steps, used); string(got) != ending {
		t.Errorf("forwarded %s", got)
	}
}

// A caller of this dialect brings everything back itself.
func TestNoTurn(t *testing.T) {
	r := decode(t, `{"model":"nova","input":"a"}`)
	_, reply, _, err := answer(t, router.Call{Request: r, Model: capable}, 200, ending)
	if err != nil || reply.Turn() != nil {
		t.Errorf("%v %s", err, reply.Turn())
	}
	c := streaming()
	c.Request.Stream = false
	_, reply, _, err = answer(t, c, 200, strings.Replace(ending, "SEAL-whole", "", 1))
	if err != nil || reply.Turn() != nil {
		t.Errorf("%v %s", err, reply.Turn())
	}
}

// Reasoning that is not sealed refers to what nobody has stored, and stays out of what goes back.
func TestTurnWithoutUnsealed(t *testing.T) {
	c := streaming()
	c.Request.Stream = false
	_, reply, _, err := answer(t, c, 200, `{"status":"completed","output":[{"type":"reasoning","id":"rs_0","summary":[]},`+thought+`,`+called+`]}`)
	if err != nil || string(reply.Turn()) != "["+thought+","+called+"]" {
		t.Errorf("%v %s", err, reply.Turn())
	}
}

func TestFinish(t *testing.T) {
	for response, want := range map[string]router.Chunk{
		`"status":"completed"`: {Finish: router.FinishStop, Native: "completed"},
		`"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}`: {Finish: router.FinishLength, Native: "max_output_tokens"},
		`"status":"incomplete","incomplete_details":{"reason":"content_filter"}`:    {Finish: router.FinishFiltered, Native: "content_filter"},
		`"status":"incomplete","incomplete_details":{"reason":"steered"}`:           {Finish: router.FinishLength, Native: "steered"},
		`"status":"incomplete"`: {Finish: router.FinishLength, Native: "incomplete"},
	} {
		d := decoder{}
		steps, err := d.Body([]byte(`{"output":[],`+response+`}`), nil)
		if err != nil || !d.Whole() || !reflect.DeepEqual(steps, []router.Chunk{want}) {
			t.Errorf("%s: %+v %v", response, steps, err)
		}
		if u, final := d.Usage(); final {
			t.Errorf("%+v is final, and nobody reported it", u)
		}
	}
}

// Servers that send no deltas, or no items before the end, lose nothing.
func TestSparseStreams(t *testing.T) {
	want := []router.Chunk{{Kind: router.KindText, Text: "Hi <é>", Content: true}, {Kind: router.KindRefusal, Text: "Not that.", Content: true},
		{Kind: router.KindCall, CallID: "call_1", Name: "look", Text: `{"at":1}`, Content: true}, {Finish: router.FinishTool, Native: "completed"}}
	end := `{"type":"response.completed","response":{"status":"completed","output":[` + spoken + `,` + called + `]}}`
	for _, events := range [][]string{
		{end},
		{`{"type":"response.output_item.done","output_index":0,"item":` + spoken + `}`, `{"type":"response.output_item.done","output_index":1,"item":` + called + `}`, end},
		{`{"type":"response.function_call_arguments.delta","output_index":1,"delta":"{\"at\":1}"}`, end},
	} {
		steps, _, _, err := answer(t, streaming(), 200, frames(events...))
		if got := told(steps); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v %+v", err, got)
		}
	}
}

func TestWhatIsContent(t *testing.T) {
	for event, want := range map[string]bool{
		`{"type":"keepalive","sequence_number":3}`:                                                                          false,
		`{"type":"response.steer.pending"}`:                                                                                 false,
		`{"type":"response.output_text.delta","output_index":0,"delta":""}`:                                                 false,
		`{"type":"response.content_part.added","output_index":0,"item_id":"a"}`:                                             false,
		`{"type":"response.output_item.added","output_index":0,"item":{"type":"web_search_call"}}`:                          true,
		`{"type":"response.output_item.done","output_index":0,"item":{"type":"new"}}`:                                       true,
		`{"type":"response.image_generation_call.partial_image","output_index":0,"item_id":"a","partial_image_b64":"AAAA"}`: true,
		`{"type":"response.output_text.annotation.added","output_index":0}`:                                                 true,
	} {
		d := decoder{}
		steps, err := d.Frame([]byte(event), nil)
		if err != nil || len(steps) > 1 || slices.ContainsFunc(steps, func(c router.Chunk) bool { return c.Content }) != want {
			t.Errorf("%s: %+v %v", event, steps, err)
		}
	}
}

func TestFailures(t *testing.T) {
	unary, stream := streaming(), streaming()
	unary.Request.Stream = false
	for _, tt := range []struct {
		call   router.Call
		status int
		body   string
		class  router.Class
		code   string
	}{
		{unary, 401, `{"error":{"message":"Bad key sk-secret.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`, router.ClassCredential, "invalid_api_key"},
		{unary, 429, `{"error":{"message":"m","type":"insufficient_quota","code":"credit_balance_exhausted"}}`, router.ClassCredential, "credit_balance_exhausted"},
		{unary, 429, `{"error":{"message":"m","type":"tokens","code":"rate_limit_exceeded"}}`, router.ClassRateLimited, "rate_limit_exceeded"},
		{unary, 400, `{"error":{"message":"m","type":"invalid_request_error","param":"input","code":null}}`, router.ClassBadRequest, "invalid_request_error"},
		{unary, 404, `{"error":{"message":"m","type":"invalid_request_error","code":null}}`, router.ClassNotFound, "invalid_request_error"},
		{unary, 503, `{"error":{"message":"m","code":"server_is_overloaded"}}`, router.ClassOverloaded, "server_is_overloaded"},
		{unary, 200, `{"object":"response","status":"failed","error":{"code":"server_error","message":"m"},"output":[]}`, router.ClassServerError, "server_error"},
		{unary, 200, `{"object":"response","status":"failed","error":{"code":"rate_limit_exceeded","message":"m"},"output":[]}`, router.ClassRateLimited, "rate_limit_exceeded"},
		{unary, 200, `{"object":"response","status":"failed","error":{"code":"image_too_large","message":"m"},"output":[]}`, router.ClassBadRequest, "image_too_large"},
		{unary, 200, `{"object":"response","status":"failed","error":null,"output":[]}`, router.ClassServerError, ""},
		{unary, 200, `{"object":"response","status":"queued","error":null,"output":[]}`, router.ClassServerError, ""},
		{unary, 200, `{"id":"a"}`, router.ClassServerError, ""},
		{stream, 200, frames(opened, `{"type":"error","code":"server_is_overloaded","message":"m","param":null,"sequence_number":1}`), router.ClassOverloaded, "server_is_overloaded"},
		{stream, 200, frames(opened, `{"type":"error","sequence_number":1,"error":{"type":"insufficient_quota","code":"insufficient_quota","message":"m"}}`), router.ClassCredential, "insufficient_quota"},
		{stream, 200, frames(opened, `{"type":"response.failed","response":{"status":"failed","error":{"code":"invalid_prompt","message":"m"}}}`), router.ClassBadRequest, "invalid_prompt"},
		{stream, 200, "data: {\"error\":{\"message\":\"m\",\"code\":\"slow_down\"}}\n\n", router.ClassRateLimited, "slow_down"},
		{stream, 200, frames(streamed[:12]...), router.ClassConnection, ""},
		{stream, 200, "data: {\n\n", router.ClassServerError, ""},
	} {
		_, _, _, err := answer(t, tt.call, tt.status, tt.body)
		e, ok := errors.AsType[*router.UpstreamError](err)
		if !ok || e.Class != tt.class || e.Code != tt.code || strings.Contains(e.Message, "sk-secret") {
			t.Errorf("%s: %v", tt.body, err)
		}
	}
}

func TestOddUsage(t *testing.T) {
	for body, want := range map[string]ledger.Usage{
		// Written tokens that are not split are the short-lived ones.
		`{"input_tokens":100,"input_tokens_details":{"cached_tokens":20,"cache_write_tokens":30},"output_tokens":5}`: {Input: 50, CacheRead: 20, CacheWrite: 30, Output: 5},
		// They are unadjusted: they may exceed what is left of the input, never push it below zero.
		`{"input_tokens":100,"input_tokens_details":{"cached_tokens":80,"cache_write_tokens":40},"output_tokens":5}`: {CacheRead: 80, CacheWrite: 40, Output: 5},
		// What the split does not account for was written all the same: 40 - 10 = 30.
		`{"input_tokens":100,"input_tokens_details":{"cache_write_tokens":40,"cache_write_tokens_details":{"ttl_12h_tokens":10}}}`: {Input: 60, CacheWrite: 30, CacheWriteLong: 10},
		`{"input_tokens":-100,"output_tokens":-5}`:                                                           {},
		`{"input_tokens":9223372036854775807,"input_tokens_details":{"cached_tokens":-9223372036854775808}}`: {Input: 1 << 40},
		`{"input_tokens":1,"output_tokens":5,"output_tokens_details":{"reasoning_tokens":9}}`:                {Input: 1, Output: 5, Reasoning: 5},
	} {
		var d decoder
		if _, err := d.Body([]byte(`{"output":[],"status":"completed","usage":`+body+`}`), nil); err != nil {
			t.Fatal(err)
		}
		if u, final := d.Usage(); u != want || !final {
			t.Errorf("%s: %+v, want %+v", body, u, want)
		}
	}
}

func TestBounds(t *testing.T) {
	var d decoder
	many := `{"type":"new"}` + strings.Repeat(`,{"type":"new"}`, maxItems)
	if _, err := d.Body([]byte(`{"output":[`+many+`]}`), nil); err != errTooManyItems {
		t.Error(err)
	}
	d = decoder{}
	parts := `{}` + strings.Repeat(`,{}`, maxSteps)
	if _, err := d.Body([]byte(`{"output":[{"type":"message","content":[`+parts+`]}]}`), nil); err != errTooManySteps {
		t.Error(err)
	}
}

func FuzzDecoder(f *testing.F) {
	f.Add([]byte(frames(streamed...)))
	f.Add([]byte(ending))
	f.Add([]byte(frames(`{"type":"error","code":1,"message":{}}`)))
	f.Add([]byte(frames(`{"type":"response.output_item.done","output_index":-1,"item":[]}`, `{"type":"response.completed"}`)))
	f.Fuzz(func(t *testing.T, data []byte) {
		var d decoder
		if steps, err := d.Body(data, nil); err == nil && (len(steps) == 0 || !d.Whole()) {
			t.Fatal("a body without an end")
		}
		d = decoder{}
		r := router.NewFrameReader(strings.NewReader(string(data)))
		w := newRendering(&router.Request{Thoughts: true}, head)
		for {
			frame, err := r.Next()
			if err != nil {
				break
			}
			steps, err := d.Frame(frame.Data, nil)
			for _, c := range steps {
				written(w, w.Chunk(c))
			}
			if err != nil {
				break
			}
		}
		d.Usage()
		d.Turn()
		written(w, w.End(ledger.Usage{}))
	})
}
