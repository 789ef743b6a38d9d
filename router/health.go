package router

import (
	"maps"
	"sync"
	"time"

	"waybill/ledger"
)

// A breaker opens after so many failures in a row, and lets one probe through after so long.
const (
	breakerFailures = 3
	breakerPause    = 30 * time.Second
)

// manyBreakers is when those are forgotten that have not failed for a pause: an org's own upstreams may fail under as many
// names of models as its callers make up.
const manyBreakers = 4096

// Health remembers, in memory, how the upstreams have answered: one breaker per credential and model.
type Health struct {
	mu       sync.Mutex
	breakers map[breakerKey]*breaker
}

type breakerKey struct{ credential, model string }

func keyOf(c ledger.Choice) breakerKey { return breakerKey{c.Credential, c.Model} }

type breaker struct {
	failures int
	until    time.Time // the end of the pause after the last of them
	probing  bool
}

func (b *breaker) open(now time.Time) bool {
	return b.failures >= breakerFailures && (b.probing || now.Before(b.until))
}

// NewHealth is a memory without any failure.
func NewHealth() *Health { return &Health{breakers: map[breakerKey]*breaker{}} }

// Trial is one call of a leg that the breaker has let through.
type Trial struct {
	health   *Health
	leg      breakerKey
	probe    bool
	reported bool
}

// Allow lets a leg be called, or not. After the pause of an open breaker one caller is let through, and the others wait for
// what its probe finds. Whoever is let through must report.
func (h *Health) Allow(c ledger.Choice, now time.Time) (*Trial, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := &Trial{health: h, leg: keyOf(c)}
	b := h.breakers[t.leg]
	if b == nil || b.failures < breakerFailures {
		return t, true
	}
	if b.open(now) {
		return nil, false
	}
	b.probing, t.probe = true, true
	return t, true
}

// Open tells whether a leg's breaker is open, without taking its probe.
func (h *Health) Open(c ledger.Choice, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.breakers[keyOf(c)]
	return b != nil && b.open(now)
}

// Condition is how a leg has been observed to do.
func (h *Health) Condition(c ledger.Choice, now time.Time) ledger.Condition {
	return ledger.Condition{Model: c.Model, Credential: c.Credential, Open: h.Open(c, now)}
}

// Report says how the call went; only the first report counts. A call that says nothing about the upstream, because the
// caller left or what was asked was at fault, only gives back the probe that it may be.
func (t *Trial) Report(class Class, now time.Time) {
	if t.reported {
		return
	}
	t.reported = true
	h := t.health
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.breakers[t.leg]
	if b != nil && t.probe {
		b.probing = false
	}
	switch class {
	case "":
		delete(h.breakers, t.leg)
	case ClassBadRequest, ClassNotFound, ClassCanceled:
	default:
		if b == nil {
			b = h.add(t.leg, now)
		}
		b.failures++
		b.until = now.Add(breakerPause)
	}
}

func (h *Health) add(leg breakerKey, now time.Time) *breaker {
	if len(h.breakers) >= manyBreakers {
		maps.DeleteFunc(h.breakers, func(_ breakerKey, b *breaker) bool { return !b.probing && !now.Before(b.until) })
	}
	b := &breaker{}
	h.breakers[leg] = b
	return b
}
