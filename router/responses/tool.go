package responses

import (
	"fmt"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// tools reads the functions that the caller has. The provider's own tools have no counterpart elsewhere.
func (d *decoding) tools(v gjson.Result) *router.FieldError {
	return each("tools", v, func(field string, v gjson.Result) *router.FieldError {
		if !v.IsObject() {
			return &router.FieldError{Field: field, Reason: "must be an object"}
		}
		kind, fault := router.StringField(field+".type", v.Get("type"))
		switch {
		case fault != nil:
			return fault
		case kind != "function":
			d.extra(field)
			return nil
		}
		return d.function(field, v)
	})
}

func (d *decoding) function(at string, v gjson.Result) *router.FieldError {
	t := router.Tool{Field: at}
	fault := router.Members(v, at+".", func(name string, v gjson.Result) (fault *router.FieldError) {
		field := at + "." + name
		switch name {
		case "type":
		case "name":
			t.Name, fault = router.StringField(field, v)
		case "description":
			t.Description, fault = router.StringField(field, v)
		case "parameters":
			t.Schema, fault = object(field, v)
		case "strict":
			t.Strict, fault = optionalBool(field, v)
		default:
			if v.Type != gjson.False { // async, defer_loading: off
				d.extra(field)
			}
		}
		return fault
	})
	if fault == nil && t.Name == "" {
		fault = &router.FieldError{Field: at + ".name", Reason: "is required"}
	}
	d.req.Tools = append(d.req.Tools, t)
	return fault
}

func (d *decoding) toolChoice(v gjson.Result) *router.FieldError {
	c := &d.req.ToolChoice
	if v.Type == gjson.String {
		mode, fault := modeOf("tool_choice", v)
		c.Mode = mode
		return fault
	}
	if !v.IsObject() {
		return &router.FieldError{Field: "tool_choice", Reason: "must be a string or an object"}
	}
	switch v.Get("type").Str {
	case "function":
		name, fault := router.StringField("tool_choice.name", v.Get("name"))
		c.Mode, c.Names = router.ToolRequired, []string{name}
		return fault
	case "allowed_tools":
		mode, fault := modeOf("tool_choice.mode", v.Get("mode"))
		if fault != nil {
			return fault
		}
		c.Mode = mode
		return each("tool_choice.tools", v.Get("tools"), func(field string, v gjson.Result) *router.FieldError {
			if v.Get("type").Str != "function" {
				d.extra(field)
				return nil
			}
			name, fault := router.StringField(field+".name", v.Get("name"))
			c.Names = append(c.Names, name)
			return fault
		})
	}
	d.extra("tool_choice")
	return nil
}

func modeOf(field string, v gjson.Result) (router.ToolMode, *router.FieldError) {
	word, fault := router.StringField(field, v)
	switch mode := router.ToolMode(word); {
	case fault != nil:
		return "", fault
	case mode == router.ToolAuto || mode == router.ToolNone || mode == router.ToolRequired:
		return mode, nil
	}
	return "", &router.FieldError{Field: field, Reason: fmt.Sprintf("%.64q is not auto, none or required", word)}
}
