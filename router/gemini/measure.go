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
		steps, err = m.vector(one, steps)
	}
	doc.Get("embeddings").ForEach(func(_, v gjson.Result) bool {
		if err == nil {
			steps, err = m.vector(v, steps)
		}
		return err == nil && m.vectors <= m.wanted
	})
	switch {
	case err != nil:
		return steps, err
	case m.wanted == 0:
		return steps, errors.New("the answer has no count")
	case m.vectors != m.wanted:
		return steps, fmt.Errorf("the answer does not have a vector for each of %d texts", m.wanted)
	}
	steps[len(steps)-1].Finish = router.FinishStop
	return steps, nil
}

func (m *measure) vector(v gjson.Result, steps []router.Chunk) ([]router.Chunk, error) {
	vector, err := router.VectorOf(v.Get("values"))
	if err != nil {
		return steps, err
	}
	steps = append(steps, router.Chunk{Index: m.vectors, Vector: vector, Content: true})
	m.vectors++
	return steps, nil
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
