package sandbox

import "strings"

// prompt is what a dialect reads out of a request.
type prompt struct {
	model    string
	stream   bool
	lastUser string // the last user message, or the results that the conversation ends with
	input    int    // tokens
	limit    int    // output cap in tokens; negative is none
	stops    []string
	choices  int
	messages int
	images   int
	tools    int

	offered    []tool
	choice     toolChoice
	results    []toolResult // that the conversation ends with
	media      []string     // a line for each, of the whole conversation
	newMedia   int          // where those of the last user message begin
	schema     string       // of the answer
	jsonObject bool         // any JSON object is asked for

	seal          sealer
	showThoughts  bool   // the caller wants to see the reasoning
	includeUsage  bool   // OpenAI: stream_options.include_usage
	obfuscate     bool   // OpenAI: stream_options.include_obfuscation, true unless refused
	tier          string // the tier that the answer reports
	speed, geo    string // Anthropic
	signsCalls    bool   // Gemini 3 and later
	silentRefusal bool   // Gemini: a refusal has no text
	body          string // Responses: what the answer repeats
}

func (p *prompt) addText(text string) { p.input += CountTokens(text) }

// addMedia counts an image, a clip or a file, and keeps its line.
func (p *prompt) addMedia(line string) {
	p.images++
	p.input += mediaTokens
	p.media = append(p.media, line)
}

// addRaw counts a JSON value, such as a tool definition or its arguments.
func (p *prompt) addRaw(raw string) { p.input += CountTokens(raw) }

// asked begins a user message: what comes after is new.
func (p *prompt) asked(text string) { p.lastUser, p.results = text, nil }

// answered ends the reading: results that nothing follows, in the order of their calls, are what
// the answer is about.
func (p *prompt) answered(results []toolResult) {
	p.results = results
	var texts []string
	for _, r := range results {
		texts = append(texts, r.text)
	}
	p.lastUser = strings.Join(texts, "\n")
}
