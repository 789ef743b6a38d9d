package routertest

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strings"
)

func (chatClient) vectors(body []byte) (*Answer, error) {
	v, err := decode[struct {
		Object string `json:"object"`
		Model  string `json:"model"`
		Data   []struct {
			Object    string          `json:"object"`
			Index     int             `json:"index"`
			Embedding json.RawMessage `json:"embedding"`
		} `json:"data"`
		Usage *chatUsage `json:"usage"`
	}](body)
	if err != nil {
		return nil, err
	}
	if v.Object != "list" || v.Model == "" {
		return nil, fmt.Errorf("no list of embeddings: %.200s", body)
	}
	a := &Answer{Ended: true}
	for i, d := range v.Data {
		if d.Index != i || d.Object != "embedding" {
			return nil, fmt.Errorf("embedding %d has index %d and object %q", i, d.Index, d.Object)
		}
		vector, err := vectorOf(d.Embedding)
		if err != nil {
			return nil, err
		}
		a.Vectors = append(a.Vectors, vector)
	}
	a.Usage, err = v.Usage.read()
	return a, err
}

// vectorOf reads numbers, or base64 of little-endian float32.
func vectorOf(b json.RawMessage) (out []float32, err error) {
	if !strings.HasPrefix(string(b), `"`) {
		return decode[[]float32](b)
	}
	text, err := decode[string](b)
	if err != nil {
		return nil, err
	}
	bytes, err := base64.StdEncoding.DecodeString(text)
	for ; len(bytes) >= 4; bytes = bytes[4:] {
		out = append(out, math.Float32frombits(binary.LittleEndian.Uint32(bytes)))
	}
	return out, err
}
