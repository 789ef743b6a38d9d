package responses

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/router"
	"waybill/router/openai"
)

var capable = ledger.Model{ID: "up", Name: "openai/up", Provider: "openai", Features: []string{ledger.FeatureReasoning,
	ledger.FeatureSampling, ledger.FeatureTools, ledger.FeatureImages, ledger.FeatureStructured}}

func value[T any](v T) *T { return &v }

// translated is a call that came in a dialect of which no bytes are kept.
func translated(r router.Request) router.Call {
	if r.Dialect == "" {
		r.Dialect = ledger.DialectAnthropicMessages
	}
	r.Endpoint = router.EndpointChat
	return router.Call{Request: &r, Model: capable, OutputCap: 99, Attempt: "req_1.1"}
}

func said(role router.Role, parts ...router.Part) router.Message {
	return router.Message{Role: role, Parts: parts, Field: "messages[0]"}
}

func TestEncode(t *testing.T) {
	image := router.Part{Kind: router.KindImage, Media: &router.Media{Type: "image/png", Data: "iVBORw0K"}, Field: "messages[0].content[0]"}
	for _, tt := range []struct {
		name     string
		request  router.Request
		want     string // between the model and what every request ends with
		warnings string
	}{
		{"turns", router.Request{
			System: []router.Part{router.Text("Be brief."), router.Text("Be kind.")},
			Messages: []router.Message{said(router.RoleUser, router.Text("What is it?"), image),
				said(router.RoleAssistant, router.Part{Kind: router.KindReasoning, Text: "Hm."}, router.Text("I look."),
					router.Part{Kind: router.KindCall, ID: "toolu_1", Name: "look", Text: `{"at":1}`}, router.Part{Kind: router.KindCall, ID: "a b", Name: "look"}),
				said(router.RoleUser, router.Part{Kind: router.KindResult, ID: "toolu_1", Parts: []router.Part{router.Text("a cat"), image}},
					router.Part{Kind: router.KindResult, ID: "a b", Failed: true, Parts: []router.Part{router.Text("dark")}}, router.Text("So?")),
				said(router.RoleSystem, router.Text("In German."))},
			Tools: []router.Tool{{Name: "look", Field: "tools[0]"}}, Serial: true,
		}, `"instructions":"Be brief.\n\nBe kind.","input":[` +
			`{"type":"message","role":"user","content":[{"type":"input_text","text":"What is it?"},{"type":"input_image","image_url":"data:image/png;base64,iVBORw0K","detail":"auto"}]},` +
			`{"type":"message","role":"assistant","content":[{"type":"output_text","text":"I look."}]},` +
			`{"type":"function_call","call_id":"toolu_1","name":"look","arguments":"{\"at\":1}"},` +
			`{"type":"function_call","call_id":"` + router.CallID("a b") + `","name":"look","arguments":"{}"},` +
			`{"type":"function_call_output","call_id":"toolu_1","output":[{"type":"input_text","text":"a cat"},{"type":"input_image","image_url":"data:image/png;base64,iVBORw0K","detail":"auto"}]},` +
			`{"type":"function_call_output","call_id":"` + router.CallID("a b") + `","output":[{"type":"input_text","text":"The tool failed."},{"type":"input_text","text":"dark"}]},` +
			`{"type":"message","role":"user","content":[{"type":"input_text","text":"So?"}]},` +
			`{"type":"message","role":"developer","content":[{"type":"input_text","text":"In German."}]}],` +
			`"tools":[{"type":"function","name":"look","parameters":{"type":"object","properties":{}},"strict":false}],"parallel_tool_calls":false,`,
			"messages: earlier reasoning was left out, which openai/up cannot read\nmessages: that a tool failed is said in front of its result, where OpenAI's Responses has no mark for it"},
		{"a schema that OpenAI enforces", router.Request{Messages: []router.Message{said(router.RoleUser, router.Text("a"))},
			Format: router.Format{Kind: router.FormatSchema, Schema: []byte(`{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}`)}},
			`"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"a"}]}],"text":{"format":{"type":"json_schema","name":"answer",` +
				`"schema":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false},"strict":true}},`, ""},
		{"a schema that it does not", router.Request{Messages: []router.Message{said(router.RoleUser, router.Text("a"))},
			Format: router.Format{Kind: router.FormatSchema, Name: "n", Schema: []byte(`{"type":"array","items":{"type":"object"}}`)}},
			`"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"a"}]}],"text":{"format":{"type":"json_schema","name":"n",` +
				`"schema":{"type":"array","items":{"type":"object"}}}},`,
			"response_format: the model follows the schema as well as it can: OpenAI enforces only one whose objects forbid additionalProperties and require every property"},
		{"JSON without the word", router.Request{Messages: []router.Message{said(router.RoleUser, router.Text("a"))}, Format: router.Format{Kind: router.FormatJSON}},
			`"input":[{"type":"message","role":"developer","content":[{"type":"input_text","text":"Answer in JSON."}]},{"type":"message","role":"user","content":[{"type":"input_text","text":"a"}]}],"text":{"format":{"type":"json_object"}},`,
			"response_format: the instruction to answer in JSON was added, without which OpenAI refuses"},
		{"a budget, and thoughts", router.Request{Messages: []router.Message{said(router.RoleUser, router.Text("a"))}, Budget: value(int64(2048)), Thoughts: true},
			`"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"a"}]}],"reasoning":{"effort":"medium","summary":"auto"},`,
			"reasoning_effort: a budget of 2048 tokens became the effort medium, which is near it"},
		{"a prefill", router.Request{Messages: []router.Message{said(router.RoleUser, router.Text("a")), said(router.RoleAssistant, router.Text("b"))}},
			`"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"a"}]},{"type":"message","role":"assistant","content":[{"type":"output_text","text":"b"}]}],`,
			"messages: the answer begins anew after the assistant's last turn, which openai/up does not go on with"},
	} {
		body, warnings, err := encode(translated(tt.request))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		want := `{"model":"up",` + tt.want + `"max_output_tokens":99,"store":false,"include":["reasoning.encrypted_content"]}`
		if string(body) != want || strings.Join(warnings, "\n") != tt.warnings {
			t.Errorf("%s\ngot  %s\n%q\nwant %s\n%q", tt.name, body, warnings, want, tt.warnings)
		}
	}
}

