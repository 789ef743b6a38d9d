package store

import (
	"errors"
	"io/fs"
	"os"
	"sync/atomic"
	"time"

	"waybill/ledger"
)

// stall is a time in which nothing can be appended though nothing is broken: the disk is full, or another program has the
// log locked. New commands are refused, before any call is made for them; firm ones wait. It ends by itself.
type stall struct {
	why     atomic.Pointer[ledger.Error] // nil: there is none
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

// begin starts a stall, or goes on with one, and tells whether it has freed space for what is firm.
func (s *stall) begin(b *setback) (freed bool) {
	if s.ticker == nil {
		s.ticker = time.NewTicker(s.every)
	}
	if !b.full {
		s.why.Store(unavailable("another program has the log locked: nothing can be written until it lets go"))
		return false
	}
	s.why.Store(unavailable("the disk is full: nothing new is begun until there is space again"))
	return s.ballast.drop()
}

// end ends a stall after a success, if there is also space for the ballast again: without it the next full disk would
// find what is firm without reserve.
func (s *stall) end() {
	if s.ticker == nil || s.ballast.fill() != nil {
		return
	}
	s.ticker.Stop()
	s.ticker = nil
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

// drop gives the space back, and tells whether there was any.
func (b *ballast) drop() bool {
	err := os.Remove(b.path)
	return err == nil || !errors.Is(err, fs.ErrNotExist)
}

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
