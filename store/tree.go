package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"

	"waybill/ledger"
)

// edge is the right edge of the Merkle tree over a log: at level L, where bit L of the log's length is set, the hash of
// the last complete subtree of 1<<L leaves. It is all that the next append needs.
type edge [64]tlog.Hash

// grow appends to row the hashes that the leaf of a position completes, from the leaf upwards, as the tree's row of that
// position holds them.
func (e *edge) grow(row []byte, position uint64, leaf tlog.Hash) []byte {
	row = append(row, leaf[:]...)
	level := 0
	for n := position - 1; n&1 == 1; n >>= 1 {
		leaf = tlog.NodeHash(e[level], leaf)
		row = append(row, leaf[:]...)
		level++
	}
	e[level] = leaf
	return row
}

// leafHash is the hash of a record's leaf; buf is reused.
func leafHash(r *ledger.Record, buf []byte) (tlog.Hash, []byte) {
	buf = r.AppendLeaf(buf[:0])
	return tlog.RecordHash(buf), buf
}

// rowWidth is the length of the tree's row of a position, in bytes.
func rowWidth(position uint64) int { return tlog.HashSize * (1 + bits.TrailingZeros64(position)) }

// readEdge reads the edge of a log of so many events.
func readEdge(c *conn, size uint64) (e edge, err error) {
	s, err := c.prepare(`SELECT hashes FROM tree WHERE position = ?`)
	if err != nil {
		return e, err
	}
	defer s.Close()
	for level := range bits.Len64(size) {
		if size>>level&1 == 0 {
			continue
		}
		position := size >> level << level
		row, err := s.one(int64(position))
		if err != nil {
			return e, fmt.Errorf("reading the tree at %d: %w", position, err)
		}
		if e[level], err = hashIn(row, position, level); err != nil {
			return e, err
		}
	}
	return e, nil
}

func hashIn(row []driver.Value, position uint64, level int) (h tlog.Hash, err error) {
	if len(row) == 1 {
		if hashes, ok := row[0].([]byte); ok && len(hashes) == rowWidth(position) {
			return tlog.Hash(hashes[level*tlog.HashSize:][:tlog.HashSize]), nil
		}
	}
	return h, fmt.Errorf("%w: that of event %d", errTreeRow, position)
}

var errTreeRow = errors.New("a row of the tree is missing or has another length than it should: run waybill verify")

// Root is the hash of the Merkle tree over the first size events, as its stored hashes have it.
func (r *Reader) Root(ctx context.Context, size uint64) (tlog.Hash, error) {
	return tlog.TreeHash(int64(size), r.hashes(ctx))
}

// hashes reads the tree's hashes by their index in tlog's order.
func (r *Reader) hashes(ctx context.Context) tlog.HashReaderFunc {
	return func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			level, n := tlog.SplitStoredHashIndex(index)
			position := uint64(n+1) << level
			var hashes []byte
			if err := r.db.QueryRowContext(ctx, `SELECT hashes FROM tree WHERE position = ?`, int64(position)).Scan(&hashes); err != nil {
				return nil, fmt.Errorf("reading the tree at %d: %w", position, err)
			}
			h, err := hashIn([]driver.Value{hashes}, position, level)
			if err != nil {
				return nil, err
			}
			out[i] = h
		}
		return out, nil
	}
}
