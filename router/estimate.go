package router

import (
	"math"
	"strings"

	"waybill/ledger"
)

// Bounds that turn bytes into tokens. No tokenizer makes more than one token of a byte; around the caller's text a
// provider adds a few of its own a message, and counts media by their size, which is not known here.
const (
	boundBase    = 512     // tokens a request: what providers say for us where there are tools or a schema
	boundMessage = 16      // tokens a message
	boundImage   = 16_384  // tokens an image
	boundFile    = 500_000 // tokens a file of which there is only the address, or pages or pictures that are compressed
	// estimateBytes is how many bytes of text make a token on average, where nobody counted.
	estimateBytes = 4
)

// InputBound is the most tokens that a request's input can be: every byte of it a token, and what a provider adds.
func InputBound(r *Request) int64 {
	n := int64(boundBase + boundMessage*(len(r.Messages)+len(r.System)) + len(r.Body))
	for _, m := range r.Messages {
		n += mediaBound(m.Parts)
	}
	return n
}

// mediaBound is what media may have beyond the bytes that say them.
func mediaBound(parts []Part) (n int64) {
	for _, p := range parts {
		switch {
		case p.Kind == KindResult:
			n += mediaBound(p.Parts)
		case p.Media == nil:
		case p.Kind == KindImage:
			n += boundImage - int64(len(p.Media.Data))
		case p.Media.Data == "":
			n += boundFile
		case !plainly(p):
			n += max(0, boundFile-int64(len(p.Media.Data)))
		}
	}
	return n
}

// plainly tells whether the bytes of media bound their tokens: text does, and a second of sound, which is some 32 tokens, has
// more bytes. A page or a picture of a film is counted by what it shows, and may be compressed to next to nothing.
func plainly(p Part) bool {
	return p.Kind == KindAudio || strings.HasPrefix(p.Media.MediaType(), "text/")
}

// demandOf is what a leg may use of the ledger, with what it adds to the request of what is remembered, in bytes.
func demandOf(q *Request, leg Leg, remembered int) ledger.Demand {
	d := ledger.Demand{Choice: leg.choice(), Input: InputBound(q) + int64(remembered), Output: q.OutputCap, Floor: outputFloor(q), Answers: q.N, ServiceTier: q.ServiceTier}
	if most := leg.Model.Context; most > 0 {
		d.Input = min(d.Input, most) // more the model refuses
	}
	switch q.Endpoint {
	case EndpointEmbed:
		d.NoOutput = true
	case EndpointCount:
		d.Gratis = true
	}
	return d
}

// outputFloor is the least output that a clipped call is worth making for, in tokens.
func outputFloor(r *Request) int64 {
	floor := int64(256)
	if len(r.Tools) > 0 || r.Format.Kind != FormatText {
		floor = 1024
	}
	if r.Budget != nil && *r.Budget > 0 && *r.Budget < math.MaxInt32 {
		floor += *r.Budget
	}
	return floor
}

// estimate is the usage of an answer that nobody counted, from what was received of it. It stays within the leg's bounds,
// of which the output of a model that the catalogue does not list has none.
func estimate(r *Request, leg ledger.Leg, received int64) ledger.Usage {
	u := ledger.Usage{
		Input:  min(leg.Input, (int64(len(r.Body))+estimateBytes-1)/estimateBytes),
		Output: (received + estimateBytes - 1) / estimateBytes,
	}
	if r.Endpoint == EndpointEmbed {
		u.Output = 0
	}
	if leg.Output > 0 {
		u.Output = min(u.Output, leg.Output*max(1, leg.Answers))
	}
	return u
}
