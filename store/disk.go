package store

import (
	"fmt"
	"math"
)

// Disk is what a simulation puts in the place of a healthy disk, which is the zero value.
type Disk struct {
	// Pages is how many pages the log's file may have, asked before each transaction: it is full then. 0 is no limit. SQLite
	// takes a limit below what there is for as many as there are.
	Pages func() int64
	// Sync is told of each commit, before and after. Its error is a failed fsync: whether the commit is on the disk is left open.
	Sync func(committed bool) error
}

// limit has SQLite keep to the pages that there are.
func (l *journal) limit() error {
	if l.disk.Pages == nil {
		return nil
	}
	n := l.disk.Pages()
	if n == 0 {
		n = math.MaxUint32 - 1 // SQLite's own bound
	}
	if n == l.pages {
		return nil
	}
	l.pages = n
	_, err := l.one(fmt.Sprintf(`PRAGMA max_page_count = %d`, n))
	return err
}

// sync commits.
func (l *journal) sync() error {
	if l.disk.Sync == nil {
		return l.commit.exec()
	}
	if err := l.disk.Sync(false); err != nil {
		return err
	}
	if err := l.commit.exec(); err != nil {
		return err
	}
	return l.disk.Sync(true)
}
