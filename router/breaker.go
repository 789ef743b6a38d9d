package router

import "time"

// A breaker opens after so many failures in a row, or at once where the credential is at fault, and lets a probe through
// each time that so long has passed.
const (
	breakerFailures = 3
	breakerPause    = 30 * time.Second
)

// mostProbes bounds how many calls may try a failing leg at a time.
const mostProbes = 16

// legHealth is what is known of one leg.
type legHealth struct {
	shared   bool              // its credential is the platform's
	failures int               // in a row
	until    time.Time         // the end of the pause after them
	asked    time.Time         // the end of the pause that the upstream asked for
	since    time.Time         // the one of them that opened the breaker, be it the third or of the credential
	why      Class             // of the last of them
	probes   map[string]*Trial // that were let through while it fails, by org, as long as nothing is known of them
	vain     int               // probes that found out nothing since the pause
	seen     observed
	heard    time.Time // the latest report
	waiting  []*Trial  // calls without content so far, in no order
}

func (l *legHealth) failing() bool { return l.failures >= breakerFailures }

// pause is for how long at the most the leg is left alone; 0: it may be called. One probe at a time tries it. For each that found
// out nothing, because its caller left, gave it too little time, or waits still after a pause, one more may: whoever brings
// that about, however often, takes the turn of nobody else.
func (l *legHealth) pause(now time.Time) time.Duration {
	until := l.until
	if l.asked.After(until) {
		until = l.asked
	}
	if now.Before(until) {
		return until.Sub(now)
	}
	if !l.failing() {
		return 0
	}
	trying, next := 0, breakerPause
	for _, p := range l.probes {
		if left := p.lapses.Sub(now); left > 0 {
			trying, next = trying+1, min(next, left)
		}
	}
	if trying > l.vain {
		return next
	}
	return 0
}

// turn is for how long an org's own probe, if it has one under way, keeps it from another: the others' turns are not for it.
func (l *legHealth) turn(org string, now time.Time) time.Duration {
	if p := l.probes[org]; p != nil {
		return max(0, p.lapses.Sub(now))
	}
	return 0
}

// probe takes a call for a probe, and forgets those that have lapsed.
func (l *legHealth) probe(t *Trial, now time.Time) {
	for org, p := range l.probes {
		if !now.Before(p.lapses) {
			l.spend(org)
		}
	}
	if l.probes == nil {
		l.probes = map[string]*Trial{}
	}
	t.lapses, l.probes[t.org] = now.Add(breakerPause), t
}

// spend forgets a probe that found out nothing.
func (l *legHealth) spend(org string) {
	delete(l.probes, org)
	l.vain = min(l.vain+1, mostProbes-1)
}

// well ends a row of failures.
func (l *legHealth) well() {
	if l.failing() {
		l.until, l.asked = time.Time{}, time.Time{}
	}
	l.failures, l.why, l.probes, l.vain = 0, "", nil, 0
}

// renewed forgets what the credential's former secret has shown of the leg, but for its pace, and for the rest that its upstream has
// asked for.
func (l *legHealth) renewed() {
	l.failures, l.until, l.probes, l.vain, l.seen.calls = 0, time.Time{}, nil, 0, outcomes{}
}

// fail counts a failure. As long as its upstream asks for, within bounds, a leg is left alone after the first as well: where the
// credential is at fault the upstream has asked it of that secret, and the pause, which is no shorter, is enough.
func (l *legHealth) fail(class Class, hint time.Duration, now time.Time) {
	before := l.failing()
	l.failures++
	if class == ClassCredential {
		l.failures, hint = max(l.failures, breakerFailures), 0
	}
	l.why = class
	if l.failing() {
		l.until, l.probes, l.vain = now.Add(breakerPause), nil, 0
		if !before {
			l.since = now
		}
	}
	if asked := now.Add(min(hint, breakerPause)); asked.After(l.asked) {
		l.asked = asked
	}
}
