package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Rotation says how the vault's keys are to be replaced.
type Rotation struct {
	NewKey    string // file of the master key to come; empty: one is made
	KeepKey   bool   // the master key stays: the data keys alone are replaced
	Reencrypt bool   // the data keys are replaced too, and what they seal is sealed anew
}

// Rotated is what a rotation came to, over all attempts at it.
type Rotated struct {
	ID          string `json:"id"`
	Master      string `json:"-"`           // id of the master key under which everything is now
	Rewrapped   uint64 `json:"rewrapped"`   // data keys that it wraps anew
	Reencrypted uint64 `json:"reencrypted"` // secrets that were sealed anew
}

// progress is how far a rotation is. It stands in the vault itself, sealed, and changes in the transactions of the steps.
type progress struct {
	Rotated
	Reencrypt bool  `json:"reencrypt"`
	Before    int64 `json:"before"` // data keys that were made up to then are replaced; ns since 1970
	Done      bool  `json:"done"`   // nothing is under another key any more
}

// VaultReport tells what in the vault is under which master key.
type VaultReport struct {
	Master   string     // id of the key that wraps
	UnderWay bool       // a rotation has begun and not ended: waybill vault rotate goes on with it
	Keys     []VaultKey // in the order of their ids
}

// VaultKey is what is under one master key.
type VaultKey struct {
	Master   string
	Orgs     int
	DataKeys int
	Secrets  int
}

// ErrRotating is a second rotation beside one that runs.
var ErrRotating = errors.New("another rotation of the vault is running")

// ErrOtherRotation is a rotation that was asked for while one to another key has begun and not ended.
var ErrOtherRotation = errors.New("a rotation to another master key has begun: let it end first, by waybill vault rotate without --new-key")

