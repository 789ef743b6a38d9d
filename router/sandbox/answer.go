package sandbox

import (
	"strings"
	"unicode/utf8"
)

// Tokens counts what one call used. Input excludes the cache classes; Output
// includes Reasoning. A provider's own usage object is derived from this.
type Tokens struct {
	Input          int `json:"input"`
	CacheRead      int `json:"cache_read"`
	CacheWrite     int `json:"cache_write"`      // for the shorter lifetime, or the only one
	CacheWriteLong int `json:"cache_write_long"` // for the longer one
	Output         int `json:"output"`
	Reasoning      int `json:"reasoning"`
}

// prompt is the input in all, as the providers that include cached tokens count it.
func (t Tokens) prompt() int { return t.Input + t.CacheRead + t.CacheWrite + t.CacheWriteLong }

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
