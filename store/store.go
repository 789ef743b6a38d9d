package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"

	"waybill/ledger"
	"waybill/migrations"
)

// Options say how to open a data folder.
type Options struct {
	Dir         string
	Now         func() time.Time // nil: time.Now
	NewID       func() [16]byte  // ids of events; nil: UUIDv7
	Queue       int              // commands that may wait; 0: 4096
	Batch       int              // commands in one transaction, at most; 0: 512
	Ballast     int64            // bytes kept in reserve for a full disk; 0: 16 MiB, less than 0: none
	AcceptClock bool             // start though the clock stands behind the log
	Disk        Disk             // what stands in for a healthy disk
	Replicated  bool             // a replicator owns the WAL's checkpoints
	Lock        *Lock            // of Dir, and the caller's to release; nil: Open takes it and Close releases it

	Elapsed func() time.Duration // a monotonic clock; nil: that of Now

	retry time.Duration // between attempts while the disk is full; 0: a second
	tick  time.Duration // of the timer; 0: a second
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = func() [16]byte { return uuid.Must(uuid.NewV7()) }
	}
	set(&o.Queue, 4096)
	set(&o.Batch, 512)
	set(&o.Ballast, 16<<20)
	set(&o.retry, time.Second)
	set(&o.tick, time.Second)
	return o
}

func set[N int | int64 | time.Duration](n *N, to N) {
	if *n == 0 {
		*n = to
	}
}

// Store is an open data folder: its writer, its readers, and the state in memory.
type Store struct {
	*Reader
	*writer
	lock  *Lock // nil: its owner is who opened the store
	timer *timer

	closing sync.Once
	outcome error
}

// Open opens a data folder for writing: it locks it, migrates it, checks the head of the log, loads the state, and starts
// the writer and the timer.
func Open(ctx context.Context, o Options) (*Store, error) {
	if _, err := os.Stat(logPath(o.Dir)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no log in %s: make one with waybill init", o.Dir)
	}
	var own *Lock
	if o.Lock == nil {
		l, err := TakeLock(o.Dir)
		if err != nil {
			return nil, err
		}
		own = l
	}
	s, err := open(ctx, o.withDefaults(), logPath(o.Dir))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the log in %s: %w", o.Dir, err), own.release())
	}
	if s.Reader, err = OpenReader(ctx, o.Dir); err != nil {
		return nil, errors.Join(err, s.log.Close(), own.release())
	}
	s.lock = own
	go s.run()
	s.timer = startTimer(s.writer, o.withDefaults().tick)
	return s, nil
}

// open opens a log's file and loads its state; nothing runs yet.
func open(ctx context.Context, o Options, path string) (*Store, error) {
	db, err := sql.Open("sqlite", dsn(path, writing))
	if err != nil {
		return nil, err
	}
	if err := errors.Join(migrate(ctx, db, migrations.Log), db.Close()); err != nil {
		return nil, err
	}
	l, err := openLog(dsn(path, writing), o.Replicated, o.Disk)
	if err != nil {
		return nil, err
	}
	w := &writer{log: l, newID: o.NewID, clock: newClock(o.Now, o.Elapsed), groupOf: o.Batch, queue: make(chan *order, o.Queue),
		done: make(chan struct{}), failure: make(chan error, 1),
		stall: stall{every: o.retry, ballast: ballast{filepath.Join(o.Dir, "ballast"), max(0, o.Ballast)}}}
	if err := w.start(o); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &Store{writer: w}, nil
}

// start loads what the writer builds on.
func (w *writer) start(o Options) (err error) {
	if w.state, err = load(w.log); err != nil {
		return err
	}
	if err := checkClock(w.state, o.Now(), o.AcceptClock); err != nil {
		return err
	}
	w.due = w.nextDue(0)
	head, _ := w.state.Head()
	w.tails.grow(head)
	if err := w.stall.ballast.fill(); err != nil {
		w.stall.begin(&setback{full: true, err: err})
	}
	return nil
}

// Create makes a log of its first commands in a data folder that has none. It has all of them in it, or is not there.
func Create(ctx context.Context, o Options, commands []ledger.Command) error {
	o = o.withDefaults()
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return fmt.Errorf("making the data folder: %w", err)
	}
	l, err := TakeLock(o.Dir)
	if err != nil {
		return err
	}
	return errors.Join(create(ctx, o, commands), l.Release())
}

// newSuffix is what a log is called in addition while it is made.
const newSuffix = ".new"

func create(ctx context.Context, o Options, commands []ledger.Command) (err error) {
	path := logPath(o.Dir)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is a log in %s already: nothing was changed", o.Dir)
	}
	half := path + newSuffix
	clear := func() error {
		var errs []error
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if err := os.Remove(half + suffix); !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
		return errors.Join(errs...)
	}
	if err := clear(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, clear())
		}
	}()
	if err := private(half); err != nil {
		return fmt.Errorf("making the log in %s: %w", o.Dir, err)
	}
	s, err := open(ctx, o, half)
	if err != nil {
		return fmt.Errorf("making the log in %s: %w", o.Dir, err)
	}
	orders := make([]*order, len(commands))
	for i, c := range commands {
		orders[i] = &order{command: c, answer: make(chan answer, 1)}
	}
	err = s.commit(orders)
	for i := range orders {
		if err == nil {
			err = (<-orders[i].answer).err
		}
	}
	if err := errors.Join(err, s.log.Close()); err != nil {
		return fmt.Errorf("writing the first events: %w", err)
	}
	return errors.Join(os.Rename(half, path), syncDir(o.Dir))
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Execute decides a command and gives the receipt once it is durable. A refusal is a *ledger.Error.
func (s *Store) Execute(ctx context.Context, c ledger.Command) (ledger.Receipt, error) {
	return s.submit(ctx, &order{command: c, firm: firm(c)})
}

// ExecuteNamed is Execute with labels that are written in the same transaction. A name that is taken refuses the command.
func (s *Store) ExecuteNamed(ctx context.Context, c ledger.Command, labels ...Label) (ledger.Receipt, error) {
	return s.submit(ctx, &order{command: c, labels: labels, firm: firm(c)})
}

// View shows the state as of the last commit. The state is valid only during the call; its rows may be kept.
func (s *Store) View(see func(*ledger.State)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	see(s.state)
}

// Changed gives a channel that is closed once the log has an event after a position, or the store is closed.
func (s *Store) Changed(after uint64) <-chan struct{} { return s.tails.beyond(after) }

// Stalled says why nothing can be appended now, nil if it can.
func (s *Store) Stalled() error {
	if why := s.stall.why.Load(); why != nil {
		return why
	}
	return nil
}

// Failed tells of a failure after which it is not known what is on disk: the process must end, and start again.
func (s *Store) Failed() <-chan error { return s.failure }

// Close takes no more commands, finishes those that are queued, and closes the readers, the writer and its own lock.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.timer.stop()
		s.writer.close()
		s.outcome = errors.Join(s.Reader.Close(), s.log.Close(), s.lock.release())
	})
	return s.outcome
}
