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
	anyArguments   bool   // a call's arguments are text, which need not be an object
	wholeCalls     bool   // a call is one content frame
	silentEmpty    bool   // a call without arguments has no fragments
	hearer
	speaker
}

// hearer reads requests.
type hearer interface {
	secret(h http.Header) string
	peek(r *http.Request, body []byte) glance
	checkHeader(h http.Header) *fault
	read(r *http.Request, v gjson.Result, f *family) (*prompt, *fault)
	unreadable() *fault // a body that is no JSON object
}

// speaker words answers. A stream is one opening, any number of contents, one
// closing, which carries the finish reason, and one terminator; each may be several
// events or none.
type speaker interface {
	answerID(id string) string
	callID(hash string) string // of a tool call
	finish(c *choice) string
	unary(a *answer) any
	opening(out *frames, a *answer)
	content(out *frames, a *answer, i int)
	closing(out *frames, a *answer)
	terminator(out *frames, a *answer)
	ping(out *frames)
	header(h http.Header, request string, f *fault) // f is nil for an answer
	failure(f *fault, request string) any
}

// breaker is a speaker that words an error inside a stream differently once it has begun.
type breaker interface {
	breakOff(out *frames, a *answer, f *fault, begun bool)
}

var (
	chatDialect = &dialect{provider: OpenAI, name: "openai-chat", anyArguments: true, hearer: openaiHearer{}, speaker: openaiSpeaker{}}

	responsesDialect = &dialect{provider: OpenAI, name: "openai-responses", anyArguments: true, hearer: responsesHearer{}, speaker: responsesSpeaker{}}

	messagesDialect = &dialect{provider: Anthropic, name: "anthropic-messages", errorEvent: "error", silentEmpty: true,
		hearer: anthropicHearer{}, speaker: anthropicSpeaker{}}

	geminiDialect = &dialect{provider: Google, name: "gemini", textWithFinish: true, noCacheWrite: true, wholeCalls: true,
		hearer: geminiHearer{}, speaker: geminiSpeaker{}}
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
