package anthropic

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// messages reads the conversation.
func (d *decoding) messages(v gjson.Result) (fault *router.FieldError) {
	if !v.IsArray() {
		return &router.FieldError{Field: "messages", Reason: "must be a list"}
	}
	i := 0
	v.ForEach(func(_, m gjson.Result) bool {
		fault = d.message(fmt.Sprintf("messages[%d]", i), m)
		i++
		return fault == nil
	})
	if fault == nil && i == 0 {
		fault = &router.FieldError{Field: "messages", Reason: "must not be empty"}
	}
	d.conversed = true
	return fault
}

func (d *decoding) message(here string, m gjson.Result) *router.FieldError {
	if !m.IsObject() {
		return &router.FieldError{Field: here, Reason: "must be an object"}
	}
	var role, content gjson.Result
	m.ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "role":
			role = v
		case "content":
			content = v
		default:
			d.extra(here + "." + key.Str)
		}
		return true
	})
	out := router.Message{Role: router.Role(role.Str), Field: here}
	switch out.Role {
	case router.RoleUser, router.RoleAssistant, router.RoleSystem:
	default:
		if role.Type != gjson.String {
			return &router.FieldError{Field: here + ".role", Reason: "must be a string"}
		}
		return &router.FieldError{Field: here + ".role", Reason: fmt.Sprintf("%.64q is not a role", role.Str)}
	}
	var fault *router.FieldError
	if out.Parts, fault = d.content(content, here+".content"); fault != nil {
		return fault
	}
	if out.Role == router.RoleSystem && len(d.req.Messages) == 0 {
		d.leading = append(d.leading, out.Parts...)
		return nil
	}
	d.req.Messages = append(d.req.Messages, out)
	return nil
}

// content reads a string or a list of blocks.
func (d *decoding) content(v gjson.Result, here string) (parts []router.Part, fault *router.FieldError) {
	switch {
	case v.Type == gjson.String:
		return []router.Part{router.Text(v.Str)}, nil
	case !v.IsArray():
		return nil, &router.FieldError{Field: here, Reason: "must be a string or a list of blocks"}
	}
	v.ForEach(func(_, b gjson.Result) bool {
		var p router.Part
		if p, fault = d.block(b, fmt.Sprintf("%s[%d]", here, len(parts))); fault == nil {
			parts = append(parts, p)
		}
		return fault == nil
	})
	return parts, fault
}

// texts reads the system text, which has no other blocks than text.
func (d *decoding) texts(v gjson.Result, here string) ([]router.Part, *router.FieldError) {
	parts, fault := d.content(v, here)
	for i, p := range parts {
		if p.Kind != router.KindText {
			return nil, &router.FieldError{Field: fmt.Sprintf("%s[%d].type", here, i), Reason: fmt.Sprintf("%.64q is not text", p.Kind)}
		}
	}
	return parts, fault
}

// members are those of a block that are read here. A block is gone through once, for it may be megabytes.
type members struct {
	kind, text, source, thinking, signature, data, id, name, input, content gjson.Result
	toolUse, failed, toolset, caller, cache, citations, title, context      gjson.Result
	transformations                                                         gjson.Result
	others                                                                  []string // names of those that are not read here
}

// maxOthers bounds how many unknown members of a block are named. One is enough to refuse it to another dialect.
const maxOthers = 4

func membersOf(b gjson.Result) (m members) {
	b.ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "type":
			m.kind = v
		case "text":
			m.text = v
		case "source":
			m.source = v
		case "thinking":
			m.thinking = v
		case "signature":
			m.signature = v
		case "data":
			m.data = v
		case "id":
			m.id = v
		case "name":
			m.name = v
		case "input":
			m.input = v
		case "content":
			m.content = v
		case "tool_use_id":
			m.toolUse = v
		case "is_error":
			m.failed = v
		case "toolset_name":
			m.toolset = v
		case "caller":
			m.caller = v
		case "cache_control":
			m.cache = v
		case "citations":
			m.citations = v
		case "title":
			m.title = v
		case "context":
			m.context = v
		case "transformations":
			m.transformations = v
		default:
			if v.Type != gjson.Null && len(m.others) < maxOthers {
				m.others = append(m.others, key.Str)
			}
		}
		return true
	})
	return m
}

