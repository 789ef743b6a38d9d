package sandbox

import (
	"slices"
	"strings"
)

// family is what the models of one name have in common. The names are a table, not
// a promise: a model that is in none of them may do everything.
type family struct {
	name      string // a model is of the family with the longest name that begins its own
	maxOutput int    // tokens; 0 is any
	unlisted  bool   // the name of a family alone, not of a model

	// OpenAI
	reasoning bool     // refuses max_tokens
	sampling  sampling // what it says to sampling parameters
	efforts   []string // of reasoning_effort; nil is any, empty is none at all
	noStop    bool
	noTools   bool // function tools only with reasoning_effort none

	// Anthropic
	noPrefill   bool
	thinking    []string // types; nil is any
	noForced    bool     // tool_choice any and tool
	midSystem   bool     // system role inside messages
	oneSampling bool     // temperature or top_p, not both
	offUpToHigh bool     // thinking may be disabled only with effort high or lower

	// Gemini
	levels   []string // of thinkingLevel; nil is any
	noBudget bool
}

// sampling is how a model takes temperature, top_p and the like.
type sampling uint8

const (
	samplingFree             sampling = iota
	samplingDefault                   // only their default values
	samplingNever                     // not at all
	samplingNeverUnlessOff            // not at all, unless reasoning_effort is none
	samplingDefaultUnlessOff          // default values, unless reasoning_effort is none
)

var (
	effortsAll     = []string{"none", "minimal", "low", "medium", "high", "xhigh", "max"}
	effortsNoNone  = effortsAll[1:]
	effortsClassic = []string{"minimal", "low", "medium", "high"}
	effortsOSeries = []string{"low", "medium", "high"}

	levelsAll = []string{"THINKING_LEVEL_UNSPECIFIED", "MINIMAL", "LOW", "MEDIUM", "HIGH"}
	levelsTop = []string{"THINKING_LEVEL_UNSPECIFIED", "LOW", "MEDIUM", "HIGH"}
)

