package router

import (
	"time"

	"waybill/ledger"
)

// Allow lets a leg be called, or not: by one who may be anybody.
func (h *Health) Allow(c ledger.Choice, now time.Time) (*Trial, bool) {
	return h.allow(c, standing{}, now)
}

// AllowOrg lets an org call a leg, or not.
func (h *Health) AllowOrg(org string, c ledger.Choice, now time.Time) (*Trial, bool) {
	return h.allow(c, standing{org: org}, now)
}

// Rests is for how long an org cannot call a leg.
func (h *Health) Rests(org string, c ledger.Choice, now time.Time) time.Duration {
	return h.rests(c, standing{org: org}, now)
}

// Meaning is what the reason of a leg or an attempt means.
func Meaning(reason string) string { return meaning(reason) }

// Passing are the ledger's refusals that are of one leg.
var Passing = passing

// Remembered is how many legs are in memory.
func (h *Health) Remembered() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.legs)
}

// Stick has a conversation stay on a leg.
func (s *Sticky) Stick(org, begin string) {
	q := &Request{Endpoint: EndpointChat, Model: ModelAuto, Messages: []Message{{Role: RoleUser, Parts: []Part{Text(begin)}}}}
	s.stick(org, q, ledger.Choice{}, ledger.Usage{Input: stickyInput}, time.Unix(0, 0))
}

// Len is how many conversations are in memory.
func (s *Sticky) Len() int { return len(s.young) + len(s.old) }

// RetryPause is how long a leg is left alone before it is called once more.
func RetryPause(hint time.Duration, seed uint64, calls int) time.Duration {
	return retryPause(hint, seed, calls)
}

// Take takes a retry on a credential, if its budget has one.
func (b *Retries) Take(credential string) bool { return b.take(credential) }

// Len is how many budgets are in memory.
func (b *Retries) Len() int { return len(b.spent) }

// Drain counts so many calls of each org as ones whose callers have left.
func (d *Dispatcher) Drain(orgs map[string]int) {
	for org, n := range orgs {
		for range n {
			d.drains.begin(org)
		}
	}
}

// Draining is how many calls are being read to their end whose callers have left.
func (d *Dispatcher) Draining() int {
	d.drains.mu.Lock()
	defer d.drains.mu.Unlock()
	return d.drains.all
}

// MaxOrgRoom is how much of answers an org may have in memory, in bytes.
const MaxOrgRoom = maxOrgRoom

// Occupy counts so many bytes of answers of an org as being in memory, if there is room.
func (d *Dispatcher) Occupy(org string, n int64) bool { return d.rooms.take(org, n) }

// Occupied is how many bytes of answers are in memory.
func (d *Dispatcher) Occupied() int64 {
	d.rooms.mu.Lock()
	defer d.rooms.mu.Unlock()
	return d.rooms.all
}
