package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"waybill/ledger"
)

// note is what a request said of itself that its org's policy may have read. Like labels it stands beside the log.
type note struct {
	request, org string
	text         []byte
}

// ExecuteNoted is Execute with a note on a request, which is written in the same transaction and can be erased. A repeated
// command writes none.
func (s *Store) ExecuteNoted(ctx context.Context, c ledger.Command, request string, text []byte) (ledger.Receipt, error) {
	return s.submit(ctx, &order{command: c, note: &note{request, c.Stream(), slices.Clone(text)}, firm: firm(c)})
}

// jot writes a note within the transaction that is open.
func (l *journal) jot(n *note) error {
	if n == nil {
		return nil
	}
	if err := l.setNote.exec(n.request, n.org, n.text); err != nil {
		return fmt.Errorf("writing the note on request %s: %w", n.request, err)
	}
	return nil
}

// EraseNotes erases the notes on an org's requests, and gives how many there were.
func (s *Store) EraseNotes(ctx context.Context, org string) (erased int64, err error) {
	_, err = s.submit(ctx, &order{write: func(l *journal) error {
		row, err := l.countNotes.one(org)
		if err != nil || row == nil {
			return err
		}
		erased = row[0].(int64)
		return l.dropNotes.exec(org)
	}})
	return erased, err
}

// Note gives the note on a request, nil if there is none.
func (r *Reader) Note(ctx context.Context, request string) (text []byte, err error) {
	err = r.db.QueryRowContext(ctx, `SELECT note FROM notes WHERE request = ?`, request).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return text, err
}
