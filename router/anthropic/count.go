package anthropic

import (
	"errors"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
)

// counter reads the answer to a count of tokens: {"input_tokens":N}. Anthropic takes nothing for it.
type counter struct {
	decoder
	counted bool
}

// Body reads the count.
func (d *counter) Body(body []byte, steps []router.Chunk) ([]router.Chunk, error) {
	doc, err := router.Document(body)
	if err != nil {
		return steps, err
	}
	n := doc.Get("input_tokens")
	if n.Type != gjson.Number || n.Int() < 0 {
		return steps, errors.New("the answer is not a count of tokens")
	}
	d.counted = true
	return append(steps, router.Chunk{Tokens: n.Int(), Content: true, Finish: router.FinishStop}), nil
}

// Whole tells whether there was a count.
func (d *counter) Whole() bool { return d.counted }

// Usage is nothing.
func (d *counter) Usage() (ledger.Usage, bool) { return ledger.Usage{}, d.counted }
