package sandbox

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Tokens counts what one call used. Input excludes both cache classes; Output
// includes Reasoning. A provider's own usage object is derived from this.
type Tokens struct {
	Input      int `json:"input"`
	CacheRead  int `json:"cache_read"`
	CacheWrite int `json:"cache_write"`
	Output     int `json:"output"`
	Reasoning  int `json:"reasoning"`
}

const (
	bytesPerToken = 4

	// mediaTokens is what an image, an audio clip or a file counts as input.
	mediaTokens = 256
)

// CountTokens is the sandbox's tokenizer: four bytes are a token, rounded up.
func CountTokens(text string) int { return (len(text) + bytesPerToken - 1) / bytesPerToken }

// Answer is the text that the sandbox answers to a last user message, at the
// given length in tokens; 0 is the natural length, which depends on the message.
// A directive in the message does not count. It is the first choice; see
// [AnswerChoice].
func Answer(lastUser string, tokens int) string { return AnswerChoice(lastUser, tokens, 0) }

// AnswerChoice is [Answer] for choice i of a call that asked for several.
func AnswerChoice(lastUser string, tokens, i int) string {
	plain, _ := stripDirective(lastUser)
	return compose(hashText(plain)+uint64(i), tokens)
}

// stripDirective returns the text without its first directive, and that directive's words.
func stripDirective(text string) (plain, words string) {
	start := strings.Index(text, directiveOpen)
	if start < 0 {
		return strings.TrimSpace(text), ""
	}
	words, rest, _ := cutDirective(text[start+len(directiveOpen):])
	return strings.TrimSpace(text[:start] + rest), words
}

// vocabulary has what breaks careless code: quotes, backslashes, markup, and
// runes of two, three and four bytes.
var vocabulary = strings.Fields(`freight ledger waybill harbour crate parcel route manifest cargo signal lantern
anchor bridge tariff margin balance column anvil meadow copper quiet steady northern early weighed sealed counted
carried stored signed posted settled returns arrives departs follows reports before beyond between naïve café größer
Ærø 日本語 заказ €5 🚢 "quoted" back\slash <tag> R&D 100% a/b it's`)

const newlineEvery = 5 // sentences

// compose writes exactly tokens tokens of sentences from a seed.
func compose(seed uint64, tokens int) string {
	if tokens == 0 {
		tokens = 24 + int(seed%25)
	}
	size := tokens * bytesPerToken
	var b strings.Builder
	b.Grow(size + 32)
	state := seed
	for sentence := 1; b.Len() < size; sentence++ {
		words := 5 + int(next(&state)%8)
		for i := range words {
			word := vocabulary[next(&state)%uint64(len(vocabulary))]
			if i == 0 && word[0] >= 'a' && word[0] <= 'z' {
				b.WriteByte(word[0] - 'a' + 'A')
				word = word[1:]
			}
			b.WriteString(word)
			if i < words-1 {
				b.WriteByte(' ')
			}
		}
		b.WriteByte('.')
		if sentence%newlineEvery == 0 {
			b.WriteByte('\n')
		} else {
			b.WriteByte(' ')
		}
	}
	// One byte is kept for the full stop; a rune is at most four bytes, so the
	// text still fills its last token.
	return prefix(b.String(), size-1) + "."
}

// prefix is the longest part of text that has at most size bytes and whole runes.
func prefix(text string, size int) string {
	if size >= len(text) {
		return text
	}
	for size > 0 && !utf8.RuneStart(text[size]) {
		size--
	}
	return text[:max(size, 0)]
}

// hashText is 64-bit FNV-1a, written out because hash/fnv would allocate.
func hashText(text string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	return h
}

