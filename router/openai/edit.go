package openai

import (
	"slices"

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
	w := router.NewObject(len(r.Body) + 128)
	var model, capped, options bool
	root.ForEach(func(key, value gjson.Result) bool {
		switch name := key.Str; {
		case name == "model":
			model = true
			w.String(name, c.Model.ID)
		case name == limit && c.OutputCap > 0:
			capped = true
			w.Int(name, c.OutputCap)
		case name == "max_tokens" || name == "max_completion_tokens" || slices.Contains(drop, name):
		case name == "stream_options" && r.Stream:
			options = true
			w.Raw(name, withUsage(value))
		default:
			w.Member(key.Raw, value.Raw)
		}
		return true
	})
	if !model {
		w.String("model", c.Model.ID)
	}
	if !capped && c.OutputCap > 0 {
		w.Int(limit, c.OutputCap)
	}
	if r.Stream && !options {
		w.Raw("stream_options", `{"include_usage":true}`)
	}
	return w.End(), warnings
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
	w := router.NewObject(len(options.Raw) + 32)
	w.Raw("include_usage", "true")
	options.ForEach(func(key, value gjson.Result) bool {
		if key.Type == gjson.String && key.Str != "include_usage" {
			w.Member(key.Raw, value.Raw)
		}
		return true
	})
	return string(w.End())
}
