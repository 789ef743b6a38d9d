package router

import (
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strings"

	"waybill/ledger"
)

// check refuses what the ledger would refuse without naming the caller's field.
func (r *Request) check() *FieldError {
	switch {
	case r.OutputCap > ledger.MaxOutput:
		return &FieldError{r.Name("max_completion_tokens"), fmt.Sprintf("must be at most %d", int64(ledger.MaxOutput))}
	case !ledger.ValidTier(r.ServiceTier):
		return &FieldError{r.Name("service_tier"), fmt.Sprintf("%.64q is no service tier: a word such as flex or priority", r.ServiceTier)}
	}
	return nil
}

// excess refuses an output cap above the most that a leg's model puts out, as its provider does: on platform capacity the hold for it would come
// first, and be refused for want of money. On a credential of the org's own, where a header may lift the bound, the provider has the word.
func excess(r *Request, leg Leg) *FieldError {
	m := leg.Model
	if r.Endpoint != EndpointChat || leg.Credential.Kind() != ledger.Platform || m.MaxOutput <= 0 || r.OutputCap <= m.MaxOutput {
		return nil
	}
	return &FieldError{r.Name("max_completion_tokens"), fmt.Sprintf("is %d, and %s puts out at most %d tokens", r.OutputCap, m.Name, m.MaxOutput)}
}

// sound refuses, by the caller's own field, what no provider takes. Left to the provider it would be refused as a field of
// a body that the caller has never seen.
func (t *Translated) sound() *FieldError {
	if t.Effort != "" && !slices.Contains(efforts, t.Effort) {
		return &FieldError{t.Name("reasoning_effort"), fmt.Sprintf("%.64q is not an effort: %s", t.Effort, strings.Join(efforts, ", "))}
	}
	if slices.Contains(t.Stop, "") {
		return &FieldError{t.Name("stop"), "a stop string must not be empty"}
	}
	if t.Format.Kind == FormatSchema {
		if why := misshapen(t.Format.Schema); why != "" {
			return &FieldError{t.Name("response_format"), why}
		}
	}
	if fault := t.soundTools(); fault != nil {
		return fault
	}
	calls := map[string]bool{}
	for _, m := range t.Messages {
		if fault := soundParts(m.Parts, calls); fault != nil {
			return fault
		}
	}
	return nil
}

// soundTools checks the tools and the choice among them.
func (t *Translated) soundTools() *FieldError {
	names := make(map[string]bool, len(t.Tools))
	for _, tool := range t.Tools {
		if names[tool.Name] {
			return &FieldError{tool.Field, fmt.Sprintf("another tool has the name %.64q too", tool.Name)}
		}
		names[tool.Name] = true
		if why := misshapen(tool.Schema); why != "" {
			return &FieldError{tool.Field, why}
		}
	}
	for _, name := range t.ToolChoice.Names {
		if !names[name] {
			return &FieldError{t.Name("tool_choice"), fmt.Sprintf("%.64q is none of the tools", name)}
		}
	}
	return nil
}

// soundParts checks a turn's parts, or those of the result of a tool. The calls are those that were made up to there.
func soundParts(parts []Part, calls map[string]bool) *FieldError {
	for _, p := range parts {
		switch {
		case p.Kind == KindCall:
			if p.Name == "" {
				return &FieldError{p.Field, "a call needs the name of its tool"}
			}
			calls[p.ID] = true
		case p.Kind == KindResult:
			if !calls[p.ID] {
				return &FieldError{p.Field, fmt.Sprintf("%.64q is the id of no call that was made before", p.ID)}
			}
			if fault := soundParts(p.Parts, calls); fault != nil {
				return fault
			}
		case p.Media != nil && !isBase64(p.Media.Data):
			return &FieldError{p.Field, "its data is not base64"}
		}
	}
	return nil
}

func isBase64(s string) bool {
	_, err := io.Copy(io.Discard, base64.NewDecoder(base64.StdEncoding, strings.NewReader(s)))
	return err == nil
}

// Named refuses the tools, and the calls of the conversation, whose names a dialect does not take; rule says which it does.
func (t *Translated) Named(takes func(name string) bool, rule string) error {
	cannot := func(field, name string) error {
		return &FieldError{field, fmt.Sprintf("the name %.140q cannot be sent at %s: it is to be of %s", name, t.Model.Name, rule)}
	}
	for _, tool := range t.Tools {
		if !takes(tool.Name) {
			return cannot(tool.Field, tool.Name)
		}
	}
	for _, m := range t.Messages {
		for _, p := range m.Parts {
			if p.Kind == KindCall && !takes(p.Name) {
				return cannot(p.Field, p.Name)
			}
		}
	}
	return nil
}

// IsWord tells whether a name is of letters, digits, _ and -, one at least and most at most.
func IsWord(name string, most int) bool {
	for i := range len(name) {
		c := name[i]
		if c != '_' && c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return name != "" && len(name) <= most
}
