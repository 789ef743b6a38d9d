package sandbox

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/tidwall/gjson"
)

// kindNames are the nouns for JSON types, in the order in which they are listed.
var kindNames = []struct {
	kind                      kind
	openai, anthropic, google string
}{
	{kindString, "a string", "string", "TYPE_STRING"},
	{kindNumber, "a decimal", "number", "TYPE_FLOAT"},
	{kindInteger, "an integer", "integer", "TYPE_INT32"},
	{kindBoolean, "a boolean", "boolean", "TYPE_BOOL"},
	{kindArray, "an array", "list", "TYPE_LIST"},
	{kindObject, "an object", "dictionary", "TYPE_MESSAGE"},
	{kindNull, "null", "null", "TYPE_NULL"},
}

// openaiKinds words a set of kinds: "a string or an array".
func openaiKinds(k kind) string {
	if k&kindNumber != 0 {
		k &^= kindInteger // a decimal may be an integer
	}
	var names []string
	for _, n := range kindNames {
		if k&n.kind != 0 {
			names = append(names, n.openai)
		}
	}
	return strings.Join(names, " or ")
}

// gotKind is the one kind of a value.
func gotKind(v gjson.Result) kind {
	k := kindOf(v)
	if k&kindInteger != 0 {
		return kindInteger
	}
	return k
}

// openaiComplaint words a violation as OpenAI does.
func openaiComplaint(v *violation) *fault {
	param := v.brackets()
	switch v.problem {
	case problemMissing:
		return openaiFault(param, "missing_required_parameter", "Missing required parameter: '%s'.", param)
	case problemUnknown:
		if len(v.path) == 1 {
			return openaiFault("", "", "Unrecognized request argument supplied: %s", param)
		}
		return openaiFault(param, "unknown_parameter", "Unknown parameter: '%s'.", param)
	case problemType:
		return openaiFault(param, "invalid_type", "Invalid type for '%s': expected %s, but got %s instead.", param, openaiKinds(v.shape.kinds), openaiKinds(gotKind(v.got)))
	case problemEnum:
		return openaiFault(param, "invalid_value", "Invalid value: '%s'. Supported values are: %s.", v.got.Str, quoted(v.shape.enum))
	case problemLow, problemHigh:
		noun := "decimal"
		if v.shape.kinds&kindNumber == 0 {
			noun = "integer"
		}
		if v.problem == problemLow {
			return openaiFault(param, noun+"_below_min_value", "Invalid '%s': %s below minimum value. Expected a value >= %v, but got %s instead.", param, noun, v.shape.low, v.got.Raw)
		}
		return openaiFault(param, noun+"_above_max_value", "Invalid '%s': %s above maximum value. Expected a value <= %v, but got %s instead.", param, noun, v.shape.high, v.got.Raw)
	}
	noun := map[kind]string{kindString: "string", kindArray: "array", kindObject: "object"}[gotKind(v.got)]
	switch {
	case v.problem == problemLong:
		return openaiFault(param, noun+"_above_max_length", "Invalid '%s': %s too long. Expected %s with maximum length %d.", param, noun, openaiKinds(gotKind(v.got)), v.shape.most)
	case noun == "array":
		return openaiFault(param, "empty_array", "Invalid '%s': empty array. Expected an array with minimum length %d, but got an empty array instead.", param, v.shape.least)
	}
	return openaiFault(param, "empty_string", "Invalid '%s': empty string. Expected a string with minimum length %d, but got an empty string instead.", param, v.shape.least)
}

// anthropicComplaint words a violation as Anthropic does.
func anthropicComplaint(v *violation) *fault {
	at := v.dots()
	switch v.problem {
	case problemMissing:
		return anthropicFault("%s: Field required", at)
	case problemUnknown:
		return anthropicFault("%s: Extra inputs are not permitted", at)
	case problemType:
		for _, n := range kindNames {
			if v.shape.kinds&n.kind != 0 {
				return anthropicFault("%s: Input should be a valid %s", at, n.anthropic)
			}
		}
	case problemEnum:
		return anthropicFault("%s: Input should be %s", at, strings.Join(strings.Split(quoted(v.shape.enum), ", "), " or "))
	case problemLow:
		return anthropicFault("%s: Input should be greater than or equal to %v", at, v.shape.low)
	case problemHigh:
		return anthropicFault("%s: Input should be less than or equal to %v", at, v.shape.high)
	case problemLong:
		return anthropicFault("%s: should have at most %d items or characters", at, v.shape.most)
	}
	if at == "messages" {
		return anthropicFault("messages: at least one message is required")
	}
	return anthropicFault("%s: should have at least %d items or characters", at, v.shape.least)
}

// geminiComplaint words a violation as Google's JSON parser does.
func geminiComplaint(v *violation) *fault {
	at := snake(v.brackets())
	switch v.problem {
	case problemUnknown:
		name, parent := v.path[0], (&violation{path: v.path[1:]}).brackets()
		where := ""
		if parent != "" {
			where = fmt.Sprintf(" at '%s'", snake(parent))
		}
		return geminiFault(snake(parent), "Invalid JSON payload received. Unknown name \"%s\"%s: Cannot find field.", name, where)
	case problemMissing:
		return geminiFault(at, "* GenerateContentRequest.%s: %s is not specified\n", at, at)
	case problemType:
		for _, n := range kindNames {
			if v.shape.kinds&n.kind != 0 {
				return geminiFault(at, "Invalid value at '%s' (%s), %s", at, n.google, clip(v.got.Raw))
			}
		}
	case problemEnum:
		if strings.HasSuffix(at, "role") {
			return geminiFault(at, "Please use a valid role: user, model.")
		}
		return geminiFault(at, "Invalid value at '%s' (TYPE_ENUM), %s", at, clip(v.got.Raw))
	case problemLow, problemHigh:
		return geminiFault(at, "* GenerateContentRequest.%s: value must be in the range [%v, %v], but is %s\n", at, v.shape.low, v.shape.high, v.got.Raw)
	case problemLong:
		return geminiFault(at, "* GenerateContentRequest.%s: at most %d entries are allowed\n", at, v.shape.most)
	}
	return geminiFault(at, "* GenerateContentRequest.%s: %s must not be empty\n", at, at)
}

// clip shortens a value that an error quotes.
func clip(raw string) string { return prefix(raw, 80) }

// snake is a field name as Google's messages spell it.
func snake(camel string) string {
	var b strings.Builder
	for _, r := range camel {
		if unicode.IsUpper(r) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// camel is the other spelling that Google accepts, turned into the usual one.
func camel(snake string) string {
	if !strings.Contains(snake, "_") {
		return snake
	}
	var b strings.Builder
	up := false
	for _, r := range snake {
		switch {
		case r == '_':
			up = true
		case up:
			b.WriteRune(unicode.ToUpper(r))
			up = false
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
