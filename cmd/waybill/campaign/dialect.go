package campaign

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/tidwall/gjson"
)

// dialect is how callers ask in one wire format, and how they read what they get.
type dialect struct {
	name     string
	path     string // MODEL in it is the model
	streamed string // path of a stream; empty: the same
	body     string // of model, stream and prompt
	frame    func(frame gjson.Result, a *shown)
}

// shown is what an answer shows to who reads it.
type shown struct {
	whole                    bool // clients read no further
	counted                  bool // it says what was used
	input, output, reasoning int64
	thinks                   bool // it says what of the output was reasoning
}

// dialects are those that callers speak. Each reads frames: of an answer that is not streamed there is one.
var dialects = []dialect{
	{"chat", "/v1/chat/completions", "",
		`{"model":%[1]q,"stream":%[2]t,"max_completion_tokens":200,"messages":[{"role":"user","content":%[3]q}]}`,
		func(f gjson.Result, a *shown) {
			a.whole = a.whole || f.Get("choices.0.finish_reason").String() != ""
			if u := f.Get("usage"); u.IsObject() {
				a.counted, a.thinks = true, true
				a.input, a.output, a.reasoning = u.Get("prompt_tokens").Int(), u.Get("completion_tokens").Int(), u.Get("completion_tokens_details.reasoning_tokens").Int()
			}
		}},
	{"responses", "/v1/responses", "",
		`{"model":%[1]q,"stream":%[2]t,"max_output_tokens":200,"store":false,"input":%[3]q}`,
		func(f gjson.Result, a *shown) {
			if r := f.Get("response"); r.IsObject() {
				f = r
			}
			if s := f.Get("status").String(); f.Get("object").String() != "response" || s != "completed" && s != "incomplete" {
				return
			}
			u := f.Get("usage")
			a.whole, a.counted, a.thinks = true, u.IsObject(), true
			a.input, a.output, a.reasoning = u.Get("input_tokens").Int(), u.Get("output_tokens").Int(), u.Get("output_tokens_details.reasoning_tokens").Int()
		}},
	{"messages", "/v1/messages", "",
		`{"model":%[1]q,"stream":%[2]t,"max_tokens":200,"messages":[{"role":"user","content":%[3]q}]}`,
		func(f gjson.Result, a *shown) {
			a.whole = a.whole || f.Get("delta.stop_reason").String() != "" || f.Get("stop_reason").String() != ""
			for _, u := range []gjson.Result{f.Get("message.usage"), f.Get("usage")} {
				if n := u.Get("input_tokens"); n.Exists() {
					a.input = n.Int() + u.Get("cache_read_input_tokens").Int() + u.Get("cache_creation_input_tokens").Int()
				}
				if n := u.Get("output_tokens"); n.Exists() {
					a.counted, a.output = true, n.Int()
				}
			}
		}},
	{"gemini", "/v1beta/models/MODEL:generateContent", "/v1beta/models/MODEL:streamGenerateContent?alt=sse",
		`{"contents":[{"role":"user","parts":[{"text":%[3]q}]}],"generationConfig":{"maxOutputTokens":200}}`,
		func(f gjson.Result, a *shown) {
			a.whole = a.whole || f.Get("candidates.0.finishReason").String() != ""
			if u := f.Get("usageMetadata"); u.IsObject() {
				a.counted, a.thinks = true, true
				a.reasoning = u.Get("thoughtsTokenCount").Int()
				a.input, a.output = u.Get("promptTokenCount").Int(), u.Get("candidatesTokenCount").Int()+a.reasoning
			}
		}},
}

// ask is the path and the body of a call.
func (d dialect) ask(model string, stream bool, prompt string) (path, body string) {
	path = d.path
	if stream && d.streamed != "" {
		path = d.streamed
	}
	return strings.ReplaceAll(path, "MODEL", model), fmt.Sprintf(d.body, model, stream, prompt)
}

// read reads an answer, or as much of it as has come.
func (d dialect) read(b []byte, stream bool) (a shown) {
	if !stream {
		if gjson.ValidBytes(b) {
			d.frame(gjson.ParseBytes(b), &a)
		}
		return a
	}
	for line := range bytes.Lines(b) {
		if data, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("data: {")); ok && gjson.ValidBytes(append([]byte("{"), data...)) {
			d.frame(gjson.ParseBytes(append([]byte("{"), data...)), &a)
		}
	}
	return a
}