func TestToolChoiceEncoded(t *testing.T) {
	for want, choice := range map[string]router.ToolChoice{
		``:                          {},
		`"tool_choice":"required",`: {Mode: router.ToolRequired},
		`"tool_choice":"none",`:     {Mode: router.ToolNone, Names: []string{"a"}},
		`"tool_choice":{"type":"function","name":"a"},`:                                                                                     {Mode: router.ToolRequired, Names: []string{"a"}},
		`"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"a"}]},`:                                    {Names: []string{"a"}},
		`"tool_choice":{"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"a"},{"type":"function","name":"b"}]},`: {Mode: router.ToolRequired, Names: []string{"a", "b"}},
	} {
		r := router.Request{Messages: []router.Message{said(router.RoleUser, router.Text("a"))}, Tools: []router.Tool{{Name: "a"}, {Name: "b"}}, ToolChoice: choice}
		body, _, err := encode(translated(r))
		if _, rest, ok := strings.Cut(string(body), `}],`); err != nil || !ok || !strings.Contains(rest, `"strict":false}],`+want+`"max_output_tokens"`) {
			t.Errorf("%+v: %s %v", choice, body, err)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	turns := []router.Message{said(router.RoleUser, router.Text("a"))}
	part := func(p router.Part) []router.Message {
		p.Field = "messages[0].content[0]"
		return []router.Message{said(router.RoleUser, p)}
	}
	for want, r := range map[string]router.Request{
		"n: it has no counterpart in OpenAI's Responses at openai/up": {N: 2},
		"stop: it has no":                                     {Stop: []string{"a"}},
		"stop_sequences: it has no":                           {Stop: []string{"a"}, Names: map[string]string{"stop": "stop_sequences"}},
		"seed: it has no":                                     {Seed: value(int64(0))},
		"top_k: it has no":                                    {TopK: value(int64(4))},
		"frequency_penalty: it has no":                        {Frequency: value(1.0)},
		"presence_penalty: it has no":                         {Presence: value(1.0)},
		"service_tier: it has no":                             {ServiceTier: "batch"},
		"logit_bias: has no":                                  {Extra: []string{"logit_bias"}},
		`tools[0]: the name "a.b" cannot be sent`:             {Tools: []router.Tool{{Name: "a.b", Field: "tools[0]"}}},
		`messages[0].content[0]: content of type "audio"`:     {Messages: part(router.Part{Kind: router.KindAudio, Media: &router.Media{Data: "AAAA"}})},
		`messages[0].content[0]: content of type "odd"`:       {Messages: part(router.Part{Kind: "odd"})},
		"messages[0].content[0]: is kept by another":          {Messages: part(router.Part{Kind: router.KindImage, Media: &router.Media{File: "file_1"}})},
		"messages[0].content[0]: is kept by another provider": {Messages: part(router.Part{Kind: router.KindDocument, Media: &router.Media{URL: "gs://a/b"}})},
		"messages[0].content[0]: needs the type of its media": {Messages: part(router.Part{Kind: router.KindImage, Media: &router.Media{Data: "iVBORw0K"}})},
	} {
		if r.Messages == nil {
			r.Messages = turns
		}
		_, _, err := encode(translated(r))
		if field, ok := errors.AsType[*router.FieldError](err); !ok || !strings.HasPrefix(field.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	c := translated(router.Request{Messages: turns, Tools: []router.Tool{{Name: "a"}}, ToolChoice: router.ToolChoice{Mode: router.ToolRequired}})
	c.Model.Features = append([]string{ledger.FeatureAutoTools}, c.Model.Features...)
	if _, _, err := encode(c); err == nil || err.Error() != "tool_choice: a tool cannot be forced at openai/up" {
		t.Error(err)
	}
	c = translated(router.Request{Messages: turns})
	c.OutputCap = 15
	if _, _, err := encode(c); err == nil || err.Error() != "max_completion_tokens: at least 16 tokens of output are to be allowed at openai/up" {
		t.Error(err)
	}
	// What asks for nothing is nothing to refuse.
	if _, w, err := encode(translated(router.Request{Messages: turns, N: 1, Frequency: value(0.0), Presence: value(0.0)})); err != nil || len(w) > 0 {
		t.Error(w, err)
	}
}

// A Chat Completions caller keeps what Responses has under the same name, and is told of what it has not.
func TestEncodeFromChat(t *testing.T) {
	body := `{"model":"nova","messages":[{"role":"system","content":"S"},{"role":"user","content":"a"}],"verbosity":"low","metadata":{"a":"b"},` +
		`"prompt_cache_key":"k","tools":[{"type":"function","function":{"name":"f"}}],"max_completion_tokens":5,"user":"u"}`
	r, err := openai.Inbound{}.Decode(router.Incoming{Endpoint: router.EndpointChat, Body: []byte(body)})
	if err != nil {
		t.Fatal(err)
	}
	got, warnings, err := encode(router.Call{Request: r, Model: capable, OutputCap: 50})
	want := `{"model":"up","instructions":"S","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"a"}]}],` +
		`"tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{}},"strict":false}],"text":{"verbosity":"low"},` +
		`"max_output_tokens":50,"safety_identifier":"u","store":false,"include":["reasoning.encrypted_content"],"metadata":{"a":"b"},"prompt_cache_key":"k"}`
	if err != nil || string(got) != want || len(warnings) > 0 {
		t.Errorf("%v %q\ngot  %s\nwant %s", err, warnings, got, want)
	}
	if len(r.Hints) != 2 {
		t.Errorf("the caller's request was changed: %q", r.Hints)
	}
}

// The turn of a provider's own goes back as it was, and the results that belong to it keep its ids.
func TestEncodeRemembered(t *testing.T) {
	long := strings.Repeat("x", 70)
	turn := `[{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"SEAL"},{"type":"message","phase":"commentary","role":"assistant","content":[]},{"type":"function_call","call_id":"` + long + `","name":"f","arguments":"{}"}]`
	c := translated(router.Request{Messages: []router.Message{said(router.RoleUser, router.Text("a")),
		said(router.RoleAssistant, router.Text("I call."), router.Part{Kind: router.KindCall, ID: long, Name: "f", Text: "{}"}),
		said(router.RoleUser, router.Part{Kind: router.KindResult, ID: long, Parts: []router.Part{router.Text("1")}})}})
	c.Turn = func(id string) []byte {
		if id == long {
			return []byte(turn)
		}
		return nil
	}
	body, warnings, err := encode(c)
	want := `"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"a"}]},` + turn[1:len(turn)-1] +
		`,{"type":"function_call_output","call_id":"` + long + `","output":"1"}]`
	if err != nil || len(warnings) > 0 || !strings.Contains(string(body), want) {
		t.Errorf("%s %q %v", body, warnings, err)
	}
}

// A turn that does not have all calls of what is remembered is written from its parts: a call must not go back twice, nor one
// that nothing answers.
func TestEncodeRememberedInPart(t *testing.T) {
	call := func(id string) router.Message {
		return said(router.RoleAssistant, router.Part{Kind: router.KindCall, ID: id, Name: "f", Text: "{}"})
	}
	result := func(id string) router.Message {
		return said(router.RoleUser, router.Part{Kind: router.KindResult, ID: id, Parts: []router.Part{router.Text("1")}})
	}
	c := translated(router.Request{Messages: []router.Message{said(router.RoleUser, router.Text("a")), call("c1"), result("c1"), call("c2"), result("c2")}})
	c.Turn = func(string) []byte {
		return []byte(`[{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"SEAL"},{"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},{"type":"function_call","call_id":"c2","name":"f","arguments":"{}"}]`)
	}
	body, warnings, err := encode(c)
	if err != nil || len(warnings) != 1 || !strings.HasPrefix(warnings[0], "messages[0]: what the model thought is left out") || strings.Contains(string(body), "SEAL") || strings.Count(string(body), `"function_call","call_id":"c1"`) != 1 ||
		strings.Count(string(body), `"function_call","call_id":"c2"`) != 1 {
		t.Errorf("%s %q %v", body, warnings, err)
	}
}

func TestEncodeQuirks(t *testing.T) {
	c := translated(router.Request{Messages: []router.Message{said(router.RoleUser, router.Text("a")), said(router.RoleSystem, router.Text("b"))}, EndUser: strings.Repeat("u", 129)})
	c.Quirks = router.Quirks{NoDeveloper: true, Drop: []string{"store", "include", "safety_identifier"}}
	body, warnings, err := encode(c)
	want := `{"model":"up","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"a"}]},{"type":"message","role":"system","content":[{"type":"input_text","text":"b"}]}],"max_output_tokens":99}`
	if err != nil || string(body) != want || len(warnings) != 2 || warnings[1] != "user: left out, openai refuses it" {
		t.Errorf("%s %q %v", body, warnings, err)
	}
}

// What this dialect can say comes back from it as it went in.
func TestRoundTrip(t *testing.T) {
	first := decode(t, strings.NewReplacer(`"type": "input_file", "file_id": "file_1"`, `"type": "input_file", "file_url": "https://example.com/b.pdf"`,
		`"file_id": "file_2"`, `"image_url": "https://example.com/c.png"`,
		`{"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "One."}, {"type": "summary_text", "text": "Two."}], "encrypted_content": "SEAL"},`, "",
		`"parameters": {"type": "object"}`, `"parameters": {"type": "object", "additionalProperties": false}`).Replace(whole))
	c := router.Call{Request: first, Model: capable, OutputCap: first.OutputCap}
	c.Request = value(*first)
	c.Request.Body = nil // so that nothing is forwarded
	body, _, err := encode(c)
	if err != nil {
		t.Fatal(err)
	}
	second := decode(t, string(body))
	for _, r := range []*router.Request{first, second} {
		bare(r)
		r.Body, r.Hints = nil, nil
		fields(r)
	}
	first.System = []router.Part{router.Text("Be brief.\n\nSpeak French.")} // one text here
	second.Model = first.Model
	if !reflect.DeepEqual(first, second) {
		t.Errorf("got  %+v\nwant %+v", second, first)
	}
}

// fields takes away where things stood.
func fields(r *router.Request) {
	var walk func(parts []router.Part)
	walk = func(parts []router.Part) {
		for i := range parts {
			parts[i].Field = ""
			parts[i].Name = "" // of results, from the calls
			walk(parts[i].Parts)
		}
	}
	for i := range r.Messages {
		r.Messages[i].Field = ""
		walk(r.Messages[i].Parts)
	}
	r.Tools[0].Schema = []byte(strings.ReplaceAll(string(r.Tools[0].Schema), " ", ""))
	r.Format.Schema = []byte(strings.ReplaceAll(string(r.Format.Schema), " ", ""))
}

// A strict tool of another dialect's is strict only where OpenAI can hold arguments to its schema.
func TestStrictTools(t *testing.T) {
	for schema, want := range map[string]bool{
		`{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}`:                        true,
		`{"type":"object","properties":{"a":{"oneOf":[{"type":"string"}]}},"required":["a"],"additionalProperties":false}`:            false,
		`{"type":"object","properties":{"a":{"type":"string","minLength":1}},"required":["a"],"additionalProperties":false,"not":{}}`: false,
	} {
		body, warnings, err := encode(translated(router.Request{Messages: []router.Message{said(router.RoleUser, router.Text("a"))},
			Tools: []router.Tool{{Name: "f", Schema: []byte(schema), Strict: value(true), Field: "tools[0]"}}}))
		if err != nil || strings.Contains(string(body), `"strict":true`) != want || (len(warnings) == 0) != want {
			t.Errorf("%s: %s %q %v", schema, body, warnings, err)
		}
	}
}
