package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"

	"waybill/ledger"
)

// epochStart is a log.restored event: the log had ended at a position, and goes on from there in a new epoch.
type epochStart struct{ position, epoch, from uint64 }

// restores are those that the log has been through, in order.
func (r *Reader) restores(ctx context.Context) ([]epochStart, error) {
	recs, err := records(ctx, r.db, "SELECT "+recordColumns+" FROM events WHERE stream = ? AND type = 'log.restored' ORDER BY version", ledger.Platform)
	if err != nil {
		return nil, fmt.Errorf("looking for epochs in the log: %w", err)
	}
	all := make([]epochStart, 0, len(recs))
	for _, rec := range recs {
		if e, ok := rec.Event.(*ledger.LogRestored); ok {
			all = append(all, epochStart{rec.Position, e.Epoch, e.From})
		}
	}
	return all, nil
}

// restoredFrom is the position up to which a log still is what it was in an epoch: where it ended when it was restored since.
func restoredFrom(all []epochStart, epoch uint64) uint64 {
	end := uint64(math.MaxUint64)
	for _, r := range all {
		if r.epoch > epoch {
			end = min(end, r.from)
		}
	}
	return end
}

// identity is the name of the log.
func (r *Reader) identity(ctx context.Context) (string, error) {
	first, err := r.Page(ctx, 0, 1)
	if err != nil {
		return "", fmt.Errorf("reading the first event: %w", err)
	}
	if len(first) != 1 || first[0].Position != 1 {
		return "", errors.New("the log has no first event, and so no name: run waybill verify")
	}
	h, _ := leafHash(&first[0], nil)
	return identityOf(h), nil
}

// Extends tells whether the log has, unchanged, all that a checkpoint covers. What a restore has cut off, and says so in the log, need
// not be there. The error says what is wrong.
func (r *Reader) Extends(ctx context.Context, c Checkpoint) error {
	identity, err := r.identity(ctx)
	if err != nil {
		return err
	}
	all, err := r.restores(ctx)
	if err != nil {
		return err
	}
	return r.extends(ctx, c, identity, all)
}

func (r *Reader) extends(ctx context.Context, c Checkpoint, identity string, all []epochStart) error {
	head, _, err := r.Head(ctx)
	if err != nil {
		return err
	}
	if err := plausible(c, identity, all, head); err != nil {
		return err
	}
	if c.Position > restoredFrom(all, c.Epoch) {
		return nil
	}
	hash, err := r.Root(ctx, c.Position)
	if err != nil {
		return torn(err)
	}
	return sameRoot(c, hash)
}

// plausible tells whether a checkpoint can be of this log, by all but its hash.
func plausible(c Checkpoint, identity string, all []epochStart, head uint64) error {
	epoch := uint64(1)
	if len(all) > 0 {
		epoch = all[len(all)-1].epoch
	}
	switch {
	case c.Identity != identity:
		return forkedBy("the checkpoint at position %d is of the log %s, and this is %s", c.Position, c.Identity, identity)
	case c.Epoch > epoch:
		return forkedBy("a checkpoint was signed at position %d in epoch %d, and the log ends in epoch %d", c.Position, c.Epoch, epoch)
	case c.Position > head && restoredFrom(all, c.Epoch) == math.MaxUint64:
		return forkedBy("a checkpoint was signed at position %d, and the log ends at %d", c.Position, head)
	}
	return nil
}

func sameRoot(c Checkpoint, hash tlog.Hash) error {
	if hash != c.Hash {
		return forkedBy("its first %d events are not those that were signed: their hash is %x, and was %x", c.Position, hash, c.Hash)
	}
	return nil
}

// PublicKey is the key by which the log's checkpoints are verified, empty if it never had one. It is as the file says.
func (r *Reader) PublicKey(ctx context.Context) (string, error) {
	key, err := r.NodeValue(ctx, keyValue)
	return string(key), err
}

// addCheckpoint keeps a checkpoint beside the log.
func (s *Store) addCheckpoint(ctx context.Context, c SignedCheckpoint) error {
	_, err := s.submit(ctx, &order{write: func(l *journal) error {
		return l.addCheckpoint.exec(int64(c.Epoch), int64(c.Position), int64(c.At), c.Key, c.Note)
	}})
	if err != nil {
		return fmt.Errorf("keeping the checkpoint at %d: %w", c.Position, err)
	}
	return nil
}

const checkpointColumns = "SELECT at, key, note FROM "

// newestCheckpoint is the last that stands beside the log, nil if none does.
func (r *Reader) newestCheckpoint(ctx context.Context) (*SignedCheckpoint, error) {
	return scanCheckpoint(r.db.QueryRowContext(ctx, checkpointColumns+"checkpoints ORDER BY epoch DESC, position DESC LIMIT 1"), "beside the log")
}

// checkpoint is the vault's copy of the last, nil if there is none.
func (v *Vault) checkpoint(ctx context.Context) (*SignedCheckpoint, error) {
	return scanCheckpoint(v.db.QueryRowContext(ctx, checkpointColumns+"checkpoint"), "in the vault")
}

func scanCheckpoint(row *sql.Row, where string) (*SignedCheckpoint, error) {
	var at ledger.Instant
	var key, note string
	err := row.Scan(&at, &key, &note)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the last checkpoint %s: %w", where, err)
	}
	c, err := OpenCheckpoint(note, key)
	if err != nil {
		return nil, fmt.Errorf("the last checkpoint %s was changed: %w", where, err)
	}
	c.At = at
	return &c, nil
}

// keepCheckpoint replaces the vault's copy of the last checkpoint. It is no secret: what it replaces may stay in the WAL until a
// replicator, or the passive checkpoint here, makes room there.
func (v *Vault) keepCheckpoint(ctx context.Context, c SignedCheckpoint) error {
	_, err := v.db.ExecContext(ctx, `INSERT OR REPLACE INTO checkpoint (one, at, key, note) VALUES (1, ?, ?, ?)`, int64(c.At), c.Key, c.Note)
	if err == nil && v.by == nil {
		var busy, frames, moved int
		err = v.db.QueryRowContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`).Scan(&busy, &frames, &moved)
	}
	if err != nil {
		return fmt.Errorf("keeping the checkpoint at %d in the vault: %w", c.Position, err)
	}
	return nil
}

// LastCheckpoint is the newest signed checkpoint that a folder's two files know of, nil if they know of none. It needs no master
// key, and takes files of an older waybill.
func LastCheckpoint(ctx context.Context, dir string) (newest *SignedCheckpoint, err error) {
	for _, f := range []struct{ file, table, query string }{
		{logFile, "checkpoints", "checkpoints ORDER BY epoch DESC, position DESC LIMIT 1"},
		{vaultFile, "checkpoint", "checkpoint"},
	} {
		c, err := checkpointIn(ctx, filepath.Join(dir, f.file), f.table, f.query)
		if err != nil {
			return nil, err
		}
		if c != nil && (newest == nil || c.Epoch > newest.Epoch || c.Epoch == newest.Epoch && c.Position > newest.Position) {
			newest = c
		}
	}
	return newest, nil
}

func checkpointIn(ctx context.Context, path, table, query string) (c *SignedCheckpoint, err error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	db, err := sql.Open("sqlite", dsn(path, reading))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var there bool
	if err := db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?)`, table).Scan(&there); err != nil || !there {
		return nil, err
	}
	return scanCheckpoint(db.QueryRowContext(ctx, checkpointColumns+query), "in "+filepath.Base(path))
}
