package router

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"waybill/ledger"
)

// manyBreakers is how many legs are remembered before those are forgotten of which nothing was heard for long: an org's own
// upstreams may be called under as many names of models as its callers make up.
const manyBreakers = 4096

// Health remembers, in memory, how the upstreams have answered: for each credential, model and tier of service a breaker, and its
// figures. Time is an argument, in the clock of the Dispatcher.
type Health struct {
	mu      sync.Mutex
	legs    map[breakerKey]*legHealth
	most    int             // how many legs may be remembered before the next clearing
	tripped map[string]trip // by credential
	renewed map[string]int  // by credential: how often it has been given a new secret
}

type breakerKey struct{ credential, model, tier string }

// standing is what of a call decides whose breaker and figures it goes by.
type standing struct {
	org  string // whose call it is
	tier string // of service, where that is none of the usual: it has bounds, queues and a pace of its own at the provider
	mute bool   // it shows nothing of how a leg answers: a count of tokens, which the provider bounds apart and which costs nothing
}

// ownTiers are the tiers of service that are known apart. Any other word is taken for one more, together with its like.
var ownTiers = []string{"flex", "priority", "fast", "scale"}

// standing is how this request's calls stand.
func (r *run) standing() standing {
	q := r.task.Request
	s := standing{org: r.task.Org, mute: q.Endpoint == EndpointCount}
	switch word := strings.ToLower(q.ServiceTier); {
	case slices.Contains([]string{"", "auto", "default", "standard", "standard_only"}, word):
	case slices.Contains(ownTiers, word):
		s.tier = word
	default:
		s.tier = "other"
	}
	return s
}

func keyOf(c ledger.Choice, s standing) breakerKey { return breakerKey{c.Credential, c.Model, s.tier} }

// trip is a credential that was found to be of no use.
type trip struct {
	since, until time.Time
	why          Class
}

func (t trip) holds(now time.Time) bool { return t.until.IsZero() || now.Before(t.until) }

// NewHealth is a memory without any failure.
func NewHealth() *Health {
	return &Health{legs: map[breakerKey]*legHealth{}, most: manyBreakers, tripped: map[string]trip{}, renewed: map[string]int{}}
}

// Trial is one call of a leg that the breaker has let through.
type Trial struct {
	health   *Health
	leg      breakerKey
	shared   bool // the credential is the platform's
	org      string
	secret   int       // of the credential: how many it has had before
	lapses   time.Time // when others no longer wait for what it finds, if it is a probe
	pace     pace
	hint     time.Duration
	from     time.Time  // since when it waits for content
	at       *legHealth // where it waits; nil: it does not
	place    int        // there
	reported bool
}

// allow lets a leg be called, or not. After the pause of an open breaker calls are let through as probes, and the others wait for
// what they find. Whoever is let through must report. A call that shows nothing is shut out only where the credential is of no use.
func (h *Health) allow(c ledger.Choice, s standing, now time.Time) (*Trial, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.pause(c, s, now) > 0 {
		return nil, false
	}
	t := &Trial{health: h, leg: keyOf(c, s), shared: c.Kind == ledger.Platform, org: s.org, secret: h.renewed[c.Credential], reported: s.mute}
	if l := h.legs[t.leg]; l != nil && l.failing() && !s.mute {
		l.probe(t, now)
	}
	return t, true
}

// Open tells whether a leg's breaker is open, without taking its probe.
func (h *Health) Open(c ledger.Choice, now time.Time) bool { return h.rests(c, standing{}, now) > 0 }

// rests is for how long a call cannot be made, unless something is heard of the leg meanwhile; 0: it can.
func (h *Health) rests(c ledger.Choice, s standing, now time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.pause(c, s, now)
}

func (h *Health) pause(c ledger.Choice, s standing, now time.Time) time.Duration {
	if t, ok := h.tripped[c.Credential]; ok && t.holds(now) {
		if t.until.IsZero() { // nobody knows: whenever a check or a new secret clears it
			return breakerPause
		}
		return t.until.Sub(now)
	}
	l := h.legs[keyOf(c, s)]
	if l == nil || s.mute && l.why != ClassCredential {
		return 0
	}
	if left := l.pause(now); left > 0 || s.mute {
		return left
	}
	return l.turn(s.org, now)
}

// Condition is how a leg has been observed to do, in the usual tier of service. What is unknown, or not known any more, is zero.
func (h *Health) Condition(c ledger.Choice, now time.Time) ledger.Condition {
	h.mu.Lock()
	defer h.mu.Unlock()
	o := ledger.Condition{Model: c.Model, Credential: c.Credential, Open: h.pause(c, standing{}, now) > 0}
	if l := h.legs[keyOf(c, standing{})]; l != nil {
		o.Failures, o.FirstByte, o.Throughput = l.seen.calls.perMille(now), l.firstContent(now), l.seen.rate.known(now)
	}
	return o
}

