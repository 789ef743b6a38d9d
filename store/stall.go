package store

import (
	"errors"
	"math"
	"os"
	"sync/atomic"
	"time"

	"waybill/ledger"
)

// stall is a time in which nothing can be appended though nothing is broken: the disk is full, or another program has the
// log locked. New commands are refused, before any call is made for them; firm ones wait. It ends by itself.
type stall struct {
	why     atomic.Pointer[ledger.Error] // nil: there is none
	full    bool                         // the disk is why; the writer's alone
	every   time.Duration
	ticker  *time.Ticker
	ballast ballast
}

// again ticks during a stall.
func (s *stall) again() <-chan time.Time {
	if s.ticker == nil {
		return nil
	}
	return s.ticker.C
}

// part is how many orders one transaction carries: few while the disk is full, as what is too much for the space that is
// left would never fit as a whole.
func (s *stall) part() int {
	if s.full {
		return 8
	}
	return math.MaxInt
}

// begin starts a stall, or goes on with one.
func (s *stall) begin(b *setback) {
	if s.ticker == nil {
		s.ticker = time.NewTicker(s.every)
	}
	if s.full = b.full; s.full {
		s.why.Store(unavailable("the disk is full: nothing new is begun until there is space again"))
	} else {
		s.why.Store(unavailable("another program has the log locked: nothing can be written until it lets go"))
	}
}

// end ends a stall after a success, if the ballast is whole and there is as much space again beside it: with less, the next
// full disk would be near, and would find what is firm without reserve.
func (s *stall) end() {
	if s.ticker == nil || s.full && !s.ballast.spare() {
		return
	}
	s.ticker.Stop()
	s.ticker, s.full = nil, false
	s.why.Store(nil)
}

// ballast is a file that only takes up space. It is given up when the disk is full, so that the requests that are open can
// be settled.
type ballast struct {
	path string
	size int64 // in bytes; 0: none
}

// fill makes the file, unless it is there.
func (b *ballast) fill() error {
	if info, err := os.Stat(b.path); b.size == 0 || err == nil && info.Size() == b.size {
		return nil
	}
	f, err := os.OpenFile(b.path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(reserve(f, b.size), f.Close()); err != nil {
		return errors.Join(err, os.Remove(b.path))
	}
	return nil
}

// spare makes the file whole, and tells whether there is space for another.
func (b *ballast) spare() bool {
	if b.fill() != nil {
		return false
	}
	second := ballast{b.path + ".spare", b.size}
	defer second.drop()
	return second.fill() == nil
}

// drop gives the space back, and tells whether there was any.
func (b *ballast) drop() bool { return os.Remove(b.path) == nil }

// fill writes a file full, for where space cannot be reserved otherwise.
func fill(f *os.File, size int64) error {
	chunk := make([]byte, 1<<20)
	for at := int64(0); at < size; at += int64(len(chunk)) {
		if _, err := f.WriteAt(chunk[:min(int64(len(chunk)), size-at)], at); err != nil {
			return err
		}
	}
	return f.Sync()
}
