package store

import (
	"context"
	"errors"
	"fmt"

	"waybill/ledger"
)

// Lacking is a credential whose secret is not in the vault: it counts as failing until it is rotated or detached.
type Lacking struct {
	Org string `json:"org"`
	ID  string `json:"credential"`
}

// agree destroys what the log has detached or erased, and counts those that are there, or should be.
func (v *Vault) agree(ctx context.Context, s *ledger.State, r *Reader, done *Restored) error {
	attached, err := r.EverAttached(ctx)
	if err != nil {
		return err
	}
	if done.Erased, err = v.EraseOrgs(ctx, func(org string) bool { o := s.Org(org); return o != nil && o.Erased != 0 }); err != nil {
		return err
	}
	live := func(id string) bool { return s.Credential(id) != nil }
	done.Detached, err = v.Reconcile(ctx, live, func(id string) (bool, error) { return attached[id], nil })
	if err != nil {
		return err
	}
	names, err := v.names(ctx)
	if err != nil {
		return fmt.Errorf("reading the vault: %w", err)
	}
	for _, n := range names {
		switch {
		case n.org == nodeSecrets:
		case live(n.id):
			done.Secrets++
		default:
			done.Unknown++
		}
	}
	done.Lacking, err = v.lacking(ctx, s)
	return err
}

// lacking gives the credentials whose secrets the vault does not hold. One that it holds must open.
func (v *Vault) lacking(ctx context.Context, s *ledger.State) ([]Lacking, error) {
	none := []Lacking{}
	for _, row := range s.Rows() {
		c, ok := row.(*ledger.Credential)
		if !ok {
			continue
		}
		_, err := v.open(ctx, c.Org, c.ID)
		if errors.Is(err, ErrNoSecret) {
			none = append(none, Lacking{c.Org, c.ID})
		} else if err != nil {
			return nil, fmt.Errorf("the secret of %s of %s: %w", c.ID, c.Org, err)
		}
	}
	return none, nil
}

// EverAttached is every credential that the log has attached.
func (r *Reader) EverAttached(ctx context.Context) (map[string]bool, error) {
	recs, err := records(ctx, r.db, "SELECT "+recordColumns+" FROM events WHERE type = 'credential.attached'")
	if err != nil {
		return nil, fmt.Errorf("looking for credentials in the log: %w", err)
	}
	all := map[string]bool{}
	for _, rec := range recs {
		if e, ok := rec.Event.(*ledger.CredentialAttached); ok {
			all[e.Credential] = true
		}
	}
	return all, nil
}
