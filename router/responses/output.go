package responses

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
	"waybill/router/openai"
)

// Body reads a whole answer.
func (d *decoder) Body(body []byte, steps []router.Chunk) ([]router.Chunk, error) {
	doc, err := router.Document(body)
	if err != nil {
		return steps, err
	}
	status := doc.Get("status").Str
	switch {
	case status == "failed":
		d.readUsage(doc.Get("usage")) // what was made of it is billed
		return steps, failed(doc)
	case router.Given(doc, "error"):
		return steps, openai.Refusal(0, doc)
	case !doc.Get("output").IsArray():
		return steps, errors.New("the answer has no output")
	case status != "" && status != "completed" && status != "incomplete":
		return steps, fmt.Errorf("the answer has not ended: its status is %.64q", status)
	}
	return d.end(doc, steps)
}

// failed makes an error of an answer that failed with a 200.
func failed(response gjson.Result) *router.UpstreamError {
	e := openai.Refusal(0, response)
	if e.Message == "" {
		e.Message = "the answer failed, and no reason is given"
	}
	return e
}

// end reads the terminal event's response, or the whole body: what of its output has not been told yet, why it ended,
// and the usage.
func (d *decoder) end(response gjson.Result, steps []router.Chunk) (_ []router.Chunk, err error) {
	first := len(steps)
	index := int64(0)
	response.Get("output").ForEach(func(_, it gjson.Result) bool {
		if i := d.items[index]; i == nil || !i.done {
			steps, err = d.done(index, it, steps)
		}
		index++
		return err == nil
	})
	if err != nil {
		return steps, err
	}
	c := router.Chunk{Tier: response.Get("service_tier").Str}
	c.Finish, c.Native = d.finish(response)
	steps = append(steps, c)
	d.name(&steps[first], response)
	d.readUsage(response.Get("usage"))
	d.ended = true
	return steps, nil
}

// finish reads why the answer ended. An answer that calls tools has no word of its own for that, and one that is
// incomplete for a reason that is not known was cut short all the same.
func (d *decoder) finish(response gjson.Result) (router.Finish, string) {
	if response.Get("status").Str == "incomplete" {
		switch reason := response.Get("incomplete_details.reason").Str; reason {
		case "content_filter":
			return router.FinishFiltered, reason
		case "":
			return router.FinishLength, "incomplete"
		default:
			return router.FinishLength, reason
		}
	}
	if d.calls > 0 {
		return router.FinishTool, "completed"
	}
	return router.FinishStop, "completed"
}

// done reads a finished item: what of it has not been told piece by piece, and its seal.
func (d *decoder) done(index int64, it gjson.Result, steps []router.Chunk) ([]router.Chunk, error) {
	i, err := d.at(index)
	if err != nil {
		return steps, err
	}
	first := len(steps)
	if i.done = true; d.keeps {
		d.keep(i, it)
	}
	switch it.Get("type").Str {
	case "message":
		if !i.said {
			steps, err = messageSteps(it, steps)
		}
	case "function_call":
		steps = d.callSteps(i, it, steps)
	case "reasoning":
		steps = d.reasoningSteps(i, it, steps)
	default:
		steps = append(steps, router.Chunk{Content: true})
	}
	i.said = true
	if err == nil && len(steps) == first {
		steps = append(steps, router.Chunk{})
	}
	return steps, err
}

func messageSteps(it gjson.Result, steps []router.Chunk) (_ []router.Chunk, err error) {
	it.Get("content").ForEach(func(_, part gjson.Result) bool {
		c := router.Chunk{Content: true}
		switch part.Get("type").Str {
		case "output_text":
			c.Kind, c.Text = router.KindText, part.Get("text").Str
			c.Content = c.Text != ""
		case "refusal":
			c.Kind, c.Text = router.KindRefusal, part.Get("refusal").Str
		}
		if len(steps) == maxSteps {
			err = errTooManySteps
			return false
		}
		steps = append(steps, c)
		return true
	})
	return steps, err
}

