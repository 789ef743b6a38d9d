package router

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
	"unicode"
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
	w := wordsOf(q)
	return w.unread || e.Phrase != "" && strings.Contains(w.said.String(), letters(e.Phrase)) || e.Doubtful && (w.names || len(q.Header["Anthropic-Beta"]) > 0)
}

// words are what a request says. Letters alone, since providers quote what they got with other spaces and escapes.
type words struct {
	said   strings.Builder
	names  bool // something that a provider keeps
	unread bool // it has more, which cannot be read
}

// wordsOf gives the words of a request.
func wordsOf(q *Request) *words {
	w := &words{}
	w.say(q.Model)
	for _, values := range q.Header {
		for _, v := range values {
			w.say(v)
		}
	}
	w.unread = w.read(TextOf(q.Body)) != nil
	return w
}

func (w *words) say(s string) {
	w.said.WriteString(letters(s))
	w.names = w.names || slices.Contains(stored, s)
}

// read takes the strings of a JSON text, and the names of members. Strings that are such texts themselves, as a call's arguments are
// in some dialects, go to other providers as what they mean.
func (w *words) read(text string) error {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber() // some are larger than any that could be told
	for {
		token, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if s, ok := token.(string); ok {
			w.say(s)
			if strings.HasPrefix(strings.TrimLeft(s, " \t\r\n"), "{") && strings.Contains(s, `\`) {
				_ = w.read(s) // as far as it is one
			}
		}
	}
}

// letters are those of a text from a to z, folded as strings.ToLower folds: some others become one of these by it.
func letters(s string) string {
	return strings.Map(func(c rune) rune {
		if c = unicode.ToLower(c); c >= 'a' && c <= 'z' {
			return c
		}
		return -1
	}, s)
}
