package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/benbjohnson/litestream"
)

// Replication copies the databases of a node to their replicas, with Litestream inside the process.
//
// One goroutine runs the rounds: a round takes each database's new transactions to its replica. It is the only one that
// does, Litestream's own monitors are off, so a replica never has a transaction without those before it. (A restore
// that lists a folder while a round writes there may see such a gap, since a listing is no snapshot: it is to be tried again.)
// Whoever waits for the replica waits for a round that begins after his call; any number share one.
// None runs before Begin: until then what is in the folder may be an older copy, or nothing that can be opened, and goes nowhere.
type Replication struct {
	dbs      []*replicated
	interval time.Duration // between rounds that nobody asked for

	run    context.Context // of the rounds
	cancel context.CancelFunc
	wanted chan struct{} // somebody waits
	stop   chan struct{}
	done   chan struct{} // the goroutine has ended
	ended  chan struct{} // so has Close: no round follows

	log      *slog.Logger
	patience time.Duration // see Progress
	apart    time.Duration // see roundsApart
	watched  chan struct{} // the watch has ended

	mu        sync.Mutex
	started   bool // see Begin
	closed    bool
	begun     uint64                  // number of the last round that began
	succeeded uint64                  // and of the last that reached every replica
	news      chan struct{}           // closed and made anew after each round
	at        time.Time               // when the round that succeeded last began
	head      func() uint64           // of the log; nil: it is not open yet
	position  uint64                  // head as it was when the round that succeeded last began
	failure   error                   // of the last round; nil: it succeeded
	failures  uint64                  // rounds that failed
	well      time.Time               // when a round succeeded last, or the start
	running   time.Time               // when the round began that is under way; zero: none is
	abandon   context.CancelCauseFunc // ends that one
	busy      *replicated             // with which it is
	status    []ReplicaStatus
}

// replicated is one database with a Litestream store of its own, since retention belongs to a store.
type replicated struct {
	ReplicatedFile
	db    *litestream.DB
	store *litestream.Store
	way   *conduit

	read      bool      // in this round: what is to be brought to the replica is read already
	seen      uint64    // transaction id after the last round
	moved     time.Time // when it last changed
	held      uint64    // last transaction that the replica was found to have
	inspected time.Time // when it was looked at, and was whole
}

const (
	// retryRound is the pause after a round that failed; it doubles up to retryRounds.
	retryRound  = 100 * time.Millisecond
	retryRounds = 10 * time.Second
	// inspectReplica is how often a round looks whether the replica is whole: it lists all its files.
	inspectReplica = time.Minute
)

// ErrNotReplicating is the answer to who waits for a replica that is closed.
var ErrNotReplicating = errors.New("replication has ended")

// Replicate makes ready to replicate files, which are those that the configuration names; each may count on what stands in those after it, as the
// log does on the vault. It is called before they are opened, and
// closed after they are closed: Litestream holds a plain handle on each, and when a process closes any handle on a file,
// POSIX takes all its locks on that file away, SQLite's too. A node that opens them must leave their checkpoints alone. A replica
// that is out of reach is no error here: the rounds go on trying.
func Replicate(ctx context.Context, c *ReplicaConfig, files ...string) (*Replication, error) {
	if err := c.names(files); err != nil {
		return nil, err
	}
	log := slog.Default()
	if c.Log != nil {
		log = c.Log
	}
	own := log
	log = slog.New(quiet{log.Handler()})
	r := &Replication{interval: c.Databases[0].SyncInterval, wanted: make(chan struct{}, 1), stop: make(chan struct{}),
		done: make(chan struct{}), ended: make(chan struct{}), news: make(chan struct{}), watched: make(chan struct{}),
		log: own, patience: cmp.Or(c.patience, patience), apart: cmp.Or(c.apart, roundsApart), well: time.Now()}
	r.run, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	levels := litestream.CompactionLevels{{Level: 0}}
	for i, d := range c.Levels {
		levels = append(levels, &litestream.CompactionLevel{Level: i + 1, Interval: d})
	}
	for _, f := range c.inOrder(files) {
		d, err := newReplicated(f, levels, c.L0Retention, log)
		if err == nil {
			r.dbs = append(r.dbs, d)
			err = d.start(ctx)
		}
		if err != nil {
			r.cancel()
			return nil, errors.Join(fmt.Errorf("replicating %s: %w", f.Path, err), r.closeStores(ctx))
		}
		r.interval = min(r.interval, f.SyncInterval)
	}
	r.tell()
	return r, nil
}

