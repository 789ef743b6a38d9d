package openai

import (
	"net/http"

	"waybill/router"
)

// Listing is the call that lists the provider's models.
func (Upstream) Listing(secret string) router.Envelope {
	return router.Envelope{Path: "/models", Header: http.Header{"Authorization": {"Bearer " + secret}}, Decoder: &decoder{}}
}
