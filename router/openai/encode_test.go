package openai

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/router"
)

var able = []string{ledger.FeatureChat, ledger.FeatureSampling, ledger.FeatureReasoning, ledger.FeatureImages, ledger.FeatureTools, ledger.FeatureStructured, ledger.FeatureEmbedding}

// leg makes a call of a request that came in another dialect.
func leg(r *router.Request) router.Call {
	r.Dialect = ledger.DialectAnthropicMessages
	return router.Call{Request: r, OutputCap: 77, Attempt: "req.1", Model: ledger.Model{ID: "up", Name: "openai/up", Provider: "openai", Features: able}}
}

// conversation is a request as another dialect's caller makes it.
func conversation() *router.Request {
	temperature, seed, budget, strict := 0.5, int64(7), int64(5000), true
	part := func(kind router.Kind, field string, m router.Media) router.Part {
		return router.Part{Kind: kind, Field: field, Media: &m}
	}
	return &router.Request{
		Stream: true, Temperature: &temperature, Seed: &seed, N: 2, Stop: []string{"x"}, EndUser: "u", ServiceTier: "standard", Budget: &budget, Verbosity: "high",
		System: []router.Part{router.Text("Be brief."), router.Text("Be kind.")},
		Messages: []router.Message{
			{Role: router.RoleUser, Parts: []router.Part{
				router.Text("<Look>"),
				part(router.KindImage, "i", router.Media{Type: "image/png", Data: "iVBORw0KGgo="}),
				part(router.KindImage, "i", router.Media{URL: "https://example.com/a.jpg", Detail: "low"}),
				part(router.KindAudio, "a", router.Media{Type: "audio/mpeg", Data: "UklGRg=="}),
				part(router.KindDocument, "d", router.Media{Type: "application/pdf", Data: "JVBERi0="}),
				part(router.KindDocument, "d", router.Media{Type: "text/plain", Data: "bm90ZXM="}),
			}},
			{Role: router.RoleAssistant, Parts: []router.Part{
				{Kind: router.KindReasoning, Text: "hm", Signature: "sealed", Field: "messages[1].content[0]"},
				router.Text("Let me see."),
				{Kind: router.KindCall, ID: "toolu_1", Name: "weather", Text: `{"city":"Rome"}`},
				{Kind: router.KindCall, ID: "toolu_2", Name: "time"},
			}},
			{Role: router.RoleUser, Parts: []router.Part{
				{Kind: router.KindResult, ID: "toolu_1", Parts: []router.Part{router.Text("18 degrees")}},
				router.Text("And now?"),
				{Kind: router.KindResult, ID: "toolu_2", Failed: true, Field: "messages[2].content[2]"},
			}},
			{Role: router.RoleSystem, Parts: []router.Part{router.Text("Later.")}},
			{Role: router.RoleAssistant, Parts: []router.Part{{Kind: router.KindReasoning, Text: "hm", Field: "f"}}},
			{Role: router.RoleAssistant, Parts: []router.Part{router.Text("No."), {Kind: router.KindRefusal, Text: "I will not."}}},
		},
		Tools: []router.Tool{
			{Name: "weather", Description: "Tells it.", Strict: &strict, Field: "tools[0]",
				Schema: json.RawMessage(`{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}`)},
			{Name: "time", Strict: &strict, Field: "tools[1]", Schema: json.RawMessage(`{"type":"object","properties":{"zone":{"type":"string"}}}`)},
		},
		ToolChoice: router.ToolChoice{Mode: router.ToolRequired, Names: []string{"weather"}}, Serial: true,
		Format: router.Format{Kind: router.FormatSchema, Schema: json.RawMessage(`{"type":"object","properties":{"a":{"type":"string"}}}`)},
	}
}

