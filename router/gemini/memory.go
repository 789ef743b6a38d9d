package gemini

import (
	"encoding/json"
	"strings"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// remembered writes a turn as Gemini said it, if that is what the caller's turn says: its calls, and no text that it has not.
func (w *conversing) remembered(m router.Message) bool {
	said := w.t.Remembered(m)
	if said == nil {
		return false
	}
	own, ok := matched(said, m)
	if !ok {
		w.warn(m.Field, "what the model thought is left out, since the turn that it led to has changed")
		return false
	}
	w.calls = append(w.calls, own...)
	w.contents = append(w.contents, content{"model", json.RawMessage(said)})
	return true
}

// matched finds the calls of the caller's turn in what Gemini said.
func matched(said []byte, m router.Message) (own []sent, ok bool) {
	var text strings.Builder
	var args []string
	gjson.ParseBytes(said).ForEach(func(_, p gjson.Result) bool {
		if call := p.Get("functionCall"); call.Exists() {
			own = append(own, sent{own: call.Get("id").String(), name: call.Get("name").String()})
			args = append(args, call.Get("args").Raw)
		} else if !p.Get("thought").Bool() {
			text.WriteString(p.Get("text").String())
		}
		return true
	})
	n, unsaid := 0, strings.TrimSpace(text.String())
	for _, p := range m.Parts {
		switch p.Kind {
		case router.KindCall:
			if n == len(own) || own[n].name != p.Name || !router.SameArguments(args[n], p.Text) {
				return nil, false
			}
			own[n].id = p.ID
			n++
		case router.KindText, router.KindRefusal:
			rest, next := strings.CutPrefix(unsaid, strings.TrimSpace(p.Text))
			if !next {
				return nil, false
			}
			unsaid = strings.TrimLeft(rest, " \t\r\n")
		}
	}
	return own, n == len(own)
}
