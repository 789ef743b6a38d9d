package responses

import (
	"fmt"
	"math"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// decoding is one request being read.
type decoding struct {
	req          *router.Request
	instructions []router.Part  // go before the system text of the input, wherever they stand in the body
	conversed    bool           // input has been read
	hinted       map[string]int // where in Hints stands what has many places
}

// kept is why what a provider would have stored is refused.
const kept = "refers to what the provider has stored, and waybill keeps no conversations: send the whole input with every call, store nothing, " +
	"and bring back the output items of the earlier answers as they came"

// field reads one member of the request.
func (d *decoding) field(name string, v gjson.Result) (fault *router.FieldError) {
	r := d.req
	switch name {
	case "model":
		r.Model, fault = router.ModelField(v)
	case "input":
		fault = d.input(v)
	case "instructions":
		var text string
		if text, fault = router.StringField(name, v); text != "" {
			d.instructions = []router.Part{router.Text(text)}
		}
	case "tools":
		fault = d.tools(v)
	case "tool_choice":
		fault = d.toolChoice(v)
	case "parallel_tool_calls":
		var parallel bool
		parallel, fault = router.BoolField(name, v)
		r.Serial = !parallel
	case "text":
		fault = d.text(v)
	case "reasoning":
		fault = d.reasoning(v)
	case "include":
		fault = d.include(v)
	case "stream":
		r.Stream, fault = router.BoolField(name, v)
	case "stream_options":
		fault = d.streamOptions(v)
	case "max_output_tokens":
		r.OutputCap, fault = router.IntField(name, v, 1, math.MaxInt64)
	case "temperature":
		r.Temperature, fault = router.NumberField(name, v, 0, 2)
	case "top_p":
		r.TopP, fault = router.NumberField(name, v, 0, 1)
	case "user": // what safety_identifier replaces
		var user string
		if user, fault = router.StringField(name, v); r.EndUser == "" {
			r.EndUser = user
		}
	case "safety_identifier":
		r.EndUser, fault = router.StringField(name, v)
	case "service_tier":
		r.ServiceTier, fault = router.StringField(name, v)
	default:
		fault = d.stored(name, v)
	}
	return fault
}

// stored reads the fields by which a caller would have the provider keep something.
func (d *decoding) stored(name string, v gjson.Result) *router.FieldError {
	switch name {
	case "previous_response_id", "conversation":
		return &router.FieldError{Field: name, Reason: kept}
	case "prompt":
		return &router.FieldError{Field: name, Reason: "refers to a template that the provider has stored, so what it costs cannot be known beforehand: send its text as instructions and input"}
	case "store", "background":
		on, fault := router.BoolField(name, v)
		switch {
		case fault != nil:
			return fault
		case on && name == "store":
			return &router.FieldError{Field: name, Reason: "must be false or left out: waybill keeps no conversations and has none stored; send the whole input with every call"}
		case on:
			return &router.FieldError{Field: name, Reason: "must be false or left out: waybill keeps no answer to be fetched later; use stream to see a long one as it comes"}
		}
		return nil
	}
	d.unknown(name, v)
	return nil
}

func (d *decoding) reasoning(v gjson.Result) *router.FieldError {
	if !v.IsObject() {
		return &router.FieldError{Field: "reasoning", Reason: "must be an object"}
	}
	return router.Members(v, "reasoning.", func(name string, v gjson.Result) (fault *router.FieldError) {
		field := "reasoning." + name
		switch name {
		case "effort":
			d.req.Effort, fault = router.StringField(field, v)
		case "summary", "generate_summary": // the latter is the former's old name
			_, fault = router.StringField(field, v)
			d.req.Thoughts = fault == nil
		default:
			d.unknown(field, v)
		}
		return fault
	})
}

func (d *decoding) text(v gjson.Result) *router.FieldError {
	if !v.IsObject() {
		return &router.FieldError{Field: "text", Reason: "must be an object"}
	}
	return router.Members(v, "text.", func(name string, v gjson.Result) (fault *router.FieldError) {
		switch name {
		case "format":
			fault = d.format(v)
		case "verbosity":
			d.req.Verbosity, fault = router.StringField("text.verbosity", v)
		default:
			d.unknown("text."+name, v)
		}
		return fault
	})
}

func (d *decoding) format(v gjson.Result) *router.FieldError {
	const at = "text.format"
	if !v.IsObject() {
		return &router.FieldError{Field: at, Reason: "must be an object"}
	}
	f := &d.req.Format
	var kind string
	fault := router.Members(v, at+".", func(name string, v gjson.Result) (fault *router.FieldError) {
		field := at + "." + name
		switch name {
		case "type":
			kind, fault = router.StringField(field, v)
		case "name":
			f.Name, fault = router.StringField(field, v)
		case "description":
			f.Description, fault = router.StringField(field, v)
		case "schema":
			f.Schema, fault = object(field, v)
		case "strict":
			f.Strict, fault = optionalBool(field, v)
		default:
			d.unknown(field, v)
		}
		return fault
	})
	switch {
	case fault != nil:
		return fault
	case kind == "json_schema" && f.Schema == nil:
		return &router.FieldError{Field: at + ".schema", Reason: "is required"}
	case kind == "json_schema":
		f.Kind = router.FormatSchema
	case kind == "json_object":
		f.Kind = router.FormatJSON
	case kind == "":
		return &router.FieldError{Field: at + ".type", Reason: "is required"}
	case kind != "text":
		d.extra(at)
	}
	return nil
}

// include asks for more of an answer. Sealed reasoning is asked for always, so that the caller's word for it says
// nothing new.
func (d *decoding) include(v gjson.Result) *router.FieldError {
	return each("include", v, func(field string, v gjson.Result) *router.FieldError {
		what, fault := router.StringField(field, v)
		if fault == nil && what != sealedReasoning {
			d.extra(field)
		}
		return fault
	})
}

func (d *decoding) streamOptions(v gjson.Result) *router.FieldError {
	if !v.IsObject() {
		return &router.FieldError{Field: "stream_options", Reason: "must be an object"}
	}
	return router.Members(v, "stream_options.", func(name string, v gjson.Result) *router.FieldError {
		d.unknown("stream_options."+name, v)
		return nil
	})
}

// each reads a list, entry by entry.
func each(name string, v gjson.Result, read func(field string, v gjson.Result) *router.FieldError) (fault *router.FieldError) {
	if !v.IsArray() {
		return &router.FieldError{Field: name, Reason: "must be a list"}
	}
	i := 0
	v.ForEach(func(_, entry gjson.Result) bool {
		fault = read(fmt.Sprintf("%s[%d]", name, i), entry)
		i++
		return fault == nil
	})
	return fault
}
