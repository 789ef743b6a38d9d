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
	attempt string // the id of the attempt, of which ids of calls are made
	endless bool   // the provider's streams end without an end mark
	own     bool   // the caller speaks this dialect, and so brings everything back itself
	keeps   bool   // what it says may be wanted back from us
	long    bool   // what is written into the cache is to live there for the longer of two lifetimes

	named    bool // the answer's id and model have been told
	tiered   bool // its service tier has
	answers  router.Answers
	calls    [router.MaxAnswers]*calling // of each answer, once it calls a tool
	ended    bool                        // the end mark has come
	usage    ledger.Usage
	reported bool
	turn     turn
	nameless int // bytes of arguments that came before the names of their calls
}

func newDecoder(c router.Call, own bool) *decoder {
	return &decoder{attempt: c.Attempt, endless: c.Quirks.NoDone, own: own, keeps: c.Keeps(ledger.DialectOpenAIChat), long: own && c.Request.LongWrites}
}

// document is the members of one chunk, or of one answer, that are read.
type document struct{ choices, usage, groq, fault, id, model, tier gjson.Result }

func members(doc gjson.Result) (m document) {
	doc.ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "choices":
			m.choices = v
		case "usage":
			m.usage = v
		case "x_groq":
			m.groq = v.Get("usage")
		case "error":
			m.fault = v
		case "id":
			m.id = v
		case "model":
			m.model = v
		case "service_tier":
			m.tier = v
		}
		return true
	})
	return m
}

// Frame reads one chunk, or the end mark.
func (d *decoder) Frame(data []byte, steps []router.Chunk) ([]router.Chunk, error) {
	if bytes.HasPrefix(data, []byte("[DONE]")) {
		d.ended = true
		return append(steps, router.Chunk{End: true}), io.EOF
	}
	return d.read(data, "delta", steps)
}

// Body reads a whole answer.
func (d *decoder) Body(body []byte, steps []router.Chunk) ([]router.Chunk, error) {
	first := len(steps)
	steps, err := d.read(body, "message", steps)
	if err != nil {
		return steps, err
	}
	if len(steps) == first || !d.answers.Any() {
		return steps, errors.New("the answer has no choices")
	}
	d.ended = true
	return steps, nil
}

// read reads a document whose choices say something in a delta or in a message.
func (d *decoder) read(data []byte, says string, steps []router.Chunk) ([]router.Chunk, error) {
	doc, err := router.Document(data)
	if err != nil {
		return steps, err
	}
	m := members(doc)
	if m.fault.Type != gjson.Null {
		return steps, d.Refusal(0, doc)
	}
	first := len(steps)
	if steps, err = d.choices(m.choices, says, steps); err != nil {
		return steps, err
	}
	d.readUsage(m.usage)
	d.readUsage(m.groq)
	if len(steps) == first {
		steps = append(steps, router.Chunk{Report: m.usage.IsObject()})
	}
	d.name(&steps[first], m)
	return steps, nil
}

// choices reads the answers side by side.
func (d *decoder) choices(list gjson.Result, says string, steps []router.Chunk) (_ []router.Chunk, err error) {
	n := 0
	list.ForEach(func(_, choice gjson.Result) bool {
		if n++; n > router.MaxAnswers {
			err = router.ErrTooManyAnswers
			return false
		}
		steps, err = d.choice(choice, says, steps)
		return err == nil
	})
	return steps, err
}

// choice reads what one document adds to one of the answers.
func (d *decoder) choice(choice gjson.Result, says string, steps []router.Chunk) ([]router.Chunk, error) {
	var index int64
	var native string
	var said gjson.Result
	choice.ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "index":
			index = v.Int()
		case "finish_reason":
			native = v.String()
		case says:
			said = v
		case "usage": // some servers have it here
			d.readUsage(v)
		}
		return true
	})
	finish, err := finishOf(native)
	if err == nil {
		err = d.answers.Step(index, finish != "")
	}
	if err != nil {
		return steps, err
	}
	a := answer{decoder: d, index: int(index), steps: steps}
	if err := a.read(said); err != nil {
		return steps, err
	}
	if len(a.steps) == len(steps) {
		a.add(router.Chunk{})
	}
	if finish != "" {
		a.finish(finish, native)
	}
	return a.steps, nil
}

// finishOf reads a finish reason. A word that is not known is an end all the same, and Native tells it; but some
// servers have words for an answer that failed.
func finishOf(native string) (router.Finish, error) {
	switch native {
	case "":
		return "", nil
	case "length", "max_tokens", "model_length":
		return router.FinishLength, nil
	case "tool_calls", "function_call":
		return router.FinishTool, nil
	case "content_filter":
		return router.FinishFiltered, nil
	case "error", "abort":
		return "", &router.UpstreamError{Class: router.ClassServerError, Code: native, Message: "the answer ended with an error"}
	case "insufficient_system_resource": // DeepSeek's
		return "", &router.UpstreamError{Class: router.ClassOverloaded, Code: native, Message: "the answer was interrupted"}
	}
	return router.FinishStop, nil
}

// name tells the answer's id, model and service tier on the first step that knows them.
func (d *decoder) name(c *router.Chunk, m document) {
	if !d.named {
		c.ID, c.Model = m.id.String(), m.model.String()
		d.named = c.ID != "" || c.Model != ""
	}
	if !d.tiered {
		c.Tier = m.tier.String()
		d.tiered = c.Tier != ""
	}
}

// Turn is what the provider wants back with the results of the tools that it called.
func (d *decoder) Turn() []byte {
	if d.own || !d.Whole() || d.calls[0] == nil {
		return nil
	}
	return d.turn.message(d.calls[0].list)
}

// Whole tells whether each answer has its finish reason and the end mark was there, where the provider has one.
func (d *decoder) Whole() bool { return (d.ended || d.endless) && d.answers.Whole() }

// Usage is what was reported. Some servers report running figures, so that only the one that stands when
// every answer has ended is final.
func (d *decoder) Usage() (ledger.Usage, bool) {
	return d.usage, d.reported && d.answers.Whole()
}
