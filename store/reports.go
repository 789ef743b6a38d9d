package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"modernc.org/sqlite"

	"waybill/ledger"
	"waybill/migrations"
)

// Reports is the file reports.db: the tables requests, attempts, entries and usage_daily, folded from the log behind its
// writer. It may be deleted at any time; whoever opens it next makes it again. A node follows the log with it, and an
// offline command catches it up; if both do, each transaction finds out what the other has done.
type Reports struct {
	pages  Pages
	madeBy string
	write  *sql.DB // one connection
	read   *sql.DB
	pinned *sql.Conn          // that connection
	insert map[string]inserts // its statements, by table

	stepping sync.Mutex // one batch at a time
	traces   *traces

	mu       sync.Mutex
	position uint64
	moved    chan struct{} // closed when position moves
	wanted   chan struct{} // somebody waits: the next batch starts at once
	failure  error         // of the last batch

	stop context.CancelFunc
	done chan struct{}
}

// Pages is where records come from: the Store, or a Reader.
type Pages interface {
	Page(ctx context.Context, after uint64, limit int) ([]ledger.Record, error)
}

// Changes tells of appends: the Store.
type Changes interface {
	Changed(after uint64) <-chan struct{}
}

const (
	// foldNumber goes up whenever the same log would give other rows in the same tables.
	foldNumber = 1
	// reportBatch bounds a transaction, in events.
	reportBatch = 2000
	// reportPause is how long a follower lets events gather, so that a busy node pays for few transactions. A reader that
	// waits ends the pause.
	reportPause = 100 * time.Millisecond
	// reportRetry is the pause after a batch that failed: a full disk may have space again.
	reportRetry = time.Second
)

func reportsPath(dir string) string { return filepath.Join(dir, "reports.db") }

