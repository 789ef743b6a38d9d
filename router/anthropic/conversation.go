package anthropic

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"hash"
	"slices"
	"strings"
	"unicode"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// conversation writes the turns. What comes before each is hashed as it is written, so that a remembered turn goes back
// as its provider said it only where nothing before it has changed.
func (e *encoding) conversation() (prefix string, err error) {
	turns, err := e.t.Turns()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	h.Write(e.out.System)
	h.Write([]byte{0})
	h.Write(e.out.Tools)
	for i, m := range turns {
		var blocks []json.RawMessage
		if m.Role == router.RoleAssistant {
			last := i == len(turns)-1
			blocks, err = e.assistant(m, sum(h), last)
			e.prefill = last
		} else {
			blocks, err = e.user(m)
		}
		if err != nil {
			return "", err
		}
		if len(blocks) == 0 {
			continue // it was reasoning that stays behind
		}
		turn, err := marshal(struct {
			Role    router.Role       `json:"role"`
			Content []json.RawMessage `json:"content"`
		}{m.Role, blocks})
		if err != nil {
			return "", err
		}
		h.Write(turn)
		e.out.Messages = append(e.out.Messages, turn)
	}
	return sum(h), nil
}

func sum(h hash.Hash) string { return base64.RawStdEncoding.EncodeToString(h.Sum(nil)[:16]) }

// user writes a turn of the user's: the results of tools before everything else, as Anthropic wants them.
func (e *encoding) user(m router.Message) (blocks []json.RawMessage, err error) {
	e.loop = false
	for _, results := range []bool{true, false} {
		for _, p := range m.Parts {
			if (p.Kind == router.KindResult) != results {
				continue
			}
			b, err := e.block(p)
			if err != nil {
				return nil, err
			}
			raw, err := marshal(b)
			if err != nil {
				return nil, err
			}
			blocks = append(blocks, raw)
			e.loop = e.loop || results
		}
	}
	return blocks, nil
}

// answer is a remembered turn.
type answer struct {
	prefix  string
	content []gjson.Result
	ids     []string // of its calls
	text    string   // all of its text
	written bool
}

func parseAnswer(b []byte) *answer {
	doc := gjson.ParseBytes(b)
	a := &answer{prefix: doc.Get("prefix").Str, content: doc.Get("content").Array()}
	for _, block := range a.content {
		switch block.Get("type").Str {
		case "tool_use":
			a.ids = append(a.ids, block.Get("id").Str)
		case "text":
			a.text += block.Get("text").String()
		}
	}
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

// recall finds the remembered turns that made a turn's calls, as far as they can go back as they were.
func (e *encoding) recall(m router.Message, prefix string) map[string]*answer {
	if e.t.Call.Turn == nil {
		return nil
	}
	var calls []string
	for _, p := range m.Parts {
		if p.Kind == router.KindCall {
			calls = append(calls, p.ID)
		}
	}
	found := map[string]*answer{}
	for _, id := range calls {
		if found[id] != nil {
			continue
		}
		b := e.t.Call.Turn(id)
		if b == nil {
			continue
		}
		a := parseAnswer(b)
		if a.prefix != prefix {
			e.stays(m.Field, "what the model thought is left out, since what came before it has changed")
			continue
		}
		if slices.ContainsFunc(a.ids, func(id string) bool { return !slices.Contains(calls, id) }) {
			continue // the caller took calls out
		}
		for _, id := range a.ids {
			found[id] = a
		}
	}
	return found
}

// assistant writes a turn of the assistant's: as its provider said it where that is remembered, else from its parts,
// without what was sealed into it.
func (e *encoding) assistant(m router.Message, prefix string, last bool) (blocks []json.RawMessage, err error) {
	found := e.recall(m, prefix)
	e.thought = false
	for i, p := range m.Parts {
		switch a := found[p.ID]; {
		case p.Kind == router.KindCall && a != nil:
			if a.written {
				continue
			}
			a.written = true
			e.thought = e.thought || len(blocks) == 0 && a.thinks()
			for _, b := range a.content {
				blocks = append(blocks, json.RawMessage(b.Raw))
			}
			continue
		case p.Kind == router.KindReasoning:
			if len(found) == 0 {
				e.stays(p.Field, "left out, "+e.t.Model.Name+" cannot read thinking that was sealed elsewhere")
			}
			continue
		case (p.Kind == router.KindText || p.Kind == router.KindRefusal) && said(found, p.Text):
			continue
		}
		if last && i == len(m.Parts)-1 && p.Kind == router.KindText {
			if p = e.begun(p); p.Text == "" {
				continue
			}
		}
		b, err := e.spoken(p)
		if err != nil {
			return nil, err
		}
		raw, err := marshal(b)
		if err != nil {
			return nil, err
		}
		blocks = append(blocks, raw)
	}
	return blocks, nil
}

// said tells whether a text is in one of the remembered turns.
func said(found map[string]*answer, text string) bool {
	for _, a := range found {
		if strings.Contains(a.text, text) {
			return true
		}
	}
	return false
}

// stays warns, once, that reasoning does not travel.
func (e *encoding) stays(field, what string) {
	if !e.warned {
		e.t.Warnings = append(e.t.Warnings, field+": "+what)
	}
	e.warned = true
}

// begun is the beginning of an answer, which Anthropic does not take with white space at its end.
func (e *encoding) begun(p router.Part) router.Part {
	if cut := strings.TrimRightFunc(p.Text, unicode.IsSpace); cut != p.Text {
		p.Text = cut
		e.t.Warn("messages", "white space at the end of the last turn is left out, "+e.t.Model.Name+" refuses it")
	}
	return p
}
