package router

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"waybill/ledger"
)

// What no provider takes is refused by the caller's own field, before it is written for one.
func TestTranslateRefusesByField(t *testing.T) {
	called := Message{Role: RoleAssistant, Parts: []Part{{Kind: KindCall, ID: "c", Name: "look", Field: "messages[0].tool_calls[0]"}}}
	gave := func(id string, parts ...Part) Message {
		return Message{Role: RoleUser, Parts: []Part{{Kind: KindResult, ID: id, Parts: parts, Field: "messages[1]"}}}
	}
	image := Part{Kind: KindImage, Media: &Media{Type: "image/png", Data: "no base64"}, Field: "messages[0].content[1]"}
	look := Tool{Name: "look", Field: "tools[0]"}
	words := map[string]string{"stop": "stop_sequences", "reasoning_effort": "output_config.effort", "response_format": "output_config.format"}
	for want, r := range map[string]Request{
		`output_config.effort: "huge" is not an effort`:                          {Effort: "huge"},
		`stop_sequences: a stop string must not be empty`:                        {Stop: []string{"x", ""}},
		`tools[1]: another tool has the name "look" too`:                         {Tools: []Tool{look, {Name: "look", Field: "tools[1]"}}},
		`tool_choice: "see" is none of the tools`:                                {Tools: []Tool{look}, ToolChoice: ToolChoice{Mode: ToolRequired, Names: []string{"see"}}},
		`messages[0].content[1]: its data is not base64`:                         {Messages: []Message{{Role: RoleUser, Parts: []Part{Text("this"), image}}}},
		`messages[1]: "d" is the id of no call that was made before`:             {Messages: []Message{called, gave("d")}},
		`messages[0].content[1]: its data is not base`:                           {Messages: []Message{called, gave("c", image)}},
		`messages[1].tool_calls[0]: a call needs the name of its tool`:           {Messages: []Message{say(RoleUser, "1"), {Role: RoleAssistant, Parts: []Part{{Kind: KindCall, ID: "c", Field: "messages[1].tool_calls[0]"}}}}},
		`output_config.format: its schema.properties must be an object of schem`: {Format: Format{Kind: FormatSchema, Schema: json.RawMessage(`{"type":"object","properties":null}`)}},
	} {
		r.Names = words
		_, err := Translate(Call{Request: &r, Model: ledger.Model{Name: "p/m", Features: []string{ledger.FeatureTools, ledger.FeatureImages, ledger.FeatureReasoning, ledger.FeatureStructured}}})
		if _, ok := errors.AsType[*FieldError](err); !ok || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// A schema is one wherever it is written anew for a provider.
func TestMisshapenSchemas(t *testing.T) {
	for schema, want := range map[string]string{
		``: "",
		`{"type":["string","null"],"items":false,"properties":{"properties":{"type":"string"}},"enum":[1],"x":7,"allOf":[{}],"additionalProperties":true,"const":null}`: "",
		`{"items":[{"type":"string"},true]}`: "",
		`7`:                                  "its schema must be an object",
		`{"properties":1}`:                   "its schema.properties must be an object of schemas",
		`{"$defs":[{}]}`:                     "its schema.$defs must be an object of schemas",
		`{"allOf":[{"properties":7}]}`:       "its schema.allOf[0].properties must be an object of schemas",
		`{"additionalProperties":{"properties":5}}`: "its schema.additionalProperties.properties must be an object of schemas",
		`{"properties":{"a":{"items":"string"}}}`:   "its schema.properties.a.items must be a schema: an object, true or false",
		`{"anyOf":{}}`:                 "its schema.anyOf must be a list of schemas",
		`{"properties":{"a":null}}`:    "its schema.properties.a must be a schema: an object, true or false",
		`{"required":["a",1]}`:         "its schema.required must be a list of strings",
		`{"required":true}`:            "its schema.required must be a list of strings",
		`{"type":{}}`:                  "its schema.type must be a string",
		`{"type":["string",null]}`:     "its schema.type must be a list of strings",
		`{"enum":"a"}`:                 "its schema.enum must be a list",
		`{"items":{"nullable":"yes"}}`: "its schema.items.nullable must be true or false",
		`{"not":{"minItems":"1"}}`:     "its schema.not.minItems must be a number",
		`{"$ref":1}`:                   "its schema.$ref must be a string",
		strings.Repeat(`{"not":`, 200) + "{}" + strings.Repeat("}", 200): "its schema nests deeper than 128 levels",
	} {
		if got := misshapen(json.RawMessage(schema)); got != want {
			t.Errorf("%.80s: %q, want %q", schema, got, want)
		}
	}
}

// The names of tools and of calls are held to what a dialect takes.
func TestNamed(t *testing.T) {
	word := func(name string) bool { return IsWord(name, 8) }
	for _, name := range []string{"", "a.b", "ninechars", "é"} {
		for field, r := range map[string]Request{
			"tools[3]":    {Tools: []Tool{{Name: name, Field: "tools[3]"}}},
			"messages[0]": {Messages: []Message{{Parts: []Part{{Kind: KindCall, Name: name, Field: "messages[0]"}}}}},
		} {
			tr := Translated{Request: r, Model: ledger.Model{Name: "p/m"}}
			err := tr.Named(word, "a rule")
			if err == nil || !strings.HasPrefix(err.Error(), field+": ") || !strings.HasSuffix(err.Error(), "a rule") {
				t.Errorf("%q: %v", name, err)
			}
		}
	}
	tr := Translated{Request: Request{Tools: []Tool{{Name: "aZ_-09"}}, Messages: []Message{{Parts: []Part{{Kind: KindCall, Name: "b"}, Text("c.d")}}}}}
	if err := tr.Named(word, ""); err != nil {
		t.Error(err)
	}
}

// A conversation that the assistant begins has a user's turn before it, for providers where it cannot.
func TestTurnsBeginWithTheUser(t *testing.T) {
	tr := Translated{Request: Request{Messages: []Message{say(RoleAssistant, "Hello!"), say(RoleUser, "Hi")}}, Model: ledger.Model{Name: "p/m"}}
	turns, err := tr.Turns()
	if err != nil || len(turns) != 3 || turns[0].Role != RoleUser || turns[0].Parts[0].Text != " " || turns[1].Parts[0].Text != "Hello!" {
		t.Errorf("%+v %v", turns, err)
	}
	if len(tr.Warnings) != 1 || !strings.HasPrefix(tr.Warnings[0], "messages: ") {
		t.Errorf("%q", tr.Warnings)
	}
}
