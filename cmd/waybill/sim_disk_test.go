package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// simDisk is the disk of one life.
type simDisk struct {
	s     *sim
	life  *life
	pages atomic.Int64 // that the log's file may have; 0: enough

	mu      sync.Mutex // of the rest: the writer comes to see it
	fault   fault
	after   int    // commits until it happens
	at      uint64 // where of the WAL's new bytes the power fails
	synced  int64  // length of the WAL when a commit was last acknowledged
	cut     int64  // of the WAL, so much is there after the crash; less than 0: all
	crashed string // the folder as the crash has left it; empty: there was none
}

// fault is how the disk fails at a commit.
type fault int

const (
	noFault   fault = iota
	lostSync        // the fsync before the commit fails: nothing of it is there
	lateSync        // the commit is there, and the fsync says that it failed
	powerLoss       // the power fails while the WAL is written: of its new bytes so many are there
)

var faultNames = map[fault]string{lostSync: "an fsync fails before a commit", lateSync: "an fsync fails after a commit", powerLoss: "the power fails in a commit"}

var errDisk = errors.New("input/output error")

func (d *simDisk) next(s *sim) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.s, d.life, d.fault, d.cut, d.crashed = s, s.life, noFault, -1, ""
	d.synced = walSize(s.conf.data)
}

func walSize(dir string) int64 {
	info, err := os.Stat(filepath.Join(dir, "waybill.db-wal"))
	if err != nil {
		return 0
	}
	return info.Size()
}

// arm has the disk fail at a commit to come.
func (d *simDisk) arm(f fault, after int, at uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault, d.after, d.at = f, after, at
}

// crash says which folder the node goes on with.
func (d *simDisk) crash(folder string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crashed = folder
}

// left is the folder as a crash has left it, empty if there was none.
func (d *simDisk) left() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.crashed
}

// torn says what a crash has left of the WAL.
func (d *simDisk) torn() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cut < 0 {
		return "whole"
	}
	return fmt.Sprintf("cut at byte %d, %d after the last acknowledged", d.cut, d.cut-d.synced)
}

// sync is told of each commit of the node's log.
func (d *simDisk) sync(committed bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.life.over.Load() {
		return errDisk
	}
	if !committed {
		if d.fault == lostSync && d.after == 0 {
			d.crashed = d.s.copied(-1)
			return errDisk
		}
		return nil
	}
	if d.fault != noFault && d.fault != lostSync && d.after == 0 {
		if d.fault == powerLoss {
			if size := walSize(d.s.conf.data); size > d.synced {
				d.cut = d.synced + int64(d.at%uint64(size-d.synced+1))
			}
		}
		d.crashed = d.s.copied(d.cut)
		return errDisk
	}
	d.after--
	d.synced = walSize(d.s.conf.data)
	return nil
}

// copied is the folder as it is now, with the log's WAL cut at a length, in another place; less than 0 cuts nothing.
func (s *sim) copied(cut int64) string {
	to := s.folder()
	if err := os.Mkdir(to, 0o700); err != nil {
		panic(err)
	}
	for _, name := range []string{"waybill.db", "waybill.db-wal", "vault.db", "vault.db-wal"} {
		data, err := os.ReadFile(filepath.Join(s.conf.data, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if name == "waybill.db-wal" && cut >= 0 && cut < int64(len(data)) {
			data = data[:cut]
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), data, 0o600)
		}
		if err != nil {
			panic(err)
		}
		meta := "." + name + "-litestream"
		if err := os.CopyFS(filepath.Join(to, meta), os.DirFS(filepath.Join(s.conf.data, meta))); err != nil && !errors.Is(err, os.ErrNotExist) {
			panic(err)
		}
	}
	return to
}
