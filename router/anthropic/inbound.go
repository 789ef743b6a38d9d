package anthropic

import (
	"encoding/json"
	"maps"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
)

// Inbound reads Messages requests and writes their answers.
type Inbound struct{}

var _ router.Inbound = Inbound{}

// names are Anthropic's words for canonical fields, where they differ.
var names = map[string]string{
	"max_completion_tokens": "max_tokens",
	"stop":                  "stop_sequences",
	"user":                  "metadata.user_id",
	"response_format":       "output_config.format",
	"parallel_tool_calls":   "tool_choice.disable_parallel_tool_use",
	"reasoning_effort":      "output_config.effort",
	"thoughts":              "thinking.display",
}

// namesOfThinking are the words of a caller who says how to reason in thinking alone.
var namesOfThinking = func() map[string]string {
	m := maps.Clone(names)
	m["reasoning_effort"] = "thinking"
	return m
}()

// forwarded are the caller's headers that its dialect takes upstream.
var forwarded = []string{"Anthropic-Version", "Anthropic-Beta"}

// Decode reads the body of POST /v1/messages, or of POST /v1/messages/count_tokens: strict about the types of what it
// knows, tolerant about what it does not know.
func (Inbound) Decode(in router.Incoming) (*router.Request, error) {
	if in.Endpoint == router.EndpointEmbed {
		return nil, &router.FieldError{Field: "model", Reason: "has no embeddings in Anthropic's dialect"}
	}
	doc, err := router.Document(in.Body)
	if err != nil {
		return nil, &router.FieldError{Field: "body", Reason: err.Error()}
	}
	if !doc.IsObject() {
		return nil, &router.FieldError{Field: "body", Reason: "must be a JSON object"}
	}
	d := decoding{req: &router.Request{Endpoint: in.Endpoint, Dialect: ledger.DialectAnthropicMessages, Body: in.Body, Names: names}}
	if d.req.Endpoint == "" {
		d.req.Endpoint = router.EndpointChat
	}
	for _, name := range forwarded {
		if values := in.Header[name]; len(values) > 0 {
			if d.req.Header == nil {
				d.req.Header = map[string][]string{}
			}
			d.req.Header[name] = values
		}
	}
	if fault := router.Members(doc, "", d.field); fault != nil {
		return nil, fault
	}
	return d.end()
}

// Writer starts an answer: forwarded where the upstream speaks this dialect, rendered from its steps otherwise.
func (Inbound) Writer(req *router.Request, head router.Head, from ledger.Dialect) router.Writer {
	if from == ledger.DialectAnthropicMessages {
		return &relay{}
	}
	return &rendering{head: head, thoughts: req.Thoughts, count: req.Endpoint == router.EndpointCount}
}

// Failure writes {"type":"error",…} with the type that the SDKs and their users know for the status. The class for
// programs, and the field at fault, stand beside Anthropic's own members.
func (Inbound) Failure(f router.Failure) []byte {
	var body struct {
		Type  string `json:"type"`
		Error struct {
			Type    string `json:"type"`
			Message string `json:"message"`
			Code    string `json:"code,omitzero"`
			Field   string `json:"field,omitzero"`
		} `json:"error"`
		Request string `json:"request_id,omitzero"`
	}
	body.Type, body.Request = "error", f.Request
	body.Error.Type, body.Error.Message, body.Error.Code, body.Error.Field = kindOf(f.Status), f.Message, f.Code, f.Field
	b, _ := json.Marshal(body) // strings alone: it cannot fail
	return b
}

// kindOf is the error type for a status. https://platform.claude.com/docs/en/api/errors
func kindOf(status int) string {
	switch {
	case status == 401:
		return "authentication_error"
	case status == 402:
		return "billing_error"
	case status == 403:
		return "permission_error"
	case status == 404:
		return "not_found_error"
	case status == 413:
		return "request_too_large"
	case status == 429:
		return "rate_limit_error"
	case status == 408 || status == 504:
		return "timeout_error"
	case status == 503 || status == 529:
		return "overloaded_error"
	case status >= 400 && status < 499:
		return "invalid_request_error"
	}
	return "api_error"
}

// empty tells whether a value says nothing.
func empty(v gjson.Result) bool {
	return !v.Exists() || v.Type == gjson.Null || v.Raw == "false" || v.IsArray() && len(v.Array()) == 0
}
