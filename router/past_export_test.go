package router

import (
	"time"

	"waybill/ledger"
)

// Decided is a task's decision as the dispatcher makes it, and what the log keeps of it.
func (d *Dispatcher) Decided(t Task) (Decision, ledger.Inputs, error) {
	r := &run{d: d, task: t, started: d.Now()}
	err := r.route()
	return r.decision, r.inputs, err
}

// Recall has a request's conversation be one whose cache one leg holds, and whose seals another has made.
func (d *Dispatcher) Recall(org string, q *Request, sticky, origin ledger.Choice, now time.Time) {
	if sticky != (ledger.Choice{}) {
		d.Sticky.stick(org, q, sticky, ledger.Usage{Input: stickyInput}, now)
	}
	if origin != (ledger.Choice{}) {
		seal := "seal of " + origin.Model
		d.Memory.put(keysOf(org, seal), &remembered{leg: origin, sealed: true})
		q.Messages = append(q.Messages, Message{Role: RoleAssistant, Parts: []Part{{Kind: KindReasoning, Signature: seal}}})
	}
}

// DemandOf is what a leg may use at the most.
func DemandOf(q *Request, leg Leg) ledger.Demand { return demandOf(q, leg, 0) }

// Choice is the leg as the log has it.
func (l Leg) Choice() ledger.Choice { return l.choice() }

// keysOf are the keys of words within an org.
func keysOf(org string, words ...string) (keys [][16]byte) {
	for _, w := range words {
		keys = append(keys, memoryKey(org, w))
	}
	return keys
}
