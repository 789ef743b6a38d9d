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
// For a provider that departs from the dialect, by its quirks:
//
//   - the cap is called max_tokens;
//   - stream_options are left out;
//   - the role developer becomes system;
//   - a JSON schema becomes a wish for JSON, and the schema an instruction before the conversation, with a warning;
//   - what it refuses is left out, with a warning.
//
// Every other member keeps its bytes and its place.
func edit(c router.Call) (body []byte, warnings []string) {
	e := editing{call: c, drop: refused(c)}
	for _, field := range e.drop {
		e.warnings = append(e.warnings, field+": left out, "+c.Model.Name+" refuses it")
	}
	r := c.Request
	root := gjson.Parse(router.TextOf(r.Body))
	e.schema = c.Quirks.NoSchema && r.Format.Kind == router.FormatSchema
	e.limit = "max_completion_tokens"
	if c.Quirks.MaxTokens || c.Model.Has(ledger.FeatureMaxTokens) && router.Given(root, "max_tokens") && !router.Given(root, e.limit) {
		e.limit = "max_tokens"
	}
	e.out = router.NewObject(len(r.Body) + 128)
	root.ForEach(func(key, value gjson.Result) bool {
		e.member(key, value)
		return true
	})
	if !e.named {
		e.out.String("model", c.Model.ID)
	}
	if !e.capped && c.OutputCap > 0 {
		e.out.Int(e.limit, c.OutputCap)
	}
	if r.Stream && !e.optioned && !c.Quirks.NoStreamOptions {
		e.out.Raw("stream_options", `{"include_usage":true}`)
	}
	return e.out.End(), e.warnings
}

// editing is a body being edited.
type editing struct {
	call     router.Call
	drop     []string // members that the model refuses
	limit    string   // the member that caps the output
	schema   bool     // the provider takes no schema, and the caller has one
	out      *router.Object
	warnings []string

	named, capped, optioned bool // model, the cap, stream_options have been written
}

func (e *editing) member(key, value gjson.Result) {
	c := e.call
	switch name := key.Str; {
	case name == "model":
		e.named = true
		e.out.String(name, c.Model.ID)
	case name == "max_tokens" || name == "max_completion_tokens":
		// What the caller used keeps its place, under the name that the upstream takes.
		if !e.capped && c.OutputCap > 0 && (name == e.limit || c.Quirks.MaxTokens) {
			e.capped = true
			e.out.Int(e.limit, c.OutputCap)
		}
	case slices.Contains(e.drop, name):
	case slices.Contains(c.Quirks.Drop, name):
		if value.Type != gjson.Null {
			e.warnings = append(e.warnings, name+": left out, "+c.Model.Provider+" refuses it")
		}
	case name == "stream_options" && c.Quirks.NoStreamOptions:
	case name == "stream_options" && c.Request.Stream:
		e.optioned = true
		e.out.Raw(name, withUsage(value))
	case name == "response_format" && e.schema:
		e.warnings = append(e.warnings, name+": "+schemaless(c))
		e.out.Raw(name, jsonObject)
	case name == "messages" && (e.schema || c.Quirks.NoDeveloper):
		e.out.Raw(name, e.conversation(value))
	default:
		e.out.Member(key.Raw, value.Raw)
	}
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

// conversation rewrites the messages for a provider that knows no developer, or no schema.
func (e *editing) conversation(messages gjson.Result) string {
	b := append(make([]byte, 0, len(messages.Raw)+256), '[')
	if e.schema {
		w := router.NewObject(256)
		w.String("role", "system")
		w.String("content", schemaInstruction(e.call.Request.Format))
		b = append(b, w.End()...)
	}
	messages.ForEach(func(_, m gjson.Result) bool {
		if len(b) > 1 {
			b = append(b, ',')
		}
		if !e.call.Quirks.NoDeveloper || m.Get("role").Str != "developer" {
			b = append(b, m.Raw...)
			return true
		}
		w := router.NewObject(len(m.Raw))
		m.ForEach(func(key, value gjson.Result) bool {
			if key.Str == "role" {
				value.Raw = `"system"`
			}
			w.Member(key.Raw, value.Raw)
			return true
		})
		b = append(b, w.End()...)
		return true
	})
	return string(append(b, ']'))
}

const jsonObject = `{"type":"json_object"}`

// schemaless is the warning to a caller whose schema the provider does not take.
func schemaless(c router.Call) string {
	return "sent as json_object with the schema as an instruction, since " + c.Model.Provider + " takes no schema: the answer may depart from it"
}

// schemaInstruction asks for what a schema would have forced. Providers that know json_object alone want the word JSON
// in the conversation anyway.
func schemaInstruction(f router.Format) string {
	const wish = "Answer with one JSON value and nothing else."
	if len(f.Schema) == 0 {
		return wish
	}
	return wish + " It must satisfy this JSON Schema: " + string(f.Schema)
}

// editEmbed gives the caller's own body of a request for embeddings under the upstream's name of the model, without what
// the provider refuses.
func editEmbed(c router.Call) (body []byte, warnings []string) {
	e := editing{call: c, out: router.NewObject(len(c.Request.Body) + 64)}
	gjson.Parse(router.TextOf(c.Request.Body)).ForEach(func(key, value gjson.Result) bool {
		if key.Str == "model" || slices.Contains(c.Quirks.Drop, key.Str) {
			e.member(key, value)
		} else {
			e.out.Member(key.Raw, value.Raw)
		}
		return true
	})
	return e.out.End(), e.warnings
}
