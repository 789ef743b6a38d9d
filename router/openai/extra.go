package openai

import (
	"slices"
	"strconv"

	"github.com/tidwall/gjson"

	"waybill/router"
)

const (
	cacheHint   = "steers the provider's prompt cache, never the answer"
	thoughtHint = "what the model thought or sealed earlier, which its own provider alone can read"
	echoHint    = "told with an earlier answer, and nothing that a model is shown"
)

// hints are the members without a canonical form whose loss changes nothing that the caller reads, and why: of the
// request, of a message, of a part or of a call.
var hints = map[string]string{
	"metadata":                "labels in OpenAI's own dashboard",
	"prediction":              "a guess at the answer that makes it faster and no other",
	"prompt_cache_key":        cacheHint,
	"prompt_cache_options":    cacheHint,
	"prompt_cache_retention":  cacheHint,
	"prompt_cache_breakpoint": cacheHint,
	"cache_control":           cacheHint, // Anthropic's word, as compatible servers take it
	"name":                    "tells speakers of one role apart, which other dialects do not",
	"annotations":             echoHint,
	"reasoning_details":       thoughtHint, // OpenRouter's
	"thinking_blocks":         thoughtHint,
	"extra_content":           thoughtHint, // Google's, on calls
}

// neutral are the values with which a field asks for nothing that an answer without it does not have, so that
// a leg in another dialect leaves it out without a word. The values are compared as the caller wrote them.
var neutral = map[string][]string{
	"store":        {"false"}, // nobody stores unless told to
	"logprobs":     {"false"}, // the default, as are all below
	"top_logprobs": {"0"},
	"logit_bias":   {"{}"},
	"modalities":   {`["text"]`},
}

// unknown sorts a member without a canonical form; at is what its name follows.
func (d *decoding) unknown(name, at string, v gjson.Result) {
	if at == "" && len(neutral[name]) > 0 && slices.Contains(neutral[name], v.Get("@ugly").Raw) {
		return
	}
	switch reason, ok := hints[name]; {
	case at != "" && empty(v):
	case ok:
		d.hint(at, name, reason)
	default:
		d.extra(at + name)
	}
}

// maxExtra bounds how many members without a canonical form are kept by name: one is enough to refuse a leg.
const maxExtra = 64

func (d *decoding) extra(field string) {
	if len(d.req.Extra) < maxExtra {
		d.req.Extra = append(d.req.Extra, field)
	}
}

// hint notes what a leg in another dialect leaves out. Of what stands in many places the first is named, so that a
// long conversation has no warning a message.
func (d *decoding) hint(at, name, reason string) {
	if at != "" {
		if i, ok := d.hinted[name]; ok {
			d.req.Hints[i].Reason = reason + "; here and below"
			return
		}
		if d.hinted == nil {
			d.hinted = map[string]int{}
		}
		d.hinted[name] = len(d.req.Hints)
	}
	d.req.Hints = append(d.req.Hints, router.FieldError{Field: at + name, Reason: reason})
}

func empty(v gjson.Result) bool {
	switch v.Raw {
	case "null", `""`, "[]", "{}":
		return true
	}
	return false
}

// item names a place in a list.
func item(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }
