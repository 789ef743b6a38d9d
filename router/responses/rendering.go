package responses

import (
	"strconv"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
)

// rendering writes an answer that came in another dialect, as the events that OpenAI would send. The dialect says again at an
// item's end what its deltas said, and at the answer's end what its items said: so a text is kept once, and what says it again
// is written one event at a time.
type rendering struct {
	head     router.Head
	thoughts bool   // the caller wants to read reasoning
	echo     string // members of the response that repeat the request
	mute     bool   // the answer is not streamed: only its end is written

	b        []byte // the events being written
	free     []byte // room for what is written next; never written twice, so that what was returned stays
	sequence int64  // of the next event
	output   []*output
	open     *output         // the message or the reasoning that is being written
	calls    map[int]*output // by their ordinals: calls may come side by side, so they stay open to the end
	finish   router.Finish
	tier     string

	closing []closing     // what is to be closed before anything else is written
	next    *router.Chunk // the step that is to be written behind it
	usage   *ledger.Usage // the answer's end is to be written behind all else
}

// blockSize is how much room is taken at once, in bytes: some dozens of events.
const blockSize = 4 << 10

func newRendering(req *router.Request, head router.Head) *rendering {
	return &rendering{head: head, thoughts: req.Thoughts, echo: echoOf(req.Body)}
}

// Chunk writes the events of one step. Where it closes something, that comes first, event by event.
func (w *rendering) Chunk(c router.Chunk) []byte {
	if w.closes(c); len(w.closing) == 0 {
		return w.write(func() { w.step(c) })
	}
	next := c
	w.next = &next
	return w.More()
}

// More writes the next of what is left.
func (w *rendering) More() []byte {
	for {
		var b []byte
		switch {
		case len(w.closing) > 0:
			b = w.write(w.close)
		case w.next != nil:
			c := *w.next
			w.next = nil
			b = w.write(func() { w.step(c) })
		case w.usage != nil:
			b = w.write(w.end)
		default:
			return nil
		}
		if len(b) > 0 {
			return b
		}
	}
}

// write gives what is written.
func (w *rendering) write(what func()) []byte {
	if cap(w.free) < blockSize/8 {
		w.free = make([]byte, 0, blockSize)
	}
	w.b = w.free[:0]
	what()
	b := w.b
	w.b = nil
	if len(b) == 0 {
		return nil
	}
	if w.free = b[len(b):]; cap(b) > blockSize { // what is large is not to stay for the room behind it
		w.free = nil
	}
	return b[:len(b):len(b)]
}

func (w *rendering) step(c router.Chunk) {
	w.begin()
	if c.Tier != "" {
		w.tier = c.Tier
	}
	if c.Index != 0 || w.finish != "" {
		return
	}
	switch c.Kind {
	case router.KindText, router.KindRefusal:
		if c.Text != "" {
			w.say(c.Kind, c.Text)
		}
	case router.KindReasoning:
		if c.Text != "" && w.thoughts {
			w.think(c.Text)
		}
	case router.KindCall:
		w.call(c)
	}
	w.finish = c.Finish
}

// begin writes the two events with which a stream begins.
func (w *rendering) begin() {
	if w.sequence > 0 {
		return
	}
	for _, kind := range []string{"response.created", "response.in_progress"} {
		if w.event(kind) {
			w.b = w.response(append(w.b, `,"response":`...), "in_progress", "null", nil)
			w.ended()
		}
	}
}

// event begins one, if events are wanted.
func (w *rendering) event(kind string) bool {
	w.sequence++
	if !w.mute {
		w.b = appendHead(w.b, kind, w.sequence-1)
	}
	return !w.mute
}

// ended ends an event.
func (w *rendering) ended() { w.b = append(w.b, "}\n\n"...) }

// say adds to the message, and begins one where there is none or the kind of its content changes.
func (w *rendering) say(kind router.Kind, text string) {
	m := w.opened("message", "msg_")
	if len(m.parts) == 0 || m.last().kind != kind {
		m.parts = append(m.parts, &outputPart{kind: kind})
		if w.event("response.content_part.added") {
			w.b = m.last().append(append(m.content(w.b), `,"part":`...), &growth{})
			w.ended()
		}
	}
	m.last().text.add(text)
	event, before := "response.output_text.delta", `,"logprobs":[],"delta":`
	if kind == router.KindRefusal {
		event, before = "response.refusal.delta", `,"delta":`
	}
	if w.event(event) {
		w.b = gjson.AppendJSONString(append(m.content(w.b), before...), text)
		w.ended()
	}
}

// think adds to a summary, which has one part: where another provider's paragraphs end is not known.
func (w *rendering) think(text string) {
	r := w.opened("reasoning", "rs_")
	if r.text.size == 0 && w.event("response.reasoning_summary_part.added") {
		w.b = appendSummary(append(r.place(w.b), `,"summary_index":0,"part":`...), &growth{})
		w.ended()
	}
	r.text.add(text)
	if w.event("response.reasoning_summary_text.delta") {
		w.b = gjson.AppendJSONString(append(r.place(w.b), `,"summary_index":0,"delta":`...), text)
		w.ended()
	}
}

func (w *rendering) call(c router.Chunk) {
	o := w.calls[c.Call]
	if o == nil {
		if w.calls == nil {
			w.calls = map[int]*output{}
		}
		o = w.add("function_call", "fc_")
		o.callID, o.name = c.CallID, c.Name
		w.calls[c.Call] = o
		w.added(o)
	}
	if c.Text != "" {
		w.argue(o, c.Text)
	}
}

