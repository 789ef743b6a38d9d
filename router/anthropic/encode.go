package anthropic

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strings"

	"waybill/ledger"
	"waybill/router"
)

// messagesRequest is a Messages request as waybill writes one.
type messagesRequest struct {
	Model        string            `json:"model"`
	MaxTokens    int64             `json:"max_tokens,omitzero"`
	System       json.RawMessage   `json:"system,omitempty"`
	Messages     []json.RawMessage `json:"messages"`
	Stream       bool              `json:"stream,omitzero"`
	Temperature  *float64          `json:"temperature,omitzero"`
	TopP         *float64          `json:"top_p,omitzero"`
	TopK         *int64            `json:"top_k,omitzero"`
	Stop         []string          `json:"stop_sequences,omitempty"`
	Metadata     *metadata         `json:"metadata,omitzero"`
	ServiceTier  string            `json:"service_tier,omitzero"`
	Thinking     *thinking         `json:"thinking,omitzero"`
	OutputConfig outputConfig      `json:"output_config,omitzero"`
	Tools        json.RawMessage   `json:"tools,omitempty"`
	ToolChoice   *toolChoice       `json:"tool_choice,omitzero"`
}

type metadata struct {
	UserID string `json:"user_id"`
}

type outputConfig struct {
	Effort string        `json:"effort,omitzero"`
	Format *outputFormat `json:"format,omitzero"`
}

type outputFormat struct {
	Type   string          `json:"type"`
	Schema json.RawMessage `json:"schema"`
}

// maxUser bounds metadata.user_id, in characters.
const maxUser = 256

// tiers are the other dialects' words for Anthropic's service tiers. Capacity that costs more or less than the
// standard has no counterpart here that a caller of another dialect could ask for.
var tiers = map[string]string{
	"": "", "auto": "auto", "default": "standard_only", "standard": "standard_only", "standard_only": "standard_only",
}

// encoding is a request that came in another dialect, being written.
type encoding struct {
	t   *router.Translated
	out messagesRequest
	// What the settings must know of the conversation:
	loop    bool // it ends with the results of tools
	thought bool // the turn that called them begins with thinking that its provider can read
	prefill bool // it ends with the beginning of the answer
	told    map[string]bool
}

// warn tells of a loss in a part, the first of its kind: a conversation may have hundreds.
func (e *encoding) warn(field, what string) {
	if e.told == nil {
		e.told = map[string]bool{}
	}
	if !e.told[what] {
		e.told[what] = true
		e.t.Warnings = append(e.t.Warnings, field+": "+what)
	}
}

// encoded is a request as it is sent.
type encoded struct {
	body     []byte
	warnings []string
	prefix   string // hash of what comes before the answer
}

// encode writes a request that came in another dialect.
func encode(c router.Call) (encoded, error) {
	t, err := router.Translate(c)
	if err != nil {
		return encoded{}, err
	}
	e := &encoding{t: t, out: messagesRequest{
		Model: c.Model.ID, MaxTokens: cmp.Or(c.OutputCap, ledger.DefaultOutput), // which Anthropic cannot do without
		Stream: t.Stream, TopK: t.TopK, Stop: t.Stop,
	}}
	if t.Verbosity != "" && t.Verbosity != "medium" {
		t.Warn("verbosity", "left out, "+t.Model.Name+" has no word for the length of an answer")
	}
	system := t.System
	if err := e.toolset(); err != nil {
		return encoded{}, err
	}
	if err := e.format(&system); err != nil {
		return encoded{}, err
	}
	if e.out.System, err = e.system(system); err != nil {
		return encoded{}, err
	}
	prefix, err := e.conversation()
	if err != nil {
		return encoded{}, err
	}
	if err := e.settings(); err != nil {
		return encoded{}, err
	}
	if t.Endpoint == router.EndpointCount {
		e.countOnly()
	}
	body, err := marshal(e.out)
	return encoded{body, t.Warnings, prefix}, err
}

// marshal writes JSON whose strings are as they were said: what was sealed counts on it.
func marshal(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	w := json.NewEncoder(&b)
	w.SetEscapeHTML(false)
	err := w.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// system writes the system text, without the empty pieces that Anthropic refuses.
func (e *encoding) system(parts []router.Part) (json.RawMessage, error) {
	var blocks []content
	for _, p := range parts {
		if p.Kind != router.KindText {
			return nil, e.t.CannotPart(p)
		}
		if p.Text != "" {
			blocks = append(blocks, content{Type: "text", Text: p.Text})
		}
	}
	if len(blocks) == 0 {
		return nil, nil
	}
	return marshal(blocks)
}

// settings writes what is not conversation.
func (e *encoding) settings() error {
	t, out := e.t, &e.out
	switch {
	case t.N > 1:
		return t.Cannot("n", "only one answer can be had")
	case t.Seed != nil:
		return t.Cannot("seed", "it has no counterpart")
	case t.Frequency != nil && *t.Frequency != 0:
		return t.Cannot("frequency_penalty", "it has no counterpart")
	case t.Presence != nil && *t.Presence != 0:
		return t.Cannot("presence_penalty", "it has no counterpart")
	case len([]rune(t.EndUser)) > maxUser:
		return t.Cannot("user", "it cannot be longer than 256 characters")
	}
	for _, s := range t.Stop {
		if strings.TrimSpace(s) == "" {
			return t.Cannot("stop", "a stop string needs more than white space")
		}
	}
	var ok bool
	if out.ServiceTier, ok = tiers[t.ServiceTier]; !ok {
		return t.Cannot("service_tier", "it has no counterpart")
	}
	if t.EndUser != "" {
		out.Metadata = &metadata{t.EndUser}
	}
	e.sampling()
	return e.reasoning()
}

// sampling writes temperature and top_p. Anthropic's temperature ends at 1, where the other dialects' ends at 2:
// it is cut there, for scaling it would change what every smaller value means. The models that still take
// sampling values refuse the two of them together.
func (e *encoding) sampling() {
	t, out := e.t, &e.out
	out.Temperature, out.TopP = t.Temperature, t.TopP
	if t.Temperature != nil && *t.Temperature > 1 {
		one := 1.0
		out.Temperature = &one
		t.Warn("temperature", "cut to 1, the highest at "+t.Model.Name)
	}
	if out.Temperature != nil && out.TopP != nil {
		if *out.TopP != 1 {
			t.Warn("top_p", "left out, "+t.Model.Name+" takes either temperature or top_p")
		}
		out.TopP = nil
	}
}

// countOnly leaves out what is no input, which a count does not take.
func (e *encoding) countOnly() {
	o := &e.out
	o.MaxTokens, o.Stream, o.Temperature, o.TopP, o.TopK, o.Stop, o.Metadata, o.ServiceTier = 0, false, nil, nil, nil, nil, nil, ""
}
