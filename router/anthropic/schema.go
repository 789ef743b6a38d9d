package anthropic

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// asJSON stands in for OpenAI's and Gemini's answer in any JSON, which Anthropic cannot be held to.
const asJSON = "Answer with one JSON object and nothing else: no words around it, no code fence."

// format writes the form that the answer is to have. A schema's name is not sent, and that is no loss to warn of: it is a
// label that no answer contains, and Anthropic has none. Nor is it one that a schema was not called strict: Anthropic holds to
// all.
func (e *encoding) format(system *[]router.Part) error {
	t := e.t
	switch t.Format.Kind {
	case router.FormatJSON:
		*system = append(slices.Clone(*system), router.Text(asJSON))
		t.Warn("response_format", "asked for by an instruction, "+t.Model.Name+" cannot be held to any JSON without a schema")
	case router.FormatSchema:
		s := subset{}
		doc := gjson.Parse(router.TextOf(t.Format.Schema))
		if !doc.IsObject() {
			return t.Cannot("response_format", "its schema must be an object")
		}
		schema, err := s.schema(doc)
		if err != nil {
			return t.Cannot("response_format", err.Error())
		}
		if len(s.left) > 0 {
			t.Warn("response_format", s.warning(t.Model.Name))
		}
		e.out.OutputConfig.Format = &outputFormat{"json_schema", t.Described(json.RawMessage(schema))}
	}
	return nil
}

// subset makes of a JSON Schema what Anthropic holds an answer to.
// https://platform.claude.com/docs/en/build-with-claude/structured-outputs
type subset struct {
	left []string // keywords that were left out
}

// What the subset does with keywords: kept are copied, narrowing are left out (an answer by the schema without them may
// break them, and there is a warning), and all others that are not read below are refused.
var (
	kept = words("$ref $defs definitions type title description default enum const required properties items anyOf allOf " +
		"additionalProperties format minItems $schema $id $anchor $comment")
	narrowing = words("minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength pattern maxItems uniqueItems " +
		"minProperties maxProperties examples deprecated readOnly writeOnly propertyOrdering nullable contentEncoding contentMediaType")
	formats = words("date-time time date duration email hostname uri ipv4 ipv6 uuid")
)

func words(s string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(s) {
		m[w] = true
	}
	return m
}

func (s *subset) warning(model string) string {
	return strings.Join(s.left, ", ") + " in the schema left out, " + model + " does not hold an answer to it"
}

func (s *subset) leave(keyword string) {
	if !slices.Contains(s.left, keyword) {
		s.left = append(s.left, keyword)
	}
}

// schema writes one schema. What is no object is a boolean schema and stays.
func (s *subset) schema(v gjson.Result) (string, error) {
	if !v.IsObject() {
		return v.Raw, nil
	}
	if v.Get("anyOf").Exists() && v.Get("oneOf").Exists() {
		return "", errors.New("the schema cannot have anyOf and oneOf side by side")
	}
	w := router.NewObject(len(v.Raw) + 32)
	var err error
	v.ForEach(func(key, value gjson.Result) bool {
		err = s.keyword(w, key, value)
		return err == nil
	})
	if err != nil {
		return "", err
	}
	if err := s.close(w, v); err != nil {
		return "", err
	}
	return string(w.End()), nil
}

func (s *subset) keyword(w *router.Object, key, v gjson.Result) (err error) {
	var inner string
	switch name := key.Str; {
	case name == "additionalProperties": // close writes it
		return nil
	case name == "properties" || name == "$defs" || name == "definitions":
		inner, err = s.members(v)
	case name == "items":
		inner, err = s.schema(v)
	case name == "anyOf" || name == "allOf":
		inner, err = s.list(v)
	case name == "oneOf": // of which Anthropic does not promise that only one fits
		s.leave(name)
		inner, err = s.list(v)
		key.Raw = `"anyOf"`
	case name == "minItems" && v.Int() > 1, name == "format" && !formats[v.Str], narrowing[name]:
		s.leave(name)
		return nil
	case name == "$ref" && !strings.HasPrefix(v.Str, "#/"):
		return fmt.Errorf("the schema cannot refer to %.64q", v.Str)
	case kept[name]:
		inner = v.Raw
	default:
		return fmt.Errorf("the schema cannot have %.64q", name)
	}
	if err == nil {
		w.Member(key.Raw, inner)
	}
	return err
}

// close says that an object has no members but those that are named, as Anthropic wants it said. An object that is made
// of nothing else has no counterpart.
func (s *subset) close(w *router.Object, v gjson.Result) error {
	extra, properties := v.Get("additionalProperties"), v.Get("properties")
	object := v.Get("type").Str == "object" || properties.Exists() || extra.Exists()
	v.Get("type").ForEach(func(_, t gjson.Result) bool {
		object = object || t.Str == "object"
		return true
	})
	if !object || v.Get("$ref").Exists() {
		return nil
	}
	open := extra.Raw != "false"
	if none := len(properties.Map()) == 0; open && none && !v.Get("anyOf").Exists() && !v.Get("allOf").Exists() && !v.Get("oneOf").Exists() {
		return errors.New("the schema cannot have an object whose members it does not name")
	}
	if extra.Exists() && open {
		s.leave("additionalProperties")
	}
	w.Raw("additionalProperties", "false")
	return nil
}

// members writes schemas by name.
func (s *subset) members(v gjson.Result) (string, error) {
	if !v.IsObject() {
		return v.Raw, nil
	}
	w := router.NewObject(len(v.Raw))
	var err error
	v.ForEach(func(key, value gjson.Result) bool {
		var inner string
		if inner, err = s.schema(value); err == nil {
			w.Member(key.Raw, inner)
		}
		return err == nil
	})
	return string(w.End()), err
}

// list writes schemas in a row.
func (s *subset) list(v gjson.Result) (string, error) {
	if !v.IsArray() {
		return v.Raw, nil
	}
	var out []string
	for _, value := range v.Array() {
		inner, err := s.schema(value)
		if err != nil {
			return "", err
		}
		out = append(out, inner)
	}
	return "[" + strings.Join(out, ",") + "]", nil
}
