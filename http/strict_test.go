package http

import (
	"errors"
	"strings"
	"testing"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

func TestRepeated(t *testing.T) {
	for text, want := range map[string]string{
		`{}`: "", `{"a":1,"b":{"a":1},"c":[{"a":1},{"a":2}]}`: "", `{"a":"a","b":"a"}`: "", `["a","a"]`: "", `{"a":{"x":1},"b":["x","x"],"c":"x"}`: "", `"a"`: "", ``: "", `{"a":1,"a"`: "a",
		`{"a":1,"a":2}`: "a", `{"a":1,"\u0061":2}`: "a", `{"a":1,"A":2}`: "A", `{"x":[1,{"b":[],"c":{},"b":null}]}`: "b", `{"a":{},"b":[{}],"a":1}`: "a", `{"a":[],"a":[]}`: "a", `{"":1,"":2}`: "",
	} {
		name, is := repeated([]byte(text))
		if name != want || is != (want != "" || text == `{"":1,"":2}`) {
			t.Errorf("%s: %q, %v, want %q", text, name, is, want)
		}
	}
}

// What our search lets through, a reader that refuses names given twice takes too.
func FuzzRepeated(f *testing.F) {
	for _, s := range []string{`{"a":1,"b":{"a":[1,{"c":{}}]}}`, `{"a":1,"\u0061":2}`, `[{"a":{"b":1,"b":2}}]`, `{"A":1,"a":2}`, `{"a":"x","b":[]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		name, is := repeated(text)
		var v any
		err := json.Unmarshal(text, &v, jsontext.AllowInvalidUTF8(true))
		if _, twice := errors.AsType[*jsontext.SyntacticError](err); err != nil && twice && strings.Contains(err.Error(), "duplicate") && !is {
			t.Errorf("%q is let through: %v", text, err)
		}
		if is && err == nil && !strings.ContainsFunc(name, unicode.IsLetter) {
			t.Errorf("%q: %q is given once", text, name)
		}
	})
}
