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
	until    time.Time         // the end of the pause after them, or of the one that the upstream asked for
	since    time.Time         // the third, which opened the breaker
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
	if now.Before(l.until) {
		return l.until.Sub(now)
	}
	if !l.failing() {
		return 0
	}
	trying := 0
	for _, p := range l.probes {
		if now.Before(p.lapses) {
			trying++
		}
	}
	if trying > l.vain {
		return breakerPause
	}
	return 0
}

// probe takes a call for a probe, unless its org has one under way: the others' turns are not for it.
func (l *legHealth) probe(t *Trial, now time.Time) bool {
	for org, p := range l.probes {
		if !now.Before(p.lapses) {
			l.spend(org)
		}
	}
	if l.probes[t.org] != nil {
		return false
	}
	if l.probes == nil {
		l.probes = map[string]*Trial{}
	}
	t.lapses, l.probes[t.org] = now.Add(breakerPause), t
	return true
}

// spend forgets a probe that found out nothing.
func (l *legHealth) spend(org string) {
	delete(l.probes, org)
	l.vain = min(l.vain+1, mostProbes-1)
}

// well ends a row of failures.
func (l *legHealth) well() {
	if l.failing() {
		l.until = time.Time{}
	}
	l.failures, l.why, l.probes, l.vain = 0, "", nil, 0
}

// fail counts a failure. As long as its upstream asks for, within bounds, a leg is left alone after the first as well.
func (l *legHealth) fail(class Class, hint time.Duration, now time.Time) {
	before := l.failing()
	l.failures++
	if class == ClassCredential {
		l.failures = max(l.failures, breakerFailures)
	}
	l.why = class
	if l.failing() {
		hint = breakerPause
		l.probes, l.vain = nil, 0
		if !before {
			l.since = now
		}
	}
	if until := now.Add(min(hint, breakerPause)); until.After(l.until) {
		l.until = until
	}
}
