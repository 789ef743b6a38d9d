package responses

import (
	"encoding/json"
	"strings"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// content reads a string or a list of parts.
func (d *decoding) content(at string, v gjson.Result) (parts []router.Part, fault *router.FieldError) {
	switch {
	case v.Type == gjson.String:
		return []router.Part{router.Text(v.Str)}, nil
	case !v.IsArray():
		return nil, &router.FieldError{Field: at, Reason: "must be a string or a list of parts"}
	}
	fault = each(at, v, func(field string, v gjson.Result) *router.FieldError {
		if !v.IsObject() {
			return &router.FieldError{Field: field, Reason: "must be an object"}
		}
		p, fault := d.part(field, v)
		parts = append(parts, p)
		return fault
	})
	return parts, fault
}

func (d *decoding) part(at string, v gjson.Result) (p router.Part, fault *router.FieldError) {
	if router.Given(v, "prompt_cache_breakpoint") {
		d.hintOnce("prompt_cache_breakpoint", at+".prompt_cache_breakpoint")
	}
	kind, fault := router.StringField(at+".type", v.Get("type"))
	if fault != nil {
		return p, fault
	}
	p = router.Part{Kind: router.Kind(kind), Raw: json.RawMessage(v.Raw), Field: at}
	switch kind {
	case "input_text", "output_text", "text":
		text, fault := router.StringField(at+".text", v.Get("text"))
		d.beside(at, v, "type", "text", "prompt_cache_breakpoint", "annotations", "logprobs")
		return router.Text(text), fault
	case "refusal":
		d.beside(at, v, "type", "refusal", "prompt_cache_breakpoint")
		p.Text, fault = router.StringField(at+".refusal", v.Get("refusal"))
	case "input_image":
		p.Kind = router.KindImage
		p.Media, fault = d.media(at, v, "image_url", "")
	case "input_file":
		p.Kind = router.KindDocument
		p.Media, fault = d.media(at, v, "file_url", "file_data")
	default:
		if canonical(kind) {
			fault = &router.FieldError{Field: at + ".type", Reason: notOurs}
		}
	}
	return p, fault
}

const notOurs = "is not a type of this dialect"

// canonical tells whether a caller's word is one of ours with a meaning of its own, which it must not pass for.
func canonical(kind string) bool {
	switch router.Kind(kind) {
	case router.KindText, router.KindImage, router.KindAudio, router.KindDocument, router.KindCall, router.KindResult, router.KindReasoning, router.KindRefusal:
		return true
	}
	return false
}

// media reads where an image or a file is: one address of data, of the web, or at the provider.
func (d *decoding) media(at string, v gjson.Result, address, data string) (m *router.Media, fault *router.FieldError) {
	m = &router.Media{}
	fault = router.Members(v, at+".", func(name string, v gjson.Result) (fault *router.FieldError) {
		field := at + "." + name
		switch name {
		case address, data:
			var s string
			s, fault = router.StringField(field, v)
			switch kind, base64, ok := splitData(s); {
			case ok:
				m.Type, m.Data = kind, base64
			case strings.HasPrefix(s, "data:"):
				fault = &router.FieldError{Field: field, Reason: "must be base64 where it has the data itself"}
			case name == data:
				m.Data = s
			default:
				m.URL = s
			}
		case "file_id":
			m.File, fault = router.StringField(field, v)
		case "filename":
			m.Name, fault = router.StringField(field, v)
		case "detail":
			m.Detail, fault = router.StringField(field, v)
		}
		return fault
	})
	d.beside(at, v, "type", "prompt_cache_breakpoint", address, data, "file_id", "filename", "detail")
	if fault == nil && m.Data == "" && m.URL == "" && m.File == "" {
		fault = &router.FieldError{Field: at, Reason: "has neither an address nor data"}
	}
	return m, fault
}

// splitData takes a data address apart that has its bytes as base64.
func splitData(s string) (kind, data string, ok bool) {
	rest, ok := strings.CutPrefix(s, "data:")
	if !ok {
		return "", "", false
	}
	kind, data, ok = strings.Cut(rest, ";base64,")
	return kind, data, ok
}
