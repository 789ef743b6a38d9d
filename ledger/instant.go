package ledger

import (
	"math"
	"time"
)

// Instant is a moment in nanoseconds since 1970, UTC. Zero means none: no expiry, no end.
type Instant int64

// Never is later than any event.
const Never Instant = math.MaxInt64

// InstantOf converts a time. One that no Instant reaches is the nearest whole year's beginning or end that one does.
func InstantOf(t time.Time) Instant {
	switch year := t.Year(); {
	case t.IsZero():
		return 0
	case year < 1678:
		return Instant(time.Date(1678, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	case year > 2261:
		return Never
	}
	return Instant(t.UnixNano())
}

// Time converts back, in UTC.
func (i Instant) Time() time.Time { return time.Unix(0, int64(i)).UTC() }

// String shows the instant as RFC 3339 with nanoseconds, and nothing for none.
func (i Instant) String() string {
	if i == 0 {
		return ""
	}
	return i.Time().Format(time.RFC3339Nano)
}

// passed tells whether the instant is set and not after now.
func (i Instant) passed(now Instant) bool { return i != 0 && i <= now }

// monthsAfter is the anchor's day and time of day, n months on, clamped to the last day of a short month:
// from January 31 come February 28 and March 31.
func monthsAfter(anchor Instant, n int) Instant {
	t := anchor.Time()
	first := time.Date(t.Year(), t.Month()+time.Month(n), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	then := first.AddDate(0, 0, min(t.Day(), last)-1)
	if then.Year() > 2261 { // the last whole year that an Instant reaches
		return Never
	}
	return InstantOf(then)
}

// monthAt is the number of whole periods from the anchor to now: the n for which monthsAfter(anchor, n) ≤ now.
func monthAt(anchor, now Instant) int {
	a, t := anchor.Time(), now.Time()
	n := (t.Year()-a.Year())*12 + int(t.Month()) - int(a.Month())
	for n > 0 && monthsAfter(anchor, n) > now {
		n--
	}
	return n
}
