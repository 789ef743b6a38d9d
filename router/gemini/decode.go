package gemini

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// decoding is one request being read.
type decoding struct {
	req       *router.Request
	conversed bool   // contents has been read
	calls     []call // of the latest model's turn, in order: what results may answer
}

// generate reads a GenerateContentRequest; at is where it stands.
func (d *decoding) generate(v gjson.Result, at string) *router.FieldError {
	if fault := members(v, at, d.field); fault != nil {
		return fault
	}
	if !d.conversed {
		return wrong(at+"contents", "is required")
	}
	return nil
}

// count reads a CountTokensRequest, which has contents alone or a whole GenerateContentRequest.
func (d *decoding) count(v gjson.Result) *router.FieldError {
	inner := member(v, "generateContentRequest")
	if !inner.Exists() {
		return d.generate(v, "")
	}
	fault := members(v, "", func(name, field string, _ gjson.Result) *router.FieldError {
		if name == "contents" {
			return wrong(field, "cannot be given together with generateContentRequest")
		}
		if name != "generateContentRequest" && name != "model" {
			d.extra(field)
		}
		return nil
	})
	if fault != nil {
		return fault
	}
	return d.generate(inner, "generateContentRequest.")
}

// field reads one member of the request.
func (d *decoding) field(name, field string, v gjson.Result) (fault *router.FieldError) {
	r := d.req
	switch name {
	case "contents":
		fault = d.contents(field, v)
	case "systemInstruction":
		fault = d.system(field, v)
	case "generationConfig":
		fault = d.config(v, field)
	case "tools":
		fault = each(v, field, func(i int, tool gjson.Result) *router.FieldError { return d.tool(item(field, i), tool) })
	case "toolConfig":
		fault = d.toolConfig(v, field)
	case "serviceTier":
		r.ServiceTier, fault = str(field, v)
		if r.ServiceTier = strings.ToLower(r.ServiceTier); r.ServiceTier == "unspecified" {
			r.ServiceTier = ""
		}
	case "safetySettings":
		d.hint(field, "what is filtered is left to the provider's own rules")
	case "labels":
		d.hint(field, "labels in Google's own billing")
	case "store":
		if v.Type != gjson.False { // nobody stores unless told to
			d.extra(field)
		}
	case "model": // the address has it
		_, fault = str(field, v)
	default:
		d.extra(field)
	}
	return fault
}

func (d *decoding) extra(field string) { d.req.Extra = append(d.req.Extra, field) }

// hint notes a harmless loss: the first place of each kind, for a conversation may have hundreds.
func (d *decoding) hint(field, reason string) {
	if slices.ContainsFunc(d.req.Hints, func(h router.FieldError) bool { return h.Reason == reason }) {
		return
	}
	d.req.Hints = append(d.req.Hints, router.FieldError{Field: field, Reason: reason})
}

// contents reads the conversation.
func (d *decoding) contents(field string, v gjson.Result) *router.FieldError {
	if v.Type == gjson.String {
		return wrong(field, "must be a list")
	}
	d.conversed = true
	fault := each(v, field, func(i int, turn gjson.Result) *router.FieldError { return d.content(item(field, i), turn) })
	if fault == nil && len(d.req.Messages) == 0 {
		fault = wrong(field, "must not be empty")
	}
	return fault
}

func (d *decoding) content(field string, v gjson.Result) *router.FieldError {
	m := router.Message{Role: router.RoleUser, Field: field}
	var parts gjson.Result
	fault := members(v, field+".", func(name, field string, v gjson.Result) (fault *router.FieldError) {
		switch name {
		case "role":
			m.Role, fault = roleOf(field, v)
		case "parts":
			parts = v
		default:
			d.extra(field)
		}
		return fault
	})
	if fault != nil {
		return fault
	}
	before := len(d.req.Messages)
	if m.Role == router.RoleAssistant && (before == 0 || d.req.Messages[before-1].Role != router.RoleAssistant) {
		d.calls = d.calls[:0]
	}
	m.Parts, fault = d.parts(field, parts)
	d.req.Messages = append(d.req.Messages, m)
	return fault
}

func roleOf(field string, v gjson.Result) (router.Role, *router.FieldError) {
	switch v.Str {
	case "user", "function", "": // function is what results were sent as before they were the user's
		if v.Type == gjson.String {
			return router.RoleUser, nil
		}
	case "model":
		return router.RoleAssistant, nil
	}
	if v.Type != gjson.String {
		return "", wrong(field, "must be a string")
	}
	return "", wrong(field, fmt.Sprintf("%.64q is not a role: user and model are", v.Str))
}

func (d *decoding) system(field string, v gjson.Result) *router.FieldError {
	return members(v, field+".", func(name, inner string, v gjson.Result) (fault *router.FieldError) {
		switch name {
		case "role":
		case "parts":
			d.req.System, fault = d.parts(field, v)
		default:
			d.extra(inner)
		}
		return fault
	})
}

func (d *decoding) parts(field string, v gjson.Result) (parts []router.Part, fault *router.FieldError) {
	if v.Type == gjson.String {
		return nil, wrong(field+".parts", "must be a list")
	}
	if v.IsArray() {
		parts = make([]router.Part, 0, 4)
	}
	fault = each(v, field+".parts", func(i int, p gjson.Result) *router.FieldError {
		part, fault := d.part(field, i, p)
		parts = append(parts, part)
		return fault
	})
	return parts, fault
}
