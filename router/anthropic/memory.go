package anthropic

import (
	"strings"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// answer is a remembered turn.
type answer struct {
	prefix  string
	content []gjson.Result
	calls   []gjson.Result // those of its blocks that are calls
	unsaid  string         // all of its text, as far as the caller's turn has not come to it
	written bool
}

func parseAnswer(b []byte) *answer {
	doc := gjson.ParseBytes(b)
	a := &answer{prefix: doc.Get("prefix").Str, content: doc.Get("content").Array()}
	var text strings.Builder
	for _, block := range a.content {
		switch block.Get("type").Str {
		case "tool_use":
			a.calls = append(a.calls, block)
		case "text":
			text.WriteString(block.Get("text").String())
		}
	}
	a.unsaid = strings.TrimSpace(text.String())
	return a
}

// thinks tells whether the turn begins with what Anthropic wants at the beginning of one that it is to think on from.
func (a *answer) thinks() bool {
	if len(a.content) == 0 {
		return false
	}
	kind := a.content[0].Get("type").Str
	return kind == "thinking" || kind == "redacted_thinking"
}

// whole tells whether the caller's turn has all the calls of the answer, as they were made.
func (a *answer) whole(calls map[string]router.Part) bool {
	for _, made := range a.calls {
		p, there := calls[made.Get("id").Str]
		if !there || p.Name != made.Get("name").Str || !router.SameArguments(p.Text, made.Get("input").Raw) {
			return false
		}
	}
	return true
}

// recollection is what is remembered of one turn of the assistant's, which may be of several answers.
type recollection struct {
	calls   map[string]*answer // by their ids
	answers []*answer
}

// say tells whether a text is what one of the answers says next.
func (r *recollection) say(text string) bool {
	text = strings.TrimSpace(text)
	for _, a := range r.answers {
		if rest, next := strings.CutPrefix(a.unsaid, text); next {
			a.unsaid = strings.TrimLeft(rest, " \t\r\n")
			return true
		}
	}
	return false
}

// recall finds the remembered answers that made a turn's calls, as far as they can go back as they were.
func (e *encoding) recall(m router.Message, prefix string) (found recollection) {
	if e.t.Call.Turn == nil {
		return found
	}
	calls := map[string]router.Part{}
	var ids []string
	for _, p := range m.Parts {
		if _, twice := calls[p.ID]; p.Kind == router.KindCall && !twice {
			calls[p.ID] = p
			ids = append(ids, p.ID)
		}
	}
	looked := map[string]bool{}
	for _, id := range ids {
		if looked[id] {
			continue
		}
		b := e.t.Call.Turn(id)
		if b == nil {
			continue
		}
		a := parseAnswer(b)
		for _, made := range a.calls {
			looked[made.Get("id").Str] = true
		}
		switch {
		case a.prefix != prefix:
			e.warn(m.Field, "what the model thought is left out, since what came before it has changed")
			continue
		case !a.whole(calls):
			e.warn(m.Field, "what the model thought is left out, since the calls that it led to have changed")
			continue
		}
		if found.calls == nil {
			found.calls = map[string]*answer{}
		}
		found.answers = append(found.answers, a)
		for _, made := range a.calls {
			found.calls[made.Get("id").Str] = a
		}
	}
	return found
}
