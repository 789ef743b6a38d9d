// Package secret holds values that must not be seen: the keys of providers, the operator's token, the keys that seal others.
//
// Whoever has such a value has it as a Text, and takes it out where it is used and nowhere else. However a Text is printed, encoded or
// logged, alone or within something else, it shows that there is a secret and not which one.
package secret

import "fmt"

// Text is a value that must not be seen.
type Text struct {
	// A pointer, because fmt calls no methods on a value in somebody's unexported field; of a pointer there it prints
	// the address.
	value *string
}

const redacted = "[secret]"

// New takes a value in.
func New(value string) Text { return Text{&value} }

// Reveal is the value itself: for a header of one call, and for nothing that is kept.
func (t Text) Reveal() string {
	if t.value == nil {
		return ""
	}
	return *t.value
}

// IsZero tells whether there is no value, or an empty one.
func (t Text) IsZero() bool { return t.value == nil || *t.value == "" }

// String hides the value.
func (t Text) String() string { return redacted }

// GoString hides the value.
func (t Text) GoString() string { return redacted }

// Format hides the value under every verb and flag.
func (t Text) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText hides the value, and so it is hidden in JSON, in YAML and from structured logs.
func (t Text) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText takes a value in, such as a string of JSON that a caller has sent.
func (t *Text) UnmarshalText(b []byte) error {
	*t = New(string(b))
	return nil
}
