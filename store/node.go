package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
)

// NodeValue gives what the node keeps under a name, nil if nothing. It is outside the fold: the digest of the operator's
// token, for instance.
func (r *Reader) NodeValue(ctx context.Context, name string) (value []byte, err error) {
	err = r.db.QueryRowContext(ctx, `SELECT value FROM node WHERE name = ?`, name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return value, err
}

// SetNodeValue keeps a value under a name.
func (s *Store) SetNodeValue(ctx context.Context, name string, value []byte) error {
	value = slices.Clone(value)
	_, err := s.submit(ctx, &order{write: func(l *journal) error { return l.setNode.exec(name, value) }})
	return err
}
