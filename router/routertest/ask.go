package routertest

import (
	"encoding/json"
	"slices"
)

// Ask is what a scenario asks, in no dialect's words. What is zero is not said.
type Ask struct {
	System string
	Turns  []Turn

	Tools  []Tool
	Choice string // auto, none, required, or the name of the one tool
	Serial bool   // one call at a time

	Schema json.RawMessage // of the answer's text
	JSON   bool            // any JSON object

	Cap                  int
	Temperature, TopP    float64
	TopK, N, Seed        int
	Frequency            float64
	Stop                 []string
	Effort               string
	Budget               int
	Thoughts             bool
	Tier                 string
	Verbosity            string
	Hush                 bool // OpenAI Chat: the caller does not ask for usage in a stream
	Unknown              bool // a field that waybill does not know
	Array                bool // Gemini: the stream is one JSON array
	Pings                bool // the upstream keeps its stream alive
	Texts                []string
	Embed, Count, Stream bool
}

// Turn is one turn of a conversation. An assistant's turn that the caller keeps as it came is Raw.
type Turn struct {
	Assistant bool
	System    bool // system text in the middle
	Text      string
	Media     []Media
	Calls     []Call
	Results   []Result
	Raw       []json.RawMessage // the items, messages or contents that the client replays
}

// shown tells whether a result has more to it than text.
func (a Ask) shown() bool {
	return slices.ContainsFunc(a.Turns, func(t Turn) bool {
		return slices.ContainsFunc(t.Results, func(r Result) bool { return r.Media != nil })
	})
}

// Media is an image or a document of the user's, or of a tool's.
type Media struct {
	Document bool
	Type     string
	Data     string // base64
	URL      string
}

// Tool is a function that the model may call.
type Tool struct {
	Name, Description string
	Schema            json.RawMessage
}

// Call is a tool call, its arguments as JSON text.
type Call struct{ ID, Name, Args string }

// Result is what a tool gave back.
type Result struct {
	ID, Name, Text string
	Failed         bool
	Media          []Media // beside its text
}

// Answer is what a caller has understood of an answer.
type Answer struct {
	Texts   []string // by answer
	Thought string
	Refusal string
	Calls   []Call
	Finish  string // stop, length, tool_calls, content_filter; empty: the answer did not say that it ended
	Usage   *Usage
	Tier    string
	Vectors [][]float32
	Tokens  int
	Turn    []json.RawMessage // the assistant's turn as the caller keeps it

	Fault  *Fault // the error, alone or in place of the rest of a stream
	Faults int    // how many of them a stream had
	Ended  bool   // a stream came to the dialect's end
}

// Text is the first answer's.
func (a *Answer) Text() string {
	if len(a.Texts) == 0 {
		return ""
	}
	return a.Texts[0]
}

func (a *Answer) add(index int, text string) {
	for len(a.Texts) <= index {
		a.Texts = append(a.Texts, "")
	}
	a.Texts[index] += text
}

// Usage is what the answer says was used, told apart as far as its dialect does: Cached and Written are inside Input, Reasoning
// is inside Output, whatever the dialect's own convention is.
type Usage struct{ Input, Cached, Written, WrittenLong, Output, Reasoning int }

// Fault is an error as a client's typed errors are made of it.
type Fault struct {
	Status  int
	Type    string // the dialect's type or status word
	Code    string
	Field   string
	Message string
}