func (w *rendering) argue(o *output, text string) {
	o.text.add(text)
	if w.event("response.function_call_arguments.delta") {
		w.b = gjson.AppendJSONString(append(o.place(w.b), `,"delta":`...), text)
		w.ended()
	}
}

// add makes the next item.
func (w *rendering) add(kind, prefix string) *output {
	n := len(w.output)
	o := &output{kind: kind, id: prefix + w.head.Request + "_" + strconv.Itoa(n), at: n}
	w.output = append(w.output, o)
	return o
}

func (w *rendering) added(o *output) {
	if w.event("response.output_item.added") {
		w.b = o.append(append(o.index(w.b), `,"item":`...), "in_progress", "")
		w.ended()
	}
}

// opened gives the open item of a kind, and opens one if there is none.
func (w *rendering) opened(kind, prefix string) *output {
	if w.open == nil {
		w.open = w.add(kind, prefix)
		w.added(w.open)
	}
	return w.open
}

// End writes the terminal event, with the usage, and before it what ends the items that are open.
func (w *rendering) End(u ledger.Usage) []byte {
	w.closeAll()
	w.usage = &u
	return w.More()
}

// end writes the terminal event.
func (w *rendering) end() {
	w.begin()
	status := w.status()
	if w.event("response." + status) {
		w.b = w.response(append(w.b, `,"response":`...), status, "null", w.usage)
		w.ended()
	}
	w.usage, w.output, w.calls = nil, nil, nil
}

// Body writes a whole answer.
func (w *rendering) Body(steps []router.Chunk, u ledger.Usage) []byte {
	w.mute = true
	for _, c := range steps {
		w.Chunk(c)
	}
	w.closeAll()
	w.More()
	return w.response(nil, w.status(), "null", &u)
}

// Error writes the events that end a stream which cannot be finished.
func (w *rendering) Error(f router.Failure) []byte {
	return breakOff(f, w.sequence, w.response(nil, "failed", failure(f), nil))
}

// status is how the answer ended.
func (w *rendering) status() string {
	if w.finish == router.FinishLength || w.finish == router.FinishFiltered {
		return "incomplete"
	}
	return "completed"
}

// response appends the response that an event has. It has a usage once that is known.
func (w *rendering) response(b []byte, status, failure string, u *ledger.Usage) []byte {
	room := len(w.echo) + 1024
	for _, o := range w.output {
		if o.status != "" {
			room += o.room()
		}
	}
	b = reserve(b, room)
	b = append(append(append(b, `{"id":"resp_`...), w.head.Request...), `","object":"response","created_at":`...)
	b = strconv.AppendInt(b, w.head.Created, 10)
	b = append(append(append(b, `,"status":"`...), status...), `","error":`...)
	b = append(append(b, failure...), `,"incomplete_details":`...)
	switch {
	case status == "incomplete" && w.finish == router.FinishFiltered:
		b = append(b, `{"reason":"content_filter"}`...)
	case status == "incomplete":
		b = append(b, `{"reason":"max_output_tokens"}`...)
	default:
		b = append(b, "null"...)
	}
	b = gjson.AppendJSONString(append(b, `,"model":`...), w.head.Model)
	b = append(b, `,"output":[`...)
	for _, o := range w.output {
		if o.status == "" {
			continue
		}
		if b[len(b)-1] != '[' {
			b = append(b, ',')
		}
		b = o.append(b, o.status, router.MintSeal(w.head.Request))
	}
	b = append(b, `],"service_tier":`...)
	if w.tier != "" {
		b = gjson.AppendJSONString(b, tierOf(w.tier))
	} else {
		b = append(b, "null"...)
	}
	b = append(b, `,"usage":`...)
	if u != nil {
		b = appendUsage(b, *u)
	} else {
		b = append(b, "null"...)
	}
	return append(append(b, w.echo...), '}')
}

// tierOf is this dialect's word for a service tier of another.
func tierOf(word string) string {
	if own := tiers[word]; own != "" {
		return own
	}
	return word
}

// echoed are the members of a response that repeat the request, each with what it is where the caller left it out.
var echoed = []struct{ name, absent string }{
	{"instructions", "null"},
	{"max_output_tokens", "null"},
	{"max_tool_calls", "null"},
	{"metadata", "{}"},
	{"parallel_tool_calls", "true"},
	{"prompt_cache_key", "null"},
	{"reasoning", `{"effort":null,"summary":null}`},
	{"safety_identifier", "null"},
	{"temperature", "1"},
	{"text", `{"format":{"type":"text"}}`},
	{"tool_choice", `"auto"`},
	{"tools", "[]"},
	{"top_logprobs", "0"},
	{"top_p", "1"},
	{"truncation", `"disabled"`},
	{"user", "null"},
}

// echoOf writes them, and those that never change: nothing is stored, nothing runs in the background.
func echoOf(body []byte) string {
	given := make(map[string]string, 16)
	gjson.Parse(router.TextOf(body)).ForEach(func(key, v gjson.Result) bool {
		if v.Type != gjson.Null {
			given[key.Str] = v.Raw
		}
		return true
	})
	echo := `,"access_programs":null,"background":false,"completed_at":null,"previous_response_id":null,"store":false`
	for _, e := range echoed {
		value, ok := given[e.name]
		if !ok {
			value = e.absent
		}
		echo += `,"` + e.name + `":` + oneLine(value)
	}
	return echo
}

// oneLine takes the line breaks out of a caller's JSON, where they are space and would end an event's line.
func oneLine(json string) string { return gjson.Get(json, "@ugly").Raw }
