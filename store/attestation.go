package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"

	"waybill/ledger"
)

// attestations holds every checkpoint that the node has signed against the log that is walked: the log extends each, and so each
// extends the one before.
type attestations struct {
	r      *Reader
	roots  map[uint64]tlog.Hash // of the log, at the positions that were signed when the walk began
	kept   *SignedCheckpoint    // the vault's copy of the last; nil: none
	starts []epochStart
	copy   bool // the log may end before what was signed

	until    attestation // the last when the walk began
	seen     attestation // the last that was looked at
	identity string
	count    uint64
	newest   *SignedCheckpoint
}

func openAttestations(ctx context.Context, r *Reader) (a *attestations, err error) {
	a = &attestations{r: r, roots: map[uint64]tlog.Hash{}}
	if a.kept, err = checkpointIn(ctx, filepath.Join(r.dir, vaultFile), "checkpoint", "checkpoint"); err != nil {
		return nil, err
	}
	rows, err := r.db.QueryContext(ctx, `SELECT epoch, position FROM checkpoints ORDER BY epoch, position`)
	if err != nil {
		return nil, fmt.Errorf("reading the checkpoints: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := rows.Scan(&a.until.epoch, &a.until.position); err != nil {
			return nil, fmt.Errorf("reading the checkpoints: %w", err)
		}
		a.roots[a.until.position] = tlog.Hash{}
	}
	return a, rows.Err()
}

// add takes part in the walk: root gives the hash of the log up to the step.
func (a *attestations) add(s *step, root func() tlog.Hash) {
	if s.Position == 1 {
		a.identity = identityOf(s.leaf)
	}
	if e, ok := s.Event.(*ledger.LogRestored); ok {
		a.starts = append(a.starts, epochStart{s.Position, e.Epoch, e.From})
	}
	if _, ok := a.roots[s.Position]; ok {
		a.roots[s.Position] = root()
	}
}

// attestationPage is as many checkpoints as are read at a time.
const attestationPage = 1000

// attestation is a checkpoint as it stands beside the log.
type attestation struct {
	epoch, position uint64
	key, note       string
}

// compare looks at the checkpoints beside the log that were not looked at before, up to the last that was there when the walk began or, once
// it has come to the end, all of them. The walk stands at head.
func (a *attestations) compare(ctx context.Context, q querier, head uint64, ended bool, found func(Difference)) error {
	for {
		page, err := a.page(ctx, q)
		if err != nil {
			return fmt.Errorf("reading the checkpoints: %w", err)
		}
		for _, row := range page {
			if !ended && (row.epoch > a.until.epoch || row.epoch == a.until.epoch && row.position > a.until.position) {
				return nil
			}
			a.seen = row
			if err := a.look(ctx, row, head, found); err != nil {
				return err
			}
		}
		if len(page) < attestationPage {
			return nil
		}
	}
}

func (a *attestations) page(ctx context.Context, q querier) (page []attestation, err error) {
	rows, err := q.QueryContext(ctx, `SELECT epoch, position, key, note FROM checkpoints WHERE (epoch, position) > (?, ?) ORDER BY epoch, position LIMIT ?`,
		int64(a.seen.epoch), int64(a.seen.position), attestationPage)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var r attestation
		if err := rows.Scan(&r.epoch, &r.position, &r.key, &r.note); err != nil {
			return nil, err
		}
		page = append(page, r)
	}
	return page, rows.Err()
}

func (a *attestations) look(ctx context.Context, row attestation, head uint64, found func(Difference)) error {
	a.count++
	differ := func(column, want, is string) {
		found(Difference{min(row.position, head+1), "checkpoints", fmt.Sprintf("%d/%d", row.epoch, row.position), column, want, is})
	}
	c, err := OpenCheckpoint(row.note, row.key)
	if err != nil {
		differ("note", "signed by its key", err.Error())
		return nil
	}
	if c.Epoch != row.epoch || c.Position != row.position {
		differ("", fmt.Sprintf("%d/%d, as its note says", c.Epoch, c.Position), fmt.Sprintf("%d/%d", row.epoch, row.position))
		return nil
	}
	a.newest = &c
	return a.hold(ctx, c, head, func(want, is string) { differ("", want, is) })
}

// hold holds a checkpoint against the log that was walked.
func (a *attestations) hold(ctx context.Context, c SignedCheckpoint, head uint64, differ func(want, is string)) error {
	starts := a.starts
	if a.copy {
		starts = append(starts[:len(starts):len(starts)], epochStart{head + 1, math.MaxInt64, head})
	}
	err := plausible(c.Checkpoint, a.identity, starts, head)
	if err == nil && c.Position <= restoredFrom(starts, c.Epoch) {
		root, ok := a.roots[c.Position]
		if !ok { // it was signed after the walk had passed there
			if root, err = a.r.Root(ctx, c.Position); err != nil {
				return err
			}
		}
		err = sameRoot(c.Checkpoint, root)
	}
	if err != nil {
		differ("extended by the log", err.Error())
	}
	return nil
}

// finish looks at what is left, in the snapshot in which the walk ended, and at the vault's copy of the last checkpoint.
func (a *attestations) finish(ctx context.Context, q querier, head uint64, found func(Difference)) error {
	if err := a.compare(ctx, q, head, true, found); err != nil || a.kept == nil {
		return err
	}
	differ := func(want, is string) {
		found(Difference{min(a.kept.Position, head+1), "checkpoint of vault.db", strconv.FormatUint(a.kept.Position, 10), "", want, is})
	}
	var key []byte
	if err := q.QueryRowContext(ctx, `SELECT value FROM node WHERE name = ?`, keyValue).Scan(&key); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if a.kept.Key != string(key) {
		differ("signed by "+short(string(key)), "signed by "+short(a.kept.Key))
		return nil
	}
	if a.newest == nil || a.kept.Epoch > a.newest.Epoch || a.kept.Epoch == a.newest.Epoch && a.kept.Position > a.newest.Position {
		a.newest = a.kept
	}
	return a.hold(ctx, *a.kept, head, differ)
}
