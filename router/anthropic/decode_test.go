package anthropic

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/router"
)

func decode(t *testing.T, body string) *router.Request {
	t.Helper()
	r, err := Inbound{}.Decode(router.Incoming{Endpoint: router.EndpointChat, Body: []byte(body)})
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return r
}

const everything = `{"model":"claude-haiku-5-5","max_tokens":1024,"system":[{"type":"text","text":"Be brief.","cache_control":{"type":"ephemeral"}}],
"messages":[
 {"role":"user","content":"Hi"},
 {"role":"assistant","content":[{"type":"thinking","thinking":"Hm","signature":"c2ln"},{"type":"redacted_thinking","data":"ZGF0YQ"},
  {"type":"text","text":"Let me see","citations":null},{"type":"tool_use","id":"toolu_1","name":"weather","input":{"city": "Köln"},"caller":{"type":"direct"}}]},
 {"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","is_error":true,"content":[{"type":"text","text":"no"},
   {"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBO"}}]},
  {"type":"tool_result","tool_use_id":"toolu_2","content":"fine"},
  {"type":"image","source":{"type":"url","url":"https://a/b.png"}},{"type":"image","source":{"type":"file","file_id":"file_1"}},
  {"type":"document","title":"T","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"},"citations":{"enabled":false}},
  {"type":"document","source":{"type":"text","media_type":"text/plain","data":"äh"}},
  {"type":"text","text":"So?"}]},
 {"role":"system","content":"Faster"}],
"tools":[{"name":"weather","description":"d","input_schema":{"type":"object"},"strict":true,"input_examples":[{}]},{"type":"custom","name":"b","input_schema":{}}],
"tool_choice":{"type":"tool","name":"weather","disable_parallel_tool_use":true},
"output_config":{"effort":"high","format":{"type":"json_schema","schema":{"type":"object"}}},
"thinking":{"type":"enabled","budget_tokens":2048},
"stop_sequences":["x","y"],"temperature":1,"top_p":0.5,"top_k":3,"metadata":{"user_id":"u"},"service_tier":"standard_only","speed":"standard",
"stream":true,"container":null,"mcp_servers":[]}`