// Report tells what is under which key.
func (v *Vault) Report(ctx context.Context) (VaultReport, error) {
	r := VaultReport{Master: v.ring.Load().current}
	var err error
	if r.UnderWay, err = v.underWay(ctx); err != nil {
		return r, fmt.Errorf("reading the vault: %w", err)
	}
	rows, err := v.db.QueryContext(ctx, `SELECT k.master, count(DISTINCT k.org), count(DISTINCT k.id), count(s.id)
		FROM data_keys k LEFT JOIN secrets s ON s.data_key = k.id GROUP BY k.master ORDER BY k.master`)
	if err != nil {
		return r, fmt.Errorf("reading the vault: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var k VaultKey
		if err := rows.Scan(&k.Master, &k.Orgs, &k.DataKeys, &k.Secrets); err != nil {
			return r, fmt.Errorf("reading the vault: %w", err)
		}
		r.Keys = append(r.Keys, k)
	}
	return r, rows.Err()
}

// underWay tells whether anything is under another key than the present one, or a rotation has not been recorded yet.
func (v *Vault) underWay(ctx context.Context) (is bool, err error) {
	err = v.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM vault WHERE name = 'rotation' OR master <> ?1)
		OR EXISTS (SELECT 1 FROM data_keys WHERE master <> ?1)`, v.ring.Load().current).Scan(&is)
	return is, err
}

// Rotate puts another master key into keyFile, has it wrap every data key, and replaces those too if it is told to. Secrets are
// opened and sealed throughout. It can end anywhere, by an error, a context or a crash: the vault opens with the keys of keyFile
// and keyFile.old, and another call goes on where this one was. record is called once everything is under the new key, and
// again if it is not known to have returned; after it, nothing of the rotation is left but keyFile.old, for old copies of the
// vault.
func (v *Vault) Rotate(ctx context.Context, keyFile string, o Rotation, record func(Rotated) error) (Rotated, error) {
	if !v.rotating.TryLock() {
		return Rotated{}, ErrRotating
	}
	defer v.rotating.Unlock()
	p, err := v.begin(ctx, keyFile, o)
	if err == nil {
		err = v.steps(ctx, p)
	}
	if err == nil && !p.Done {
		err = v.seal(ctx, p)
	}
	if err == nil {
		err = v.flush(ctx) // what was under the former keys leaves the WAL
	}
	if err != nil {
		return Rotated{}, fmt.Errorf("rotating the vault's keys: %w", err)
	}
	v.ring.Store(v.ring.Load().alone())
	p.Master = v.ring.Load().current
	if err := record(p.Rotated); err != nil {
		return Rotated{}, fmt.Errorf("the vault's keys are rotated, but the log does not say so: run it again: %w", err)
	}
	_, err = v.db.ExecContext(ctx, `DELETE FROM vault WHERE name = 'rotation'`)
	return p.Rotated, err
}

// begin takes up a rotation that has begun, or begins one.
func (v *Vault) begin(ctx context.Context, keyFile string, o Rotation) (*progress, error) {
	p, err := v.progress(ctx)
	if err != nil {
		return nil, err
	}
	under, err := v.underWay(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case under && o.NewKey != "":
		next, err := readMasterKey(o.NewKey)
		if err != nil {
			return nil, err
		}
		if next.ID() != v.ring.Load().current {
			return nil, ErrOtherRotation
		}
	case !under && !o.KeepKey:
		next, err := replaceMasterKey(ctx, keyFile, o.NewKey)
		if err != nil {
			return nil, err
		}
		keys, err := newRing(next)
		if err != nil {
			return nil, err
		}
		v.ring.Store(keys)
	}
	if p != nil && (p.Reencrypt || !o.Reencrypt && !o.KeepKey) {
		return p, nil
	}
	if p == nil {
		p = &progress{Rotated: Rotated{ID: rand.Text()}}
	}
	return p, v.within(ctx, p, func(tx *sql.Tx) error {
		p.Reencrypt, p.Done = o.Reencrypt || o.KeepKey, false
		return tx.QueryRowContext(ctx, `SELECT coalesce(max(created), 0) FROM data_keys`).Scan(&p.Before)
	})
}

// progress reads how far a rotation is, nil if none is under way.
func (v *Vault) progress(ctx context.Context) (*progress, error) {
	var master string
	var sealed []byte
	err := v.db.QueryRowContext(ctx, `SELECT master, sealed FROM vault WHERE name = 'rotation'`).Scan(&master, &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s, ok := v.ring.Load().sealers[master]
	if !ok {
		return nil, fmt.Errorf("one to master key %s has begun, and this is %s", master, v.ring.Load().ids())
	}
	text, err := s.open(sealed, placeOfRotation(master))
	if err != nil {
		return nil, fmt.Errorf("its progress does not open; it was changed: %w", err)
	}
	p := new(progress)
	return p, json.Unmarshal(text, p)
}

// within does one step and notes how far the rotation is then, in one transaction.
func (v *Vault) within(ctx context.Context, p *progress, step func(*sql.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	tx, err := v.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	before := *p
	err = step(tx)
	if err == nil {
		err = v.note(ctx, tx, p)
	}
	if err == nil {
		err = tx.Commit()
	}
	if err != nil {
		*p = before
	}
	return err
}

func (v *Vault) note(ctx context.Context, tx *sql.Tx, p *progress) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	keys := v.ring.Load()
	_, err = tx.ExecContext(ctx, `INSERT OR REPLACE INTO vault (name, master, sealed) VALUES ('rotation', ?, ?)`,
		keys.current, keys.sealers[keys.current].seal(text, placeOfRotation(keys.current)))
	return err
}

// steps wraps one data key after another, then replaces those of one org after another.
func (v *Vault) steps(ctx context.Context, p *progress) error {
	for more := true; more; {
		err := v.within(ctx, p, func(tx *sql.Tx) (err error) {
			more, err = v.rewrap(ctx, tx)
			if more {
				p.Rewrapped++
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	for more := p.Reencrypt; more; {
		err := v.within(ctx, p, func(tx *sql.Tx) (err error) {
			var sealed uint64
			sealed, more, err = v.reencrypt(ctx, tx, p.Before)
			p.Reencrypted += sealed
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// seal puts the check value under the present key: from then on no other is needed.
func (v *Vault) seal(ctx context.Context, p *progress) error {
	return v.within(ctx, p, func(tx *sql.Tx) error {
		keys := v.ring.Load()
		p.Done = true
		_, err := tx.ExecContext(ctx, `UPDATE vault SET master = ?, sealed = ? WHERE name = 'check'`,
			keys.current, keys.sealers[keys.current].seal(nil, placeOfCheck(keys.current)))
		return err
	})
}

// rewrap has the present master key wrap one data key that another wraps, and tells whether there was one.
func (v *Vault) rewrap(ctx context.Context, tx *sql.Tx) (bool, error) {
	keys := v.ring.Load()
	var id, org, master string
	var wrapped []byte
	err := tx.QueryRowContext(ctx, `SELECT id, org, master, wrapped FROM data_keys WHERE master <> ? ORDER BY id LIMIT 1`, keys.current).
		Scan(&id, &org, &master, &wrapped)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	key, err := keys.key(master, org, id, wrapped)
	if err != nil {
		return false, err
	}
	_, err = tx.ExecContext(ctx, `UPDATE data_keys SET master = ?, wrapped = ? WHERE id = ?`, keys.current, keys.wrap(key, org, id), id)
	return true, err
}

// reencrypt gives one org that has data keys from before a new one, and seals the org's secrets under it. It gives their
// number, and tells whether there was such an org.
func (v *Vault) reencrypt(ctx context.Context, tx *sql.Tx, before int64) (sealed uint64, more bool, err error) {
	var org string
	err = tx.QueryRowContext(ctx, `SELECT org FROM data_keys WHERE created <= ? ORDER BY org LIMIT 1`, before).Scan(&org)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	all, err := v.openAll(ctx, tx, org)
	if err != nil {
		return 0, false, err
	}
	key := dataKey{id: "none"}
	if len(all) > 0 {
		if key, err = v.newDataKey(ctx, tx, org); err != nil {
			return 0, false, err
		}
	}
	for _, s := range all {
		if _, err := tx.ExecContext(ctx, `UPDATE secrets SET data_key = ?, sealed = ? WHERE org = ? AND id = ?`,
			key.id, key.seal([]byte(s.secret.Reveal()), placeOfSecret(org, s.id, s.version, key.id)), org, s.id); err != nil {
			return 0, false, err
		}
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM data_keys WHERE org = ? AND id <> ?`, org, key.id)
	return uint64(len(all)), true, err
}

// storedSecret is a row of secrets, opened.
type storedSecret struct {
	id      string
	version int64
	secret  Secret
}

// openAll opens every secret of an org.
func (v *Vault) openAll(ctx context.Context, tx *sql.Tx, org string) (all []storedSecret, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT s.id, s.version, s.data_key, s.sealed, k.master, k.wrapped
		FROM secrets s JOIN data_keys k ON k.id = s.data_key WHERE s.org = ? ORDER BY s.id`, org)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var s storedSecret
		var keyID, master string
		var sealed, wrapped []byte
		if err := rows.Scan(&s.id, &s.version, &keyID, &sealed, &master, &wrapped); err != nil {
			return nil, err
		}
		if s.secret, err = v.opens(org, s.id, s.version, keyID, sealed, master, wrapped); err != nil {
			return nil, fmt.Errorf("the secret of %s of %s: %w", s.id, org, err)
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

// Forgets is how long after a deletion a replica of the vault may still have the deleted bytes, or those under a former key: a
// full copy from just before is kept for the retention, and goes when another is made after that.
func (f ReplicatedFile) Forgets(l0 time.Duration) time.Duration {
	return f.Retention + 3*f.Snapshot + l0
}
