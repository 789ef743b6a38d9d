package openai

import (
	"context"
	"net/http"

	"waybill/ledger"
	"waybill/router"
)

// Upstream calls POST {base}/chat/completions.
type Upstream struct{}

var _ router.Upstream = Upstream{}

// Open makes one attempt.
func (Upstream) Open(ctx context.Context, c router.Call) (router.Reply, error) {
	e := router.Envelope{
		Path:    "/chat/completions",
		Header:  http.Header{"Authorization": {"Bearer " + c.Secret}},
		Stream:  c.Request.Stream,
		Decoder: &decoder{},
	}
	if c.Own(ledger.DialectOpenAIChat) {
		e.Body, e.Warnings = edit(c)
	} else {
		var err error
		if e.Body, e.Warnings, err = encode(c); err != nil {
			return nil, err
		}
	}
	return router.Exchange(ctx, c, e)
}
