package router

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestDocument(t *testing.T) {
	nest := func(n int) string { return strings.Repeat(`{"a":[`, n/2) + strings.Repeat(`]}`, n/2) }
	for _, good := range []string{`{}`, ` [1, "]]]]", "\"{{{", "\\"] `, `"\\\""`, nest(128), `["` + strings.Repeat(`[`, 500) + `"]`} {
		if _, err := Document([]byte(good)); err != nil {
			t.Errorf("%.40s: %v", good, err)
		}
	}
	for bad, want := range map[string]string{
		nest(130):                         "nests deeper than 128 levels",
		strings.Repeat("[", 32<<20):       "nests deeper than 128 levels",
		`["\\\"` + nest(400):              "is not JSON: invalid character 'a' after array element at byte 9",
		`{"a":1} x`:                       "is not JSON: invalid character 'x' after top-level value at byte 9",
		"{\"a\":\"\x01\"}":                "is not JSON: invalid character '\\x01' in string literal at byte 7",
		"\"\xc3\"":                        "is not UTF-8",
		``:                                "is not JSON: unexpected end of JSON input at byte 0",
		`{"a":"` + strings.Repeat(`\`, 9): "is not JSON: invalid character ' ' in string escape code at byte 15",
	} {
		if _, err := Document([]byte(bad)); err == nil || err.Error() != want {
			t.Errorf("%.40q: %v, want %s", bad, err, want)
		}
	}
}

func FuzzDocument(f *testing.F) {
	f.Add([]byte(`{"a":[1,"b\"]",null]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := Document(b); err == nil && !json.Valid(b) {
			t.Fatalf("%q is not JSON", b)
		}
	})
}
