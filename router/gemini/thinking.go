package gemini

import (
	"fmt"

	"waybill/ledger"
	"waybill/router"
)

// thinking says how much a model is to think: newer models by a level, the 2.5 family by a budget of tokens.
// Both together are an error.
type thinking struct {
	Level  string `json:"thinkingLevel,omitzero"`
	Budget *int64 `json:"thinkingBudget,omitzero"`
}

// scale is how a model's thinking is set.
type scale struct {
	lowest  string // the lowest level; empty for a model that takes a budget
	minimum int64  // the lowest budget, in tokens
}

// scales are the models that do not take the levels LOW to HIGH, which all others do.
// https://ai.google.dev/gemini-api/docs/thinking
var scales = map[string]scale{
	"gemini-3.5-flash":      {lowest: "MINIMAL"},
	"gemini-3.5-flash-lite": {lowest: "MINIMAL"},
	"gemini-3.1-flash-lite": {lowest: "MINIMAL"},
	"gemini-2.5-pro":        {minimum: 128},
	"gemini-2.5-flash":      {minimum: 0},
	"gemini-2.5-flash-lite": {minimum: 0},
}

// efforts are the other dialects' efforts as a level, and as the budget that Google's own OpenAI-compatible
// endpoint gives them. https://ai.google.dev/gemini-api/docs/openai
var efforts = map[string]struct {
	level  string
	budget int64
}{
	"none": {"MINIMAL", 0}, "minimal": {"MINIMAL", 1024}, "low": {"LOW", 1024}, "medium": {"MEDIUM", 8192},
	"high": {"HIGH", 24576}, "xhigh": {"HIGH", 24576}, "max": {"HIGH", 24576},
}

// think translates an effort. Where the model has nothing as low or as high, the nearest it has is taken, with
// a warning.
func think(t *router.Translated) (*thinking, error) {
	if t.Effort == "" || !t.Model.Has(ledger.FeatureReasoning) {
		return nil, nil
	}
	e, ok := efforts[t.Effort]
	if !ok {
		return nil, t.Cannot("reasoning_effort", "it has no counterpart")
	}
	s, listed := scales[t.Model.ID]
	if !listed {
		s.lowest = "LOW"
	}
	higher := t.Effort == "xhigh" || t.Effort == "max"
	if s.lowest == "" {
		if budget := max(e.budget, s.minimum); budget != e.budget || higher {
			t.Warn("reasoning_effort", fmt.Sprintf("a budget of %d tokens at %s, the nearest it has", budget, t.Model.Name))
			return &thinking{Budget: &budget}, nil
		}
		return &thinking{Budget: &e.budget}, nil
	}
	level := e.level
	if level == "MINIMAL" {
		level = s.lowest
	}
	if level != e.level || higher || t.Effort == "none" {
		t.Warn("reasoning_effort", level+" at "+t.Model.Name+", the nearest it has")
	}
	return &thinking{Level: level}, nil
}
