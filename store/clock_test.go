package store

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"waybill/ledger"
)

// fakeClock is a wall clock and a monotonic one that a test moves.
type fakeClock struct {
	mu   sync.Mutex
	wall time.Time
	even time.Duration
}

func newFakeClock() *fakeClock {
	return &fakeClock{wall: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)}
}

func (c *fakeClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wall
}

func (c *fakeClock) elapsed() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.even
}

// pass lets time pass; jump sets the wall clock alone.
func (c *fakeClock) pass(d time.Duration) {
	c.jump(d)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.even += d
}

func (c *fakeClock) jump(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall = c.wall.Add(d)
}

// TestClockBack: within the tolerance times go on increasing; beyond it the log opens only if told so, and then too.
func TestClockBack(t *testing.T) {
	clock := newFakeClock()
	o := Options{Dir: t.TempDir(), Now: clock.now}
	s := newNode(t, o, "acme")
	clock.jump(-4 * time.Minute)
	must(t, s, admit("acme", "r1"))
	s.Close()
	s = reopen(t, o)
	must(t, s, settle("acme", "r1"))
	s.Close()

	clock.jump(-2 * time.Minute)
	if _, err := Open(context.Background(), o); err == nil || !strings.Contains(err.Error(), "--accept-clock") {
		t.Fatalf("a clock that stands 6 minutes behind the log: %v", err)
	}
	o.AcceptClock = true
	s = reopen(t, o)
	must(t, s, admit("acme", "r2"))
	gapless(t, s.Reader, 5+4+3)
}

// TestDrift: while the clocks disagree no call is admitted, and what falls due by the jump does not happen.
func TestDrift(t *testing.T) {
	for _, jump := range []time.Duration{-6 * time.Minute, 6 * time.Minute, 40 * 24 * time.Hour} {
		clock := newFakeClock()
		s := newNode(t, Options{Dir: t.TempDir(), Now: clock.now, Elapsed: clock.elapsed}, "acme")
		must(t, s, admit("acme", "r1"), admit("acme", "r2"))
		clock.pass(time.Hour)
		clock.jump(jump)
		extend := ledger.Extend{Who: operator, Org: "acme", Request: "r1", Demand: ledger.Demand{Choice: pool, Input: 1, Output: 1}}
		for _, c := range []ledger.Command{admit("acme", "r3"), extend} {
			if _, err := s.Execute(context.Background(), c); refusal(err) != ledger.CodeUnavailable || !strings.Contains(err.Error(), "clock has jumped by "+jump.String()) {
				t.Errorf("jump by %s: %T: %v", jump, c, err)
			}
		}
		s.mature(context.Background())
		recs := must(t, s, settle("acme", "r1"))
		if even := ledger.InstantOf(clock.now().Add(-jump)); recs[len(recs)-1].At != even || len(recs) != 1 {
			t.Errorf("jump by %s: settled at %s, with %d events, want %s", jump, recs[0].At, len(recs), even)
		}
		clock.jump(-jump)
		extend.Request = "r2"
		must(t, s, admit("acme", "r3"), extend)
	}
}

// TestTimer: periods end though nobody asks.
func TestTimer(t *testing.T) {
	clock := newFakeClock()
	s := newNode(t, Options{Dir: t.TempDir(), Now: clock.now, tick: time.Millisecond}, "acme", "beta")
	must(t, s, ledger.GrantCredit{Who: operator, Org: "beta", Lot: "short", Amount: ledger.Dollar, Expires: ledger.InstantOf(clock.now().Add(time.Hour))})
	head, _, _ := s.Head(context.Background())
	clock.pass(2 * time.Hour)
	<-s.Changed(head)
	recs, err := s.Page(context.Background(), head, 10)
	if err != nil || len(recs) != 1 || recs[0].Type != "credit.expired" || recs[0].Stream != "beta" {
		t.Fatal(recs, err)
	}
	for month := range 3 {
		head += uint64(len(recs))
		clock.pass(31 * 24 * time.Hour)
		<-s.Changed(head + 1)
		recs, err = s.Page(context.Background(), head, 10)
		if err != nil || len(recs) != 2 || recs[0].Type != "period.opened" || recs[1].Type != "period.opened" {
			t.Fatal(month, recs, err)
		}
	}
}
