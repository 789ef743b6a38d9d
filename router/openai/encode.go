package openai

import (
	"encoding/json"

	"waybill/router"
)

// chatRequest is a Chat Completions request as waybill writes one.
type chatRequest struct {
	Model         string         `json:"model"`
	Messages      []chatMessage  `json:"messages"`
	Cap           int64          `json:"max_completion_tokens,omitzero"`
	Stream        bool           `json:"stream,omitzero"`
	StreamOptions *streamOptions `json:"stream_options,omitzero"`
	Temperature   *float64       `json:"temperature,omitzero"`
	TopP          *float64       `json:"top_p,omitzero"`
	Frequency     *float64       `json:"frequency_penalty,omitzero"`
	Presence      *float64       `json:"presence_penalty,omitzero"`
	Stop          []string       `json:"stop,omitempty"`
	Seed          *int64         `json:"seed,omitzero"`
	N             int64          `json:"n,omitzero"`
	EndUser       string         `json:"safety_identifier,omitzero"`
	ServiceTier   string         `json:"service_tier,omitzero"`
	Effort        string         `json:"reasoning_effort,omitzero"`
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
}

type chatMessage struct {
	Role    string     `json:"role"`
	Content []chatPart `json:"content"`
}

type chatPart struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// tiers are the other dialects' words for OpenAI's service tiers.
var tiers = map[string]string{
	"": "", "auto": "auto", "default": "default", "flex": "flex", "scale": "scale", "priority": "priority", "fast": "fast",
	"standard": "default", "standard_only": "default",
}

// encode writes a request that came in another dialect.
func encode(c router.Call) (body []byte, warnings []string, err error) {
	t, err := router.Translate(c)
	if err != nil {
		return nil, nil, err
	}
	if t.TopK != nil {
		return nil, nil, t.Cannot("top_k", "it has no counterpart")
	}
	tier, ok := tiers[t.ServiceTier]
	if !ok {
		return nil, nil, t.Cannot("service_tier", "it has no counterpart")
	}
	out := chatRequest{
		Model: c.Model.ID, Cap: c.OutputCap, Stream: t.Stream,
		Temperature: t.Temperature, TopP: t.TopP, Frequency: t.Frequency, Presence: t.Presence,
		Stop: t.Stop, Seed: t.Seed, EndUser: t.EndUser, ServiceTier: tier, Effort: t.Effort,
	}
	if t.N > 1 {
		out.N = t.N
	}
	if t.Stream {
		out.StreamOptions = &streamOptions{IncludeUsage: true}
	}
	if len(t.System) > 0 {
		out.Messages = append(out.Messages, chatMessage{Role: "system"})
		if out.Messages[0].Content, err = chatParts(t, t.System); err != nil {
			return nil, nil, err
		}
	}
	for _, m := range t.Messages {
		parts, err := chatParts(t, m.Parts)
		if err != nil {
			return nil, nil, err
		}
		out.Messages = append(out.Messages, chatMessage{Role: string(m.Role), Content: parts})
	}
	body, err = json.Marshal(out)
	return body, t.Warnings, err
}

func chatParts(t *router.Translated, parts []router.Part) ([]chatPart, error) {
	out := make([]chatPart, 0, len(parts))
	for _, p := range parts {
		if p.Kind != router.KindText {
			return nil, t.CannotPart(p)
		}
		out = append(out, chatPart{"text", p.Text})
	}
	return out, nil
}
