package store

import (
	"errors"
	"fmt"

	"modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"
)

// setback is a failure of which nothing has come and nothing is broken: the same may succeed later.
type setback struct {
	full bool // the disk is; else another program has the log locked
	err  error
}

func (s *setback) Error() string { return s.err.Error() }

// transact carries a group in a transaction. An error that is no setback leaves open whether it was committed.
func (l *journal) transact(g *group, head uint64) error {
	if err := l.limit(); err != nil {
		return err
	}
	if err := l.begin.exec(); err != nil {
		return l.judged(fmt.Errorf("beginning a transaction: %w", err), head)
	}
	err := g.decide()
	if err == nil {
		err = g.write()
	}
	if err == nil {
		if err = l.sync(); err == nil {
			return nil
		}
		err = fmt.Errorf("committing: %w", err)
	}
	// SQLite may have rolled back by itself, and then has no transaction to roll back: what counts is where the log ends.
	return l.judged(errors.Join(err, ignoreNone(l.rollback.exec())), head)
}

// judged tells a setback from a failure: by its code, and by the log, which must end where it did before.
func (l *journal) judged(err error, head uint64) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	code := e.Code() & 0xff
	if code != codes.SQLITE_FULL && code != codes.SQLITE_BUSY {
		return err
	}
	now, _, herr := l.end()
	if herr != nil || now != head {
		return fmt.Errorf("%w; then the log ended at %d, not at %d: %v", err, now, head, herr)
	}
	return &setback{code == codes.SQLITE_FULL, err}
}

func ignoreNone(err error) error {
	var e *sqlite.Error
	if errors.As(err, &e) && e.Code() == codes.SQLITE_ERROR {
		return nil
	}
	return err
}

// A passive checkpoint is due when the WAL has so many pages: often enough to keep it small, rarely enough to be cheap.
const checkpointPages = 1000

// checkpoint moves the WAL's pages into the file when there are enough. SQLite would do it by itself and not tell if the
// sync failed; a page that was lost so would be missed only when the WAL no longer has it.
// Space that is short makes it due as soon as there is anything: the WAL then starts over in the space that it has.
func (l *journal) checkpoint(short bool) error {
	if l.replicated {
		return nil // the replicator does, once it has the pages
	}
	row, err := l.walSize.one()
	if err != nil {
		return fmt.Errorf("reading the size of the WAL: %w", err)
	}
	pages := row[1].(int64)
	if pages < l.nextCheckpoint && !short {
		return nil
	}
	if row, err = l.passive.one(); err != nil {
		err = fmt.Errorf("checkpointing: %w", err)
		var e *sqlite.Error
		if errors.As(err, &e) && e.Code()&0xff == codes.SQLITE_FULL {
			return &setback{true, err}
		}
		return err
	}
	l.nextCheckpoint = checkpointPages
	if row[2].(int64) < pages { // a reader stands in the way: the WAL goes on from here
		l.nextCheckpoint += pages
	}
	return nil
}
