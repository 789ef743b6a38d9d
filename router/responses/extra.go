package responses

import (
	"encoding/json"
	"slices"

	"github.com/tidwall/gjson"

	"waybill/router"
)

const cacheHint = "steers the provider's prompt cache, never the answer"

// hints are the fields without a canonical form whose loss changes nothing that the caller must have, and why.
var hints = map[string]string{
	"metadata":                           "labels in OpenAI's own dashboard",
	"prompt_cache_key":                   cacheHint,
	"prompt_cache_options":               cacheHint,
	"prompt_cache_retention":             cacheHint,
	"prompt_cache_breakpoint":            cacheHint,
	"truncation":                         "a conversation that is longer than the model's context is an error there",
	"max_tool_calls":                     "bounds OpenAI's built-in tools alone",
	"reasoning.context":                  "says how much of its earlier reasoning OpenAI's model reads again",
	"stream_options.include_obfuscation": "pads the events of a stream, which says nothing",
	"phase":                              "OpenAI's own mark of what a message of the assistant's was for",
}

// neutral are the values with which a field asks for nothing that an answer without it does not have, so that a leg in
// another dialect leaves it out without a word. The values are compared as the caller wrote them.
var neutral = map[string]string{
	"top_logprobs":                       "0",
	"truncation":                         `"disabled"`,
	"reasoning.context":                  `"auto"`,
	"reasoning.mode":                     `"standard"`,
	"stream_options.include_obfuscation": "false",
}

// unknown sorts a field without a canonical form.
func (d *decoding) unknown(field string, v gjson.Result) {
	if neutral[field] == v.Raw {
		return
	}
	if reason, ok := hints[field]; ok {
		d.hint(field, reason)
		return
	}
	d.extra(field)
}

// maxExtra bounds how many fields without a canonical form are kept by name: one is enough to refuse a leg.
const maxExtra = 64

func (d *decoding) extra(field string) {
	if len(d.req.Extra) < maxExtra {
		d.req.Extra = append(d.req.Extra, field)
	}
}

// beside sorts the members of an item or a part that are not among the known: only this dialect can carry those that say
// something.
func (d *decoding) beside(at string, v gjson.Result, known ...string) {
	v.ForEach(func(key, m gjson.Result) bool {
		switch {
		case slices.Contains(known, key.Str), m.Type == gjson.Null, m.Type == gjson.False, m.Raw == `""`, m.Raw == "[]", m.Raw == "{}":
		case key.Str == "caller" && m.Get("type").Str == "direct": // the model itself
		default:
			d.extra(at + "." + key.Str)
		}
		return true
	})
}

func (d *decoding) hint(field, reason string) {
	d.req.Hints = append(d.req.Hints, router.FieldError{Field: field, Reason: reason})
}

// hintOnce hints at the first place alone of what a long conversation has in many.
func (d *decoding) hintOnce(name, field string) {
	if i, ok := d.hinted[name]; ok {
		d.req.Hints[i].Reason = hints[name] + "; here and below"
		return
	}
	if d.hinted == nil {
		d.hinted = map[string]int{}
	}
	d.hinted[name] = len(d.req.Hints)
	d.hint(field, hints[name])
}

// object reads a JSON object as it is written.
func object(field string, v gjson.Result) (json.RawMessage, *router.FieldError) {
	if !v.IsObject() {
		return nil, &router.FieldError{Field: field, Reason: "must be an object"}
	}
	return json.RawMessage(v.Raw), nil
}

func optionalBool(field string, v gjson.Result) (*bool, *router.FieldError) {
	b, fault := router.BoolField(field, v)
	return &b, fault
}
