package openai

import (
	"cmp"
	"strconv"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
)

// rendering writes an answer that came in another dialect.
type rendering struct {
	sheet
	options   bool                    // the caller wants the usage chunk, so all others carry a null
	functions bool                    // the caller's tools are in the deprecated form, and so are its calls
	spoken    [router.MaxAnswers]bool // the answer's role has been told
}

// Chunk writes what a step adds: the role before an answer's first content, its text, its refusal, its calls, its finish
// reason. Reasoning has no place in this dialect; its tokens are in the usage.
func (w *rendering) Chunk(c router.Chunk) []byte {
	w.noteTier(c)
	if c.Index < 0 || c.Index >= router.MaxAnswers || !c.Content && c.Finish == "" {
		return nil
	}
	b := w.begin()
	if !w.spoken[c.Index] {
		w.spoken[c.Index] = true
		b = w.step(b, c.Index, opener(c.Kind), "")
	}
	switch {
	case c.Kind == router.KindText && c.Text != "":
		b = w.step(b, c.Index, textDelta(`{"content":`, c.Text), "")
	case c.Kind == router.KindRefusal && c.Text != "":
		b = w.step(b, c.Index, textDelta(`{"refusal":`, c.Text), "")
	case c.Kind == router.KindCall && (c.CallID != "" || c.Text != ""):
		b = w.callSteps(b, c)
	}
	if c.Finish != "" {
		b = w.step(b, c.Index, []byte("{}"), w.word(c.Finish))
	}
	if len(b) == 0 {
		return nil
	}
	return w.end(b)
}

// noteTier keeps the service tier in this dialect's word, where it has one.
func (w *rendering) noteTier(c router.Chunk) {
	if c.Tier != "" {
		w.tier = cmp.Or(tiers[c.Tier], c.Tier)
	}
}

// opener is an answer's first delta.
func opener(first router.Kind) []byte {
	if first == router.KindCall || first == router.KindRefusal {
		return []byte(`{"role":"assistant","content":null}`)
	}
	return []byte(`{"role":"assistant","content":""}`)
}

// textDelta is a delta of one member; opening is what comes before its text.
func textDelta(opening, text string) []byte {
	b := append(make([]byte, 0, len(opening)+len(text)+8), opening...)
	return append(gjson.AppendJSONString(b, text), '}')
}

// callSteps appends the chunk that names a call, where the step does, and the one with its piece of the arguments.
func (w *rendering) callSteps(b []byte, c router.Chunk) []byte {
	if c.CallID != "" {
		b = w.step(b, c.Index, w.callDelta(c, true), "")
	}
	if c.Text != "" {
		b = w.step(b, c.Index, w.callDelta(c, false), "")
	}
	return b
}

// callDelta writes a fragment of a call: its id and name on the first and on no other, as OpenAI does.
func (w *rendering) callDelta(c router.Chunk, first bool) []byte {
	b := make([]byte, 0, 128+len(c.Text))
	place := c.Call
	inFunction := w.functions && place == 0
	if w.functions { // the deprecated form has room for one; further ones are told in today's
		place--
	}
	if inFunction {
		b = append(b, `{"function_call":{`...)
	} else {
		b = strconv.AppendInt(append(b, `{"tool_calls":[{"index":`...), int64(place), 10)
		if first {
			b = gjson.AppendJSONString(append(b, `,"id":`...), c.CallID)
			b = append(b, `,"type":"function"`...)
		}
		b = append(b, `,"function":{`...)
	}
	if first {
		b = gjson.AppendJSONString(append(b, `"name":`...), c.Name)
		b = append(b, `,"arguments":""`...)
	} else {
		b = gjson.AppendJSONString(append(b, `"arguments":`...), c.Text)
	}
	if inFunction {
		return append(b, "}}"...)
	}
	return append(b, "}}]}"...)
}

// word is the caller's word for a finish reason.
func (w *rendering) word(f router.Finish) string {
	if w.functions && f == router.FinishTool {
		return "function_call"
	}
	return string(f)
}

// step appends one chunk.
func (w *rendering) step(b []byte, index int, delta []byte, finish string) []byte {
	b = w.opening(append(b, "data: "...), "chat.completion.chunk")
	b = strconv.AppendInt(append(b, `,"choices":[{"index":`...), int64(index), 10)
	b = append(append(b, `,"delta":`...), delta...)
	b = append(appendFinish(append(b, `,"finish_reason":`...), finish), "}]"...)
	if w.options {
		b = append(b, `,"usage":null`...)
	}
	return append(b, "}\n\n"...)
}

func appendFinish(b []byte, finish string) []byte {
	if finish == "" {
		return append(b, "null"...)
	}
	return gjson.AppendJSONString(b, finish)
}

// End writes the usage chunk where it is wanted, and the end mark.
func (w *rendering) End(u ledger.Usage) []byte {
	if !w.usage {
		return done
	}
	return w.end(append(w.usageChunk(w.begin(), u), done...))
}
