package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/benbjohnson/litestream"
	"github.com/superfly/ltx"
)

// ErrNoCopy is a replica in which there is no copy of a database.
var ErrNoCopy = errors.New("there is no copy of it in the replica")

// unreachable is a replica that does not answer: nothing is known of what it holds.
type unreachable struct{ error }

func (u unreachable) Unwrap() error { return u.error }

// fetchTries is how often a replica is asked for what it holds. Where a node writes there meanwhile, a listing of its files
// is no snapshot: it may show a gap. One that takes its time to say that it cannot be reached has tried by itself. What has been read and is
// not sound is read once more only.
const (
	fetchTries    = 6
	fetchPatience = 5 * time.Second
	readTries     = 2
)

// fetch makes a database from its replica, as the latest state of it, in a folder where it is not yet there. It checks that the
// file is sound as SQLite sees it, and leaves beside it what tells a replicator how far the two agree. Nothing is written to
// the replica.
func fetch(ctx context.Context, f ReplicatedFile, dir string, log *slog.Logger) error {
	path := filepath.Join(dir, filepath.Base(f.Path))
	db := litestream.NewDB(path)
	db.SetLogger(log)
	client, err := f.client(ctx)
	if err != nil {
		return unreachable{err}
	}
	return fetchFrom(ctx, db, client, retryRound)
}

func fetchFrom(ctx context.Context, db *litestream.DB, client litestream.ReplicaClient, pause time.Duration) error {
	r := litestream.NewReplicaWithClient(db, client)
	began := time.Now()
	for asked, read := 1, 1; ; pause *= 2 {
		err := fetchOnce(ctx, db, r)
		if err == nil || errors.Is(err, ErrNoCopy) || ctx.Err() != nil {
			return err
		}
		if err := unmake(db.Path()); err != nil { // a try may fail once the file is made
			return err
		}
		if _, ok := errors.AsType[unreachable](err); !ok {
			read++
		} else if asked++; time.Since(began) > fetchPatience {
			return err
		}
		if asked > fetchTries || read > readTries {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

func fetchOnce(ctx context.Context, db *litestream.DB, r *litestream.Replica) error {
	path := db.Path()
	plan, err := litestream.CalcRestorePlan(ctx, r.Client, 0, time.Time{}, db.Logger)
	if errors.Is(err, litestream.ErrTxNotAvailable) || errors.Is(err, litestream.ErrNoSnapshots) {
		return ErrNoCopy
	}
	if err != nil {
		return unreachable{fmt.Errorf("reading what the replica holds: %w", err)}
	}
	o := litestream.NewRestoreOptions()
	o.OutputPath, o.TXID, o.IntegrityCheck = path, plan[len(plan)-1].MaxTXID, litestream.IntegrityCheckFull
	if err := r.Restore(ctx, o); err != nil {
		return fmt.Errorf("restoring from the replica: %w", err)
	}
	if err := unmake(path, "-wal", "-shm"); err != nil { // of the check, which had the file to itself
		return err
	}
	return errors.Join(follow(ctx, db, r, o.TXID), os.Chmod(path, 0o600))
}

// unmake removes a database, or of it what has one of some suffixes.
func unmake(path string, suffixes ...string) error {
	if len(suffixes) == 0 {
		suffixes = []string{"", "-wal", "-shm"}
	}
	for _, suffix := range suffixes {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// follow takes the replica's last transaction where a replicator looks for the last one that it has taken there: by it the database
// is known to continue this replica, and not another.
func follow(ctx context.Context, db *litestream.DB, r *litestream.Replica, last ltx.TXID) error {
	files, err := r.Client.LTXFiles(ctx, 0, last, false)
	if err != nil {
		return unreachable{err}
	}
	var found *ltx.FileInfo
	for files.Next() {
		if f := files.Item(); f.MaxTXID == last {
			found = f
		}
	}
	if err := files.Close(); err != nil || found == nil {
		return err
	}
	in, err := r.Client.OpenLTXFile(ctx, 0, found.MinTXID, found.MaxTXID, 0, 0)
	if err != nil {
		return fmt.Errorf("reading the replica's last transaction: %w", err)
	}
	defer in.Close()
	path := db.LTXPath(0, found.MinTXID, found.MaxTXID)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

// replicaOf is what the configuration says of a file of a node, by its name: the folder may be another now.
func (c *ReplicaConfig) replicaOf(name string) (ReplicatedFile, error) {
	var found []ReplicatedFile
	for _, f := range c.Databases {
		if filepath.Base(f.Path) == name {
			found = append(found, f)
		}
	}
	if len(found) != 1 {
		return ReplicatedFile{}, fmt.Errorf("the replicas name %d databases %s, where a node has one", len(found), name)
	}
	return found[0], nil
}

// fetchNode fetches the two files of a node. The vault comes last, so that it is no older than the log: a secret is put there before
// the log has the event that attaches it.
func fetchNode(ctx context.Context, c *ReplicaConfig, dir string, progress func(string)) error {
	log := slog.Default()
	if c.Log != nil {
		log = c.Log
	}
	log = slog.New(quiet{log.Handler()})
	for _, name := range []string{logFile, vaultFile} {
		f, err := c.replicaOf(name)
		if err != nil {
			return err
		}
		progress("fetching " + name + " from " + f.Replica)
		if err := fetch(ctx, f, dir, log); err != nil {
			return fmt.Errorf("%s from %s: %w", name, f.Replica, err)
		}
	}
	return nil
}
