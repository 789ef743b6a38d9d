package responses

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/router"
)

func decode(t testing.TB, body string) *router.Request {
	t.Helper()
	r, err := Inbound{}.Decode(router.Incoming{Endpoint: router.EndpointChat, Body: []byte(body)})
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return r
}

const whole = `{
	"model": "nova", "instructions": "Be brief.", "stream": true, "max_output_tokens": 500, "temperature": 0.5, "top_p": 0.9,
	"input": [
		{"role": "developer", "content": "Speak French."},
		{"role": "user", "content": [
			{"type": "input_text", "text": "What is this?", "prompt_cache_breakpoint": {"mode": "explicit"}},
			{"type": "input_image", "image_url": "data:image/png;base64,iVBORw0K", "detail": "low"},
			{"type": "input_image", "image_url": "https://example.com/a.png", "detail": "auto"},
			{"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
			{"type": "input_file", "file_id": "file_1"}]},
		{"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "One."}, {"type": "summary_text", "text": "Two."}], "encrypted_content": "SEAL"},
		{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "phase": "commentary",
			"content": [{"type": "output_text", "text": "I look.", "annotations": []}, {"type": "refusal", "refusal": "Not that."}]},
		{"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look", "arguments": "{\"at\":1}"},
		{"type": "function_call", "id": "fc_2", "call_id": "call_2", "name": "look", "arguments": "not json"},
		{"type": "function_call_output", "call_id": "call_1", "output": "a cat"},
		{"type": "function_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "a dog"}, {"type": "input_image", "file_id": "file_2", "detail": "high"}]},
		{"role": "system", "content": "Now in German."},
		{"role": "user", "content": "And?"}],
	"tools": [{"type": "function", "name": "look", "description": "Looks.", "parameters": {"type": "object"}, "strict": true}],
	"tool_choice": {"type": "function", "name": "look"}, "parallel_tool_calls": false,
	"text": {"format": {"type": "json_schema", "name": "thing", "description": "A thing.", "schema": {"type": "object"}, "strict": false}, "verbosity": "low"},
	"reasoning": {"effort": "high", "summary": "auto"}, "metadata": {"a": "b"}, "user": "old", "safety_identifier": "u1", "service_tier": "flex",
	"include": ["reasoning.encrypted_content"], "truncation": "disabled", "store": false, "background": false, "prompt_cache_key": "k"
}`

func TestDecode(t *testing.T) {
	r := decode(t, whole)
	yes, no, half, most := true, false, 0.5, 0.9
	part := func(kind router.Kind, field string, p router.Part) router.Part {
		p.Kind, p.Field = kind, field
		return p
	}
	text := router.Text
	want := &router.Request{
		Endpoint: router.EndpointChat, Dialect: ledger.DialectOpenAIResponses, Body: []byte(whole), Names: names, Model: "nova",
		System: []router.Part{text("Be brief."), text("Speak French.")},
		Messages: []router.Message{
			{Role: router.RoleUser, Field: "input[1]", Parts: []router.Part{text("What is this?"),
				part(router.KindImage, "input[1].content[1]", router.Part{Media: &router.Media{Type: "image/png", Data: "iVBORw0K", Detail: "low"}}),
				part(router.KindImage, "input[1].content[2]", router.Part{Media: &router.Media{URL: "https://example.com/a.png", Detail: "auto"}}),
				part(router.KindDocument, "input[1].content[3]", router.Part{Media: &router.Media{Type: "application/pdf", Data: "JVBERi0=", Name: "a.pdf"}}),
				part(router.KindDocument, "input[1].content[4]", router.Part{Media: &router.Media{File: "file_1"}})}},
			{Role: router.RoleAssistant, Field: "input[2]", Parts: []router.Part{
				part(router.KindReasoning, "input[2]", router.Part{Text: "One.\n\nTwo.", Signature: "SEAL"}), text("I look."),
				part(router.KindRefusal, "input[3].content[1]", router.Part{Text: "Not that."}),
				part(router.KindCall, "input[4]", router.Part{ID: "call_1", Name: "look", Text: `{"at":1}`}),
				part(router.KindCall, "input[5]", router.Part{ID: "call_2", Name: "look", Text: "not json"})}},
			{Role: router.RoleUser, Field: "input[6]", Parts: []router.Part{
				part(router.KindResult, "input[6]", router.Part{ID: "call_1", Parts: []router.Part{text("a cat")}}),
				part(router.KindResult, "input[7]", router.Part{ID: "call_2", Parts: []router.Part{text("a dog"),
					part(router.KindImage, "input[7].output[1]", router.Part{Media: &router.Media{File: "file_2", Detail: "high"}})}})}},
			{Role: router.RoleSystem, Field: "input[8]", Parts: []router.Part{text("Now in German.")}},
			{Role: router.RoleUser, Field: "input[9]", Parts: []router.Part{text("And?")}},
		},
		Tools:      []router.Tool{{Name: "look", Description: "Looks.", Schema: json.RawMessage(`{"type": "object"}`), Strict: &yes, Field: "tools[0]"}},
		ToolChoice: router.ToolChoice{Mode: router.ToolRequired, Names: []string{"look"}}, Serial: true,
		Format: router.Format{Kind: router.FormatSchema, Name: "thing", Description: "A thing.", Schema: json.RawMessage(`{"type": "object"}`), Strict: &no},
		Stream: true, OutputCap: 500, Temperature: &half, TopP: &most, EndUser: "u1", ServiceTier: "flex", Effort: "high", Verbosity: "low", Thoughts: true,
	}
	var hinted []string
	for _, h := range r.Hints {
		hinted = append(hinted, h.Field)
	}
	if want := []string{"input[1].content[0].prompt_cache_breakpoint", "input[3].phase", "metadata", "prompt_cache_key"}; !slices.Equal(hinted, want) {
		t.Errorf("hints %q, want %q", hinted, want)
	}
	r.Hints = nil
	if bare(r); !reflect.DeepEqual(r, want) {
		t.Errorf("got  %+v\nwant %+v", r, want)
	}
}

