package openai

import (
	"encoding/json"
	"strings"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// tools reads the tools. Those that are no functions, such as custom ones with a grammar, are this dialect's alone.
func (d *decoding) tools(v gjson.Result) *router.FieldError {
	return objects("tools", v, func(at string, v gjson.Result) *router.FieldError {
		kind, fault := router.StringField(at+".type", v.Get("type"))
		if fault != nil {
			return fault
		}
		if kind != "function" {
			d.custom = true
			d.extra(at)
			return nil
		}
		function := v.Get("function")
		if !function.IsObject() {
			return &router.FieldError{Field: at + ".function", Reason: "must be an object"}
		}
		fault = router.Members(v, at+".", func(name string, v gjson.Result) *router.FieldError {
			if name != "type" && name != "function" {
				d.unknown(name, at+".", v)
			}
			return nil
		})
		if fault != nil {
			return fault
		}
		return d.tool(at, at+".function.", function)
	})
}

// functions reads the deprecated list of tools, under which an answer calls one at most.
func (d *decoding) functions(v gjson.Result) *router.FieldError {
	d.rename("tools", "functions")
	d.req.Serial = true
	return objects("functions", v, func(at string, v gjson.Result) *router.FieldError {
		return d.tool(at, at+".", v)
	})
}

// deprecated tells whether the caller has tools in the deprecated form and so wants calls in that form.
func deprecated(r *router.Request) bool {
	return len(r.Tools) > 0 && strings.HasPrefix(r.Tools[0].Field, "functions[")
}

func (d *decoding) tool(field, at string, v gjson.Result) *router.FieldError {
	t := router.Tool{Field: field}
	fault := router.Members(v, at, func(name string, v gjson.Result) (fault *router.FieldError) {
		switch name {
		case "name":
			t.Name, fault = router.StringField(at+name, v)
		case "description":
			t.Description, fault = router.StringField(at+name, v)
		case "parameters":
			t.Schema, fault = schemaField(at+name, v)
		case "strict":
			t.Strict, fault = boolean(at+name, v)
		default:
			d.unknown(name, at, v)
		}
		return fault
	})
	if fault == nil && t.Name == "" {
		fault = &router.FieldError{Field: at + "name", Reason: "is required"}
	}
	d.req.Tools = append(d.req.Tools, t)
	return fault
}

func schemaField(field string, v gjson.Result) (json.RawMessage, *router.FieldError) {
	if !v.IsObject() {
		return nil, &router.FieldError{Field: field, Reason: "must be a JSON Schema, an object"}
	}
	return json.RawMessage(v.Raw), nil
}

func boolean(field string, v gjson.Result) (*bool, *router.FieldError) {
	b, fault := router.BoolField(field, v)
	return &b, fault
}

// toolChoice reads a word, one tool, or a subset of the tools.
func (d *decoding) toolChoice(v gjson.Result) (fault *router.FieldError) {
	const field = "tool_choice"
	if v.Type == gjson.String {
		return d.toolMode(field, v)
	}
	if !v.IsObject() {
		return &router.FieldError{Field: field, Reason: "must be a string or an object"}
	}
	kind, fault := router.StringField(field+".type", v.Get("type"))
	switch {
	case fault != nil:
		return fault
	case kind == "function":
		return d.onlyTool(field+".function.name", v.Get("function.name"))
	case kind != "allowed_tools":
		d.custom = true
		d.extra(field)
		return nil
	}
	const at = field + ".allowed_tools"
	if fault := d.toolMode(at+".mode", v.Get("allowed_tools.mode")); fault != nil {
		return fault
	}
	return objects(at+".tools", v.Get("allowed_tools.tools"), func(at string, v gjson.Result) *router.FieldError {
		if kind := v.Get("type").Str; kind != "function" {
			d.custom = true
			d.extra(at)
			return nil
		}
		name, fault := router.StringField(at+".function.name", v.Get("function.name"))
		d.req.ToolChoice.Names = append(d.req.ToolChoice.Names, name)
		return fault
	})
}

func (d *decoding) toolMode(field string, v gjson.Result) *router.FieldError {
	word, fault := router.StringField(field, v)
	switch mode := router.ToolMode(word); mode {
	case router.ToolAuto, router.ToolNone, router.ToolRequired:
		d.req.ToolChoice.Mode = mode
	default: // a compatible server's own, such as Mistral's any
		d.extra(field)
	}
	return fault
}

func (d *decoding) onlyTool(field string, v gjson.Result) *router.FieldError {
	name, fault := router.StringField(field, v)
	d.req.ToolChoice = router.ToolChoice{Mode: router.ToolRequired, Names: []string{name}}
	return fault
}

// functionChoice reads the deprecated form of tool_choice.
func (d *decoding) functionChoice(v gjson.Result) *router.FieldError {
	const field = "function_call"
	d.rename("tool_choice", field)
	switch {
	case v.Type == gjson.String:
		return d.toolMode(field, v)
	case v.IsObject():
		return d.onlyTool(field+".name", v.Get("name"))
	}
	return &router.FieldError{Field: field, Reason: "must be a string or an object"}
}

// format reads response_format.
func (d *decoding) format(v gjson.Result) *router.FieldError {
	const field = "response_format"
	if !v.IsObject() {
		return &router.FieldError{Field: field, Reason: "must be an object"}
	}
	kind, fault := router.StringField(field+".type", v.Get("type"))
	if fault != nil {
		return fault
	}
	f := &d.req.Format
	switch kind {
	case "text":
		d.beside(field, kind, v)
	case "json_object": // beside which some servers take a schema
		f.Kind = router.FormatJSON
		d.beside(field, kind, v)
	case "json_schema":
		d.beside(field, kind, v)
		return d.schema(field+".json_schema", v.Get("json_schema"))
	default:
		d.extra(field)
	}
	return nil
}

func (d *decoding) schema(field string, v gjson.Result) *router.FieldError {
	if !v.IsObject() {
		return &router.FieldError{Field: field, Reason: "must be an object"}
	}
	f, at := &d.req.Format, field+"."
	f.Kind = router.FormatSchema
	fault := router.Members(v, at, func(name string, v gjson.Result) (fault *router.FieldError) {
		switch name {
		case "name":
			f.Name, fault = router.StringField(at+name, v)
		case "description":
			f.Description, fault = router.StringField(at+name, v)
		case "schema":
			f.Schema, fault = schemaField(at+name, v)
		case "strict":
			f.Strict, fault = boolean(at+name, v)
		default:
			d.unknown(name, at, v)
		}
		return fault
	})
	if fault == nil && f.Name == "" {
		fault = &router.FieldError{Field: at + "name", Reason: "is required"}
	}
	return fault
}
