package responses

import (
	"bytes"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
)

// relay forwards an answer that came in this dialect.
type relay struct {
	router.AtOnce
	head router.Head
	last []byte // the frame that was forwarded last
	id   string // of the answer
}

// Chunk forwards the frame. The terminal event, with its usage, is one like any other.
func (w *relay) Chunk(c router.Chunk) []byte {
	if c.ID != "" {
		w.id = c.ID
	}
	if len(c.Frame) > 0 {
		w.last = c.Frame
	}
	return c.Frame
}

// End adds nothing: the dialect has no end mark.
func (w *relay) End(ledger.Usage) []byte { return nil }

// Body forwards a whole answer.
func (w *relay) Body(steps []router.Chunk, _ ledger.Usage) []byte { return steps[len(steps)-1].Frame }

// Error ends the stream as the upstream would have.
func (w *relay) Error(f router.Failure) []byte {
	sequence := int64(0)
	if _, data, ok := bytes.Cut(w.last, []byte("data:")); ok {
		sequence = gjson.GetBytes(data, "sequence_number").Int() + 1
	}
	id := w.id
	if id == "" {
		id = "resp_" + w.head.Request
	}
	o := router.NewObject(512)
	o.String("id", id)
	o.String("object", "response")
	o.Int("created_at", w.head.Created)
	o.String("status", "failed")
	o.Raw("error", failure(f))
	o.Raw("incomplete_details", "null")
	o.String("model", w.head.Model)
	o.Raw("output", "[]")
	return breakOff(f, sequence, o.End())
}