// bare takes away the bytes of parts, which must be there.
func bare(r *router.Request) {
	var walk func(parts []router.Part)
	walk = func(parts []router.Part) {
		for i := range parts {
			if parts[i].Kind != router.KindText && !json.Valid(parts[i].Raw) {
				panic("a part without its bytes")
			}
			parts[i].Raw = nil
			walk(parts[i].Parts)
		}
	}
	for _, m := range r.Messages {
		walk(m.Parts)
	}
}

func TestDecodeText(t *testing.T) {
	r := decode(t, `{"model":"m","input":"Hi"}`)
	if want := []router.Message{{Role: router.RoleUser, Parts: []router.Part{router.Text("Hi")}, Field: "input"}}; !reflect.DeepEqual(r.Messages, want) {
		t.Errorf("%+v", r.Messages)
	}
	if r.Stream || r.Thoughts || len(r.Extra)+len(r.Hints) > 0 {
		t.Errorf("%+v", r)
	}
}

func TestToolChoice(t *testing.T) {
	for choice, want := range map[string]router.ToolChoice{
		`"auto"`: {Mode: router.ToolAuto}, `"none"`: {Mode: router.ToolNone}, `"required"`: {Mode: router.ToolRequired}, `null`: {},
		`{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"a"},{"type":"function","name":"b"}]}`: {Mode: router.ToolAuto, Names: []string{"a", "b"}},
	} {
		if r := decode(t, `{"model":"m","input":"a","tool_choice":`+choice+`}`); !reflect.DeepEqual(r.ToolChoice, want) {
			t.Errorf("%s: %+v", choice, r.ToolChoice)
		}
	}
}

