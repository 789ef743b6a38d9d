package responses

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
	"waybill/router/openai"
)

// tiers are the other dialects' words for OpenAI's service tiers.
var tiers = map[string]string{
	"": "", "auto": "auto", "default": "default", "flex": "flex", "scale": "scale", "priority": "priority", "fast": "fast",
	"ultrafast": "ultrafast", "standard": "default", "standard_only": "default",
}

// encoding is a request that came in another dialect on its way to an upstream of this one.
type encoding struct {
	*router.Translated
	w        *router.Object
	ids      map[string]bool // of calls that are written as the provider said them
	warnedOf map[string]bool
}

// encode writes a request that came in another dialect.
func encode(c router.Call) (body []byte, warnings []string, err error) {
	c, kin := kinship(c)
	t, err := router.Translate(c)
	if err != nil {
		return nil, nil, err
	}
	e := &encoding{Translated: t, w: router.NewObject(len(c.Request.Body) + 512)}
	if err = e.placeless(); err != nil {
		return nil, nil, err
	}
	e.w.String("model", c.Model.ID)
	if err = e.conversation(); err != nil {
		return nil, nil, err
	}
	if err = e.tools(); err != nil {
		return nil, nil, err
	}
	e.reasoning()
	e.text()
	if t.Endpoint != router.EndpointCount {
		if err = e.controls(); err != nil {
			return nil, nil, err
		}
		for _, name := range related {
			if value := kin[name]; value != "" {
				e.w.Raw(name, value)
			}
		}
	}
	return e.dropped(e.w.End()), e.Warnings, nil
}

// dropped leaves out the fields that the provider refuses.
func (e *encoding) dropped(body []byte) []byte {
	drop := e.Call.Quirks.Drop
	if len(drop) == 0 {
		return body
	}
	w := router.NewObject(len(body))
	gjson.Parse(router.TextOf(body)).ForEach(func(key, v gjson.Result) bool {
		switch name := key.Str; {
		case !slices.Contains(drop, name):
			w.Member(key.Raw, v.Raw)
		case name != "store" && name != "include": // which are ours
			e.Warn(cmp.Or(words[name], name), "left out, "+e.Model.Provider+" refuses it")
		}
		return true
	})
	return w.End()
}

// words are the canonical ones for the fields that have another name here.
var words = map[string]string{
	"instructions": "messages", "input": "messages", "reasoning": "reasoning_effort", "text": "response_format",
	"max_output_tokens": "max_completion_tokens", "safety_identifier": "user",
}

// placeless refuses what Responses has no place for. Values that ask for what happens anyway are nothing to refuse.
func (e *encoding) placeless() error {
	const none = "it has no counterpart in OpenAI's Responses"
	for _, f := range []struct {
		name  string
		given bool
	}{
		{"n", e.N > 1},
		{"stop", len(e.Stop) > 0},
		{"seed", e.Seed != nil},
		{"top_k", e.TopK != nil},
		{"frequency_penalty", e.Frequency != nil && *e.Frequency != 0},
		{"presence_penalty", e.Presence != nil && *e.Presence != 0},
	} {
		if f.given {
			return e.Cannot(f.name, none)
		}
	}
	return nil
}

// minOutput is the least output cap that OpenAI takes here, in tokens.
const minOutput = 16

// controls writes what steers the answer, in the order of OpenAI's description.
func (e *encoding) controls() error {
	tier, ok := tiers[e.ServiceTier]
	if !ok {
		return e.Cannot("service_tier", "it has no counterpart")
	}
	if limit := e.Call.OutputCap; limit > 0 && limit < minOutput {
		return e.Cannot("max_completion_tokens", "at least 16 tokens of output are to be allowed")
	}
	if e.Call.OutputCap > 0 {
		e.w.Int("max_output_tokens", e.Call.OutputCap)
	}
	if e.Temperature != nil {
		e.w.Raw("temperature", float(*e.Temperature))
	}
	if e.TopP != nil {
		e.w.Raw("top_p", float(*e.TopP))
	}
	if tier != "" {
		e.w.String("service_tier", tier)
	}
	if e.EndUser != "" {
		e.w.String("safety_identifier", openai.EndUser(e.Translated))
	}
	if e.Stream {
		e.w.Raw("stream", "true")
	}
	e.w.Raw("store", "false")
	if e.Model.Has(ledger.FeatureReasoning) {
		e.w.Raw("include", `["`+sealedReasoning+`"]`)
	}
	return nil
}

func float(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// reasoning writes the effort, and asks for summaries if the caller wants to read them.
func (e *encoding) reasoning() {
	effort := e.Effort
	if near := e.EffortNear(); effort == "" && near != "" {
		effort = near
		e.Warn("reasoning_effort", "a budget of "+strconv.FormatInt(*e.Budget, 10)+" tokens became the effort "+effort+", which is near it")
	}
	o := router.NewObject(64)
	if effort != "" {
		o.String("effort", effort)
	}
	if e.Thoughts && effort != "none" && e.Model.Has(ledger.FeatureReasoning) {
		o.String("summary", "auto")
	}
	if b := o.End(); len(b) > len("{}") {
		e.w.Raw("reasoning", string(b))
	}
}

// text writes the form that the answer is to have, and how long it is to be.
func (e *encoding) text() {
	f, o := e.Format, router.NewObject(64)
	switch f.Kind {
	case router.FormatJSON:
		o.Raw("format", `{"type":"json_object"}`)
	case router.FormatSchema:
		o.Raw("format", e.schema())
	}
	if e.Verbosity != "" {
		o.String("verbosity", e.Verbosity)
	}
	if b := o.End(); len(b) > len("{}") {
		e.w.Raw("text", string(b))
	}
}

// schema writes a schema. The other providers hold a model to every schema that they take; OpenAI does so on demand, and
// only to those that are closed.
func (e *encoding) schema() string {
	f, o := e.Format, router.NewObject(len(e.Format.Schema)+128)
	o.String("type", "json_schema")
	if f.Name == "" {
		f.Name = "answer"
	}
	o.String("name", f.Name)
	if f.Description != "" {
		o.String("description", f.Description)
	}
	o.Raw("schema", string(f.Schema))
	switch chat := e.Dialect == ledger.DialectOpenAIChat; {
	case f.Strict != nil && (chat || !*f.Strict):
		o.Raw("strict", strconv.FormatBool(*f.Strict))
	case chat:
	case openai.Strictable(f.Schema):
		o.Raw("strict", "true")
	default:
		e.Warn("response_format", "the model follows the schema as well as it can: OpenAI enforces only one whose objects forbid additionalProperties and require every property")
	}
	return string(o.End())
}

// related are the fields of Chat Completions that are the same in Responses and have no canonical form.
var related = []string{"metadata", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"}

// kinship takes from a Chat Completions request what Responses can carry beyond the canonical form.
func kinship(c router.Call) (router.Call, map[string]string) {
	if !c.Own(ledger.DialectOpenAIChat) || c.Request.Endpoint == router.EndpointCount {
		return c, nil
	}
	r, kin := *c.Request, map[string]string{}
	carried := func(field string) bool { return slices.Contains(related, field) }
	r.Hints = slices.DeleteFunc(slices.Clone(r.Hints), func(h router.FieldError) bool { return carried(h.Field) })
	gjson.Parse(router.TextOf(r.Body)).ForEach(func(key, v gjson.Result) bool {
		if carried(key.Str) && v.Type != gjson.Null {
			kin[key.Str] = v.Raw
		}
		return true
	})
	c.Request = &r
	return c, kin
}
