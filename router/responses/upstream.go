package responses

import (
	"context"
	"net/http"

	"waybill/ledger"
	"waybill/router"
)

// Upstream calls POST {base}/responses, and POST {base}/responses/input_tokens to count.
type Upstream struct{}

var _ router.Upstream = Upstream{}

// Open makes one attempt.
func (Upstream) Open(ctx context.Context, c router.Call) (router.Reply, error) {
	own := c.Own(ledger.DialectOpenAIResponses)
	e := router.Envelope{
		Path:   "/responses",
		Header: http.Header{"Authorization": {"Bearer " + c.Secret.Reveal()}},
		Stream: c.Request.Stream,
	}
	switch c.Request.Endpoint {
	case router.EndpointCount:
		e.Path, e.Stream, e.Decoder = "/responses/input_tokens", false, &counting{}
	case router.EndpointChat:
		e.Decoder = &decoder{attempt: c.Attempt, keeps: c.Keeps(ledger.DialectOpenAIResponses)}
	default:
		return nil, &router.FieldError{Field: c.Request.Name("model"), Reason: "is not reached by Responses for " + string(c.Request.Endpoint)}
	}
	if !own {
		var err error
		e.Body, e.Warnings, err = encode(c)
		if err != nil {
			return nil, err
		}
		return router.Exchange(ctx, c, e)
	}
	for name, values := range c.Request.Header {
		e.Header[name] = values
	}
	e.Body, e.Warnings = edit(c)
	return router.Exchange(ctx, c, e)
}
