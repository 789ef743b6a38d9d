package responses

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// input reads the conversation: a text, or items. System text before its first turn is the request's; what comes later
// keeps its place. What the assistant said, thought and called in a row is one turn, and so are the results of tools.
func (d *decoding) input(v gjson.Result) *router.FieldError {
	d.conversed = true
	if v.Type == gjson.String {
		d.req.Messages = []router.Message{{Role: router.RoleUser, Parts: []router.Part{router.Text(v.Str)}, Field: "input"}}
		return nil
	}
	if !v.IsArray() {
		return &router.FieldError{Field: "input", Reason: "must be a string or a list of items"}
	}
	fault := each("input", v, d.item)
	if fault == nil && len(d.req.Messages)+len(d.req.System) == 0 {
		fault = &router.FieldError{Field: "input", Reason: "must not be empty"}
	}
	return fault
}

func (d *decoding) item(at string, v gjson.Result) *router.FieldError {
	if !v.IsObject() {
		return &router.FieldError{Field: at, Reason: "must be an object"}
	}
	kind := v.Get("type")
	if kind.Exists() && kind.Type != gjson.Null && kind.Type != gjson.String {
		return &router.FieldError{Field: at + ".type", Reason: "must be a string"}
	}
	switch kind.Str {
	case "":
		if !router.Given(v, "role") {
			return &router.FieldError{Field: at, Reason: kept}
		}
		return d.message(at, v)
	case "message":
		return d.message(at, v)
	case "function_call":
		return d.call(at, v)
	case "function_call_output":
		return d.result(at, v)
	case "reasoning":
		d.assistant(at, reasoningPart(at, v))
		return nil
	case "item_reference":
		return &router.FieldError{Field: at, Reason: kept}
	}
	if canonical(kind.Str) {
		return &router.FieldError{Field: at + ".type", Reason: notOurs}
	}
	part := router.Part{Kind: router.Kind(kind.Str), Raw: json.RawMessage(v.Raw), Field: at}
	if strings.HasSuffix(kind.Str, "_output") || strings.HasSuffix(kind.Str, "_response") {
		d.req.Messages = append(d.req.Messages, router.Message{Role: router.RoleUser, Parts: []router.Part{part}, Field: at})
	} else {
		d.assistant(at, part)
	}
	return nil
}

// assistant adds to the turn of the assistant's, or begins it.
func (d *decoding) assistant(at string, parts ...router.Part) {
	if last := len(d.req.Messages) - 1; last >= 0 && d.req.Messages[last].Role == router.RoleAssistant {
		d.req.Messages[last].Parts = append(d.req.Messages[last].Parts, parts...)
		return
	}
	d.req.Messages = append(d.req.Messages, router.Message{Role: router.RoleAssistant, Parts: parts, Field: at})
}

func (d *decoding) message(at string, v gjson.Result) *router.FieldError {
	var role, content gjson.Result
	v.ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "role":
			role = v
		case "content":
			content = v
		case "phase":
			if v.Type != gjson.Null {
				d.hintOnce("phase", at+".phase")
			}
		}
		return true
	})
	d.beside(at, v, "type", "role", "content", "phase", "id", "status")
	if role.Type != gjson.String {
		return &router.FieldError{Field: at + ".role", Reason: "must be a string"}
	}
	parts, fault := d.content(at+".content", content)
	if fault != nil {
		return fault
	}
	switch role.Str {
	case "assistant":
		d.assistant(at, parts...)
	case "user":
		d.req.Messages = append(d.req.Messages, router.Message{Role: router.RoleUser, Parts: parts, Field: at})
	case "system", "developer":
		if len(d.req.Messages) == 0 {
			d.req.System = append(d.req.System, parts...)
		} else {
			d.req.Messages = append(d.req.Messages, router.Message{Role: router.RoleSystem, Parts: parts, Field: at})
		}
	default:
		return &router.FieldError{Field: at + ".role", Reason: fmt.Sprintf("%.64q is not a role", role.Str)}
	}
	return nil
}

// call reads what the assistant called. Its id is the one that the result names.
func (d *decoding) call(at string, v gjson.Result) (fault *router.FieldError) {
	p := router.Part{Kind: router.KindCall, Raw: json.RawMessage(v.Raw), Field: at}
	if p.ID, fault = router.StringField(at+".call_id", v.Get("call_id")); fault != nil {
		return fault
	}
	if p.Name, fault = router.StringField(at+".name", v.Get("name")); fault != nil {
		return fault
	}
	if p.Text, fault = router.StringField(at+".arguments", v.Get("arguments")); fault != nil {
		return fault
	}
	d.beside(at, v, "type", "id", "call_id", "name", "arguments", "status")
	d.assistant(at, p)
	return nil
}

func (d *decoding) result(at string, v gjson.Result) (fault *router.FieldError) {
	p := router.Part{Kind: router.KindResult, Raw: json.RawMessage(v.Raw), Field: at}
	if !router.Given(v, "call_id") { // it answers by the name of the tool, which OpenAI alone knows how to do
		d.extra(at)
	} else if p.ID, fault = router.StringField(at+".call_id", v.Get("call_id")); fault != nil {
		return fault
	}
	d.beside(at, v, "type", "id", "call_id", "name", "output", "status")
	p.Name = v.Get("name").Str
	if p.Parts, fault = d.content(at+".output", v.Get("output")); fault != nil {
		return fault
	}
	if last := len(d.req.Messages) - 1; last >= 0 && ofResults(d.req.Messages[last]) {
		d.req.Messages[last].Parts = append(d.req.Messages[last].Parts, p)
		return nil
	}
	d.req.Messages = append(d.req.Messages, router.Message{Role: router.RoleUser, Parts: []router.Part{p}, Field: at})
	return nil
}

func ofResults(m router.Message) bool {
	return m.Role == router.RoleUser && len(m.Parts) > 0 && m.Parts[0].Kind == router.KindResult
}

func reasoningPart(at string, v gjson.Result) router.Part {
	p := router.Part{Kind: router.KindReasoning, Raw: json.RawMessage(v.Raw), Field: at, Signature: v.Get("encrypted_content").Str}
	var texts []string
	v.Get("summary").ForEach(func(_, s gjson.Result) bool {
		texts = append(texts, s.Get("text").Str)
		return true
	})
	p.Text = strings.Join(texts, paragraph)
	return p
}

// paragraph stands between two parts of a summary, which are paragraphs of one text elsewhere.
const paragraph = "\n\n"
