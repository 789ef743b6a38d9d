package anthropic

import (
	"context"
	"net/http"

	"waybill/router"
)

// Upstream calls POST {base}/v1/messages.
type Upstream struct{}

var _ router.Upstream = Upstream{}

// version is the API version of requests that waybill writes itself.
const version = "2023-06-01"

// Open makes one attempt.
func (Upstream) Open(ctx context.Context, c router.Call) (router.Reply, error) {
	body, warnings, err := encode(c)
	if err != nil {
		return nil, err
	}
	return router.Exchange(ctx, c, router.Envelope{
		Path:     "/v1/messages",
		Header:   http.Header{"X-Api-Key": {c.Secret}, "Anthropic-Version": {version}},
		Body:     body,
		Stream:   c.Request.Stream,
		Decoder:  &decoder{},
		Warnings: warnings,
	})
}
