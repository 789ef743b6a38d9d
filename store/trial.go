package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/benbjohnson/litestream"

	"waybill/ledger"
)

// What a trial of a restore fails by.
const (
	TrialUnreachable = "unreachable" // the replica does not answer
	TrialEmpty       = "empty"       // a file has no copy there
	TrialDamaged     = "damaged"     // what is there does not make a sound file
	TrialDiffers     = "differs"     // the log does not verify
	TrialDiverged    = "diverged"    // it does, and is not this node's log
	TrialSecrets     = "secrets"     // the vault does not open, or lacks the secret of something attached
)

// TrialOptions say what to try, and what to hold it against.
type TrialOptions struct {
	Replicas *ReplicaConfig
	Dir      string     // the data folder, in which the copy is made, in a folder of its own that is removed again; empty: among the temporary files
	Master   MasterKey  // zero: the vault stays shut
	Own      *Reader    // the log of which it should be a copy; nil: there is none
	Head     *SavedHead // an earlier head of that log; nil: none was kept
	Step     func(what string)
	Progress func(verified, ofTotal uint64)
}

// Trial is what a restore came to that was made to be looked at.
type Trial struct {
	Failure  string // empty: all is well
	Err      error  // says more of the failure
	Position uint64 // of the last event of the copy
	At       ledger.Instant
	Verified VerifyResult
	Behind   uint64 // events that the own log had when it began, and the copy does not have
	Took     time.Duration
}

// failed is the failure of a trial, as opposed to one of trying.
type failed struct {
	failure string
	error
}

// Try restores a node beside itself, verifies the log and compares it with the own one, opens every secret, and removes it again. The
// replica is only read. The error is for what kept it from being tried.
func Try(ctx context.Context, o TrialOptions) (t Trial, err error) {
	began := time.Now()
	if o.Step == nil {
		o.Step = func(string) {}
	}
	dir, release, err := roomFor(o.Dir)
	if err != nil {
		return t, fmt.Errorf("making room for the copy: %w", err)
	}
	defer func() { err = errors.Join(err, release()) }()
	err = o.try(ctx, dir, &t)
	t.Took = time.Since(began)
	var f failed
	switch {
	case err == nil || ctx.Err() != nil:
		return t, err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, litestream.ErrDiskFull), !errors.As(err, &f):
		return t, err
	}
	t.Failure, t.Err = f.failure, f.error
	return t, nil
}

const trialPrefix = "trial-"

// roomFor makes a folder for a copy, and removes those that a crash has left in a data folder. Where there is none it makes one among the
// temporary files, and clears nothing away there: what is called so may be anybody's.
func roomFor(parent string) (dir string, release func() error, err error) {
	var left []string
	if parent != "" {
		if left, err = filepath.Glob(filepath.Join(parent, trialPrefix+"*")); err != nil {
			return "", nil, err
		}
	}
	for _, old := range left {
		if l, err := TakeLock(old); err == nil { // else somebody is at it
			if err := errors.Join(os.RemoveAll(old), l.Release()); err != nil {
				return "", nil, err
			}
		}
	}
	if dir, err = os.MkdirTemp(parent, trialPrefix); err != nil {
		return "", nil, err
	}
	l, err := TakeLock(dir)
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return dir, func() error { return errors.Join(os.RemoveAll(dir), l.Release()) }, nil
}

func (o TrialOptions) try(ctx context.Context, dir string, t *Trial) error {
	var own uint64
	if o.Own != nil {
		var err error
		if own, _, err = o.Own.Head(ctx); err != nil {
			return err
		}
	}
	if err := fetchNode(ctx, o.Replicas, dir, o.Step); err != nil {
		return failed{fetchFailure(err), err}
	}
	if err := prepareLog(ctx, dir, 0); err != nil {
		return failed{TrialDamaged, fmt.Errorf("opening the copy: %w", err)}
	}
	r, err := OpenReader(ctx, dir)
	if err != nil {
		return failed{TrialDamaged, err}
	}
	err = o.hold(ctx, r, own, t)
	if err := errors.Join(err, r.Close()); err != nil {
		return err
	}
	if o.Master.key.IsZero() {
		return nil
	}
	o.Step("opening the vault's copy")
	if err := o.openAll(ctx, dir); err != nil {
		return failed{TrialSecrets, err}
	}
	return nil
}

func fetchFailure(err error) string {
	if errors.Is(err, ErrNoCopy) {
		return TrialEmpty
	}
	if _, ok := errors.AsType[unreachable](err); ok {
		return TrialUnreachable
	}
	return TrialDamaged
}

// hold verifies the copy of the log, and holds it against the own one.
func (o TrialOptions) hold(ctx context.Context, r *Reader, own uint64, t *Trial) (err error) {
	if t.Position, t.At, err = r.Head(ctx); err != nil {
		return failed{TrialDamaged, err}
	}
	o.Step("folding the copy of the log and comparing everything with it")
	if t.Verified, err = Verify(ctx, r, VerifyOptions{Head: o.Head, Progress: o.Progress, Copy: true}); err != nil {
		return failed{TrialDamaged, fmt.Errorf("verifying the copy: %w", err)}
	}
	if d := t.Verified.First(); d != nil {
		return failed{TrialDiffers, errors.New(d.String())}
	}
	if o.Own == nil {
		return nil
	}
	now, _, err := o.Own.Head(ctx)
	if err != nil {
		return err
	}
	if t.Position > now {
		return failed{TrialDiverged, fmt.Errorf("the replica's log ends at position %d and this node's at %d: another node writes to the replica, or this log has lost its end", t.Position, now)}
	}
	root, err := o.Own.Root(ctx, t.Position)
	if err != nil {
		return fmt.Errorf("the hash of the own log: %w", err)
	}
	if root != t.Verified.Head.Hash {
		return failed{TrialDiverged, fmt.Errorf("the replica's log up to position %d is not this node's: another node has written to the replica", t.Position)}
	}
	t.Behind = max(own, t.Position) - t.Position
	return nil
}

// openAll opens the copy as a node would, and the secret of every credential. One that was detached meanwhile may be gone.
func (o TrialOptions) openAll(ctx context.Context, dir string) (err error) {
	s, err := open(ctx, Options{Dir: dir, AcceptClock: true, Ballast: -1}.withDefaults(), logPath(dir))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.log.Close()) }()
	v, err := OpenVault(ctx, dir, o.Master)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	lacking, err := v.lacking(ctx, s.state)
	for _, c := range lacking {
		if o.Own != nil {
			var one int
			err := o.Own.db.QueryRowContext(ctx, "SELECT 1 FROM state WHERE kind = 'credential' AND id = ?", c.ID).Scan(&one)
			if errors.Is(err, sql.ErrNoRows) {
				continue
			}
		}
		return fmt.Errorf("the vault's copy lacks the secret of %s of %s", c.ID, c.Org)
	}
	return err
}
