package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/benbjohnson/litestream"
)

// errNotAttached is a database that Litestream has not opened yet, since its replica has been out of reach from the start.
var errNotAttached = errors.New("its replica has not been reached since the start")

// attached tells whether Litestream has opened the database: then it has a read transaction open and owns the checkpoints.
func (d *replicated) attached() bool { return d.db.PageSize() != 0 }

// start has Litestream open the database now, while nobody else has: should that fail, it closes the handle that it has
// made, and with it every lock of this process on the file. A replica that is another's is an error.
func (d *replicated) start(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, reachReplica)
	defer cancel()
	err := d.join(within)
	if _, ok := errors.AsType[*Divergence](err); ok {
		return err
	}
	if err := d.db.Open(); err != nil {
		return err
	}
	if err != nil {
		return nil // the first round says so, and the rounds go on trying
	}
	return d.db.Sync(ctx)
}

// keepHouse has Litestream merge and delete files in the replica from now on: once that is known, and has the newest transaction, by
// which it is recognised.
func (d *replicated) keepHouse(ctx context.Context) error {
	if d.way.whole.Swap(true) {
		return nil
	}
	err := d.store.Open(ctx)
	if err != nil {
		d.way.whole.Store(false) // or the next round would take it for done
	}
	return err
}

// reachReplica is how long a start waits for the replica.
const reachReplica = 10 * time.Second

// join asks the replica what it has, and whether that is this folder's. Litestream asks it while it opens a database, too late to
// fail safely, and takes for its own whatever it finds.
func (d *replicated) join(ctx context.Context) error {
	h, err := d.compare(ctx)
	d.held = uint64(h.top)
	return err
}

// checkpoint stands in for Litestream while it has not opened the database: nobody else would, and the WAL would grow
// without bound. Once it has, it finds a WAL that it does not know, and makes a full copy.
func (d *replicated) checkpoint(ctx context.Context) error {
	if _, err := os.Stat(d.Path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	db, err := sql.Open("sqlite", dsn(d.Path, writing))
	if err != nil {
		return err
	}
	var busy, frames, moved int
	err = db.QueryRowContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`).Scan(&busy, &frames, &moved)
	return errors.Join(err, db.Close())
}

// truncate takes into the database what its WAL holds, and empties that. A snapshot being taken makes Litestream leave
// it, without an error: then the WAL still begins as before, and it is tried again. Before Litestream has opened the
// database it is errNotAttached, and whoever has it open is free to make the checkpoint.
func (r *Replication) truncate(ctx context.Context, path string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(r.dbs, func(d *replicated) bool { return d.Path == abs })
	if i < 0 {
		return fmt.Errorf("%s is not replicated", path)
	}
	if !r.dbs[i].attached() {
		return errNotAttached
	}
	for pause := 5 * time.Millisecond; pause < time.Second; pause *= 2 {
		before, err := walHeader(abs)
		if err != nil {
			return err
		}
		if err := r.dbs[i].db.Checkpoint(ctx, litestream.CheckpointModeTruncate); err != nil {
			return fmt.Errorf("the checkpoint of %s: %w", path, err)
		}
		after, err := walHeader(abs)
		if err != nil || !bytes.Equal(before, after) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the checkpoint of %s: %w", path, ctx.Err())
		case <-time.After(pause):
		}
	}
	return fmt.Errorf("the checkpoint of %s: it is in use, and its WAL keeps old bytes until the next one", path)
}

// walHeader is the head of a WAL, whose salts change with each restart of it. The file holds no locks, so opening
// it is safe; the database's own file must not be.
func walHeader(path string) ([]byte, error) {
	f, err := os.Open(path + "-wal")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, litestream.WALHeaderSize))
}
