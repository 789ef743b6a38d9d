package responses

import (
	"cmp"
	"errors"
	"io"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
	"waybill/router/openai"
)

// Bounds of one answer. No real one comes near them.
const (
	maxItems = 1024
	maxSteps = 4096 // that one frame or body makes
)

var (
	errTooManyItems = errors.New("the answer has more than 1024 items")
	errTooManySteps = errors.New("an event of the answer has more than 4096 parts")
)

// decoder reads a Responses answer.
type decoder struct {
	attempt string
	keeps   bool // the whole answer may be wanted back from us
	kept    int  // of it, in bytes

	named    bool            // the answer's id and model have been told
	items    map[int64]*item // by their place in the output
	calls    int
	ended    bool // the terminal event has come
	usage    ledger.Usage
	reported bool
	sealed   bool // an item has sealed reasoning
}

// item is one of the output.
type item struct {
	call    int    // which of the calls, if it is one
	begun   bool   // it is a call whose beginning has been told
	said    bool   // what it says has been told, at least in part
	summary int64  // the part of its summary that was told last, counted from 1
	done    bool   // the whole has come
	raw     string // the whole, where it is to be remembered
}

// Frame reads one event.
func (d *decoder) Frame(data []byte, steps []router.Chunk) ([]router.Chunk, error) {
	doc, err := router.Document(data)
	if err != nil {
		return steps, err
	}
	switch kind := doc.Get("type").Str; kind {
	case "response.created", "response.in_progress", "response.queued":
		var c router.Chunk
		d.name(&c, doc.Get("response"))
		return append(steps, c), nil
	case "response.output_text.delta":
		return d.delta(doc, router.KindText, steps)
	case "response.refusal.delta":
		return d.delta(doc, router.KindRefusal, steps)
	case "response.reasoning_summary_text.delta", "response.reasoning_text.delta":
		return d.delta(doc, router.KindReasoning, steps)
	case "response.function_call_arguments.delta":
		return d.delta(doc, router.KindCall, steps)
	case "response.output_item.added":
		return d.added(doc, steps)
	case "response.output_item.done":
		return d.done(doc.Get("output_index").Int(), doc.Get("item"), steps)
	case "response.completed", "response.incomplete":
		if steps, err = d.end(doc.Get("response"), steps); err != nil {
			return steps, err
		}
		return steps, io.EOF
	case "response.failed":
		d.readUsage(doc.Get("response.usage"))
		return steps, failed(doc.Get("response"))
	case "error":
		return steps, openai.Refusal(0, doc)
	default:
		if kind == "" && router.Given(doc, "error") {
			return steps, openai.Refusal(0, doc)
		}
		return append(steps, router.Chunk{Content: !quiet[kind] && (router.Given(doc, "output_index") || router.Given(doc, "item_id"))}), nil
	}
}

// quiet are the events about an item that add nothing to it: they begin something empty, or say again what has come.
// Any other event about an item is content, known to us or not.
var quiet = map[string]bool{
	"response.content_part.added":           true,
	"response.content_part.done":            true,
	"response.output_text.done":             true,
	"response.refusal.done":                 true,
	"response.function_call_arguments.done": true,
	"response.reasoning_summary_part.added": true,
	"response.reasoning_summary_part.done":  true,
	"response.reasoning_summary_text.done":  true,
	"response.reasoning_text.done":          true,
}

// at finds the item with a place in the output, or begins it.
func (d *decoder) at(index int64) (*item, error) {
	if i, ok := d.items[index]; ok {
		return i, nil
	}
	if len(d.items) == maxItems {
		return nil, errTooManyItems
	}
	if d.items == nil {
		d.items = make(map[int64]*item, 4)
	}
	i := &item{}
	d.items[index] = i
	return i, nil
}

// delta reads a piece of what an item says.
func (d *decoder) delta(doc gjson.Result, kind router.Kind, steps []router.Chunk) ([]router.Chunk, error) {
	i, err := d.at(doc.Get("output_index").Int())
	if err != nil {
		return steps, err
	}
	if kind == router.KindCall && !i.begun { // its name is not known yet: the finished item tells all
		return append(steps, router.Chunk{}), nil
	}
	c := router.Chunk{Kind: kind, Text: doc.Get("delta").Str}
	c.Content = c.Text != ""
	i.said = i.said || c.Content
	switch kind {
	case router.KindCall:
		c.Call = i.call
	case router.KindReasoning:
		part := doc.Get("summary_index").Int() + 1
		if i.summary != 0 && i.summary != part {
			c.Text = paragraph + c.Text
		}
		i.summary = part
	}
	return append(steps, c), nil
}

// added reads the beginning of an item.
func (d *decoder) added(doc gjson.Result, steps []router.Chunk) ([]router.Chunk, error) {
	i, err := d.at(doc.Get("output_index").Int())
	if err != nil {
		return steps, err
	}
	it := doc.Get("item")
	switch it.Get("type").Str {
	case "message", "reasoning":
		return append(steps, router.Chunk{}), nil
	case "function_call":
		if i.begun {
			return append(steps, router.Chunk{}), nil
		}
		return append(steps, d.call(i, it)), nil
	}
	return append(steps, router.Chunk{Content: true}), nil
}

// call begins a call.
func (d *decoder) call(i *item, it gjson.Result) router.Chunk {
	i.begun, i.call = true, d.calls
	d.calls++
	id := cmp.Or(it.Get("call_id").Str, it.Get("id").Str)
	if id == "" {
		id = router.MintID(d.attempt, 0, i.call)
	}
	return router.Chunk{Kind: router.KindCall, Call: i.call, CallID: id, Name: it.Get("name").Str, Content: true}
}

// Whole tells whether the terminal event has come.
func (d *decoder) Whole() bool { return d.ended }

// Usage is what was reported, which is final since it comes with the terminal event alone.
func (d *decoder) Usage() (ledger.Usage, bool) { return d.usage, d.reported }

// Refusal reads an error answer.
func (d *decoder) Refusal(status int, body gjson.Result) *router.UpstreamError {
	if body.Get("object").Str == "response" && status == 200 {
		return failed(body)
	}
	return openai.Refusal(status, body)
}

// name tells the answer's id and model on the first step that knows them.
func (d *decoder) name(c *router.Chunk, response gjson.Result) {
	if !d.named {
		c.ID, c.Model = response.Get("id").Str, response.Get("model").Str
		d.named = c.ID != "" || c.Model != ""
	}
}
