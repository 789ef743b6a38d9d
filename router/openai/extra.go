package openai

import (
	"github.com/tidwall/gjson"

	"waybill/router"
)

const cacheHint = "steers the provider's prompt cache, never the answer"

// hints are the fields without a canonical form whose loss changes nothing that the caller reads, and why.
var hints = map[string]string{
	"metadata":               "labels in OpenAI's own dashboard",
	"prompt_cache_key":       cacheHint,
	"prompt_cache_options":   cacheHint,
	"prompt_cache_retention": cacheHint,
}

// neutral are the values with which a field asks for nothing that an answer without it does not have, so that
// a leg in another dialect leaves it out without a word. The values are compared as the caller wrote them.
var neutral = map[string][]string{
	"store":           {"false"},           // nobody stores unless told to
	"logprobs":        {"false"},           // the default, as are those up to verbosity
	"top_logprobs":    {"0"},               //
	"logit_bias":      {"{}"},              //
	"response_format": {`{"type":"text"}`}, //
	"modalities":      {`["text"]`},        //
	"verbosity":       {`"medium"`},        //
	"tools":           {"[]"},              // no tools, as are all below: with tools, it is those that are refused
	"functions":       {"[]"},
	"tool_choice":     {`"auto"`, `"none"`},
	"function_call":   {`"auto"`, `"none"`},

	"parallel_tool_calls": {"true", "false"},
}

// unknown sorts a field without a canonical form.
func (d *decoding) unknown(name string, v gjson.Result) {
	for _, value := range neutral[name] {
		if v.Get("@ugly").Raw == value {
			return
		}
	}
	if reason, ok := hints[name]; ok {
		d.hint(name, reason)
		return
	}
	d.req.Extra = append(d.req.Extra, name)
}

func (d *decoding) hint(field, reason string) {
	d.req.Hints = append(d.req.Hints, router.FieldError{Field: field, Reason: reason})
}
