package http

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
)

// A key is keyPrefix, keyRandom random characters and keyCheck characters of their CRC-32, all base62. The prefix lets
// secret scanners find a leaked key, and the checksum tells a mistyped one from a wrong one without a look at the books.
const (
	keyPrefix = "wbk_"
	keyRandom = 30 // 178 bits
	keyCheck  = 6
	base62    = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// NewKey makes the secret of a key from random bytes.
func NewKey(random io.Reader) (string, error) {
	key := make([]byte, 0, len(keyPrefix)+keyRandom+keyCheck)
	key = append(key, keyPrefix...)
	var b [64]byte
	for len(key) < len(keyPrefix)+keyRandom {
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return "", fmt.Errorf("reading random bytes for a key: %w", err)
		}
		for _, c := range b {
			// The bytes from 248 on would make the first characters likelier than the others.
			if c < 4*62 && len(key) < len(keyPrefix)+keyRandom {
				key = append(key, base62[c%62])
			}
		}
	}
	sum := checksum(string(key))
	return string(append(key, sum[:]...)), nil
}

// KeyLike tells whether a text begins as keys do, and so is taken for one.
func KeyLike(s string) bool { return strings.HasPrefix(s, keyPrefix) }

// Valid tells whether a text can be a key at all: its form and its checksum.
func Valid(key string) bool {
	if len(key) != len(keyPrefix)+keyRandom+keyCheck || !KeyLike(key) {
		return false
	}
	body, check := key[:len(keyPrefix)+keyRandom], key[len(keyPrefix)+keyRandom:]
	sum := checksum(body)
	return check == string(sum[:])
}

// Hash is the digest under which the log knows a secret: SHA-256 in hex. A secret of 178 random bits needs no slower one.
func Hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func checksum(body string) (out [keyCheck]byte) {
	n := crc32.ChecksumIEEE([]byte(body))
	for i := keyCheck - 1; i >= 0; i-- {
		out[i] = base62[n%62]
		n /= 62
	}
	return out
}
