package router

import (
	"maps"
	"sync"
	"time"

	"waybill/ledger"
)

// A breaker opens after so many failures in a row, or at once where the credential is at fault, and lets a probe through
// each time that so long has passed.
const (
	breakerFailures = 3
	breakerPause    = 30 * time.Second
)

// manyBreakers is how many legs are remembered before those are forgotten of which nothing was heard for long: an org's own
// upstreams may be called under as many names of models as its callers make up.
const manyBreakers = 4096

// Health remembers, in memory, how the upstreams have answered: for each credential and model a breaker, and its figures.
// Time is an argument, in the clock of the Dispatcher.
type Health struct {
	mu      sync.Mutex
	legs    map[breakerKey]*legHealth
	most    int             // how many legs may be remembered before the next clearing
	tripped map[string]trip // by credential
}

type breakerKey struct{ credential, model string }

func keyOf(c ledger.Choice) breakerKey { return breakerKey{c.Credential, c.Model} }

// legHealth is what is known of one leg.
type legHealth struct {
	failures int       // in a row
	until    time.Time // the end of the pause after the last of them, or after the probe was let through
	since    time.Time // the third, which opened the breaker
	why      Class     // of the last of them
	probe    *Trial    // the latest that was let through while it fails, as long as nothing is known of it
	seen     observed
	heard    time.Time // the latest report
	waiting  []*Trial  // calls without content so far, in no order
}

func (l *legHealth) failing() bool { return l.failures >= breakerFailures }

func (l *legHealth) open(now time.Time) bool { return l.failing() && now.Before(l.until) }

// trip is a credential that was found to be of no use.
type trip struct {
	since, until time.Time
	why          Class
}

func (t trip) holds(now time.Time) bool { return t.until.IsZero() || now.Before(t.until) }

// NewHealth is a memory without any failure.
func NewHealth() *Health {
	return &Health{legs: map[breakerKey]*legHealth{}, most: manyBreakers, tripped: map[string]trip{}}
}

// Trial is one call of a leg that the breaker has let through.
type Trial struct {
	health   *Health
	leg      breakerKey
	pace     pace
	from     time.Time  // since when it waits for content
	at       *legHealth // where it waits; nil: it does not
	place    int        // there
	reported bool
}

// Allow lets a leg be called, or not. After the pause of an open breaker one caller is let through, and the others wait for
// what its probe finds, or for another pause: then it is the next one's turn. Whoever is let through must report.
func (h *Health) Allow(c ledger.Choice, now time.Time) (*Trial, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := &Trial{health: h, leg: keyOf(c)}
	if h.open(c, now) {
		return nil, false
	}
	if l := h.legs[t.leg]; l != nil && l.failing() {
		l.probe, l.until = t, now.Add(breakerPause)
	}
	return t, true
}

// Open tells whether a leg's breaker is open, without taking its probe.
func (h *Health) Open(c ledger.Choice, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.open(c, now)
}

func (h *Health) open(c ledger.Choice, now time.Time) bool {
	if len(h.tripped) > 0 {
		if t, ok := h.tripped[c.Credential]; ok && t.holds(now) {
			return true
		}
	}
	l := h.legs[keyOf(c)]
	return l != nil && l.open(now)
}

// Condition is how a leg has been observed to do. What is unknown, or not known any more, is zero.
func (h *Health) Condition(c ledger.Choice, now time.Time) ledger.Condition {
	h.mu.Lock()
	defer h.mu.Unlock()
	o := ledger.Condition{Model: c.Model, Credential: c.Credential, Open: h.open(c, now)}
	if l := h.legs[keyOf(c)]; l != nil {
		o.Failures, o.FirstByte, o.Throughput = l.seen.calls.perMille(now), l.firstContent(now), l.seen.rate.known(now)
	}
	return o
}

// State is whether a leg answers.
type State struct {
	Failing bool      // its breaker is open, or nothing has come through since; or its credential is of no use
	Since   time.Time // it has failed, if it does
	Why     Class     // of its latest failure, if it does
}

// State says whether a leg answers, as far as is known.
func (h *Health) State(c ledger.Choice, now time.Time) State {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t, ok := h.tripped[c.Credential]; ok && t.holds(now) {
		return State{true, t.since, t.why}
	}
	if l := h.legs[keyOf(c)]; l != nil && l.failing() {
		return State{true, l.since, l.why}
	}
	return State{}
}

// Trip takes a credential for failing, with all of its models, until then or, if until is zero, until it is cleared: whoever
// checks credentials has found it dead or unfunded.
func (h *Health) Trip(credential string, until time.Time, why Class, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.DeleteFunc(h.tripped, func(_ string, t trip) bool { return !t.holds(now) })
	t := trip{since: now, until: until, why: why}
	if before, ok := h.tripped[credential]; ok {
		t.since = before.since
	}
	h.tripped[credential] = t
}

// Clear takes a credential for good again: it was found to be, was given a new secret, or is gone. Breakers that other
// failures than its own have opened stay as they are.
func (h *Health) Clear(credential string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.tripped, credential)
	for k, l := range h.legs {
		if k.credential == credential && l.why == ClassCredential {
			delete(h.legs, k)
		}
	}
}

// Report says how the call went; only the first report counts. A call that says nothing about the upstream, because the
// caller left or what was asked was at fault, only gives back the probe that it may be. That a provider does not know a
// model is no failure of the upstream's that would open a breaker, but one that the auto lane goes by.
func (t *Trial) Report(class Class, now time.Time) {
	if t.reported {
		return
	}
	t.reported = true
	h := t.health
	h.mu.Lock()
	defer h.mu.Unlock()
	t.leave()
	l := h.legs[t.leg]
	if l != nil && l.probe == t {
		l.probe, l.until = nil, now
	}
	if neutral := class == ClassBadRequest || class == ClassCanceled; neutral && t.pace == (pace{}) {
		return
	}
	if l == nil {
		l = h.add(t.leg, now)
	}
	l.heard = now
	l.seen.note(t.pace, now)
	switch class {
	case ClassBadRequest, ClassCanceled:
		return
	case "":
		l.failures, l.why, l.probe = 0, "", nil
	case ClassNotFound:
	default:
		l.fail(class, now)
	}
	l.seen.calls.add(class != "", now)
}

// fail counts a failure. While the breaker is open, one of a call that was under way before is no news: it neither prolongs the
// pause nor stands for the probe.
func (l *legHealth) fail(class Class, now time.Time) {
	if l.open(now) {
		return
	}
	before := l.failing()
	l.failures++
	if class == ClassCredential {
		l.failures = max(l.failures, breakerFailures)
	}
	if !before && l.failing() {
		l.since = now
	}
	l.probe, l.until, l.why = nil, now.Add(breakerPause), class
}

// add makes room for a leg. Where there is none, what has faded goes; and where that is too little, every leg whose breaker
// is not open.
func (h *Health) add(leg breakerKey, now time.Time) *legHealth {
	if len(h.legs) >= h.most {
		maps.DeleteFunc(h.legs, func(_ breakerKey, l *legHealth) bool {
			return !l.open(now) && len(l.waiting) == 0 && now.Sub(l.heard) >= allFaded
		})
		if len(h.legs) >= 2*manyBreakers {
			maps.DeleteFunc(h.legs, func(_ breakerKey, l *legHealth) bool { return !l.open(now) })
		}
		h.most = max(manyBreakers, 2*len(h.legs))
	}
	l := &legHealth{}
	h.legs[leg] = l
	return l
}
