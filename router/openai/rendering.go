package openai

import (
	"strconv"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
)

// rendering writes an answer that came in another dialect.
type rendering struct {
	sheet
	options bool                    // the caller wants the usage chunk, so all others carry a null
	spoken  [router.MaxAnswers]bool // the answer's role has been told
}

// Chunk writes what a step adds: the role before an answer's first content, its text, its finish reason.
// Reasoning has no place in this dialect; its tokens are in the usage.
func (w *rendering) Chunk(c router.Chunk) []byte {
	if c.Index < 0 || c.Index >= router.MaxAnswers || !c.Content && c.Finish == "" {
		return nil
	}
	b := w.begin()
	if !w.spoken[c.Index] {
		w.spoken[c.Index] = true
		b = w.step(b, c.Index, `{"role":"assistant","content":""}`, "", "")
	}
	if c.Text != "" {
		b = w.step(b, c.Index, `{"content":`, c.Text, "")
	}
	if c.Finish != "" {
		b = w.step(b, c.Index, "{}", "", c.Finish)
	}
	if len(b) == 0 {
		return nil
	}
	return w.end(b)
}

// step appends one chunk. A text that is given completes the delta.
func (w *rendering) step(b []byte, index int, delta, text string, finish router.Finish) []byte {
	b = w.opening(append(b, "data: "...), "chat.completion.chunk")
	b = strconv.AppendInt(append(b, `,"choices":[{"index":`...), int64(index), 10)
	b = append(append(b, `,"delta":`...), delta...)
	if text != "" {
		b = append(gjson.AppendJSONString(b, text), '}')
	}
	b = append(appendFinish(append(b, `,"finish_reason":`...), finish), "}]"...)
	if w.options {
		b = append(b, `,"usage":null`...)
	}
	return append(b, "}\n\n"...)
}

func appendFinish(b []byte, finish router.Finish) []byte {
	if finish == "" {
		return append(b, "null"...)
	}
	return append(append(append(b, '"'), finish...), '"')
}

// Body writes a whole answer.
func (w *rendering) Body(steps []router.Chunk, u ledger.Usage) []byte {
	b := append(w.opening(nil, "chat.completion"), `,"choices":[`...)
	for i, c := range steps {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendChoice(b, c)
	}
	return append(appendUsage(append(b, `],"usage":`...), u), '}')
}

func appendChoice(b []byte, c router.Chunk) []byte {
	b = strconv.AppendInt(append(b, `{"index":`...), int64(c.Index), 10)
	b = gjson.AppendJSONString(append(b, `,"message":{"role":"assistant","content":`...), c.Text)
	b = append(b, `,"refusal":null},"logprobs":null,"finish_reason":`...)
	return append(appendFinish(b, c.Finish), '}')
}
