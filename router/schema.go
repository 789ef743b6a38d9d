package router

import (
	"encoding/json"
	"strconv"

	"github.com/tidwall/gjson"
)

// keyword says why a keyword of JSON Schema does not have the value that it is for; nothing if it has, or is not known here.
// All of those are known that are rewritten for a provider: what is rewritten must be what it is taken for.
// https://json-schema.org/draft/2020-12/json-schema-core
func keyword(name string, v gjson.Result, at string) string {
	switch name {
	case "properties", "patternProperties", "$defs", "definitions", "dependentSchemas":
		return schemasByName(v, at)
	case "allOf", "anyOf", "oneOf", "prefixItems":
		return schemas(v, at)
	case "items":
		if v.IsArray() { // an older form of prefixItems
			return schemas(v, at)
		}
		return aSchema(v, at)
	case "additionalProperties", "unevaluatedProperties", "propertyNames", "not", "if", "then", "else", "contains", "additionalItems", "unevaluatedItems":
		return aSchema(v, at)
	case "required", "propertyOrdering":
		return strs(v, at)
	case "type":
		if v.IsArray() {
			return strs(v, at)
		}
		return must(v.Type == gjson.String, at, "a string")
	case "$ref", "title", "description", "format", "pattern":
		return must(v.Type == gjson.String, at, "a string")
	case "enum":
		return must(v.IsArray(), at, "a list")
	case "nullable":
		return must(v.IsBool(), at, "true or false")
	case "minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties", "minimum", "maximum", "multipleOf":
		return must(v.Type == gjson.Number, at, "a number")
	}
	return ""
}

// misshapen says why a text is no JSON Schema, as far as it is made of keywords that are known here; nothing if it is one.
// No schema at all is none to complain of.
func misshapen(schema json.RawMessage) string {
	if len(schema) == 0 {
		return ""
	}
	doc, err := Document(schema)
	if err != nil {
		return "its schema " + err.Error()
	}
	if !doc.IsObject() {
		return "its schema must be an object"
	}
	return aSchema(doc, "its schema")
}

func aSchema(v gjson.Result, at string) (why string) {
	if v.IsBool() {
		return ""
	}
	if !v.IsObject() {
		return at + " must be a schema: an object, true or false"
	}
	v.ForEach(func(key, v gjson.Result) bool {
		why = keyword(key.Str, v, at+"."+cutTo(key.Str, maxName))
		return why == ""
	})
	return why
}

func schemasByName(v gjson.Result, at string) (why string) {
	if !v.IsObject() {
		return at + " must be an object of schemas"
	}
	v.ForEach(func(key, v gjson.Result) bool {
		why = aSchema(v, at+"."+cutTo(key.Str, maxName))
		return why == ""
	})
	return why
}

func schemas(v gjson.Result, at string) (why string) {
	if !v.IsArray() {
		return at + " must be a list of schemas"
	}
	i := 0
	v.ForEach(func(_, v gjson.Result) bool {
		why = aSchema(v, at+"["+strconv.Itoa(i)+"]")
		i++
		return why == ""
	})
	return why
}

func strs(v gjson.Result, at string) string {
	good := v.IsArray()
	v.ForEach(func(_, s gjson.Result) bool {
		good = good && s.Type == gjson.String
		return good
	})
	return must(good, at, "a list of strings")
}

func must(good bool, at, what string) string {
	if good {
		return ""
	}
	return at + " must be " + what
}
