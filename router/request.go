package router

import (
	"encoding/json"

	"waybill/ledger"
)

// Request is the canonical form of a chat call: a superset of what the dialects can say. The original bytes
// are kept, so that a leg whose upstream speaks the caller's own dialect forwards them with named edits only.
type Request struct {
	Dialect ledger.Dialect // the caller's
	Body    []byte         // the caller's bytes, untouched; empty if the caller's dialect is not kept
	Model   string         // as the caller named it

	System   []Part    // system text, in order, as the dialects that have one place for it want it
	Messages []Message // the conversation without the leading system text

	Stream       bool
	IncludeUsage bool // the caller asked for usage in the reply (OpenAI: stream_options.include_usage)

	OutputCap   int64 // tokens, reasoning included; 0: the caller set none
	Temperature *float64
	TopP        *float64
	TopK        *int64
	Frequency   *float64 // penalty, −2 to 2
	Presence    *float64 // penalty, −2 to 2
	Stop        []string
	Seed        *int64
	N           int64  // answers wanted; 0 and 1 are one
	EndUser     string // opaque id of the caller's own user, for the provider's abuse controls
	ServiceTier string // as asked
	Effort      string // reasoning effort: none, minimal, low, medium, high, xhigh, max

	// Extra names the fields of the body that have no canonical form. A leg in the caller's own dialect
	// forwards them; any other refuses them by name, so that nothing is lost silently.
	Extra []string

	// Hints are fields without a canonical form whose loss does not change the answer, each with what it is
	// for. A leg in another dialect than the caller's leaves them out with a warning.
	Hints []FieldError
}

// Role says who speaks in a Message.
type Role string

// The roles of a conversation. System text that comes later than the first turn keeps its place.
const (
	RoleUser      Role = "user"
	RoleAssistant Role = "assistant"
	RoleSystem    Role = "system"
)

// Message is one turn.
type Message struct {
	Role  Role
	Parts []Part
}

// Part is one piece of a turn. Text is the only kind so far; a Part of another kind names itself in Kind and
// keeps its bytes in Raw, so that a dialect that cannot carry it refuses it by name.
type Part struct {
	Kind  string // "text", or the caller's dialect's own word for something else
	Text  string
	Raw   json.RawMessage
	Field string // where the caller wrote it, for example "messages[2].content[0]"; set where Kind is not "text"
}

// Text makes a text part.
func Text(s string) Part { return Part{Kind: "text", Text: s} }

// Finish is why an answer ended, in the canonical vocabulary.
type Finish string

// The reasons for which an answer ends.
const (
	FinishStop     Finish = "stop"           // natural end, or a stop string
	FinishLength   Finish = "length"         // the output cap or the context
	FinishTool     Finish = "tool_calls"     // the model wants a tool called
	FinishFiltered Finish = "content_filter" // refused or blocked by the provider
)

// Chunk is one step of an answer, as every upstream client reports it. A unary answer is one chunk. What it
// points to is never written again: whoever holds a Chunk may keep it.
type Chunk struct {
	// Frame is the upstream's bytes: an SSE frame with its blank line, or the whole unary body. Where one frame
	// makes several steps, since answers come side by side, the last of them has it.
	Frame   []byte
	Index   int    // which of the answers, where several were asked for; counted from 0
	Text    string // content that this step adds
	Content bool   // this step carries content of any kind: text, reasoning, a tool call, a refusal
	Report  bool   // this step reports usage and does nothing else
	Finish  Finish // set on the step that says why the answer ended, else empty
	Native  string // the provider's own word for Finish
	ID      string // the upstream's id of the answer, on the first step that names it
	Model   string // the model that the upstream says answered, likewise
	Tier    string // the service tier that the upstream says it used, likewise

	Others []Chunk // the further answers of a unary reply, where several were asked for
}
