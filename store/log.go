package store

import (
	"database/sql/driver"
	"fmt"
	"slices"

	"waybill/ledger"
)

// journal is the write side of the log: the connection, its statements, and what the next append builds on. Only the
// writer's goroutine uses it.
type journal struct {
	*conn
	edge edge
	row  []byte // reused, as are those below
	leaf []byte

	values, hashes []driver.Value

	replicated     bool // a replicator checkpoints
	nextCheckpoint int64
	disk           Disk
	pages          int64 // the limit that SQLite has been told; 0: none yet

	begin, commit, rollback, head, walSize, passive *stmt
	addEvents, addHashes                            inserts
	setRow, dropRow, setBalance, dropBalance        *stmt
	cause, addCause, records                        *stmt
	nameTaken, setLabel, dropLabel, setNode         *stmt
	setNote, countNotes, dropNotes                  *stmt
	addCheckpoint                                   *stmt
	dropLabels                                      *stmt
}

const recordColumnsOf = `position, stream, version, id, type, schema, at, actor, cause, data`

func openLog(dsn string, replicated bool, disk Disk) (*journal, error) {
	c, err := connect(dsn)
	if err != nil {
		return nil, err
	}
	l := &journal{conn: c, replicated: replicated, nextCheckpoint: checkpointPages, disk: disk}
	l.addEvents.columns, l.addHashes.columns = 10, 2
	for into, query := range map[**stmt]string{
		&l.begin:          `BEGIN IMMEDIATE`,
		&l.commit:         `COMMIT`,
		&l.rollback:       `ROLLBACK`,
		&l.head:           `SELECT position, at FROM events ORDER BY position DESC LIMIT 1`,
		&l.walSize:        `PRAGMA wal_checkpoint(NOOP)`,
		&l.passive:        `PRAGMA wal_checkpoint(PASSIVE)`,
		&l.addEvents.one:  insertOf("events", recordColumnsOf, 10, 1),
		&l.addEvents.many: insertOf("events", recordColumnsOf, 10, batchRows),
		&l.addHashes.one:  insertOf("tree", "position, hashes", 2, 1),
		&l.addHashes.many: insertOf("tree", "position, hashes", 2, batchRows),
		&l.setRow:         `INSERT OR REPLACE INTO state (kind, id, position, data) VALUES (?, ?, ?, ?)`,
		&l.dropRow:        `DELETE FROM state WHERE kind = ? AND id = ?`,
		&l.setBalance:     `INSERT OR REPLACE INTO balances (account, unit, amount, position) VALUES (?, ?, ?, ?)`,
		&l.dropBalance:    `DELETE FROM balances WHERE account = ? AND unit = ?`,
		&l.cause:          `SELECT input, first, last FROM causes WHERE scope = ? AND key = ?`,
		&l.addCause:       `INSERT INTO causes (scope, key, input, first, last) VALUES (?, ?, ?, ?, ?)`,
		&l.records:        `SELECT ` + recordColumnsOf + ` FROM events WHERE position BETWEEN ? AND ? ORDER BY position`,
		&l.nameTaken:      `SELECT id FROM labels WHERE kind = ? AND scope = ? AND name = ?`,
		&l.setLabel: `INSERT INTO labels (kind, id, scope, name) VALUES (?, ?, ?, ?)
			ON CONFLICT (kind, id) DO UPDATE SET scope = excluded.scope, name = excluded.name`,
		&l.dropLabel: `DELETE FROM labels WHERE kind = ? AND id = ?`,
		&l.setNode:   `INSERT OR REPLACE INTO node (name, value) VALUES (?, ?)`,
		// An id of a request may come again once its call was refused or voided: the later note is of the later call.
		&l.setNote:       `INSERT OR REPLACE INTO notes (request, org, note) VALUES (?, ?, ?)`,
		&l.countNotes:    `SELECT count(*) FROM notes WHERE org = ?`,
		&l.dropNotes:     `DELETE FROM notes WHERE org = ?`,
		&l.addCheckpoint: `INSERT OR IGNORE INTO checkpoints (epoch, position, at, key, note) VALUES (?, ?, ?, ?, ?)`,
		&l.dropLabels:    `DELETE FROM labels WHERE scope = ?1 OR kind = 'org' AND id = ?1`,
	} {
		if *into, err = c.keep(query); err != nil {
			c.Close()
			return nil, err
		}
	}
	return l, nil
}

