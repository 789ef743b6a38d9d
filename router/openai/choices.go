package openai

import (
	"slices"
	"strconv"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
)

// choice is one of the answers of a body.
type choice struct {
	index         int
	text, refusal []byte
	calls         []written
	finish        router.Finish
}

// written is one call of a choice.
type written struct {
	id, name  string
	arguments []byte
}

// gather puts the steps together by the answer that they add to.
func gather(steps []router.Chunk) []*choice {
	var list []*choice
	var by [router.MaxAnswers]*choice
	for i := range steps {
		s := &steps[i]
		if s.Index < 0 || s.Index >= router.MaxAnswers || !s.Content && s.Finish == "" {
			continue
		}
		c := by[s.Index]
		if c == nil {
			c = &choice{index: s.Index}
			by[s.Index] = c
			list = append(list, c)
		}
		c.add(s)
	}
	slices.SortFunc(list, func(a, b *choice) int { return a.index - b.index })
	return list
}

func (c *choice) add(s *router.Chunk) {
	switch s.Kind {
	case router.KindText:
		c.text = append(c.text, s.Text...)
	case router.KindRefusal:
		c.refusal = append(c.refusal, s.Text...)
	case router.KindCall:
		if s.CallID != "" {
			c.calls = append(c.calls, written{id: s.CallID, name: s.Name})
		}
		if s.Call >= 0 && s.Call < len(c.calls) {
			call := &c.calls[s.Call]
			call.arguments = append(call.arguments, s.Text...)
		}
	}
	if s.Finish != "" {
		c.finish = s.Finish
	}
}

// Body writes a whole answer.
func (w *rendering) Body(steps []router.Chunk, u ledger.Usage) []byte {
	for _, s := range steps {
		w.noteTier(s)
	}
	b := append(w.opening(nil, "chat.completion"), `,"choices":[`...)
	for i, c := range gather(steps) {
		if i > 0 {
			b = append(b, ',')
		}
		b = w.choice(b, c)
	}
	return append(appendUsage(append(b, `],"usage":`...), u), '}')
}

// choice appends one answer. Its content is null where it has none but calls or a refusal.
func (w *rendering) choice(b []byte, c *choice) []byte {
	b = strconv.AppendInt(append(b, `{"index":`...), int64(c.index), 10)
	b = append(b, `,"message":{"role":"assistant","content":`...)
	if len(c.text) == 0 && (len(c.calls) > 0 || len(c.refusal) > 0) {
		b = append(b, "null"...)
	} else {
		b = gjson.AppendJSONString(b, string(c.text))
	}
	b = append(b, `,"refusal":`...)
	if len(c.refusal) > 0 {
		b = gjson.AppendJSONString(b, string(c.refusal))
	} else {
		b = append(b, "null"...)
	}
	calls := c.calls
	if w.functions && len(calls) > 0 {
		b = appendFunction(append(b, `,"function_call":`...), calls[0])
		calls = calls[1:]
	}
	if len(calls) > 0 {
		b = append(b, `,"tool_calls":[`...)
		for i, call := range calls {
			if i > 0 {
				b = append(b, ',')
			}
			b = gjson.AppendJSONString(append(b, `{"id":`...), call.id)
			b = appendFunction(append(b, `,"type":"function","function":`...), call)
			b = append(b, '}')
		}
		b = append(b, ']')
	}
	b = append(b, `},"logprobs":null,"finish_reason":`...)
	return append(appendFinish(b, w.word(c.finish)), '}')
}

func appendFunction(b []byte, c written) []byte {
	b = gjson.AppendJSONString(append(b, `{"name":`...), c.name)
	b = gjson.AppendJSONString(append(b, `,"arguments":`...), string(c.arguments))
	return append(b, '}')
}
