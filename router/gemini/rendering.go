package gemini

import (
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
)

// rendering writes an answer that came in another dialect.
type rendering struct {
	sheet
	req     *router.Request
	head    router.Head
	answers []answer
}

// answer is what is known of one of the answers.
type answer struct {
	begun  bool
	said   bool      // something that the caller can read
	sealed bool      // its first call has been written
	calls  []*spoken // not yet written
	finish router.Finish
	fault  string // why a call could not be written

	growing map[int]*spoken // of each place among the calls the one that takes its pieces
}

// spoken is a function call whose arguments come in pieces. Gemini has calls whole.
type spoken struct {
	n        int // its place among the answer's calls
	id, name string
	args     []byte
	partial  bool // its arguments have been found not to be whole before the answer's end
}

func (w *rendering) answer(index int) *answer {
	for len(w.answers) <= index {
		w.answers = append(w.answers, answer{})
	}
	w.answers[index].begun = true
	return &w.answers[index]
}

// Chunk writes what a step adds, and keeps calls until they are whole. The finish reason is written by End, together
// with the usage.
func (w *rendering) Chunk(c router.Chunk) []byte {
	if c.Index < 0 || c.Index >= router.MaxAnswers || c.Kind == "" && !c.Content && c.Finish == "" {
		return nil
	}
	a := w.answer(c.Index)
	parts := w.parts(a, c)
	if len(parts) == 0 {
		return nil
	}
	b := w.candidate(append(make([]byte, 0, len(parts)+192), `{"candidates":[`...), c.Index, parts, "", "")
	return w.frame(make([]byte, 0, len(b)+160), append(w.named(append(b, ']')), '}'))
}

// parts writes the parts that a step makes: its own, and the calls that it shows to be whole.
func (w *rendering) parts(a *answer, c router.Chunk) (b []byte) {
	switch c.Kind {
	case router.KindText, router.KindRefusal:
		if c.Text != "" {
			b = appendText(w.whole(a, b), c.Text)
			a.said = true
		}
	case router.KindReasoning:
		if c.Text != "" && w.req.Thoughts {
			b = appendThought(w.whole(a, b), c.Text, router.MintSeal(w.head.Request))
			a.said = true
		}
	case router.KindCall:
		a.hear(c)
	}
	if c.Finish != "" {
		a.finish = c.Finish
		b = w.whole(a, b)
	}
	return b
}

// hear takes a piece of a call. Pieces of calls side by side may come in turns.
func (a *answer) hear(c router.Chunk) {
	if s := a.growing[c.Call]; s != nil && c.CallID == "" {
		s.args = append(s.args, c.Text...)
		return
	}
	if c.CallID == "" && c.Name == "" {
		return // white space behind a call that is whole
	}
	s := &spoken{n: c.Call, id: c.CallID, name: c.Name, args: []byte(c.Text)}
	if a.growing == nil {
		a.growing = map[int]*spoken{}
	}
	a.calls, a.growing[c.Call], a.said = append(a.calls, s), s, true
}

// whole writes the calls that are known to be whole; with the answer's finish reason that is all of them. One whose
// arguments are no object cannot be written: it is told at the end. What follows a call is the sign that it may be whole. If
// it is not, it is not looked at again before the end, for its pieces may be many.
func (w *rendering) whole(a *answer, b []byte) []byte {
	for len(a.calls) > 0 {
		s := a.calls[0]
		if s.partial && a.finish == "" {
			return b
		}
		args := strings.TrimSpace(router.TextOf(s.args))
		if args == "" && a.finish != "" {
			args = "{}"
		}
		doc, err := router.Document([]byte(args))
		switch {
		case err == nil && doc.IsObject():
			b = w.appendCall(open(b), a, s, args)
		case a.finish == "":
			s.partial = true
			return b
		default:
			a.fault = "the arguments of the call of " + s.name + " are not a JSON object: " + strings.ToValidUTF8(args[:min(len(args), 500)], "")
		}
		a.calls = a.calls[1:]
		if a.growing[s.n] == s {
			delete(a.growing, s.n)
		}
	}
	return b
}

func (w *rendering) appendCall(b []byte, a *answer, s *spoken, args string) []byte {
	b = append(b, `{"functionCall":{`...)
	if s.id != "" {
		b = append(gjson.AppendJSONString(append(b, `"id":`...), s.id), ',')
	}
	b = gjson.AppendJSONString(append(b, `"name":`...), s.name)
	b = append(append(append(b, `,"args":`...), args...), '}')
	if !a.sealed { // as Gemini does, on the first: without one, Gemini would refuse the conversation later
		a.sealed = true
		b = gjson.AppendJSONString(append(b, `,"thoughtSignature":`...), router.MintSeal(w.head.Request))
	}
	return append(b, '}')
}

