package gemini

import (
	"context"
	"math"
	"net/http"
	"net/url"
	"strconv"

	"waybill/ledger"
	"waybill/router"
)

// Upstream calls POST {base}/v1beta/models/{model}:{method}. A stream always comes as SSE.
type Upstream struct{}

var _ router.Upstream = Upstream{}

// Open makes one attempt.
func (Upstream) Open(ctx context.Context, c router.Call) (router.Reply, error) {
	own := c.Own(ledger.DialectGemini)
	e := router.Envelope{
		Header: http.Header{"X-Goog-Api-Key": {c.Secret.Reveal()}}, // never ?key=, which ends up in access logs
		Stream: c.Request.Stream,
		// https://ai.google.dev/gemini-api/docs/priority-inference
		TierHeader: "X-Gemini-Service-Tier",
	}
	var err error
	switch {
	case c.Request.Endpoint == router.EndpointEmbed && own:
		e.Body = editEmbeddings(c)
	case c.Request.Endpoint == router.EndpointEmbed:
		e.Body, e.Warnings, err = encodeEmbeddings(c)
	case own:
		e.Body, e.Warnings = edit(c)
	case c.Request.Endpoint == router.EndpointCount:
		e.Body, e.Warnings, err = encodeCount(c)
	default:
		e.Body, e.Warnings, err = encode(c)
	}
	if err != nil {
		return nil, err
	}
	d := decoder{attempt: c.Attempt}
	method := ":generateContent"
	switch {
	case c.Request.Endpoint == router.EndpointCount:
		method, e.Decoder = ":countTokens", &measure{}
	case c.Request.Endpoint == router.EndpointEmbed && c.Request.Embed.Many:
		method, e.Decoder = ":batchEmbedContents", &measure{wanted: len(c.Request.Embed.Texts)}
	case c.Request.Endpoint == router.EndpointEmbed:
		method, e.Decoder = ":embedContent", &measure{wanted: 1}
	default:
		if d.foreign = !own; c.Keeps(ledger.DialectGemini) {
			d.turn = &turn{}
		}
		if e.Decoder = &d; c.Request.Stream {
			method = ":streamGenerateContent?alt=sse"
		}
	}
	e.Path = "/v1beta/models/" + url.PathEscape(c.Model.ID) + method
	return router.Exchange(ctx, c, e)
}

// capOf is an output cap in the 32 bits that Gemini has for it.
func capOf(limit int64) string { return strconv.FormatInt(min(limit, math.MaxInt32), 10) }
