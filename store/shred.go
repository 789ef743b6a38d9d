package store

import (
	"context"
	"errors"
	"fmt"
)

// Delete destroys the secret of a credential, after the event that detached it. One that is not there is no error. The
// bytes are overwritten in the file (secure_delete) and leave the WAL; a replica keeps them until its retention ends.
func (v *Vault) Delete(ctx context.Context, org, id string) error {
	return v.delete(ctx, []secretName{{org, id}})
}

func (v *Vault) delete(ctx context.Context, names []secretName) error {
	for _, n := range names {
		_, err := v.db.ExecContext(ctx, `DELETE FROM secrets WHERE org = ? AND id = ?`, n.org, n.id)
		v.forget(n.org, n.id)
		if err != nil {
			return fmt.Errorf("deleting the secret of %s of %s: %w", n.id, n.org, err)
		}
	}
	if err := v.flush(ctx); err != nil {
		return fmt.Errorf("deleting secrets: %w", err)
	}
	return nil
}

// Reconcile makes good what a crash, or a log restored to an earlier point, left undone: it deletes each secret whose
// credential was detached by an event at or below the head, and gives their number. live tells the credentials that the
// state has; known, asked of the others, tells whether the log has one's attaching event. A secret of neither kind stays: it was
// put here first, and its event lies past the head or is yet to come.
func (v *Vault) Reconcile(ctx context.Context, live func(id string) bool, known func(id string) (bool, error)) (int, error) {
	names, err := v.names(ctx)
	if err != nil {
		return 0, fmt.Errorf("reading the vault: %w", err)
	}
	var gone []secretName
	for _, n := range names {
		if n.org == nodeSecrets || live(n.id) {
			continue
		}
		was, err := known(n.id)
		if err != nil {
			return 0, fmt.Errorf("looking for %s of %s in the log: %w", n.id, n.org, err)
		}
		if was {
			gone = append(gone, n)
		}
	}
	if len(gone) == 0 {
		return 0, nil
	}
	return len(gone), v.delete(ctx, gone)
}

// EraseOrg destroys all that the vault has of an org, after the event that erased it, and gives the number of its secrets. With the
// org's data keys go their copies everywhere: what a replica still has of the secrets does not open any more once it has
// forgotten those keys too.
func (v *Vault) EraseOrg(ctx context.Context, org string) (secrets int64, err error) {
	if secrets, err = v.eraseOrg(ctx, org); err != nil {
		return 0, fmt.Errorf("erasing what the vault has of %s: %w", org, err)
	}
	return secrets, nil
}

func (v *Vault) eraseOrg(ctx context.Context, org string) (secrets int64, err error) {
	defer v.forgetAll(func(n secretName) bool { return n.org == org })
	tx, err := v.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	gone, err := tx.ExecContext(ctx, `DELETE FROM secrets WHERE org = ?`, org)
	if err != nil {
		return 0, err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM data_keys WHERE org = ?`, org); err != nil {
		return 0, err
	}
	if err := tx.Commit(); err != nil {
		return 0, err
	}
	if secrets, err = gone.RowsAffected(); err != nil {
		return 0, err
	}
	return secrets, v.flush(ctx)
}

// EraseOrgs makes good what a crash, or a vault restored to an earlier point than the log, left undone: it destroys what there is
// of orgs that are erased, and gives the number of those.
func (v *Vault) EraseOrgs(ctx context.Context, erased func(org string) bool) (int, error) {
	orgs, err := v.orgs(ctx)
	if err != nil {
		return 0, fmt.Errorf("reading the vault: %w", err)
	}
	n := 0
	for _, org := range orgs {
		if !erased(org) {
			continue
		}
		if _, err := v.EraseOrg(ctx, org); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// orgs gives the orgs of which the vault has anything.
func (v *Vault) orgs(ctx context.Context) (orgs []string, err error) {
	rows, err := v.db.QueryContext(ctx, `SELECT org FROM secrets UNION SELECT org FROM data_keys`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var org string
		if err := rows.Scan(&org); err != nil {
			return nil, err
		}
		orgs = append(orgs, org)
	}
	return orgs, rows.Err()
}

func (v *Vault) names(ctx context.Context) ([]secretName, error) {
	rows, err := v.db.QueryContext(ctx, `SELECT org, id FROM secrets ORDER BY org, id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var names []secretName
	for rows.Next() {
		var n secretName
		if err := rows.Scan(&n.org, &n.id); err != nil {
			return nil, err
		}
		names = append(names, n)
	}
	return names, rows.Err()
}

// flush takes into the file what the WAL holds, and empties it. Where the file is replicated, the replicator does that: it
// has a read transaction open, past which nobody else could, and copies each page first.
func (v *Vault) flush(ctx context.Context) error {
	if v.by != nil {
		if err := v.by.truncate(ctx, v.path); !errors.Is(err, errNotAttached) {
			return err
		}
	}
	var busy, frames, moved int
	if err := v.db.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &frames, &moved); err != nil {
		return fmt.Errorf("it is done, but its checkpoint failed: %w", err)
	}
	if busy != 0 {
		return errors.New("it is done, but another process has the vault open: old bytes stay in " + vaultFile + "-wal until that ends")
	}
	return nil
}
