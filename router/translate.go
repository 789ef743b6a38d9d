package router

import (
	"fmt"
	"slices"

	"waybill/ledger"
)

// Translated is a request as a leg carries it whose upstream speaks another dialect than the caller: what the
// model refuses is gone, and everything that was left out or altered has its warning.
type Translated struct {
	Request
	Call     Call
	Model    ledger.Model
	Warnings []string
}

// Translate begins the translation of a request. What has no canonical form is refused by name.
func Translate(c Call) (*Translated, error) {
	r, m := c.Request, c.Model
	if len(r.Extra) > 0 {
		return nil, &FieldError{r.Extra[0], "has no counterpart at " + m.Name}
	}
	t := &Translated{Request: *r, Call: c, Model: m}
	if fault := t.sound(); fault != nil {
		return nil, fault
	}
	for _, h := range r.Hints {
		t.Warnings = append(t.Warnings, h.Field+": left out ("+h.Reason+")")
	}
	for _, field := range RefusedBy(m, r) {
		t.Warn(field, "left out, "+m.Name+" refuses it")
	}
	if !m.Has(ledger.FeatureSampling) {
		t.Temperature, t.TopP, t.TopK = nil, nil, nil
	}
	if !m.Has(ledger.FeatureReasoning) {
		t.Effort, t.Budget = "", nil
	}
	if err := t.able(); err != nil {
		return nil, err
	}
	t.Messages = named(t.Messages)
	return t, nil
}

// able refuses what the model is known not to bear, before a provider does in words of its own.
func (t *Translated) able() error {
	switch m := t.Model; {
	case len(t.Tools) > 0 && t.ToolChoice.Mode != ToolNone && !m.Has(ledger.FeatureTools):
		return t.Cannot("tools", "tools cannot be called")
	case t.Format.Kind == FormatSchema && len(t.Format.Schema) == 0: // as OpenAI refuses it, though its description does not
		return &FieldError{t.Name("response_format"), "has no schema that the answer is to satisfy"}
	case t.Format.Kind == FormatSchema && !m.Has(ledger.FeatureStructured):
		return t.Cannot("response_format", "an answer by a schema cannot be had")
	case m.Has(ledger.FeatureImages):
		return nil
	}
	for _, turn := range t.Messages {
		if p := imageIn(turn.Parts); p != nil {
			return t.CannotPart(*p)
		}
	}
	return nil
}

// imageIn is the first image among parts, or in the result of a tool among them.
func imageIn(parts []Part) *Part {
	for i := range parts {
		p := &parts[i]
		if p.Kind == KindResult {
			p = imageIn(p.Parts)
		}
		if p != nil && p.Kind == KindImage {
			return p
		}
	}
	return nil
}

// named gives the results of tools the names of the tools, from the calls that they answer: some dialects have the
// name in both places, others in the call alone.
func named(messages []Message) []Message {
	var names map[string]string
	out := messages
	for i, m := range messages {
		for j, p := range m.Parts {
			switch {
			case p.Kind == KindCall && p.ID != "":
				if names == nil {
					names = map[string]string{}
				}
				names[p.ID] = p.Name
			case p.Kind == KindResult && p.Name == "" && names[p.ID] != "":
				if &out[0] == &messages[0] {
					out = slices.Clone(messages)
				}
				if &out[i].Parts[0] == &messages[i].Parts[0] {
					out[i].Parts = slices.Clone(m.Parts)
				}
				out[i].Parts[j].Name = names[p.ID]
			}
		}
	}
	return out
}

// Remembered is the turn of an assistant's as its provider said it, if it called a tool and this leg's provider is
// the one that said it. Otherwise the turn is written from its parts, without what was sealed into it.
func (t *Translated) Remembered(m Message) []byte {
	if m.Role != RoleAssistant || t.Call.Turn == nil {
		return nil
	}
	for _, p := range m.Parts {
		if p.Kind == KindCall {
			return t.Call.Turn(p.ID)
		}
	}
	return nil
}

// CallID is the id of a call as any provider takes it: the caller's own where it fits.
func CallID(id string) string {
	if IsWord(id, 64) {
		return id
	}
	return MintID(id, 0, 0)
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
	if !m.Has(ledger.FeatureReasoning) && (r.Effort != "" && r.Effort != "none" || r.Budget != nil && *r.Budget != 0) {
		fields = append(fields, "reasoning_effort")
	}
	return fields
}

// Warn records what was left out or altered of a canonical field.
func (t *Translated) Warn(field, what string) {
	t.Warnings = append(t.Warnings, t.Name(field)+": "+what)
}

// Cannot refuses a canonical field that the leg's dialect has no place for.
func (t *Translated) Cannot(field, why string) error {
	return &FieldError{t.Name(field), why + " at " + t.Model.Name}
}

// CannotPart refuses a part of a turn that the leg's dialect has no place for.
func (t *Translated) CannotPart(p Part) error {
	return &FieldError{p.Field, fmt.Sprintf("content of type %q cannot be sent at %s", p.Kind, t.Model.Name)}
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
			if p.Kind != KindText || p.Text != "" {
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
			turns = append(turns, Message{Role: role, Parts: parts, Field: m.Field})
		}
	}
	for i := range turns {
		if len(turns[i].Parts) == 0 {
			turns[i].Parts = append(turns[i].Parts, Text(" "))
		}
	}
	if len(turns) > 0 && turns[0].Role == RoleAssistant {
		t.Warn("messages", "a single space was put before them as the user's first turn, since at "+t.Model.Name+" the assistant cannot speak first")
		turns = slices.Insert(turns, 0, Message{Role: RoleUser, Parts: []Part{Text(" ")}, Field: turns[0].Field})
	}
	if len(turns) == 0 {
		return nil, t.Cannot("messages", "a conversation needs a turn that is not system text")
	}
	if turns[len(turns)-1].Role == RoleAssistant && !t.Model.Has(ledger.FeaturePrefill) {
		return nil, t.Cannot("messages", "a conversation cannot end with the assistant's turn")
	}
	return turns, nil
}
