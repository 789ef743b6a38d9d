package sandbox

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// dialect is one provider's wire format.
type dialect struct {
	provider, name string
	errorEvent     string // SSE event name of an error inside a stream
	textWithFinish bool   // the frame with the finish reason carries the last text
	noCacheWrite   bool   // cache writes are not reported
	hearer
	speaker
}

// hearer reads requests.
type hearer interface {
	route(rest string) route
	secret(h http.Header) string
	peek(r *http.Request, body []byte) glance
	checkHeader(h http.Header) *fault
	read(r *http.Request, body []byte, f *family) (*prompt, *fault)
}

// speaker words answers. A stream is one opening, any number of contents, one
// closing, which carries the finish reason, and one terminator; each may be several
// events or none.
type speaker interface {
	answerID(id string) string
	finish(c *choice) string
	unary(a *answer) any
	opening(out *frames, a *answer)
	content(out *frames, a *answer, i int)
	closing(out *frames, a *answer)
	terminator(out *frames, a *answer)
	ping(out *frames)
	header(h http.Header, request string, f *fault) // f is nil for an answer
	failure(f *fault, request string) any
	models(names []string) any
}

// dialects are the three, by the first part of their paths.
var dialects = map[string]*dialect{
	OpenAI:    {provider: OpenAI, name: "openai-chat", hearer: openaiHearer{}, speaker: openaiSpeaker{}},
	Anthropic: {provider: Anthropic, name: "anthropic-messages", errorEvent: "error", hearer: anthropicHearer{}, speaker: anthropicSpeaker{}},
	Google:    {provider: Google, name: "gemini", textWithFinish: true, noCacheWrite: true, hearer: geminiHearer{}, speaker: geminiSpeaker{}},
}

type route uint8

const (
	routeNone route = iota
	routeGenerate
	routeModels
)

// glance is what a request shows before it is checked.
type glance struct {
	model  string
	stream bool
	array  bool // Gemini: the stream is a JSON array
}

// glanceBody reads the model and the stream flag that a body names itself, for the
// record, as far as a body that is not checked yet can be read.
func glanceBody(body []byte) glance {
	found := gjson.GetManyBytes(body, "model", "stream")
	return glance{model: found[0].Str, stream: found[1].Type == gjson.True}
}

// contentFrames counts the frames before the one with the finish reason.
func (d *dialect) contentFrames(a *answer) int {
	if d.textWithFinish {
		return max(0, a.frames-1)
	}
	return a.frames
}

// parse returns the body if it is a JSON object in UTF-8. encoding/json's check bounds
// the depth, which gjson would follow down.
func parse(body []byte) (gjson.Result, bool) {
	if !utf8.Valid(body) || !json.Valid(body) {
		return gjson.Result{}, false
	}
	v := gjson.ParseBytes(body)
	return v, v.IsObject()
}

// list calls each for the items of an array.
func list(v gjson.Result, each func(gjson.Result)) {
	v.ForEach(func(_, item gjson.Result) bool {
		each(item)
		return true
	})
}

// words are the strings of an array, or one string.
func words(v gjson.Result) []string {
	if v.Type == gjson.String {
		return []string{v.Str}
	}
	var all []string
	list(v, func(item gjson.Result) { all = append(all, item.Str) })
	return all
}

// given reports a field that is there and not null.
func given(v gjson.Result) bool { return v.Exists() && v.Type != gjson.Null }

// retryHeaders sets the hints that OpenAI and Anthropic send. A part of a second is
// rounded up, and said exactly beside it.
func retryHeaders(h http.Header, f *fault) {
	if f == nil || f.retry == 0 {
		return
	}
	h.Set("Retry-After", strconv.Itoa(int(math.Ceil(f.retry.Seconds()))))
	if f.retry%time.Second != 0 {
		h.Set("Retry-After-Ms", strconv.FormatInt(f.retry.Milliseconds(), 10))
	}
	h.Set("X-Should-Retry", "true")
}

// join adds the text of a message part to those before it.
func join(text, part string) string {
	if text == "" {
		return part
	}
	return text + "\n" + part
}
