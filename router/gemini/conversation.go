package gemini

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"waybill/router"
)

type content struct {
	Role  string `json:"role,omitzero"`
	Parts any    `json:"parts"` // []part, or JSON as Gemini said it
}

type part struct {
	Text     *string   `json:"text,omitzero"`
	Inline   *blob     `json:"inlineData,omitzero"`
	Call     *funcCall `json:"functionCall,omitzero"`
	Response *response `json:"functionResponse,omitzero"`
	Seal     string    `json:"thoughtSignature,omitzero"`
}

type blob struct {
	Type string `json:"mimeType"`
	Data string `json:"data"`
}

type funcCall struct {
	ID   string          `json:"id,omitzero"`
	Name string          `json:"name"`
	Args json.RawMessage `json:"args"`
}

type response struct {
	ID       string          `json:"id,omitzero"`
	Name     string          `json:"name"`
	Response json.RawMessage `json:"response"`
	Parts    []part          `json:"parts,omitempty"`
}

// marshal writes JSON without HTML's escapes, which cost the model's attention nothing but the wire bytes.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}

// converse writes the conversation.
func converse(t *router.Translated, out *generateRequest) error {
	turns, err := t.Turns()
	if err != nil {
		return err
	}
	w := conversing{t: t, exchange: current(turns), seal: demands(t.Model)}
	for i, m := range turns {
		if m.Role == router.RoleAssistant {
			err = w.model(i, m)
		} else {
			err = w.user(m)
		}
		if err != nil {
			return err
		}
	}
	if len(w.contents) == 0 {
		return t.Cannot("messages", "a conversation needs a turn that says something")
	}
	if w.thoughts != "" {
		t.Warnings = append(t.Warnings, w.thoughts+": left out, reasoning that "+t.Model.Name+" did not do cannot be sent to it")
	}
	out.Contents = w.contents
	var system []part
	for _, p := range t.System {
		if p.Kind != router.KindText {
			return t.CannotPart(p)
		}
		if p.Text != "" {
			system = append(system, part{Text: &p.Text})
		}
	}
	if len(system) > 0 {
		out.System = &content{Parts: system}
	}
	return nil
}

// conversing is a conversation being written.
type conversing struct {
	t        *router.Translated
	contents []content
	exchange int            // the turn with which the current exchange begins
	seal     bool           // the model demands seals in it
	calls    []sent         // of the model's latest turn
	places   map[string]int // of those by the caller's ids
	thoughts string         // where reasoning was left out first
	told     map[string]bool
}

// warn tells of a loss, the first of its kind: a conversation may have hundreds.
func (w *conversing) warn(field, what string) {
	if w.told == nil {
		w.told = map[string]bool{}
	}
	if !w.told[what] {
		w.told[what] = true
		w.t.Warnings = append(w.t.Warnings, field+": "+what)
	}
}

// sent is a call as it was written.
type sent struct {
	id   string // the caller's
	own  string // Gemini's own id for it, if it has one
	name string
}

// model writes a turn of the assistant's: as Gemini said it, if that is remembered, else from its parts, where the first
// call of each step of the current exchange needs a word in place of a seal.
func (w *conversing) model(i int, m router.Message) error {
	w.calls = w.calls[:0]
	if !w.remembered(m) {
		if err := w.written(i, m); err != nil {
			return err
		}
	}
	w.places = make(map[string]int, len(w.calls))
	for i, c := range w.calls {
		w.places[c.id] = i
	}
	return nil
}

// written writes a turn of the assistant's from its parts.
func (w *conversing) written(i int, m router.Message) error {
	var parts []part
	for _, p := range m.Parts {
		switch p.Kind {
		case router.KindReasoning:
			if w.thoughts == "" {
				w.thoughts = p.Field
			}
		case router.KindCall:
			call := part{Call: &funcCall{Name: p.Name, Args: w.args(p)}}
			if len(w.calls) == 0 && w.seal && i > w.exchange {
				call.Seal = unsealed
			}
			w.calls = append(w.calls, sent{id: p.ID, name: p.Name})
			parts = append(parts, call)
		case router.KindText, router.KindRefusal:
			if p.Text != "" {
				parts = append(parts, part{Text: &p.Text})
			}
		default:
			return w.t.CannotPart(p)
		}
	}
	if len(parts) > 0 {
		w.contents = append(w.contents, content{"model", parts})
	}
	return nil
}

