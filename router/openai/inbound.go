package openai

import (
	"encoding/json"

	"waybill/ledger"
	"waybill/router"
)

// Inbound reads requests for Chat Completions and Embeddings, and writes their answers.
type Inbound struct{}

var _ router.Inbound = Inbound{}

// Decode reads the body of POST /v1/chat/completions or /v1/embeddings: strict about the types of what it knows,
// tolerant about what it does not know.
func (Inbound) Decode(in router.Incoming) (*router.Request, error) {
	doc, err := router.Document(in.Body)
	if err != nil {
		return nil, &router.FieldError{Field: "body", Reason: err.Error()}
	}
	if !doc.IsObject() {
		return nil, &router.FieldError{Field: "body", Reason: "must be a JSON object"}
	}
	d := decoding{req: &router.Request{Endpoint: router.EndpointChat, Dialect: ledger.DialectOpenAIChat, Body: in.Body}}
	read, settle := d.field, d.settle
	if in.Endpoint == router.EndpointEmbed {
		d.req.Endpoint, d.req.Embed = router.EndpointEmbed, &router.Embed{}
		read, settle = d.embedding, d.settleEmbedding
	}
	if fault := router.Members(doc, "", read); fault != nil {
		return nil, fault
	}
	if fault := settle(); fault != nil {
		return nil, fault
	}
	return d.req, nil
}

// Writer starts an answer: forwarded where the upstream speaks this dialect, rendered from its steps otherwise.
func (Inbound) Writer(req *router.Request, head router.Head, from ledger.Dialect) router.Writer {
	s := sheet{head: head, usage: req.IncludeUsage}
	switch {
	case from == ledger.DialectOpenAIChat:
		return &relay{sheet: s}
	case req.Endpoint == router.EndpointEmbed:
		return &vectors{sheet: s, base64: req.Embed.Base64}
	}
	return &rendering{sheet: s, options: req.IncludeUsage, functions: deprecated(req)}
}

// Failure writes {"error":{…}} with the type that the SDKs and their users know for the status.
func (Inbound) Failure(f router.Failure) []byte {
	var body struct {
		Error struct {
			Message string  `json:"message"`
			Type    string  `json:"type"`
			Param   *string `json:"param"`
			Code    string  `json:"code"`
		} `json:"error"`
	}
	body.Error.Message, body.Error.Type, body.Error.Code = f.Message, KindOf(f.Status), f.Code
	if f.Field != "" {
		body.Error.Param = &f.Field
	}
	b, _ := json.Marshal(body) // strings alone: it cannot fail
	return b
}

// KindOf is the type that an error of OpenAI's has for a status.
func KindOf(status int) string {
	switch {
	case status == 401:
		return "authentication_error"
	case status == 402:
		return "insufficient_quota"
	case status == 403:
		return "permission_error"
	case status == 429:
		return "rate_limit_error"
	case status >= 400 && status < 500:
		return "invalid_request_error"
	}
	return "server_error"
}
