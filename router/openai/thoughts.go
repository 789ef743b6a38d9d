package openai

import (
	"waybill/router"
)

// turn is what an answer said beside its calls, for the servers that want their model's thoughts back with the results of
// the tools that it called, such as DeepSeek.
type turn struct {
	text, thoughts []byte
	size           int  // of what is kept of the answer, with the arguments of its calls, in bytes
	over           bool // there was more than is kept
}

// keep counts what is to be kept. Beyond the bound nothing is: part of a turn is not the turn.
func (t *turn) keep(n int) bool {
	if t.size += n; t.size > router.MaxTurn {
		*t = turn{size: t.size, over: true}
	}
	return !t.over
}

func (t *turn) say(kind router.Kind, s string) {
	switch {
	case !t.keep(len(s)):
	case kind == router.KindText:
		t.text = append(t.text, s...)
	case kind == router.KindReasoning:
		t.thoughts = append(t.thoughts, s...)
	}
}

// message is the answer as the assistant's turn; nil where there were no thoughts.
func (t *turn) message(calls []toolCall) []byte {
	if len(t.thoughts) == 0 {
		return nil
	}
	w := router.NewObject(len(t.text) + len(t.thoughts) + 256)
	w.Raw("role", `"assistant"`)
	w.String("content", string(t.text))
	w.String("reasoning_content", string(t.thoughts))
	b := []byte{'['}
	for i, call := range calls {
		if i > 0 {
			b = append(b, ',')
		}
		arguments := string(call.arguments)
		if arguments == "" {
			arguments = "{}"
		}
		f, c := router.NewObject(len(arguments)+64), router.NewObject(len(arguments)+128)
		f.String("name", call.name)
		f.String("arguments", arguments)
		c.String("id", router.CallID(call.id))
		c.Raw("type", `"function"`)
		c.Raw("function", string(f.End()))
		b = append(b, c.End()...)
	}
	w.Raw("tool_calls", string(append(b, ']')))
	return w.End()
}
