package router

import (
	"sync"
	"time"
)

// Bounds of the answers that are read to their end at one time though their callers have left. An org has its share: what one
// leaves behind must not end the calls of the others.
const (
	maxDrains    = 256
	maxOrgDrains = maxDrains / 4
)

// drains counts such answers. Its zero value is ready.
type drains struct {
	mu  sync.Mutex
	all int
	of  map[string]int // by org, without those that have none
}

// begin counts one of an org's more, if there may be one.
func (d *drains) begin(org string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all >= maxDrains || d.of[org] >= maxOrgDrains {
		return false
	}
	if d.of == nil {
		d.of = map[string]int{}
	}
	d.all++
	d.of[org]++
	return true
}

func (d *drains) end(org string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all--
	if d.of[org]--; d.of[org] == 0 {
		delete(d.of, org)
	}
}

// leave makes what the policy says of a call whose caller has left.
func (a *attempt) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.closed:
	case a.decision.Settings.OnAbort == AbortCancel:
		a.cancel(errAbort)
	case !a.d.drains.begin(a.task.Org):
		a.cancel(errDrains)
	default:
		a.drain = time.AfterFunc(a.timeouts.Drain, func() { a.cancel(errDrain) })
	}
}
