package openai

import (
	"math"
	"slices"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// decoding is one request being read.
type decoding struct {
	req           *router.Request
	completionCap int64          // max_completion_tokens
	tokensCap     int64          // max_tokens
	custom        bool           // there is a tool that is no function
	conversed     bool           // messages has been read
	answering     bool           // the latest turn holds the results of tools and nothing else
	function      router.Part    // the latest call in the deprecated form, which has no id
	hinted        map[string]int // the place among the hints of members of messages, by name
	explicit      bool           // nothing is cached but up to breakpoints
	lives         [2]int         // how many breakpoints there are of the shorter and of the longer lifetime
}

// field reads one member of the request.
func (d *decoding) field(name string, v gjson.Result) (fault *router.FieldError) {
	switch name {
	case "model":
		d.req.Model, fault = router.ModelField(v)
	case "messages":
		fault = d.messages(v)
	case "stream":
		d.req.Stream, fault = router.BoolField(name, v)
	case "stream_options":
		fault = d.streamOptions(v)
	case "tools":
		fault = d.tools(v)
	case "functions":
		fault = d.functions(v)
	case "tool_choice":
		fault = d.toolChoice(v)
	case "function_call":
		fault = d.functionChoice(v)
	case "parallel_tool_calls":
		var parallel bool
		parallel, fault = router.BoolField(name, v)
		d.req.Serial = !parallel
	case "response_format":
		fault = d.format(v)
	default:
		return d.control(name, v)
	}
	return fault
}

// control reads a member that steers the answer as a whole.
func (d *decoding) control(name string, v gjson.Result) (fault *router.FieldError) {
	r := d.req
	switch name {
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
		r.Stop, fault = stop(v)
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
		d.rename("user", name)
	case "service_tier":
		r.ServiceTier, fault = router.StringField(name, v)
	case "reasoning_effort":
		r.Effort, fault = router.StringField(name, v)
	case "verbosity":
		r.Verbosity, fault = router.StringField(name, v)
	case "prompt_cache_options":
		d.explicit = v.Get("mode").Str == "explicit"
		d.unknown(name, "", v)
	default:
		d.unknown(name, "", v)
	}
	return fault
}

// settle makes one thing of the members that say it together.
func (d *decoding) settle() *router.FieldError {
	r := d.req
	switch {
	case r.Model == "":
		return &router.FieldError{Field: "model", Reason: "is required"}
	case !d.conversed:
		return &router.FieldError{Field: "messages", Reason: "is required"}
	}
	if r.OutputCap = d.completionCap; r.OutputCap == 0 && d.tokensCap > 0 {
		r.OutputCap = d.tokensCap
		d.rename("max_completion_tokens", "max_tokens")
	}
	r.LongWrites = d.explicit && d.lives[0] == 0 && d.lives[1] > 0
	if len(r.Tools) > 0 {
		return nil
	}
	// Without a tool there is nothing to choose from; what forces a choice all the same is for the provider to refuse.
	if !d.custom && (r.ToolChoice.Mode == router.ToolRequired || len(r.ToolChoice.Names) > 0) {
		d.extra(r.Name("tool_choice"))
	}
	r.ToolChoice, r.Serial = router.ToolChoice{}, false
	return nil
}

// rename notes the caller's word for a canonical field.
func (d *decoding) rename(field, word string) {
	if d.req.Names == nil {
		d.req.Names = map[string]string{}
	}
	d.req.Names[field] = word
}

func (d *decoding) streamOptions(v gjson.Result) *router.FieldError {
	const field = "stream_options"
	if !v.IsObject() {
		return &router.FieldError{Field: field, Reason: "must be an object"}
	}
	return router.Members(v, field+".", func(name string, v gjson.Result) (fault *router.FieldError) {
		switch name {
		case "include_usage":
			d.req.IncludeUsage, fault = router.BoolField(field+".include_usage", v)
		case "include_obfuscation": // false takes the padding off, which other answers do not have
			if v.Type != gjson.False {
				d.hint(field+".", name, "pads OpenAI's events against guesses from their lengths")
			}
		default:
			d.unknown(name, field+".", v)
		}
		return fault
	})
}

func stop(v gjson.Result) (list []string, fault *router.FieldError) {
	if v.Type == gjson.String {
		return []string{v.Str}, nil
	}
	if !v.IsArray() {
		return nil, &router.FieldError{Field: "stop", Reason: "must be a string or a list of strings"}
	}
	v.ForEach(func(_, s gjson.Result) bool {
		if s.Type != gjson.String {
			fault = &router.FieldError{Field: item("stop", len(list)), Reason: "must be a string"}
		}
		list = append(list, s.Str)
		return fault == nil
	})
	return slices.Clip(list), fault
}

// objects reads a list of objects; read gets each with its place.
func objects(field string, v gjson.Result, read func(at string, v gjson.Result) *router.FieldError) (fault *router.FieldError) {
	if !v.IsArray() {
		return &router.FieldError{Field: field, Reason: "must be a list"}
	}
	i := 0
	v.ForEach(func(_, o gjson.Result) bool {
		at := item(field, i)
		if i++; !o.IsObject() {
			fault = &router.FieldError{Field: at, Reason: "must be an object"}
		} else {
			fault = read(at, o)
		}
		return fault == nil
	})
	return fault
}
