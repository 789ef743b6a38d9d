package openai

import (
	"encoding/json"
	"strings"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// content reads a string or a list of parts.
func (d *decoding) content(field string, v gjson.Result) (parts []router.Part, fault *router.FieldError) {
	switch {
	case v.Type == gjson.String:
		return []router.Part{router.Text(v.Str)}, nil
	case v.Type == gjson.Null:
		return nil, nil
	case !v.IsArray():
		return nil, &router.FieldError{Field: field, Reason: "must be a string or a list of parts"}
	}
	fault = objects(field, v, func(at string, v gjson.Result) *router.FieldError {
		p, fault := d.part(at, v)
		parts = append(parts, p)
		return fault
	})
	return parts, fault
}

// part reads one part. Its payload is the member that is named as its type.
func (d *decoding) part(at string, v gjson.Result) (router.Part, *router.FieldError) {
	kind, fault := router.StringField(at+".type", v.Get("type"))
	if fault != nil {
		return router.Part{}, fault
	}
	var payload gjson.Result
	switch kind { // the caller's word itself is never a path to read by
	case "text", "refusal", "image_url", "input_audio", "file":
		payload = v.Get(kind)
	}
	var media *router.Media
	var as router.Kind
	switch kind {
	case "text", "refusal":
		text, fault := router.StringField(at+"."+kind, payload)
		d.beside(at, kind, v)
		if kind == "text" {
			return router.Text(text), fault
		}
		return refusal(text, v, at), fault
	case "image_url":
		as, media = router.KindImage, image(payload)
	case "input_audio":
		as, media = router.KindAudio, audio(payload)
	case "file":
		as, media = router.KindDocument, file(payload)
	}
	p := other(kind, v, at)
	if media != nil && d.payload(at+"."+kind, payload) {
		d.beside(at, kind, v)
		p.Kind, p.Media = as, media
	}
	return p, nil
}

// payload sorts the members of an image, a clip or a file, and tells whether those that are read are what they should be.
func (d *decoding) payload(at string, v gjson.Result) bool {
	good := true
	v.ForEach(func(key, m gjson.Result) bool {
		switch key.Str {
		case "url", "detail", "data", "format", "file_data", "file_id", "filename":
			good = good && (m.Type == gjson.String || m.Type == gjson.Null)
		default:
			d.unknown(key.Str, at+".", m)
		}
		return true
	})
	return good
}

// beside sorts what a part, or the form of an answer, has beside its type and its payload.
func (d *decoding) beside(at, kind string, v gjson.Result) {
	v.ForEach(func(key, m gjson.Result) bool {
		switch key.Str {
		case "type", kind:
			return true
		case "prompt_cache_breakpoint":
			life := 0 // 30 minutes
			if m.Get("ttl").Str == "12h" {
				life = 1
			}
			d.lives[life]++
		}
		d.unknown(key.Str, at+".", m)
		return true
	})
}

// image reads {url, detail}. What it points to in another way than the two that OpenAI takes is for the
// provider to judge.
func image(v gjson.Result) *router.Media {
	url := v.Get("url").Str
	m := &router.Media{Detail: v.Get("detail").Str}
	var ok bool
	if m.Type, m.Data, ok = dataURL(url); ok {
		return m
	}
	if scheme, _, _ := strings.Cut(url, "://"); !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return nil
	}
	m.URL = url
	return m
}

// audio reads {data, format}.
func audio(v gjson.Result) *router.Media {
	data, format := v.Get("data").Str, v.Get("format").Str
	if data == "" || format == "" {
		return nil
	}
	return &router.Media{Type: "audio/" + format, Data: data}
}

// file reads {file_data, file_id, filename}. The data is a data: URL, or base64 of what OpenAI takes here: a PDF.
func file(v gjson.Result) *router.Media {
	m := &router.Media{File: v.Get("file_id").Str, Name: v.Get("filename").Str}
	data := v.Get("file_data").Str
	var ok bool
	if m.Type, m.Data, ok = dataURL(data); !ok && data != "" {
		if strings.Contains(data, ":") {
			return nil
		}
		m.Type, m.Data = "application/pdf", data
	}
	if m.Data == "" && m.File == "" {
		return nil
	}
	return m
}

// dataURL splits a data: URL whose bytes are base64.
func dataURL(url string) (kind, data string, ok bool) {
	const scheme = "data:"
	if len(url) < len(scheme) || !strings.EqualFold(url[:len(scheme)], scheme) {
		return "", "", false
	}
	head, data, ok := strings.Cut(url[len(scheme):], ",")
	kind, rest, _ := strings.Cut(head, ";")
	if !ok || kind == "" || rest != "base64" && !strings.HasSuffix(rest, ";base64") {
		return "", "", false
	}
	return kind, data, true
}

func refusal(text string, v gjson.Result, field string) router.Part {
	p := other("", v, field)
	p.Kind, p.Text = router.KindRefusal, text
	return p
}

// other is a part that this dialect alone has. Its kind is the caller's word, but never one that is canonical: those
// come with what they promise.
func other(kind string, v gjson.Result, field string) router.Part {
	switch k := router.Kind(kind); k {
	case router.KindText, router.KindImage, router.KindAudio, router.KindDocument, router.KindCall, router.KindResult,
		router.KindReasoning, router.KindRefusal:
		kind += "_part"
	}
	return router.Part{Kind: router.Kind(kind), Raw: json.RawMessage(v.Raw), Field: field}
}
