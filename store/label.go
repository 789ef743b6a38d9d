package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"waybill/ledger"
)

// Label is what an org, a key or a credential is called. Labels are personal strings: they stand beside the log, not in
// it, and can be changed and erased. Names are unique within a kind and a scope.
type Label struct {
	Kind  string // org, key, credential
	ID    string
	Scope string // none for orgs, else the org
	Name  string
}

// Rename sets a label, or erases it if the name is empty.
func (s *Store) Rename(ctx context.Context, l Label) error {
	_, err := s.submit(ctx, &order{labels: []Label{l}})
	return err
}

// free refuses a name that something else has.
func (l *journal) free(b Label) error {
	row, err := l.nameTaken.one(b.Kind, b.Scope, b.Name)
	if err != nil || row == nil || row[0] == b.ID {
		return err
	}
	return &ledger.Error{Code: ledger.CodeConflict, Of: row[0].(string),
		Message: fmt.Sprintf("the name %q is taken by %s %s", b.Name, b.Kind, row[0])}
}

// label writes labels within the transaction that is open, so that the next order sees them.
func (l *journal) label(ls []Label) error {
	for _, b := range ls {
		var err error
		if b.Name == "" {
			err = l.dropLabel.exec(b.Kind, b.ID)
		} else {
			err = l.setLabel.exec(b.Kind, b.ID, b.Scope, b.Name)
		}
		if err != nil {
			return fmt.Errorf("writing the name of %s %s: %w", b.Kind, b.ID, err)
		}
	}
	return nil
}

// ofErased refuses a name for what belongs to an org that is erased: it would stay for ever.
func ofErased(d *ledger.Draft, b Label) error {
	org := b.Scope
	if b.Kind == "org" {
		org = b.ID
	}
	if b.Name == "" || d.Org(org) == nil || d.Org(org).Erased == 0 {
		return nil
	}
	return &ledger.Error{Code: ledger.CodeConflict, Message: fmt.Sprintf("org %s is erased: nothing of it gets a name", org)}
}

// erase takes what the log must not hold of an org along with it, in the transaction of the event that erases it.
func (l *journal) erase(recs []ledger.Record) error {
	for i := range recs {
		if _, ok := recs[i].Event.(*ledger.OrgErased); !ok {
			continue
		}
		org := recs[i].Stream
		if err := errors.Join(l.dropLabels.exec(org), l.dropNotes.exec(org)); err != nil {
			return fmt.Errorf("erasing the names and notes of %s: %w", org, err)
		}
	}
	return nil
}

// Label gives the label of a thing; one without a name has none.
func (r *Reader) Label(ctx context.Context, kind, id string) (Label, error) {
	l := Label{Kind: kind, ID: id}
	err := r.db.QueryRowContext(ctx, `SELECT scope, name FROM labels WHERE kind = ? AND id = ?`, kind, id).Scan(&l.Scope, &l.Name)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return l, err
}

// Labels gives the labels of a kind within a scope, in the order of the ids.
func (r *Reader) Labels(ctx context.Context, kind, scope string) (ls []Label, err error) {
	rows, err := r.db.QueryContext(ctx, `SELECT id, name FROM labels WHERE kind = ? AND scope = ? ORDER BY id`, kind, scope)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		l := Label{Kind: kind, Scope: scope}
		if err := rows.Scan(&l.ID, &l.Name); err != nil {
			return nil, err
		}
		ls = append(ls, l)
	}
	return ls, rows.Err()
}

// Find gives the id of what has a name, empty if nothing has.
func (r *Reader) Find(ctx context.Context, kind, scope, name string) (id string, err error) {
	err = r.db.QueryRowContext(ctx, `SELECT id FROM labels WHERE kind = ? AND scope = ? AND name = ?`, kind, scope, name).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return id, err
}
