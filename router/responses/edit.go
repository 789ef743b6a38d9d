package responses

import (
	"slices"
	"strconv"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
)

// sealedReasoning asks for reasoning in a form that the caller can bring back.
const sealedReasoning = "reasoning.encrypted_content"

// editing is the caller's own body on its way to an upstream of this dialect, with the members changed that a leg must
// change:
//
//   - model names the upstream's model;
//   - max_output_tokens is the cap that the hold was sized for;
//   - store is false: the dialect's default would have the provider keep every answer;
//   - include asks for sealed reasoning if the model reasons, since nothing else of it can be brought back;
//   - sampling values and reasoning controls that the model refuses are left out, with a warning;
//   - reasoning in the input that this leg's provider cannot open is left out, with a warning.
//
// Every other member keeps its bytes and its place.
type editing struct {
	call     router.Call
	drop     []string // members
	warnings []string
	w        *router.Object
	written  map[string]bool
}

func edit(c router.Call) (body []byte, warnings []string) {
	r := c.Request
	e := editing{call: c, w: router.NewObject(len(r.Body) + 160), written: make(map[string]bool, 4)}
	root := gjson.Parse(router.TextOf(r.Body))
	e.refused(root)
	root.ForEach(func(key, value gjson.Result) bool {
		if !slices.Contains(e.drop, key.Str) {
			e.member(key, value)
		}
		return true
	})
	e.missing()
	return e.w.End(), e.warnings
}

// refused finds the members that the model would answer with an error. The families that choose their own sampling take
// the caller's where they are told not to reason.
func (e *editing) refused(root gjson.Result) {
	r, m := e.call.Request, e.call.Model
	for _, field := range router.RefusedBy(m, r) {
		if r.Effort != "none" || field == "reasoning_effort" {
			e.leaveOut(field, m.Name+" refuses it")
		}
	}
	if m.Has(ledger.FeatureReasoning) || slices.Contains(e.drop, "reasoning") || !router.Given(root, "reasoning") {
		return
	}
	e.leaveOut("reasoning", m.Name+" does not reason")
}

func (e *editing) leaveOut(field, why string) {
	e.warnings = append(e.warnings, e.call.Request.Name(field)+": left out, "+why)
	if field == "reasoning_effort" { // where there is no effort, there is nothing else of it
		field = "reasoning"
	}
	e.drop = append(e.drop, field)
}

func (e *editing) member(key, value gjson.Result) {
	counts := e.call.Request.Endpoint == router.EndpointCount
	switch name := key.Str; {
	case name == "model":
		e.w.String(name, e.call.Model.ID)
	case name == "input" && value.IsArray():
		e.w.Raw(name, e.input(value))
	case slices.Contains(e.call.Quirks.Drop, name):
		e.warnings = append(e.warnings, name+": left out, "+e.call.Model.Provider+" refuses it")
		return
	case counts:
		e.w.Member(key.Raw, value.Raw)
		return
	case name == "max_output_tokens" && e.call.OutputCap > 0:
		e.w.Int(name, e.call.OutputCap)
	case name == "store":
		e.w.Raw(name, "false")
	case name == "include" && e.reasons():
		e.w.Raw(name, withSealed(value))
	default:
		e.w.Member(key.Raw, value.Raw)
	}
	e.written[key.Str] = true
}

// missing writes what a body must have and the caller's had not.
func (e *editing) missing() {
	if !e.written["model"] {
		e.w.String("model", e.call.Model.ID)
	}
	if e.call.Request.Endpoint == router.EndpointCount {
		return
	}
	if !e.written["max_output_tokens"] && e.call.OutputCap > 0 {
		e.w.Int("max_output_tokens", e.call.OutputCap)
	}
	if !e.written["store"] && !slices.Contains(e.call.Quirks.Drop, "store") {
		e.w.Raw("store", "false")
	}
	if !e.written["include"] && e.reasons() {
		e.w.Raw("include", `["`+sealedReasoning+`"]`)
	}
}

func (e *editing) reasons() bool {
	return e.call.Model.Has(ledger.FeatureReasoning) && !slices.Contains(e.call.Quirks.Drop, "include")
}

func withSealed(include gjson.Result) string {
	var b []byte
	for _, v := range include.Array() {
		if v.Str == sealedReasoning {
			return include.Raw
		}
		b = append(append(b, v.Raw...), ',')
	}
	return "[" + string(b) + `"` + sealedReasoning + `"]`
}

// input leaves out the reasoning that the provider cannot open, and keeps all other items byte for byte.
func (e *editing) input(items gjson.Result) string {
	var kept []byte
	first, i := -1, 0
	items.ForEach(func(_, item gjson.Result) bool {
		why := ""
		if item.Get("type").Str == "reasoning" {
			why = e.sealed(item)
		}
		switch {
		case why != "":
			e.warnings = append(e.warnings, "input["+strconv.Itoa(i)+"]: left out, "+why)
			if first < 0 {
				first = i
			}
		case len(kept) > 0:
			kept = append(append(kept, ','), item.Raw...)
		default:
			kept = append(kept, item.Raw...)
		}
		i++
		return true
	})
	if first < 0 {
		return items.Raw
	}
	return "[" + string(kept) + "]"
}

// sealed tells why reasoning must stay behind, "" if it need not.
func (e *editing) sealed(item gjson.Result) string {
	switch seal := item.Get("encrypted_content").Str; {
	case router.IsMinted(seal):
		return "another provider thought it, and it cannot travel"
	case e.call.Foreign[seal]:
		return "it was sealed for another credential"
	case seal == "" && len(item.Get("content").Array()) == 0:
		return "reasoning without encrypted_content refers to what was stored, and nothing is"
	}
	return ""
}
