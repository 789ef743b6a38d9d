package router

import "time"

// How observations are weighed. A reading has weight; the figure is their mean. The weight fades with time, and with too
// little left the figure is unknown again: so a leg that was slow or failed is tried anew, and traffic comes back to it.
const (
	halfLife    = 10 * time.Second
	oneReading  = 1024           // its weight
	mostWeight  = 8 * oneReading // more readings than that do not make a figure slower to change
	leastWeight = oneReading / 4 // with less the figure is unknown: 20 s after a single reading, 50 s after many
	allFaded    = 60 * time.Second
)

// Bounds of what is taken down, so that no upstream's or clock's nonsense stays.
const (
	mostFirst = time.Hour
	mostRate  = 1_000_000 // tokens a second
	leastText = 16        // tokens, below which nothing is said about the pace
)

// usualRate is the tokens a second at which an answer is taken to be written whose leg's pace is not known.
const usualRate = 100

// faded is what is left of a weight after a while: half of it after each half-life, on a straight line in between.
func faded(weight int64, after time.Duration) int64 {
	if after <= 0 {
		return weight
	}
	halves := after / halfLife
	if halves > 30 {
		return 0
	}
	weight >>= halves
	return weight - weight*int64(after%halfLife)/int64(2*halfLife)
}

// figure is a mean of readings.
type figure struct {
	mean, weight int64
	at           time.Time // of the latest reading
}

func (f *figure) add(reading int64, now time.Time) {
	w := min(faded(f.weight, now.Sub(f.at)), mostWeight-oneReading)
	if w < leastWeight {
		w = 0
	}
	f.mean = (f.mean*w + reading*oneReading) / (w + oneReading)
	f.weight, f.at = w+oneReading, now
}

// known is the figure, 0 if it is not known any more.
func (f *figure) known(now time.Time) int64 {
	if faded(f.weight, now.Sub(f.at)) < leastWeight {
		return 0
	}
	return f.mean
}

// outcomes are the calls that failed among all.
type outcomes struct {
	failed, all int64 // weights
	at          time.Time
}

func (o *outcomes) add(failed bool, now time.Time) {
	since := now.Sub(o.at)
	o.failed, o.all, o.at = faded(o.failed, since), faded(o.all, since), now
	if most := int64(mostWeight - oneReading); o.all > most {
		o.failed, o.all = o.failed*most/o.all, most
	}
	o.all += oneReading
	if failed {
		o.failed += oneReading
	}
}

// perMille is how many of a thousand calls fail. One good call is taken for granted: what was seen fades towards it, and
// one failure alone is not the whole truth.
func (o *outcomes) perMille(now time.Time) int64 {
	since := now.Sub(o.at)
	return 1000 * faded(o.failed, since) / (faded(o.all, since) + oneReading)
}

// observed is how a leg has done lately.
type observed struct {
	first figure // nanoseconds to the first content
	rate  figure // tokens a second, of the output that is shown
	calls outcomes
}

// pace is what one call has shown of its leg's.
type pace struct {
	first, writing, whole time.Duration // of an answer that came whole, only that
	tokens                int64
}

// note takes down what a call has shown.
func (o *observed) note(p pace, now time.Time) {
	first := p.first
	if p.whole > 0 { // what of the time went by before the first content does not show: what its text took is taken off
		rate := o.rate.known(now)
		if rate == 0 {
			rate = usualRate
		}
		first = max(time.Millisecond, p.whole-time.Duration(min(p.tokens, mostRate))*time.Second/time.Duration(rate))
	}
	if first > 0 {
		o.first.add(int64(min(first, mostFirst)), now)
	}
	if p.tokens >= leastText && p.writing > time.Millisecond {
		o.rate.add(min(mostRate, max(1, min(p.tokens, mostRate)*int64(time.Second)/int64(p.writing))), now)
	}
}

// mostWaiting bounds how many of the calls that wait are looked at.
const mostWaiting = 256

// Wait says since when a caller waits for the first content of this call. While it does not come, that is a reading as well:
// a leg that hangs must not get all that comes until a timeout ends the first of its calls.
func (t *Trial) Wait(from time.Time) {
	if t.reported {
		return
	}
	h := t.health
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.legs[t.leg]
	if l == nil {
		l = h.add(t, from)
		l.heard = from
	}
	t.from, t.at, t.place = from, l, len(l.waiting)
	l.waiting = append(l.waiting, t)
}

// Heard says that the content has begun. A probe of which there is content closes the breaker: others must not wait for its
// end. Should it fail after all, that opens the breaker again.
func (t *Trial) Heard() {
	t.health.mu.Lock()
	defer t.health.mu.Unlock()
	t.leave()
	if l := t.health.legs[t.leg]; l != nil && l.probes[t.org] == t {
		l.well()
		l.failures = breakerFailures - 1
	}
}

// leave takes the call from among those that wait.
func (t *Trial) leave() {
	if t.at == nil {
		return
	}
	w := t.at.waiting
	last := w[len(w)-1]
	last.place = t.place
	w[t.place], w[len(w)-1] = last, nil
	t.at.waiting, t.at = w[:len(w)-1], nil
}

// firstContent is the time to the first content, with the calls that have waited for longer than is usual for the leg; 0 if
// it is not known.
func (l *legHealth) firstContent(now time.Time) int64 {
	f := &l.seen.first
	mean, weight, usual := f.known(now), int64(0), usualFirst
	if mean > 0 {
		weight, usual = faded(f.weight, now.Sub(f.at)), mean
	}
	sum := mean * weight
	for _, t := range l.waiting[:min(len(l.waiting), mostWaiting)] {
		if age := int64(min(now.Sub(t.from), mostFirst)); age > usual {
			sum, weight = sum+age*oneReading, weight+oneReading
		}
	}
	if weight == 0 {
		return 0
	}
	return sum / weight
}

// Streamed notes how an answer came: after how long its first content, and how many tokens, those of reasoning left out, in
// how long from then on. To be called before Report.
func (t *Trial) Streamed(first time.Duration, tokens int64, writing time.Duration) {
	t.pace = pace{first: max(1, first), tokens: tokens, writing: writing}
}

// Whole notes after how long an answer came that was not streamed, with how many tokens. To be called before Report.
func (t *Trial) Whole(took time.Duration, tokens int64) {
	t.pace = pace{whole: max(1, took), tokens: tokens}
}

// await has the trial know that the caller waits from now on; for a whole answer, from when it is overdue.
func (a *attempt) await() {
	from := a.began
	if !a.task.Request.Stream {
		from = from.Add(usualOutput * time.Second / usualRate)
	}
	a.trial.Wait(from)
}

// observe tells the trial what the attempt has shown of its leg's pace. The time that the caller took to take it is not the
// leg's.
func (a *attempt) observe() {
	u, _ := a.used()
	took := a.d.Now().Sub(a.began)
	switch before := a.began.Sub(a.run.started); {
	case a.received == 0:
	case a.task.Request.Stream:
		a.trial.Streamed(a.first-before, u.Output-u.Reasoning, took-(a.first-before)-a.taking)
	default:
		a.trial.Whole(took, u.Output)
	}
}
