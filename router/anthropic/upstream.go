package anthropic

import (
	"context"
	"net/http"
	"slices"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
)

// Upstream calls POST {base}/v1/messages and POST {base}/v1/messages/count_tokens.
type Upstream struct{}

var _ router.Upstream = Upstream{}

// version is the API version of requests that waybill writes itself. From bearerVersion on, Anthropic's own clients
// authenticate as others do.
const (
	version       = "2023-06-01"
	bearerVersion = "2026-10-21"
)

// Open makes one attempt.
func (Upstream) Open(ctx context.Context, c router.Call) (router.Reply, error) {
	e := router.Envelope{Path: "/v1/messages", Stream: c.Request.Stream, Header: header(c)}
	switch {
	case c.Request.Endpoint == router.EndpointEmbed:
		return nil, &router.FieldError{Field: c.Request.Name("model"), Reason: c.Model.Provider + " has no embeddings"}
	case own(c):
		e.Body, e.Warnings = edit(c)
		e.Decoder = &decoder{attempt: c.Attempt}
	default:
		out, err := encode(c)
		if err != nil {
			return nil, err
		}
		e.Body, e.Warnings = out.body, out.warnings
		d := &decoder{attempt: c.Attempt}
		if c.Keeps(ledger.DialectAnthropicMessages) {
			d.turn = &turn{prefix: out.prefix}
		}
		e.Decoder = d
	}
	if c.Request.Endpoint == router.EndpointCount {
		e.Path, e.Stream, e.Decoder = "/v1/messages/count_tokens", false, &counter{}
	}
	e.Body, e.Warnings = dropped(c, e.Body, e.Warnings)
	return router.Exchange(ctx, c, e)
}

// header authenticates, and says which version of the API the body is written for: the caller's, if the caller wrote it.
func header(c router.Call) http.Header {
	h := http.Header{"Anthropic-Version": {version}}
	if own(c) {
		for _, name := range forwarded {
			if values := c.Request.Header[name]; len(values) > 0 {
				h[name] = values
			}
		}
	}
	if h.Get("Anthropic-Version") >= bearerVersion {
		h["Authorization"] = []string{"Bearer " + c.Secret.Reveal()}
	} else {
		h["X-Api-Key"] = []string{c.Secret.Reveal()}
	}
	return h
}

// dropped leaves out the members that the provider refuses.
func dropped(c router.Call, body []byte, warnings []string) ([]byte, []string) {
	if len(c.Quirks.Drop) == 0 {
		return body, warnings
	}
	w := router.NewObject(len(body))
	gjson.Parse(router.TextOf(body)).ForEach(func(key, value gjson.Result) bool {
		if slices.Contains(c.Quirks.Drop, key.Str) {
			warnings = append(warnings, key.Str+": left out, "+c.Model.Provider+" refuses it")
		} else {
			w.Member(key.Raw, value.Raw)
		}
		return true
	})
	return w.End(), warnings
}
