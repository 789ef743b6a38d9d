package responses

import (
	"strconv"

	"waybill/ledger"
	"waybill/router"
)

// output is one item of an answer as it is written.
type output struct {
	kind   string // message, reasoning or function_call
	id     string
	at     int           // its place in the output
	status string        // once it is done
	parts  []*outputPart // of a message
	text   []byte        // of reasoning its summary, of a call its arguments

	callID, name string
}

// outputPart is a text or a refusal.
type outputPart struct {
	kind router.Kind
	text []byte
}

func (o *output) last() *outputPart { return o.parts[len(o.parts)-1] }

// index and place say in an event which item it is about, and contentIndex which of its parts.
func (o *output) index() string { return `"output_index":` + strconv.Itoa(o.at) }
func (o *output) place() string { return `"item_id":"` + o.id + `",` + o.index() }
func (o *output) contentIndex() string {
	return `"content_index":` + strconv.Itoa(len(o.parts)-1)
}

// json writes the item as far as it has come.
func (o *output) json(status, seal string) string {
	w := router.NewObject(len(o.text) + 192)
	w.String("id", o.id)
	w.String("type", o.kind)
	if o.kind != "reasoning" { // whose status other clients than OpenAI's own trip over
		w.String("status", status)
	}
	switch o.kind {
	case "function_call":
		w.String("call_id", o.callID)
		w.String("name", o.name)
		w.String("arguments", string(o.text))
	case "reasoning":
		parts := &list{}
		if len(o.text) > 0 {
			parts.add(summary(router.Quote(string(o.text))))
		}
		w.Raw("summary", parts.end())
		if seal != "" {
			w.String("encrypted_content", seal)
		}
	default:
		w.String("role", "assistant")
		parts := &list{}
		for _, p := range o.parts {
			parts.add(p.json(router.Quote(string(p.text))))
		}
		w.Raw("content", parts.end())
	}
	return string(w.End())
}

// json writes the part with its text, which is JSON already; "" is an empty one.
func (p *outputPart) json(text string) string {
	if text == "" {
		text = `""`
	}
	if p.kind == router.KindRefusal {
		return `{"type":"refusal","refusal":` + text + `}`
	}
	return `{"type":"output_text","annotations":[],"logprobs":[],"text":` + text + `}`
}

// summary writes a part of a reasoning's summary.
func summary(text string) string {
	if text == "" {
		text = `""`
	}
	return `{"type":"summary_text","text":` + text + `}`
}

// usageOf writes OpenAI's convention: the input includes what was read from and written to a cache, the output
// includes reasoning.
func usageOf(u ledger.Usage) string {
	var b []byte
	for _, part := range []struct {
		before string
		n      int64
	}{
		{`{"input_tokens":`, u.InputTotal()},
		{`,"input_tokens_details":{"cached_tokens":`, u.CacheRead},
		{`,"cache_write_tokens":`, u.CacheWrite + u.CacheWriteLong},
		{`,"cache_write_tokens_details":{"ttl_30m_tokens":`, u.CacheWrite},
		{`,"ttl_12h_tokens":`, u.CacheWriteLong},
		{`}},"output_tokens":`, u.Output},
		{`,"output_tokens_details":{"reasoning_tokens":`, u.Reasoning},
		{`},"total_tokens":`, u.Total()},
	} {
		b = strconv.AppendInt(append(b, part.before...), part.n, 10)
	}
	return string(append(b, '}'))
}
