package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/benbjohnson/litestream"

	"waybill/ledger"
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

// Follow has the rounds note the head of the log, once that is open.
func (r *Replication) Follow(s *Store) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.head = func() (position uint64) {
		s.View(func(st *ledger.State) { position, _ = st.Head() })
		return position
	}
}

// Position is how far into the log every replica is known to be: the head as it was read before the last round that reached them
// all, and when that was. Zero and no time: no round has, since the start. The replicas may have more.
func (r *Replication) Position() (position uint64, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.position, r.at
}

// rounds runs them: when somebody waits, or when the interval is over. After a failure nobody can hurry the next.
func (r *Replication) rounds() {
	defer close(r.done)
	timer := time.NewTimer(r.interval)
	defer timer.Stop()
	wanted, pause := r.wanted, retryRound
	for {
		select {
		case <-r.stop:
			return
		case <-wanted:
		case <-timer.C:
		}
		if err := r.round(); err != nil {
			timer.Reset(pause)
			wanted, pause = nil, min(2*pause, retryRounds)
			continue
		}
		timer.Reset(r.interval)
		wanted, pause = r.wanted, retryRound
	}
}

// round takes to each replica what its database has that it lacks, and tells who waits.
func (r *Replication) round() error {
	r.mu.Lock()
	r.begun++
	n, at, head, position := r.begun, time.Now(), r.head, uint64(0)
	r.mu.Unlock()
	if head != nil {
		position = head() // what is in it is committed, so that a round that begins now takes it along
	}
	var errs []error
	for _, d := range r.dbs {
		if err := d.sync(r.run, at); err != nil {
			errs = append(errs, fmt.Errorf("replicating %s to %s: %w", d.Path, d.Replica, err))
		}
	}
	err := errors.Join(errs...)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failure = err
	if err == nil {
		r.succeeded, r.at, r.position = n, at, position
	}
	close(r.news)
	r.news = make(chan struct{})
	return err
}

// sync takes one database to its replica, and looks whether it came there.
func (d *replicated) sync(ctx context.Context, now time.Time) error {
	if !d.attached() {
		if err := d.reach(ctx); err != nil {
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
	if err := d.db.SyncAndWait(ctx); err != nil {
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
	if err := d.inspect(ctx); err != nil {
		return err
	}
	d.inspected = now
	return nil
}

// inspect looks whether the replica has a chain of files from nothing up to now. Litestream keeps in mind what it has
// uploaded and does not look again, so that it would go on adding to a folder that was emptied, or is no longer the one that
// was mounted there. What lacks its beginning gets a new one: a full copy.
func (d *replicated) inspect(ctx context.Context) error {
	if d.restorable(ctx) == nil {
		return nil
	}
	if _, err := d.db.Snapshot(ctx); err != nil {
		return fmt.Errorf("files are missing in the replica, and a full copy fails: %w", err)
	}
	// The next transaction, so that a start finds in the replica how far it is.
	if err := d.db.Checkpoint(ctx, litestream.CheckpointModePassive); err != nil {
		return err
	}
	if err := d.db.SyncAndWait(ctx); err != nil {
		return err
	}
	return d.restorable(ctx)
}

func (d *replicated) restorable(ctx context.Context) error {
	pos, err := d.db.Pos()
	if err != nil {
		return err
	}
	_, err = litestream.CalcRestorePlan(ctx, d.db.Replica.Client, pos.TXID, time.Time{}, d.db.Logger)
	return err
}
