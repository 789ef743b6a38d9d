package anthropic

import (
	"fmt"
	"math"
	"slices"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
)

// decoding is one request being read.
type decoding struct {
	req       *router.Request
	capped    bool          // max_tokens has been read
	conversed bool          // messages has
	off       bool          // thinking is not wanted
	leading   []router.Part // system text at the head of the conversation, which comes after that beside it
}

// field reads one member of the request.
func (d *decoding) field(name string, v gjson.Result) (fault *router.FieldError) {
	r := d.req
	switch name {
	case "model":
		r.Model, fault = router.ModelField(v)
	case "max_tokens":
		d.capped = true
		r.OutputCap, fault = router.IntField(name, v, 0, math.MaxInt64)
	case "system":
		r.System, fault = d.texts(v, name)
	case "messages":
		fault = d.messages(v)
	case "stream":
		r.Stream, fault = router.BoolField(name, v)
	case "temperature":
		r.Temperature, fault = router.NumberField(name, v, 0, 1)
	case "top_p":
		r.TopP, fault = router.NumberField(name, v, 0, 1)
	case "top_k":
		r.TopK, fault = router.Optional(router.IntField(name, v, 0, math.MaxInt32))
	case "stop_sequences":
		fault = d.stop(v)
	case "metadata":
		fault = d.object(name, v, d.metadata)
	case "service_tier":
		var tier string
		if tier, fault = router.StringField(name, v); r.ServiceTier == "" {
			r.ServiceTier = tier
		}
	case "speed":
		fault = d.speed(v)
	case "thinking":
		fault = d.thinking(v)
	case "output_config":
		fault = d.object(name, v, d.output)
	case "tools":
		fault = d.tools(v)
	case "tool_choice":
		fault = d.choice(v)
	case "cache_control":
		d.cached(name)
	default:
		d.unknown(name, v)
	}
	return fault
}

// end checks the whole, and brings what several fields say together.
func (d *decoding) end() (*router.Request, error) {
	r := d.req
	switch {
	case r.Model == "":
		return nil, &router.FieldError{Field: "model", Reason: "is required"}
	case !d.conversed:
		return nil, &router.FieldError{Field: "messages", Reason: "is required"}
	case !d.capped && r.Endpoint == router.EndpointChat:
		return nil, &router.FieldError{Field: "max_tokens", Reason: "is required"}
	}
	r.System = append(r.System, d.leading...)
	if d.capped && r.OutputCap == 0 { // it only warms the provider's cache
		r.Extra = append(r.Extra, "max_tokens")
	}
	if d.off {
		if r.Effort != "" {
			d.hint("output_config.effort", "without thinking it has no counterpart")
		}
		r.Effort = "none"
	}
	if r.Effort == "" || d.off {
		r.Names = namesOfThinking
	}
	return r, nil
}

// object reads the members of an object that may be null.
func (d *decoding) object(name string, v gjson.Result, read func(string, gjson.Result) *router.FieldError) *router.FieldError {
	if !v.IsObject() {
		return &router.FieldError{Field: name, Reason: "must be an object"}
	}
	return router.Members(v, name+".", read)
}

func (d *decoding) metadata(name string, v gjson.Result) (fault *router.FieldError) {
	if name == "user_id" {
		d.req.EndUser, fault = router.StringField("metadata.user_id", v)
		return fault
	}
	d.extra("metadata." + name)
	return nil
}

// speed fast is priced as a service tier is, and no other dialect knows it.
func (d *decoding) speed(v gjson.Result) *router.FieldError {
	speed, fault := router.StringField("speed", v)
	if fault == nil && speed != "standard" {
		d.req.ServiceTier = speed
		d.extra("speed")
	}
	return fault
}

// output reads a member of output_config.
func (d *decoding) output(name string, v gjson.Result) (fault *router.FieldError) {
	switch name {
	case "effort":
		d.req.Effort, fault = router.StringField("output_config.effort", v)
		return fault
	case "format":
		return d.format(v)
	}
	d.extra("output_config." + name)
	return nil
}

