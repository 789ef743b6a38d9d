package openai

import (
	"fmt"
	"math"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// maxModel bounds a model's name, in bytes.
const maxModel = 256

// decoding is one request being read.
type decoding struct {
	req           *router.Request
	completionCap int64 // max_completion_tokens
	tokensCap     int64 // max_tokens
	conversed     bool  // messages has been read
}

// field reads one member of the request.
func (d *decoding) field(name string, v gjson.Result) (fault *router.FieldError) {
	r := d.req
	switch name {
	case "model":
		r.Model, fault = router.StringField(name, v)
		if len(r.Model) > maxModel {
			fault = &router.FieldError{Field: name, Reason: fmt.Sprintf("is longer than %d bytes", maxModel)}
		}
	case "messages":
		fault = d.messages(v)
	case "stream":
		r.Stream, fault = router.BoolField(name, v)
	case "stream_options":
		fault = d.streamOptions(v)
	case "max_completion_tokens":
		d.completionCap, fault = router.IntField(name, v, 1, math.MaxInt64)
	case "max_tokens":
		d.tokensCap, fault = router.IntField(name, v, 1, math.MaxInt64)
	case "temperature":
		r.Temperature, fault = router.NumberField(name, v, 0, 2)
	case "top_p":
		r.TopP, fault = router.NumberField(name, v, 0, 1)
	case "top_k": // not OpenAI's, but what its clients send to other providers
		r.TopK, fault = router.Optional(router.IntField(name, v, 0, math.MaxInt32))
	case "frequency_penalty":
		r.Frequency, fault = router.NumberField(name, v, -2, 2)
	case "presence_penalty":
		r.Presence, fault = router.NumberField(name, v, -2, 2)
	case "stop":
		fault = d.stop(v)
	case "seed":
		r.Seed, fault = router.Optional(router.IntField(name, v, math.MinInt64, math.MaxInt64))
	case "n":
		r.N, fault = router.IntField(name, v, 1, router.MaxAnswers)
	case "user": // what safety_identifier replaces
		var user string
		if user, fault = router.StringField(name, v); r.EndUser == "" {
			r.EndUser = user
		}
	case "safety_identifier":
		r.EndUser, fault = router.StringField(name, v)
	case "service_tier":
		r.ServiceTier, fault = router.StringField(name, v)
	case "reasoning_effort":
		r.Effort, fault = router.StringField(name, v)
	default:
		d.unknown(name, v)
	}
	return fault
}

func (d *decoding) streamOptions(v gjson.Result) *router.FieldError {
	if !v.IsObject() {
		return &router.FieldError{Field: "stream_options", Reason: "must be an object"}
	}
	return router.Members(v, "stream_options.", func(name string, v gjson.Result) (fault *router.FieldError) {
		if name == "include_usage" {
			d.req.IncludeUsage, fault = router.BoolField("stream_options.include_usage", v)
		}
		return fault
	})
}

func (d *decoding) stop(v gjson.Result) (fault *router.FieldError) {
	if v.Type == gjson.String {
		d.req.Stop = []string{v.Str}
		return nil
	}
	if !v.IsArray() {
		return &router.FieldError{Field: "stop", Reason: "must be a string or a list of strings"}
	}
	v.ForEach(func(_, s gjson.Result) bool {
		if s.Type != gjson.String {
			fault = &router.FieldError{Field: fmt.Sprintf("stop[%d]", len(d.req.Stop)), Reason: "must be a string"}
		}
		d.req.Stop = append(d.req.Stop, s.Str)
		return fault == nil
	})
	return fault
}