// next is the splitmix64 generator.
func next(state *uint64) uint64 {
	*state += 0x9e3779b97f4a7c15
	z := *state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// ending is why a choice stopped, before a provider words it.
type ending uint8

const (
	endNatural ending = iota
	endStop
	endLength
	endRefusal
	endFiltered
	endBlocked
)

// choice is one answer text and how it ended.
type choice struct {
	text      string
	thought   string // the reasoning, as far as it is shown
	reasoning int    // tokens
	end       ending
	stop      string // the stop string that ended it
}

func (c *choice) tokens() int { return CountTokens(c.text) + c.reasoning }

// answer is what a call will be told, before a dialect words it.
type answer struct {
	id      string
	request string // the provider's request id, for its header and error bodies
	created int64  // Unix seconds
	prompt  *prompt
	script  *Script
	choices []choice
	input   int // all of it, both cache classes included
	frames  int // content frames a stream has
}

// prompt is what a dialect reads out of a request.
type prompt struct {
	model    string
	stream   bool
	lastUser string
	input    int // tokens
	limit    int // output cap in tokens; negative is none
	stops    []string
	choices  int
	messages int
	images   int
	tools    int

	showThoughts  bool   // the caller wants to see the reasoning
	silentRefusal bool   // Gemini: a refusal has no text
	includeUsage  bool   // OpenAI: stream_options.include_usage
	obfuscate     bool   // OpenAI: stream_options.include_obfuscation, true unless refused
	tier          string // the tier that the answer reports
	speed, geo    string // Anthropic
}

func (p *prompt) addText(text string) { p.input += CountTokens(text) }

// addMedia counts an image, an audio clip or a file.
func (p *prompt) addMedia() {
	p.images++
	p.input += mediaTokens
}

// addRaw counts a JSON value, such as a tool definition or its arguments.
func (p *prompt) addRaw(raw string) { p.input += CountTokens(raw) }

// answerTo composes the answer to a prompt under a script.
func answerTo(p *prompt, s *Script) (*answer, error) {
	a := &answer{prompt: p, script: s, input: p.input, choices: make([]choice, p.choices)}
	if s.Input > 0 {
		a.input = s.Input
	}
	if cached := s.Cached + s.CacheWrite; cached > a.input {
		return nil, fmt.Errorf("cached and cache_write are %d tokens, but the prompt has %d: lengthen it or set input", cached, a.input)
	}
	plain, _ := stripDirective(p.lastUser)
	seed := hashText(plain)
	longest := 0
	for i := range a.choices {
		c := &a.choices[i]
		text := s.Say
		if text == "" {
			text = compose(seed+uint64(i), s.Output)
		}
		c.fill(text, p, s)
		longest = max(longest, len(c.text))
	}
	switch {
	case s.Verdict == VerdictBlocked:
		a.frames = 0
	case s.Chunks > 0:
		a.frames = s.Chunks
	case s.ChunkBytes > 0:
		a.frames = (longest + s.ChunkBytes - 1) / s.ChunkBytes
	default:
		a.frames = (longest + defaultChunkBytes - 1) / defaultChunkBytes
	}
	return a, nil
}

// fill applies, in a provider's order, the verdict, the cap and the stop strings.
func (c *choice) fill(text string, p *prompt, s *Script) {
	switch s.Verdict {
	case VerdictBlocked:
		c.end = endBlocked
		return
	case VerdictRefusal:
		if c.end = endRefusal; !p.silentRefusal {
			c.text = "I cannot help with that."
		}
		return
	case VerdictFiltered:
		text = prefix(text, len(text)/2)
		c.end = endFiltered
	}
	c.text, c.reasoning = text, s.Reasoning
	if p.limit >= 0 && !s.Uncapped {
		c.reasoning = min(c.reasoning, p.limit)
		left := p.limit - c.reasoning
		if CountTokens(text) > left {
			c.text, c.end = prefix(text, left*bytesPerToken), endLength
		}
	}
	at := len(c.text)
	for _, stop := range p.stops {
		if i := strings.Index(c.text, stop); stop != "" && i >= 0 && i < at {
			at, c.stop, c.end = i, stop, endStop
		}
	}
	c.text = c.text[:at]
	if p.showThoughts && c.reasoning > 0 {
		c.thought = compose(hashText(text)^1, c.reasoning)
	}
}

// piece is part i of n of a choice's text, split between runes.
func (a *answer) piece(c *choice, i int) string {
	return c.text[a.split(c, i):a.split(c, i+1)]
}

// split is where piece i begins.
func (a *answer) split(c *choice, i int) int {
	var at int
	switch {
	case i >= a.frames:
		return len(c.text)
	case a.script.Chunks > 0:
		at = len(c.text) * i / a.frames
	case a.script.ChunkBytes > 0:
		at = i * a.script.ChunkBytes
	default:
		at = i * defaultChunkBytes
	}
	return len(prefix(c.text, at))
}

// tokens is the usage once the first frames content frames are out.
func (a *answer) tokens(frames int) Tokens {
	t := Tokens{
		Input:      a.input - a.script.Cached - a.script.CacheWrite,
		CacheRead:  a.script.Cached,
		CacheWrite: a.script.CacheWrite,
	}
	for i := range a.choices {
		c := &a.choices[i]
		t.Output += c.reasoning + CountTokens(c.text[:a.split(c, frames)])
		t.Reasoning += c.reasoning
	}
	return t
}
