package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"waybill/ledger"
	"waybill/migrations"
)

// prepareLog migrates a log that nobody has open and, if end is not 0, ends it there.
func prepareLog(ctx context.Context, dir string, end uint64) error {
	db, err := sql.Open("sqlite", dsn(logPath(dir), writing))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	err = migrate(ctx, db, migrations.Log)
	if err == nil && end != 0 {
		err = cut(ctx, db, end)
	}
	return errors.Join(err, db.Close())
}

// cut ends a log after the event at a position, as if nothing had followed: it takes out what did, and makes anew from
// the events that stay every table that follows from them. What is called something, or was said of a request, only by what was
// taken out goes too; what else is called something keeps the name that it has now, since a name that was erased since must not come back.
func cut(ctx context.Context, db *sql.DB, end uint64) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := forgetAfter(ctx, tx, end); err != nil {
		return err
	}
	if err := deleteAfter(ctx, tx, end); err != nil {
		return err
	}
	fold := newRefold()
	err = walk(ctx, tx, 0, func(s *step) error {
		if s.fault != nil {
			return fmt.Errorf("event %d: %w", s.Position, s.fault)
		}
		if d := fold.add(&s.Record, s.Postings()); d != nil {
			return errors.New(d.String())
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := fold.write(ctx, tx); err != nil {
		return err
	}
	return tx.Commit()
}

// forgetAfter takes out of the tables beside the log what belongs to events that go.
func forgetAfter(ctx context.Context, tx *sql.Tx, end uint64) error {
	for after := end; ; {
		recs, err := records(ctx, tx, "SELECT "+recordColumns+" FROM events WHERE position > ? ORDER BY position LIMIT 2000", int64(after))
		if err != nil || len(recs) == 0 {
			return err
		}
		for i := range recs {
			r := &recs[i]
			after = r.Position
			switch e := r.Event.(type) {
			case *ledger.OrgOpened:
				_, err = tx.ExecContext(ctx, `DELETE FROM labels WHERE kind = 'org' AND id = ?`, r.Stream)
			case *ledger.KeyIssued:
				_, err = tx.ExecContext(ctx, `DELETE FROM labels WHERE kind = 'key' AND id = ?`, e.Key)
			case *ledger.CredentialAttached:
				// A node keeps under the cause that it has adopted a secret of its environment: it is to adopt it again. Others choose their causes.
				key, _, _ := strings.Cut(r.Cause, " ")
				_, err = tx.ExecContext(ctx, `DELETE FROM labels WHERE kind = 'credential' AND id = ?`, e.Credential)
				if err == nil && r.Stream == ledger.Platform {
					_, err = tx.ExecContext(ctx, `DELETE FROM node WHERE name = ?`, key)
				}
			case *ledger.RequestAdmitted:
				_, err = tx.ExecContext(ctx, `DELETE FROM notes WHERE request = ?`, e.Request)
			}
			if err != nil {
				return fmt.Errorf("taking out what belongs to event %d: %w", r.Position, err)
			}
		}
	}
}

// deleteAfter takes the events out, and with them their hashes and the causes that they have used up. The triggers that
// forbid it stand again before anybody else can open the file.
func deleteAfter(ctx context.Context, tx *sql.Tx, end uint64) error {
	triggers, err := column1(ctx, tx, `SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name IN ('events', 'tree')`)
	if err != nil {
		return err
	}
	names, err := column1(ctx, tx, `SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name IN ('events', 'tree')`)
	if err != nil {
		return err
	}
	var script []string
	for _, n := range names {
		script = append(script, `DROP TRIGGER "`+n+`"`)
	}
	n := fmt.Sprint(end)
	script = append(script,
		`DELETE FROM events WHERE position > `+n,
		`DELETE FROM tree WHERE position > `+n,
		`DELETE FROM state`,
		`DELETE FROM balances`,
		// Of a command whose events were cut in two, the first part stays; if none of its own stays, its cause is unused. What
		// fell due before it is not its own.
		`DELETE FROM causes WHERE first > `+n+` OR last > `+n+` AND NOT EXISTS (SELECT 1 FROM events
			WHERE position BETWEEN causes.first AND `+n+` AND NOT (actor = 'waybill' AND cause = 'due'))`,
		`UPDATE causes SET last = `+n+` WHERE last > `+n)
	for _, statement := range append(script, triggers...) {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("ending the log at %d: %w", end, err)
		}
	}
	return nil
}

// write puts the state and the balances into their tables, which are empty.
func (f *refold) write(ctx context.Context, tx *sql.Tx) error {
	if err := f.merge(); err != nil {
		return err
	}
	for k, v := range f.state.Rows() {
		data, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("state row %s %s: %w", k.Kind, k.ID, err)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO state (kind, id, position, data) VALUES (?, ?, ?, ?)`, k.Kind, k.ID, int64(f.rows[k]), data); err != nil {
			return fmt.Errorf("state row %s %s: %w", k.Kind, k.ID, err)
		}
	}
	for k, b := range f.balances {
		if _, err := tx.ExecContext(ctx, `INSERT INTO balances (account, unit, amount, position) VALUES (?, ?, ?, ?)`,
			k.account.String(), string(k.unit), b.amount, int64(b.position)); err != nil {
			return fmt.Errorf("the balance of %s: %w", k.account, err)
		}
	}
	return nil
}
