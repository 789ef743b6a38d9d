package anthropic

import (
	"net/http"

	"waybill/ledger/secret"
	"waybill/router"
)

// Listing is the call that lists the provider's models.
func (Upstream) Listing(key secret.Text) router.Envelope {
	return router.Envelope{Path: "/v1/models?limit=1", Header: http.Header{"Anthropic-Version": {version}, "X-Api-Key": {key.Reveal()}}, Decoder: &decoder{}}
}