func TestEncode(t *testing.T) {
	got, warnings, err := encode(leg(conversation()))
	if err != nil {
		t.Fatal(err)
	}
	if g, w := compact(t, got), compact(t, fixture(t, "encoded.json")); g != w {
		t.Errorf("got  %s\nwant %s", g, w)
	}
	want := []string{
		"reasoning_effort: a budget of tokens is sent as the effort medium",
		"tools[1]: not strict, openai/up cannot hold arguments to this schema",
		"response_format: not strict, openai/up cannot hold an answer to this schema",
		"messages[1].content[0]: left out, openai/up takes no earlier thoughts",
		"messages[2].content[2]: that the tool failed is said in front of its result, where the dialect has no mark for it",
	}
	if !reflect.DeepEqual(warnings, want) {
		t.Errorf("%q", warnings)
	}
}

func TestEncodeQuirks(t *testing.T) {
	c := leg(conversation())
	c.Quirks = router.Quirks{MaxTokens: true, NoStreamOptions: true, NoSchema: true, Drop: []string{"reasoning_effort", "safety_identifier"}}
	got, warnings, err := encode(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, absent := range []string{"max_completion_tokens", "stream_options", "json_schema", "safety_identifier", "reasoning_effort"} {
		if bytes.Contains(got, []byte(`"`+absent+`"`)) {
			t.Errorf("%s is in %s", absent, got)
		}
	}
	for _, present := range []string{`"max_tokens":77`, `"response_format":{"type":"json_object"}`, `"messages":[{"role":"system","content":"Answer with one JSON value`} {
		if !bytes.Contains(got, []byte(present)) {
			t.Errorf("%s is not in %s", present, got)
		}
	}
	for _, want := range []string{"user: left out, openai refuses it", "reasoning_effort: left out, openai refuses it", "response_format: sent as json_object"} {
		if !strings.Contains(strings.Join(warnings, "\n"), want) {
			t.Errorf("no warning %q in %q", want, warnings)
		}
	}
}

// What cannot be carried is refused by the caller's own field.
func TestEncodeRefusals(t *testing.T) {
	user := func(p router.Part) func(*router.Call) {
		p.Field = "messages[0].content[0]"
		return func(c *router.Call) {
			c.Request.Messages = []router.Message{{Role: router.RoleUser, Parts: []router.Part{p}}}
		}
	}
	answering := func(p router.Part) func(*router.Call) {
		return func(c *router.Call) { c.Request.Messages = answered(p) }
	}
	five := int64(5)
	for want, change := range map[string]func(*router.Call){
		"messages[0].content[0]: needs the type of its media at openai/up": user(router.Part{Kind: router.KindImage, Media: &router.Media{Data: "YQ=="}}),
		"top_k: it has no counterpart at openai/up":                        func(c *router.Call) { c.Request.TopK = &five },
		"service_tier: it has no counterpart at openai/up":                 func(c *router.Call) { c.Request.ServiceTier = "batch" },
		"stop_sequences: there are more than 4 stop strings, which cannot be had at openai/up": func(c *router.Call) {
			c.Request.Stop, c.Request.Names = []string{"a", "b", "c", "d", "e"}, map[string]string{"stop": "stop_sequences"}
		},
		"tool_choice: the call of a tool cannot be forced at openai/up": func(c *router.Call) {
			c.Model.Features = append([]string{ledger.FeatureAutoTools}, able...)
		},
		"tools[7]: the name \"a.b\" cannot be sent at openai/up: it is to be of 1 to 64 letters, digits, _ and -": func(c *router.Call) {
			c.Request.Tools, c.Request.ToolChoice = []router.Tool{{Name: "a.b", Field: "tools[7]"}}, router.ToolChoice{}
		},
		"messages[0].content[0]: another provider's file cannot be sent at openai/up":             user(router.Part{Kind: router.KindImage, Media: &router.Media{File: "f"}}),
		"messages[0].content[0]: a file must be in the request itself at openai/up":               user(router.Part{Kind: router.KindDocument, Media: &router.Media{URL: "https://e.com"}}),
		"messages[0].content[0]: audio must be WAV or MP3 in the request itself at openai/up":     user(router.Part{Kind: router.KindAudio, Media: &router.Media{Type: "audio/flac", Data: "YQ=="}}),
		"messages[0].content[0]: content of type \"server_tool_use\" cannot be sent at openai/up": user(router.Part{Kind: "server_tool_use"}),
		"messages[0].content[0]: content of type \"image\" cannot be sent at openai/up":           user(router.Part{Kind: router.KindImage}),
		"messages[0].content[0]: content of type \"refusal\" cannot be sent at openai/up":         user(router.Part{Kind: router.KindRefusal}),
		"messages[0].content[0].content[0]: content of type \"image\" cannot be sent at openai/up": answering(router.Part{Kind: router.KindResult, Parts: []router.Part{
			{Kind: router.KindImage, Media: &router.Media{URL: "https://e.com"}, Field: "messages[0].content[0].content[0]"}}}),
		"model: tokens cannot be counted at openai/up": func(c *router.Call) { c.Request.Endpoint = router.EndpointCount },
	} {
		c := leg(conversation())
		change(&c)
		body, _, err := encode(c)
		if _, ok := errors.AsType[*router.FieldError](err); !ok || body != nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// What one encodes the other decodes to the same.
func TestRoundTrip(t *testing.T) {
	first, err := Inbound{}.Decode(router.Incoming{Body: fixture(t, "chat.json")})
	if err != nil {
		t.Fatal(err)
	}
	first.Model, first.Extra, first.Hints, first.TopK, first.OutputCap = "up", nil, nil, nil, 77
	for i := range first.Messages { // thoughts and files of the provider's own do not travel
		parts := first.Messages[i].Parts[:0:0]
		for _, p := range first.Messages[i].Parts {
			if p.Kind != router.KindReasoning && (p.Media == nil || p.Media.File == "") {
				parts = append(parts, p)
			}
		}
		first.Messages[i].Parts = parts
	}
	first.Tools[1].Strict, first.Format.Strict = nil, new(bool)
	body, warnings, err := encode(leg(first))
	if err != nil || len(warnings) > 0 {
		t.Fatal(warnings, err)
	}
	second, err := Inbound{}.Decode(router.Incoming{Body: body})
	if err != nil {
		t.Fatal(err)
	}
	if g, w := meaning(t, second), meaning(t, first); g != w {
		t.Errorf("got  %s\nwant %s", g, w)
	}
}

// meaning is a request without what says how and where it was written.
func meaning(t *testing.T, r *router.Request) string {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	var strip func(any)
	strip = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, name := range []string{"Raw", "Field", "Body", "Names", "Dialect"} {
				delete(v, name)
			}
			for _, m := range v {
				strip(m)
			}
		case []any:
			for _, m := range v {
				strip(m)
			}
		}
	}
	strip(v)
	b, _ = json.MarshalIndent(v, "", " ")
	return string(b)
}

func TestStrictable(t *testing.T) {
	for schema, want := range map[string]bool{
		`{"type":"object","properties":{},"additionalProperties":false}`:                                                                          true,
		`{"type":"object","properties":{"a":{"type":["string","null"]}},"required":["a"],"additionalProperties":false}`:                           true,
		`{"type":"object","properties":{"a":{"$ref":"#/$defs/x"}},"required":["a"],"additionalProperties":false,"$defs":{"x":{"type":"string"}}}`: true,
		`{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}`:                                                     false, // not required
		`{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}`:                                                                 false, // open
		`{"type":"object","properties":{"a":{"type":"object"}},"required":["a"],"additionalProperties":false}`:                                    false, // open inside
		`{"type":"object","properties":{"a":{"type":"array","items":{"type":["object","null"]}}},"required":["a"],"additionalProperties":false}`:  false,
		`{"type":"object","properties":{"a":{"type":"string","default":"x"}},"required":["a"],"additionalProperties":false}`:                      false,
		`{"type":"object","properties":{"a":true},"required":["a"],"additionalProperties":false}`:                                                 false,
		`{"type":"array","items":{"type":"string"}}`:                                                                                              false,
		`{"type":"object","additionalProperties":false,"anyOf":[]}`:                                                                               false,
		``: false,
	} {
		if got := Strictable(json.RawMessage(schema)); got != want {
			t.Errorf("%s: %t", schema, got)
		}
	}
}

func TestEfforts(t *testing.T) {
	for budget, want := range map[int64]string{-1: "", 0: "none", 1024: "low", 2048: "medium", 12287: "medium", 12288: "high"} {
		tr, err := router.Translate(leg(&router.Request{Budget: &budget}))
		if err != nil {
			t.Fatal(err)
		}
		if got := effort(tr); got != want || (len(tr.Warnings) > 0) != (budget > 0) {
			t.Errorf("%d: %q %q", budget, got, tr.Warnings)
		}
	}
}

func TestLongEndUser(t *testing.T) {
	tr, _ := router.Translate(leg(&router.Request{EndUser: strings.Repeat("u", 129)}))
	if got := EndUser(tr); len(got) != 64 || len(tr.Warnings) != 1 {
		t.Errorf("%q %q", got, tr.Warnings)
	}
}

// A file whose type its caller left out is a PDF if it begins like one; its detail is told of, for the dialect has none.
func TestFilesWithoutType(t *testing.T) {
	part := router.Part{Kind: router.KindDocument, Media: &router.Media{Data: "JVBERi0xLjQ=", Name: "a.pdf", Detail: "high"}, Field: "d"}
	c := leg(&router.Request{Messages: []router.Message{{Role: router.RoleUser, Parts: []router.Part{part, part}}}})
	body, warnings, err := encode(c)
	if err != nil || !bytes.Contains(body, []byte(`"data:application/pdf;base64,JVBERi0xLjQ="`)) || len(warnings) != 1 || !strings.HasPrefix(warnings[0], "d: its detail is left out") {
		t.Errorf("%s %q %v", body, warnings, err)
	}
	part.Media.Data = "YWJjZGVm"
	if _, _, err := encode(c); err == nil || err.Error() != "d: needs the type of its media at openai/up" {
		t.Error(err)
	}
}

// answered is a conversation in which a tool was called and gave back a result.
func answered(result router.Part) []router.Message {
	return []router.Message{{Role: router.RoleAssistant, Parts: []router.Part{{Kind: router.KindCall, ID: result.ID, Name: "weather", Text: "{}"}}},
		{Role: router.RoleUser, Parts: []router.Part{result}}}
}

// That a tool failed stands before what it gave back, however that is written.
func TestFailedResults(t *testing.T) {
	for _, tt := range []struct {
		parts []router.Part
		want  string
	}{
		{nil, `"The tool failed."`},
		{[]router.Part{router.Text("no such city")}, `"The tool failed.\nno such city"`},
		{[]router.Part{router.Text("a"), router.Text("b")}, `[{"type":"text","text":"The tool failed."},{"type":"text","text":"a"},{"type":"text","text":"b"}]`},
	} {
		c := leg(&router.Request{Messages: answered(router.Part{Kind: router.KindResult, ID: "c", Failed: true, Parts: tt.parts, Field: "f"})})
		body, warnings, err := encode(c)
		if want := `{"role":"tool","tool_call_id":"c","content":` + tt.want + `}`; err != nil || len(warnings) != 1 || !bytes.Contains(body, []byte(want)) {
			t.Errorf("%s %q %v", body, warnings, err)
		}
	}
}

// A remembered turn whose calls the caller has changed is written from its parts, and what was thought is missed aloud, once.
func TestChangedTurns(t *testing.T) {
	turns := append(answered(router.Part{Kind: router.KindResult, ID: "a"}), answered(router.Part{Kind: router.KindResult, ID: "b"})...)
	turns[0].Field = "messages[0]"
	c := leg(&router.Request{Messages: turns})
	c.Turn = func(string) []byte {
		return []byte(`{"role":"assistant","content":"","reasoning_content":"THOUGHT","tool_calls":[{"id":"a"},{"id":"b"}]}`)
	}
	body, warnings, err := encode(c)
	if err != nil || bytes.Contains(body, []byte("THOUGHT")) || len(warnings) != 1 || !strings.HasPrefix(warnings[0], "messages[0]: what the model thought is left out") {
		t.Errorf("%s %q %v", body, warnings, err)
	}
}