func (d *decoding) format(v gjson.Result) *router.FieldError {
	const here = "output_config.format"
	if !v.IsObject() {
		return &router.FieldError{Field: here, Reason: "must be an object"}
	}
	kind, schema := v.Get("type"), v.Get("schema")
	switch {
	case kind.Type != gjson.String:
		return &router.FieldError{Field: here + ".type", Reason: "must be a string"}
	case kind.Str != "json_schema":
		d.extra(here)
		return nil
	case !schema.IsObject():
		return &router.FieldError{Field: here + ".schema", Reason: "must be an object"}
	}
	d.req.Format = router.Format{Kind: router.FormatSchema, Schema: raw(schema)}
	return d.others(v, here, "type", "schema")
}

// others notes the members of an object that are none of those that have been read.
func (d *decoding) others(object gjson.Result, here string, read ...string) *router.FieldError {
	return router.Members(object, here+".", func(name string, _ gjson.Result) *router.FieldError {
		if !slices.Contains(read, name) {
			d.extra(here + "." + name)
		}
		return nil
	})
}

// thinking reads how the model is to reason. What it thinks is shown unless the caller says that it is not to be.
func (d *decoding) thinking(v gjson.Result) *router.FieldError {
	if !v.IsObject() {
		return &router.FieldError{Field: "thinking", Reason: "must be an object"}
	}
	kind, budget := v.Get("type"), v.Get("budget_tokens")
	if kind.Type != gjson.String {
		return &router.FieldError{Field: "thinking.type", Reason: "must be a string"}
	}
	d.req.Thoughts = v.Get("display").Str != "omitted"
	switch kind.Str {
	case "adaptive":
	case "enabled":
		// Its least value and its being below max_tokens are left to the model that answers to check.
		n, fault := router.IntField("thinking.budget_tokens", budget, 1, math.MaxInt64)
		if fault != nil {
			return fault
		}
		d.req.Budget = &n
	case "disabled":
		d.off, d.req.Thoughts = true, false
	case "between_tools":
		d.off = true
		d.hint("thinking.type", "thinking between tool calls alone has no counterpart, and is taken as none")
	default:
		d.extra("thinking")
	}
	return router.Members(v, "thinking.", func(name string, _ gjson.Result) *router.FieldError {
		switch name {
		case "type", "budget_tokens", "display":
		case "block_binding":
			d.hint("thinking.block_binding", "says what becomes of sealed thinking, which only Anthropic reads")
		default:
			d.extra("thinking." + name)
		}
		return nil
	})
}

func (d *decoding) stop(v gjson.Result) (fault *router.FieldError) {
	if !v.IsArray() {
		return &router.FieldError{Field: "stop_sequences", Reason: "must be a list of strings"}
	}
	v.ForEach(func(_, s gjson.Result) bool {
		if s.Type != gjson.String {
			fault = &router.FieldError{Field: fmt.Sprintf("stop_sequences[%d]", len(d.req.Stop)), Reason: "must be a string"}
		}
		d.req.Stop = append(d.req.Stop, s.Str)
		return fault == nil
	})
	return fault
}

// neutral are the fields of which some values ask for nothing that an answer without them does not have.
var neutral = map[string]bool{"mcp_servers": true, "container": true, "context_management": true, "inference_geo": true, "diagnostics": true}

// unknown sorts a field without a canonical form.
func (d *decoding) unknown(name string, v gjson.Result) {
	if !neutral[name] || !empty(v) {
		d.extra(name)
	}
}

func (d *decoding) extra(field string) { d.req.Extra = append(d.req.Extra, field) }

// hint notes a harmless loss: the first place of each kind, for a conversation may have hundreds.
func (d *decoding) hint(field, reason string) {
	for _, h := range d.req.Hints {
		if h.Reason == reason {
			return
		}
	}
	d.req.Hints = append(d.req.Hints, router.FieldError{Field: field, Reason: reason})
}

func (d *decoding) cached(field string) {
	d.hint(field, "steers the provider's prompt cache, never the answer")
}

// own tells whether a leg speaks this dialect and the caller's bytes are there.
func own(c router.Call) bool { return c.Own(ledger.DialectAnthropicMessages) }
