package store

import (
	"fmt"
	"time"

	"waybill/ledger"
)

// tolerance is how far the wall clock may stand from where it should: behind the log's head at start, or apart from
// the monotonic clock since.
const tolerance = 5 * time.Minute

// clock tells the writer's time.
type clock struct {
	now     func() time.Time
	start   time.Time
	elapsed func() time.Duration // monotonic, since start
}

func newClock(now func() time.Time, elapsed func() time.Duration) clock {
	if now == nil {
		now = time.Now
	}
	start := now()
	if elapsed == nil {
		elapsed = func() time.Duration { return now().Sub(start) } // of monotonic readings, where times carry them
	}
	return clock{now, start, elapsed}
}

// read gives the time, and an error while the wall clock has drifted from the monotonic one. Which of them is right
// cannot be known from here, so until they agree again time goes on evenly: a jump must not end periods or expire credit.
func (c *clock) read() (ledger.Instant, error) {
	wall := c.now().Round(0)
	even := c.start.Round(0).Add(c.elapsed())
	drift := wall.Sub(even)
	if drift.Abs() <= tolerance {
		return ledger.InstantOf(wall), nil
	}
	return ledger.InstantOf(even), &ledger.Error{Code: ledger.CodeUnavailable, Message: fmt.Sprintf(
		"the node's clock has jumped by %s since it started: no call is admitted until it is right, or the node restarts", drift.Round(time.Second))}
}

// Clock says that the wall clock has drifted from the monotonic one since the start, nil if it has not: calls are not admitted then.
func (s *Store) Clock() error {
	_, err := s.clock.read()
	return err
}
