package openai

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
)

// chatMessage is one message as waybill writes it.
type chatMessage struct {
	Role    string     `json:"role"`
	ID      string     `json:"tool_call_id,omitzero"`
	Content any        `json:"content"` // a text, a list of parts, or null
	Calls   []chatCall `json:"tool_calls,omitempty"`
}

type chatPart struct {
	Type    string     `json:"type"`
	Text    *string    `json:"text,omitzero"`
	Refusal string     `json:"refusal,omitzero"`
	Image   *chatImage `json:"image_url,omitzero"`
	Audio   *chatAudio `json:"input_audio,omitzero"`
	File    *chatFile  `json:"file,omitzero"`
}

type chatImage struct {
	URL    string `json:"url"`
	Detail string `json:"detail,omitzero"`
}

type chatAudio struct {
	Data   string `json:"data"`
	Format string `json:"format"`
}

type chatFile struct {
	Name string `json:"filename,omitzero"`
	Data string `json:"file_data,omitzero"`
	ID   string `json:"file_id,omitzero"`
}

type chatCall struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

// writing is a conversation being written.
type writing struct {
	t          *router.Translated
	out        []json.RawMessage
	thoughtful bool // thoughts were left out, and the caller has been told
	changed    bool // likewise of a remembered turn that the caller has changed
	failed     bool // likewise of failures of tools
	detailed   bool // likewise of the detail of files
}

// encodeMessages writes the conversation.
func encodeMessages(t *router.Translated) ([]json.RawMessage, error) {
	w := writing{t: t, out: make([]json.RawMessage, 0, len(t.Messages)+2)}
	if t.Call.Quirks.NoSchema && t.Format.Kind == router.FormatSchema {
		if err := w.say(chatMessage{Role: "system", Content: schemaInstruction(t.Format)}); err != nil {
			return nil, err
		}
	}
	if len(t.System) > 0 {
		if err := w.plain("system", t.System); err != nil {
			return nil, err
		}
	}
	for _, m := range t.Messages {
		var err error
		switch m.Role {
		case router.RoleAssistant:
			err = w.assistant(m)
		case router.RoleUser:
			err = w.user(m)
		default:
			err = w.plain(string(m.Role), m.Parts)
		}
		if err != nil {
			return nil, err
		}
	}
	return w.out, nil
}

func (w *writing) say(m chatMessage) error {
	b, err := json.Marshal(m)
	w.out = append(w.out, b)
	return err
}

// plain writes a message of parts. One text alone is a string: small servers know no list.
func (w *writing) plain(role string, parts []router.Part) error {
	content, err := w.content(role, parts)
	if err != nil {
		return err
	}
	return w.say(chatMessage{Role: role, Content: content})
}

func (w *writing) content(role string, parts []router.Part) (any, error) {
	if len(parts) == 1 && parts[0].Kind == router.KindText {
		return parts[0].Text, nil
	}
	list := make([]chatPart, 0, len(parts))
	for _, p := range parts {
		part, err := w.part(role, p)
		if err != nil {
			return nil, err
		}
		list = append(list, part)
	}
	if len(list) == 0 {
		return "", nil
	}
	return list, nil
}

// user writes the results of tools, each a message of its own and before all else, as OpenAI wants them: they answer the
// calls of the message before.
func (w *writing) user(m router.Message) error {
	rest := make([]router.Part, 0, len(m.Parts))
	for _, p := range m.Parts {
		if p.Kind != router.KindResult {
			rest = append(rest, p)
			continue
		}
		content, err := w.content("tool", p.Parts)
		if err != nil {
			return err
		}
		if p.Failed {
			content = w.failure(p, content)
		}
		if err := w.say(chatMessage{Role: "tool", ID: router.CallID(p.ID), Content: content}); err != nil {
			return err
		}
	}
	if len(rest) == 0 && len(m.Parts) > 0 {
		return nil
	}
	return w.plain("user", rest)
}

// failure is the content of a tool's message that failed: the dialect has no mark for it but words.
func (w *writing) failure(p router.Part, content any) any {
	if !w.failed {
		w.failed = true
		w.t.Warnings = append(w.t.Warnings, p.Field+": that the tool failed is said in front of its result, where the dialect has no mark for it")
	}
	text := "The tool failed."
	switch content := content.(type) {
	case string:
		if content != "" {
			text += "\n" + content
		}
	case []chatPart:
		return append([]chatPart{{Type: "text", Text: &text}}, content...)
	}
	return text
}

