package sandbox

import (
	"net/http"

	"github.com/tidwall/gjson"
)

// admitCount checks a request for a count of tokens, which costs nothing and follows no directive.
func (s *Sandbox) admitCount(x *exchange, r *http.Request, v gjson.Result) *fault {
	var p *prompt
	var f *fault
	switch h := x.d.hearer.(type) {
	case responsesHearer:
		p, f = h.count(r, v)
	case anthropicHearer:
		p, f = h.count(r, v, familyOf(Anthropic, x.seen.model))
	case geminiHearer:
		p, f = h.count(r, v)
	}
	if f != nil {
		return f
	}
	if !s.serves(x.d.provider, p.model) {
		return faultOf(x.d.provider, NotFound, 0).about(p.model)
	}
	s.calls.update(x.call, func(c *Call) { c.Messages, c.Images, c.Tools = p.messages, p.images, p.tools })
	p.stream = false
	x.a, x.script = &answer{prompt: p, script: &plainScript, request: requestID(x.id)}, &plainScript
	switch x.d {
	case responsesDialect:
		x.whole = jsonObject{"object": "response.input_tokens", "input_tokens": p.input}
	case messagesDialect:
		x.whole = jsonObject{"input_tokens": p.input}
	default:
		x.whole = jsonObject{"totalTokens": p.input, "promptTokensDetails": []geminiModality{{"TEXT", p.input}}}
	}
	return nil
}
