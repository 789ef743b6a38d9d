package ledger

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A time that no instant reaches stays on its side of those that are reached.
func TestInstantOfFarTimes(t *testing.T) {
	for _, c := range []struct {
		year int
		want func(Instant) bool
	}{{1, func(i Instant) bool { return i < 0 && i-1 < i }}, {1500, func(i Instant) bool { return i < 0 && i-1 < i }}, {1900, func(i Instant) bool { return i < 0 }},
		{2261, func(i Instant) bool { return i > 0 && i < Never }}, {2999, func(i Instant) bool { return i == Never }}} {
		if got := InstantOf(time.Date(c.year, 7, 1, 0, 0, 0, 0, time.UTC)); !c.want(got) {
			t.Errorf("in %d: %d", c.year, got)
		}
	}
}

func TestMonthsAfter(t *testing.T) {
	for _, c := range []struct {
		anchor string
		months int
		want   string
	}{
		{"2026-01-31T12:00", 1, "2026-02-28T12:00"},
		{"2026-01-31T12:00", 2, "2026-03-31T12:00"},
		{"2026-01-31T12:00", 3, "2026-04-30T12:00"},
		{"2028-01-31T12:00", 1, "2028-02-29T12:00"},
		{"2028-02-29T00:00", 12, "2029-02-28T00:00"},
		{"2028-02-29T00:00", 48, "2032-02-29T00:00"},
		{"2100-01-31", 1, "2100-02-28"}, // a year of four that is not a leap year
		{"2026-12-31T23:59:59", 2, "2027-02-28T23:59:59"},
		{"2026-08-15", 0, "2026-08-15"},
	} {
		if got := monthsAfter(instant(c.anchor), c.months); got != instant(c.want) {
			t.Errorf("%d months after %s it is %s, not %s", c.months, c.anchor, got, c.want)
		}
	}
	if got := monthsAfter(instant("2261-12-15"), 1); got != 1<<63-1 {
		t.Errorf("a month that no instant reaches is %s", got)
	}
}

// TestMonths: the periods of an anchor follow one another without gap or overlap, and each instant is in one of them.
func TestMonths(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		anchor := Instant(rapid.Int64Range(0, int64(instant("2150-01-01"))).Draw(t, "anchor"))
		now := anchor + Instant(rapid.Int64Range(0, int64(40*365*24*time.Hour)).Draw(t, "after"))
		n := monthAt(anchor, now)
		if start, end := monthsAfter(anchor, n), monthsAfter(anchor, n+1); n < 0 || start > now || end <= now || start >= end {
			t.Fatalf("%s is in month %d of %s, from %s to %s", now, n, anchor, start, end)
		}
		if got := monthsAfter(anchor, n); got != month(anchor, n) {
			t.Fatalf("%d months after %s it is %s, not %s", n, anchor, got, month(anchor, n))
		}
		if a, b := monthsAfter(anchor, n).Time(), anchor.Time(); b.Day() <= 28 && a.Day() != b.Day() || a.Day() > b.Day() {
			t.Fatalf("day %d of a month becomes day %d", b.Day(), a.Day())
		}
	})
}

func TestInstant(t *testing.T) {
	if InstantOf(time.Time{}) != 0 || Instant(0).String() != "" {
		t.Error("no time is some instant")
	}
	when := time.Date(2026, 11, 25, 10, 0, 0, 5, time.FixedZone("", 3600))
	if i := InstantOf(when); !i.Time().Equal(when) || i.String() != "2026-11-25T09:00:00.000000005Z" {
		t.Errorf("%s is %s", when, i)
	}
	if Instant(0).passed(5) || Instant(6).passed(5) || !Instant(5).passed(5) || !Instant(4).passed(5) {
		t.Error("an instant has passed from itself on, and none never")
	}
}