// args are a call's arguments, which are an object here. What a model wrote that is none cannot be said.
func (w *conversing) args(p router.Part) json.RawMessage {
	args := strings.TrimSpace(p.Text)
	if args == "" {
		args = "{}"
	}
	if doc, err := router.Document([]byte(args)); err != nil || !doc.IsObject() {
		w.warn(p.Field, "its arguments are not a JSON object and were sent as an empty one")
		return json.RawMessage("{}")
	}
	return json.RawMessage(args)
}

// user writes a turn of the user's: first what functions gave back, all of it in one content in the order of the calls,
// then the rest.
func (w *conversing) user(m router.Message) error {
	type placed struct {
		at int
		*response
	}
	var rest []part
	var results []placed
	for _, p := range m.Parts {
		switch p.Kind {
		case router.KindResult:
			made, place, err := w.result(p)
			if err != nil {
				return err
			}
			results = append(results, placed{place, made})
		case router.KindText:
			if p.Text != "" {
				rest = append(rest, part{Text: &p.Text})
			}
		default:
			made, err := w.media(p)
			if err != nil {
				return err
			}
			rest = append(rest, made)
		}
	}
	if len(results) > 0 {
		slices.SortStableFunc(results, func(a, b placed) int { return a.at - b.at })
		parts := make([]part, 0, len(results))
		for _, r := range results {
			parts = append(parts, part{Response: r.response})
		}
		w.contents = append(w.contents, content{"user", parts})
	}
	if len(rest) > 0 {
		w.contents = append(w.contents, content{"user", rest})
	}
	return nil
}

// result writes what a function gave back, under the name of the function and, where Gemini gave the call an id, that id.
func (w *conversing) result(p router.Part) (out *response, place int, err error) {
	out = &response{Name: p.Name}
	place, known := w.places[p.ID]
	if known {
		out.ID, out.Name = w.calls[place].own, w.calls[place].name
	} else {
		place = len(w.calls)
	}
	if out.Name == "" {
		return nil, 0, &router.FieldError{Field: p.Field, Reason: "answers no call of the conversation, and " + w.t.Model.Name + " wants the function's name"}
	}
	var said []string
	for _, inner := range p.Parts {
		if inner.Kind == router.KindText {
			said = append(said, inner.Text)
			continue
		}
		if inner.Field == "" {
			inner.Field = p.Field
		}
		made, err := w.media(inner)
		if err != nil {
			return nil, 0, err
		}
		out.Parts = append(out.Parts, made)
	}
	out.Response = outcomeOf(strings.Join(said, "\n"), p.Failed)
	return out, place, nil
}

// outcomeOf wraps what a function gave back under the words by which Gemini knows an output and an error. JSON stays JSON.
func outcomeOf(said string, failed bool) json.RawMessage {
	word := "output"
	if failed {
		word = "error"
	}
	value := router.Quote(said)
	if trimmed := strings.TrimSpace(said); strings.HasPrefix(trimmed, "{") || strings.HasPrefix(trimmed, "[") {
		if _, err := router.Document([]byte(trimmed)); err == nil {
			value = trimmed
		}
	}
	w := router.NewObject(len(value) + 16)
	w.Raw(word, value)
	return w.End()
}

// media writes bytes. Gemini reads addresses only of its own files, and waybill fetches nothing.
func (w *conversing) media(p router.Part) (part, error) {
	m := p.Media
	switch {
	case p.Kind != router.KindImage && p.Kind != router.KindAudio && p.Kind != router.KindDocument || m == nil:
		return part{}, w.t.CannotPart(p)
	case m.Data == "" && m.URL != "":
		return part{}, &router.FieldError{Field: p.Field, Reason: "an address cannot be sent at " + w.t.Model.Name + ", and waybill fetches nothing: send the bytes inline"}
	case m.Data == "":
		return part{}, &router.FieldError{Field: p.Field, Reason: "a file of another provider's cannot be sent at " + w.t.Model.Name}
	case m.Type == "":
		return part{}, &router.FieldError{Field: p.Field, Reason: "its media type must be given at " + w.t.Model.Name}
	}
	if m.Name != "" || m.Detail != "" && m.Detail != "auto" {
		w.warn(p.Field, "its name or detail left out, there is no place for them at "+w.t.Model.Name)
	}
	return part{Inline: &blob{m.Type, m.Data}}, nil
}
