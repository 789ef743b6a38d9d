package anthropic

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// content is a content block as waybill writes one.
type content struct {
	Type   string          `json:"type"`
	Text   string          `json:"text,omitzero"`
	Source *source         `json:"source,omitzero"`
	Title  string          `json:"title,omitzero"`
	ID     string          `json:"id,omitzero"`
	Name   string          `json:"name,omitzero"`
	Input  json.RawMessage `json:"input,omitempty"`

	ToolUseID string    `json:"tool_use_id,omitzero"`
	Content   []content `json:"content,omitempty"`
	IsError   bool      `json:"is_error,omitzero"`
}

type source struct {
	Type      string `json:"type"`
	MediaType string `json:"media_type,omitzero"`
	Data      string `json:"data,omitzero"`
	URL       string `json:"url,omitzero"`
}

// block writes a part of a turn of the user's.
func (e *encoding) block(p router.Part) (content, error) {
	switch p.Kind {
	case router.KindResult:
		return e.result(p)
	case router.KindText:
		return content{Type: "text", Text: p.Text}, nil
	case router.KindImage, router.KindDocument:
		return e.media(p)
	}
	return content{}, e.t.CannotPart(p)
}

// spoken writes a part of a turn of the assistant's.
func (e *encoding) spoken(p router.Part) (content, error) {
	switch p.Kind {
	case router.KindText, router.KindRefusal:
		return content{Type: "text", Text: p.Text}, nil
	case router.KindCall:
		b := content{Type: "tool_use", ID: router.CallID(p.ID), Name: p.Name, Input: json.RawMessage("{}")}
		if gjson.Valid(p.Text) && gjson.Parse(p.Text).IsObject() {
			b.Input = json.RawMessage(p.Text)
		} else if strings.TrimSpace(p.Text) != "" {
			e.warn(p.Field, "the arguments are left out, for they are not a JSON object")
		}
		return b, nil
	}
	return content{}, e.t.CannotPart(p)
}

// result writes what a tool gave back.
func (e *encoding) result(p router.Part) (content, error) {
	out := content{Type: "tool_result", ToolUseID: router.CallID(p.ID), IsError: p.Failed}
	for _, inner := range p.Parts {
		if inner.Kind == router.KindText && inner.Text == "" {
			continue
		}
		if inner.Kind == router.KindResult {
			return content{}, e.t.CannotPart(inner)
		}
		b, err := e.block(inner)
		if err != nil {
			return content{}, err
		}
		out.Content = append(out.Content, b)
	}
	return out, nil
}

// images are the media types that Anthropic takes. https://platform.claude.com/docs/en/build-with-claude/vision
var images = map[string]bool{"image/jpeg": true, "image/png": true, "image/gif": true, "image/webp": true}

func (e *encoding) media(p router.Part) (content, error) {
	m := p.Media
	cannot := func(why string) (content, error) {
		return content{}, &router.FieldError{Field: p.Field, Reason: why + " at " + e.t.Model.Name}
	}
	if m == nil {
		return content{}, e.t.CannotPart(p)
	}
	out := content{Type: string(p.Kind), Source: &source{Type: "base64", MediaType: m.Type, Data: m.Data}}
	if p.Kind == router.KindDocument {
		out.Title = m.Name
	} else if m.Name != "" {
		e.warn(p.Field, "its name is left out, an image has none at "+e.t.Model.Name)
	}
	if m.Detail != "" && m.Detail != "auto" {
		e.warn(p.Field, "detail is left out, "+e.t.Model.Name+" sees an image in one way only")
	}
	media, _, _ := strings.Cut(m.Type, ";")
	switch {
	case m.Data == "" && m.URL == "":
		return cannot("a file that was uploaded to another provider cannot be had")
	case m.Data == "":
		out.Source = &source{Type: "url", URL: m.URL}
	case p.Kind == router.KindImage && !images[m.Type]:
		return cannot("an image of media type " + router.Quote(m.Type) + " cannot be sent")
	case p.Kind == router.KindImage || media == "application/pdf":
	case strings.HasPrefix(media, "text/"):
		text, err := base64.StdEncoding.DecodeString(m.Data)
		if err != nil || !utf8.Valid(text) {
			return cannot("a document of text must be base64 of UTF-8")
		}
		out.Source = &source{Type: "text", MediaType: "text/plain", Data: string(text)}
	default:
		return cannot("a document of media type " + router.Quote(m.Type) + " cannot be sent")
	}
	return out, nil
}
