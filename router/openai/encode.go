package openai

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
)

// chatRequest is a Chat Completions request as waybill writes one.
type chatRequest struct {
	Model         string            `json:"model"`
	Messages      []json.RawMessage `json:"messages"`
	Tools         []chatTool        `json:"tools,omitempty"`
	ToolChoice    any               `json:"tool_choice,omitempty"`
	Parallel      *bool             `json:"parallel_tool_calls,omitzero"`
	Format        *chatFormat       `json:"response_format,omitzero"`
	Cap           int64             `json:"max_completion_tokens,omitzero"`
	OldCap        int64             `json:"max_tokens,omitzero"`
	Stream        bool              `json:"stream,omitzero"`
	StreamOptions *streamOptions    `json:"stream_options,omitzero"`
	Temperature   *float64          `json:"temperature,omitzero"`
	TopP          *float64          `json:"top_p,omitzero"`
	Frequency     *float64          `json:"frequency_penalty,omitzero"`
	Presence      *float64          `json:"presence_penalty,omitzero"`
	Stop          []string          `json:"stop,omitempty"`
	Seed          *int64            `json:"seed,omitzero"`
	N             int64             `json:"n,omitzero"`
	EndUser       string            `json:"safety_identifier,omitzero"`
	ServiceTier   string            `json:"service_tier,omitzero"`
	Effort        string            `json:"reasoning_effort,omitzero"`
	Verbosity     string            `json:"verbosity,omitzero"`
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
}

// tiers are the other dialects' words for OpenAI's service tiers.
var tiers = map[string]string{
	"": "", "auto": "auto", "default": "default", "flex": "flex", "scale": "scale", "priority": "priority", "fast": "fast",
	"standard": "default", "standard_only": "default",
}

// maxStops is how many stop strings OpenAI takes.
const maxStops = 4

// encode writes a request that came in another dialect.
func encode(c router.Call) (body []byte, warnings []string, err error) {
	t, err := router.Translate(c)
	if err != nil {
		return nil, nil, err
	}
	tier, known := tiers[t.ServiceTier]
	switch {
	case t.Endpoint == router.EndpointCount:
		return nil, nil, t.Cannot("model", "tokens cannot be counted")
	case t.TopK != nil:
		return nil, nil, t.Cannot("top_k", "it has no counterpart")
	case !known:
		return nil, nil, t.Cannot("service_tier", "it has no counterpart")
	case len(t.Stop) > maxStops:
		return nil, nil, t.Cannot("stop", "there are more than 4 stop strings, which cannot be had")
	}
	out := chatRequest{
		Model: c.Model.ID, Cap: c.OutputCap, Stream: t.Stream,
		Temperature: t.Temperature, TopP: t.TopP, Frequency: t.Frequency, Presence: t.Presence,
		Stop: t.Stop, Seed: t.Seed, EndUser: EndUser(t), ServiceTier: tier, Effort: effort(t), Verbosity: t.Verbosity,
	}
	if c.Quirks.MaxTokens {
		out.Cap, out.OldCap = 0, c.OutputCap
	}
	if t.N > 1 {
		out.N = t.N
	}
	if t.Stream && !c.Quirks.NoStreamOptions {
		out.StreamOptions = &streamOptions{IncludeUsage: true}
	}
	if t.Thoughts && t.Model.Has(ledger.FeatureReasoning) {
		t.Warn("thoughts", "what is thought is shown as far as "+t.Model.Provider+" shows it unasked, Chat Completions has no word to ask for it")
	}
	AskForJSON(t)
	if err := encodeTools(t, &out); err != nil {
		return nil, nil, err
	}
	out.Format = encodeFormat(t)
	if out.Messages, err = encodeMessages(t); err != nil {
		return nil, nil, err
	}
	if body, err = json.Marshal(out); err != nil {
		return nil, nil, err
	}
	body = without(t, body)
	return body, t.Warnings, nil
}

