package responses

import (
	"strconv"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
)

// rendering writes an answer that came in another dialect, as the events that OpenAI would send.
type rendering struct {
	head     router.Head
	thoughts bool   // the caller wants to read reasoning
	echo     string // members of the response that repeat the request
	mute     bool   // the answer is not streamed: only its end is written

	b        []byte // the frames being written
	free     []byte // room for what is written next; never written twice, so that what was returned stays
	sequence int64  // of the next event
	output   []*output
	open     *output         // the message or the reasoning that is being written
	calls    map[int]*output // by their ordinals: calls may come side by side, so they stay open to the end
	finish   router.Finish
	tier     string
}

// blockSize is how much room is taken at once, in bytes: some dozens of events.
const blockSize = 4 << 10

func newRendering(req *router.Request, head router.Head) *rendering {
	return &rendering{head: head, thoughts: req.Thoughts, echo: echoOf(req.Body)}
}

// Chunk writes the events of one step.
func (w *rendering) Chunk(c router.Chunk) []byte {
	if cap(w.free) < blockSize/8 {
		w.free = make([]byte, 0, blockSize)
	}
	w.b = w.free[:0]
	w.step(c)
	b := w.b
	if len(b) == 0 {
		return nil
	}
	w.free = b[len(b):]
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
	if c.Finish != "" {
		w.finish = c.Finish
		w.closeAll()
	}
}

// begin writes the two events with which a stream begins.
func (w *rendering) begin() {
	if w.sequence > 0 {
		return
	}
	response := ""
	if !w.mute {
		response = w.response("in_progress", "null", nil)
	}
	w.event("response.created", response)
	w.event("response.in_progress", response)
}

// event writes one, if events are wanted. Members follow its type and number.
func (w *rendering) event(kind string, members ...string) {
	if !w.mute {
		w.b = appendEvent(w.b, kind, w.sequence, members...)
	}
	w.sequence++
}

// say adds to the message, and begins one where there is none or the kind of its content changes.
func (w *rendering) say(kind router.Kind, text string) {
	m := w.opened("message", "msg_")
	if len(m.parts) == 0 || m.parts[len(m.parts)-1].kind != kind {
		w.closePart(m)
		m.parts = append(m.parts, &outputPart{kind: kind})
		w.event("response.content_part.added", m.place(), m.contentIndex(), `"part":`+m.last().json(""))
	}
	m.last().text = append(m.last().text, text...)
	if kind == router.KindRefusal {
		w.event("response.refusal.delta", m.place(), m.contentIndex(), `"delta":`+router.Quote(text))
	} else {
		w.event("response.output_text.delta", m.place(), m.contentIndex(), `"logprobs":[]`, `"delta":`+router.Quote(text))
	}
}

// think adds to a summary, which has one part: where another provider's paragraphs end is not known.
func (w *rendering) think(text string) {
	r := w.opened("reasoning", "rs_")
	if len(r.text) == 0 {
		w.event("response.reasoning_summary_part.added", r.place(), `"summary_index":0`, `"part":`+summary(""))
	}
	r.text = append(r.text, text...)
	w.event("response.reasoning_summary_text.delta", r.place(), `"summary_index":0`, `"delta":`+router.Quote(text))
}

func (w *rendering) call(c router.Chunk) {
	o := w.calls[c.Call]
	if o == nil {
		w.closeOpen("completed")
		if w.calls == nil {
			w.calls = map[int]*output{}
		}
		o = w.add("function_call", "fc_")
		o.callID, o.name = c.CallID, c.Name
		w.calls[c.Call] = o
		w.event("response.output_item.added", o.index(), `"item":`+o.json("in_progress", ""))
	}
	if c.Text != "" {
		o.text = append(o.text, c.Text...)
		w.event("response.function_call_arguments.delta", o.place(), `"delta":`+router.Quote(c.Text))
	}
}

// add makes the next item.
func (w *rendering) add(kind, prefix string) *output {
	n := len(w.output)
	o := &output{kind: kind, id: prefix + w.head.Request + "_" + strconv.Itoa(n), at: n}
	w.output = append(w.output, o)
	return o
}

// opened gives the open item of a kind, and opens one if it is of another.
func (w *rendering) opened(kind, prefix string) *output {
	if w.open != nil && w.open.kind == kind {
		return w.open
	}
	w.closeOpen("completed")
	w.open = w.add(kind, prefix)
	w.event("response.output_item.added", w.open.index(), `"item":`+w.open.json("in_progress", ""))
	return w.open
}