// end is the position and time of the last event.
func (l *journal) end() (position uint64, at ledger.Instant, err error) {
	row, err := l.head.one()
	if err != nil || row == nil {
		return 0, 0, err
	}
	return uint64(row[0].(int64)), ledger.Instant(row[1].(int64)), nil
}

// append writes records and the hashes that they complete.
func (l *journal) append(recs []ledger.Record) error {
	if len(recs) == 0 {
		return nil
	}
	l.values, l.hashes, l.row = l.values[:0], l.hashes[:0], l.row[:0]
	for i := range recs {
		r := &recs[i]
		l.values = append(l.values, int64(r.Position), r.Stream, int64(r.Version), r.ID[:], string(r.Type), int64(r.Schema), int64(r.At),
			r.Actor, r.Cause, r.Data)
		h, buf := leafHash(r, l.leaf)
		l.leaf = buf
		start := len(l.row)
		l.row = l.edge.grow(l.row, r.Position, h)
		l.hashes = append(l.hashes, int64(r.Position), l.row[start:len(l.row):len(l.row)])
	}
	if err := l.addEvents.exec(l.values); err != nil {
		return fmt.Errorf("appending events from %d on: %w", recs[0].Position, err)
	}
	if err := l.addHashes.exec(l.hashes); err != nil {
		return fmt.Errorf("appending the hashes of events from %d on: %w", recs[0].Position, err)
	}
	return nil
}

// project writes the rows and balances that a draft touched, each once.
func (l *journal) project(d *ledger.Draft) error {
	for row, err := range d.Rows() {
		if err != nil {
			return err
		}
		if row.Data == nil {
			err = l.dropRow.exec(row.Kind, row.ID)
		} else {
			err = l.setRow.exec(row.Kind, row.ID, int64(row.Position), row.Data)
		}
		if err != nil {
			return fmt.Errorf("writing %s %s: %w", row.Kind, row.ID, err)
		}
	}
	for b := range d.Balances() {
		var err error
		if b.Amount == 0 {
			err = l.dropBalance.exec(b.Account.String(), string(b.Unit))
		} else {
			err = l.setBalance.exec(b.Account.String(), string(b.Unit), b.Amount, int64(b.Position))
		}
		if err != nil {
			return fmt.Errorf("writing the balance of %s: %w", b.Account, err)
		}
	}
	return nil
}

// between reads the records of a range of positions.
func (l *journal) between(first, last uint64) (recs []ledger.Record, err error) {
	err = l.records.each(func(row []driver.Value) error {
		r, err := recordOf(row)
		recs = append(recs, r)
		return err
	}, int64(first), int64(last))
	if err == nil && uint64(len(recs)) != last-first+1 {
		err = fmt.Errorf("events %d to %d: found %d of them", first, last, len(recs))
	}
	return recs, err
}

func recordOf(row []driver.Value) (r ledger.Record, err error) {
	r = ledger.Record{Position: uint64(row[0].(int64)), Stream: row[1].(string), Version: uint64(row[2].(int64)),
		Type: ledger.Type(row[4].(string)), Schema: int(row[5].(int64)), At: ledger.Instant(row[6].(int64)),
		Actor: row[7].(string), Cause: row[8].(string), Data: slices.Clone(row[9].([]byte))}
	if copy(r.ID[:], row[3].([]byte)) != len(r.ID) {
		return r, fmt.Errorf("event %d has an id of another length than 16", r.Position)
	}
	if r.Event, err = decode(r.Type, r.Schema, r.Data); err != nil {
		return r, fmt.Errorf("event %d: %w", r.Position, err)
	}
	return r, nil
}
