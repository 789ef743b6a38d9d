package router

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/tidwall/gjson"
)

// maxDepth bounds how deep a JSON text may nest. No dialect comes near it, and without a bound a body of
// brackets alone could exhaust the stack of the code that reads it.
const maxDepth = 128

// Document checks that b is one well-formed, UTF-8, reasonably nested JSON text and gives it for reading. The
// result and every string taken from it point into b, which must not be changed afterwards.
func Document(b []byte) (gjson.Result, error) {
	text := TextOf(b)
	switch {
	case !utf8.ValidString(text):
		return gjson.Result{}, errors.New("is not UTF-8")
	case deeper(text, maxDepth):
		return gjson.Result{}, fmt.Errorf("nests deeper than %d levels", maxDepth)
	case !gjson.Valid(text):
		return gjson.Result{}, malformed(b)
	}
	return gjson.Parse(text), nil
}

// TextOf gives bytes that are never written again as a string, without the copy.
func TextOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// deeper tells whether a JSON text nests beyond limit. It follows well-formed text only, as far as that is what
// it gets: a validator reads no further than the first fault either.
func deeper(text string, limit int) bool {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i = closingQuote(text, i+1)
		case '{', '[':
			if depth++; depth > limit {
				return true
			}
		case '}', ']':
			depth--
		}
	}
	return false
}

// closingQuote gives the place of the quote that ends the string whose first character is at from.
func closingQuote(text string, from int) int {
	for i := from; ; {
		n := strings.IndexByte(text[i:], '"')
		if n < 0 {
			return len(text)
		}
		i += n
		escapes := 0
		for i-escapes > from && text[i-escapes-1] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return i
		}
		i++
	}
}

// malformed says where a text stops being JSON.
func malformed(b []byte) error {
	var v json.RawMessage
	err := json.Unmarshal(b, &v)
	if at, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("is not JSON: %w at byte %d", at, at.Offset)
	}
	return errors.New("is not JSON")
}