func TestDecode(t *testing.T) {
	in := router.Incoming{Body: []byte(everything), Header: http.Header{"Anthropic-Version": {"2026-10-21"}, "Anthropic-Beta": {"a", "b,c"}, "X-Other": {"1"}}}
	r, err := Inbound{}.Decode(in)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(r.Header, http.Header{"Anthropic-Version": {"2026-10-21"}, "Anthropic-Beta": {"a", "b,c"}}) {
		t.Errorf("header %v", r.Header)
	}
	yes, budget, k := true, int64(2048), int64(3)
	want := &router.Request{
		Endpoint: router.EndpointChat, Dialect: ledger.DialectAnthropicMessages, Model: "claude-haiku-5-5", OutputCap: 1024,
		System: []router.Part{router.Text("Be brief.")},
		Messages: []router.Message{
			{Role: router.RoleUser, Field: "messages[0]", Parts: []router.Part{router.Text("Hi")}},
			{Role: router.RoleAssistant, Field: "messages[1]", Parts: []router.Part{
				{Kind: router.KindReasoning, Text: "Hm", Signature: "c2ln", Field: "messages[1].content[0]"},
				{Kind: router.KindReasoning, Signature: "ZGF0YQ", Field: "messages[1].content[1]"},
				router.Text("Let me see"),
				{Kind: router.KindCall, ID: "toolu_1", Name: "weather", Text: `{"city": "Köln"}`, Field: "messages[1].content[3]"},
			}},
			{Role: router.RoleUser, Field: "messages[2]", Parts: []router.Part{
				{Kind: router.KindResult, ID: "toolu_1", Failed: true, Field: "messages[2].content[0]", Parts: []router.Part{
					router.Text("no"),
					{Kind: router.KindImage, Media: &router.Media{Type: "image/png", Data: "iVBO"}, Field: "messages[2].content[0].content[1]"},
				}},
				{Kind: router.KindResult, ID: "toolu_2", Field: "messages[2].content[1]", Parts: []router.Part{router.Text("fine")}},
				{Kind: router.KindImage, Media: &router.Media{URL: "https://a/b.png"}, Field: "messages[2].content[2]"},
				{Kind: router.KindImage, Media: &router.Media{File: "file_1"}, Field: "messages[2].content[3]"},
				{Kind: router.KindDocument, Media: &router.Media{Type: "application/pdf", Data: "JVBE", Name: "T"}, Field: "messages[2].content[4]"},
				{Kind: router.KindDocument, Media: &router.Media{Type: "text/plain", Data: "w6Ro"}, Field: "messages[2].content[5]"},
				router.Text("So?"),
			}},
			{Role: router.RoleSystem, Field: "messages[3]", Parts: []router.Part{router.Text("Faster")}},
		},
		Tools: []router.Tool{
			{Name: "weather", Description: "d", Schema: json.RawMessage(`{"type":"object"}`), Strict: &yes, Field: "tools[0]"},
			{Name: "b", Schema: json.RawMessage(`{}`), Field: "tools[1]"},
		},
		ToolChoice: router.ToolChoice{Mode: router.ToolRequired, Names: []string{"weather"}}, Serial: true,
		Format: router.Format{Kind: router.FormatSchema, Schema: json.RawMessage(`{"type":"object"}`)},
		Stream: true, Temperature: ptr(1.0), TopP: ptr(0.5), TopK: &k, Stop: []string{"x", "y"}, EndUser: "u", ServiceTier: "standard_only",
		Effort: "high", Budget: &budget, Thoughts: true,
		Hints: []router.FieldError{
			{Field: "system[0].cache_control", Reason: "steers the provider's prompt cache, never the answer"},
			{Field: "tools[0].input_examples", Reason: "shows the model how to call the tool, which its schema says as well"},
		},
	}
	want.Body, want.Names, want.Header = r.Body, names, r.Header
	raws := 0
	var clear func(parts []router.Part)
	clear = func(parts []router.Part) {
		for i := range parts {
			if (parts[i].Raw != nil) != (parts[i].Kind != router.KindText) {
				t.Errorf("raw of %+v", parts[i])
			}
			parts[i].Raw = nil
			raws++
			clear(parts[i].Parts)
		}
	}
	for _, m := range r.Messages {
		clear(m.Parts)
	}
	if !reflect.DeepEqual(r, want) || raws == 0 {
		got, _ := json.MarshalIndent(r, "", " ")
		wanted, _ := json.MarshalIndent(want, "", " ")
		t.Errorf("got  %s\nwant %s", got, wanted)
	}
}

