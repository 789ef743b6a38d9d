package responses

import (
	"strconv"

	"github.com/tidwall/gjson"

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
	text   growth        // of reasoning its summary, of a call its arguments

	callID, name string
}

// outputPart is a text or a refusal.
type outputPart struct {
	kind router.Kind
	text growth
}

func (o *output) last() *outputPart { return o.parts[len(o.parts)-1] }

// index and place say in an event which item it is about, and content which of its parts.
func (o *output) index(b []byte) []byte {
	return strconv.AppendInt(append(b, `,"output_index":`...), int64(o.at), 10)
}

func (o *output) place(b []byte) []byte {
	return o.index(append(append(append(b, `,"item_id":"`...), o.id...), '"'))
}

func (o *output) content(b []byte) []byte {
	return strconv.AppendInt(append(o.place(b), `,"content_index":`...), int64(len(o.parts)-1), 10)
}

// room is how long the item is as JSON, or a little less.
func (o *output) room() int {
	n := o.text.room() + len(o.name) + 512
	for _, p := range o.parts {
		n += p.text.room() + 64
	}
	return n
}

// append appends the item as far as it has come.
func (o *output) append(b []byte, status, seal string) []byte {
	b = append(append(append(b, `{"id":"`...), o.id...), `","type":"`...)
	b = append(append(b, o.kind...), '"')
	if o.kind != "reasoning" { // whose status other clients than OpenAI's own trip over
		b = append(append(append(b, `,"status":"`...), status...), '"')
	}
	switch o.kind {
	case "function_call":
		b = gjson.AppendJSONString(append(b, `,"call_id":`...), o.callID)
		b = gjson.AppendJSONString(append(b, `,"name":`...), o.name)
		b = o.text.append(append(b, `,"arguments":`...))
	case "reasoning":
		b = append(b, `,"summary":[`...)
		if o.text.size > 0 {
			b = appendSummary(b, &o.text)
		}
		b = append(b, ']')
		if seal != "" {
			b = gjson.AppendJSONString(append(b, `,"encrypted_content":`...), seal)
		}
	default:
		b = append(b, `,"role":"assistant","content":[`...)
		for i, p := range o.parts {
			if i > 0 {
				b = append(b, ',')
			}
			b = p.append(b, &p.text)
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

// append appends the part, with a text.
func (p *outputPart) append(b []byte, text *growth) []byte {
	if p.kind == router.KindRefusal {
		b = append(b, `{"type":"refusal","refusal":`...)
	} else {
		b = append(b, `{"type":"output_text","annotations":[],"logprobs":[],"text":`...)
	}
	return append(text.append(b), '}')
}

// appendSummary appends a part of a reasoning's summary.
func appendSummary(b []byte, text *growth) []byte {
	return append(text.append(append(b, `{"type":"summary_text","text":`...)), '}')
}

// appendUsage writes OpenAI's convention: the input includes what was read from and written to a cache, the output
// includes reasoning.
func appendUsage(b []byte, u ledger.Usage) []byte {
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
	return append(b, '}')
}
