package gemini

import (
	"strings"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// embeddings reads an EmbedContentRequest, or a batch of them.
func (d *decoding) embeddings(v gjson.Result) *router.FieldError {
	if !d.req.Embed.Many {
		return d.embedding(v, "")
	}
	given := false
	fault := members(v, "", func(name, field string, v gjson.Result) *router.FieldError {
		if name != "requests" {
			if name != "model" {
				d.extra(field)
			}
			return nil
		}
		given = true
		return each(v, field, func(i int, v gjson.Result) *router.FieldError { return d.embedding(v, item(field, i)+".") })
	})
	switch {
	case fault != nil:
		return fault
	case !given || len(d.req.Embed.Texts) == 0:
		return wrong("requests", "is required")
	}
	return nil
}

// embedding reads one request. What is said of all texts in the canonical form must be the same in each of a batch, else
// only Google can take it.
func (d *decoding) embedding(v gjson.Result, at string) *router.FieldError {
	e := d.req.Embed
	var said router.Embed
	given := false
	fault := members(v, at, func(name, field string, v gjson.Result) (fault *router.FieldError) {
		switch name {
		case "content":
			given = true
			e.Texts = append(e.Texts, "")
			fault = d.embedded(field, v, &e.Texts[len(e.Texts)-1])
		case "taskType":
			said.Task, fault = str(field, v)
		case "title":
			said.Title, fault = str(field, v)
		case "outputDimensionality":
			said.Dimensions, fault = whole(field, v, 1, 1<<20)
		case "model":
			var model string
			if model, fault = str(field, v); fault == nil && strings.TrimPrefix(model, "models/") != strings.TrimPrefix(d.req.Model, "models/") {
				fault = wrong(field, "must be the address's model")
			}
		default:
			d.extra(field)
		}
		return fault
	})
	switch {
	case fault != nil:
		return fault
	case !given:
		return wrong(at+"content", "is required")
	case len(e.Texts) == 1:
		e.Task, e.Title, e.Dimensions = said.Task, said.Title, said.Dimensions
	case e.Task != said.Task:
		d.extra(at + "taskType")
	case e.Title != said.Title:
		d.extra(at + "title")
	case e.Dimensions != said.Dimensions:
		d.extra(at + "outputDimensionality")
	}
	return nil
}

// embedded reads the text that is to be embedded.
func (d *decoding) embedded(at string, v gjson.Result, into *string) *router.FieldError {
	return members(v, at+".", func(name, field string, v gjson.Result) *router.FieldError {
		if name != "parts" {
			return nil
		}
		parts, fault := d.parts(at, v)
		for _, p := range parts {
			if p.Kind != router.KindText {
				d.extra(p.Field)
			}
			*into += p.Text
		}
		return fault
	})
}
