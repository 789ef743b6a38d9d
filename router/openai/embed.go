package openai

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// maxTexts bounds the texts of one request, as OpenAI does.
const maxTexts = 2048

// embedding reads one member of a request for embeddings.
func (d *decoding) embedding(name string, v gjson.Result) (fault *router.FieldError) {
	r := d.req
	switch name {
	case "model":
		r.Model, fault = router.ModelField(v)
	case "input":
		fault = d.input(v)
	case "dimensions":
		r.Embed.Dimensions, fault = router.IntField(name, v, 1, math.MaxInt32)
	case "encoding_format":
		var format string
		format, fault = router.StringField(name, v)
		if r.Embed.Base64 = format == "base64"; !r.Embed.Base64 && format != "float" {
			d.extra(name)
		}
	case "user":
		r.EndUser, fault = router.StringField(name, v)
	default:
		d.unknown(name, "", v)
	}
	return fault
}

func (d *decoding) settleEmbedding() *router.FieldError {
	switch {
	case d.req.Model == "":
		return &router.FieldError{Field: "model", Reason: "is required"}
	case !d.conversed:
		return &router.FieldError{Field: "input", Reason: "is required"}
	}
	return nil
}

// input reads a text, a list of texts, the ids of one text's tokens, or a list of such lists.
func (d *decoding) input(v gjson.Result) (fault *router.FieldError) {
	d.conversed = true
	e := d.req.Embed
	first := v.Get("0")
	switch {
	case v.Type == gjson.String:
		e.Texts = []string{v.Str}
		return nil
	case !v.IsArray():
		return &router.FieldError{Field: "input", Reason: "must be a text, a list of texts, or tokens"}
	case !first.Exists():
		return &router.FieldError{Field: "input", Reason: "must not be empty"}
	case first.Type == gjson.Number:
		e.Tokens = true
		return tokens("input", v)
	}
	e.Many, e.Tokens = true, first.IsArray()
	n := 0
	v.ForEach(func(_, text gjson.Result) bool {
		switch {
		case n == maxTexts:
			fault = &router.FieldError{Field: "input", Reason: fmt.Sprintf("has more than %d texts", maxTexts)}
		case e.Tokens:
			fault = tokens(item("input", n), text)
		case text.Type != gjson.String:
			fault = &router.FieldError{Field: item("input", n), Reason: "must be a text, as the first one is"}
		default:
			e.Texts = append(e.Texts, text.Str)
		}
		n++
		return fault == nil
	})
	return fault
}

// tokens checks a list of ids, which only the provider whose they are can read.
func tokens(field string, v gjson.Result) (fault *router.FieldError) {
	if !v.IsArray() {
		return &router.FieldError{Field: field, Reason: "must be a list of tokens, as the first one is"}
	}
	v.ForEach(func(_, id gjson.Result) bool {
		if id.Type != gjson.Number {
			fault = &router.FieldError{Field: field, Reason: "must have whole numbers alone: it is a list of tokens"}
		}
		return fault == nil
	})
	return fault
}

// embedRequest is a request for embeddings as waybill writes one.
type embedRequest struct {
	Model      string `json:"model"`
	Input      any    `json:"input"` // a text, or a list of them
	Dimensions int64  `json:"dimensions,omitzero"`
	Format     string `json:"encoding_format"`
	EndUser    string `json:"user,omitzero"`
}

// encodeEmbed writes a request for embeddings that came in another dialect.
func encodeEmbed(c router.Call) (body []byte, warnings []string, err error) {
	t, err := router.Translate(c)
	if err != nil {
		return nil, nil, err
	}
	e := t.Embed
	switch {
	case e == nil || e.Tokens || len(e.Texts) == 0:
		return nil, nil, t.Cannot("input", "nothing but texts can be embedded")
	case e.Task != "":
		return nil, nil, t.Cannot("taskType", "vectors are of one kind")
	case e.Title != "":
		return nil, nil, t.Cannot("title", "a text has no title")
	}
	out := embedRequest{Model: c.Model.ID, Input: e.Texts, Dimensions: e.Dimensions, Format: "float", EndUser: EndUser(t)}
	if !e.Many && len(e.Texts) == 1 {
		out.Input = e.Texts[0]
	}
	if body, err = json.Marshal(out); err != nil {
		return nil, nil, err
	}
	body = without(t, body)
	return body, t.Warnings, nil
}
