package gemini

import (
	"waybill/ledger"
	"waybill/router"
)

// Inbound reads the requests of Gemini's clients and writes their answers.
type Inbound struct{}

var _ router.Inbound = Inbound{}

// names are Gemini's words for the canonical fields.
var names = map[string]string{
	"messages":              "contents",
	"tool_choice":           "toolConfig.functionCallingConfig",
	"response_format":       "generationConfig.responseJsonSchema",
	"max_completion_tokens": "generationConfig.maxOutputTokens",
	"temperature":           "generationConfig.temperature",
	"top_p":                 "generationConfig.topP",
	"top_k":                 "generationConfig.topK",
	"frequency_penalty":     "generationConfig.frequencyPenalty",
	"presence_penalty":      "generationConfig.presencePenalty",
	"stop":                  "generationConfig.stopSequences",
	"seed":                  "generationConfig.seed",
	"n":                     "generationConfig.candidateCount",
	"service_tier":          "serviceTier",
	"reasoning_effort":      "generationConfig.thinkingConfig",
	"thoughts":              "generationConfig.thinkingConfig.includeThoughts",
	"input":                 "content",
	"dimensions":            "outputDimensionality",
}

// Decode reads the body of POST /v1beta/models/{model}:{method}: strict about the types of what it knows, tolerant about
// what it does not know. As protobuf's JSON does, it takes each name in camel case and in snake case, a number in
// quotes, and a lone value for a list of one.
func (Inbound) Decode(in router.Incoming) (*router.Request, error) {
	doc, err := router.Document(in.Body)
	if err != nil {
		return nil, wrong("body", err.Error())
	}
	if !doc.IsObject() {
		return nil, wrong("body", "must be a JSON object")
	}
	r := &router.Request{
		Endpoint: in.Endpoint, Dialect: ledger.DialectGemini, Body: in.Body, Names: names,
		Model: in.Model, Stream: in.Stream, Array: in.Stream && in.Array,
	}
	if r.Endpoint == "" {
		r.Endpoint = router.EndpointChat
	}
	if r.Model == "" {
		return nil, wrong("model", "is required in the address")
	}
	d := &decoding{req: r}
	var fault *router.FieldError
	switch r.Endpoint {
	case router.EndpointEmbed:
		r.Embed = &router.Embed{Many: in.Batch}
		fault = d.embeddings(doc)
	case router.EndpointCount:
		fault = d.count(doc)
	default:
		fault = d.generate(doc, "")
	}
	if fault != nil {
		return nil, fault
	}
	return r, nil
}

// Writer starts an answer: forwarded where the upstream speaks this dialect, rendered from its steps otherwise.
func (Inbound) Writer(req *router.Request, head router.Head, from ledger.Dialect) router.Writer {
	s := sheet{array: req.Array}
	if from == ledger.DialectGemini {
		return &relay{sheet: s}
	}
	return &rendering{sheet: s, req: req, head: head}
}
