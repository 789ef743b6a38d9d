package gemini

import (
	"errors"
	"fmt"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
)

// measure reads answers that are neither conversation nor streamed: counts of tokens, and vectors.
type measure struct {
	decoder
	wanted  int // vectors; 0 where tokens are counted
	vectors int
	counts  bool
}

var errNoStream = errors.New("counts and vectors do not come as a stream")

// Frame refuses what cannot be.
func (m *measure) Frame(_ []byte, steps []router.Chunk) ([]router.Chunk, error) {
	return steps, errNoStream
}

// Body reads the answer to countTokens, embedContent or batchEmbedContents.
func (m *measure) Body(body []byte, steps []router.Chunk) ([]router.Chunk, error) {
	doc, err := router.Document(body)
	if err != nil {
		return steps, err
	}
	if doc.Get("error").IsObject() {
		return steps, m.Refusal(0, doc)
	}
	m.readUsage(doc.Get("usageMetadata"))
	if n := doc.Get("totalTokens"); m.wanted == 0 && n.Type == gjson.Number {
		m.counts = true
		return append(steps, router.Chunk{Content: true, Tokens: max(0, n.Int()), Finish: router.FinishStop}), nil
	}
	if one := doc.Get("embedding"); one.IsObject() {
		steps = append(steps, m.vector(one))
	}
	doc.Get("embeddings").ForEach(func(_, v gjson.Result) bool {
		steps = append(steps, m.vector(v))
		return m.vectors <= m.wanted
	})
	switch {
	case m.wanted == 0:
		return steps, errors.New("the answer has no count")
	case m.vectors != m.wanted:
		return steps, fmt.Errorf("the answer does not have a vector for each of %d texts", m.wanted)
	}
	steps[len(steps)-1].Finish = router.FinishStop
	return steps, nil
}

func (m *measure) vector(v gjson.Result) router.Chunk {
	c := router.Chunk{Index: m.vectors, Content: true}
	values := v.Get("values")
	c.Vector = make([]float32, 0, len(values.Raw)/12)
	values.ForEach(func(_, x gjson.Result) bool {
		c.Vector = append(c.Vector, float32(x.Num))
		return true
	})
	m.vectors++
	return c
}

// Whole tells whether there was an answer.
func (m *measure) Whole() bool { return m.counts || m.vectors > 0 }

// Usage of a count is nothing, and final. Vectors have only input, which the provider may not tell.
func (m *measure) Usage() (ledger.Usage, bool) {
	if m.counts {
		return ledger.Usage{}, true
	}
	return ledger.Usage{Input: m.usage.Input, CacheRead: m.usage.CacheRead}, m.reported
}
