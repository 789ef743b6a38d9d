package anthropic

import (
	"strconv"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
)

// rendering writes an answer that came in another dialect. Blocks are written one after the other, as Anthropic does:
// its SDKs take what a block's end closes for the block that began last. What comes for a later block while one is
// open waits.
type rendering struct {
	router.AtOnce
	head     router.Head
	thoughts bool // the caller wants to read what the model thinks
	count    bool // the answer is a number of tokens

	begun  bool             // message_start has been written
	blocks []*section       // those not yet closed, in order; only the first may be open
	calls  map[int]*section // those of blocks that are calls, by their place among the calls
	closed int              // how many have been
	ended  ending
	free   []byte // room for what is written next; never written twice, so that what was returned stays
}

// ending is how an answer ended.
type ending struct {
	finish  router.Finish
	stopped string
	refusal []byte // how the text of a refusal begins, which is shown as text as well
}

// maxExplanation is from how many bytes on no more of a refusal is repeated in the answer's end.
const maxExplanation = 4 << 10

// section is one content block as it grows.
type section struct {
	kind     router.Kind // text, reasoning or call
	ordinal  int         // of a call
	id, name string      // of a call
	text     []byte      // of a call all of it, within a bound; else what has not been written
	written  int         // of text
	nesting  nesting     // of a call's text
	open     bool
}

// blockSize is how much room is taken at once, in bytes: some dozens of events.
const blockSize = 4 << 10

// Chunk writes what a step adds.
func (w *rendering) Chunk(c router.Chunk) []byte {
	if !w.take(c) {
		return nil
	}
	if cap(w.free) < blockSize/8 {
		w.free = make([]byte, 0, blockSize)
	}
	b := w.pump(w.free[:0], false)
	if len(b) == 0 {
		return nil
	}
	if w.free = b[len(b):]; cap(b) > blockSize { // what is large is not to stay for the room behind it
		w.free = nil
	}
	return b[:len(b):len(b)]
}

// take puts a step into the block that it adds to, and tells whether there is something to write.
func (w *rendering) take(c router.Chunk) bool {
	if c.Index != 0 {
		return false // an answer that nobody can ask for in this dialect
	}
	if c.Finish != "" {
		w.ended.finish, w.ended.stopped = c.Finish, c.Stopped
	}
	kind := c.Kind
	switch {
	case kind == router.KindRefusal:
		if len(w.ended.refusal) < maxExplanation {
			w.ended.refusal = append(w.ended.refusal, c.Text...)
		}
		kind = router.KindText
	case kind == router.KindReasoning && !w.thoughts:
		return false
	}
	switch kind {
	case router.KindText, router.KindReasoning:
		if c.Text == "" {
			return false
		}
		last := w.last()
		if last == nil || last.kind != kind {
			last = &section{kind: kind}
			w.blocks = append(w.blocks, last)
		}
		last.text = append(last.text, c.Text...)
		return true
	case router.KindCall:
		return w.takeCall(c)
	}
	return false
}

func (w *rendering) last() *section {
	if len(w.blocks) == 0 {
		return nil
	}
	return w.blocks[len(w.blocks)-1]
}

func (w *rendering) takeCall(c router.Chunk) bool {
	if c.CallID != "" {
		p := &section{kind: router.KindCall, ordinal: c.Call, id: c.CallID, name: c.Name, text: []byte(c.Text)}
		w.blocks = append(w.blocks, p)
		if w.calls == nil {
			w.calls = map[int]*section{}
		}
		w.calls[c.Call] = p
		return true
	}
	p := w.calls[c.Call]
	if p == nil {
		return false
	}
	p.text = append(p.text, c.Text...)
	return true
}

// pump writes what may be written: of the first block what there is, and of those behind it as soon as it is closed.
// A block is closed when another follows; a call only once its arguments are whole, since they may come mixed with
// those of the next.
func (w *rendering) pump(b []byte, whole bool) []byte {
	if len(w.blocks) > 0 && !w.begun {
		b = w.start(b)
	}
	for len(w.blocks) > 0 {
		p := w.blocks[0]
		b = w.grow(b, p)
		if !whole && (len(w.blocks) == 1 || !p.whole()) {
			return b
		}
		b = w.close(b, p)
		w.blocks = w.blocks[1:]
	}
	return b
}

// whole tells whether a block has all of its text once another has begun. Arguments that close without being JSON are not
// known to be at their end, and never will be.
func (p *section) whole() bool {
	switch {
	case p.kind != router.KindCall:
		return true
	case p.nesting.closed:
		return p.nesting.sound
	case p.nesting.closes(p.text):
		p.nesting.sound = gjson.ValidBytes(p.text)
	}
	return p.nesting.sound
}

// start writes message_start. What the input comes to is known to the provider alone, in the end.
func (w *rendering) start(b []byte) []byte {
	w.begun = true
	b = append(b, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":"...)
	b = append(w.opening(b), `[],"stop_reason":null,"stop_sequence":null,"stop_details":null,"usage":`...)
	b = appendUsage(b, ledger.Usage{Input: w.head.Input})
	return append(b, "}}\n\n"...)
}

// opening appends the members that a message begins with, up to the value of content.
func (w *rendering) opening(b []byte) []byte {
	b = gjson.AppendJSONString(append(b, `{"id":`...), "msg_"+w.head.Request)
	b = gjson.AppendJSONString(append(b, `,"type":"message","role":"assistant","model":`...), w.head.Model)
	return append(b, `,"content":`...)
}

