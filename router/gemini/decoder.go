package gemini

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
)

// decoder reads a generateContent answer, whole or as a stream of partial ones.
type decoder struct {
	attempt  string // from which the ids of calls are made that have none
	named    bool   // the answer's id and model have been told
	tiered   bool   // its service tier has
	answers  router.Answers
	calls    [router.MaxAnswers]int // made by each of the candidates
	foreign  bool                   // the caller speaks another dialect
	turn     *turn                  // the answer as Gemini wants it back; nil if nobody will ask for it
	media    string                 // a kind of content in it, such as image/png, that only callers of this dialect can be shown
	usage    ledger.Usage
	reported bool
}

// maxSteps bounds the parts that one partial answer, or a whole one, can have.
const maxSteps = 4096

var errTooManySteps = errors.New("the answer has more than 4096 parts")

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
	told := d.readUsage(doc.Get("usageMetadata"))
	before := len(steps)
	var err error
	doc.Get("candidates").ForEach(func(_, v gjson.Result) bool {
		steps, err = d.candidate(v, steps)
		return err == nil
	})
	if len(steps) > before && !told {
		d.reported = false // what was told before leaves out what was said since
	}
	if err != nil || len(steps) > before || d.answers.Any() {
		return steps, err
	}
	if reason := doc.Get("promptFeedback.blockReason").String(); reason != "" {
		steps = append(steps, router.Chunk{Finish: router.FinishFiltered, Native: reason})
		err = d.answers.Step(0, true)
	}
	return steps, err
}

// candidate reads what is said of one of the answers: a step a part, of which the last tells why it ended.
func (d *decoder) candidate(v gjson.Result, steps []router.Chunk) ([]router.Chunk, error) {
	index := v.Get("index").Int()
	if err := d.answers.Step(index, false); err != nil {
		return steps, err
	}
	before := len(steps)
	v.Get("content.parts").ForEach(func(_, p gjson.Result) bool {
		steps = append(steps, d.part(p, int(index)))
		return len(steps) < maxSteps
	})
	native := v.Get("finishReason").String()
	finish, broken := finishOf(native)
	switch {
	case len(steps) >= maxSteps:
		return steps[:before], errTooManySteps
	case d.media != "" && d.foreign: // the other dialects' answers are text
		return steps[:before], &router.UpstreamError{Class: router.ClassBadRequest, Code: "unsupported_content",
			Message: fmt.Sprintf("its answer has content of type %.64q, which can be had in Gemini's dialect alone", d.media)}
	case broken:
		return steps[:before], &router.UpstreamError{
			Class: router.ClassServerError, Code: native, Message: v.Get("finishMessage").String(), Provoked: true,
		}
	case finish == router.FinishStop && d.calls[index] > 0:
		finish = router.FinishTool // which Gemini has no word for
	}
	if len(steps) == before {
		steps = append(steps, router.Chunk{Index: int(index)})
	}
	last := &steps[len(steps)-1]
	last.Finish, last.Native = finish, native
	return steps, d.answers.Step(index, finish != "")
}

// part reads one part. A signature alone is no content; what is not known is.
func (d *decoder) part(p gjson.Result, index int) router.Chunk {
	c := router.Chunk{Index: index}
	var text, call gjson.Result
	thought, other := false, false
	p.ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "text":
			text = v
		case "thought":
			thought = v.Bool()
		case "thoughtSignature":
			c.Signature = standard(v.String())
		case "functionCall":
			call = v
		case "partMetadata":
		case "inlineData", "fileData":
			d.media, other = cmp.Or(v.Get("mimeType").String(), key.Str), true
		default:
			other = true
		}
		return true
	})
	switch {
	case call.IsObject():
		c.Kind, c.Content, c.Call, c.Name = router.KindCall, true, d.calls[index], call.Get("name").String()
		if c.Text = call.Get("args").Raw; c.Text == "" || c.Text == "null" {
			c.Text = "{}"
		}
		if c.CallID = call.Get("id").String(); c.CallID == "" {
			c.CallID = router.MintID(d.attempt, index, c.Call)
		}
		d.calls[index]++
	case other:
		c.Content = true
	case thought:
		c.Kind, c.Text, c.Content = router.KindReasoning, text.Str, text.Str != ""
	case text.Exists():
		c.Kind, c.Text, c.Content = router.KindText, text.Str, text.Str != ""
	}
	if d.turn != nil && index == 0 {
		d.turn.add(p, c)
	}
	return c
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
// stream each report is the total so far, so that the last one counts. One without any count, of the tier alone, is none.
func (d *decoder) readUsage(u gjson.Result) (told bool) {
	if !u.Get("promptTokenCount").Exists() && !u.Get("candidatesTokenCount").Exists() && !u.Get("totalTokenCount").Exists() {
		return false
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
	return true
}

// Turn is the parts of the first candidate as a JSON list, if one of them is sealed.
func (d *decoder) Turn() []byte {
	if d.turn == nil || d.calls[0] == 0 {
		return nil
	}
	return d.turn.whole()
}

// Whole tells whether each candidate has its finish reason, or the prompt was blocked.
func (d *decoder) Whole() bool { return d.answers.Whole() }

// Usage is what was reported; the figure that stands when every candidate has ended is final, if the stream
// ends there.
func (d *decoder) Usage() (ledger.Usage, bool) { return d.usage, d.reported && d.Whole() }
