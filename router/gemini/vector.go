package gemini

import (
	"strconv"

	"waybill/ledger"
	"waybill/router"
)

// counted writes the answer to countTokens.
func counted(steps []router.Chunk) []byte {
	var n int64
	for _, c := range steps {
		n = max(n, c.Tokens)
	}
	return append(strconv.AppendInt([]byte(`{"totalTokens":`), n, 10), '}')
}

// embedded writes the answer to embedContent, or to batchEmbedContents, by the order of the texts.
func embedded(steps []router.Chunk, many bool, u ledger.Usage) []byte {
	size := 0
	for _, c := range steps {
		size += 16 + 14*len(c.Vector)
	}
	b := make([]byte, 0, size+96)
	if many {
		b = append(b, `{"embeddings":[`...)
	} else {
		b = append(b, `{"embedding":`...)
	}
	first := true
	for _, c := range steps {
		if c.Vector == nil {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, `{"values":[`...)
		for i, x := range c.Vector {
			if i > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendFloat(b, float64(x), 'g', -1, 32)
		}
		b = append(b, "]}"...)
		if !many {
			break
		}
	}
	if many {
		b = append(b, ']')
	}
	b = append(b, `,"usageMetadata":{"promptTokenCount":`...)
	return append(strconv.AppendInt(b, u.InputTotal(), 10), "}}"...)
}