// What is OpenAI's own goes to OpenAI as it is, and is refused by its path elsewhere.
func TestExtra(t *testing.T) {
	for member, want := range map[string]string{
		`"tools":[{"type":"function","name":"a"},{"type":"web_search"}]`:                            "tools[1]",
		`"tools":[{"type":"function","name":"a","defer_loading":true}]`:                             "tools[0].defer_loading",
		`"tools":[{"type":"function","name":"a","defer_loading":false}]`:                            "",
		`"tool_choice":{"type":"file_search"}`:                                                      "tool_choice",
		`"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"mcp"}]}`:             "tool_choice.tools[0]",
		`"include":["reasoning.encrypted_content","message.output_text.logprobs"]`:                  "include[1]",
		`"text":{"format":{"type":"grammar"}}`:                                                      "text.format",
		`"reasoning":{"mode":"pro"}`:                                                                "reasoning.mode",
		`"reasoning":{"mode":"standard","context":"auto"}`:                                          "",
		`"moderation":{"model":"m"}`:                                                                "moderation",
		`"top_logprobs":3`:                                                                          "top_logprobs",
		`"top_logprobs":0`:                                                                          "",
		`"zzz":{}`:                                                                                  "zzz",
		`"previous_response_id":null,"conversation":null,"prompt":null,"store":null,"stream":false`: "",
	} {
		r := decode(t, `{"model":"m","input":"a",`+member+`}`)
		if got := strings.Join(r.Extra, " "); got != want || len(r.Hints) > 0 {
			t.Errorf("%s: extra %q, hints %v, want %q", member, got, r.Hints, want)
		}
	}
	r := decode(t, `{"model":"m","input":[{"type":"function_call","call_id":"c","name":"n","arguments":"{}","namespace":"s","async":false},{"type":"web_search_call","id":"ws"},{"type":"custom_tool_call_output","call_id":"c","output":""}]}`)
	if !slices.Equal(r.Extra, []string{"input[0].namespace"}) || len(r.Messages) != 2 || r.Messages[0].Parts[1].Kind != "web_search_call" || r.Messages[1].Role != router.RoleUser {
		t.Errorf("%+v", r)
	}
	for item, want := range map[string]string{
		`{"role":"user","content":"a","new":1,"id":"msg_1","status":"completed"}`:                                                 "input[0].new",
		`{"role":"user","content":[{"type":"input_text","text":"a","new":1}]}`:                                                    "input[0].content[0].new",
		`{"role":"user","content":[{"type":"input_image","image_url":"https://e.com/a","new":1}]}`:                                "input[0].content[0].new",
		`{"role":"user","content":[{"type":"input_image","image_url":"https://e.com/a","file_data":"YQ=="}]}`:                     "input[0].content[0].file_data",
		`{"role":"assistant","content":[{"type":"output_text","text":"a","annotations":[{}],"logprobs":[]}]}`:                     "",
		`{"role":"assistant","content":[{"type":"refusal","refusal":"a","new":{"a":1}}]}`:                                         "input[0].content[0].new",
		`{"type":"function_call","call_id":"c","name":"n","arguments":"{}","new":1}`:                                              "input[0].new",
		`{"type":"function_call","call_id":"c","name":"n","arguments":"{}","caller":{"type":"direct"}}`:                           "",
		`{"type":"function_call","call_id":"c","name":"n","arguments":"{}","caller":{"type":"program","caller_id":"c"}}`:          "input[0].caller",
		`{"type":"function_call_output","call_id":"c","output":"a","namespace":"s","name":"n","id":"fco_1","status":"completed"}`: "input[0].namespace",
		`{"type":"function_call_output","name":"n","output":"a"}`:                                                                 "input[0]",
	} {
		if r := decode(t, `{"model":"m","input":[`+item+`]}`); strings.Join(r.Extra, " ") != want {
			t.Errorf("%s: extra %q, want %q", item, r.Extra, want)
		}
	}
	many := strings.TrimSuffix(strings.Repeat(`{"role":"user","content":"a","new":1},`, 2*maxExtra), ",")
	if r := decode(t, `{"model":"m","input":[`+many+`]}`); len(r.Extra) != maxExtra {
		t.Errorf("%d fields are kept by name", len(r.Extra))
	}
}

