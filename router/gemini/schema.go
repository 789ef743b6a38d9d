package gemini

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// subset writes JSON Schema in the subset that Gemini takes. What only narrows is left out; what would mean something
// else without it is an error. https://ai.google.dev/gemini-api/docs/structured-output
type subset struct {
	left []string // keywords that were left out, each once
	more bool     // there are more than maxLeft
	one  bool     // it has a oneOf, which Gemini reads as if it were an anyOf
	err  error
}

// maxLeft bounds how many keywords a warning names.
const maxLeft = 16

// kept are the keywords whose values go over as they are.
var kept = map[string]bool{
	"$id": true, "$anchor": true, "type": true, "format": true, "title": true, "description": true, "enum": true,
	"minItems": true, "maxItems": true, "minimum": true, "maximum": true, "required": true, "propertyOrdering": true,
}

// silent are the keywords that say nothing of the instance.
var silent = map[string]bool{"$schema": true, "$comment": true, "deprecated": true, "readOnly": true, "writeOnly": true, "strict": true}

// structural are the keywords without which a schema lets through something else than its author described.
var structural = map[string]bool{
	"$dynamicRef": true, "$recursiveRef": true, "allOf": true, "not": true, "if": true, "then": true, "else": true,
	"patternProperties": true, "dependentSchemas": true, "dependencies": true,
}

// schema writes a whole schema; nothing for nothing.
func (s *subset) schema(raw json.RawMessage) (json.RawMessage, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	doc, err := router.Document(raw)
	if err != nil || !doc.IsObject() {
		return nil, errors.New("a schema must be a JSON object")
	}
	out := s.object(doc)
	return json.RawMessage(out), s.err
}

// warn tells what was left out or will be read otherwise, once for a schema.
func (s *subset) warn(t *router.Translated, field string) {
	if s.one {
		t.Warnings = append(t.Warnings, field+": its schema's oneOf is read as anyOf at "+t.Model.Name)
	}
	if len(s.left) > 0 {
		slices.Sort(s.left)
		what := strings.Join(s.left, ", ")
		if s.more {
			what += " and more"
		}
		t.Warnings = append(t.Warnings, fmt.Sprintf("%s: its schema's %s left out, %s does not know them", field, what, t.Model.Name))
	}
}

func (s *subset) value(v gjson.Result) string {
	switch {
	case v.IsObject():
		return s.object(v)
	case v.Type == gjson.False:
		s.drop("false")
	}
	return "{}"
}

func (s *subset) drop(keyword string) {
	keyword = strings.Map(printable, keyword[:min(len(keyword), 64)])
	switch {
	case slices.Contains(s.left, keyword):
	case len(s.left) == maxLeft:
		s.more = true
	default:
		s.left = append(s.left, keyword)
	}
}

// printable keeps warnings, which go into a header, to ASCII.
func printable(c rune) rune {
	if c <= ' ' || c > '~' {
		return '?'
	}
	return c
}

func (s *subset) object(v gjson.Result) string {
	w := router.NewObject(len(v.Raw))
	nullable, listed, typed := false, false, false
	var constant, only gjson.Result
	v.ForEach(func(key, inner gjson.Result) bool {
		switch key.Str {
		case "nullable": // OpenAPI's, which many write
			nullable = inner.Bool()
		case "type":
			typed = inner.Type == gjson.String
		case "enum":
			listed = true
		case "const":
			constant = inner
		case "allOf":
			if inner.Get("#").Int() == 1 {
				only = inner.Get("0")
			}
		}
		return true
	})
	v.ForEach(func(key, inner gjson.Result) bool {
		switch {
		case key.Str == "type" && nullable && inner.Type == gjson.String && inner.Str != "null":
			w.Raw("type", "["+inner.Raw+`,"null"]`)
		case key.Str == "allOf" && only.IsObject():
			s.only(w, v, only)
		default:
			s.keyword(w, key.Str, inner)
		}
		return s.err == nil
	})
	switch {
	case !constant.Exists():
	case listed:
		s.drop("const")
	default:
		w.Raw("enum", "["+constant.Raw+"]")
	}
	if nullable && !typed {
		s.drop("nullable")
	}
	return string(w.End())
}

// only writes the one schema of an allOf into the schema around it, as generators wrap a reference to describe it.
func (s *subset) only(w *router.Object, around, inner gjson.Result) {
	taken := map[string]bool{}
	around.ForEach(func(key, _ gjson.Result) bool {
		taken[key.Str] = true
		return true
	})
	inner.ForEach(func(key, v gjson.Result) bool {
		if taken[key.Str] {
			s.err = fmt.Errorf("a schema with %q cannot be sent", "allOf")
			return false
		}
		if key.Str == "const" || key.Str == "nullable" {
			s.drop(key.Str)
			return true
		}
		s.keyword(w, key.Str, v)
		return s.err == nil
	})
}

func (s *subset) keyword(w *router.Object, name string, v gjson.Result) {
	switch name {
	case "const", "nullable":
	case "$ref":
		w.String(name, strings.Replace(v.Str, "#/definitions/", "#/$defs/", 1))
	case "$defs", "definitions":
		w.Raw("$defs", s.named(v))
	case "properties":
		if inner := s.named(v); inner != "{}" {
			w.Raw(name, inner)
		}
	case "required":
		if v.Raw != "[]" {
			w.Raw(name, v.Raw)
		}
	case "items", "prefixItems":
		if v.IsArray() {
			w.Raw("prefixItems", s.list(v))
		} else if v.IsObject() {
			w.Raw(name, s.object(v))
		} else if v.Type == gjson.False {
			s.drop(name)
		}
	case "additionalProperties":
		if v.IsObject() {
			w.Raw(name, s.object(v))
		} else {
			w.Raw(name, v.Raw)
		}
	case "anyOf", "oneOf":
		s.one = s.one || name == "oneOf"
		w.Raw(name, s.list(v))
	default:
		switch {
		case kept[name]:
			w.Raw(name, v.Raw)
		case structural[name]:
			s.err = fmt.Errorf("a schema with %q cannot be sent", name)
		case !silent[name]:
			s.drop(name)
		}
	}
}

// named writes schemas by name.
func (s *subset) named(v gjson.Result) string {
	w := router.NewObject(len(v.Raw))
	v.ForEach(func(key, v gjson.Result) bool {
		w.Member(key.Raw, s.value(v))
		return s.err == nil
	})
	return string(w.End())
}

// list writes schemas in a list.
func (s *subset) list(v gjson.Result) string {
	var all []string
	v.ForEach(func(_, v gjson.Result) bool {
		all = append(all, s.value(v))
		return s.err == nil
	})
	return "[" + strings.Join(all, ",") + "]"
}
