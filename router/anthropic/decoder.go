package anthropic

import (
	"errors"
	"io"
	"strings"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
)

// decoder reads a Messages answer.
type decoder struct {
	stopped bool // the stop reason has come
	ended   bool // the end mark has
	tiered  bool // the service tier has been told
	usage   counts
}

// Frame reads one event. Its name is in the data as well.
func (d *decoder) Frame(data []byte, steps []router.Chunk) ([]router.Chunk, error) {
	doc, err := router.Document(data)
	if err != nil {
		return steps, err
	}
	var c router.Chunk
	switch doc.Get("type").String() {
	case "message_start":
		m := doc.Get("message")
		c.ID, c.Model = m.Get("id").String(), m.Get("model").String()
		d.report(&c, m.Get("usage"))
	case "content_block_start":
		d.block(&c, doc.Get("content_block"))
	case "content_block_delta":
		delta := doc.Get("delta")
		if delta.Get("type").String() == "text_delta" {
			c.Kind, c.Text = router.KindText, delta.Get("text").String()
			c.Content = c.Text != ""
		} else {
			// Tool input, thinking, signatures, citations, and what is yet to be invented.
			c.Content = true
		}
	case "message_delta":
		d.stop(&c, doc.Get("delta"))
		d.report(&c, doc.Get("usage"))
	case "message_stop":
		d.ended = true
		return append(steps, router.Chunk{End: true}), io.EOF
	case "error":
		return steps, d.Refusal(0, doc)
	}
	return append(steps, c), nil
}

// Body reads a whole answer.
func (d *decoder) Body(body []byte, steps []router.Chunk) ([]router.Chunk, error) {
	doc, err := router.Document(body)
	if err != nil {
		return steps, err
	}
	switch doc.Get("type").String() {
	case "message":
	case "error":
		return steps, d.Refusal(0, doc)
	default:
		return steps, errors.New("the answer is not a message")
	}
	c := router.Chunk{ID: doc.Get("id").String(), Model: doc.Get("model").String()}
	var text strings.Builder
	doc.Get("content").ForEach(func(_, b gjson.Result) bool {
		d.block(&c, b)
		text.WriteString(c.Text)
		return true
	})
	c.Kind, c.Text = router.KindText, text.String()
	d.stop(&c, doc)
	d.report(&c, doc.Get("usage"))
	d.ended = true
	return append(steps, c), nil
}

// block reads a content block, whole or beginning. Thinking that has not begun to say anything is no content,
// and neither is text; every other kind is, for its name alone.
func (d *decoder) block(c *router.Chunk, b gjson.Result) {
	switch b.Get("type").String() {
	case "text":
		c.Text = b.Get("text").String()
		c.Content = c.Content || c.Text != ""
	case "thinking":
		c.Text = ""
		c.Content = c.Content || b.Get("thinking").String() != ""
	default:
		c.Text = ""
		c.Content = true
	}
}

// stop reads why the answer ended.
func (d *decoder) stop(c *router.Chunk, v gjson.Result) {
	if c.Native = v.Get("stop_reason").String(); c.Native == "" {
		return
	}
	c.Finish = finishOf(c.Native)
	d.stopped = true
}

// finishOf reads a stop reason. One that is not known is an end all the same, and Native tells it. A paused turn
// is not at its end; no other dialect can ask for the rest of it, so it ends there as one that was cut short.
func finishOf(native string) router.Finish {
	switch native {
	case "max_tokens", "model_context_window_exceeded", "pause_turn":
		return router.FinishLength
	case "tool_use":
		return router.FinishTool
	case "refusal":
		return router.FinishFiltered
	}
	return router.FinishStop
}

// report reads a usage object, and the tier from the first that has it. Fast mode is priced as a tier is.
func (d *decoder) report(c *router.Chunk, u gjson.Result) {
	if !u.IsObject() {
		return
	}
	d.usage.read(u, d.stopped)
	if d.tiered {
		return
	}
	if c.Tier = u.Get("service_tier").String(); u.Get("speed").String() == "fast" {
		c.Tier = "fast"
	}
	d.tiered = c.Tier != ""
}

// Turn is nothing yet.
func (d *decoder) Turn() []byte { return nil }

// Whole tells whether the stop reason and the end mark were there.
func (d *decoder) Whole() bool { return d.stopped && d.ended }

// Usage is what was reported; the figure that came with the stop reason is final.
func (d *decoder) Usage() (ledger.Usage, bool) { return d.usage.ledger(), d.usage.final }