func TestDecodeRefuses(t *testing.T) {
	for body, want := range map[string]string{
		`[]`:          "body: must be a JSON object",
		`{`:           "body: is not JSON",
		`{"input":1}`: "input: must be a string or a list of items",
		`{"model":"m","previous_response_id":"resp_1","input":"a"}`:            "previous_response_id: refers to what the provider has stored, and waybill keeps no conversations: send the whole input",
		`{"model":"m","conversation":{"id":"c"},"input":"a"}`:                  "conversation: refers to what the provider has stored",
		`{"model":"m","prompt":{"id":"p"}}`:                                    "prompt: refers to a template",
		`{"model":"m","background":true,"input":"a"}`:                          "background: must be false or left out",
		`{"model":"m","store":true,"input":"a"}`:                               "store: must be false or left out: waybill keeps no conversations",
		`{"model":"m","store":"x","input":"a"}`:                                "store: must be true or false",
		`{"model":"m","input":[{"type":"item_reference","id":"a"}]}`:           "input[0]: refers to what the provider has stored",
		`{"model":"m","input":[{"role":"user","content":"a"},{"id":"msg_1"}]}`: "input[1]: refers to what the provider has stored",
		`{"model":"m"}`:                                      "input: is required",
		`{"input":"a"}`:                                      "model: is required",
		`{"model":"m","input":[]}`:                           "input: must not be empty",
		`{"model":"m","input":["a"]}`:                        "input[0]: must be an object",
		`{"model":"m","input":[{"type":1}]}`:                 "input[0].type: must be a string",
		`{"model":"m","input":[{"role":"x","content":"a"}]}`: `input[0].role: "x" is not a role`,
		`{"model":"m","input":[{"role":"user"}]}`:            "input[0].content: must be a string or a list of parts",
		`{"model":"m","input":[{"role":"user","content":[{"type":"input_text"}]}]}`:                         "input[0].content[0].text: must be a string",
		`{"model":"m","input":[{"role":"user","content":[{"type":"image"}]}]}`:                              "input[0].content[0].type: is not a type of this dialect",
		`{"model":"m","input":[{"type":"call"}]}`:                                                           "input[0].type: is not a type of this dialect",
		`{"model":"m","input":[{"role":"user","content":[{"type":"input_image"}]}]}`:                        "input[0].content[0]: has neither an address nor data",
		`{"model":"m","input":[{"role":"user","content":[{"type":"input_image","image_url":"data:x,y"}]}]}`: "input[0].content[0].image_url: must be base64",
		`{"model":"m","input":[{"type":"function_call","name":"a","arguments":"{}"}]}`:                      "input[0].call_id: must be a string",
		`{"model":"m","input":[{"type":"function_call","call_id":"a","name":"a","arguments":{}}]}`:          "input[0].arguments: must be a string",
		`{"model":"m","input":[{"type":"function_call_output","call_id":"a"}]}`:                             "input[0].output: must be a string or a list",
		`{"model":"m","input":"a","tools":[{"type":"function"}]}`:                                           "tools[0].name: is required",
		`{"model":"m","input":"a","tool_choice":"any"}`:                                                     `tool_choice: "any" is not auto, none or required`,
		`{"model":"m","input":"a","text":{"format":{"type":"json_schema","name":"n"}}}`:                     "text.format.schema: is required",
		`{"model":"m","input":"a","max_output_tokens":0}`:                                                   "max_output_tokens: must be at least 1",
		`{"model":"m","input":"a","temperature":3}`:                                                         "temperature: must be between 0 and 2",
		`{"model":"m","input":"a","reasoning":"high"}`:                                                      "reasoning: must be an object",
		`{"model":"m","input":"a","model":"n"}`:                                                             "model: is given twice",
		`{"model":"m","input":"a","include":"x"}`:                                                           "include: must be a list",
	} {
		_, err := Inbound{}.Decode(router.Incoming{Endpoint: router.EndpointChat, Body: []byte(body)})
		if _, ok := err.(*router.FieldError); !ok || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte(`{"model":"m","input":"Hi"}`))
	f.Add([]byte(`{"model":"m","input":[{"id":"x"},{"type":"reasoning","summary":{"a":1}}],"tool_choice":{"type":"allowed_tools"}}`))
	model := ledger.Model{ID: "up", Name: "openai/up", Features: []string{ledger.FeatureReasoning, ledger.FeatureTools, ledger.FeatureImages, ledger.FeatureStructured}}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := Inbound{}.Decode(router.Incoming{Endpoint: router.EndpointChat, Body: body})
		if err != nil {
			if _, ok := err.(*router.FieldError); !ok {
				t.Fatalf("%v is no field's", err)
			}
			return
		}
		c := router.Call{Request: r, Model: model, OutputCap: 7, Foreign: map[string]bool{"SEAL": true}}
		sent, _ := edit(c)
		if again, err := (Inbound{}).Decode(router.Incoming{Endpoint: router.EndpointChat, Body: sent}); err == nil && again.OutputCap != 7 {
			t.Fatalf("the cap of %s is %d", sent, again.OutputCap)
		}
		if !json.Valid(sent) {
			t.Fatalf("%s is sent as %s", body, sent)
		}
		if sent, _, err = encode(c); err == nil && !json.Valid(sent) {
			t.Fatalf("%s is sent as %s", body, sent)
		}
		w := newRendering(r, head)
		if answer := w.Body([]router.Chunk{{Kind: router.KindText, Text: "a", Finish: router.FinishStop}}, ledger.Usage{}); !json.Valid(answer) {
			t.Fatalf("%s is answered with %s", body, answer)
		}
	})
}
