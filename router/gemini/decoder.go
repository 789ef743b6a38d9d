package gemini

import (
	"errors"
	"strings"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
)

// decoder reads a generateContent answer, whole or as a stream of partial ones.
type decoder struct {
	named    bool // the answer's id and model have been told
	tiered   bool // its service tier has
	answers  router.Answers
	called   [router.MaxAnswers]bool // the candidate calls a tool
	usage    ledger.Usage
	reported bool
}

// Frame reads one partial answer. There is no end mark: the stream just ends.
func (d *decoder) Frame(data []byte, steps []router.Chunk) ([]router.Chunk, error) {
	doc, err := router.Document(data)
	if err != nil {
		return steps, err
	}
	first := len(steps)
	steps, err = d.candidates(doc, steps)
	if err != nil {
		return steps, err
	}
	if len(steps) == first {
		steps = append(steps, router.Chunk{Report: doc.Get("usageMetadata").IsObject()})
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
	first := len(steps)
	if steps, err = d.candidates(doc, steps); err != nil {
		return steps, err
	}
	if len(steps) == first {
		return steps, errors.New("the answer has no candidates")
	}
	d.name(&steps[first], doc)
	return steps, nil
}

// candidates reads the answers side by side. A prompt that was blocked has none of them, and is an answer that
// was filtered.
func (d *decoder) candidates(doc gjson.Result, steps []router.Chunk) ([]router.Chunk, error) {
	if e := doc.Get("error"); e.Exists() && e.Type != gjson.Null {
		return steps, d.Refusal(0, doc)
	}
	d.readUsage(doc.Get("usageMetadata"))
	before := len(steps)
	var err error
	doc.Get("candidates").ForEach(func(_, v gjson.Result) bool {
		if len(steps) == router.MaxAnswers {
			err = router.ErrTooManyAnswers
			return false
		}
		var c router.Chunk
		if c, err = d.candidate(v); err != nil {
			return false
		}
		steps = append(steps, c)
		return true
	})
	if err != nil || len(steps) > before || d.answers.Any() {
		return steps, err
	}
	if reason := doc.Get("promptFeedback.blockReason").String(); reason != "" {
		steps = append(steps, router.Chunk{Finish: router.FinishFiltered, Native: reason})
		err = d.answers.Step(0, true)
	}
	return steps, err
}

func (d *decoder) candidate(v gjson.Result) (router.Chunk, error) {
	c := router.Chunk{Kind: router.KindText}
	index := v.Get("index").Int()
	if err := d.answers.Step(index, false); err != nil {
		return c, err
	}
	c.Index = int(index)
	d.parts(&c, v.Get("content.parts"))
	c.Native = v.Get("finishReason").String()
	finish, broken := finishOf(c.Native)
	if broken {
		return c, &router.UpstreamError{
			Class: router.ClassServerError, Code: c.Native, Message: v.Get("finishMessage").String(),
		}
	}
	if finish == router.FinishStop && d.called[c.Index] {
		finish = router.FinishTool // which Gemini has no word for
	}
	c.Finish = finish
	return c, d.answers.Step(index, finish != "")
}

// parts reads what a candidate says. A thought is content but not text; a signature alone is neither.
func (d *decoder) parts(c *router.Chunk, parts gjson.Result) {
	var several strings.Builder
	parts.ForEach(func(_, p gjson.Result) bool {
		var text gjson.Result
		thought, other := false, false
		p.ForEach(func(key, v gjson.Result) bool {
			switch key.Str {
			case "text":
				text = v
			case "thought":
				thought = v.Bool()
			case "thoughtSignature", "partMetadata":
			case "functionCall":
				d.called[c.Index], other = true, true
			default:
				other = true
			}
			return true
		})
		c.Content = c.Content || other || text.Str != ""
		switch {
		case thought || text.Str == "":
		case c.Text == "":
			c.Text = text.Str
		default:
			if several.Len() == 0 {
				several.WriteString(c.Text)
			}
			several.WriteString(text.Str)
		}
		return true
	})
	if several.Len() > 0 {
		c.Text = several.String()
	}
}

// finishOf reads a finish reason. Broken are those of an answer that no caller can use. One that is not known
// is an end all the same, and Native tells it.
func finishOf(native string) (finish router.Finish, broken bool) {
	switch native {
	case "", "FINISH_REASON_UNSPECIFIED":
		return "", false
	case "MAX_TOKENS", "CONTINUATION": // the rest would be another billed call
		return router.FinishLength, false
	case "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "OTHER",
		"IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "IMAGE_OTHER", "NO_IMAGE":
		return router.FinishFiltered, false
	case "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS":
		return "", true
	}
	return router.FinishStop, strings.HasPrefix(native, "MALFORMED_")
}

// name tells the answer's id, model and service tier on the first step that knows them.
func (d *decoder) name(c *router.Chunk, doc gjson.Result) {
	if !d.named {
		c.ID, c.Model = doc.Get("responseId").String(), doc.Get("modelVersion").String()
		d.named = c.ID != "" || c.Model != ""
	}
	if !d.tiered {
		c.Tier = tierOf(doc.Get("usageMetadata.trafficType").String())
		d.tiered = c.Tier != ""
	}
}

// tierOf reads a traffic type by the name that the request has for the tier.
func tierOf(traffic string) string {
	switch traffic {
	case "ON_DEMAND":
		return "standard"
	case "ON_DEMAND_FLEX":
		return "flex"
	case "ON_DEMAND_PRIORITY":
		return "priority"
	}
	return ""
}

// readUsage maps Gemini's convention: promptTokenCount includes what was read from the cache and leaves out
// what tools brought in, and candidatesTokenCount leaves out the thoughts, which are billed as output. In a
// stream each report is the total so far, so that the last one counts.
func (d *decoder) readUsage(u gjson.Result) {
	if !u.IsObject() || u.Raw == "{}" {
		return
	}
	n := ledger.Usage{
		Input:     u.Get("promptTokenCount").Int(),
		CacheRead: u.Get("cachedContentTokenCount").Int(),
		Output:    u.Get("candidatesTokenCount").Int(),
	}.Clamped()
	tools := ledger.Usage{Input: u.Get("toolUsePromptTokenCount").Int()}.Clamped().Input
	thoughts := ledger.Usage{Output: u.Get("thoughtsTokenCount").Int()}.Clamped().Output
	n.Input = max(0, n.Input+tools-n.CacheRead)
	n.Output, n.Reasoning = n.Output+thoughts, thoughts
	d.usage, d.reported = n, true
}

// Turn is nothing yet.
func (d *decoder) Turn() []byte { return nil }

// Whole tells whether each candidate has its finish reason, or the prompt was blocked.
func (d *decoder) Whole() bool { return d.answers.Whole() }

// Usage is what was reported; the figure that stands when every candidate has ended is final, if the stream
// ends there.
func (d *decoder) Usage() (ledger.Usage, bool) { return d.usage, d.reported && d.Whole() }
