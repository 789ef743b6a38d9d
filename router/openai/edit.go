package openai

import (
	"slices"
	"strconv"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
)

// edit gives the caller's own body with the members changed that a leg must change:
//
//   - model names the upstream's model;
//   - the output cap is the one that the hold was sized for, in the member that the caller used, except that
//     the deprecated max_tokens becomes max_completion_tokens for the models that refuse it;
//   - stream_options.include_usage is true in a stream, since what is not reported must be estimated;
//   - sampling values and an effort that the model refuses are left out, with a warning.
//
// Every other member keeps its bytes and its place.
func edit(c router.Call) (body []byte, warnings []string) {
	r := c.Request
	drop := refused(c)
	for _, field := range drop {
		warnings = append(warnings, field+": left out, "+c.Model.Name+" refuses it")
	}
	root := gjson.Parse(router.TextOf(r.Body))
	limit := "max_completion_tokens"
	if c.Model.Has(ledger.FeatureMaxTokens) && has(root, "max_tokens") && !has(root, limit) {
		limit = "max_tokens"
	}
	w := newObject(len(r.Body) + 128)
	var model, capped, options bool
	root.ForEach(func(key, value gjson.Result) bool {
		switch name := key.Str; {
		case name == "model":
			model = true
			w.string(name, c.Model.ID)
		case name == limit && c.OutputCap > 0:
			capped = true
			w.int(name, c.OutputCap)
		case name == "max_tokens" || name == "max_completion_tokens" || slices.Contains(drop, name):
		case name == "stream_options" && r.Stream:
			options = true
			w.raw(name, withUsage(value))
		default:
			w.member(key.Raw, value.Raw)
		}
		return true
	})
	if !model {
		w.string("model", c.Model.ID)
	}
	if !capped && c.OutputCap > 0 {
		w.int(limit, c.OutputCap)
	}
	if r.Stream && !options {
		w.raw("stream_options", `{"include_usage":true}`)
	}
	return w.end(), warnings
}

// refused names the members that the model would answer with an error. The families that choose their own
// sampling take the caller's where they are told not to reason.
func refused(c router.Call) []string {
	fields := router.RefusedBy(c.Model, c.Request)
	if c.Request.Effort == "none" {
		return slices.DeleteFunc(fields, func(f string) bool { return f == "temperature" || f == "top_p" })
	}
	return fields
}

// withUsage sets include_usage among the caller's stream options.
func withUsage(options gjson.Result) string {
	w := newObject(len(options.Raw) + 32)
	w.raw("include_usage", "true")
	options.ForEach(func(key, value gjson.Result) bool {
		if key.Type == gjson.String && key.Str != "include_usage" {
			w.member(key.Raw, value.Raw)
		}
		return true
	})
	return string(w.end())
}

// object writes one JSON object, member by member.
type object struct{ b []byte }

func newObject(size int) *object { return &object{append(make([]byte, 0, size), '{')} }

func (o *object) member(key, value string) {
	if len(o.b) > 1 {
		o.b = append(o.b, ',')
	}
	o.b = append(append(append(o.b, key...), ':'), value...)
}

func (o *object) raw(name, value string) { o.member(`"`+name+`"`, value) }

func (o *object) string(name, value string) { o.raw(name, quote(value)) }

func (o *object) int(name string, n int64) { o.raw(name, strconv.FormatInt(n, 10)) }

func (o *object) end() []byte { return append(o.b, '}') }

func quote(s string) string { return string(gjson.AppendJSONString(nil, s)) }
