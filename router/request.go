package router

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"waybill/ledger"
)

// Endpoint is what a call asks for.
type Endpoint string

// The endpoints.
const (
	EndpointChat  Endpoint = "chat"       // an answer to a conversation
	EndpointCount Endpoint = "count"      // the number of tokens that a conversation has as input; providers take nothing for it
	EndpointEmbed Endpoint = "embeddings" // vectors of texts
)

// Request is the canonical form of a call: a superset of what the dialects can say. The original bytes are kept, so
// that a leg whose upstream speaks the caller's own dialect forwards them with named edits only.
//
// Where a field is named to people (in a FieldError, a warning), the canonical name is OpenAI Chat Completions';
// Names has the words of the caller's own dialect.
type Request struct {
	Endpoint Endpoint
	Dialect  ledger.Dialect    // the caller's
	Body     []byte            // the caller's bytes, untouched; empty if the caller's dialect is not kept
	Header   http.Header       // those of the caller's headers that its dialect takes upstream, such as Anthropic-Beta
	Names    map[string]string // the caller's words for canonical fields, where they differ
	Model    string            // as the caller named it

	System   []Part    // system text, in order, as the dialects that have one place for it want it
	Messages []Message // the conversation without the leading system text

	Tools      []Tool
	ToolChoice ToolChoice
	Serial     bool // at most one tool call a turn
	Format     Format

	Stream       bool
	Array        bool // the stream is to be one JSON array rather than SSE (Gemini without alt=sse)
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
	Verbosity   string // how long the answer's text is to be: low, medium or high; empty: the model's default
	EndUser     string // opaque id of the caller's own user, for the provider's abuse controls
	ServiceTier string // as asked

	Effort   string // reasoning effort: none, minimal, low, medium, high, xhigh, max; empty: the model's default
	Budget   *int64 // reasoning in tokens, where the caller's dialect has budgets: 0 for none, −1 for as the model likes
	Thoughts bool   // the caller wants to read what the model thinks, as far as the provider shows it

	// LongWrites says that whatever the call has its provider write into the prompt cache is to live there for the longer of
	// two lifetimes. Answers of Chat Completions count what was written and do not say for how long.
	LongWrites bool

	Embed *Embed // of EndpointEmbed

	// Extra names the fields of the body that have no canonical form. A leg in the caller's own dialect
	// forwards them; any other refuses them by name, so that nothing is lost silently.
	Extra []string

	// Hints are fields without a canonical form whose loss does not change the answer, each with what it is
	// for. A leg in another dialect than the caller's leaves them out with a warning.
	Hints []FieldError
}

// Name is the caller's word for a canonical field.
func (r *Request) Name(field string) string {
	if word, ok := r.Names[field]; ok {
		return word
	}
	return field
}

// Role says who speaks in a Message.
type Role string

// The roles of a conversation. System text that comes later than the first turn keeps its place.
const (
	RoleUser      Role = "user"
	RoleAssistant Role = "assistant"
	RoleSystem    Role = "system"
)

// Message is one turn. The results of tool calls are parts of a turn of the user's.
type Message struct {
	Role  Role
	Parts []Part
	Field string // where the caller wrote it, for example "messages[2]"
}

// Calls tells whether a turn makes the calls with these ids, in any order, and no others.
func (m Message) Calls(ids []string) bool {
	var own, other []string
	for _, p := range m.Parts {
		if p.Kind == KindCall {
			own = append(own, CallID(p.ID))
		}
	}
	for _, id := range ids {
		other = append(other, CallID(id))
	}
	slices.Sort(own)
	slices.Sort(other)
	return slices.Equal(own, other)
}

// Kind says what a part is.
type Kind string

// The kinds of parts that more than one dialect knows. A part of any other kind is named by the caller's own word.
const (
	KindText      Kind = "text"
	KindImage     Kind = "image"
	KindAudio     Kind = "audio"
	KindDocument  Kind = "document"  // a file, such as a PDF
	KindCall      Kind = "call"      // the assistant calls a tool
	KindResult    Kind = "result"    // what a tool gave back
	KindReasoning Kind = "reasoning" // what the assistant thought, as its provider showed or sealed it
	KindRefusal   Kind = "refusal"   // the assistant's words for not answering
)

// Part is one piece of a turn, or of the result of a tool.
type Part struct {
	Kind  Kind
	Text  string // of text, reasoning and refusal; of a call its arguments, JSON text as the model wrote it, valid or not
	Media *Media // of image, audio and document

	ID     string // of a call its id, of a result the id of the call that it answers
	Name   string // of a call and a result: the tool's; of a result perhaps not known
	Parts  []Part // of a result: its content
	Failed bool   // of a result: the tool failed

	Signature string          // of reasoning and calls: the provider's seal, opaque
	Raw       json.RawMessage // as the caller wrote it; set where Kind is not text
	Field     string          // where the caller wrote it, for example "messages[2].content[0]"; set where Kind is not text
}

// Text makes a text part.
func Text(s string) Part { return Part{Kind: KindText, Text: s} }

// Media is content that is not text: bytes in the request, or where they are. Waybill fetches nothing.
type Media struct {
	Type   string // media type, such as image/png; perhaps not known of a URL
	Data   string // base64 of the bytes, standard encoding
	URL    string // http or https, where there is no Data
	File   string // the provider's id of an uploaded file, where there is neither
	Name   string // of a document
	Detail string // OpenAI's detail of an image: low, high, auto, original
}

// MediaType is what kind of media it is: as told, else as the first bytes of a PDF tell; empty if it is not known.
func (m *Media) MediaType() string {
	if m.Type != "" {
		return m.Type
	}
	head, _ := base64.StdEncoding.DecodeString(m.Data[:min(len(m.Data), 8)]) // what is no base64 tells nothing
	if strings.HasPrefix(string(head), "%PDF-") {
		return "application/pdf"
	}
	return ""
}

// Tool is a function that the model may call.
type Tool struct {
	Name        string
	Description string
	Schema      json.RawMessage // JSON Schema of its arguments, an object's; empty: it takes none
	Strict      *bool           // the arguments must satisfy the schema
	Field       string          // where the caller wrote it
}

// ToolChoice says whether tools are to be called.
type ToolChoice struct {
	Mode  ToolMode
	Names []string // the only ones that may be called, where not all; with ToolRequired and one name it is that one
}

// ToolMode is the freedom that the model has about tools.
type ToolMode string

// The modes. Unset is the provider's default, which is auto where there are tools.
const (
	ToolAuto     ToolMode = "auto"
	ToolNone     ToolMode = "none"
	ToolRequired ToolMode = "required"
)

// Format is the form that the answer's text is to have.
type Format struct {
	Kind        FormatKind
	Name        string          // of a schema
	Description string          // likewise
	Schema      json.RawMessage // JSON Schema
	Strict      *bool
}

// FormatKind is a form of text.
type FormatKind string

// The forms.
const (
	FormatText   FormatKind = ""
	FormatJSON   FormatKind = "json"   // any JSON
	FormatSchema FormatKind = "schema" // JSON that satisfies Format.Schema
)

// Embed is what is to be embedded, and how.
type Embed struct {
	Texts      []string
	Tokens     bool   // the texts came as ids of tokens, which Texts does not have: only the caller's dialect can carry them
	Many       bool   // the caller sent a list, be it of one
	Dimensions int64  // 0: the model's own
	Base64     bool   // the caller wants vectors as base64 of little-endian float32
	Task       string // Gemini's taskType
	Title      string // Gemini's title of a document
}
