package gemini

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
)

var able = []string{ledger.FeatureReasoning, ledger.FeatureSampling, ledger.FeatureImages, ledger.FeatureTools, ledger.FeatureStructured}

func legOf(features ...string) router.Call {
	return router.Call{OutputCap: 77, Model: ledger.Model{ID: "up", Name: "g/up", Features: append(slices.Clone(able), features...)}}
}

func encoded(t *testing.T, c router.Call, r router.Request) (string, []string) {
	t.Helper()
	c.Request = &r
	got, warnings, err := encode(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(got), warnings
}

func toolTurns() []router.Message {
	return []router.Message{
		{Role: router.RoleUser, Parts: []router.Part{router.Text("Go")}},
		{Role: router.RoleAssistant, Parts: []router.Part{{Kind: router.KindReasoning, Text: "Hm", Signature: "s", Field: "messages[1].content[0]"}, router.Text("Calling."),
			{Kind: router.KindCall, ID: "c1", Name: "f", Text: `{"a": 1}`}, {Kind: router.KindCall, ID: "c2", Name: "g", Text: `oops`, Field: "messages[1].tool_calls[1]"}}},
		{Role: router.RoleUser, Parts: []router.Part{
			{Kind: router.KindResult, ID: "c2", Parts: []router.Part{router.Text("no such city")}, Failed: true},
			{Kind: router.KindResult, ID: "c1", Parts: []router.Part{router.Text(`{"t":20}`)}}}},
	}
}

const callingTurn = `{"role":"user","parts":[{"text":"Go"}]},{"role":"model","parts":[{"text":"Calling."},{"functionCall":{"name":"f","args":{"a": 1}},"thoughtSignature":"skip_thought_signature_validator"},{"functionCall":{"name":"g","args":{}}}]}`

// inner is what is between the brackets.
func inner(list string) string { return list[1 : len(list)-1] }

// Results go back in the order of the calls, in one content, under the functions' own names.
func TestToolTurns(t *testing.T) {
	const results = `{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"output":{"t":20}}}},{"functionResponse":{"name":"g","response":{"error":"no such city"}}}]}`
	warned := []string{"messages[1].tool_calls[1]: its arguments are not a JSON object and were sent as an empty one",
		"messages[1].content[0]: left out, reasoning that g/up did not do cannot be sent to it"}
	got, warnings := encoded(t, legOf(), router.Request{Messages: toolTurns()})
	if want := compact(t, `{"contents":[`+callingTurn+`,`+results+`],"generationConfig":{"maxOutputTokens":77}}`); compact(t, got) != want || !slices.Equal(warnings, warned) {
		t.Errorf("got  %s %q\nwant %s", got, warnings, want)
	}
	// The 2.5 family demands no seal; neither does an exchange that is over.
	unsealed := inner(compact(t, "["+strings.Replace(callingTurn, `,"thoughtSignature":"skip_thought_signature_validator"`, "", 1)+"]"))
	got, _ = encoded(t, legOf(ledger.FeatureBudget), router.Request{Messages: toolTurns()})
	if !strings.Contains(compact(t, got), unsealed) {
		t.Error(got)
	}
	over := toolTurns()
	over[2].Parts = append(over[2].Parts, router.Text("And now?"))
	got, _ = encoded(t, legOf(), router.Request{Messages: over})
	if compact(t, got) != compact(t, `{"contents":[`+unsealed+`,`+results+`,{"role":"user","parts":[{"text":"And now?"}]}],"generationConfig":{"maxOutputTokens":77}}`) {
		t.Error(got)
	}
}

// A turn that Gemini said comes back in its own words, with its seals and its ids.
func TestRememberedTurn(t *testing.T) {
	said := `[{"text":"Calling."},{"functionCall":{"id":"own1","name":"f","args":{"a":1}},"thoughtSignature":"c2VhbA=="},{"functionCall":{"name":"g"}}]`
	c := legOf()
	c.Turn = func(id string) []byte {
		if id == "c1" {
			return []byte(said)
		}
		return nil
	}
	turns := toolTurns()
	turns[1].Field, turns[1].Parts[3].Text = "messages[1]", ""
	got, warnings := encoded(t, c, router.Request{Messages: turns})
	want := `{"contents":[{"role":"user","parts":[{"text":"Go"}]},{"role":"model","parts":` + said + `},{"role":"user","parts":[
		{"functionResponse":{"id":"own1","name":"f","response":{"output":{"t":20}}}},{"functionResponse":{"name":"g","response":{"error":"no such city"}}}]}],"generationConfig":{"maxOutputTokens":77}}`
	if compact(t, got) != compact(t, want) || len(warnings) > 0 {
		t.Errorf("got %s %q", got, warnings)
	}
	// What the caller has changed since is not what Gemini said.
	for name, change := range map[string]func(parts []router.Part) []router.Part{
		"a call less":       func(parts []router.Part) []router.Part { return parts[:3] },
		"another function":  func(parts []router.Part) []router.Part { parts[3].Name = "h"; return parts },
		"another argument":  func(parts []router.Part) []router.Part { parts[2].Text = `{"a":2}`; return parts },
		"arguments broken":  func(parts []router.Part) []router.Part { parts[2].Text = `{"a":`; return parts },
		"another text":      func(parts []router.Part) []router.Part { parts[1].Text = "I call."; return parts },
		"more text":         func(parts []router.Part) []router.Part { return append(parts, router.Text("Calling.")) },
		"an argument added": func(parts []router.Part) []router.Part { parts[3].Text = `{"b":null}`; return parts },
	} {
		turns := toolTurns()
		turns[1].Field, turns[1].Parts[3].Text = "messages[1]", ""
		turns[1].Parts = change(turns[1].Parts)
		got, warnings := encoded(t, c, router.Request{Messages: append(turns[:2:2], text(router.RoleUser, "And?"))})
		if strings.Contains(got, "c2VhbA==") || !slices.Contains(warnings, "messages[1]: what the model thought is left out, since the turn that it led to has changed") {
			t.Errorf("%s: %s %q", name, got, warnings)
		}
	}
}

// Losses of one kind are told of once, and schemas name no more than they can in a header.
func TestWarningsBounded(t *testing.T) {
	turns := toolTurns()
	for i := range 100 {
		turns[1].Parts = append(turns[1].Parts, router.Part{Kind: router.KindCall, ID: fmt.Sprint("d", i), Name: "f", Text: "oops", Field: "messages[1]"})
	}
	var schema strings.Builder
	for i := range 100 {
		fmt.Fprintf(&schema, `"x%02d":1,"x%02d":2,`, i, i)
	}
	_, warnings := encoded(t, legOf(), router.Request{Messages: turns, Format: router.Format{Kind: router.FormatSchema, Schema: json.RawMessage("{" + schema.String() + `"type":"object"}`)}})
	if len(warnings) != 3 || warnings[2] != "response_format: its schema's x00, x01, x02, x03, x04, x05, x06, x07, x08, x09, x10, x11, x12, x13, x14, x15 and more left out, g/up does not know them" {
		t.Errorf("%q", warnings)
	}
}

// Keywords that narrow are not lost in silence, wherever they stand.
func TestSchemaLosses(t *testing.T) {
	for schema, want := range map[string]string{
		`{"enum":[1,2],"const":1}`:                        `{"enum":[1,2]} [const]`,
		`{"type":"array","items":false}`:                  `{"type":"array"} [items]`,
		`{"type":"array","items":true}`:                   `{"type":"array"} []`,
		`{"anyOf":[{"type":"string"}],"nullable":true}`:   `{"anyOf":[{"type":"string"}]} [nullable]`,
		`{"type":"string","nullable":true}`:               `{"type":["string","null"]} []`,
		`{"title":"t","allOf":[{"type":"string"}]}`:       `{"title":"t","type":"string"} []`,
		`{"allOf":[{"type":"string","const":"a"}]}`:       `{"type":"string"} [const]`,
		`{"type":"string","allOf":[{"type":"string"}]}`:   `a schema with "allOf" cannot be sent`,
		`{"allOf":[{"a\"b":1}],"properties":{"c":false}}`: `{"properties":{"c":{}}} [a"b false]`,
	} {
		var s subset
		got, err := s.schema(json.RawMessage(schema))
		if said := fmt.Sprint(string(got), " ", s.left); err == nil && said != want || err != nil && err.Error() != want {
			t.Errorf("%s: %s %v, want %s", schema, said, err, want)
		}
	}
}

func TestTools(t *testing.T) {
	yes := true
	hi := []router.Message{text(router.RoleUser, "Hi")}
	const begins, ends = `{"contents":[{"role":"user","parts":[{"text":"Hi"}]}],`, `"generationConfig":{"maxOutputTokens":77}}`
	empty := router.Tool{Name: "now", Schema: json.RawMessage(`{"type":"object","properties":{},"additionalProperties":false}`)}
	none := router.Tool{Name: "none"}
	full := router.Tool{Name: "f", Description: "d", Field: "tools[2]", Schema: json.RawMessage(`{"$schema":"x","type":"object","properties":{"a":{"type":["string","null"],"pattern":"^x"},"o":{"type":"object","properties":{}}},"required":["a"]}`)}
	const both = `{"functionDeclarations":[{"name":"now"},{"name":"f","description":"d","parametersJsonSchema":{"type":"object","properties":{"a":{"type":["string","null"]},"o":{"type":"object"}},"required":["a"]}}]}`
	const narrowed = "tools[2]: its schema's pattern left out, g/up does not know them"
	for _, tt := range []struct {
		name     string
		r        router.Request
		want     string
		warnings []string
	}{
		{"empty objects take nothing", router.Request{Tools: []router.Tool{empty, none}}, `"tools":[{"functionDeclarations":[{"name":"now"},{"name":"none"}]}],`, nil},
		{"nullable", router.Request{Tools: []router.Tool{empty, full}}, `"tools":[` + both + `],`, []string{narrowed}},
		{"auto", router.Request{Tools: []router.Tool{none}, ToolChoice: router.ToolChoice{Mode: router.ToolAuto}},
			`"tools":[{"functionDeclarations":[{"name":"none"}]}],"toolConfig":{"functionCallingConfig":{"mode":"AUTO"}},`, nil},
		{"none", router.Request{Tools: []router.Tool{none}, ToolChoice: router.ToolChoice{Mode: router.ToolNone}},
			`"tools":[{"functionDeclarations":[{"name":"none"}]}],"toolConfig":{"functionCallingConfig":{"mode":"NONE"}},`, nil},
		{"one", router.Request{Tools: []router.Tool{none, empty}, ToolChoice: router.ToolChoice{Mode: router.ToolRequired, Names: []string{"now"}}},
			`"tools":[{"functionDeclarations":[{"name":"none"},{"name":"now"}]}],"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["now"]}},`, nil},
		{"some", router.Request{Tools: []router.Tool{none, empty}, ToolChoice: router.ToolChoice{Mode: router.ToolAuto, Names: []string{"now"}}},
			`"tools":[{"functionDeclarations":[{"name":"now"}]}],"toolConfig":{"functionCallingConfig":{"mode":"AUTO"}},`, nil},
		{"strict", router.Request{Tools: []router.Tool{{Name: "s", Strict: &yes}}}, `"tools":[{"functionDeclarations":[{"name":"s"}]}],"toolConfig":{"functionCallingConfig":{"mode":"VALIDATED"}},`, nil},
		{"strict, some", router.Request{Tools: []router.Tool{{Name: "s", Strict: &yes}, {Name: "l", Strict: ptr(false)}, none}, ToolChoice: router.ToolChoice{Mode: router.ToolAuto}},
			`"tools":[{"functionDeclarations":[{"name":"s"},{"name":"l"},{"name":"none"}]}],"toolConfig":{"functionCallingConfig":{"mode":"VALIDATED"}},`, nil},
		{"strict, forced", router.Request{Tools: []router.Tool{{Name: "s", Strict: &yes}}, ToolChoice: router.ToolChoice{Mode: router.ToolRequired}},
			`"tools":[{"functionDeclarations":[{"name":"s"}]}],"toolConfig":{"functionCallingConfig":{"mode":"ANY"}},`, nil},
		{"strict elsewhere", router.Request{Tools: []router.Tool{{Name: "s", Strict: &yes}, none}, ToolChoice: router.ToolChoice{Mode: router.ToolAuto, Names: []string{"none"}}},
			`"tools":[{"functionDeclarations":[{"name":"none"}]}],"toolConfig":{"functionCallingConfig":{"mode":"AUTO"}},`, nil},
		{"arguments without names", router.Request{Tools: []router.Tool{{Name: "a", Field: "tools[0]", Schema: json.RawMessage(`{"type":"object","additionalProperties":true}`)}}},
			`"tools":[{"functionDeclarations":[{"name":"a"}]}],`, []string{"tools[0]: declared without arguments, g/up takes none that have no name"}},
		{"serial", router.Request{Tools: []router.Tool{none}, Serial: true}, `"tools":[{"functionDeclarations":[{"name":"none"}]}],`,
			[]string{"parallel_tool_calls: left out, g/up cannot be kept from several calls at once"}},
	} {
		tt.r.Messages = hi
		if got, warnings := encoded(t, legOf(), tt.r); got != begins+tt.want+ends || !slices.Equal(warnings, tt.warnings) {
			t.Errorf("%s: got %s %q\nwant %s", tt.name, got, warnings, begins+tt.want+ends)
		}
	}
}

func TestFormatsMediaAndThoughts(t *testing.T) {
	budget := int64(3000)
	image := router.Part{Kind: router.KindImage, Media: &router.Media{Type: "image/png", Data: "//79"}, Field: "messages[0].content[1]"}
	pdf := router.Part{Kind: router.KindDocument, Media: &router.Media{Type: "application/pdf", Data: "JVBE", Name: "a.pdf"}, Field: "messages[0].content[2]"}
	got, warnings := encoded(t, legOf(), router.Request{
		Messages: []router.Message{{Role: router.RoleUser, Parts: []router.Part{router.Text("See"), image, pdf}}},
		Format: router.Format{Kind: router.FormatSchema, Name: "n", Schema: json.RawMessage(`{"type":"object","properties":{"a":{"const":"x"},"b":{"$ref":"#/definitions/B"},"c":{"type":"string","nullable":true}},
			"definitions":{"B":{"type":"integer","exclusiveMinimum":0,"multipleOf":2}},"required":["a"],"additionalProperties":false}`)},
		Budget: &budget, Thoughts: true,
	})
	want := `{"contents":[{"role":"user","parts":[{"text":"See"},{"inlineData":{"mimeType":"image/png","data":"//79"}},{"inlineData":{"mimeType":"application/pdf","data":"JVBE"}}]}],
		"generationConfig":{"maxOutputTokens":77,"responseMimeType":"application/json","responseJsonSchema":{"type":"object","properties":{"a":{"enum":["x"]},"b":{"$ref":"#/$defs/B"},"c":{"type":["string","null"]}},
		"$defs":{"B":{"type":"integer"}},"required":["a"],"additionalProperties":false},"thinkingConfig":{"thinkingLevel":"MEDIUM","includeThoughts":true}}}`
	if compact(t, got) != compact(t, want) || !slices.Equal(warnings, []string{
		"messages[0].content[2]: its name or detail left out, there is no place for them at g/up",
		"reasoning_effort: MEDIUM at g/up, the nearest it has",
		"response_format: its schema's exclusiveMinimum, multipleOf left out, g/up does not know them"}) {
		t.Errorf("got %s %q", got, warnings)
	}
	got, _ = encoded(t, legOf(ledger.FeatureBudget), router.Request{Messages: []router.Message{text(router.RoleUser, "x")}, Budget: &budget, Format: router.Format{Kind: router.FormatJSON}})
	if !strings.HasSuffix(got, `"generationConfig":{"maxOutputTokens":77,"responseMimeType":"application/json","thinkingConfig":{"thinkingBudget":3000}}}`) {
		t.Error(got)
	}
}

// What describes a format goes into its schema.
func TestSchemaDescribed(t *testing.T) {
	for _, tt := range []struct{ schema, want, warning string }{
		{`{"type":"object","properties":{"a":{}}}`, `{"description":"d \"1\"","type":"object","properties":{"a":{}}}`, ""},
		{`{"type":"integer","description":"e"}`, `{"description":"d \"1\"\ne","type":"integer"}`, ""},
		{`{"oneOf":[{"type":"string"}]}`, `{"description":"d \"1\"","oneOf":[{"type":"string"}]}`, "response_format: its schema's oneOf is read as anyOf at g/up"},
		{`{"$ref":"#/$defs/a","$defs":{"a":{}}}`, `{"$ref":"#/$defs/a","$defs":{"a":{}}}`, "response_format: the description of its schema is left out, there is no place for it at g/up"},
	} {
		got, warnings := encoded(t, legOf(), router.Request{Messages: []router.Message{text(router.RoleUser, "Hi")},
			Format: router.Format{Kind: router.FormatSchema, Name: "n", Description: `d "1"`, Schema: json.RawMessage(tt.schema)}})
		if schema := gjson.Get(got, "generationConfig.responseJsonSchema").Raw; schema != tt.want || strings.Join(warnings, ";") != tt.warning {
			t.Errorf("%s: %s %q", tt.schema, schema, warnings)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	hi := []router.Message{text(router.RoleUser, "Hi")}
	seed := int64(1) << 40
	with := func(p router.Part) router.Request {
		p.Field = "messages[0].content[0]"
		return router.Request{Messages: []router.Message{{Role: router.RoleUser, Parts: []router.Part{p}}}}
	}
	for field, r := range map[string]router.Request{
		"messages[0].content[0]":   with(router.Part{Kind: router.KindImage, Media: &router.Media{URL: "https://x/y.png"}}),
		"messages[0].content[0] ":  with(router.Part{Kind: router.KindDocument, Media: &router.Media{File: "file-1"}}),
		"messages[0].content[0]	":  with(router.Part{Kind: router.KindResult, ID: "nobody's"}),
		"messages[0].content[0]\n": with(router.Part{Kind: "search_result"}),
		"seed":                     {Messages: hi, Seed: &seed},
		"n":                        {Messages: hi, N: 9},
		"stop":                     {Messages: hi, Stop: []string{"1", "2", "3", "4", "5", "6"}},
		"service_tier":             {Messages: hi, ServiceTier: "ultrafast"},
		"reasoning_effort":         {Messages: hi, Effort: "extreme"},
		"messages":                 {Messages: append(slices.Clone(hi), text(router.RoleAssistant, "Ho"))},
		"tools[0]":                 {Messages: hi, Tools: []router.Tool{{Name: "1st", Field: "tools[0]"}}},
		"tools[0] ":                {Messages: hi, Tools: []router.Tool{{Name: "f", Field: "tools[0]", Schema: json.RawMessage(`{"type":"object","patternProperties":{}}`)}}},
		"tool_choice":              {Messages: hi, ToolChoice: router.ToolChoice{Mode: router.ToolRequired}},
		"tool_choice ":             {Messages: hi, Tools: []router.Tool{{Name: "f"}}, ToolChoice: router.ToolChoice{Mode: router.ToolAuto, Names: []string{"g"}}},
		"response_format":          {Messages: hi, Format: router.Format{Kind: router.FormatSchema, Schema: json.RawMessage(`{"allOf":[{},{}]}`)}},
	} {
		c := legOf()
		c.Request = &r
		_, _, err := encode(c)
		if e, ok := errors.AsType[*router.FieldError](err); !ok || e.Field != strings.TrimSpace(field) {
			t.Errorf("%q: %v", field, err)
		}
	}
}