// What an own-dialect leg forwards and any other must refuse or warn of.
func TestOwnDialectOnly(t *testing.T) {
	const plain = `"model":"m","max_tokens":5,"messages":[{"role":"user","content":"Hi"}]`
	said := func(block string) string {
		return `{"model":"m","max_tokens":5,"messages":[{"role":"user","content":[` + block + `]}]}`
	}
	for _, tt := range []struct{ body, extra, hint string }{
		{`{` + plain + `}`, "", ""},
		{`{` + plain + `,"thinking":{"type":"adaptive","display":"omitted"}}`, "", ""},
		{`{` + plain + `,"container":"c"}`, "container", ""},
		{`{` + plain + `,"mcp_servers":[{"type":"url"}]}`, "mcp_servers", ""},
		{`{` + plain + `,"context_management":{"edits":[]}}`, "context_management", ""},
		{`{` + plain + `,"inference_geo":"us"}`, "inference_geo", ""},
		{`{` + plain + `,"brand_new":1}`, "brand_new", ""},
		{`{` + plain + `,"speed":"fast"}`, "speed", ""},
		{`{` + plain + `,"metadata":{"x":1}}`, "metadata.x", ""},
		{`{` + plain + `,"output_config":{"task_budget":{}}}`, "output_config.task_budget", ""},
		{`{` + plain + `,"output_config":{"format":{"type":"grammar"}}}`, "output_config.format", ""},
		{`{` + plain + `,"thinking":{"type":"brand_new"}}`, "thinking", ""},
		{`{` + plain + `,"thinking":{"type":"between_tools"}}`, "", "thinking.type"},
		{`{` + plain + `,"thinking":{"type":"disabled"},"output_config":{"effort":"low"}}`, "", "output_config.effort"},
		{`{` + plain + `,"thinking":{"type":"adaptive","block_binding":{}}}`, "", "thinking.block_binding"},
		{`{` + plain + `,"cache_control":{"type":"ephemeral"}}`, "", "cache_control"},
		{`{` + plain + `,"tools":[{"type":"web_search_20250305","name":"web_search","max_uses":1}]}`, "tools[0]", ""},
		{`{` + plain + `,"tools":[{"name":"a","input_schema":{},"defer_loading":true}]}`, "tools[0].defer_loading", ""},
		{`{` + plain + `,"tools":[{"name":"a","input_schema":{},"allowed_callers":["code_execution_20260120"]}]}`, "tools[0].allowed_callers", ""},
		{`{` + plain + `,"tools":[{"name":"a","input_schema":{},"allowed_callers":["direct"]}]}`, "", ""},
		{`{"model":"m","max_tokens":0,"messages":[{"role":"user","content":"Hi"}]}`, "max_tokens", ""},
		{said(`{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"1h"}},{"type":"text","text":"b","cache_control":{"type":"ephemeral"}}`), "", "messages[0].content[0].cache_control"},
		{`{` + plain + `,"output_config":{"format":{"type":"json_schema","schema":{},"brand_new":1}}}`, "output_config.format.brand_new", ""},
		{`{` + plain + `,"tool_choice":{"type":"auto","brand_new":1}}`, "tool_choice.brand_new", ""},
		{said(`{"type":"text","text":"a","brand_new":1,"other":null}`), "messages[0].content[0].brand_new", ""},
		{said(`{"type":"tool_result","tool_use_id":"a","brand_new":1}`), "messages[0].content[0].brand_new", ""},
		{said(`{"type":"brand_new","brand_new":1}`), "", ""},
		{said(`{"type":"text","text":"a","citations":[{}]}`), "", "messages[0].content[0].citations"},
		{said(`{"type":"document","source":{"type":"url","url":"u"},"citations":{"enabled":true}}`), "messages[0].content[0].citations", ""},
		{said(`{"type":"document","source":{"type":"url","url":"u"},"context":"c"}`), "messages[0].content[0].context", ""},
	} {
		r := decode(t, tt.body)
		var hints []string
		for _, h := range r.Hints {
			hints = append(hints, h.Field)
		}
		if strings.Join(r.Extra, " ") != tt.extra || strings.Join(hints, " ") != tt.hint {
			t.Errorf("%s: extra %q, hints %q", tt.body, r.Extra, hints)
		}
	}
	r := decode(t, said(`{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{}},{"type":"search_result","source":"s","title":"t","content":[]},{"type":"document","source":{"type":"content","content":"a"}},{"type":"image","source":{"type":"s3","uri":"a"}}`))
	if got := fmt.Sprint(kindsOf(r.Messages[0].Parts)); got != "[server_tool_use search_result document of blocks image from s3]" {
		t.Error(got)
	}
	_, err := router.Translate(router.Call{Request: decode(t, `{`+plain+`,"tools":[{"type":"bash_20250124","name":"bash"}]}`), Model: ledger.Model{Name: "p/m"}})
	if err == nil || err.Error() != "tools[0]: has no counterpart at p/m" {
		t.Error(err)
	}
	if r := decode(t, `{`+plain+`,"speed":"fast","service_tier":"auto"}`); r.ServiceTier != "fast" {
		t.Errorf("fast is priced as a tier, not %q", r.ServiceTier)
	}
	if r := decode(t, `{`+plain+`,"thinking":{"type":"disabled"}}`); r.Effort != "none" || r.Thoughts || r.Name("reasoning_effort") != "thinking" {
		t.Errorf("%q %t", r.Effort, r.Thoughts)
	}
	if r := decode(t, `{`+plain+`,"output_config":{"effort":"low"}}`); r.Name("reasoning_effort") != "output_config.effort" || r.Thoughts {
		t.Errorf("%+v", r)
	}
}

