package anthropic

import (
	"cmp"
	"encoding/json"

	"waybill/ledger"
	"waybill/router"
)

// messagesRequest is a Messages request as waybill writes one.
type messagesRequest struct {
	Model        string        `json:"model"`
	MaxTokens    int64         `json:"max_tokens"`
	System       []block       `json:"system,omitempty"`
	Messages     []message     `json:"messages"`
	Stream       bool          `json:"stream,omitzero"`
	Temperature  *float64      `json:"temperature,omitzero"`
	TopP         *float64      `json:"top_p,omitzero"`
	TopK         *int64        `json:"top_k,omitzero"`
	Stop         []string      `json:"stop_sequences,omitempty"`
	Metadata     *metadata     `json:"metadata,omitzero"`
	ServiceTier  string        `json:"service_tier,omitzero"`
	OutputConfig *outputConfig `json:"output_config,omitzero"`
}

type message struct {
	Role    router.Role `json:"role"`
	Content []block     `json:"content"`
}

type block struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type metadata struct {
	UserID string `json:"user_id"`
}

type outputConfig struct {
	Effort string `json:"effort"`
}

// tiers are the other dialects' words for Anthropic's service tiers. Capacity that costs more or less than the
// standard has no counterpart here that a caller of another dialect could ask for.
var tiers = map[string]string{
	"": "", "auto": "auto", "default": "standard_only", "standard": "standard_only", "standard_only": "standard_only",
}

// efforts are the other dialects' words for Anthropic's efforts. There is no "none": the newest models cannot
// be told not to think.
var efforts = map[string]string{
	"none": "low", "minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max",
}

// budgeted are the models that think by a budget of tokens and refuse an effort; they do not think unless told
// to. https://platform.claude.com/docs/en/build-with-claude/effort names those that take one.
var budgeted = map[string]bool{
	"claude-haiku-4-5":           true,
	"claude-haiku-4-5-20251001":  true,
	"claude-sonnet-4-5":          true,
	"claude-sonnet-4-5-20250929": true,
}

// encode writes a request that came in another dialect.
func encode(c router.Call) (body []byte, warnings []string, err error) {
	t, err := router.Translate(c)
	if err != nil {
		return nil, nil, err
	}
	out := messagesRequest{
		Model: c.Model.ID, MaxTokens: cmp.Or(c.OutputCap, ledger.DefaultOutput), // which Anthropic cannot do without
		Stream: t.Stream, TopK: t.TopK, Stop: t.Stop,
	}
	if out.System, err = blocks(t, t.System); err != nil {
		return nil, nil, err
	}
	turns, err := t.Turns()
	if err != nil {
		return nil, nil, err
	}
	for _, m := range turns {
		content, err := blocks(t, m.Parts)
		if err != nil {
			return nil, nil, err
		}
		out.Messages = append(out.Messages, message{m.Role, content})
	}
	if err := settings(t, &out); err != nil {
		return nil, nil, err
	}
	body, err = json.Marshal(out)
	return body, t.Warnings, err
}

// blocks writes text parts, without the empty ones that Anthropic refuses.
func blocks(t *router.Translated, parts []router.Part) ([]block, error) {
	out := make([]block, 0, len(parts))
	for _, p := range parts {
		if p.Kind != "text" {
			return nil, t.CannotPart(p)
		}
		if p.Text != "" {
			out = append(out, block{"text", p.Text})
		}
	}
	return out, nil
}

// settings writes what is not conversation.
func settings(t *router.Translated, out *messagesRequest) error {
	switch {
	case t.N > 1:
		return t.Cannot("n", "only one answer can be had")
	case t.Seed != nil:
		return t.Cannot("seed", "it has no counterpart")
	case t.Frequency != nil && *t.Frequency != 0:
		return t.Cannot("frequency_penalty", "it has no counterpart")
	case t.Presence != nil && *t.Presence != 0:
		return t.Cannot("presence_penalty", "it has no counterpart")
	}
	var ok bool
	if out.ServiceTier, ok = tiers[t.ServiceTier]; !ok {
		return t.Cannot("service_tier", "it has no counterpart")
	}
	if t.EndUser != "" {
		out.Metadata = &metadata{t.EndUser}
	}
	sampling(t, out)
	return effort(t, out)
}

// sampling writes temperature and top_p. Anthropic's temperature ends at 1, where the other dialects' ends at 2:
// it is cut there, for scaling it would change what every smaller value means. The models that still take
// sampling values refuse the two of them together.
func sampling(t *router.Translated, out *messagesRequest) {
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

func effort(t *router.Translated, out *messagesRequest) error {
	if t.Effort == "" {
		return nil
	}
	word, ok := efforts[t.Effort]
	if !ok {
		return t.Cannot("reasoning_effort", "it has no counterpart")
	}
	if budgeted[t.Model.ID] {
		if t.Effort != "none" {
			t.Warn("reasoning_effort", "left out, "+t.Model.Name+" takes none and does not think unless told to")
		}
		return nil
	}
	if word != t.Effort {
		t.Warn("reasoning_effort", word+" at "+t.Model.Name+", which has no "+t.Effort)
	}
	out.OutputConfig = &outputConfig{word}
	return nil
}
