package anthropic

import (
	"fmt"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// tools reads what the model may call. Tools of Anthropic's own making stay in Anthropic's dialect.
func (d *decoding) tools(v gjson.Result) (fault *router.FieldError) {
	if !v.IsArray() {
		return &router.FieldError{Field: "tools", Reason: "must be a list"}
	}
	v.ForEach(func(_, t gjson.Result) bool {
		fault = d.tool(t, fmt.Sprintf("tools[%d]", len(d.req.Tools)))
		return fault == nil
	})
	return fault
}

func (d *decoding) tool(t gjson.Result, here string) (fault *router.FieldError) {
	if !t.IsObject() {
		return &router.FieldError{Field: here, Reason: "must be an object"}
	}
	tool := router.Tool{Field: here}
	if kind := t.Get("type"); kind.Exists() && kind.Type != gjson.Null && kind.Str != "custom" {
		tool.Name = t.Get("name").String()
		d.extra(here)
		d.req.Tools = append(d.req.Tools, tool)
		return nil
	}
	fault = router.Members(t, here+".", func(name string, v gjson.Result) (fault *router.FieldError) {
		switch field := here + "." + name; name {
		case "type":
		case "name":
			tool.Name, fault = router.StringField(field, v)
		case "description":
			tool.Description, fault = router.StringField(field, v)
		case "input_schema":
			if tool.Schema = raw(v); !v.IsObject() {
				fault = &router.FieldError{Field: field, Reason: "must be an object"}
			}
		case "strict":
			var strict bool
			strict, fault = router.BoolField(field, v)
			tool.Strict = &strict
		case "cache_control":
			d.cached(field)
		case "input_examples":
			d.hint(field, "shows the model how to call the tool, which its schema says as well")
		case "eager_input_streaming":
			d.hint(field, "says how arguments are streamed, not what they are")
		case "defer_loading":
			if v.Bool() {
				d.extra(field)
			}
		case "allowed_callers":
			if v.Get("@ugly").Raw != `["direct"]` {
				d.extra(field)
			}
		default:
			d.extra(field)
		}
		return fault
	})
	switch {
	case fault != nil:
		return fault
	case tool.Name == "":
		return &router.FieldError{Field: here + ".name", Reason: "is required"}
	case tool.Schema == nil:
		return &router.FieldError{Field: here + ".input_schema", Reason: "is required"}
	}
	d.req.Tools = append(d.req.Tools, tool)
	return nil
}

// choice reads whether tools are to be called.
func (d *decoding) choice(v gjson.Result) (fault *router.FieldError) {
	if !v.IsObject() {
		return &router.FieldError{Field: "tool_choice", Reason: "must be an object"}
	}
	c := &d.req.ToolChoice
	switch kind := v.Get("type").Str; kind {
	case "auto":
		c.Mode = router.ToolAuto
	case "none":
		c.Mode = router.ToolNone
	case "any":
		c.Mode = router.ToolRequired
	case "tool":
		name, fault := router.StringField("tool_choice.name", v.Get("name"))
		if fault != nil {
			return fault
		}
		c.Mode, c.Names = router.ToolRequired, []string{name}
	default:
		return &router.FieldError{Field: "tool_choice.type", Reason: fmt.Sprintf("%.64q is not a choice", kind)}
	}
	if serial := v.Get("disable_parallel_tool_use"); serial.Exists() && serial.Type != gjson.Null {
		if d.req.Serial, fault = router.BoolField("tool_choice.disable_parallel_tool_use", serial); fault != nil {
			return fault
		}
	}
	return d.others(v, "tool_choice", "type", "name", "disable_parallel_tool_use")
}
