package anthropic

import (
	"waybill/ledger"
	"waybill/router"
)

// stop is the end mark.
const stop = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"

// relay forwards an answer that came in this dialect.
type relay struct {
	router.AtOnce
	mark []byte // the upstream's end mark
}

// Chunk forwards the frame as it came; the end mark waits for End.
func (w *relay) Chunk(c router.Chunk) []byte {
	if c.End {
		w.mark = c.Frame
		return nil
	}
	return c.Frame
}

// End forwards the end mark. The usage came before it.
func (w *relay) End(ledger.Usage) []byte { return w.mark }

// Body forwards a whole answer.
func (w *relay) Body(steps []router.Chunk, _ ledger.Usage) []byte { return steps[len(steps)-1].Frame }

// Error writes the event that the SDKs raise. No end mark follows it.
func (w *relay) Error(f router.Failure) []byte { return errorEvent(f) }

func errorEvent(f router.Failure) []byte {
	b := append([]byte("event: error\ndata: "), Inbound{}.Failure(f)...)
	return append(b, "\n\n"...)
}
