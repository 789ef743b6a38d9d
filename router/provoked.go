package router

import (
	"encoding/json"
	"slices"
	"strings"
)

// stored are the members by which a request names what a provider keeps: files, caches, containers, earlier items. That one of
// these is not there, or belongs to somebody else, is told in the same codes as that a key may not call a model.
var stored = []string{"file_id", "file_ids", "fileUri", "file_uri", "cachedContent", "cached_content", "container", "item_reference", "prompt",
	"conversation", "previous_response_id", "vector_store_ids"}

// judged is an error as an upstream's, and whether the request may have brought it about.
func (r *run) judged(err error) *UpstreamError {
	e := upstreamError(err)
	if e.provokedBy(r.task.Request) {
		e.Provoked = true
	}
	return e
}

// provokedBy tells whether a request may have brought about what was taken for a failing of its credential or model: by words that
// it has and the provider has said back, or by naming what is not the credential's. Where that is in doubt it has: what is
// really wrong with a credential shows in other calls, and in the checks, too.
func (e *UpstreamError) provokedBy(q *Request) bool {
	if e.Phrase == "" && !e.Doubtful {
		return false
	}
	said, names := wordsOf(q)
	return e.Phrase != "" && strings.Contains(said, letters(e.Phrase)) || e.Doubtful && (names || len(q.Header["Anthropic-Beta"]) > 0)
}

// wordsOf gives the letters of everything that a request says, and whether it names what a provider keeps. Letters alone, since
// providers quote what they got with other spaces and escapes.
func wordsOf(q *Request) (said string, names bool) {
	var b strings.Builder
	say := func(s string) {
		b.WriteString(letters(s))
		names = names || slices.Contains(stored, s)
	}
	say(q.Model)
	for _, values := range q.Header {
		for _, v := range values {
			say(v)
		}
	}
	for d := json.NewDecoder(strings.NewReader(TextOf(q.Body))); ; { // the strings of it, and the names of members
		token, err := d.Token()
		if err != nil {
			return b.String(), names
		}
		if s, ok := token.(string); ok {
			say(s)
		}
	}
}

// letters are those of a text from a to z, in lower case.
func letters(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z':
			return c
		case c >= 'A' && c <= 'Z':
			return c + 'a' - 'A'
		}
		return -1
	}, s)
}
