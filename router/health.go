package router

import (
	"sync"
	"time"

	"waybill/ledger"
)

// A breaker opens after so many failures in a row, and lets one probe through after so long.
const (
	breakerFailures = 3
	breakerOpen     = 30 * time.Second
)

// Health remembers, in memory, how the upstreams have answered: one breaker per credential and model.
type Health struct {
	mu       sync.Mutex
	breakers map[breakerKey]*breaker
}

type breakerKey struct{ credential, model string }

type breaker struct {
	failures int
	until    time.Time // closed for calls until then
	probing  bool
}

// NewHealth is a memory without any failure.
func NewHealth() *Health { return &Health{breakers: map[breakerKey]*breaker{}} }

// Allow tells whether a leg may be called now. After the pause of an open breaker one caller is told yes, and the
// others wait for what its probe finds.
func (h *Health) Allow(c ledger.Choice, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.breakers[breakerKey{c.Credential, c.Model}]
	if b == nil || b.failures < breakerFailures {
		return true
	}
	if b.probing || now.Before(b.until) {
		return false
	}
	b.probing = true
	return true
}

// Open tells whether a leg's breaker is open, without taking its probe.
func (h *Health) Open(c ledger.Choice, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.breakers[breakerKey{c.Credential, c.Model}]
	return b != nil && b.failures >= breakerFailures && (b.probing || now.Before(b.until))
}

// Report records how a call of a leg went. A call that says nothing about the upstream, because the caller left or the
// request itself was at fault, only returns the probe that it may have taken.
func (h *Health) Report(c ledger.Choice, class Class, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := breakerKey{c.Credential, c.Model}
	b := h.breakers[k]
	switch class {
	case "":
		delete(h.breakers, k)
	case ClassBadRequest, ClassCanceled:
		if b != nil {
			b.probing = false
		}
	default:
		if b == nil {
			b = &breaker{}
			h.breakers[k] = b
		}
		b.failures++
		b.probing = false
		if b.failures >= breakerFailures {
			b.until = now.Add(breakerOpen)
		}
	}
}
