package sandbox

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// readTools reads the function declarations, the choice among them and the schema of the answer.
func (g geminiHearer) readTools(v, config gjson.Result, p *prompt) (bad *fault) {
	i := 0
	list(v.Get("tools"), func(t gjson.Result) {
		j := 0
		list(geminiField(t, "functionDeclarations"), func(declaration gjson.Result) {
			at := fmt.Sprintf("tools[%d].function_declarations[%d]", i, j)
			j++
			p.tools++
			p.addRaw(declaration.Raw)
			if bad == nil {
				bad = g.readDeclaration(declaration, at, p)
			}
		})
		i++
	})
	if bad == nil {
		bad = g.readChoice(geminiField(v, "toolConfig", "functionCallingConfig"), p)
	}
	if bad != nil {
		return bad
	}
	if geminiField(config, "responseMimeType").Str != "application/json" {
		return nil
	}
	openAPI, jsonSchema := geminiField(config, "responseSchema"), geminiField(config, "responseJsonSchema")
	switch {
	case given(openAPI):
		p.schema = openAPI.Raw
		return geminiSchema(openAPI, "generation_config.response_schema", 0)
	case given(jsonSchema):
		p.schema = jsonSchema.Raw
		return geminiReferences(jsonSchema, "generation_config.response_json_schema", 0)
	}
	p.jsonObject = true
	return nil
}

func (geminiHearer) readDeclaration(v gjson.Result, at string, p *prompt) *fault {
	name, openAPI, jsonSchema := v.Get("name").Str, v.Get("parameters"), geminiField(v, "parametersJsonSchema")
	schema := openAPI
	if given(jsonSchema) {
		schema = jsonSchema
	}
	switch {
	case !geminiNameOK.MatchString(name):
		return geminiFault(at+".name", "* GenerateContentRequest.%s.name: [FIELD_INVALID] Invalid function name. Must start with a letter or an underscore. Must be alphameric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes (-), with a maximum length of 128.\n", at)
	case given(openAPI) && given(jsonSchema):
		return geminiFault(at, "* GenerateContentRequest.%s: only one of parameters and parameters_json_schema can be set\n", at)
	case !p.offer(name, schema.Raw):
		return geminiFault(at, "Duplicate function declaration found: %s", name)
	case given(openAPI):
		return geminiSchema(openAPI, at+".parameters", 0)
	}
	return geminiReferences(jsonSchema, at+".parameters_json_schema", 0)
}

func (geminiHearer) readChoice(config gjson.Result, p *prompt) *fault {
	mode, names := config.Get("mode").Str, words(geminiField(config, "allowedFunctionNames"))
	switch mode {
	case "NONE":
		p.choice.none = true
	case "ANY":
		p.choice.forced = true
	}
	switch {
	case p.choice.forced && len(p.offered) == 0:
		return geminiFault("tool_config", "Function calling config is set without function_declarations.")
	case len(names) > 0 && mode != "ANY" && mode != "VALIDATED":
		return geminiFault("tool_config", "Allowed function names should only be set when function calling mode is ANY or VALIDATED.")
	}
	for _, name := range names {
		if !slices.ContainsFunc(p.offered, func(t tool) bool { return t.name == name }) {
			return geminiFault("tool_config", "Allowed function name %s is not in the function declarations.", name)
		}
	}
	if len(names) > 0 {
		p.choice.allowed = names
	}
	return nil
}

// geminiSchemaFields are the words of Google's OpenAPI subset, and what each may be.
var geminiSchemaFields = object(fields{
	"type": anyText, "format": anyText, "title": anyText, "description": anyText, "nullable": anyBool, "default": anyValue, "example": anyValue,
	"enum": listOf(anyText, 0, 0), "items": anyObject, "properties": anyObject, "anyOf": listOf(anyObject, 0, 0),
	"required": listOf(anyText, 0, 0), "propertyOrdering": listOf(anyText, 0, 0), "pattern": anyText,
	"minItems": either(anyText, anyInteger), "maxItems": either(anyText, anyInteger), "minLength": either(anyText, anyInteger),
	"maxLength": either(anyText, anyInteger), "minProperties": either(anyText, anyInteger), "maxProperties": either(anyText, anyInteger),
	"minimum": numberFrom(-1e300, 1e300), "maximum": numberFrom(-1e300, 1e300),
})

var geminiTypes = []string{"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL", "TYPE_UNSPECIFIED"}

// geminiSchema checks a schema of Google's OpenAPI kind.
func geminiSchema(v gjson.Result, at string, depth int) *fault {
	if bad := (checker{nullIsAbsent: true, rename: camel}).check(v, geminiSchemaFields); bad != nil {
		slices.Reverse(bad.path)
		bad.path = append([]string{at}, bad.path...)
		slices.Reverse(bad.path)
		return geminiComplaint(bad)
	}
	kind := strings.ToUpper(v.Get("type").Str)
	complain := func(format string, args ...any) *fault {
		return geminiFault(at, "* GenerateContentRequest.%s%s\n", at, fmt.Sprintf(format, args...))
	}
	properties := v.Get("properties").Map()
	switch format := v.Get("format").Str; {
	case depth > 64:
		return complain(": too deep")
	case kind != "" && !slices.Contains(geminiTypes, kind):
		return geminiFault(at+".type", "Invalid value at '%s.type' (type.googleapis.com/google.ai.generativelanguage.v1beta.Type), %s", at, v.Get("type").Raw)
	case given(v.Get("properties")) && len(properties) == 0:
		return complain(".properties: should be non-empty for OBJECT type")
	case kind == "OBJECT" && depth > 0 && len(properties) == 0:
		return complain(".properties: should be non-empty for OBJECT type")
	case kind == "ARRAY" && !given(v.Get("items")):
		return complain(".items: missing field.")
	case len(v.Get("enum").Array()) > 0 && kind != "STRING":
		return complain(".enum: only allowed for STRING type")
	case kind == "STRING" && format != "" && format != "enum" && format != "date-time":
		return complain(".format: only 'enum' and 'date-time' are supported for STRING type")
	}
	for i, name := range words(v.Get("required")) {
		if _, ok := properties[name]; !ok {
			return complain(".required[%d]: property is not defined", i)
		}
	}
	var bad *fault
	v.Get("properties").ForEach(func(key, part gjson.Result) bool {
		bad = geminiSchema(part, at+".properties['"+key.Str+"']", depth+1)
		return bad == nil
	})
	anyOf := geminiField(v, "anyOf")
	anyOf.ForEach(func(_, part gjson.Result) bool {
		if bad == nil {
			bad = geminiSchema(part, at+".any_of", depth+1)
		}
		return bad == nil
	})
	if items := v.Get("items"); bad == nil && given(items) {
		bad = geminiSchema(items, at+".items", depth+1)
	}
	return bad
}

// geminiReferences checks the one rule of its JSON Schema subset that is not only ignored: a
// reference has no neighbours but those that begin with a dollar.
func geminiReferences(v gjson.Result, at string, depth int) (bad *fault) {
	if depth > 64 || !v.IsObject() && !v.IsArray() {
		return nil
	}
	if v.IsObject() && v.Get("$ref").Type == gjson.String {
		for name := range v.Map() {
			if !strings.HasPrefix(name, "$") {
				return geminiFault(at, "* GenerateContentRequest.%s: $ref may not have other properties beside it\n", at)
			}
		}
	}
	v.ForEach(func(_, part gjson.Result) bool {
		bad = geminiReferences(part, at, depth+1)
		return bad == nil
	})
	return bad
}
