package router

import "waybill/ledger"

// Bounds that turn bytes into tokens. No tokenizer makes more than one token of a byte; around the caller's text a
// provider adds a few of its own a message, and counts an image by its size in pixels, which is not known here.
const (
	boundBase    = 64     // tokens a request
	boundMessage = 16     // tokens a message
	boundImage   = 16_384 // tokens an image
	// estimateBytes is how many bytes of text make a token on average, where nobody counted.
	estimateBytes = 4
)

// InputBound is the most tokens that a request's input can be: every byte of it a token, and what a provider adds.
func InputBound(r *Request) int64 {
	n := int64(boundBase + boundMessage*(len(r.Messages)+len(r.System)) + len(r.Body))
	for _, m := range r.Messages {
		for _, p := range m.Parts {
			if isImage(p.Kind) {
				n += boundImage - int64(len(p.Raw))
			}
		}
	}
	return n
}

func isImage(kind string) bool {
	return kind == "image_url" || kind == "image" || kind == "input_image"
}

// outputFloor is the least output that a clipped call is worth making for.
func outputFloor(r *Request) int64 {
	for _, name := range r.Extra {
		if name == "tools" || name == "response_format" {
			return 1024
		}
	}
	return 256
}

// estimate is the usage of an answer that nobody counted, from what was received of it. It stays within the leg's bounds,
// of which the output of a model that the catalogue does not list has none.
func estimate(r *Request, leg ledger.Leg, received int64) ledger.Usage {
	u := ledger.Usage{
		Input:  min(leg.Input, (int64(len(r.Body))+estimateBytes-1)/estimateBytes),
		Output: (received + estimateBytes - 1) / estimateBytes,
	}
	if leg.Output > 0 {
		u.Output = min(u.Output, leg.Output*max(1, leg.Answers))
	}
	return u
}
