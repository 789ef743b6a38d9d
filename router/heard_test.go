package router_test

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tidwall/gjson"

	"waybill/ledger"
)

// caller is a way to ask: a dialect, streamed or not.
type caller struct {
	dialect ledger.Dialect
	stream  bool
	array   bool // the stream is one JSON array
}

// callers are all ways to ask.
var callers = []caller{
	{ledger.DialectOpenAIChat, true, false}, {ledger.DialectOpenAIResponses, true, false}, {ledger.DialectAnthropicMessages, true, false},
	{ledger.DialectGemini, true, false}, {ledger.DialectGemini, true, true},
	{ledger.DialectOpenAIChat, false, false}, {ledger.DialectOpenAIResponses, false, false}, {ledger.DialectAnthropicMessages, false, false},
	{ledger.DialectGemini, false, false},
}

func (c caller) String() string {
	s := string(c.dialect)
	switch {
	case c.array:
		s += " array"
	case c.stream:
		s += " stream"
	}
	return s
}

// body is a question in the caller's dialect.
func (c caller) body(model, words string) []byte {
	switch c.dialect {
	case ledger.DialectOpenAIChat:
		return fmt.Appendf(nil, `{"model":%q,"stream":%v,"max_completion_tokens":300,"messages":[{"role":"user","content":%q}]}`, model, c.stream, words)
	case ledger.DialectOpenAIResponses:
		return fmt.Appendf(nil, `{"model":%q,"stream":%v,"max_output_tokens":300,"store":false,"input":[{"role":"user","content":%q}]}`, model, c.stream, words)
	case ledger.DialectAnthropicMessages:
		return fmt.Appendf(nil, `{"model":%q,"stream":%v,"max_tokens":300,"messages":[{"role":"user","content":%q}]}`, model, c.stream, words)
	}
	return fmt.Appendf(nil, `{"contents":[{"role":"user","parts":[{"text":%q}]}],"generationConfig":{"maxOutputTokens":300}}`, words)
}

// heard is what a client of a dialect makes of the bytes that it got, read by the provider's description and by none of our
// own readers.
type heard struct {
	text     string
	finished bool   // something says that the answer has its end
	errors   int    // events that say it has none
	said     string // the last of them
	last     bool   // the last event is one of them
	broken   string // what no client can read
}

func (c caller) hear(b []byte) (h heard) {
	for _, doc := range c.documents(b, &h) {
		if !gjson.Valid(doc) {
			h.broken = doc
			return h
		}
		h.last = false
		c.take(gjson.Parse(doc), &h)
	}
	return h
}

// documents are the JSON texts of an answer.
func (c caller) documents(b []byte, h *heard) (docs []string) {
	switch {
	case len(b) == 0:
		return nil
	case c.array:
		var all []json.RawMessage
		if err := json.Unmarshal(b, &all); err != nil {
			h.broken = string(b)
		}
		for _, d := range all {
			docs = append(docs, string(d))
		}
		return docs
	case !c.stream:
		return []string{string(b)}
	}
	for _, frame := range strings.Split(strings.TrimSuffix(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n\n"), "\n\n") {
		name, data := "", ""
		for _, line := range strings.Split(frame, "\n") {
			if s, ok := strings.CutPrefix(line, "event: "); ok {
				name = s
			} else if s, ok := strings.CutPrefix(line, "data: "); ok {
				data += s
			} else if !strings.HasPrefix(line, ":") {
				h.broken = line
			}
		}
		switch {
		case data == "[DONE]":
			h.finished, h.last = true, false
		case data != "":
			if name != "" && name != gjson.Get(data, "type").Str {
				h.broken = frame
			}
			docs = append(docs, data)
		}
	}
	return docs
}

// take reads one event, or the whole answer.
func (c caller) take(doc gjson.Result, h *heard) {
	if e := doc.Get("error"); e.IsObject() || doc.Get("type").Str == "error" {
		h.fault(doc)
		return
	}
	kind := doc.Get("type").Str
	switch {
	case c.dialect == ledger.DialectOpenAIChat:
		choice := doc.Get("choices.0")
		h.text += choice.Get("delta.content").Str + choice.Get("message.content").Str
		h.finished = h.finished || choice.Get("finish_reason").Type != gjson.Null
	case c.dialect == ledger.DialectGemini:
		for _, p := range doc.Get("candidates.0.content.parts.#.text").Array() {
			h.text += p.Str
		}
		h.finished = h.finished || doc.Get("candidates.0.finishReason").Exists()
	case c.dialect == ledger.DialectAnthropicMessages && c.stream:
		h.text += doc.Get("content_block.text").Str + doc.Get("delta.text").Str
		h.finished = h.finished || kind == "message_stop" || doc.Get("delta.stop_reason").Type == gjson.String
	case c.dialect == ledger.DialectAnthropicMessages:
		h.text += doc.Get("content.0.text").Str
		h.finished = h.finished || doc.Get("stop_reason").Type == gjson.String
	case c.stream:
		if kind == "response.failed" { // which some clients wait for, while others raise the error event before it
			h.last = true
		}
		if kind == "response.output_text.delta" {
			h.text += doc.Get("delta").Str
		}
		h.finished = h.finished || kind == "response.completed" || kind == "response.incomplete" ||
			kind == "response.output_item.done" && doc.Get("item.status").Str == "completed"
	default:
		for _, item := range doc.Get("output").Array() {
			h.text += item.Get("content.0.text").Str
		}
		h.finished = h.finished || doc.Get("status").Str == "completed"
	}
}

func (h *heard) fault(doc gjson.Result) {
	h.errors++
	h.last, h.said = true, doc.Raw
}
