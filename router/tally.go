package router

import (
	"cmp"

	"waybill/ledger"
)

// tally is what an answer has shown of itself so far.
type tally struct {
	received int64 // bytes of content
	// What follows is as Chunk has it, each as it was said last.
	finish   string
	id       string
	answered string // the model
	tier     string

	ids   map[string]string // of its tool calls: the caller's → the provider's; nil if the caller has the provider's own
	seals [][16]byte        // of its reasoning, by their keys: they may be long
}

// maxCalls bounds how many calls and seals of one answer are remembered.
const maxCalls = 128

// note takes down what a step of an answer to an org says.
func (t *tally) note(org string, c *Chunk) {
	if c.Content {
		n := len(c.Text)
		if n == 0 {
			n = len(c.Frame)
		}
		t.received += int64(max(1, n))
	}
	t.finish = cmp.Or(string(c.Finish), t.finish)
	t.id = cmp.Or(c.ID, t.id)
	t.answered = cmp.Or(c.Model, t.answered)
	t.tier = cmp.Or(c.Tier, t.tier)
	if c.Signature != "" && len(t.seals) < maxCalls {
		t.seals = append(t.seals, memoryKey(org, c.Signature))
	}
}

// rename gives a call an id that no other has, and notes the provider's own.
func (t *tally) rename(c *Chunk, attempt string) {
	if c.CallID == "" {
		return
	}
	own := c.CallID
	c.CallID = MintID(attempt, c.Index, c.Call)
	if t.ids == nil {
		t.ids = map[string]string{}
	}
	if len(t.ids) < maxCalls {
		t.ids[c.CallID] = own
	}
}

// used is what the call consumed: as the upstream reports it in the end, else at least what it reported so far, and at
// least what the content is worth that came.
func (t *tally) used(q *Request, leg ledger.Leg, reply Reply) (ledger.Usage, ledger.UsageSource) {
	u, final := reply.Usage()
	if final {
		return u, ledger.UsageProvider
	}
	if t.received > 0 || t.finish != "" {
		e := estimate(q, leg, t.received)
		if u.InputTotal() == 0 {
			u.Input = e.Input
		}
		u.Output = max(u.Output, e.Output)
	}
	return u, ledger.UsageEstimate
}
