package responses

import (
	"encoding/json"
	"strconv"

	"waybill/ledger"
	"waybill/router"
	"waybill/router/openai"
)

// nothing is the schema of a function without arguments.
const nothing = `{"type":"object","properties":{}}`

// tools writes the functions, and how free the model is to call them.
func (e *encoding) tools() error {
	if err := e.Named(fits, "1 to 64 letters, digits, _ and -"); err != nil || len(e.Tools) == 0 {
		return err
	}
	b := []byte{'['}
	for i, t := range e.Tools {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, e.function(t)...)
	}
	e.w.Raw("tools", string(append(b, ']')))
	if e.Serial {
		e.w.Raw("parallel_tool_calls", "false")
	}
	choice := e.ToolChoice
	if choice.Mode == router.ToolRequired && e.Model.Has(ledger.FeatureAutoTools) {
		return e.Cannot("tool_choice", "a tool cannot be forced")
	}
	switch {
	case choice.Mode == router.ToolRequired && len(choice.Names) == 1:
		e.w.Raw("tool_choice", named(choice.Names[0]))
	case len(choice.Names) > 0 && choice.Mode != router.ToolNone:
		e.w.Raw("tool_choice", allowed(choice))
	case choice.Mode != "":
		e.w.String("tool_choice", string(choice.Mode))
	}
	return nil
}

// function writes one. Left out, strict would be true here, and false nowhere else.
func (e *encoding) function(t router.Tool) []byte {
	o := router.NewObject(len(t.Schema) + len(t.Description) + 96)
	o.String("type", "function")
	o.String("name", t.Name)
	if t.Description != "" {
		o.String("description", t.Description)
	}
	schema := string(t.Schema)
	if schema == "" {
		schema = nothing
	}
	o.Raw("parameters", schema)
	strict := t.Strict != nil && *t.Strict
	if strict && e.Dialect != ledger.DialectOpenAIChat && !openai.Strictable(json.RawMessage(schema)) {
		strict = false
		e.Warnings = append(e.Warnings, t.Field+": not strict, "+e.Model.Name+" cannot hold arguments to this schema")
	}
	o.Raw("strict", strconv.FormatBool(strict))
	return o.End()
}

func named(tool string) string { return `{"type":"function","name":` + router.Quote(tool) + `}` }

// allowed narrows the choice to some of the tools.
func allowed(c router.ToolChoice) string {
	mode := c.Mode
	if mode == "" {
		mode = router.ToolAuto
	}
	b := `{"type":"allowed_tools","mode":"` + string(mode) + `","tools":[`
	for i, name := range c.Names {
		if i > 0 {
			b += ","
		}
		b += named(name)
	}
	return b + "]}"
}

// fits tells whether OpenAI takes the name of a tool.
func fits(name string) bool { return router.IsWord(name, 64) }