// families says which provider's models have which limits and quirks.
var families = map[string][]family{
	OpenAI: {
		{name: "gpt-6-astra", maxOutput: 128_000, reasoning: true, sampling: samplingNever, efforts: effortsNoNone, noTools: true},
		{name: "gpt-6.2-sol", maxOutput: 128_000, reasoning: true, sampling: samplingNever, efforts: effortsNoNone, noTools: true},
		{name: "gpt-6.1-sol", maxOutput: 128_000, reasoning: true, sampling: samplingNever, efforts: effortsNoNone, noTools: true},
		{name: "gpt-6.1-terra", maxOutput: 128_000, reasoning: true, sampling: samplingNever, efforts: effortsNoNone, noTools: true},
		{name: "gpt-6-sol", maxOutput: 128_000, reasoning: true, sampling: samplingNeverUnlessOff, efforts: effortsAll, noTools: true},
		{name: "gpt-6-luna", maxOutput: 128_000, reasoning: true, sampling: samplingNeverUnlessOff, efforts: effortsAll, noTools: true},
		{name: "gpt-6", maxOutput: 128_000, reasoning: true, sampling: samplingNeverUnlessOff, efforts: effortsAll, noTools: true, unlisted: true},
		{name: "gpt-5.6", maxOutput: 128_000, reasoning: true, sampling: samplingNeverUnlessOff, efforts: effortsAll, noTools: true},
		{name: "gpt-5.5", maxOutput: 128_000, reasoning: true, sampling: samplingDefaultUnlessOff, efforts: effortsAll},
		{name: "gpt-5.4", maxOutput: 128_000, reasoning: true, sampling: samplingDefaultUnlessOff, efforts: effortsAll},
		{name: "gpt-5.2", maxOutput: 128_000, reasoning: true, sampling: samplingDefaultUnlessOff, efforts: effortsAll},
		{name: "gpt-5", maxOutput: 128_000, reasoning: true, sampling: samplingDefault, efforts: effortsClassic},
		{name: "o4-mini", maxOutput: 100_000, reasoning: true, sampling: samplingDefault, efforts: effortsOSeries, noStop: true},
		{name: "o3", maxOutput: 100_000, reasoning: true, sampling: samplingDefault, efforts: effortsOSeries, noStop: true},
		{name: "gpt-4.1", maxOutput: 32_768, efforts: []string{}},
		{name: "gpt-4o", maxOutput: 16_384, efforts: []string{}},
	},
	Anthropic: {
		{name: "claude-fable-5-1", maxOutput: 128_000, sampling: samplingDefault, noPrefill: true, thinking: []string{"adaptive"}, noForced: true, midSystem: true},
		{name: "claude-opus-5-5", maxOutput: 128_000, sampling: samplingDefault, noPrefill: true, thinking: []string{"adaptive"}, noForced: true, midSystem: true},
		{name: "claude-sonnet-5-5", maxOutput: 128_000, sampling: samplingDefault, noPrefill: true, thinking: []string{"adaptive", "between_tools"}, noForced: true, midSystem: true},
		{name: "claude-haiku-5-5", maxOutput: 128_000, sampling: samplingDefault, noPrefill: true, thinking: []string{"adaptive", "between_tools", "disabled"}, midSystem: true},
		{name: "claude-fable-5", maxOutput: 128_000, noPrefill: true},
		{name: "claude-opus-5", maxOutput: 128_000, noPrefill: true, offUpToHigh: true},
		{name: "claude-sonnet-5", maxOutput: 128_000, sampling: samplingDefault, noPrefill: true, thinking: []string{"adaptive", "disabled"}},
		{name: "claude-opus-4-5", maxOutput: 64_000, oneSampling: true},
		{name: "claude-sonnet-4-5", maxOutput: 64_000, oneSampling: true},
		{name: "claude-haiku-4-5", maxOutput: 64_000, oneSampling: true},
	},
	Google: {
		{name: "gemini-4-argon", levels: levelsTop, noBudget: true},
		{name: "gemini-3.8-flash", maxOutput: 65_536, levels: levelsTop},
		{name: "gemini-3.7-flash", maxOutput: 65_536, levels: levelsTop},
		{name: "gemini-3.5-flash", maxOutput: 65_536, levels: levelsAll},
		{name: "gemini-3.5-flash-lite", maxOutput: 65_536, levels: levelsAll},
		{name: "gemini-3.1-pro-preview", maxOutput: 65_536, levels: levelsTop},
		{name: "gemini-3.1-flash-lite", maxOutput: 65_536, levels: levelsAll},
		{name: "gemini-2.5-pro", maxOutput: 65_536, levels: []string{}},
		{name: "gemini-2.5-flash", maxOutput: 65_536, levels: []string{}},
		{name: "gemini-2.5-flash-lite", maxOutput: 65_536, levels: []string{}},
	},
	Compatible: {{name: "llama-sandbox"}},
}

var anyFamily family

// familyOf finds the quirks of a model; the part of its name that the family's name
// does not cover must begin a new word, so that gpt-50 is no gpt-5.
func familyOf(provider, model string) *family {
	best := &anyFamily
	for i := range families[provider] {
		f := &families[provider][i]
		rest, ok := strings.CutPrefix(model, f.name)
		if ok && (rest == "" || rest[0] == '-' || rest[0] == '.' || rest[0] == ':') && len(f.name) > len(best.name) {
			best = f
		}
	}
	return best
}

// refuses reports whether a model with this much effort refuses a sampling value.
func (f *family) refuses(isDefault bool, effort string) bool {
	switch f.sampling {
	case samplingDefault:
		return !isDefault
	case samplingNever:
		return true
	case samplingNeverUnlessOff:
		return effort != "none"
	case samplingDefaultUnlessOff:
		return !isDefault && effort != "none"
	}
	return false
}

// modelNames lists a provider's models.
func (s *Sandbox) modelNames(provider string) []string {
	if names, ok := s.models[provider]; ok {
		return names
	}
	names := make([]string, 0, len(families[provider]))
	for _, f := range families[provider] {
		if !f.unlisted {
			names = append(names, f.name)
		}
	}
	return names
}

// serves reports whether a model exists: any does, unless Options.Models says which.
func (s *Sandbox) serves(provider, model string) bool {
	names, closed := s.models[provider]
	return model != "" && (!closed || slices.Contains(names, model))
}
