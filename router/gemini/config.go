package gemini

import (
	"encoding/json"
	"math"
	"strings"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// config reads generationConfig.
func (d *decoding) config(v gjson.Result, at string) *router.FieldError {
	return members(v, at+".", func(name, field string, v gjson.Result) (fault *router.FieldError) {
		r := d.req
		switch name {
		case "maxOutputTokens":
			r.OutputCap, fault = whole(field, v, 1, math.MaxInt32)
		case "temperature":
			r.Temperature, fault = number(field, v, 0, 2)
		case "topP":
			r.TopP, fault = number(field, v, 0, 1)
		case "topK":
			r.TopK, fault = router.Optional(whole(field, v, 0, math.MaxInt32))
		case "frequencyPenalty":
			r.Frequency, fault = number(field, v, -2, 2)
		case "presencePenalty":
			r.Presence, fault = number(field, v, -2, 2)
		case "seed":
			r.Seed, fault = router.Optional(whole(field, v, math.MinInt32, math.MaxInt32))
		case "candidateCount":
			r.N, fault = whole(field, v, 1, router.MaxAnswers)
		case "stopSequences":
			fault = each(v, field, func(i int, s gjson.Result) *router.FieldError {
				word, fault := str(item(field, i), s)
				r.Stop = append(r.Stop, word)
				return fault
			})
		case "thinkingConfig":
			fault = d.thinking(v, field)
		case "responseMimeType", "responseSchema", "responseJsonSchema":
			fault = d.format(name, field, v)
		default:
			d.setting(name, field, v)
		}
		return fault
	})
}

// setting sorts what of generationConfig has no canonical form. What is switched off is not asked for.
func (d *decoding) setting(name, field string, v gjson.Result) {
	switch {
	case v.Type == gjson.False:
	case name == "responseModalities" && strings.EqualFold(v.Get("@ugly").Raw, `["text"]`):
	case name == "mediaResolution":
		d.hint(field, "how closely media are looked at is left to the provider")
	default:
		d.extra(field)
	}
}

// thinking reads thinkingConfig.
func (d *decoding) thinking(v gjson.Result, at string) *router.FieldError {
	r := d.req
	fault := members(v, at+".", func(name, field string, v gjson.Result) (fault *router.FieldError) {
		switch name {
		case "includeThoughts":
			r.Thoughts, fault = flag(field, v)
		case "thinkingBudget":
			r.Budget, fault = router.Optional(whole(field, v, -1, math.MaxInt32))
		case "thinkingLevel":
			r.Effort, fault = str(field, v)
			if r.Effort = strings.ToLower(r.Effort); r.Effort == "thinking_level_unspecified" {
				r.Effort = ""
			}
		default:
			d.extra(field)
		}
		return fault
	})
	if fault == nil && r.Budget != nil && r.Effort != "" {
		fault = wrong(at, "thinkingBudget and thinkingLevel cannot be given together")
	}
	return fault
}

// format reads the form that the answer is to have.
func (d *decoding) format(name, field string, v gjson.Result) (fault *router.FieldError) {
	f := &d.req.Format
	if name == "responseMimeType" {
		kind, fault := str(field, v)
		switch kind {
		case "application/json":
			if f.Kind == router.FormatText {
				f.Kind = router.FormatJSON
			}
		case "text/plain", "":
		default:
			d.extra(field)
		}
		return fault
	}
	if f.Kind == router.FormatSchema {
		return wrong(field, "responseSchema and responseJsonSchema cannot be given together")
	}
	f.Kind = router.FormatSchema
	if name == "responseSchema" {
		f.Schema, fault = fromOpenAPI(field, v)
		return fault
	}
	if f.Schema = json.RawMessage(v.Raw); !v.IsObject() {
		fault = wrong(field, "must be a JSON schema")
	}
	return fault
}

// tool reads one tool. Those that Google runs itself have no counterpart.
func (d *decoding) tool(at string, v gjson.Result) *router.FieldError {
	return members(v, at+".", func(name, field string, v gjson.Result) *router.FieldError {
		if name != "functionDeclarations" {
			d.extra(field)
			return nil
		}
		return each(v, field, func(i int, v gjson.Result) *router.FieldError { return d.declaration(item(field, i), v) })
	})
}

func (d *decoding) declaration(at string, v gjson.Result) *router.FieldError {
	t := router.Tool{Field: at}
	fault := members(v, at+".", func(name, field string, v gjson.Result) (fault *router.FieldError) {
		switch name {
		case "name":
			t.Name, fault = str(field, v)
		case "description":
			t.Description, fault = str(field, v)
		case "parameters", "parametersJsonSchema":
			switch {
			case t.Schema != nil:
				fault = wrong(field, "parameters and parametersJsonSchema cannot be given together")
			case name == "parameters":
				t.Schema, fault = fromOpenAPI(field, v)
			default:
				if t.Schema = json.RawMessage(v.Raw); !v.IsObject() {
					fault = wrong(field, "must be a JSON schema")
				}
			}
		case "response", "responseJsonSchema":
			d.hint(field, "it describes what the function gives back, which only Google's models are told")
		case "behavior":
			if v.Str != "BLOCKING" {
				d.extra(field)
			}
		default:
			d.extra(field)
		}
		return fault
	})
	if fault == nil && t.Name == "" {
		fault = wrong(at+".name", "is required")
	}
	d.req.Tools = append(d.req.Tools, t)
	return fault
}

// toolConfig reads which functions are to be called.
func (d *decoding) toolConfig(v gjson.Result, at string) *router.FieldError {
	return members(v, at+".", func(name, field string, v gjson.Result) *router.FieldError {
		switch {
		case name == "functionCallingConfig":
			return members(v, field+".", d.calling)
		case v.Type != gjson.False:
			d.extra(field)
		}
		return nil
	})
}

func (d *decoding) calling(name, field string, v gjson.Result) (fault *router.FieldError) {
	choice := &d.req.ToolChoice
	switch name {
	case "mode":
		mode, fault := str(field, v)
		switch strings.ToUpper(mode) {
		case "", "MODE_UNSPECIFIED":
		case "AUTO":
			choice.Mode = router.ToolAuto
		case "VALIDATED":
			choice.Mode = router.ToolAuto
			d.hint(field, "other providers check arguments by their schema on terms of their own")
		case "ANY":
			choice.Mode = router.ToolRequired
		case "NONE":
			choice.Mode = router.ToolNone
		default:
			d.extra(field)
		}
		return fault
	case "allowedFunctionNames":
		return each(v, field, func(i int, s gjson.Result) *router.FieldError {
			word, fault := str(item(field, i), s)
			choice.Names = append(choice.Names, word)
			return fault
		})
	case "streamFunctionCallArguments":
		if v.Bool() {
			d.hint(field, "a call comes whole")
		}
	default:
		d.extra(field)
	}
	return fault
}
