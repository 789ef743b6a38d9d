package ledger

import "slices"

// Dialect is a wire format.
type Dialect string

// The dialects.
const (
	DialectOpenAIChat        Dialect = "openai-chat"
	DialectAnthropicMessages Dialect = "anthropic-messages"
	DialectGemini            Dialect = "gemini"
)

// Lane says who picks the model.
type Lane string

// The lanes.
const (
	LaneAuto   Lane = "auto"   // waybill picks
	LaneManual Lane = "manual" // the caller names it
)

// Model is one row of the catalogue.
type Model struct {
	Name      string   `json:"model"`       // provider/id, as callers may name it
	Provider  string   `json:"provider"`    // openai, anthropic, google
	ID        string   `json:"upstream_id"` // the provider's own name
	Context   int64    `json:"context"`     // tokens in and out together
	MaxOutput int64    `json:"max_output"`  // tokens
	Features  []string `json:"features"`    // see the constants below
	Retired   bool     `json:"retired,omitzero"`
}

// The features of a model that routing and translation ask about.
const (
	FeatureChat       = "chat"
	FeatureEmbedding  = "embedding"
	FeatureReasoning  = "reasoning"  // thinks before it answers
	FeatureSampling   = "sampling"   // accepts temperature, top_p, top_k
	FeatureImages     = "images"     // accepts images
	FeatureTools      = "tools"      // calls tools
	FeatureStructured = "structured" // answers by a JSON schema
	FeaturePrefill    = "prefill"    // accepts a trailing assistant turn
	FeatureMaxTokens  = "max_tokens" // accepts OpenAI's deprecated max_tokens
)

// Has tells whether the model has the feature.
func (m Model) Has(feature string) bool { return slices.Contains(m.Features, feature) }
