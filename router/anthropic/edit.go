package anthropic

import (
	"fmt"
	"slices"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// edit gives the caller's own body with the members changed that a leg must change:
//
//   - model names the upstream's model;
//   - max_tokens is the cap that the hold was sized for, where that is not the caller's;
//   - sampling values, thinking and an effort that the model refuses are left out;
//   - thinking that this leg's provider has not sealed stays behind.
//
// Every other member keeps its bytes and its place: sealed thinking counts on all that came before it.
func edit(c router.Call) (body []byte, warnings []string) {
	r := c.Request
	drop := router.RefusedBy(c.Model, r)
	for _, field := range drop {
		warnings = append(warnings, r.Name(field)+": left out, "+c.Model.Name+" refuses it")
	}
	unreasoned := slices.Contains(drop, "reasoning_effort")
	var s strip
	w := router.NewObject(len(r.Body) + 128)
	model := false
	root := gjson.Parse(router.TextOf(r.Body))
	messages := root.Get("messages")
	stripped := s.messages(c, messages)
	root.ForEach(func(key, value gjson.Result) bool {
		switch name := key.Str; {
		case name == "model":
			model = true
			w.String(name, c.Model.ID)
		case name == "max_tokens" && c.OutputCap > 0 && r.OutputCap > 0 && r.OutputCap != c.OutputCap:
			w.Int(name, c.OutputCap)
		case name == "messages" && s.count > 0:
			w.Raw(name, stripped)
		case name == "thinking" && (unreasoned || s.unthinkable(value)):
		case name == "output_config" && unreasoned:
			w.Raw(name, without(value, "effort"))
		case slices.Contains(drop, name):
		default:
			w.Member(key.Raw, value.Raw)
		}
		return true
	})
	if !model {
		w.String("model", c.Model.ID)
	}
	return w.End(), append(warnings, s.warnings(c, root)...)
}

// without leaves a member out of an object.
func without(object gjson.Result, name string) string {
	w := router.NewObject(len(object.Raw))
	object.ForEach(func(key, value gjson.Result) bool {
		if key.Str != name {
			w.Member(key.Raw, value.Raw)
		}
		return true
	})
	return string(w.End())
}

// strip takes thinking out of a conversation that the leg's provider cannot read.
type strip struct {
	count int    // blocks taken out
	first string // where the first of them was
	loop  bool   // one was of the turn whose tool results the conversation ends with
}

// messages gives the conversation without such thinking, if there is any.
func (s *strip) messages(c router.Call, messages gjson.Result) string {
	if !s.needed(c) {
		return ""
	}
	var out []byte
	last, i := -1, 0 // the latest turn that lost thinking
	messages.ForEach(func(_, m gjson.Result) bool {
		before := s.count
		raw := m.Raw
		if m.Get("role").Str == string(router.RoleAssistant) {
			raw = s.turn(c, m, i)
		}
		if s.count > before {
			last = i
		}
		if raw != "" {
			out = append(append(out, ','), raw...)
		}
		i++
		return true
	})
	s.loop = last >= 0 && last == i-2
	if len(out) == 0 {
		return "[]"
	}
	out[0] = '['
	return string(append(out, ']'))
}

// needed tells whether there is thinking that must stay behind. The decoded request knows.
func (s *strip) needed(c router.Call) bool {
	for _, m := range c.Request.Messages {
		for _, p := range m.Parts {
			if p.Kind == router.KindReasoning && stays(c, p.Signature) {
				return true
			}
		}
	}
	return false
}

// stays tells whether thinking under a seal must stay behind.
func stays(c router.Call, seal string) bool { return c.Foreign[seal] || router.IsMinted(seal) }

// turn is one turn without such thinking; nothing if nothing is left of it.
func (s *strip) turn(c router.Call, m gjson.Result, i int) string {
	content := m.Get("content")
	if !content.IsArray() {
		return m.Raw
	}
	var kept []byte
	j, before := 0, s.count
	content.ForEach(func(_, b gjson.Result) bool {
		kind := b.Get("type").Str
		if kind == "thinking" && stays(c, b.Get("signature").Str) || kind == "redacted_thinking" && stays(c, b.Get("data").Str) {
			if s.count++; s.first == "" {
				s.first = fmt.Sprintf("messages[%d].content[%d]", i, j)
			}
		} else {
			kept = append(append(kept, ','), b.Raw...)
		}
		j++
		return true
	})
	if s.count == before {
		return m.Raw
	}
	if len(kept) == 0 {
		return ""
	}
	kept[0] = '['
	w := router.NewObject(len(m.Raw))
	m.ForEach(func(key, value gjson.Result) bool {
		if key.Str == "content" {
			w.Member(key.Raw, string(append(kept, ']')))
		} else {
			w.Member(key.Raw, value.Raw)
		}
		return true
	})
	return string(w.End())
}

// unthinkable tells whether thinking by a budget cannot go on: it wants the turn whose tools are answered to begin
// with the thinking that was taken out.
func (s *strip) unthinkable(thinking gjson.Result) bool {
	return s.loop && thinking.Get("type").Str == "enabled"
}

func (s *strip) warnings(c router.Call, root gjson.Result) (warnings []string) {
	if s.count > 0 {
		what := s.first + ": left out, " + c.Model.Name + " cannot read thinking that was sealed elsewhere"
		if s.count > 1 {
			what += fmt.Sprintf(" (and %d more)", s.count-1)
		}
		warnings = append(warnings, what)
	}
	if s.unthinkable(root.Get("thinking")) {
		warnings = append(warnings, "thinking: left out, the calls that are being answered were not thought of by "+c.Model.Name)
	}
	return warnings
}
