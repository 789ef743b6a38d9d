package responses

import (
	"net/http"

	"waybill/ledger"
	"waybill/router"
	"waybill/router/openai"
)

// Inbound reads Responses requests and writes their answers.
type Inbound struct{}

var _ router.Inbound = Inbound{}

// names are this dialect's words for the canonical fields.
var names = map[string]string{
	"messages":              "input",
	"response_format":       "text.format",
	"max_completion_tokens": "max_output_tokens",
	"reasoning_effort":      "reasoning.effort",
	"thoughts":              "reasoning.summary",
	"user":                  "safety_identifier",
	"verbosity":             "text.verbosity",
}

// forwarded are the headers that go upstream with the caller's bytes.
var forwarded = []string{"Openai-Beta"}

// Decode reads the body of POST /v1/responses, or of /v1/responses/input_tokens: strict about the types of what it
// knows, tolerant about what it does not know.
func (Inbound) Decode(in router.Incoming) (*router.Request, error) {
	doc, err := router.Document(in.Body)
	if err != nil {
		return nil, &router.FieldError{Field: "body", Reason: err.Error()}
	}
	if !doc.IsObject() {
		return nil, &router.FieldError{Field: "body", Reason: "must be a JSON object"}
	}
	d := decoding{req: &router.Request{
		Endpoint: in.Endpoint, Dialect: ledger.DialectOpenAIResponses, Body: in.Body, Names: names, Header: headers(in.Header),
	}}
	if fault := router.Members(doc, "", d.field); fault != nil {
		return nil, fault
	}
	d.req.System = append(d.instructions, d.req.System...)
	switch {
	case d.req.Model == "":
		return nil, &router.FieldError{Field: "model", Reason: "is required"}
	case in.Endpoint == router.EndpointCount:
		d.req.Stream = false
	case !d.conversed:
		return nil, &router.FieldError{Field: "input", Reason: "is required"}
	}
	return d.req, nil
}

func headers(all http.Header) http.Header {
	var out http.Header
	for _, name := range forwarded {
		if values := all[name]; len(values) > 0 {
			if out == nil {
				out = http.Header{}
			}
			out[name] = values
		}
	}
	return out
}

// Writer starts an answer: forwarded where the upstream speaks this dialect, rendered from its steps otherwise.
func (Inbound) Writer(req *router.Request, head router.Head, from ledger.Dialect) router.Writer {
	switch {
	case from == ledger.DialectOpenAIResponses:
		return &relay{head: head}
	case req.Endpoint == router.EndpointCount:
		return &counted{relay{head: head}}
	}
	return newRendering(req, head)
}

// Failure writes the error that both of OpenAI's dialects have.
func (Inbound) Failure(f router.Failure) []byte { return openai.Inbound{}.Failure(f) }
