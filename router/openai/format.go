package openai

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
)

// chatFormat is response_format.
type chatFormat struct {
	Type   string      `json:"type"`
	Schema *chatSchema `json:"json_schema,omitzero"`
}

type chatSchema struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitzero"`
	Schema      json.RawMessage `json:"schema,omitzero"`
	Strict      bool            `json:"strict"`
}

// encodeFormat writes the form of the answer. The callers of other dialects are used to answers that keep to their
// schema, so it is strict wherever it can be.
func encodeFormat(t *router.Translated) *chatFormat {
	f := t.Format
	switch {
	case f.Kind == router.FormatJSON:
		return &chatFormat{Type: "json_object"}
	case f.Kind != router.FormatSchema:
		return nil
	case t.Call.Quirks.NoSchema:
		t.Warn("response_format", schemaless(t.Call))
		return &chatFormat{Type: "json_object"}
	}
	out := chatSchema{Name: f.Name, Description: f.Description, Schema: f.Schema}
	if !named(out.Name) {
		out.Name = "answer"
	}
	if out.Strict = f.Strict == nil || *f.Strict; out.Strict && !Strictable(f.Schema) {
		out.Strict = false
		t.Warn("response_format", "not strict, "+t.Model.Name+" cannot hold an answer to this schema")
	}
	return &chatFormat{"json_schema", &out}
}

// AskForJSON adds the instruction to answer in JSON for a caller of another provider's dialect who wants just any JSON and does
// not say so in words: OpenAI refuses a request for it, in either of its dialects, that does not have the word.
func AskForJSON(t *router.Translated) {
	own := t.Dialect == ledger.DialectOpenAIChat || t.Dialect == ledger.DialectOpenAIResponses
	if t.Format.Kind != router.FormatJSON || own || mentionsJSON(t) {
		return
	}
	t.System = append(slices.Clone(t.System), router.Text("Answer in JSON."))
	t.Warn("response_format", "the instruction to answer in JSON was added, without which OpenAI refuses")
}

func mentionsJSON(t *router.Translated) bool {
	for _, m := range append([]router.Message{{Parts: t.System}}, t.Messages...) {
		for _, p := range m.Parts {
			if p.Kind == router.KindText && strings.Contains(strings.ToLower(p.Text), "json") {
				return true
			}
		}
	}
	return false
}

// strictWords are the keywords that a strict schema can have:
// https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
var strictWords = []string{
	"type", "title", "description", "enum", "const", "$ref", "$defs", "definitions", "anyOf",
	"properties", "required", "additionalProperties", "items", "minItems", "maxItems",
	"pattern", "format", "multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
}

// Strictable tells whether a schema is one that OpenAI can hold an answer to: an object whose members are all required
// and no others allowed, at every level.
func Strictable(schema json.RawMessage) bool {
	root := gjson.ParseBytes(schema)
	return root.Get("type").Str == "object" && !root.Get("anyOf").Exists() && strict(root)
}

func strict(s gjson.Result) bool {
	if !s.IsObject() {
		return false
	}
	good, object, open := true, s.Get("properties").Exists(), true
	s.ForEach(func(key, v gjson.Result) bool {
		switch word := key.Str; word {
		case "type":
			object = object || v.Str == "object" || v.IsArray() && slices.ContainsFunc(v.Array(), func(w gjson.Result) bool { return w.Str == "object" })
		case "additionalProperties":
			open = v.Type != gjson.False
		case "properties", "$defs", "definitions", "anyOf":
			v.ForEach(func(_, inner gjson.Result) bool {
				good = good && strict(inner)
				return good
			})
		case "items":
			good = good && strict(v)
		default:
			good = good && slices.Contains(strictWords, word)
		}
		return good
	})
	return good && (!object || !open && allRequired(s))
}

func allRequired(s gjson.Result) bool {
	var required []string
	s.Get("required").ForEach(func(_, name gjson.Result) bool {
		required = append(required, name.Str)
		return true
	})
	slices.Sort(required)
	good := true
	s.Get("properties").ForEach(func(key, _ gjson.Result) bool {
		_, good = slices.BinarySearch(required, key.Str)
		return good
	})
	return good
}