// Begin begins with the rounds, once the files are open and found to be a node that may go on. Until then nothing is changed in a replica:
// it may be the only copy of what an older one has been put in the place of.
func (r *Replication) Begin() {
	r.mu.Lock()
	r.started, r.well = true, time.Now()
	r.mu.Unlock()
	for _, d := range r.dbs {
		d.way.begun.Store(true)
	}
	go r.rounds()
	go r.watch()
}

// names holds the configuration against the files of this node: one that is not named would not be replicated, and
// nobody would know before it is needed.
func (c *ReplicaConfig) names(files []string) error {
	if len(c.Databases) == 0 {
		return errors.New("the replicas name no database")
	}
	var paths []string
	for _, f := range files {
		abs, err := filepath.Abs(f)
		if err != nil {
			return fmt.Errorf("replicating %s: %w", f, err)
		}
		paths = append(paths, abs)
		if !slices.ContainsFunc(c.Databases, func(db ReplicatedFile) bool { return db.Path == abs }) {
			return fmt.Errorf("no replica is named for %s: add it to dbs (relative paths start at the working directory)", abs)
		}
	}
	for _, db := range c.Databases {
		if !slices.Contains(paths, db.Path) {
			return fmt.Errorf("a replica is named for %s, which is no file of this node: its files are %q", db.Path, paths)
		}
	}
	return nil
}

// inOrder is the databases in the order of files, which names lists.
func (c *ReplicaConfig) inOrder(files []string) (dbs []ReplicatedFile) {
	for _, f := range files {
		abs, _ := filepath.Abs(f) // it was told by names if there is none
		for _, db := range c.Databases {
			if db.Path == abs {
				dbs = append(dbs, db)
			}
		}
	}
	return dbs
}

func newReplicated(f ReplicatedFile, levels litestream.CompactionLevels, l0 time.Duration, log *slog.Logger) (*replicated, error) {
	db := litestream.NewDB(f.Path)
	db.Replica = litestream.NewReplica(db)
	client, err := f.reach(db.Replica)
	if err != nil {
		return nil, err
	}
	client.SetLogger(log)
	way := &conduit{ReplicaClient: client, file: f}
	db.Replica.Client = way
	db.MonitorInterval = 0 // see Replication: rounds, not monitors
	db.Replica.MonitorEnabled = false
	s := litestream.NewStore([]*litestream.DB{db}, levels)
	s.Logger = log
	s.SnapshotInterval, s.SnapshotRetention = f.Snapshot, f.Retention
	s.SetL0Retention(l0)
	s.L0RetentionCheckInterval = min(s.L0RetentionCheckInterval, l0)
	s.SetShutdownSyncTimeout(0) // Close has made its own round
	db.SetLogger(log.With(litestream.LogKeyDB, filepath.Base(f.Path)))
	d := &replicated{ReplicatedFile: f, db: db, store: s, way: way, moved: time.Now()}
	way.compare = func(ctx context.Context) error { _, err := d.compare(ctx); return err }
	return d, nil
}

// quiet passes on warnings and errors: Litestream tells of every compaction, at level info.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && q.Handler.Enabled(ctx, l)
}
func (q quiet) WithAttrs(a []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(a)} }
func (q quiet) WithGroup(name string) slog.Handler   { return quiet{q.Handler.WithGroup(name)} }

// Close makes a last round, unless none has begun, and ends replication. The databases are closed before. An error means that a replica
// lacks what was committed last; the next Replicate on the same files takes it there.
func (r *Replication) Close(ctx context.Context) error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed = true
	started := r.started
	r.mu.Unlock()
	close(r.stop)
	defer close(r.ended)
	if !started {
		r.cancel()
		return r.closeStores(ctx)
	}
	<-r.watched
	unhang := context.AfterFunc(ctx, r.cancel)
	defer unhang()
	select {
	case <-r.done:
	case <-ctx.Done():
		return fmt.Errorf("ending replication: a round does not end: %w", ctx.Err())
	}
	defer r.cancel()
	err := r.round()
	closing := r.closeStores(ctx)
	if err != nil {
		return fmt.Errorf("ending replication: %w", err) // closing has tried again, and failed for the same reason
	}
	return closing
}

func (r *Replication) closeStores(ctx context.Context) error {
	var errs []error
	for _, d := range r.dbs {
		if err := d.store.Close(ctx); err != nil && !errors.Is(err, errNotBegun) {
			errs = append(errs, fmt.Errorf("ending the replication of %s: %w", d.Path, err))
		}
	}
	return errors.Join(errs...)
}
