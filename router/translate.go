package router

import (
	"fmt"

	"waybill/ledger"
)

// Translated is a request as a leg carries it whose upstream speaks another dialect than the caller: what the
// model refuses is gone, and everything that was left out or altered has its warning.
type Translated struct {
	Request
	Model    ledger.Model
	Warnings []string
}

// Translate begins the translation of a request. What has no canonical form is refused by name.
func Translate(r *Request, m ledger.Model) (*Translated, error) {
	if len(r.Extra) > 0 {
		return nil, &FieldError{r.Extra[0], "has no counterpart at " + m.Name}
	}
	t := &Translated{Request: *r, Model: m}
	for _, h := range r.Hints {
		t.Warn(h.Field, "left out ("+h.Reason+")")
	}
	for _, field := range RefusedBy(m, r) {
		t.Warn(field, "left out, "+m.Name+" refuses it")
	}
	if !m.Has(ledger.FeatureSampling) {
		t.Temperature, t.TopP, t.TopK = nil, nil, nil
	}
	if !m.Has(ledger.FeatureReasoning) {
		t.Effort = ""
	}
	return t, nil
}

// RefusedBy names the caller's fields that the model refuses rather than ignores: sampling values other than
// the default at models that choose for themselves, and an effort at models that do not reason. They are left
// out with a warning, since an answer without them serves the caller better than none.
func RefusedBy(m ledger.Model, r *Request) (fields []string) {
	if !m.Has(ledger.FeatureSampling) {
		if r.Temperature != nil && *r.Temperature != 1 {
			fields = append(fields, "temperature")
		}
		if r.TopP != nil && *r.TopP != 1 {
			fields = append(fields, "top_p")
		}
		if r.TopK != nil {
			fields = append(fields, "top_k")
		}
	}
	if !m.Has(ledger.FeatureReasoning) && r.Effort != "" && r.Effort != "none" {
		fields = append(fields, "reasoning_effort")
	}
	return fields
}

// Warn records what was left out or altered.
func (t *Translated) Warn(field, what string) {
	t.Warnings = append(t.Warnings, field+": "+what)
}

// Cannot refuses a field that the leg's dialect has no place for.
func (t *Translated) Cannot(field, why string) error {
	return &FieldError{field, why + " at " + t.Model.Name}
}

// CannotPart refuses a part of a turn that the leg's dialect has no place for.
func (t *Translated) CannotPart(p Part) error {
	return t.Cannot(p.Field, fmt.Sprintf("content of type %q cannot be sent", p.Kind))
}

// Turns is the conversation as the dialects want it that know two roles. System text after the first turn
// becomes the user's, in its place: both such providers take only one system text, before everything else.
// Empty text is dropped, turns of one role in a row are one turn, and a user turn in which nothing is left
// says a single space, since those providers refuse empty ones.
func (t *Translated) Turns() ([]Message, error) {
	turns := make([]Message, 0, len(t.Messages))
	for _, m := range t.Messages {
		parts := make([]Part, 0, len(m.Parts))
		for _, p := range m.Parts {
			if p.Kind != "text" || p.Text != "" {
				parts = append(parts, p)
			}
		}
		role := m.Role
		if role == RoleSystem {
			role = RoleUser
		}
		switch last := len(turns) - 1; {
		case len(parts) == 0 && role == RoleAssistant:
		case last >= 0 && turns[last].Role == role:
			turns[last].Parts = append(turns[last].Parts, parts...)
		default:
			turns = append(turns, Message{Role: role, Parts: parts})
		}
	}
	for i := range turns {
		if len(turns[i].Parts) == 0 {
			turns[i].Parts = append(turns[i].Parts, Text(" "))
		}
	}
	if len(turns) == 0 {
		return nil, t.Cannot("messages", "a conversation needs a turn that is not system text")
	}
	if turns[len(turns)-1].Role == RoleAssistant && !t.Model.Has(ledger.FeaturePrefill) {
		return nil, t.Cannot("messages", "a conversation cannot end with the assistant's turn")
	}
	return turns, nil
}