// open separates parts.
func open(b []byte) []byte {
	if len(b) > 0 {
		b = append(b, ',')
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(gjson.AppendJSONString(append(open(b), `{"text":`...), s), '}')
}

// appendThought writes a thought under a seal of ours, by which it is known, and stays behind, when it comes back.
func appendThought(b []byte, s, seal string) []byte {
	b = gjson.AppendJSONString(append(open(b), `{"text":`...), s)
	b = gjson.AppendJSONString(append(b, `,"thought":true,"thoughtSignature":`...), seal)
	return append(b, '}')
}

// candidate writes one candidate.
func (w *rendering) candidate(b []byte, index int, parts []byte, finish, message string) []byte {
	b = append(append(append(b, `{"content":{"parts":[`...), parts...), `],"role":"model"}`...)
	if finish != "" {
		b = append(append(append(b, `,"finishReason":"`...), finish...), '"')
	}
	if message != "" {
		b = gjson.AppendJSONString(append(b, `,"finishMessage":`...), message)
	}
	return append(strconv.AppendInt(append(b, `,"index":`...), int64(index), 10), '}')
}

// named writes what every partial answer ends with.
func (w *rendering) named(b []byte) []byte {
	b = gjson.AppendJSONString(append(b, `,"modelVersion":`...), w.head.Model)
	return gjson.AppendJSONString(append(b, `,"responseId":`...), w.head.Request)
}

// End writes the last partial answer: the finish reasons and the usage.
func (w *rendering) End(u ledger.Usage) []byte {
	b := w.frame(nil, w.last(u, nil))
	return append(b, w.close()...)
}

// Body writes a whole answer.
func (w *rendering) Body(steps []router.Chunk, u ledger.Usage) []byte {
	switch w.req.Endpoint {
	case router.EndpointCount:
		return counted(steps)
	case router.EndpointEmbed:
		return embedded(steps, w.req.Embed.Many, u)
	}
	var parts [][]byte
	for _, c := range steps {
		if c.Index < 0 || c.Index >= router.MaxAnswers || c.Kind == "" && !c.Content && c.Finish == "" {
			continue
		}
		a := w.answer(c.Index)
		for len(parts) <= c.Index {
			parts = append(parts, nil)
		}
		if b := w.parts(a, c); len(b) > 0 {
			parts[c.Index] = append(open(parts[c.Index]), b...)
		}
	}
	return w.last(u, parts)
}

// last writes the answer's end, which has the candidates' parts where they have not been written before. An answer that
// was filtered before it said a word is a prompt that was blocked.
func (w *rendering) last(u ledger.Usage, parts [][]byte) []byte {
	b := append(make([]byte, 0, 512), '{')
	if w.blocked() {
		b = append(b, `"promptFeedback":{"blockReason":"SAFETY"}`...)
	} else {
		b = append(b, `"candidates":[`...)
		for i := range w.answers {
			a := &w.answers[i]
			if !a.begun {
				continue
			}
			if b[len(b)-1] != '[' {
				b = append(b, ',')
			}
			own := []byte(`{"text":""}`)
			if i < len(parts) && len(parts[i]) > 0 {
				own = parts[i]
			}
			finish, message := a.ended()
			b = w.candidate(b, i, own, finish, message)
		}
		b = append(b, ']')
	}
	b = appendUsage(append(b, `,"usageMetadata":`...), u)
	return append(w.named(b), '}')
}

func (w *rendering) blocked() bool {
	for _, a := range w.answers {
		if a.begun && (a.said || a.finish != router.FinishFiltered) {
			return false
		}
	}
	return len(w.answers) > 0
}

// ended is Gemini's word for why an answer ended. A call whose arguments nobody can read is one that the model malformed,
// unless the cap cut it.
func (a *answer) ended() (finish, message string) {
	switch {
	case a.finish == router.FinishLength:
		return "MAX_TOKENS", a.fault
	case a.finish == router.FinishFiltered:
		return "SAFETY", a.fault
	case a.fault != "":
		return "MALFORMED_FUNCTION_CALL", a.fault
	}
	return "STOP", ""
}

// appendUsage writes Gemini's convention: the prompt includes what was read from a cache, the candidates leave out the
// thoughts.
func appendUsage(b []byte, u ledger.Usage) []byte {
	b = strconv.AppendInt(append(b, `{"promptTokenCount":`...), u.InputTotal(), 10)
	b = strconv.AppendInt(append(b, `,"candidatesTokenCount":`...), u.Output-u.Reasoning, 10)
	b = strconv.AppendInt(append(b, `,"totalTokenCount":`...), u.Total(), 10)
	if u.CacheRead > 0 {
		b = strconv.AppendInt(append(b, `,"cachedContentTokenCount":`...), u.CacheRead, 10)
	}
	if u.Reasoning > 0 {
		b = strconv.AppendInt(append(b, `,"thoughtsTokenCount":`...), u.Reasoning, 10)
	}
	return append(b, '}')
}
