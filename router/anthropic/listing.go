package anthropic

import (
	"net/http"

	"waybill/router"
)

// Listing is the call that lists the provider's models.
func (Upstream) Listing(secret string) router.Envelope {
	return router.Envelope{Path: "/v1/models?limit=1", Header: http.Header{"Anthropic-Version": {version}, "X-Api-Key": {secret}}, Decoder: &decoder{}}
}