// closeAll ends what is open: the last item is incomplete where the answer is.
func (w *rendering) closeAll() {
	status := func(o *output) string {
		if w.finish != router.FinishStop && w.finish != router.FinishTool && o.at == len(w.output)-1 {
			return "incomplete"
		}
		return "completed"
	}
	if w.open != nil {
		w.closeOpen(status(w.open))
	}
	for _, o := range w.output {
		if o.kind == "function_call" && o.status == "" {
			w.closeCall(o, status(o))
		}
	}
}

func (w *rendering) closeCall(o *output, status string) {
	if len(o.text) == 0 && status == "completed" {
		o.text = []byte("{}")
		w.event("response.function_call_arguments.delta", o.place(), `"delta":"{}"`)
	}
	w.event("response.function_call_arguments.done", o.place(), `"name":`+router.Quote(o.name), `"arguments":`+router.Quote(string(o.text)))
	w.done(o, status)
}

func (w *rendering) closeOpen(status string) {
	o := w.open
	if o == nil {
		return
	}
	w.open = nil
	if o.kind == "reasoning" {
		text := router.Quote(string(o.text))
		w.event("response.reasoning_summary_text.done", o.place(), `"summary_index":0`, `"text":`+text)
		w.event("response.reasoning_summary_part.done", o.place(), `"summary_index":0`, `"part":`+summary(text))
	} else {
		w.closePart(o)
	}
	w.done(o, status)
}

// closePart ends the last part of a message.
func (w *rendering) closePart(m *output) {
	if len(m.parts) == 0 {
		return
	}
	p := m.last()
	text := router.Quote(string(p.text))
	if p.kind == router.KindRefusal {
		w.event("response.refusal.done", m.place(), m.contentIndex(), `"refusal":`+text)
	} else {
		w.event("response.output_text.done", m.place(), m.contentIndex(), `"logprobs":[]`, `"text":`+text)
	}
	w.event("response.content_part.done", m.place(), m.contentIndex(), `"part":`+p.json(text))
}

func (w *rendering) done(o *output, status string) {
	o.status = status
	w.event("response.output_item.done", o.index(), `"item":`+o.json(status, router.MintSeal(w.head.Request)))
}

// End writes the terminal event, with the usage.
func (w *rendering) End(u ledger.Usage) []byte {
	w.b = nil
	w.begin()
	status := w.status()
	w.event("response."+status, w.response(status, "null", &u))
	return w.b
}

// Body writes a whole answer.
func (w *rendering) Body(steps []router.Chunk, u ledger.Usage) []byte {
	w.mute = true
	for _, c := range steps {
		w.step(c)
	}
	return []byte(w.response(w.status(), "null", &u)[len(`"response":`):])
}

// Error writes the events that end a stream which cannot be finished.
func (w *rendering) Error(f router.Failure) []byte {
	return breakOff(f, w.sequence, w.response("failed", failure(f), nil))
}

// status is how the answer ended.
func (w *rendering) status() string {
	if w.finish == router.FinishLength || w.finish == router.FinishFiltered {
		return "incomplete"
	}
	return "completed"
}

// response writes the member response of an event. It has a usage once that is known.
func (w *rendering) response(status, failure string, u *ledger.Usage) string {
	o := router.NewObject(512 + len(w.echo))
	o.String("id", "resp_"+w.head.Request)
	o.String("object", "response")
	o.Int("created_at", w.head.Created)
	o.String("status", status)
	o.Raw("error", failure)
	details := "null"
	switch {
	case status == "incomplete" && w.finish == router.FinishFiltered:
		details = `{"reason":"content_filter"}`
	case status == "incomplete":
		details = `{"reason":"max_output_tokens"}`
	}
	o.Raw("incomplete_details", details)
	o.String("model", w.head.Model)
	items := &list{}
	for _, it := range w.output {
		if it.status != "" {
			items.add(it.json(it.status, router.MintSeal(w.head.Request)))
		}
	}
	o.Raw("output", items.end())
	tier := "null"
	if w.tier != "" {
		tier = router.Quote(tierOf(w.tier))
	}
	o.Raw("service_tier", tier)
	usage := "null"
	if u != nil {
		usage = usageOf(*u)
	}
	o.Raw("usage", usage)
	b := o.End()
	return `"response":` + string(b[:len(b)-1]) + w.echo + "}"
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
