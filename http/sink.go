package http

import (
	"net/http"
	"strconv"
	"strings"

	"waybill/router"
)

// sink takes an answer to the caller of an inference call.
type sink struct {
	w       http.ResponseWriter
	control *http.ResponseController
	stream  bool
	array   bool // the stream is one JSON array
	limited bool // the headers that tell the caller's limits are set
	started bool
}

// Headers in their canonical form, set without going through it again.
var (
	eventStream = []string{"text/event-stream; charset=utf-8"}
	plainJSON   = []string{"application/json"}
	noCache     = []string{"no-cache"}
	no          = []string{"no"}
)

// Start sets the headers; the first Send sends them.
func (k *sink) Start(f router.Facts) {
	h := k.w.Header()
	h["Waybill-Request"] = []string{f.Request}
	if f.Model != "" { // a stream whose headers go out early has no answer yet
		h["Waybill-Model"] = []string{f.Model}
		h["Waybill-Credential"] = []string{string(f.Kind)}
		h["Waybill-Attempts"] = []string{strconv.Itoa(f.Attempts)}
	}
	if len(f.Warnings) > 0 {
		h["Waybill-Warning"] = bounded(f.Warnings)
	}
	if f.OutputCap > 0 {
		h["Waybill-Output-Cap"] = []string{strconv.FormatInt(f.OutputCap, 10)}
	}
	if f.Settled {
		h["Waybill-Billing"] = []string{f.Billing}
		h["Waybill-Charge"] = []string{f.Charge.String()}
	}
	for name, values := range f.Header {
		if k.limited && (strings.HasPrefix(name, "X-Ratelimit-") || strings.HasPrefix(name, "Anthropic-Ratelimit-")) {
			continue // a provider's limits, of which some would stand among ours
		}
		h[name] = values
	}
	if k.stream {
		h["Content-Type"] = eventStream
		if k.array {
			h["Content-Type"] = plainJSON
		}
		h["Cache-Control"] = noCache
		h["X-Accel-Buffering"] = no // a proxy in front must not gather the frames
		return
	}
	h["Content-Type"] = plainJSON
}

// maxWarnings bounds what warnings take of the headers, in bytes: proxies and clients refuse answers whose headers are too large.
const maxWarnings = 4 << 10

// bounded is as many of the warnings as headers bear.
func bounded(warnings []string) []string {
	size := 0
	for i, w := range warnings {
		if size += len(w); size > maxWarnings {
			return append(warnings[:i:i], strconv.Itoa(len(warnings)-i)+" more warnings are left out")
		}
	}
	return warnings
}

// Send writes and flushes. What is written is bounded in time by the visit.
func (k *sink) Send(b []byte) error {
	if !k.stream && !k.started {
		k.w.Header()["Content-Length"] = []string{strconv.Itoa(len(b))}
	}
	k.started = true
	if _, err := k.w.Write(b); err != nil {
		return err
	}
	if k.stream {
		return k.control.Flush()
	}
	return nil
}
