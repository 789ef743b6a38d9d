package ledger

import "slices"

// Dialect is a wire format.
type Dialect string

// The dialects.
const (
	DialectOpenAIChat        Dialect = "openai-chat"
	DialectOpenAIResponses   Dialect = "openai-responses"
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
	FeatureDocuments  = "documents"  // accepts PDFs
	FeatureTools      = "tools"      // calls tools
	FeatureStructured = "structured" // answers by a JSON schema
	FeaturePrefill    = "prefill"    // accepts a trailing assistant turn
	FeatureMaxTokens  = "max_tokens" // accepts OpenAI's deprecated max_tokens
	FeatureBudget     = "budget"     // reasons by a budget of tokens rather than by an effort
	FeatureAutoTools  = "auto_tools" // calls tools as it sees fit: refuses to be made to

	// FeatureResponsesTools is of a model whose tools OpenAI's Chat Completions does not take while it reasons, but
	// Responses does.
	FeatureResponsesTools = "responses_tools"
)

// Has tells whether the model has the feature.
func (m Model) Has(feature string) bool { return slices.Contains(m.Features, feature) }

// PublishModel puts a model into the catalogue, or a new description of it.
type PublishModel struct {
	Who By
	Model
}

// PublishModels is PublishModel of several, or of none if one is refused.
type PublishModels struct {
	Who    By
	Models []Model
}

// RetireModel takes a model out of use.
type RetireModel struct {
	Who   By
	Model string
}

// ModelPublished is model.published.
type ModelPublished struct{ Model }

// ModelRetired is model.retired.
type ModelRetired struct {
	Model string `json:"model"`
}

func (c PublishModel) Stream() string { return Platform }
func (c PublishModel) By() By         { return c.Who }
func (c PublishModel) Once() []Cause  { return c.Who.once(Platform) }
func (c PublishModel) decide(*Draft, Instant) ([]Event, error) {
	if c.Name != c.Provider+"/"+c.Model.ID || c.Provider == "" || c.Model.ID == "" || len(c.Name) > 128 {
		return nil, refuse(CodeInvalid, "model %q: a model's name is its provider, a slash and the provider's own name", c.Name)
	}
	if c.Context <= 0 || c.MaxOutput < 0 {
		return nil, refuse(CodeInvalid, "model %s: needs its context in tokens", c.Name)
	}
	m := c.Model
	m.Retired = false
	return []Event{&ModelPublished{m}}, nil
}

func (c PublishModels) Stream() string { return Platform }
func (c PublishModels) By() By         { return c.Who }
func (c PublishModels) Once() []Cause  { return c.Who.once(Platform) }
func (c PublishModels) decide(d *Draft, at Instant) ([]Event, error) {
	return decideAll("models", c.Models, func(_ int, m Model) ([]Event, error) { return PublishModel{c.Who, m}.decide(d, at) })
}

func (c RetireModel) Stream() string { return Platform }
func (c RetireModel) By() By         { return c.Who }
func (c RetireModel) Once() []Cause  { return c.Who.once(Platform) }
func (c RetireModel) decide(d *Draft, _ Instant) ([]Event, error) {
	m := d.model(c.Model)
	if m == nil || m.Retired {
		return nil, refuse(CodeNotFound, "model %q is not in the catalogue", c.Model)
	}
	return []Event{&ModelRetired{c.Model}}, nil
}

func (*ModelPublished) Type() Type                { return "model.published" }
func (*ModelPublished) postings(string) []Posting { return nil }
func (e *ModelPublished) evolve(d *Draft, r *Record) {
	m := e.Model
	d.models.set(m.Name, &m)
	d.touch(r, "model", m.Name)
}

func (*ModelRetired) Type() Type                { return "model.retired" }
func (*ModelRetired) postings(string) []Posting { return nil }
func (e *ModelRetired) evolve(d *Draft, r *Record) {
	if m := d.model(e.Model); m != nil {
		n := *m
		n.Retired = true
		d.models.set(n.Name, &n)
		d.touch(r, "model", n.Name)
	}
}
