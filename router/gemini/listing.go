package gemini

import (
	"net/http"

	"waybill/ledger/secret"
	"waybill/router"
)

// Listing is the call that lists the provider's models.
func (Upstream) Listing(key secret.Text) router.Envelope {
	return router.Envelope{Path: "/v1beta/models?pageSize=1", Header: http.Header{"X-Goog-Api-Key": {key.Reveal()}}, Decoder: &decoder{}}
}
