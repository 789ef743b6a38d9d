package store

import (
	"crypto/sha256"
	"encoding/hex"

	"waybill/ledger/secret"
)

// Secret is a value that must not be seen: a provider's key.
type Secret = secret.Text

// NewSecret takes a value in.
func NewSecret(value string) Secret { return secret.New(value) }

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