// grow opens a block and writes what has come of it.
func (w *rendering) grow(b []byte, p *section) []byte {
	if !p.open {
		p.open = true
		b = append(b, "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":"...)
		b = append(strconv.AppendInt(b, int64(w.closed), 10), `,"content_block":`...)
		b = append(p.append(b, "", "", "{}"), "}\n\n"...)
	}
	piece := p.text[p.written:]
	if len(piece) == 0 {
		return b
	}
	switch p.kind {
	case router.KindCall:
		b = w.delta(b, `{"type":"input_json_delta","partial_json":`, router.TextOf(piece))
		if p.written = len(p.text); p.written > router.MaxTurn {
			// So much is not kept to find its end by: what is behind it waits for the answer's.
			p.text, p.written, p.nesting = nil, 0, nesting{closed: true}
		}
	case router.KindReasoning:
		b = w.delta(b, `{"type":"thinking_delta","thinking":`, router.TextOf(piece))
		p.text = p.text[:0]
	default:
		b = w.delta(b, `{"type":"text_delta","text":`, router.TextOf(piece))
		p.text = p.text[:0]
	}
	return b
}

func (w *rendering) delta(b []byte, before, text string) []byte {
	b = append(b, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":"...)
	b = append(strconv.AppendInt(b, int64(w.closed), 10), `,"delta":`...)
	return append(gjson.AppendJSONString(append(b, before...), text), "}}\n\n"...)
}

func (w *rendering) close(b []byte, p *section) []byte {
	if p.kind == router.KindReasoning {
		b = w.delta(b, `{"type":"signature_delta","signature":`, router.MintSeal(w.head.Request))
	}
	b = append(b, "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":"...)
	b = append(strconv.AppendInt(b, int64(w.closed), 10), "}\n\n"...)
	w.closed++
	if w.calls[p.ordinal] == p {
		delete(w.calls, p.ordinal)
	}
	return b
}

// append appends the block as JSON.
func (p *section) append(b []byte, text, seal, input string) []byte {
	switch p.kind {
	case router.KindCall:
		b = gjson.AppendJSONString(append(b, `{"type":"tool_use","id":`...), p.id)
		b = gjson.AppendJSONString(append(b, `,"name":`...), p.name)
		return append(append(append(b, `,"input":`...), input...), '}')
	case router.KindReasoning:
		b = gjson.AppendJSONString(append(b, `{"type":"thinking","thinking":`...), text)
		b = gjson.AppendJSONString(append(b, `,"signature":`...), seal)
		return append(b, '}')
	}
	return append(gjson.AppendJSONString(append(b, `{"type":"text","text":`...), text), '}')
}

// End writes the rest of the blocks, why the answer ended, its usage and the end mark.
func (w *rendering) End(u ledger.Usage) []byte {
	var b []byte
	if !w.begun {
		b = w.start(b)
	}
	b = w.pump(b, true)
	b = append(b, "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{"...)
	b = appendUsage(append(w.ended.append(b), `},"usage":`...), u)
	return append(append(b, "}\n\n"...), stop...)
}

// Body writes a whole answer from its steps.
func (w *rendering) Body(steps []router.Chunk, u ledger.Usage) []byte {
	if w.count {
		var n int64
		for _, c := range steps {
			n = max(n, c.Tokens)
		}
		return append(strconv.AppendInt([]byte(`{"input_tokens":`), n, 10), '}')
	}
	for _, c := range steps {
		w.take(c)
	}
	b := append(w.opening(nil), '[')
	for i, p := range w.blocks {
		if i > 0 {
			b = append(b, ',')
		}
		b = p.append(b, router.TextOf(p.text), router.MintSeal(w.head.Request), object(p.text))
	}
	b = w.ended.append(append(b, "],"...))
	return append(appendUsage(append(b, `,"usage":`...), u), '}')
}

// Error writes the event that the SDKs raise. No end mark follows it.
func (w *rendering) Error(f router.Failure) []byte { return errorEvent(f) }

// object is a call's arguments as this dialect has them, an object. A model that wrote no such thing is shown with
// what it wrote.
func object(text []byte) string {
	s := router.TextOf(text)
	switch {
	case len(s) == 0:
		return "{}"
	case gjson.Valid(s) && gjson.Parse(s).IsObject():
		return s
	}
	return `{"arguments":` + router.Quote(s) + `}`
}

// append appends stop_reason, stop_sequence and stop_details.
func (e *ending) append(b []byte) []byte {
	reason := "end_turn"
	switch {
	case e.finish == router.FinishFiltered || len(e.refusal) > 0:
		reason = "refusal"
	case e.finish == router.FinishLength:
		reason = "max_tokens"
	case e.finish == router.FinishTool:
		reason = "tool_use"
	case e.stopped != "":
		reason = "stop_sequence"
	}
	b = append(append(append(b, `"stop_reason":"`...), reason...), `","stop_sequence":`...)
	if reason == "stop_sequence" {
		b = gjson.AppendJSONString(b, e.stopped)
	} else {
		b = append(b, "null"...)
	}
	if b = append(b, `,"stop_details":`...); reason != "refusal" {
		return append(b, "null"...)
	}
	b = append(b, `{"type":"refusal","category":null,"explanation":`...)
	if len(e.refusal) == 0 {
		return append(b, "null}"...)
	}
	return append(gjson.AppendJSONString(b, router.TextOf(e.refusal)), '}')
}
