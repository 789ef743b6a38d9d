package gemini

import (
	"encoding/json"
	"math"

	"waybill/router"
)

// generateRequest is a generateContent request as waybill writes one.
type generateRequest struct {
	Model       string      `json:"model,omitzero"` // only inside a countTokens request
	Contents    []content   `json:"contents"`
	System      *content    `json:"systemInstruction,omitzero"`
	Tools       []tool      `json:"tools,omitempty"`
	ToolConfig  *toolConfig `json:"toolConfig,omitzero"`
	Config      *config     `json:"generationConfig,omitzero"`
	ServiceTier string      `json:"serviceTier,omitzero"`
}

type config struct {
	MaxOutputTokens int64           `json:"maxOutputTokens,omitzero"`
	CandidateCount  int64           `json:"candidateCount,omitzero"`
	Temperature     *float64        `json:"temperature,omitzero"`
	TopP            *float64        `json:"topP,omitzero"`
	TopK            *int64          `json:"topK,omitzero"`
	Frequency       *float64        `json:"frequencyPenalty,omitzero"`
	Presence        *float64        `json:"presencePenalty,omitzero"`
	Stop            []string        `json:"stopSequences,omitempty"`
	Seed            *int64          `json:"seed,omitzero"`
	MimeType        string          `json:"responseMimeType,omitzero"`
	Schema          json.RawMessage `json:"responseJsonSchema,omitempty"`
	Thinking        *thinking       `json:"thinkingConfig,omitzero"`
}

// tiers are the other dialects' words for Gemini's service tiers. Those that cost more or less have the caller's own word, by which
// the hold is priced.
var tiers = map[string]string{
	"": "", "auto": "", "default": "standard", "standard": "standard", "standard_only": "standard",
	"flex": "flex", "priority": "priority",
}

// encode writes a request that came in another dialect.
func encode(c router.Call) (body []byte, warnings []string, err error) {
	t, err := router.Translate(c)
	if err != nil {
		return nil, nil, err
	}
	out := generateRequest{Config: &config{}}
	for _, write := range []func(*router.Translated, *generateRequest) error{converse, equip, settings, shape} {
		if err := write(t, &out); err != nil {
			return nil, nil, err
		}
	}
	body, err = marshal(out)
	return body, t.Warnings, err
}

// encodeCount writes a request for the number of a conversation's tokens, which has its tools and system text inside a
// whole request.
func encodeCount(c router.Call) (body []byte, warnings []string, err error) {
	t, err := router.Translate(c)
	if err != nil {
		return nil, nil, err
	}
	out := generateRequest{Model: "models/" + c.Model.ID}
	if err := converse(t, &out); err != nil {
		return nil, nil, err
	}
	if err := equip(t, &out); err != nil {
		return nil, nil, err
	}
	body, err = marshal(map[string]any{"generateContentRequest": out})
	return body, t.Warnings, err
}

// Bounds of what Gemini takes.
const (
	maxCandidates = 8
	maxStops      = 5
)

// settings writes what is neither conversation nor tools.
func settings(t *router.Translated, out *generateRequest) (err error) {
	c := out.Config
	*c = config{
		MaxOutputTokens: min(t.Call.OutputCap, math.MaxInt32),
		Temperature:     t.Temperature, TopP: t.TopP, TopK: t.TopK,
		Frequency: t.Frequency, Presence: t.Presence,
		Stop: t.Stop, Seed: t.Seed,
	}
	switch { // https://ai.google.dev/api/generate-content#generationconfig
	case t.N > maxCandidates:
		return t.Cannot("n", "more than 8 answers cannot be had")
	case len(t.Stop) > maxStops:
		return t.Cannot("stop", "more than 5 stop strings cannot be sent")
	case t.N > 1:
		c.CandidateCount = t.N
	}
	if t.Seed != nil && (*t.Seed < math.MinInt32 || *t.Seed > math.MaxInt32) {
		return t.Cannot("seed", "a seed beyond 32 bits cannot be sent")
	}
	if t.EndUser != "" {
		t.Warn("user", "left out, there is no place for it at "+t.Model.Name)
	}
	if t.Verbosity != "" && t.Verbosity != "medium" {
		t.Warn("verbosity", "left out, "+t.Model.Name+" has no word for the length of an answer")
	}
	var ok bool
	if out.ServiceTier, ok = tiers[t.ServiceTier]; !ok {
		return t.Cannot("service_tier", "it has no counterpart")
	}
	c.Thinking, err = think(t)
	return err
}

// shape writes the form that the answer is to have. A schema's name is not sent, and that is no loss to warn of: it is a label
// that no answer contains, and Gemini has none. Nor is it one that a schema was not called strict: Gemini holds to all.
func shape(t *router.Translated, out *generateRequest) error {
	if t.Format.Kind == router.FormatText {
		return nil
	}
	out.Config.MimeType = "application/json"
	if t.Format.Kind == router.FormatJSON {
		return nil
	}
	s := subset{}
	schema, err := s.schema(t.Format.Schema)
	if err != nil {
		return t.Cannot("response_format", err.Error())
	}
	out.Config.Schema = t.Described(schema)
	s.warn(t, t.Name("response_format"))
	return nil
}