// System text at the head of the conversation comes after that beside it, wherever the body has the two.
func TestLeadingSystem(t *testing.T) {
	const talk, beside = `"messages":[{"role":"system","content":"b"},{"role":"system","content":[{"type":"text","text":"c"}]},{"role":"user","content":"Hi"},{"role":"system","content":"d"}]`, `"system":"a"`
	for _, members := range []string{talk + "," + beside, beside + "," + talk} {
		r := decode(t, `{"model":"m","max_tokens":5,`+members+`}`)
		if want := []router.Part{router.Text("a"), router.Text("b"), router.Text("c")}; !reflect.DeepEqual(r.System, want) || len(r.Messages) != 2 {
			t.Errorf("%+v %+v", r.System, r.Messages)
		}
	}
}

func TestDecodeMalformed(t *testing.T) {
	const plain = `"model":"m","max_tokens":5,"messages":[{"role":"user","content":"Hi"}]`
	said := func(block string) string {
		return `{"model":"m","max_tokens":5,"messages":[{"role":"user","content":[` + block + `]}]}`
	}
	for body, want := range map[string]string{
		``:   "body",
		`[]`: "body",
		`{"max_tokens":5,"messages":[{"role":"user","content":"Hi"}]}`:                  "model",
		`{"model":"m","messages":[{"role":"user","content":"Hi"}]}`:                     "max_tokens",
		`{"model":"m","max_tokens":-1,"messages":[]}`:                                   "max_tokens",
		`{"model":"m","max_tokens":5}`:                                                  "messages",
		`{"model":"m","max_tokens":5,"messages":[]}`:                                    "messages",
		`{` + plain + `,"model":"n"}`:                                                   "model",
		`{` + plain + `,"temperature":1.5}`:                                             "temperature",
		`{` + plain + `,"stop_sequences":"x"}`:                                          "stop_sequences",
		`{` + plain + `,"stop_sequences":[1]}`:                                          "stop_sequences[0]",
		`{` + plain + `,"system":[{"type":"image","source":{"type":"url","url":"u"}}]}`: "system[0].type",
		`{` + plain + `,"thinking":{"type":"enabled"}}`:                                 "thinking.budget_tokens",
		`{` + plain + `,"thinking":true}`:                                               "thinking",
		`{` + plain + `,"metadata":"u"}`:                                                "metadata",
		`{` + plain + `,"output_config":{"format":{"type":"json_schema"}}}`:             "output_config.format.schema",
		`{` + plain + `,"tools":[{"input_schema":{}}]}`:                                 "tools[0].name",
		`{` + plain + `,"tools":[{"name":"a"}]}`:                                        "tools[0].input_schema",
		`{` + plain + `,"tool_choice":"auto"}`:                                          "tool_choice",
		`{` + plain + `,"tool_choice":{"type":"some"}}`:                                 "tool_choice.type",
		`{` + plain + `,"tool_choice":{"type":"tool"}}`:                                 "tool_choice.name",
		said(`"a"`):                                                                   "messages[0].content[0]",
		said(`{"text":"a"}`):                                                          "messages[0].content[0].type",
		said(`{"type":"text"}`):                                                       "messages[0].content[0].text",
		said(`{"type":"image","source":{}}`):                                          "messages[0].content[0].source.type",
		said(`{"type":"image","source":{"type":"base64"}}`):                           "messages[0].content[0].source.data",
		said(`{"type":"tool_use","id":"a","name":"b","input":"{}"}`):                  "messages[0].content[0].input",
		said(`{"type":"tool_result","content":"a"}`):                                  "messages[0].content[0].tool_use_id",
		said(`{"type":"tool_result","tool_use_id":"a","content":[{"type":"text"}]}`):  "messages[0].content[0].content[0].text",
		said(`{"type":"tool_result","tool_use_id":"a","is_error":"no"}`):              "messages[0].content[0].is_error",
		`{"model":"m","max_tokens":5,"messages":[{"role":"tool","content":"a"}]}`:     "messages[0].role",
		`{"model":"m","max_tokens":5,"messages":[{"role":"user"}]}`:                   "messages[0].content",
		`{"model":"m","max_tokens":5,"messages":[{"role":"user","content":{"a":1}}]}`: "messages[0].content",
	} {
		_, err := Inbound{}.Decode(router.Incoming{Endpoint: router.EndpointChat, Body: []byte(body)})
		fault, ok := err.(*router.FieldError)
		if !ok || fault.Field != want {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
	}
	if _, err := (Inbound{}).Decode(router.Incoming{Endpoint: router.EndpointEmbed, Body: []byte(`{}`)}); err == nil {
		t.Error("embeddings")
	}
	r, err := Inbound{}.Decode(router.Incoming{Endpoint: router.EndpointCount, Body: []byte(`{"model":"m","messages":[{"role":"user","content":"Hi"}]}`)})
	if err != nil || r.Endpoint != router.EndpointCount {
		t.Error(err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(everything))
	f.Add([]byte(`{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"Hi"}],"thinking":{"type":"disabled"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := Inbound{}.Decode(router.Incoming{Endpoint: router.EndpointChat, Body: body})
		if err != nil {
			if _, ok := err.(*router.FieldError); !ok {
				t.Fatal(err)
			}
			return
		}
		c := router.Call{Request: r, Model: ledger.Model{ID: "up", Name: "p/m"}, OutputCap: 3}
		for _, c.Foreign = range []map[string]bool{nil, {"abc": true}} {
			sent, _ := edit(c)
			if !json.Valid(sent) {
				t.Fatalf("%s", sent)
			}
		}
		// What was decoded can be said again, or is refused by name.
		again := *r
		again.Body, again.Dialect = nil, ledger.DialectOpenAIChat
		c.Request = &again
		out, err := encode(c)
		if err == nil && !json.Valid(out.body) {
			t.Fatalf("%s", out.body)
		}
	})
}

func kindsOf(parts []router.Part) (kinds []router.Kind) {
	for _, p := range parts {
		kinds = append(kinds, p.Kind)
	}
	return kinds
}

// The type of media is a word, or for an address nothing.
func TestMediaTypes(t *testing.T) {
	for kind, want := range map[string]string{`true`: "must be a string", `null`: "must be a string", `[]`: "must be a string", `"image/png"`: ""} {
		body := `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":` + kind + `,"data":"YQ=="}}]}]}`
		_, err := Inbound{}.Decode(router.Incoming{Endpoint: router.EndpointChat, Body: []byte(body)})
		if got := fmt.Sprint(err); want == "" && err != nil || want != "" && got != "messages[0].content[0].source.media_type: "+want {
			t.Errorf("%s: %v", kind, err)
		}
	}
	const address = `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","media_type":null,"url":"https://e.com/a"}}]}]}`
	if _, err := (Inbound{}).Decode(router.Incoming{Endpoint: router.EndpointChat, Body: []byte(address)}); err != nil {
		t.Error(err)
	}
}
