package responses

import (
	"github.com/tidwall/gjson"

	"waybill/router"
)

// closing is an item at its end, or the last part of a message.
type closing struct {
	of     *output
	status string // the item's; empty where it goes on with another part
	said   int    // how many of its events have been written
}

// closes finds what a step closes: an item of another kind, and a message's part of another.
func (w *rendering) closes(c router.Chunk) {
	if c.Index != 0 || w.finish != "" || w.open == nil {
		return
	}
	var kind string
	switch c.Kind {
	case router.KindText, router.KindRefusal:
		if kind = "message"; c.Text == "" {
			return
		}
	case router.KindReasoning:
		if kind = "reasoning"; c.Text == "" || !w.thoughts {
			return
		}
	case router.KindCall:
		if kind = "function_call"; w.calls[c.Call] != nil {
			return
		}
	default:
		return
	}
	switch o := w.open; {
	case o.kind != kind:
		w.closing = append(w.closing, closing{of: o, status: "completed"})
	case kind == "message" && o.last().kind != c.Kind:
		w.closing = append(w.closing, closing{of: o})
	}
}

// closeAll closes what is open: the last item is incomplete where the answer is.
func (w *rendering) closeAll() {
	for _, o := range w.output {
		if o != w.open && (o.kind != "function_call" || o.status != "") {
			continue
		}
		status := "completed"
		if w.finish != router.FinishStop && w.finish != router.FinishTool && o.at == len(w.output)-1 {
			status = "incomplete"
		}
		w.closing = append(w.closing, closing{of: o, status: status})
	}
}

// close writes the next event of what is to be closed.
func (w *rendering) close() {
	c := &w.closing[0]
	switch c.said++; {
	case c.said == 1:
		w.textDone(c.of, c.status)
		return
	case c.said == 2 && c.of.kind != "function_call":
		if w.partDone(c.of); c.status != "" {
			return
		}
	default:
		w.itemDone(c.of, c.status)
	}
	if w.closing = w.closing[1:]; len(w.closing) == 0 {
		w.closing = nil
	}
}

// textDone says again what the deltas said.
func (w *rendering) textDone(o *output, status string) {
	switch o.kind {
	case "function_call":
		if o.text.size == 0 && status == "completed" {
			w.argue(o, "{}")
		}
		if w.event("response.function_call_arguments.done") {
			w.b = reserve(w.b, o.room())
			w.b = gjson.AppendJSONString(append(o.place(w.b), `,"name":`...), o.name)
			w.b = o.text.append(append(w.b, `,"arguments":`...))
			w.ended()
		}
	case "reasoning":
		if w.event("response.reasoning_summary_text.done") {
			w.b = reserve(w.b, o.room())
			w.b = o.text.append(append(o.place(w.b), `,"summary_index":0,"text":`...))
			w.ended()
		}
	default:
		event, before := "response.output_text.done", `,"logprobs":[],"text":`
		if o.last().kind == router.KindRefusal {
			event, before = "response.refusal.done", `,"refusal":`
		}
		if w.event(event) {
			w.b = reserve(w.b, o.room())
			w.b = o.last().text.append(append(o.content(w.b), before...))
			w.ended()
		}
	}
}

// partDone ends the part of a summary, or the last of a message.
func (w *rendering) partDone(o *output) {
	switch {
	case o.kind == "reasoning":
		if w.event("response.reasoning_summary_part.done") {
			w.b = reserve(w.b, o.room())
			w.b = appendSummary(append(o.place(w.b), `,"summary_index":0,"part":`...), &o.text)
			w.ended()
		}
	case w.event("response.content_part.done"):
		w.b = reserve(w.b, o.room())
		w.b = o.last().append(append(o.content(w.b), `,"part":`...), &o.last().text)
		w.ended()
	}
}

func (w *rendering) itemDone(o *output, status string) {
	o.status = status
	if w.open == o {
		w.open = nil
	}
	if w.event("response.output_item.done") {
		w.b = reserve(w.b, o.room())
		w.b = o.append(append(o.index(w.b), `,"item":`...), status, router.MintSeal(w.head.Request))
		w.ended()
	}
}

// reserve makes room for so many bytes, and for no more: they may be many.
func reserve(b []byte, n int) []byte {
	if cap(b)-len(b) < n {
		return append(make([]byte, 0, len(b)+n), b...)
	}
	return b
}
