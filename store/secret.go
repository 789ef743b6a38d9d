package store

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
)

// Secret is a value that must not be seen: a provider's key. However it is printed, encoded or logged, it is "[secret]".
type Secret struct {
	// A pointer, because fmt calls no methods on a value in somebody's unexported field; of a pointer there it prints
	// the address.
	value *string
}

const redacted = "[secret]"

// NewSecret takes a value in.
func NewSecret(value string) Secret { return Secret{&value} }

// Reveal is the value itself: for a header of one call, and for nothing that is kept.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// String hides the value.
func (s Secret) String() string { return redacted }

// GoString hides the value.
func (s Secret) GoString() string { return redacted }

// Format hides the value under every verb and flag.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalJSON hides the value.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// LogValue hides the value.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// Fingerprint is what the log and people may know of a secret: its last four characters, if it is long enough for that
// to give nothing away, and 32 bits of its SHA-256, so that two can be told apart: "…wxyz:1f2e3d4c".
func Fingerprint(s Secret) string {
	v := s.Reveal()
	sum := sha256.Sum256([]byte(v))
	return "…" + tail(v) + ":" + hex.EncodeToString(sum[:4])
}

func tail(v string) string {
	if len(v) <= 12 {
		return ""
	}
	end := v[len(v)-4:]
	for i := range len(end) {
		if end[i] <= ' ' || end[i] > '~' {
			return "" // no half of a character, nothing that a terminal would obey
		}
	}
	return end
}
