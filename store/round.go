package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/benbjohnson/litestream"
)

// SyncTo returns once every replica has what was committed before the call. Until then it waits, through rounds that
// fail, for as long as ctx allows; the error then names the last failure. It may be called from any number of goroutines.
func (r *Replication) SyncTo(ctx context.Context) error {
	r.mu.Lock()
	need := r.begun + 1
	r.mu.Unlock()
	select {
	case r.wanted <- struct{}{}:
	default: // a round is wanted already, and has not begun
	}
	for over := false; ; {
		r.mu.Lock()
		succeeded, news, failure := r.succeeded, r.news, r.failure
		r.mu.Unlock()
		if succeeded >= need {
			return nil
		}
		if over {
			return ErrNotReplicating
		}
		select {
		case <-news:
		case <-r.ended:
			over = true
		case <-ctx.Done():
			if failure != nil {
				return fmt.Errorf("the replica has not confirmed: %w; the last attempt: %w", context.Cause(ctx), failure)
			}
			return fmt.Errorf("the replica has not confirmed: %w", context.Cause(ctx))
		}
	}
}

// rounds runs them: at once, when somebody waits, or when the interval is over. After a failure nobody can hurry the next.
func (r *Replication) rounds() {
	defer close(r.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	wanted, pause, began := r.wanted, retryRound, time.Time{}
	for {
		select {
		case <-r.stop:
			return
		case <-wanted:
			if !r.rest(began) {
				return
			}
		case <-timer.C:
		}
		began = time.Now()
		if err := r.round(); err != nil {
			timer.Reset(pause)
			wanted, pause = nil, min(2*pause, retryRounds)
			continue
		}
		timer.Reset(r.interval)
		wanted, pause = r.wanted, retryRound
	}
}

// roundsApart is how long after the beginning of a round the next one may begin that is asked for: whoever comes in the meantime shares it.
// Each round that finds something is a file in the replica, and it is kept for hours.
const roundsApart = 10 * time.Millisecond

// rest waits until a round may follow one that has begun, and tells whether it may.
func (r *Replication) rest(began time.Time) bool {
	d := r.apart - time.Since(began)
	if d <= 0 {
		return true
	}
	select {
	case <-time.After(d):
		return true
	case <-r.stop:
		return false
	}
}

// round takes to each replica what its database has that it lacks, and tells who waits.
func (r *Replication) round() error {
	ctx, cancel := context.WithCancelCause(r.run)
	defer cancel(nil)
	r.mu.Lock()
	r.begun++
	n, at, head, position := r.begun, time.Now(), r.head, uint64(0)
	r.running, r.abandon = at, cancel
	r.mu.Unlock()
	if head != nil {
		position = head() // what is in it is committed, so that a round that begins now takes it along
	}
	err := r.bring(ctx, at)
	r.tell()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failure, r.running = err, time.Time{}
	if err == nil {
		r.succeeded, r.at, r.position, r.well = n, at, position, time.Now()
	} else {
		r.failures++
	}
	close(r.news)
	r.news = make(chan struct{})
	return err
}

// bring takes the databases to their replicas, in an order by which none of an earlier moment stands beside one that counts on it:
// a secret is in the vault before the log has the event that attaches it. So what the log has is read first, and brought there
// last. A vault that cannot be brought keeps no event back, since there is more in the log than credentials.
func (r *Replication) bring(ctx context.Context, at time.Time) error {
	var errs []error
	failed := func(d *replicated, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("replicating %s to %s: %w", d.Path, d.Replica, err))
		}
	}
	on := func(d *replicated) {
		r.mu.Lock()
		r.busy = d
		r.mu.Unlock()
	}
	for _, d := range r.dbs {
		if d.attached() && d != r.dbs[len(r.dbs)-1] {
			on(d)
			failed(d, d.db.Sync(ctx))
			d.read = true
		}
	}
	for _, d := range slices.Backward(r.dbs) {
		on(d)
		failed(d, d.sync(ctx, at))
		d.read = false
	}
	return errors.Join(errs...)
}

// sync takes one database to its replica, and looks whether it came there.
func (d *replicated) sync(ctx context.Context, now time.Time) error {
	if why := d.way.lost.Load(); why != nil {
		return errors.Join(why, d.standIn(ctx))
	}
	if !d.attached() {
		if err := d.join(ctx); err != nil {
			return errors.Join(err, d.checkpoint(ctx))
		}
	} else if now.Sub(d.moved) > d.Snapshot {
		// Old copies go only when a newer one is made, and an idle database makes none: what was deleted last would stay
		// in its replica for ever. A checkpoint writes a page of Litestream's own.
		if err := d.db.Checkpoint(ctx, litestream.CheckpointModePassive); err != nil {
			return err
		}
		d.moved = now
	}
	if d.gone() {
		d.inspected = time.Time{}
	}
	if err := d.resume(ctx); err != nil {
		return err
	}
	send := d.db.SyncAndWait
	if d.read {
		send = d.db.Replica.Sync
	}
	if err := send(ctx); err != nil {
		return err
	}
	if err := d.keepHouse(ctx); err != nil {
		return err
	}
	pos, err := d.db.Pos()
	if err != nil {
		return err
	}
	if at := d.db.Replica.Pos(); at.TXID < pos.TXID {
		return fmt.Errorf("it is at %s, the database at %s", at.TXID, pos.TXID)
	}
	if n := uint64(pos.TXID); n != d.seen {
		d.seen, d.moved = n, now
	}
	if now.Sub(d.inspected) < inspectReplica {
		return nil
	}
	held, err := d.inspect(ctx)
	if err != nil {
		return err
	}
	d.held, d.inspected = uint64(held.top), now
	return nil
}

// gone tells whether the replica's folder is not there: Litestream would make it and put into it the next transaction alone.
func (d *replicated) gone() bool {
	if d.Bucket != nil {
		return false
	}
	_, err := os.Stat(d.Replica)
	return errors.Is(err, fs.ErrNotExist)
}

// standIn takes what is written into the database meanwhile, where the replica is not this folder's any more.
func (d *replicated) standIn(ctx context.Context) error {
	if !d.attached() {
		return d.checkpoint(ctx)
	}
	return d.db.Sync(ctx) // which also makes the checkpoints
}

// inspect looks whether the replica has a chain of files from nothing up to now, and still those that were brought there.
// Litestream keeps in mind what it has uploaded and does not look again, so that it would go on adding to a folder that was emptied,
// or is no longer the one that was mounted there. What lacks its beginning gets a new one: a full copy.
func (d *replicated) inspect(ctx context.Context) (held holding, err error) {
	if held, err = d.compare(ctx); err != nil || d.restorable(ctx) == nil {
		return held, err
	}
	if _, err := d.db.Snapshot(ctx); err != nil {
		return held, fmt.Errorf("files are missing in the replica, and a full copy fails: %w", err)
	}
	// The next transaction, so that a start finds in the replica how far it is.
	if err := d.db.Checkpoint(ctx, litestream.CheckpointModePassive); err != nil {
		return held, err
	}
	if err := d.db.SyncAndWait(ctx); err != nil {
		return held, err
	}
	if err := d.restorable(ctx); err != nil {
		return held, err
	}
	return d.compare(ctx)
}

func (d *replicated) restorable(ctx context.Context) error {
	pos, err := d.db.Pos()
	if err != nil {
		return err
	}
	_, err = litestream.CalcRestorePlan(ctx, d.db.Replica.Client, pos.TXID, time.Time{}, d.db.Logger)
	return err
}
