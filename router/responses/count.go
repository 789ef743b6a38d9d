package responses

import (
	"errors"
	"strconv"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
	"waybill/router/openai"
)

// counting reads the answer to a count: {"object":"response.input_tokens","input_tokens":n}.
type counting struct{ counted bool }

// Frame refuses a stream: a count has none.
func (c *counting) Frame([]byte, []router.Chunk) ([]router.Chunk, error) {
	return nil, errors.New("a count came as a stream")
}

// Body reads the count.
func (c *counting) Body(body []byte, steps []router.Chunk) ([]router.Chunk, error) {
	doc, err := router.Document(body)
	if err != nil {
		return steps, err
	}
	if router.Given(doc, "error") {
		return steps, openai.Refusal(0, doc)
	}
	n := doc.Get("input_tokens")
	if n.Type != gjson.Number || n.Int() < 0 {
		return steps, errors.New("the count has no input_tokens")
	}
	c.counted = true
	return append(steps, router.Chunk{Tokens: n.Int(), Content: true, Finish: router.FinishStop}), nil
}

// Whole tells whether there is a count.
func (c *counting) Whole() bool { return c.counted }

// Usage is nothing: providers count for free.
func (c *counting) Usage() (ledger.Usage, bool) { return ledger.Usage{}, true }

// Turn is nothing: a count is no answer.
func (c *counting) Turn() []byte { return nil }

// Refusal reads an error answer.
func (c *counting) Refusal(status int, body gjson.Result) *router.UpstreamError {
	return openai.Refusal(status, body)
}

// counted writes a count that came in another dialect. A count is never streamed.
type counted struct{ relay }

// Body writes the count.
func (counted) Body(steps []router.Chunk, _ ledger.Usage) []byte {
	b := []byte(`{"object":"response.input_tokens","input_tokens":`)
	return append(strconv.AppendInt(b, steps[len(steps)-1].Tokens, 10), '}')
}