// without takes away what the provider refuses.
func without(t *router.Translated, body []byte) []byte {
	drop := t.Call.Quirks.Drop
	if len(drop) == 0 {
		return body
	}
	w := router.NewObject(len(body))
	gjson.ParseBytes(body).ForEach(func(key, value gjson.Result) bool {
		if slices.Contains(drop, key.Str) {
			t.Warn(cmp.Or(canonical[key.Str], key.Str), "left out, "+t.Model.Provider+" refuses it")
		} else {
			w.Member(key.Raw, value.Raw)
		}
		return true
	})
	return w.End()
}

// canonical are the fields that this dialect has under another name too.
var canonical = map[string]string{"safety_identifier": "user", "max_tokens": "max_completion_tokens"}

// maxEndUser bounds the id of an end user, in bytes, as OpenAI does.
const maxEndUser = 128

// EndUser is the id of the caller's own user in either dialect of OpenAI's. It is opaque, so that a hash of a long one does what it
// is for.
func EndUser(t *router.Translated) string {
	if len(t.EndUser) <= maxEndUser {
		return t.EndUser
	}
	t.Warn("user", "sent as its SHA-256, it is longer than 128 bytes")
	sum := sha256.Sum256([]byte(t.EndUser))
	return hex.EncodeToString(sum[:])
}

// effort is how much the model is to reason. A budget of tokens is told as the nearest effort.
func effort(t *router.Translated) string {
	if t.Effort != "" {
		return t.Effort
	}
	word := t.EffortNear()
	if word == "" || word == "none" {
		return word
	}
	t.Warn("reasoning_effort", "a budget of tokens is sent as the effort "+word)
	return word
}

// encodeTools writes the tools and the choice among them.
func encodeTools(t *router.Translated, out *chatRequest) error {
	if err := t.Named(named, "1 to 64 letters, digits, _ and -"); err != nil || len(t.Tools) == 0 {
		return err
	}
	for _, tool := range t.Tools {
		f := chatFunction{Name: tool.Name, Description: tool.Description, Parameters: tool.Schema, Strict: tool.Strict}
		if f.Strict != nil && *f.Strict && !Strictable(tool.Schema) {
			f.Strict = new(bool)
			t.Warnings = append(t.Warnings, tool.Field+": not strict, "+t.Model.Name+" cannot hold arguments to this schema")
		}
		out.Tools = append(out.Tools, chatTool{"function", f})
	}
	if t.Serial {
		out.Parallel = new(bool)
	}
	choice := t.ToolChoice
	if choice.Mode == router.ToolRequired && t.Model.Has(ledger.FeatureAutoTools) {
		return t.Cannot("tool_choice", "the call of a tool cannot be forced")
	}
	switch {
	case choice.Mode == router.ToolNone || len(choice.Names) == 0:
		if choice.Mode != "" {
			out.ToolChoice = choice.Mode
		}
	case choice.Mode == router.ToolRequired && len(choice.Names) == 1:
		out.ToolChoice = only(choice.Names[0])
	default:
		allowed := allowedTools{Type: "allowed_tools"}
		allowed.Allowed.Mode = cmp.Or(choice.Mode, router.ToolAuto)
		for _, name := range choice.Names {
			allowed.Allowed.Tools = append(allowed.Allowed.Tools, only(name))
		}
		out.ToolChoice = allowed
	}
	return nil
}

type chatTool struct {
	Type     string       `json:"type"`
	Function chatFunction `json:"function"`
}

type chatFunction struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitzero"`
	Parameters  json.RawMessage `json:"parameters,omitzero"`
	Strict      *bool           `json:"strict,omitzero"`
}

type allowedTools struct {
	Type    string `json:"type"`
	Allowed struct {
		Mode  router.ToolMode `json:"mode"`
		Tools []chatTool      `json:"tools"`
	} `json:"allowed_tools"`
}

// only names one tool.
func only(name string) chatTool { return chatTool{"function", chatFunction{Name: name}} }

// named tells whether OpenAI takes the name of a tool or of a schema.
func named(s string) bool { return router.IsWord(s, 64) }
