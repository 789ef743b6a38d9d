package gemini

import (
	"cmp"
	"fmt"

	"waybill/ledger"
	"waybill/router"
)

// thinking says how much a model is to think: newer models by a level, the 2.5 family by a budget of tokens. Both
// together are an error.
type thinking struct {
	Level  string `json:"thinkingLevel,omitzero"`
	Budget *int64 `json:"thinkingBudget,omitzero"`
	Show   bool   `json:"includeThoughts,omitzero"`
}

// scale is how a model's thinking is set, where it is not from LOW to HIGH, or from 0 to maxBudget.
type scale struct {
	lowest  string // the lowest level
	minimum int64  // the lowest budget, in tokens
}

// scales are the models whose bounds are others. https://ai.google.dev/gemini-api/docs/thinking
var scales = map[string]scale{
	"gemini-3.5-flash":      {lowest: "MINIMAL"},
	"gemini-3.5-flash-lite": {lowest: "MINIMAL"},
	"gemini-3.1-flash-lite": {lowest: "MINIMAL"},
	"gemini-2.5-pro":        {minimum: 128},
}

// maxBudget is the most that every model with a budget takes, in tokens.
const maxBudget = 24576

// efforts are the other dialects' efforts as a level, and as the budget that Google's own OpenAI-compatible
// endpoint gives them. https://ai.google.dev/gemini-api/docs/openai
var efforts = map[string]struct {
	level  string
	budget int64
}{
	"none": {"MINIMAL", 0}, "minimal": {"MINIMAL", 1024}, "low": {"LOW", 1024}, "medium": {"MEDIUM", 8192},
	"high": {"HIGH", maxBudget}, "xhigh": {"HIGH", maxBudget}, "max": {"HIGH", maxBudget},
}

// think translates what the caller wants of reasoning.
func think(t *router.Translated) (*thinking, error) {
	if !t.Model.Has(ledger.FeatureReasoning) {
		return nil, nil
	}
	if _, ok := efforts[t.Effort]; !ok && t.Effort != "" {
		return nil, t.Cannot("reasoning_effort", "it has no counterpart")
	}
	out := thinking{Show: t.Thoughts}
	switch {
	case t.Model.Has(ledger.FeatureBudget):
		out.Budget = budget(t)
	default:
		out.Level = level(t)
	}
	if out == (thinking{}) {
		return nil, nil
	}
	return &out, nil
}

// budget is for the models that take one: the caller's, or what an effort is worth. Where the model has nothing as low or
// as high, the nearest it has is taken, with a warning.
func budget(t *router.Translated) *int64 {
	if t.Budget == nil && t.Effort == "" {
		return nil
	}
	asked, higher := efforts[t.Effort].budget, t.Effort == "xhigh" || t.Effort == "max"
	if t.Budget != nil {
		asked, higher = *t.Budget, false
	}
	if asked < 0 { // as the model likes
		return &asked
	}
	b := min(max(asked, scales[t.Model.ID].minimum), maxBudget)
	if b != asked || higher {
		t.Warn("reasoning_effort", fmt.Sprintf("a budget of %d tokens at %s, the nearest it has", b, t.Model.Name))
	}
	return &b
}

// level is for all other models: the caller's effort, or what a budget is about.
func level(t *router.Translated) string {
	effort := cmp.Or(t.Effort, t.EffortNear())
	if effort == "" {
		return ""
	}
	level := efforts[effort].level
	if level == "MINIMAL" {
		level = cmp.Or(scales[t.Model.ID].lowest, "LOW")
	}
	if t.Effort == "" || level != efforts[effort].level || effort == "none" || effort == "xhigh" || effort == "max" {
		t.Warn("reasoning_effort", level+" at "+t.Model.Name+", the nearest it has")
	}
	return level
}
