package gemini

import (
	"context"
	"net/http"
	"net/url"

	"waybill/router"
)

// Upstream calls POST {base}/v1beta/models/{model}:generateContent, or :streamGenerateContent as SSE.
type Upstream struct{}

var _ router.Upstream = Upstream{}

// Open makes one attempt.
func (Upstream) Open(ctx context.Context, c router.Call) (router.Reply, error) {
	body, warnings, err := encode(c)
	if err != nil {
		return nil, err
	}
	method := ":generateContent"
	if c.Request.Stream {
		method = ":streamGenerateContent?alt=sse"
	}
	return router.Exchange(ctx, c, router.Envelope{
		Path:    "/v1beta/models/" + url.PathEscape(c.Model.ID) + method,
		Header:  http.Header{"X-Goog-Api-Key": {c.Secret}}, // never ?key=, which ends up in access logs
		Body:    body,
		Stream:  c.Request.Stream,
		Decoder: &decoder{},
		// https://ai.google.dev/gemini-api/docs/priority-inference
		TierHeader: "X-Gemini-Service-Tier",
		Warnings:   warnings,
	})
}
