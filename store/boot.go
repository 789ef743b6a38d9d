package store

import (
	"bytes"
	"database/sql/driver"
	"fmt"
	"time"

	"waybill/ledger"
)

// load reads the state from the inline tables, never from the events: opening takes as long as there is state, whatever
// the length of history.
func load(l *journal) (*ledger.State, error) {
	head, at, err := l.end()
	if err != nil {
		return nil, fmt.Errorf("reading the head of the log: %w", err)
	}
	s := ledger.NewState()
	if err := loadRows(l, s, head); err != nil {
		return nil, err
	}
	if err := loadBalances(l, s, head); err != nil {
		return nil, err
	}
	versions, err := loadVersions(l, head)
	if err != nil {
		return nil, err
	}
	if err := checkTree(l, head); err != nil {
		return nil, err
	}
	if l.edge, err = readEdge(l.conn, head); err != nil {
		return nil, err
	}
	s.Seal(head, at, versions)
	return s, nil
}

func loadRows(l *journal, s *ledger.State, head uint64) error {
	q, err := l.prepare(`SELECT kind, id, position, data FROM state`)
	if err != nil {
		return err
	}
	defer q.Close()
	return q.each(func(row []driver.Value) error {
		r := ledger.Row{RowKey: ledger.RowKey{Kind: row[0].(string), ID: row[1].(string)}, Position: uint64(row[2].(int64)), Data: row[3].([]byte)}
		if r.Position > head {
			return past(r.Kind+" "+r.ID, r.Position, head)
		}
		return s.Load(r)
	})
}

// past is the error of a row that follows from an event which is not there: the end of the log is missing.
func past(what string, position, head uint64) error {
	return fmt.Errorf("%s is as of event %d, and the log ends at %d: restore the log, or run waybill verify", what, position, head)
}

// loadBalances also asserts that they sum to zero in each unit, as every event's postings do.
func loadBalances(l *journal, s *ledger.State, head uint64) error {
	q, err := l.prepare(`SELECT account, unit, amount, position FROM balances`)
	if err != nil {
		return err
	}
	defer q.Close()
	sums := map[ledger.Unit]int64{}
	err = q.each(func(row []driver.Value) error {
		a, err := ledger.ParseAccount(row[0].(string))
		if err != nil {
			return err
		}
		b := ledger.Balance{Account: a, Unit: ledger.Unit(row[1].(string)), Amount: row[2].(int64), Position: uint64(row[3].(int64))}
		if b.Position > head {
			return past("the balance of "+b.Account.String(), b.Position, head)
		}
		sums[b.Unit] += b.Amount
		s.LoadBalance(b)
		return nil
	})
	for unit, sum := range sums {
		if err == nil && sum != 0 {
			err = fmt.Errorf("the balances in %s sum to %d, not to zero: run waybill verify", unit, sum)
		}
	}
	return err
}

// loadVersions reads where each stream ends, by an index seek a stream, and asserts that their lengths make up the log's.
func loadVersions(l *journal, head uint64) (map[string]uint64, error) {
	q, err := l.prepare(`SELECT s.id, (SELECT max(version) FROM events WHERE stream = s.id)
		FROM (SELECT id FROM state WHERE kind = 'org' UNION ALL SELECT ?) s`)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	versions, sum := map[string]uint64{}, uint64(0)
	err = q.each(func(row []driver.Value) error {
		if v, ok := row[1].(int64); ok {
			versions[row[0].(string)] = uint64(v)
			sum += uint64(v)
		}
		return nil
	}, ledger.Platform)
	if err == nil && sum != head {
		err = fmt.Errorf("the log ends at position %d, and its streams have %d events: run waybill verify", head, sum)
	}
	return versions, err
}

// checkedTail is how many events at the end of the log are looked at when it is opened.
const checkedTail = 1000

// checkTree asserts that the tree ends where the log does, with that very event, and that neither has a gap near its end.
func checkTree(l *journal, head uint64) error {
	row, err := l.one(`SELECT position, hashes FROM tree ORDER BY position DESC LIMIT 1`)
	if err != nil {
		return fmt.Errorf("reading the tree: %w", err)
	}
	if row == nil && head == 0 {
		return nil
	}
	if row == nil || uint64(row[0].(int64)) != head {
		return fmt.Errorf("the log ends at position %d and its tree does not: run waybill verify", head)
	}
	// A crash can only hurt the end. What is missing further up was taken out, and is for verify to find.
	tail := head - min(head, checkedTail)
	counts, err := l.one(`SELECT (SELECT count(*) FROM events WHERE position > ?1), (SELECT count(*) FROM tree WHERE position > ?1)`, int64(tail))
	if err != nil {
		return fmt.Errorf("reading the end of the log: %w", err)
	}
	if n := int64(head - tail); counts[0] != n || counts[1] != n {
		return fmt.Errorf("of the last %d events, %d are there, and %d in the tree: run waybill verify", n, counts[0], counts[1])
	}
	last, err := l.between(head, head)
	if err != nil {
		return err
	}
	h, _ := leafHash(&last[0], nil)
	if stored := row[1].([]byte); len(stored) != rowWidth(head) || !bytes.Equal(stored[:len(h)], h[:]) {
		return fmt.Errorf("event %d is not the one that the tree has: run waybill verify", head)
	}
	return nil
}

// checkClock refuses a clock that stands far behind the log's last event.
func checkClock(s *ledger.State, now time.Time, accept bool) error {
	if _, at := s.Head(); !accept && now.Before(at.Time().Add(-tolerance)) {
		return fmt.Errorf("the clock says %s, and the log's last event is of %s: set the clock, or start with --accept-clock",
			now.UTC().Format(time.RFC3339), at.Time().Format(time.RFC3339))
	}
	return nil
}
