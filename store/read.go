package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"

	"waybill/ledger"
	"waybill/migrations"
)

// Reader reads a log without being its writer, over read-only handles of its own, whether a node runs on the folder or not.
type Reader struct {
	dir string
	db  *sql.DB
}

// OpenReader opens the log in a data folder.
func OpenReader(ctx context.Context, dir string) (*Reader, error) {
	path := logPath(dir)
	if _, err := os.Stat(path); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("there is no log in %s: make one with waybill init", dir)
		}
		return nil, err
	}
	db, err := sql.Open("sqlite", dsn(path, reading))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(4)
	if err := known(ctx, db, migrations.Log); err != nil {
		return nil, errors.Join(fmt.Errorf("the log in %s cannot be read: %w", dir, err), db.Close())
	}
	return &Reader{dir: dir, db: db}, nil
}

// Close ends the reading.
func (r *Reader) Close() error { return r.db.Close() }

// Head is the position and time of the log's last event, zero for an empty log.
func (r *Reader) Head(ctx context.Context) (position uint64, at ledger.Instant, err error) {
	err = r.db.QueryRowContext(ctx, "SELECT position, at FROM events ORDER BY position DESC LIMIT 1").Scan(&position, &at)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return position, at, err
}

// PositionAt is that of the last event no later than an instant, 0 if all are. It relies on times that increase with positions.
func (r *Reader) PositionAt(ctx context.Context, at ledger.Instant) (uint64, error) {
	lo, _, err := r.Head(ctx)
	if err != nil {
		return 0, err
	}
	hi := lo + 1 // the event at lo is no later, the one at hi is: once lo has been lowered
	for lo = 0; hi-lo > 1; {
		mid := lo + (hi-lo)/2
		var then ledger.Instant
		if err := r.db.QueryRowContext(ctx, "SELECT at FROM events WHERE position = ?", int64(mid)).Scan(&then); err != nil {
			return 0, fmt.Errorf("event %d: %w", mid, err)
		}
		if then <= at {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo, nil
}

const recordColumns = "position, stream, version, id, type, schema, at, actor, cause, data"

// Page gives up to limit records after a position, in the log's order.
func (r *Reader) Page(ctx context.Context, after uint64, limit int) ([]ledger.Record, error) {
	return records(ctx, r.db, "SELECT "+recordColumns+" FROM events WHERE position > ? ORDER BY position LIMIT ?", int64(after), limit)
}

// Stream gives up to limit records of one stream after a version, in the stream's order.
func (r *Reader) Stream(ctx context.Context, stream string, afterVersion uint64, limit int) ([]ledger.Record, error) {
	return records(ctx, r.db, "SELECT "+recordColumns+" FROM events WHERE stream = ? AND version > ? ORDER BY version LIMIT ?",
		stream, int64(afterVersion), limit)
}

// querier is a pool, a connection or a transaction.
type querier interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
	QueryRowContext(context.Context, string, ...any) *sql.Row
}

func records(ctx context.Context, q querier, query string, args ...any) (recs []ledger.Record, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var r ledger.Record
		var id []byte
		if err := rows.Scan(&r.Position, &r.Stream, &r.Version, &id, &r.Type, &r.Schema, &r.At, &r.Actor, &r.Cause, &r.Data); err != nil {
			return nil, err
		}
		if copy(r.ID[:], id) != len(id) || len(id) != len(r.ID) {
			return nil, fmt.Errorf("event %d: its id is %d bytes long, not 16", r.Position, len(id))
		}
		if r.Event, err = decode(r.Type, r.Schema, r.Data); err != nil {
			return nil, fmt.Errorf("event %d: %w", r.Position, err)
		}
		recs = append(recs, r)
	}
	return recs, rows.Err()
}
