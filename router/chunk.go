package router

// Finish is why an answer ended, in the canonical vocabulary.
type Finish string

// The reasons for which an answer ends.
const (
	FinishStop     Finish = "stop"           // natural end, or a stop string
	FinishLength   Finish = "length"         // the output cap or the context
	FinishTool     Finish = "tool_calls"     // the model wants a tool called
	FinishFiltered Finish = "content_filter" // refused or blocked by the provider
)

// Chunk is one step of an answer, as every upstream client reports it. A step adds to one part of one answer; a frame,
// or the body of an answer that is not streamed, makes as many steps as it needs. What a Chunk points to is never
// written again: whoever holds one may keep it.
type Chunk struct {
	// Frame is the upstream's bytes: an SSE frame with its blank line, or the whole unary body. Where it makes several
	// steps, the last of them has it.
	Frame []byte
	Index int // which of the answers, where several were asked for; counted from 0

	Kind Kind   // of what this step adds: text, reasoning, refusal or call; empty if it adds none of them
	Text string // what it adds; of a call a piece of its arguments, which join to a JSON text
	Call int    // of a call: which of this answer's calls, counted from 0
	// CallID and Name are on the first step of a call and on no other. The id is unique over conversations: where a
	// provider gives none, MintID does.
	CallID string
	Name   string
	// Signature is the provider's seal on reasoning or on a call, on the step that completes it.
	Signature string

	Content bool   // this step carries content of any kind, known to us or not
	Report  bool   // this step reports usage and does nothing else
	End     bool   // this step is the dialect's end mark and nothing else
	Finish  Finish // set on the step that says why the answer ended, else empty
	Native  string // the provider's own word for Finish
	Stopped string // the stop string that ended it, where the provider tells
	ID      string // the upstream's id of the answer, on the first step that names it
	Model   string // the model that the upstream says answered, likewise
	Tier    string // the service tier that the upstream says it used, likewise

	Vector []float32 // of EndpointEmbed: that of the text with this Index
	Tokens int64     // of EndpointCount: the count
}
