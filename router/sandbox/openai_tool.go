package sandbox

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// openaiTools reads tools and the choice among them. In Chat Completions a tool's name is
// below its type ("function."), in Responses beside it ("").
func (p *prompt) openaiTools(v gjson.Result, below string) (bad *fault) {
	list(v.Get("tools"), func(t gjson.Result) {
		at := fmt.Sprintf("tools[%d].%s", p.tools, below)
		p.tools++
		p.addRaw(t.Raw)
		kind := t.Get("type").Str
		if kind != "function" && kind != "custom" || bad != nil {
			return
		}
		if below != "" {
			t = t.Get(kind)
			at = strings.Replace(at, "function.", kind+".", 1)
		}
		name, parameters := t.Get("name").Str, t.Get("parameters")
		if below == "" && kind == "function" {
			_, parameters = unsaidStrict(t)
		}
		switch {
		case !nameOK.MatchString(name):
			bad = openaiName(at + "name")
		case !p.offer(name, parameters.Raw):
			bad = openaiFault("tools", "", "Duplicate tool name: '%s'.", name)
		case t.Get("strict").Bool():
			bad = strictSchema(parameters, at+"parameters", "function '"+name+"'", "invalid_function_parameters")
		case len(parameters.Map()) > 0 && parameters.Get("type").Str != "object":
			bad = openaiFault(at+"parameters", "invalid_function_parameters", "Invalid schema for function '%s': schema must be a JSON Schema of 'type: \"object\"', got 'type: \"%s\"'.", name, parameters.Get("type").String())
		}
	})
	if bad != nil {
		return bad
	}
	p.choice.single = v.Get("parallel_tool_calls").Type == gjson.False
	return p.openaiChoice(v.Get("tool_choice"), below)
}

func (p *prompt) openaiChoice(choice gjson.Result, below string) *fault {
	kind := choice.Get("type").Str
	switch choice.Str {
	case "none":
		p.choice.none = true
	case "required":
		p.choice.forced = true
	}
	inner := choice
	if below != "" {
		inner = choice.Get(kind)
	}
	switch kind {
	case "function", "custom":
		p.choice.forced, p.choice.allowed = true, []string{inner.Get("name").Str}
	case "allowed_tools":
		p.choice.forced = inner.Get("mode").Str == "required"
		list(inner.Get("tools"), func(t gjson.Result) {
			if below != "" {
				t = t.Get(t.Get("type").Str)
			}
			p.choice.allowed = append(p.choice.allowed, t.Get("name").Str)
		})
	}
	for _, name := range p.choice.allowed {
		if !slices.ContainsFunc(p.offered, func(t tool) bool { return t.name == name }) {
			return openaiFault("tool_choice", "", "Tool choice '%s' not found in 'tools' parameter.", name)
		}
	}
	return nil
}

// openaiFormat checks the schema that an answer shall have.
func (p *prompt) openaiFormat(format gjson.Result, param string) *fault {
	name := format.Get("name").Str
	if !nameOK.MatchString(name) {
		return openaiName(param + ".name")
	}
	if format.Get("strict").Bool() {
		return strictSchema(format.Get("schema"), param, "response_format '"+name+"'", "")
	}
	return nil
}
