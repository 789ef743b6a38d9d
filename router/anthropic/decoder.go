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
	attempt string          // id of the attempt, for ids that are missing
	calls   int             // tool calls so far
	open    map[int64]*unit // blocks that have begun and not ended, where more than text is to be known of them
	turn    *turn           // gathers the answer for a caller who cannot bring it back; else nil
}

// unit is a block of which the end says something.
type unit struct {
	call  int    // which of the calls it is; −1 of thinking
	input string // of a call: its arguments as they stood when it began
	wrote bool   // pieces of the arguments have come
	seal  []byte // of thinking
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
		d.begin(&c, doc)
	case "content_block_delta":
		d.delta(&c, doc)
	case "content_block_stop":
		d.close(&c, doc.Get("index").Int())
	case "message_delta":
		delta := doc.Get("delta")
		steps = refused(delta, steps)
		d.stop(&c, delta)
		d.report(&c, doc.Get("usage"))
	case "message_stop":
		d.ended = true
		return append(steps, router.Chunk{End: true}), io.EOF
	case "error":
		return steps, d.Refusal(0, doc)
	}
	return append(steps, c), nil
}

// begin reads the beginning of a block. Text and thinking that have not begun to say anything are no content; every
// other block is, for its name alone.
func (d *decoder) begin(c *router.Chunk, doc gjson.Result) {
	index, b := doc.Get("index").Int(), doc.Get("content_block")
	d.turn.begin(index, b)
	d.block(c, b)
	switch b.Get("type").Str {
	case "thinking":
		d.note(index, &unit{call: -1, seal: []byte(c.Signature)})
		c.Signature = "" // it is complete at the block's end
	case "tool_use":
		u := &unit{call: c.Call, input: strings.Clone(c.Text)} // and not the whole frame
		d.note(index, u)
		c.Text = ""
	}
}

// maxOpen bounds how many blocks may be open at once. An answer has one, or a few.
const maxOpen = 1024

func (d *decoder) note(index int64, u *unit) {
	if d.open == nil {
		d.open = map[int64]*unit{}
	}
	if len(d.open) < maxOpen {
		d.open[index] = u
	}
}

// delta reads a piece of a block. Of a kind that is not known it is content too.
func (d *decoder) delta(c *router.Chunk, doc gjson.Result) {
	index, delta := doc.Get("index").Int(), doc.Get("delta")
	kind := delta.Get("type").Str
	d.turn.delta(index, kind, delta)
	u := d.open[index]
	switch kind {
	case "text_delta":
		c.Kind, c.Text = router.KindText, delta.Get("text").String()
		c.Content = c.Text != ""
	case "thinking_delta":
		c.Kind, c.Text = router.KindReasoning, delta.Get("thinking").String()
		c.Content = c.Text != ""
	case "signature_delta":
		if c.Content = true; u != nil && len(u.seal) < router.MaxTurn {
			u.seal = append(u.seal, delta.Get("signature").String()...)
		}
	case "input_json_delta":
		if c.Content = true; u == nil || u.call < 0 {
			return // a tool of the provider's own
		}
		c.Kind, c.Call, c.Text = router.KindCall, u.call, delta.Get("partial_json").String()
		u.wrote = u.wrote || c.Text != ""
	default:
		c.Content = true // citations, and what is yet to be invented
	}
}

// close reads the end of a block: arguments of which no piece came are those that the block began with, and the seal
// on thinking is complete.
func (d *decoder) close(c *router.Chunk, index int64) {
	u := d.open[index]
	switch {
	case u == nil:
	case u.call < 0:
		c.Kind, c.Signature = router.KindReasoning, string(u.seal)
	case !u.wrote:
		c.Kind, c.Call, c.Text, c.Content = router.KindCall, u.call, u.input, true
	}
	delete(d.open, index)
}

// block reads a content block, whole or as it begins.
func (d *decoder) block(c *router.Chunk, b gjson.Result) {
	switch b.Get("type").Str {
	case "text":
		c.Kind, c.Text = router.KindText, b.Get("text").String()
		c.Content = c.Text != ""
	case "thinking":
		c.Kind, c.Text, c.Signature = router.KindReasoning, b.Get("thinking").String(), b.Get("signature").String()
		c.Content = c.Text != "" || c.Signature != ""
	case "redacted_thinking":
		c.Kind, c.Signature, c.Content = router.KindReasoning, b.Get("data").String(), true
	case "tool_use":
		c.Kind, c.Call, c.Content = router.KindCall, d.calls, true
		c.CallID, c.Name = b.Get("id").String(), b.Get("name").String()
		if c.CallID == "" { // of a server that is only like it; without an id it would not be the first step of a call
			c.CallID = router.MintID(d.attempt, 0, d.calls)
		}
		if c.Text = "{}"; b.Get("input").IsObject() {
			c.Text = b.Get("input").Raw
		}
		d.calls++
	default:
		c.Content = true
	}
}

// maxBlocks bounds the blocks of a whole answer.
const maxBlocks = 4096

var errTooManyBlocks = errors.New("the answer has more than 4096 blocks")

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
	first := len(steps)
	doc.Get("content").ForEach(func(_, b gjson.Result) bool {
		var c router.Chunk
		d.turn.begin(int64(len(steps)-first), b)
		d.block(&c, b)
		steps = append(steps, c)
		return len(steps)-first <= maxBlocks
	})
	if len(steps)-first > maxBlocks {
		return steps[:first], errTooManyBlocks
	}
	steps = refused(doc, steps)
	var c router.Chunk
	d.stop(&c, doc)
	d.report(&c, doc.Get("usage"))
	d.ended = true
	steps = append(steps, c)
	steps[first].ID, steps[first].Model = doc.Get("id").String(), doc.Get("model").String()
	return steps, nil
}

// refused appends the provider's words for not answering, if it gives any.
func refused(v gjson.Result, steps []router.Chunk) []router.Chunk {
	details := v.Get("stop_details")
	why := details.Get("explanation").String()
	if details.Get("type").Str != "refusal" || why == "" {
		return steps
	}
	return append(steps, router.Chunk{Kind: router.KindRefusal, Text: why, Content: true})
}

// stop reads why the answer ended.
func (d *decoder) stop(c *router.Chunk, v gjson.Result) {
	if c.Native = v.Get("stop_reason").String(); c.Native == "" {
		return
	}
	c.Finish, c.Stopped = finishOf(c.Native), v.Get("stop_sequence").String()
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

// Turn is the answer as Anthropic wants it back, if thinking in it was sealed.
func (d *decoder) Turn() []byte { return d.turn.bytes() }

// Whole tells whether the stop reason and the end mark were there.
func (d *decoder) Whole() bool { return d.stopped && d.ended }

// Usage is what was reported; the figure that came with the stop reason is final.
func (d *decoder) Usage() (ledger.Usage, bool) { return d.usage.ledger(), d.usage.final }
