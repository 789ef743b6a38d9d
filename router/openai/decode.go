package openai

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// Bounds of a request.
const (
	maxMembers = 256 // of one object, so that looking for members named twice stays cheap
	maxName    = 128 // bytes of a member's name
	maxModel   = 256 // bytes of a model's name
)

// decoding is one request being read.
type decoding struct {
	req           *router.Request
	completionCap int64 // max_completion_tokens
	tokensCap     int64 // max_tokens
	conversed     bool  // messages has been read
}

// members reads an object member by member. A member named twice is refused: our reader takes one of the two
// and the upstream's may take the other, and then the cap that was paid for would not be the cap that counts.
func (d *decoding) members(object gjson.Result, at string, read func(name string, v gjson.Result) *router.FieldError) (fault *router.FieldError) {
	seen := make([]string, 0, 32)
	object.ForEach(func(key, value gjson.Result) bool {
		switch {
		case key.Str == "":
			fault = &router.FieldError{Field: at + `""`, Reason: "is not the name of a field"}
		case len(key.Str) > maxName:
			name := strings.ToValidUTF8(key.Str[:maxName], "")
			fault = &router.FieldError{Field: at + name, Reason: fmt.Sprintf("goes on beyond %d bytes", maxName)}
		case slices.Contains(seen, key.Str):
			fault = &router.FieldError{Field: at + key.Str, Reason: "is given twice"}
		case len(seen) == maxMembers:
			fault = &router.FieldError{Field: at + key.Str, Reason: fmt.Sprintf("is one of more than %d fields", maxMembers)}
		case value.Type != gjson.Null: // null is how some clients leave a field out
			fault = read(key.Str, value)
		}
		seen = append(seen, key.Str)
		return fault == nil
	})
	return fault
}

// field reads one member of the request.
func (d *decoding) field(name string, v gjson.Result) (fault *router.FieldError) {
	r := d.req
	switch name {
	case "model":
		r.Model, fault = text(name, v)
		if len(r.Model) > maxModel {
			fault = &router.FieldError{Field: name, Reason: fmt.Sprintf("is longer than %d bytes", maxModel)}
		}
	case "messages":
		fault = d.messages(v)
	case "stream":
		r.Stream, fault = boolean(name, v)
	case "stream_options":
		fault = d.streamOptions(v)
	case "max_completion_tokens":
		d.completionCap, fault = whole(name, v, 1, math.MaxInt64)
	case "max_tokens":
		d.tokensCap, fault = whole(name, v, 1, math.MaxInt64)
	case "temperature":
		r.Temperature, fault = number(name, v, 0, 2)
	case "top_p":
		r.TopP, fault = number(name, v, 0, 1)
	case "top_k": // not OpenAI's, but what its clients send to other providers
		r.TopK, fault = optional(whole(name, v, 0, math.MaxInt32))
	case "frequency_penalty":
		r.Frequency, fault = number(name, v, -2, 2)
	case "presence_penalty":
		r.Presence, fault = number(name, v, -2, 2)
	case "stop":
		fault = d.stop(v)
	case "seed":
		r.Seed, fault = optional(whole(name, v, math.MinInt64, math.MaxInt64))
	case "n":
		r.N, fault = whole(name, v, 1, router.MaxAnswers)
	case "user": // what safety_identifier replaces
		var user string
		if user, fault = text(name, v); r.EndUser == "" {
			r.EndUser = user
		}
	case "safety_identifier":
		r.EndUser, fault = text(name, v)
	case "service_tier":
		r.ServiceTier, fault = text(name, v)
	case "reasoning_effort":
		r.Effort, fault = text(name, v)
	default:
		d.unknown(name, v)
	}
	return fault
}

func (d *decoding) streamOptions(v gjson.Result) *router.FieldError {
	if !v.IsObject() {
		return &router.FieldError{Field: "stream_options", Reason: "must be an object"}
	}
	return d.members(v, "stream_options.", func(name string, v gjson.Result) (fault *router.FieldError) {
		if name == "include_usage" {
			d.req.IncludeUsage, fault = boolean("stream_options.include_usage", v)
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

func text(name string, v gjson.Result) (string, *router.FieldError) {
	if v.Type != gjson.String {
		return "", &router.FieldError{Field: name, Reason: "must be a string"}
	}
	return v.Str, nil
}

func boolean(name string, v gjson.Result) (bool, *router.FieldError) {
	if !v.IsBool() {
		return false, &router.FieldError{Field: name, Reason: "must be true or false"}
	}
	return v.Bool(), nil
}

func number(name string, v gjson.Result, low, high float64) (*float64, *router.FieldError) {
	if v.Type != gjson.Number {
		return nil, &router.FieldError{Field: name, Reason: "must be a number"}
	}
	if v.Num < low || v.Num > high {
		return nil, &router.FieldError{Field: name, Reason: fmt.Sprintf("must be between %g and %g", low, high)}
	}
	return &v.Num, nil
}

func whole(name string, v gjson.Result, low, high int64) (int64, *router.FieldError) {
	if v.Type != gjson.Number {
		return 0, &router.FieldError{Field: name, Reason: "must be a whole number"}
	}
	n, err := strconv.ParseInt(v.Raw, 10, 64)
	switch {
	case err != nil:
		return 0, &router.FieldError{Field: name, Reason: "must be a whole number within 64 bits"}
	case n < low:
		return 0, &router.FieldError{Field: name, Reason: fmt.Sprintf("must be at least %d", low)}
	case n > high:
		return 0, &router.FieldError{Field: name, Reason: fmt.Sprintf("must be at most %d", high)}
	}
	return n, nil
}

func optional(n int64, fault *router.FieldError) (*int64, *router.FieldError) { return &n, fault }