// callSteps tells of a call what is left: all of it if its beginning never came.
func (d *decoder) callSteps(i *item, it gjson.Result, steps []router.Chunk) []router.Chunk {
	arguments := it.Get("arguments").Str
	switch {
	case !i.begun:
		c := d.call(i, it)
		c.Text = arguments
		if c.Text == "" {
			c.Text = "{}"
		}
		return append(steps, c)
	case i.said:
		return steps
	case arguments == "":
		arguments = "{}"
	}
	return append(steps, router.Chunk{Kind: router.KindCall, Call: i.call, Text: arguments, Content: true})
}

// reasoningSteps tells of reasoning what is left, and its seal. The seal that came with the item's beginning may not be
// the whole.
func (d *decoder) reasoningSteps(i *item, it gjson.Result, steps []router.Chunk) []router.Chunk {
	c := router.Chunk{Kind: router.KindReasoning, Signature: it.Get("encrypted_content").Str}
	d.sealed = d.sealed || c.Signature != ""
	if !i.said {
		c.Text = reasoningPart("", it).Text
		if c.Text == "" { // some models show what they think as it is
			for _, part := range it.Get("content").Array() {
				c.Text += part.Get("text").Str
			}
		}
		c.Content = c.Text != ""
	}
	if c.Text == "" && c.Signature == "" {
		return steps
	}
	return append(steps, c)
}

// readUsage maps OpenAI's convention: input_tokens includes what was read from and written to the cache, and
// output_tokens includes reasoning. The count of written tokens is called unadjusted, so the parts may exceed their
// total; it is split by how long the provider keeps them.
func (d *decoder) readUsage(u gjson.Result) {
	if !u.IsObject() {
		return
	}
	in := u.Get("input_tokens_details")
	split := in.Get("cache_write_tokens_details")
	d.usage = ledger.Usage{
		Input:          u.Get("input_tokens").Int(),
		CacheRead:      in.Get("cached_tokens").Int(),
		CacheWrite:     split.Get("ttl_30m_tokens").Int(),
		CacheWriteLong: split.Get("ttl_12h_tokens").Int(),
		Output:         u.Get("output_tokens").Int(),
		Reasoning:      u.Get("output_tokens_details.reasoning_tokens").Int(),
	}.Clamped()
	written := ledger.Usage{CacheWrite: in.Get("cache_write_tokens").Int()}.Clamped().CacheWrite
	d.usage.CacheWrite = max(d.usage.CacheWrite, written-d.usage.CacheWriteLong)
	d.usage.Input = max(0, d.usage.Input-d.usage.CacheRead-d.usage.CacheWrite-d.usage.CacheWriteLong)
	d.reported = true
}

// keep keeps an item for Turn: a copy, for its event may be much larger. Beyond the bound nothing is kept: part of a turn is
// not the turn.
func (d *decoder) keep(i *item, it gjson.Result) {
	if d.kept += len(it.Raw); d.kept <= router.MaxTurn {
		i.raw = strings.Clone(it.Raw)
		return
	}
	d.keeps = false
	for _, i := range d.items {
		i.raw = ""
	}
}

// Turn is the output, item by item as it came, for a caller that has no place for its seals. Reasoning that is not
// sealed would refer to what nobody has stored.
func (d *decoder) Turn() []byte {
	if !d.keeps || !d.sealed || !d.ended {
		return nil
	}
	places := make([]int64, 0, len(d.items))
	for index := range d.items {
		places = append(places, index)
	}
	slices.Sort(places)
	b := []byte{'['}
	for _, index := range places {
		it := gjson.Parse(d.items[index].raw)
		if !it.IsObject() || it.Get("type").Str == "reasoning" && it.Get("encrypted_content").Str == "" {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(b, it.Raw...)
	}
	return append(b, ']')
}