// State is whether a leg answers.
type State struct {
	Failing bool      // its breaker is open, or nothing has come through since; or its credential is of no use
	Since   time.Time // it has failed, if it does
	Why     Class     // of its latest failure, if it does, or rests for as long as its upstream has asked
}

// rest tells of a leg that is passed over of what failure it rests, and since when it fails.
func (s State) rest() string {
	why := breakerOpen
	if s.Why != "" {
		why += ": " + string(s.Why)
	}
	if s.Failing {
		why += " since " + s.Since.UTC().Format(time.RFC3339)
	}
	return why
}

// State says whether a leg answers, as far as is known.
func (h *Health) State(c ledger.Choice, now time.Time) State { return h.state(c, standing{}, now) }

func (h *Health) state(c ledger.Choice, s standing, now time.Time) State {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t, ok := h.tripped[c.Credential]; ok && t.holds(now) {
		return State{true, t.since, t.why}
	}
	if l := h.legs[keyOf(c, s)]; l != nil && l.failing() {
		return State{true, l.since, l.why}
	} else if l != nil && l.pause(now) > 0 {
		return State{Why: l.why}
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

// Clear takes a credential for good again: it was found to be, or is gone. That its provider takes it, which is all that a check
// shows, says nothing of an upstream that is overloaded or down: breakers that other failures than the credential's own have opened stay
// as they are, or each check, by the hour or by hand, would send calls into an outage that their pause has just spared them.
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

// Renewed says that a credential has been given a new secret, which is to be tried at once: what the former one has shown says
// nothing of it, whatever it was, and neither does how calls end that are still under way with that. But an upstream that has asked to be
// left alone is, as long as it asked for.
func (h *Health) Renewed(credential string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.renewed[credential]++
	delete(h.tripped, credential)
	for k, l := range h.legs {
		if k.credential == credential {
			l.renewed()
		}
	}
}

// Hinted notes for how long the upstream asks to be left alone. To be called before Report.
func (t *Trial) Hinted(pause time.Duration) { t.hint = pause }

// Report says how the call went; only the first report counts, and none of a call with a secret that was replaced meanwhile. A call
// that says nothing about the upstream, because the caller left or what was asked was at fault, only gives back the probe that it may
// be. That a provider does not know a model is no failure of the upstream's that would open a breaker, but one that the auto lane goes by.
func (t *Trial) Report(class Class, now time.Time) {
	if t.reported {
		return
	}
	t.reported = true
	h := t.health
	h.mu.Lock()
	defer h.mu.Unlock()
	t.leave()
	if t.secret != h.renewed[t.leg.credential] {
		return
	}
	l := h.legs[t.leg]
	neutral := class == ClassBadRequest || class == ClassCanceled
	probe := l != nil && l.probes[t.org] == t
	if probe && (neutral || class == ClassNotFound) {
		l.spend(t.org)
	}
	if neutral && t.pace == (pace{}) {
		return
	}
	if l == nil {
		l = h.add(t, now)
	}
	l.heard = now
	l.seen.note(t.pace, now)
	switch {
	case neutral:
		return
	case class == "":
		l.well()
	case class != ClassNotFound && (probe || !l.failing() || l.pause(now) == 0): // else it was under way before, and is no news
		l.fail(class, t.hint, now)
	}
	l.seen.calls.add(class != "", now)
}

// add makes room for a call's leg. Where there is none, what has faded goes; and where that is too little, every leg on an org's own
// credential whose breaker is not open. What is known of the platform's, which has no names but those of the catalogue, is everybody's.
func (h *Health) add(t *Trial, now time.Time) *legHealth {
	if len(h.legs) >= h.most {
		maps.DeleteFunc(h.legs, func(_ breakerKey, l *legHealth) bool {
			return l.pause(now) == 0 && len(l.waiting) == 0 && now.Sub(l.heard) >= allFaded && !(l.shared && l.failures > 0)
		})
		if len(h.legs) >= 2*manyBreakers {
			maps.DeleteFunc(h.legs, func(_ breakerKey, l *legHealth) bool { return l.pause(now) == 0 && !l.shared })
		}
		h.most = max(manyBreakers, 2*len(h.legs))
	}
	l := &legHealth{shared: t.shared}
	h.legs[t.leg] = l
	return l
}
