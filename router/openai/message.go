package openai

import (
	"encoding/json"
	"fmt"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// messages reads the conversation. The system text before its first turn is the request's; what comes later
// keeps its place.
func (d *decoding) messages(v gjson.Result) (fault *router.FieldError) {
	if !v.IsArray() {
		return &router.FieldError{Field: "messages", Reason: "must be a list"}
	}
	i := 0
	v.ForEach(func(_, m gjson.Result) bool {
		fault = d.message(i, m)
		i++
		return fault == nil
	})
	if fault == nil && i == 0 {
		fault = &router.FieldError{Field: "messages", Reason: "must not be empty"}
	}
	d.conversed = true
	return fault
}

func (d *decoding) message(i int, m gjson.Result) *router.FieldError {
	if !m.IsObject() {
		return at(i, "", "must be an object")
	}
	var role, content gjson.Result
	var special []router.Part // what it says beside its content
	m.ForEach(func(key, v gjson.Result) bool {
		switch name := key.Str; name {
		case "role":
			role = v
		case "content":
			content = v
		case "tool_calls", "function_call", "refusal", "audio":
			if !empty(v) {
				special = append(special, other(name, v, place(i, "."+name)))
			}
		case "name":
			if v.Type != gjson.Null {
				d.hint(place(i, ".name"), "tells speakers of one role apart, which other dialects do not")
			}
		}
		return true
	})
	out := router.Message{Role: router.RoleUser}
	switch role.Str {
	case "user":
	case "assistant":
		out.Role = router.RoleAssistant
	case "system", "developer":
		out.Role = router.RoleSystem
	case "tool", "function":
		// The answer to a call is a turn of the user's with a part of its own kind.
		out.Parts = []router.Part{other(role.Str, m, place(i, ""))}
		d.req.Messages = append(d.req.Messages, out)
		return nil
	default:
		if role.Type != gjson.String {
			return at(i, ".role", "must be a string")
		}
		return at(i, ".role", fmt.Sprintf("%.64q is not a role", role.Str))
	}
	if content.Type == gjson.Null && len(special) == 0 {
		return at(i, ".content", "is required")
	}
	parts, wrong := d.content(i, content)
	if wrong != nil {
		return wrong
	}
	if out.Parts = append(parts, special...); out.Role == router.RoleSystem && len(d.req.Messages) == 0 {
		d.req.System = append(d.req.System, out.Parts...)
		return nil
	}
	d.req.Messages = append(d.req.Messages, out)
	return nil
}

// content reads a string or a list of parts.
func (d *decoding) content(i int, v gjson.Result) (parts []router.Part, wrong *router.FieldError) {
	switch {
	case v.Type == gjson.String:
		return []router.Part{router.Text(v.Str)}, nil
	case v.Type == gjson.Null:
		return nil, nil
	case !v.IsArray():
		return nil, at(i, ".content", "must be a string or a list of parts")
	}
	v.ForEach(func(_, p gjson.Result) bool {
		var part router.Part
		if part, wrong = d.part(i, len(parts), p); wrong == nil {
			parts = append(parts, part)
		}
		return wrong == nil
	})
	return parts, wrong
}

func (d *decoding) part(i, j int, p gjson.Result) (router.Part, *router.FieldError) {
	here := fmt.Sprintf(".content[%d]", j)
	if !p.IsObject() {
		return router.Part{}, at(i, here, "must be an object")
	}
	var kind, text gjson.Result
	p.ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "type":
			kind = v
		case "text":
			text = v
		case "prompt_cache_breakpoint":
			d.hint(place(i, here+".prompt_cache_breakpoint"), cacheHint)
		}
		return true
	})
	switch {
	case kind.Type != gjson.String:
		return router.Part{}, at(i, here+".type", "must be a string")
	case kind.Str != "text":
		return other(kind.Str, p, place(i, here)), nil
	case text.Type != gjson.String:
		return router.Part{}, at(i, here+".text", "must be a string")
	}
	return router.Text(text.Str), nil
}

// other is a part that is no text.
func other(kind string, v gjson.Result, field string) router.Part {
	return router.Part{Kind: router.Kind(kind), Raw: json.RawMessage(v.Raw), Field: field}
}

// place names a place in a message as the caller would write it.
func place(i int, rest string) string { return fmt.Sprintf("messages[%d]%s", i, rest) }

func at(i int, rest, reason string) *router.FieldError {
	return &router.FieldError{Field: place(i, rest), Reason: reason}
}
