package responses

import (
	"net/http"

	"waybill/ledger/secret"
	"waybill/router"
)

// Listing is the call that lists the provider's models.
func (Upstream) Listing(key secret.Text) router.Envelope {
	return router.Envelope{Path: "/models", Header: http.Header{"Authorization": {"Bearer " + key.Reveal()}}, Decoder: &decoder{}}
}
