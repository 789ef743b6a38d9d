package anthropic

import (
	"encoding/json"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
)

// toolParam is a tool as waybill writes one.
type toolParam struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitzero"`
	Schema      json.RawMessage `json:"input_schema"`
	Strict      bool            `json:"strict,omitzero"`
}

type toolChoice struct {
	Type   string `json:"type"`
	Name   string `json:"name,omitzero"`
	Serial bool   `json:"disable_parallel_tool_use,omitzero"`
}

// forced tells whether the model is made to call a tool.
func (e *encoding) forced() bool {
	return e.out.ToolChoice != nil && (e.out.ToolChoice.Type == "any" || e.out.ToolChoice.Type == "tool")
}

// toolset writes the tools and whether they are to be called. Of several that alone may be called only those are sent,
// since a choice names one.
func (e *encoding) toolset() error {
	t := e.t
	if err := t.Named(fits, "1 to 128 letters, digits, _ and -"); err != nil {
		return err
	}
	choice := t.ToolChoice
	required := choice.Mode == router.ToolRequired
	if required && t.Model.Has(ledger.FeatureAutoTools) {
		return t.Cannot("tool_choice", "a tool call cannot be forced")
	}
	if len(t.Tools) == 0 {
		if required {
			return t.Cannot("tool_choice", "a tool call cannot be had without tools")
		}
		return nil
	}
	one := required && len(choice.Names) == 1
	chosen := map[string]bool{}
	for _, name := range choice.Names {
		chosen[name] = true
	}
	var tools []toolParam
	for _, tool := range t.Tools {
		if len(choice.Names) > 0 && !one && !chosen[tool.Name] {
			continue
		}
		p, err := e.tool(tool)
		if err != nil {
			return err
		}
		tools = append(tools, p)
	}
	var err error
	if e.out.Tools, err = marshal(tools); err != nil {
		return err
	}
	out := toolChoice{Serial: t.Serial}
	switch {
	case choice.Mode == router.ToolNone:
		out = toolChoice{Type: "none"}
	case one:
		out.Type, out.Name = "tool", choice.Names[0]
	case required:
		out.Type = "any"
	case choice.Mode == router.ToolAuto || t.Serial:
		out.Type = "auto"
	default:
		return nil
	}
	e.out.ToolChoice = &out
	return nil
}

func (e *encoding) tool(tool router.Tool) (toolParam, error) {
	cannot := func(why string) (toolParam, error) {
		return toolParam{}, &router.FieldError{Field: tool.Field, Reason: why + " at " + e.t.Model.Name}
	}
	out := toolParam{Name: tool.Name, Description: tool.Description, Schema: json.RawMessage(`{"type":"object"}`)}
	schema := gjson.Parse(router.TextOf(tool.Schema))
	kind := schema.Get("type")
	switch {
	case len(tool.Schema) == 0:
	case !schema.IsObject() || kind.Exists() && kind.Str != "object":
		return cannot("the schema of arguments must be an object's")
	case schema.Get("anyOf").Exists() || schema.Get("oneOf").Exists() || schema.Get("allOf").Exists():
		return cannot("the schema of arguments cannot have anyOf, oneOf or allOf at its top")
	case !kind.Exists():
		w := router.NewObject(len(tool.Schema) + 32)
		w.Raw("type", `"object"`)
		schema.ForEach(func(key, v gjson.Result) bool {
			w.Member(key.Raw, v.Raw)
			return true
		})
		out.Schema = w.End()
	default:
		out.Schema = tool.Schema
	}
	if tool.Strict == nil || !*tool.Strict {
		return out, nil
	}
	if !e.t.Model.Has(ledger.FeatureStructured) {
		e.t.Warnings = append(e.t.Warnings, tool.Field+": strict is left out, "+e.t.Model.Name+" does not hold to schemas")
		return out, nil
	}
	s := subset{}
	strict, err := s.schema(gjson.Parse(router.TextOf(out.Schema)))
	if err != nil {
		return cannot(err.Error())
	}
	if len(s.left) > 0 {
		e.t.Warnings = append(e.t.Warnings, tool.Field+": "+s.warning(e.t.Model.Name))
	}
	out.Schema, out.Strict = json.RawMessage(strict), true
	return out, nil
}

// fits tells whether Anthropic takes a tool's name.
func fits(name string) bool { return router.IsWord(name, 128) }
