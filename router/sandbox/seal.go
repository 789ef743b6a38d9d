package sandbox

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// sealer signs what a model must see again unchanged: thinking, thought signatures, encrypted
// reasoning. A seal holds for a provider, a key and a model.
type sealer struct{ provider, key, model string }

func newSealer(provider, secret, model string) sealer {
	return sealer{provider, Fingerprint(secret), model}
}

// sealSecret is no secret: anyone may read this file. It only makes a seal that was
// altered differ from one that was not.
var sealSecret = []byte("waybill sandbox seal")

const sealParts = 5 // version, provider, key, model, digest of the content

func digest(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:8])
}

func mac(payload string) string {
	h := hmac.New(sha256.New, sealSecret)
	h.Write([]byte(payload))
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// sign is a seal on content, in base64.
func (s sealer) sign(content string) string {
	payload := strings.Join([]string{"seal1", s.provider, s.key, s.model, digest(content)}, "\n")
	return base64.StdEncoding.EncodeToString([]byte(payload + "\n" + mac(payload)))
}

// sealState is what a seal that comes back is worth.
type sealState uint8

const (
	sealGood sealState = iota
	sealBroken
	sealOtherKey
	sealOtherModel
)

// check reads a seal on content. Google's SDKs may spell base64 either way.
func (s sealer) check(seal, content string) sealState {
	raw, err := decodeBase64(seal)
	if err != nil {
		return sealBroken
	}
	payload, sum, ok := cutLast(string(raw), "\n")
	parts := strings.Split(payload, "\n")
	switch {
	case !ok || !hmac.Equal([]byte(sum), []byte(mac(payload))) || len(parts) != sealParts || parts[1] != s.provider || parts[4] != digest(content):
		return sealBroken
	case parts[2] != s.key:
		return sealOtherKey
	case parts[3] != s.model:
		return sealOtherModel
	}
	return sealGood
}

func cutLast(text, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(text, sep)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(sep):], true
}

// decodeBase64 takes both alphabets, with padding or without.
func decodeBase64(text string) ([]byte, error) {
	text = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	return base64.RawStdEncoding.DecodeString(text)
}
