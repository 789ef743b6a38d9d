package anthropic

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"hash"
	"strings"
	"unicode"

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

// assistant writes a turn of the assistant's: as its provider said it where that is remembered, else from its parts,
// without what was sealed into it.
func (e *encoding) assistant(m router.Message, prefix string, last bool) (blocks []json.RawMessage, err error) {
	found := e.recall(m, prefix)
	e.thought = false
	for i, p := range m.Parts {
		switch a := found.calls[p.ID]; {
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
			if len(found.calls) == 0 {
				e.warn(p.Field, "left out, "+e.t.Model.Name+" cannot read thinking that was sealed elsewhere")
			}
			continue
		case (p.Kind == router.KindText || p.Kind == router.KindRefusal) && found.say(p.Text):
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

// begun is the beginning of an answer, which Anthropic does not take with white space at its end.
func (e *encoding) begun(p router.Part) router.Part {
	if cut := strings.TrimRightFunc(p.Text, unicode.IsSpace); cut != p.Text {
		p.Text = cut
		e.t.Warn("messages", "white space at the end of the last turn is left out, "+e.t.Model.Name+" refuses it")
	}
	return p
}