// assistant writes what the model said: as its provider said it where that is remembered and the caller's turn has all of its
// calls, else without its thoughts.
func (w *writing) assistant(m router.Message) error {
	if turn := w.t.Remembered(m); turn != nil {
		if m.Calls(router.Strings(gjson.GetBytes(turn, "tool_calls.#.id"))) {
			w.out = append(w.out, turn)
			return nil
		}
		if !w.changed {
			w.changed = true
			w.t.Warnings = append(w.t.Warnings, m.Field+": what the model thought is left out, since the calls that it led to have changed")
		}
	}
	out := chatMessage{Role: "assistant"}
	said := make([]router.Part, 0, len(m.Parts))
	for _, p := range m.Parts {
		switch p.Kind {
		case router.KindReasoning:
			if !w.thoughtful {
				w.thoughtful = true
				w.t.Warnings = append(w.t.Warnings, p.Field+": left out, "+w.t.Model.Name+" takes no earlier thoughts")
			}
		case router.KindCall:
			call := chatCall{ID: router.CallID(p.ID), Type: "function"}
			call.Function.Name, call.Function.Arguments = p.Name, p.Text
			if call.Function.Arguments == "" {
				call.Function.Arguments = "{}"
			}
			out.Calls = append(out.Calls, call)
		default:
			said = append(said, p)
		}
	}
	if len(said) == 0 && len(out.Calls) > 0 {
		return w.say(out)
	}
	if len(said) == 0 && len(m.Parts) > 0 {
		return nil // nothing but thoughts
	}
	var err error
	if out.Content, err = w.content("assistant", said); err != nil {
		return err
	}
	return w.say(out)
}

// part writes one part of a message. Media are the user's alone in this dialect.
func (w *writing) part(role string, p router.Part) (chatPart, error) {
	switch {
	case p.Kind == router.KindText:
		return chatPart{Type: "text", Text: &p.Text}, nil
	case p.Kind == router.KindRefusal && role == "assistant":
		return chatPart{Type: "refusal", Refusal: p.Text}, nil
	case p.Media == nil || role != "user":
		return chatPart{}, w.t.CannotPart(p)
	}
	m := p.Media
	switch p.Kind {
	case router.KindImage:
		return w.image(p)
	case router.KindAudio:
		format, ok := audioFormats[strings.ToLower(m.Type)]
		if !ok || m.Data == "" {
			return chatPart{}, &router.FieldError{Field: p.Field, Reason: "audio must be WAV or MP3 in the request itself at " + w.t.Model.Name}
		}
		return chatPart{Type: "input_audio", Audio: &chatAudio{m.Data, format}}, nil
	case router.KindDocument:
		return w.document(p)
	}
	return chatPart{}, w.t.CannotPart(p)
}

// audioFormats are OpenAI's words for the media types that it takes.
var audioFormats = map[string]string{
	"audio/wav": "wav", "audio/x-wav": "wav", "audio/wave": "wav", "audio/mp3": "mp3", "audio/mpeg": "mp3",
}

func (w *writing) image(p router.Part) (chatPart, error) {
	m := p.Media
	out := &chatImage{URL: m.URL, Detail: m.Detail}
	if m.Data != "" {
		out.URL = "data:" + m.Type + ";base64," + m.Data
	}
	if m.Data != "" && m.Type == "" {
		return chatPart{}, w.typeless(p)
	}
	if out.URL == "" {
		return chatPart{}, &router.FieldError{Field: p.Field, Reason: "another provider's file cannot be sent at " + w.t.Model.Name}
	}
	return chatPart{Type: "image_url", Image: out}, nil
}

// document writes a file. One of text alone is sent as the text that it is: OpenAI's files are PDFs.
func (w *writing) document(p router.Part) (chatPart, error) {
	m := p.Media
	if m.File != "" && w.t.Dialect == ledger.DialectOpenAIResponses { // the ids are OpenAI's in both dialects
		return chatPart{Type: "file", File: &chatFile{ID: m.File}}, nil
	}
	if m.Data == "" {
		return chatPart{}, &router.FieldError{Field: p.Field, Reason: "a file must be in the request itself at " + w.t.Model.Name}
	}
	kind := m.MediaType()
	if kind == "" {
		return chatPart{}, w.typeless(p)
	}
	if m.Detail != "" && m.Detail != "auto" && !w.detailed {
		w.detailed = true
		w.t.Warnings = append(w.t.Warnings, p.Field+": its detail is left out, "+w.t.Model.Name+" reads a file in one way only")
	}
	if strings.HasPrefix(kind, "text/") {
		text, err := base64.StdEncoding.DecodeString(m.Data)
		if err != nil {
			return chatPart{}, &router.FieldError{Field: p.Field, Reason: "is not base64"}
		}
		s := string(text)
		return chatPart{Type: "text", Text: &s}, nil
	}
	name := m.Name
	if name == "" {
		name = "document.pdf"
	}
	return chatPart{Type: "file", File: &chatFile{Name: name, Data: "data:" + kind + ";base64," + m.Data}}, nil
}

func (w *writing) typeless(p router.Part) error {
	return &router.FieldError{Field: p.Field, Reason: "needs the type of its media at " + w.t.Model.Name}
}
