package responses

import (
	"strings"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
	"waybill/router/openai"
)

// list writes a JSON list, entry by entry.
type list struct{ b []byte }

func (l *list) add(entry string) {
	if len(l.b) > 0 {
		l.b = append(l.b, ',')
	}
	l.b = append(l.b, entry...)
}

func (l *list) end() string { return "[" + string(l.b) + "]" }

// conversation writes the system text as instructions and the turns as items. Where any JSON is wanted the system text is an
// item too: OpenAI refuses such a request unless the word is in the input, and does not look for it in the instructions.
func (e *encoding) conversation() error {
	system, err := e.instructions()
	if err != nil {
		return err
	}
	input := &list{}
	switch {
	case system == "":
	case e.Format.Kind == router.FormatJSON:
		if err := e.turn(input, router.Message{Role: router.RoleSystem, Parts: e.System}); err != nil {
			return err
		}
	default:
		e.w.String("instructions", system)
	}
	for _, m := range e.Messages {
		if err := e.turn(input, m); err != nil {
			return err
		}
	}
	if last := len(e.Messages) - 1; last >= 0 && e.Messages[last].Role == router.RoleAssistant && e.Dialect != ledger.DialectOpenAIChat {
		e.Warn("messages", "the answer begins anew after the assistant's last turn, which "+e.Model.Name+" does not go on with")
	}
	e.w.Raw("input", input.end())
	return nil
}

// instructions is the system text.
func (e *encoding) instructions() (string, error) {
	openai.AskForJSON(e.Translated)
	var texts []string
	for _, p := range e.System {
		if p.Kind != router.KindText {
			return "", e.CannotPart(p)
		}
		if p.Text != "" {
			texts = append(texts, p.Text)
		}
	}
	return strings.Join(texts, paragraph), nil
}

// turn writes one turn as items: as the provider said it, where that is remembered and the caller's turn has all of its calls.
func (e *encoding) turn(input *list, m router.Message) error {
	said := gjson.ParseBytes(e.Remembered(m))
	if ids := router.Strings(said.Get("#.call_id")); len(ids) > 0 && m.Calls(ids) {
		for _, id := range ids {
			e.verbatim(id)
		}
		for _, it := range said.Array() {
			input.add(it.Raw)
		}
		return nil
	}
	if said.Exists() {
		e.warnOnce(m.Field, "what the model thought is left out, since the calls that it led to have changed")
	}
	content := &list{} // of the message being written
	flush := func() {
		if len(content.b) > 0 {
			input.add(`{"type":"message","role":"` + roles(m.Role, e.Call.Quirks.NoDeveloper) + `","content":` + content.end() + `}`)
			content.b = nil
		}
	}
	for _, p := range m.Parts {
		entry, apart, err := e.entry(m.Role, p)
		switch {
		case err != nil:
			return err
		case entry == "":
		case apart:
			flush()
			input.add(entry)
		default:
			content.add(entry)
		}
	}
	flush()
	return nil
}

func (e *encoding) verbatim(id string) {
	if e.ids == nil {
		e.ids = map[string]bool{}
	}
	e.ids[id] = true
}

// id is a call's: as the provider said it where it said it, else as any provider takes it.
func (e *encoding) id(p router.Part) string {
	if e.ids[p.ID] {
		return p.ID
	}
	return router.CallID(p.ID)
}

func roles(r router.Role, noDeveloper bool) string {
	if r == router.RoleSystem && !noDeveloper {
		return "developer"
	}
	return string(r)
}

// entry writes a part: within a message, or as an item of its own.
func (e *encoding) entry(role router.Role, p router.Part) (entry string, apart bool, err error) {
	switch p.Kind {
	case router.KindCall:
		return e.callItem(p), true, nil
	case router.KindResult:
		entry, err = e.resultItem(p)
		return entry, true, err
	case router.KindReasoning:
		e.warnOnce("messages", "earlier reasoning was left out, which "+e.Model.Name+" cannot read")
		return "", false, nil
	case router.KindRefusal:
		if role == router.RoleAssistant {
			return typed("refusal", "refusal", p.Text), false, nil
		}
	case router.KindText:
		switch {
		case role == router.RoleAssistant && p.Text == "":
			return "", false, nil
		case role == router.RoleAssistant:
			return typed("output_text", "text", p.Text), false, nil
		}
	}
	if role == router.RoleAssistant { // it says nothing but text and refusals
		return "", false, e.CannotPart(p)
	}
	entry, err = e.inputPart(p)
	return entry, false, err
}

