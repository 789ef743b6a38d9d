package openai

import (
	"bytes"
	"errors"
	"io"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
)

// decoder reads a Chat Completions answer.
type decoder struct {
	named    bool // the answer's id and model have been told
	tiered   bool // its service tier has
	answers  router.Answers
	ended    bool // the end mark has come
	usage    ledger.Usage
	reported bool
}

// Frame reads one chunk, or the end mark.
func (d *decoder) Frame(data []byte, steps []router.Chunk) ([]router.Chunk, error) {
	if bytes.HasPrefix(data, []byte("[DONE]")) {
		d.ended = true
		return append(steps, router.Chunk{End: true}), io.EOF
	}
	doc, err := router.Document(data)
	if err != nil {
		return steps, err
	}
	if has(doc, "error") {
		return steps, d.Refusal(0, doc)
	}
	first := len(steps)
	if steps, err = d.choices(doc, "delta", steps); err != nil {
		return steps, err
	}
	usage := doc.Get("usage")
	d.readUsage(usage)
	if len(steps) == first {
		steps = append(steps, router.Chunk{Report: usage.IsObject()})
	}
	d.name(&steps[first], doc)
	return steps, nil
}

// Body reads a whole answer.
func (d *decoder) Body(body []byte, steps []router.Chunk) ([]router.Chunk, error) {
	doc, err := router.Document(body)
	if err != nil {
		return steps, err
	}
	if has(doc, "error") {
		return steps, d.Refusal(0, doc)
	}
	first := len(steps)
	if steps, err = d.choices(doc, "message", steps); err != nil {
		return steps, err
	}
	if len(steps) == first {
		return steps, errors.New("the answer has no choices")
	}
	d.ended = true
	d.readUsage(doc.Get("usage"))
	d.name(&steps[first], doc)
	return steps, nil
}

// choices reads the answers side by side, each of which says something in its delta or message.
func (d *decoder) choices(doc gjson.Result, says string, steps []router.Chunk) (_ []router.Chunk, err error) {
	doc.Get("choices").ForEach(func(_, choice gjson.Result) bool {
		if len(steps) == router.MaxAnswers {
			err = router.ErrTooManyAnswers
			return false
		}
		var c router.Chunk
		if c, err = d.choice(choice, choice.Get(says)); err != nil {
			return false
		}
		steps = append(steps, c)
		return true
	})
	return steps, err
}

// choice reads what one chunk adds to one of the answers. Whatever a delta has beside the role is content,
// known to us or not: the caller sees it.
func (d *decoder) choice(choice, delta gjson.Result) (router.Chunk, error) {
	var c router.Chunk
	delta.ForEach(func(key, value gjson.Result) bool {
		if key.Str == "content" && value.Type == gjson.String {
			c.Kind, c.Text = router.KindText, value.Str
		}
		if key.Str != "role" && !empty(value) {
			c.Content = true
		}
		return true
	})
	c.Native = choice.Get("finish_reason").String()
	c.Finish = finishOf(c.Native)
	index := choice.Get("index").Int()
	c.Index = int(index)
	return c, d.answers.Step(index, c.Finish != "")
}

func empty(v gjson.Result) bool {
	switch v.Raw {
	case "null", `""`, "[]", "{}":
		return true
	}
	return false
}

// finishOf reads a finish reason. A word that is not known is an end all the same, and Native tells it.
func finishOf(native string) router.Finish {
	switch native {
	case "":
		return ""
	case "length":
		return router.FinishLength
	case "tool_calls", "function_call":
		return router.FinishTool
	case "content_filter":
		return router.FinishFiltered
	}
	return router.FinishStop
}

// name tells the answer's id, model and service tier on the first step that knows them.
func (d *decoder) name(c *router.Chunk, doc gjson.Result) {
	if !d.named {
		c.ID, c.Model = doc.Get("id").String(), doc.Get("model").String()
		d.named = c.ID != "" || c.Model != ""
	}
	if !d.tiered {
		c.Tier = doc.Get("service_tier").String()
		d.tiered = c.Tier != ""
	}
}

// readUsage maps OpenAI's convention: prompt_tokens includes what was read from and written to the cache, and
// completion_tokens includes reasoning. The count of written tokens is called unadjusted, so the parts may
// exceed their total.
func (d *decoder) readUsage(u gjson.Result) {
	if !u.IsObject() {
		return
	}
	d.usage = ledger.Usage{
		Input:      u.Get("prompt_tokens").Int(),
		CacheRead:  u.Get("prompt_tokens_details.cached_tokens").Int(),
		CacheWrite: u.Get("prompt_tokens_details.cache_write_tokens").Int(),
		Output:     u.Get("completion_tokens").Int(),
		Reasoning:  u.Get("completion_tokens_details.reasoning_tokens").Int(),
	}.Clamped()
	d.usage.Input = max(0, d.usage.Input-d.usage.CacheRead-d.usage.CacheWrite)
	d.reported = true
}

// Turn is nothing: this dialect has no seals.
func (d *decoder) Turn() []byte { return nil }

// Whole tells whether each answer has its finish reason and the end mark was there.
func (d *decoder) Whole() bool { return d.ended && d.answers.Whole() }

// Usage is what was reported. Some servers report running figures, so that only the one that stands when
// every answer has ended is final.
func (d *decoder) Usage() (ledger.Usage, bool) {
	return d.usage, d.reported && d.answers.Whole()
}
