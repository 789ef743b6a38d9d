package gemini

import (
	"encoding/json"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// embedRequest is an embedContent request as waybill writes one.
type embedRequest struct {
	Model      string  `json:"model"`
	Content    content `json:"content"`
	Task       string  `json:"taskType,omitzero"`
	Title      string  `json:"title,omitzero"`
	Dimensions int64   `json:"outputDimensionality,omitzero"`
}

// encodeEmbeddings writes a request for vectors that came in another dialect: one for a single text, a batch for a list.
func encodeEmbeddings(c router.Call) (body []byte, warnings []string, err error) {
	t, err := router.Translate(c)
	if err != nil {
		return nil, nil, err
	}
	e := t.Embed
	switch {
	case e.Tokens:
		return nil, nil, t.Cannot("input", "ids of tokens cannot be embedded, only text")
	case len(e.Texts) == 0:
		return nil, nil, t.Cannot("input", "there is nothing to embed")
	}
	if t.EndUser != "" {
		t.Warn("user", "left out, there is no place for it at "+t.Model.Name)
	}
	requests := make([]embedRequest, 0, len(e.Texts))
	for _, text := range e.Texts {
		requests = append(requests, embedRequest{
			Model: "models/" + c.Model.ID, Content: content{Parts: []part{{Text: &text}}}, Task: e.Task, Title: e.Title, Dimensions: e.Dimensions,
		})
	}
	if !e.Many {
		body, err = json.Marshal(requests[0])
	} else {
		body, err = json.Marshal(map[string]any{"requests": requests})
	}
	return body, t.Warnings, err
}

// editEmbeddings gives the caller's own body with the upstream's model in the places that repeat the address.
func editEmbeddings(c router.Call) []byte {
	e := editing{c: c}
	root := gjson.Parse(router.TextOf(c.Request.Body))
	return e.rewrite(root, func(name string, v gjson.Result) (string, bool) {
		if name != "requests" || !c.Request.Embed.Many {
			return e.model(name, v)
		}
		b := []byte{'['}
		_ = each(v, "", func(i int, v gjson.Result) *router.FieldError {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, e.rewrite(v, e.model)...)
			return nil
		})
		return string(append(b, ']')), true
	})
}
