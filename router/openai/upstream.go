package openai

import (
	"context"
	"net/http"

	"waybill/ledger"
	"waybill/router"
)

// Upstream calls POST {base}/chat/completions and {base}/embeddings.
type Upstream struct{}

var _ router.Upstream = Upstream{}

// Open makes one attempt.
func (Upstream) Open(ctx context.Context, c router.Call) (router.Reply, error) {
	own := c.Own(ledger.DialectOpenAIChat)
	e := router.Envelope{
		Header: http.Header{"Authorization": {"Bearer " + c.Secret.Reveal()}},
		Stream: c.Request.Stream,
	}
	var err error
	switch {
	case c.Request.Endpoint == router.EndpointEmbed:
		e.Path = "/embeddings"
		e.Decoder = newEmbedDecoder(c, own)
		if own {
			e.Body, e.Warnings = editEmbed(c)
		} else {
			e.Body, e.Warnings, err = encodeEmbed(c)
		}
	default:
		e.Path = "/chat/completions"
		e.Decoder = newDecoder(c, own)
		if own {
			e.Body, e.Warnings = edit(c)
		} else {
			e.Body, e.Warnings, err = encode(c)
		}
	}
	if err != nil {
		return nil, err
	}
	return router.Exchange(ctx, c, e)
}
