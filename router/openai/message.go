package openai

import (
	"encoding/json"
	"fmt"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// messages reads the conversation. The system text before its first turn is the request's; what comes later
// keeps its place. The results of tools that stand in a row are one turn of the user's.
func (d *decoding) messages(v gjson.Result) *router.FieldError {
	d.conversed = true
	const field = "messages"
	if v.IsArray() && !v.Get("0").Exists() {
		return &router.FieldError{Field: field, Reason: "must not be empty"}
	}
	return objects(field, v, d.message)
}

// saying is the members of one message that make its parts.
type saying struct {
	role, content, refusal, calls, call, audio, id, name gjson.Result
	reasoning                                            gjson.Result
	thought                                              string // the member that has the reasoning
}

func (d *decoding) message(at string, m gjson.Result) *router.FieldError {
	var s saying
	m.ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "role":
			s.role = v
		case "content":
			s.content = v
		case "refusal":
			s.refusal = v
		case "tool_calls":
			s.calls = v
		case "function_call":
			s.call = v
		case "audio":
			s.audio = v
		case "tool_call_id":
			s.id = v
		case "name":
			s.name = v
		case "reasoning_content", "reasoning": // of compatible servers; where a message has both, they say the same
			s.reasoning, s.thought = v, key.Str
		default:
			d.unknown(key.Str, at+".", v)
		}
		return true
	})
	if s.role.Type != gjson.String {
		return &router.FieldError{Field: at + ".role", Reason: "must be a string"}
	}
	switch s.role.Str {
	case "tool", "function":
		return d.result(at, m, s)
	case "user":
		return d.turn(at, router.RoleUser, s)
	case "assistant":
		return d.turn(at, router.RoleAssistant, s)
	case "system", "developer":
		return d.turn(at, router.RoleSystem, s)
	}
	return &router.FieldError{Field: at + ".role", Reason: fmt.Sprintf("%.64q is not a role", s.role.Str)}
}

func (d *decoding) turn(at string, role router.Role, s saying) *router.FieldError {
	if !empty(s.name) && s.name.Exists() {
		d.unknown("name", at+".", s.name)
	}
	if s.id.Exists() && !empty(s.id) {
		d.extra(at + ".tool_call_id")
	}
	special := false
	for _, v := range []gjson.Result{s.refusal, s.calls, s.call, s.audio} {
		special = special || v.Exists() && !empty(v)
	}
	if s.content.Type == gjson.Null && !special {
		return &router.FieldError{Field: at + ".content", Reason: "is required"}
	}
	var parts []router.Part
	if s.reasoning.Exists() && !empty(s.reasoning) {
		parts = append(parts, thought(at+"."+s.thought, s.reasoning))
	}
	said, fault := d.content(at+".content", s.content)
	if fault != nil {
		return fault
	}
	parts = append(parts, said...)
	if special {
		if parts, fault = d.special(at, s, parts); fault != nil {
			return fault
		}
	}
	d.answering = false
	if role == router.RoleSystem && len(d.req.Messages) == 0 {
		d.req.System = append(d.req.System, parts...)
		return nil
	}
	d.req.Messages = append(d.req.Messages, router.Message{Role: role, Parts: parts, Field: at})
	return nil
}

func thought(field string, v gjson.Result) router.Part {
	p := other(string(router.KindReasoning), v, field)
	if v.Type == gjson.String {
		p.Kind, p.Text = router.KindReasoning, v.Str
	}
	return p
}

// special reads what an assistant says beside its content.
func (d *decoding) special(at string, s saying, parts []router.Part) ([]router.Part, *router.FieldError) {
	if s.refusal.Type != gjson.Null && !empty(s.refusal) {
		text, fault := router.StringField(at+".refusal", s.refusal)
		if fault != nil {
			return nil, fault
		}
		parts = append(parts, refusal(text, s.refusal, at+".refusal"))
	}
	if s.audio.Exists() && !empty(s.audio) { // the id of an answer of the provider's own
		parts = append(parts, other(string(router.KindAudio), s.audio, at+".audio"))
	}
	if s.call.Exists() && !empty(s.call) {
		p, fault := d.called(at+".function_call", s.call)
		if fault != nil {
			return nil, fault
		}
		p.ID = router.MintID(at, 0, 0)
		d.function = p
		parts = append(parts, p)
	}
	if s.calls.Type == gjson.Null {
		return parts, nil
	}
	fault := objects(at+".tool_calls", s.calls, func(at string, v gjson.Result) *router.FieldError {
		p, fault := d.call(at, v)
		parts = append(parts, p)
		return fault
	})
	return parts, fault
}

func (d *decoding) call(at string, v gjson.Result) (router.Part, *router.FieldError) {
	if kind := v.Get("type"); kind.Exists() && kind.Str != "function" {
		return other(kind.String(), v, at), nil
	}
	id, fault := router.StringField(at+".id", v.Get("id"))
	if fault != nil {
		return router.Part{}, fault
	}
	p, fault := d.called(at+".function", v.Get("function"))
	if fault != nil {
		return router.Part{}, fault
	}
	v.ForEach(func(key, m gjson.Result) bool {
		switch key.Str {
		case "id", "type", "function", "index": // some clients send back the index of the stream
		default:
			d.unknown(key.Str, at+".", m)
		}
		return true
	})
	p.ID, p.Raw, p.Field = id, json.RawMessage(v.Raw), at
	return p, nil
}

// called reads the name and the arguments of a call. The arguments stay as the model wrote them, JSON or not.
func (d *decoding) called(at string, v gjson.Result) (router.Part, *router.FieldError) {
	p := other(string(router.KindCall), v, at)
	p.Kind = router.KindCall
	var fault *router.FieldError
	if p.Name, fault = router.StringField(at+".name", v.Get("name")); fault != nil {
		return p, fault
	}
	if arguments := v.Get("arguments"); arguments.Type != gjson.Null {
		p.Text, fault = router.StringField(at+".arguments", arguments)
	}
	v.ForEach(func(key, m gjson.Result) bool {
		if key.Str != "name" && key.Str != "arguments" {
			d.unknown(key.Str, at+".", m)
		}
		return true
	})
	return p, fault
}

// result reads what a tool gave back.
func (d *decoding) result(at string, m gjson.Result, s saying) (fault *router.FieldError) {
	p := router.Part{Kind: router.KindResult, Raw: json.RawMessage(m.Raw), Field: at}
	if s.name.Type != gjson.Null {
		if p.Name, fault = router.StringField(at+".name", s.name); fault != nil {
			return fault
		}
	}
	switch {
	case s.role.Str == "tool":
		if p.ID, fault = router.StringField(at+".tool_call_id", s.id); fault != nil {
			return fault
		}
	case p.Name == "":
		return &router.FieldError{Field: at + ".name", Reason: "is required"}
	case p.Name == d.function.Name: // the deprecated form has no ids: it answers the latest call
		p.ID = d.function.ID
	default:
		p.ID = router.MintID(at, 0, 0)
	}
	if s.content.Type == gjson.Null {
		return &router.FieldError{Field: at + ".content", Reason: "is required"}
	}
	if p.Parts, fault = d.content(at+".content", s.content); fault != nil {
		return fault
	}
	if d.answering {
		last := &d.req.Messages[len(d.req.Messages)-1]
		last.Parts = append(last.Parts, p)
		return nil
	}
	d.answering = true
	d.req.Messages = append(d.req.Messages, router.Message{Role: router.RoleUser, Parts: []router.Part{p}, Field: at})
	return nil
}