func typed(kind, member, text string) string {
	return `{"type":"` + kind + `","` + member + `":` + router.Quote(text) + `}`
}

func (e *encoding) callItem(p router.Part) string {
	o := router.NewObject(len(p.Text) + 128)
	o.String("type", "function_call")
	o.String("call_id", e.id(p))
	o.String("name", p.Name)
	if p.Text == "" {
		p.Text = "{}"
	}
	o.String("arguments", p.Text)
	return string(o.End())
}

// resultItem writes what a tool gave back. That it failed has no member here, so that it is said in words.
func (e *encoding) resultItem(p router.Part) (string, error) {
	parts := p.Parts
	if p.Failed {
		e.warnOnce("messages", "that a tool failed is said in front of its result, where OpenAI's Responses has no mark for it")
		parts = append([]router.Part{router.Text("The tool failed.")}, parts...)
	}
	o := router.NewObject(256)
	o.String("type", "function_call_output")
	o.String("call_id", e.id(p))
	switch {
	case len(parts) == 0:
		o.String("output", "")
	case len(parts) == 1 && parts[0].Kind == router.KindText:
		o.String("output", parts[0].Text)
	default:
		output := &list{}
		for _, p := range parts {
			entry, err := e.inputPart(p)
			if err != nil {
				return "", err
			}
			output.add(entry)
		}
		o.Raw("output", output.end())
	}
	return string(o.End()), nil
}

// inputPart writes what a model is given to read.
func (e *encoding) inputPart(p router.Part) (string, error) {
	switch p.Kind {
	case router.KindText:
		return typed("input_text", "text", p.Text), nil
	case router.KindImage:
		return e.medium(p, "input_image", "image_url", "image_url")
	case router.KindDocument:
		return e.medium(p, "input_file", "file_url", "file_data")
	}
	return "", e.CannotPart(p)
}

// medium writes an image or a file by its address, its data, or its id at the provider.
func (e *encoding) medium(p router.Part, kind, address, data string) (string, error) {
	m := p.Media
	if m == nil {
		return "", e.CannotPart(p)
	}
	o := router.NewObject(len(m.Data) + 192)
	o.String("type", kind)
	switch {
	case m.Data != "":
		media := m.MediaType()
		if media == "" {
			return "", &router.FieldError{Field: p.Field, Reason: "needs the type of its media at " + e.Model.Name}
		}
		o.String(data, "data:"+media+";base64,"+m.Data)
		if kind == "input_file" {
			o.String("filename", filename(m.Name, media))
		}
	case strings.HasPrefix(m.URL, "https://") || strings.HasPrefix(m.URL, "http://"):
		o.String(address, m.URL)
	case m.File != "" && e.Dialect == ledger.DialectOpenAIChat:
		o.String("file_id", m.File)
	default:
		return "", &router.FieldError{Field: p.Field, Reason: "is kept by another provider, where " + e.Model.Name + " cannot read it: send its data"}
	}
	switch {
	case m.Detail != "":
		o.String("detail", m.Detail)
	case kind == "input_image": // where it is required
		o.String("detail", "auto")
	}
	return string(o.End()), nil
}

// filename is a file's, which is required beside its data and tells what it is.
func filename(name, media string) string {
	switch {
	case name != "":
		return name
	case media == "application/pdf":
		return "document.pdf"
	case strings.HasPrefix(media, "text/"):
		return "document.txt"
	}
	return "document"
}

// warnOnce warns of what a long conversation has in many places.
func (e *encoding) warnOnce(field, what string) {
	if e.warnedOf == nil {
		e.warnedOf = map[string]bool{}
	}
	if !e.warnedOf[what] {
		e.warnedOf[what] = true
		e.Warn(field, what)
	}
}