// OpenReports opens the reports of a data folder, and empties them if they were made by another waybill, or from another log.
func OpenReports(ctx context.Context, dir string, pages Pages) (*Reports, error) {
	path := reportsPath(dir)
	r, err := openReports(ctx, path, pages)
	var broken *sqlite.Error
	if errors.As(err, &broken) && (broken.Code()&0xff == 11 || broken.Code()&0xff == 26) { // SQLITE_CORRUPT, SQLITE_NOTADB
		for _, f := range []string{path, path + "-wal", path + "-shm"} {
			if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
		r, err = openReports(ctx, path, pages)
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	return r, nil
}

func openReports(ctx context.Context, path string, pages Pages) (*Reports, error) {
	if err := private(path); err != nil {
		return nil, err
	}
	// What is lost on a power failure is folded again, so nothing waits for the disk; WAL keeps the file whole.
	write, err := sql.Open("sqlite", dsn(path, url.Values{"_txlock": {"immediate"},
		"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(NORMAL)"}}))
	if err != nil {
		return nil, err
	}
	write.SetMaxOpenConns(1)
	read, err := sql.Open("sqlite", dsn(path, reading))
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	r := &Reports{pages: pages, write: write, read: read, insert: map[string]inserts{}, traces: newTraces(),
		moved: make(chan struct{}), wanted: make(chan struct{}, 1)}
	if err := r.prepare(ctx); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// prepare makes the tables, if they are not there as this waybill makes them, and the statements.
func (r *Reports) prepare(ctx context.Context) error {
	schema, madeBy, err := reportsSchema()
	if err != nil {
		return err
	}
	r.madeBy = madeBy
	if r.pinned, err = r.write.Conn(ctx); err != nil {
		return err
	}
	tx, err := r.pinned.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	usable, err := r.usable(ctx, tx)
	if err != nil {
		return err
	}
	if !usable {
		if err := remake(ctx, tx, schema, r.madeBy); err != nil {
			return err
		}
		r.position = 0
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	return r.pinned.Raw(func(c any) error {
		own := &conn{Conn: c.(driver.Conn)}
		for _, t := range []table{requestsTable, extensionsTable, attemptsTable, entriesTable, usageTable} {
			in := inserts{columns: len(t.columns)}
			var err error
			if in.one, err = own.prepare(t.upsert(1)); err != nil {
				return err
			}
			if in.many, err = own.prepare(t.upsert(batchRows)); err != nil {
				return errors.Join(err, in.one.Close())
			}
			r.insert[t.name] = in
		}
		return nil
	})
}

// reportsSchema is the SQL that makes the tables, and what they are made by: another text or another fold, another file.
func reportsSchema() (schema, madeBy string, err error) {
	text, err := fs.ReadFile(migrations.FS, "reports/0001_reports.sql")
	if err != nil {
		return "", "", err
	}
	digest := sha256.Sum256(strconv.AppendInt(slices.Clip(text), foldNumber, 10))
	return string(text), hex.EncodeToString(digest[:]), nil
}

// usable tells whether the tables were made by this waybill from this log, and sets the position.
func (r *Reports) usable(ctx context.Context, tx *sql.Tx) (bool, error) {
	var n int
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE name = 'checkpoint'").Scan(&n); err != nil || n == 0 {
		return false, err
	}
	var madeBy string
	var event []byte
	err := tx.QueryRowContext(ctx, "SELECT made_by, position, event FROM checkpoint").Scan(&madeBy, &r.position, &event)
	if errors.Is(err, sql.ErrNoRows) || err == nil && madeBy != r.madeBy {
		return false, nil
	}
	if err != nil || r.position == 0 {
		return true, err
	}
	recs, err := r.pages.Page(ctx, r.position-1, 1)
	if err != nil {
		return false, err
	}
	return len(recs) == 1 && string(recs[0].ID[:]) == string(event), nil
}

// remake drops whatever tables there are and makes the reports' own, empty.
func remake(ctx context.Context, tx *sql.Tx, schema, madeBy string) error {
	names, err := column1(ctx, tx, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := tx.ExecContext(ctx, `DROP TABLE "`+name+`"`); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, schema); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO checkpoint VALUES (?, 0, x'')", madeBy)
	return err
}

func column1(ctx context.Context, q querier, query string, args ...any) (out []string, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// Close stops following and closes the file.
func (r *Reports) Close() error {
	if r.stop != nil {
		r.stop()
		<-r.done
	}
	var errs []error
	for _, in := range r.insert {
		errs = append(errs, in.one.Close(), in.many.Close())
	}
	if r.pinned != nil {
		errs = append(errs, r.pinned.Close())
	}
	return errors.Join(append(errs, r.read.Close(), r.write.Close())...)
}

// Follow keeps the reports behind the log until Close.
func (r *Reports) Follow(changes Changes) {
	ctx, stop := context.WithCancel(context.Background())
	r.stop, r.done = stop, make(chan struct{})
	go func() {
		defer close(r.done)
		for {
			n, err := r.step(ctx)
			r.mu.Lock()
			r.failure = err
			r.mu.Unlock()
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				pause(ctx, reportRetry, nil)
			case n < reportBatch:
				r.rest(ctx, changes)
			}
		}
	}()
}

// rest waits until there is something to do and a batch of it has gathered.
func (r *Reports) rest(ctx context.Context, changes Changes) {
	select {
	case <-changes.Changed(r.Position()):
		pause(ctx, reportPause, r.wanted)
	case <-ctx.Done():
	}
}

func pause(ctx context.Context, d time.Duration, enough <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-enough:
	case <-ctx.Done():
	}
}

// CatchUp folds what is in the log now, in the caller's goroutine.
func (r *Reports) CatchUp(ctx context.Context) error {
	for {
		if n, err := r.step(ctx); err != nil || n == 0 {
			return err
		}
	}
}

// Position is that of the last event that the reports show.
func (r *Reports) Position() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.position
}

// WaitFor waits until the reports show an event, for a read that must see its own write.
func (r *Reports) WaitFor(ctx context.Context, position uint64) error {
	for {
		r.mu.Lock()
		at, moved, failure := r.position, r.moved, r.failure
		r.mu.Unlock()
		if at >= position {
			return nil
		}
		select {
		case r.wanted <- struct{}{}:
		default:
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("the reports show the log up to %d, not yet %d: %w", at, position, errors.Join(ctx.Err(), failure))
		}
	}
}

func (r *Reports) moveTo(position uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.position = position
	close(r.moved)
	r.moved = make(chan struct{})
}
