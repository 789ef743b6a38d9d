package routertest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"waybill/ledger"
	"waybill/router"
)

// Client is a dialect as callers speak it.
type Client interface {
	Dialect() ledger.Dialect
	// Write is the call that says a scenario; what the dialect has no words for is an error.
	Write(a Ask, model string) (router.Incoming, error)
	// Read understands a whole unary answer, Stream a streamed one. What the dialect does not allow is an error.
	Read(body []byte, a Ask) (*Answer, error)
	Stream(body []byte, a Ask) (*Answer, error)
	// Fault understands an error's body.
	Fault(status int, body []byte) (*Fault, error)
	// Type is the dialect's word for errors with a status.
	Type(status int) string
	// Field is the dialect's name for a field of an Ask, as an error about it begins.
	Field(name string) string
}

// Clients are the dialects that callers speak. A new one is a line here.
var Clients = []Client{chatClient{}, responsesClient{}, messagesClient{}, geminiClient{}}

// object is JSON by name.
type object = map[string]any

// unsaid is what a dialect cannot say.
func unsaid(what string) error { return fmt.Errorf("the dialect has no words for %s", what) }

func raw(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // what a scenario is made of always is JSON
	}
	return b
}

// decode reads JSON into T.
func decode[T any](b []byte) (v T, err error) {
	d := json.NewDecoder(bytes.NewReader(b))
	if err = d.Decode(&v); err != nil {
		return v, fmt.Errorf("%w in %.200s", err, b)
	}
	return v, nil
}

// event is one server-sent event.
type event struct{ name, data string }

// events reads a stream as the HTML standard says, and refuses what is left over without a blank line.
func events(body []byte, comments bool) (out []event, err error) {
	text := strings.ReplaceAll(string(body), "\r\n", "\n")
	var e event
	var some bool
	for len(text) > 0 {
		line, rest, ok := strings.Cut(text, "\n")
		if !ok {
			return out, fmt.Errorf("the stream ends within the line %q", line)
		}
		text = rest
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "" && some:
			out = append(out, e)
			e, some = event{}, false
		case line == "":
		case name == "" && !comments:
			return out, fmt.Errorf("a comment, which the dialect's clients do not bear: %q", line)
		case name == "":
		case name == "event":
			e.name = value
		case name == "data" && some:
			e.data += "\n" + value
		case name == "data":
			e.data, some = value, true
		}
	}
	if some {
		return out, fmt.Errorf("the last event has no blank line: %q", e.data)
	}
	return out, nil
}

// canonical is JSON text without the freedom of writing it, for comparing.
func canonical(text string) string {
	var v any
	if json.Unmarshal([]byte(text), &v) != nil {
		return "not JSON: " + text
	}
	return string(raw(v))
}
