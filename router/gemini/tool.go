package gemini

import (
	"encoding/json"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
)

type tool struct {
	Functions []declaration `json:"functionDeclarations"`
}

type declaration struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitzero"`
	Parameters  json.RawMessage `json:"parametersJsonSchema,omitempty"`
}

type toolConfig struct {
	Calling calling `json:"functionCallingConfig"`
}

type calling struct {
	Mode  string   `json:"mode"`
	Names []string `json:"allowedFunctionNames,omitempty"`
}

// equip writes the tools, all in one, and which of them are to be called.
func equip(t *router.Translated, out *generateRequest) error {
	if err := t.Named(callable, "1 to 128 letters, digits and _.:-, the first of them a letter or _"); err != nil {
		return err
	}
	choice := t.ToolChoice
	if len(t.Tools) == 0 {
		if choice.Mode == router.ToolRequired {
			return t.Cannot("tool_choice", "a call cannot be had without tools")
		}
		return nil
	}
	var all tool
	strict := false
	chosen := map[string]bool{}
	for _, name := range choice.Names {
		chosen[name] = true
	}
	for _, f := range t.Tools {
		if choice.Mode != router.ToolRequired && len(choice.Names) > 0 && !chosen[f.Name] {
			continue // as if the caller had not declared it: AUTO takes no names
		}
		d := declaration{Name: f.Name, Description: f.Description}
		s := subset{}
		schema, err := s.schema(f.Schema)
		if err != nil {
			return &router.FieldError{Field: f.Field, Reason: err.Error() + " at " + t.Model.Name}
		}
		s.warn(t, f.Field)
		switch {
		case takes(schema):
			d.Parameters = schema
		case gjson.GetBytes(schema, "additionalProperties").Type == gjson.True:
			t.Warnings = append(t.Warnings, f.Field+": declared without arguments, "+t.Model.Name+" takes none that have no name")
		}
		strict = strict || f.Strict != nil && *f.Strict
		all.Functions = append(all.Functions, d)
	}
	out.Tools = []tool{all}
	if t.Serial && choice.Mode != router.ToolNone {
		t.Warn("parallel_tool_calls", "left out, "+t.Model.Name+" cannot be kept from several calls at once")
	}
	return choose(t, out, strict)
}

// choose writes which tools are to be called. VALIDATED is AUTO with the arguments of every function held to its schema, as
// ANY holds them anyway. It is taken where one of the functions is strict: the others lose nothing by it, for arguments that
// satisfy their schema are what they were declared for. https://ai.google.dev/gemini-api/docs/function-calling
func choose(t *router.Translated, out *generateRequest, strict bool) error {
	switch t.ToolChoice.Mode {
	case router.ToolNone:
		out.ToolConfig = &toolConfig{calling{Mode: "NONE"}}
	case router.ToolRequired:
		if t.Model.Has(ledger.FeatureAutoTools) {
			return t.Cannot("tool_choice", "a call cannot be forced")
		}
		out.ToolConfig = &toolConfig{calling{"ANY", t.ToolChoice.Names}}
	default:
		switch {
		case strict:
			out.ToolConfig = &toolConfig{calling{Mode: "VALIDATED"}}
		case t.ToolChoice.Mode == router.ToolAuto:
			out.ToolConfig = &toolConfig{calling{Mode: "AUTO"}}
		}
	}
	return nil
}

// callable tells whether Gemini takes a function's name.
func callable(name string) bool {
	for i := 0; i < len(name); i++ {
		c := name[i]
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c != '.' && c != ':' && c != '-' && (c < '0' || c > '9')) {
			return false
		}
	}
	return name != "" && len(name) <= 128
}

// takes tells whether a function takes arguments. One that takes none is declared without parameters: an object without
// properties is refused.
func takes(schema json.RawMessage) bool {
	if len(schema) == 0 {
		return false
	}
	s := gjson.ParseBytes(schema)
	for _, keyword := range []string{"properties", "anyOf", "oneOf", `$ref`} {
		if v := s.Get(keyword); v.Exists() && v.Raw != "{}" {
			return true
		}
	}
	return s.Get("additionalProperties").IsObject()
}
