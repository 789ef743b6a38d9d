package http

import (
	"bytes"
	"encoding/json"
	"strings"
)

// repeated finds a member that a JSON text names twice in one object, which says two things: our reader takes the last, and who has
// looked at the text before it may have taken the first. Names are compared as the reader does, which takes NAME for name. A text
// that is no JSON has none: the reader says what is wrong with it.
func repeated(text []byte) (name string, is bool) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	type object struct {
		names map[string]bool // nil: a list
		value bool            // what comes next is a member's value
	}
	var open []object
	for {
		token, err := d.Token()
		if err != nil {
			return "", false
		}
		top := len(open) - 1
		if s, ok := token.(string); ok && top >= 0 && open[top].names != nil && !open[top].value {
			folded := strings.ToLower(s)
			if open[top].names[folded] {
				return s, true
			}
			open[top].names[folded], open[top].value = true, true
			continue
		}
		switch token {
		case json.Delim('{'):
			open = append(open, object{names: map[string]bool{}})
			continue
		case json.Delim('['):
			open = append(open, object{})
			continue
		case json.Delim('}'), json.Delim(']'):
			open = open[:top]
		}
		if top = len(open) - 1; top >= 0 {
			open[top].value = false
		}
	}
}
