package router

import (
	"cmp"
	"encoding/json"
	"reflect"

	"github.com/tidwall/gjson"
)

// Described is the format's schema, as a dialect writes it, with what the format says of it, before what the schema says
// itself: for dialects whose format has no description of its own. Beside a reference words are not read.
func (t *Translated) Described(schema json.RawMessage) json.RawMessage {
	words, doc := t.Format.Description, gjson.ParseBytes(schema)
	if words == "" {
		return schema
	}
	if len(schema) == 0 || doc.Get("$ref").Exists() {
		t.Warn("response_format", "the description of its schema is left out, there is no place for it at "+t.Model.Name)
		return schema
	}
	if own := doc.Get("description"); own.Type == gjson.String {
		words += "\n" + own.Str
	}
	w := NewObject(len(schema) + len(words) + 32)
	w.String("description", words)
	doc.ForEach(func(key, v gjson.Result) bool {
		if key.Str != "description" {
			w.Member(key.Raw, v.Raw)
		}
		return true
	})
	return w.End()
}

// SameArguments tells whether two calls have one value as their arguments. Clients write them in their own way: with other
// spaces, other numbers for the same, and nothing for an empty object.
func SameArguments(a, b string) bool {
	a, b = cmp.Or(a, "{}"), cmp.Or(b, "{}")
	if a == b {
		return true
	}
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}