// block reads a content block. One that no other dialect knows keeps its own word for a kind.
func (d *decoding) block(b gjson.Result, here string) (router.Part, *router.FieldError) {
	if !b.IsObject() {
		return router.Part{}, &router.FieldError{Field: here, Reason: "must be an object"}
	}
	m := membersOf(b)
	if m.kind.Type != gjson.String {
		return router.Part{}, &router.FieldError{Field: here + ".type", Reason: "must be a string"}
	}
	if m.cache.IsObject() {
		d.cached(here + ".cache_control")
	}
	p := router.Part{Kind: router.Kind(m.kind.Str), Raw: raw(b), Field: here}
	var fault *router.FieldError
	switch m.kind.Str {
	case "text":
		var text string
		if text, fault = router.StringField(here+".text", m.text); !empty(m.citations) {
			d.hint(here+".citations", "is what the assistant cited, beside its text")
		}
		p = router.Text(text)
	case "image":
		fault = media(&p, m.source)
		if !empty(m.transformations) {
			d.extra(here + ".transformations")
		}
	case "document":
		fault = d.document(&p, &m)
	case "tool_use":
		fault = d.call(&p, &m)
	case "tool_result":
		fault = d.result(&p, &m)
	case "thinking":
		p.Kind, p.Text, p.Signature = router.KindReasoning, m.thinking.String(), m.signature.String()
	case "redacted_thinking":
		p.Kind, p.Signature = router.KindReasoning, m.data.String()
	}
	switch m.kind.Str {
	case "text", "image", "document", "tool_use", "tool_result":
		for _, name := range m.others {
			d.extra(here + "." + name)
		}
	}
	return p, fault
}

// media reads where the content of an image or a document is. One that is nowhere that is known here is of a kind of its own.
func media(p *router.Part, source gjson.Result) (fault *router.FieldError) {
	here := p.Field + ".source"
	if !source.IsObject() {
		return &router.FieldError{Field: here, Reason: "must be an object"}
	}
	var kind, form, data, address, file gjson.Result
	source.ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "type":
			kind = v
		case "media_type":
			form = v
		case "data":
			data = v
		case "url":
			address = v
		case "file_id":
			file = v
		}
		return true
	})
	m := &router.Media{}
	if form.Exists() && (form.Type != gjson.Null || kind.Str == "base64") {
		if m.Type, fault = router.StringField(here+".media_type", form); fault != nil {
			return fault
		}
	}
	switch p.Media = m; kind.Str {
	case "base64":
		m.Data, fault = router.StringField(here+".data", data)
	case "url":
		m.URL, fault = router.StringField(here+".url", address)
	case "file":
		m.File, fault = router.StringField(here+".file_id", file)
	case "text":
		var text string
		text, fault = router.StringField(here+".data", data)
		m.Type, m.Data = "text/plain", base64.StdEncoding.EncodeToString([]byte(text))
	case "":
		fault = &router.FieldError{Field: here + ".type", Reason: "must be a string that says where the content is"}
	default:
		p.Kind = router.Kind(fmt.Sprintf("%s from %.64s", p.Kind, kind.Str))
	}
	return fault
}

// document reads a document. One that is made of blocks is of a kind of its own.
func (d *decoding) document(p *router.Part, m *members) (fault *router.FieldError) {
	if m.citations.Get("enabled").Bool() {
		d.extra(p.Field + ".citations")
	}
	if !empty(m.context) {
		d.extra(p.Field + ".context")
	}
	if m.source.Get("type").Str == "content" {
		p.Kind = "document of blocks"
		return nil
	}
	if fault = media(p, m.source); fault == nil {
		p.Media.Name = m.title.String()
	}
	return fault
}

// call reads a call that the assistant made.
func (d *decoding) call(p *router.Part, m *members) (fault *router.FieldError) {
	p.Kind = router.KindCall
	if p.ID, fault = router.StringField(p.Field+".id", m.id); fault != nil {
		return fault
	}
	if p.Name, fault = router.StringField(p.Field+".name", m.name); fault != nil {
		return fault
	}
	if !m.input.IsObject() {
		return &router.FieldError{Field: p.Field + ".input", Reason: "must be an object"}
	}
	p.Text = m.input.Raw
	if caller := m.caller.Get("type"); caller.Exists() && caller.Str != "direct" {
		d.extra(p.Field + ".caller")
	}
	if !empty(m.toolset) {
		d.extra(p.Field + ".toolset_name")
	}
	return nil
}

// result reads what a tool gave back.
func (d *decoding) result(p *router.Part, m *members) (fault *router.FieldError) {
	p.Kind = router.KindResult
	if p.ID, fault = router.StringField(p.Field+".tool_use_id", m.toolUse); fault != nil {
		return fault
	}
	if m.failed.Exists() && m.failed.Type != gjson.Null {
		if p.Failed, fault = router.BoolField(p.Field+".is_error", m.failed); fault != nil {
			return fault
		}
	}
	if !empty(m.toolset) {
		d.extra(p.Field + ".toolset_name")
	}
	if m.content.Exists() && m.content.Type != gjson.Null {
		p.Parts, fault = d.content(m.content, p.Field+".content")
	}
	for _, inner := range p.Parts {
		switch inner.Kind {
		case router.KindCall, router.KindResult, router.KindReasoning:
			return &router.FieldError{Field: inner.Field + ".type", Reason: "cannot be in a tool's result"}
		}
	}
	return fault
}

func raw(v gjson.Result) json.RawMessage { return json.RawMessage(v.Raw) }
