package gemini

import (
	"encoding/json"
	"math"

	"waybill/router"
)

// generateRequest is a generateContent request as waybill writes one.
type generateRequest struct {
	Contents    []content `json:"contents"`
	System      *content  `json:"systemInstruction,omitzero"`
	Config      config    `json:"generationConfig"`
	ServiceTier string    `json:"serviceTier,omitzero"`
}

type content struct {
	Role  string `json:"role,omitzero"`
	Parts []part `json:"parts"`
}

type part struct {
	Text string `json:"text"`
}

type config struct {
	MaxOutputTokens int64     `json:"maxOutputTokens,omitzero"`
	CandidateCount  int64     `json:"candidateCount,omitzero"`
	Temperature     *float64  `json:"temperature,omitzero"`
	TopP            *float64  `json:"topP,omitzero"`
	TopK            *int64    `json:"topK,omitzero"`
	Frequency       *float64  `json:"frequencyPenalty,omitzero"`
	Presence        *float64  `json:"presencePenalty,omitzero"`
	Stop            []string  `json:"stopSequences,omitempty"`
	Seed            *int64    `json:"seed,omitzero"`
	Thinking        *thinking `json:"thinkingConfig,omitzero"`
}

// tiers are the other dialects' words for Gemini's service tiers.
var tiers = map[string]string{
	"": "", "auto": "", "default": "standard", "standard": "standard", "standard_only": "standard",
	"flex": "flex", "priority": "priority", "fast": "priority",
}

// encode writes a request that came in another dialect.
func encode(c router.Call) (body []byte, warnings []string, err error) {
	t, err := router.Translate(c)
	if err != nil {
		return nil, nil, err
	}
	var out generateRequest
	turns, err := t.Turns()
	if err != nil {
		return nil, nil, err
	}
	for _, m := range turns {
		role := "user"
		if m.Role == router.RoleAssistant {
			role = "model"
		}
		parts, err := textParts(t, m.Parts)
		if err != nil {
			return nil, nil, err
		}
		out.Contents = append(out.Contents, content{role, parts})
	}
	system, err := textParts(t, t.System)
	if err != nil {
		return nil, nil, err
	}
	if len(system) > 0 {
		out.System = &content{Parts: system}
	}
	if err := settings(t, c.OutputCap, &out); err != nil {
		return nil, nil, err
	}
	body, err = json.Marshal(out)
	return body, t.Warnings, err
}

// textParts writes text parts, without the empty ones that say nothing.
func textParts(t *router.Translated, parts []router.Part) ([]part, error) {
	out := make([]part, 0, len(parts))
	for _, p := range parts {
		if p.Kind != "text" {
			return nil, t.CannotPart(p)
		}
		if p.Text != "" {
			out = append(out, part{p.Text})
		}
	}
	return out, nil
}

// settings writes what is not conversation.
func settings(t *router.Translated, limit int64, out *generateRequest) (err error) {
	out.Config = config{
		MaxOutputTokens: min(limit, math.MaxInt32),
		Temperature:     t.Temperature, TopP: t.TopP, TopK: t.TopK,
		Frequency: t.Frequency, Presence: t.Presence,
		Stop: t.Stop, Seed: t.Seed,
	}
	if t.N > 1 {
		out.Config.CandidateCount = t.N
	}
	if t.Seed != nil && (*t.Seed < math.MinInt32 || *t.Seed > math.MaxInt32) {
		return t.Cannot("seed", "a seed beyond 32 bits cannot be sent")
	}
	if t.EndUser != "" {
		t.Warn("user", "left out, there is no place for it at "+t.Model.Name)
	}
	var ok bool
	if out.ServiceTier, ok = tiers[t.ServiceTier]; !ok {
		return t.Cannot("service_tier", "it has no counterpart")
	}
	out.Config.Thinking, err = think(t)
	return err
}
