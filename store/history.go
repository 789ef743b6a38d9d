package store

import (
	"context"
	"fmt"

	"waybill/ledger"
)

// streamPage is how many records of a stream are in memory at a time.
const streamPage = 1024

// BalanceAt gives what an org had when the log stood at a position, 0 being the log as it is now. It folds the org's own
// stream up to there, by the fold that the live state is made by.
func (r *Reader) BalanceAt(ctx context.Context, org string, position uint64) (ledger.Standing, error) {
	head, at, err := r.Head(ctx)
	if err != nil {
		return ledger.Standing{}, err
	}
	switch {
	case position > head:
		return ledger.Standing{}, &ledger.Error{Code: ledger.CodeNotFound, Message: fmt.Sprintf("the log ends at position %d: there is no %d yet", head, position)}
	case position == 0:
		position = head
	default:
		if err := r.db.QueryRowContext(ctx, "SELECT at FROM events WHERE position = ?", int64(position)).Scan(&at); err != nil {
			return ledger.Standing{}, fmt.Errorf("event %d: %w", position, err)
		}
	}
	state := ledger.NewState()
	draft := state.Draft(nil)
	for version := uint64(0); ; {
		recs, err := r.Stream(ctx, org, version, streamPage)
		if err != nil {
			return ledger.Standing{}, err
		}
		for i := range recs {
			if recs[i].Position > position {
				recs = recs[:i]
				break
			}
			draft.Evolve(&recs[i])
			version = recs[i].Version
		}
		state.Merge(draft)
		if len(recs) < streamPage {
			break
		}
	}
	s, ok := state.Standing(org)
	if !ok {
		return s, &ledger.Error{Code: ledger.CodeNotFound, Message: fmt.Sprintf("org %q is not known at position %d", org, position)}
	}
	// What the org has stands until its next event, so it is also what it had at the position that was asked for.
	s.Position, s.At = position, at
	return s, nil
}

// BalanceAtTime gives what an org had at an instant: after the last event that is no later.
func (r *Reader) BalanceAtTime(ctx context.Context, org string, at ledger.Instant) (ledger.Standing, error) {
	position, err := r.PositionAt(ctx, at)
	if err != nil {
		return ledger.Standing{}, err
	}
	if position == 0 {
		return ledger.Standing{}, &ledger.Error{Code: ledger.CodeNotFound, Message: fmt.Sprintf("the log begins after %s", at)}
	}
	return r.BalanceAt(ctx, org, position)
}
