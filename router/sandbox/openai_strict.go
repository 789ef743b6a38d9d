package sandbox

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// strictWords are the keywords that a strict schema may not have.
var strictWords = []string{"allOf", "oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "patternProperties"}

// strictSchema checks a schema that OpenAI shall enforce: each object closed, and all of its
// properties required.
func strictSchema(schema gjson.Result, param, of, code string) *fault {
	if schema.Get("type").Str != "object" {
		return openaiFault(param, code, "Invalid schema for %s: schema must be a JSON Schema of 'type: \"object\"', got 'type: \"%s\"'.", of, schema.Get("type").String())
	}
	if complaint := strictPart(schema, nil, 0); complaint != "" {
		return openaiFault(param, code, "Invalid schema for %s: %s", of, complaint)
	}
	return nil
}

func strictPart(schema gjson.Result, path []string, depth int) (complaint string) {
	if !schema.IsObject() || depth > 64 {
		return ""
	}
	context := "In context=(" + strings.Join(path, ", ") + "), "
	for _, word := range strictWords {
		if schema.Get(word).Exists() {
			return context + "'" + word + "' is not permitted."
		}
	}
	properties := schema.Get("properties")
	if schema.Get("type").Str == "object" || properties.Exists() {
		if schema.Get("additionalProperties").Type != gjson.False {
			return context + "'additionalProperties' is required to be supplied and to be false."
		}
		required := words(schema.Get("required"))
		properties.ForEach(func(key, _ gjson.Result) bool {
			if !slices.Contains(required, key.Str) {
				complaint = context + "'required' is required to be supplied and to be an array including every key in properties. Missing '" + key.Str + "'."
			}
			return complaint == ""
		})
	}
	inner := func(word string, of gjson.Result) {
		of.ForEach(func(key, part gjson.Result) bool {
			if complaint == "" {
				complaint = strictPart(part, append(slices.Clone(path), "'"+word+"'", "'"+key.String()+"'"), depth+1)
			}
			return complaint == ""
		})
	}
	inner("properties", properties)
	inner("anyOf", schema.Get("anyOf"))
	inner("$defs", schema.Get("$defs"))
	if complaint == "" {
		complaint = strictPart(schema.Get("items"), append(slices.Clone(path), "'items'"), depth+1)
	}
	return complaint
}

// unsaidStrict is whether a tool of Responses is strict, and the schema of its parameters. One that does not say has its
// schema made strict, where that can be:
// https://platform.openai.com/docs/guides/function-calling#strict-mode
func unsaidStrict(tool gjson.Result) (strict bool, parameters gjson.Result) {
	parameters = tool.Get("parameters")
	if given(tool.Get("strict")) || parameters.Get("type").Str != "object" {
		return tool.Get("strict").Bool(), parameters
	}
	made := gjson.Parse(closed(parameters, 0))
	if strictPart(made, nil, 0) != "" {
		return false, parameters
	}
	return true, made
}

// closed has each object of a schema forbid what it does not name, and require what it does.
func closed(schema gjson.Result, depth int) string {
	if !schema.IsObject() || depth > 64 {
		return schema.Raw
	}
	properties := schema.Get("properties")
	object := schema.Get("type").Str == "object" || properties.Exists()
	var members []string
	schema.ForEach(func(key, v gjson.Result) bool {
		value := v.Raw
		switch key.Str {
		case "additionalProperties", "required":
			if object {
				return true
			}
		case "properties", "$defs":
			value = "{" + closedEach(v, depth) + "}"
		case "anyOf":
			value = "[" + closedEach(v, depth) + "]"
		case "items":
			value = closed(v, depth+1)
		}
		members = append(members, key.Raw+":"+value)
		return true
	})
	if object {
		var names []string
		properties.ForEach(func(key, _ gjson.Result) bool {
			names = append(names, key.Raw)
			return true
		})
		members = append(members, `"additionalProperties":false`, `"required":[`+strings.Join(names, ",")+"]")
	}
	return "{" + strings.Join(members, ",") + "}"
}

// closedEach closes the members of an object, or the entries of a list.
func closedEach(of gjson.Result, depth int) string {
	var all []string
	of.ForEach(func(key, v gjson.Result) bool {
		entry := closed(v, depth+1)
		if of.IsObject() {
			entry = key.Raw + ":" + entry
		}
		all = append(all, entry)
		return true
	})
	return strings.Join(all, ",")
}

// echoedTools are the tools of a Responses request as the answer repeats them: each function says whether it is strict.
func echoedTools(tools gjson.Result) any {
	all := []any{}
	list(tools, func(t gjson.Result) {
		if t.Get("type").Str != "function" {
			all = append(all, json.RawMessage(t.Raw))
			return
		}
		echo := jsonObject{}
		t.ForEach(func(key, v gjson.Result) bool {
			echo[key.Str] = json.RawMessage(v.Raw)
			return true
		})
		strict, parameters := unsaidStrict(t)
		echo["strict"], echo["parameters"] = strict, json.RawMessage(parameters.Raw)
		all = append(all, echo)
	})
	return all
}
