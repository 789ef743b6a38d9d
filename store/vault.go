package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"waybill/migrations"
)

// Vault is the file vault.db: provider secrets, each sealed under a data key of its org, which the master key wraps.
//
// It shares no transaction with the log, so the order is the rule: who attaches puts the secret here first and appends the
// event then; who detaches appends the event first and deletes here then. A crash between the two leaves a secret that the
// log does not know, or a detached one, which Reconcile deletes.
type Vault struct {
	path string
	db   *sql.DB              // one connection: secrets are written rarely and read once
	ring atomic.Pointer[ring] // the master keys
	now  func() time.Time
	by   *Replication // owns the file's checkpoints; nil: the vault makes its own

	rotating sync.Mutex // held while one master key, or all data keys, take the place of others

	mu     sync.Mutex
	opened map[secretName]openedSecret
	writes uint64 // so that a read that began before a write is not kept after it
}

type secretName struct{ org, id string }

type openedSecret struct {
	secret Secret
	until  time.Time
}

const (
	vaultFile = "vault.db"
	// keepOpened is how long a secret stays open in memory.
	keepOpened = 5 * time.Minute
	// maxSecret bounds a secret, in bytes; the longest in use, a service account's file, has about 2,500.
	maxSecret = 64 << 10
)

// ErrNoSecret is a secret that the vault does not hold.
var ErrNoSecret = errors.New("the vault holds no such secret")

// OpenVault opens the vault of a data folder, and makes it if there is none. Its caller holds the folder's lock.
func OpenVault(ctx context.Context, dir string, master MasterKey) (*Vault, error) {
	if master.key.IsZero() {
		return nil, errors.New("opening the vault: no master key")
	}
	path := filepath.Join(dir, vaultFile)
	if err := private(path); err != nil {
		return nil, fmt.Errorf("making the vault: %w", err)
	}
	keys, err := newRing(master)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", dsn(path, writing))
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	v := &Vault{path: path, db: db, now: time.Now, opened: map[secretName]openedSecret{}}
	v.ring.Store(keys)
	err = migrate(ctx, db, migrations.Vault)
	if err == nil {
		err = v.check(ctx)
	}
	if err == nil {
		// The former key opens nothing any more once a rotation has ended: what somebody may have sealed under it since, neither.
		var under bool
		if under, err = v.underWay(ctx); err == nil && !under {
			v.ring.Store(keys.alone())
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening %s: %w", path, err), db.Close())
	}
	return v, nil
}

// ReplicatedBy leaves the checkpoints of the file to its replicator, which must see each page before it leaves the WAL. It
// is called before the vault is used.
func (v *Vault) ReplicatedBy(r *Replication) { v.by = r }

// check finds out whether this is the vault's master key, or makes it so in a new vault.
func (v *Vault) check(ctx context.Context) error {
	keys := v.ring.Load()
	var master string
	var sealed []byte
	err := v.db.QueryRowContext(ctx, `SELECT master, sealed FROM vault WHERE name = 'check'`).Scan(&master, &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		// In one statement, so that a vault that has lost its check but holds data keys gets no second master key.
		res, err := v.db.ExecContext(ctx, `INSERT INTO vault (name, master, sealed) SELECT 'check', ?, ?
			WHERE NOT EXISTS (SELECT 1 FROM data_keys)`, keys.current, keys.sealers[keys.current].seal(nil, placeOfCheck(keys.current)))
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(errors.New("it has data keys but no check value: it has been changed by another program"), err)
		}
		return nil
	}
	if err != nil {
		return err
	}
	if err := keys.check(master, sealed); err != nil {
		return err
	}
	return nil
}

// Put seals a secret for a credential, in the place of the one it may have had.
func (v *Vault) Put(ctx context.Context, org, id string, s Secret) error {
	if err := v.put(ctx, org, id, s.Reveal()); err != nil {
		return fmt.Errorf("sealing the secret of %s of %s: %w", id, org, err)
	}
	return nil
}

func (v *Vault) put(ctx context.Context, org, id, value string) error {
	if org == "" || id == "" {
		return errors.New("it belongs to no org or has no id")
	}
	if value == "" || len(value) > maxSecret {
		return fmt.Errorf("it has %d bytes, where a secret has 1 to %d", len(value), maxSecret)
	}
	defer v.forget(org, id)
	tx, err := v.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	key, err := v.dataKey(ctx, tx, org)
	if err != nil {
		return err
	}
	var version int64
	if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) + 1 FROM secrets WHERE org = ? AND id = ?`,
		org, id).Scan(&version); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO secrets (org, id, version, data_key, sealed, created) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET version = excluded.version, data_key = excluded.data_key, sealed = excluded.sealed,
		created = excluded.created`,
		org, id, version, key.id, key.seal([]byte(value), placeOfSecret(org, id, version, key.id)), v.now().UnixNano()); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	return v.flush(ctx) // the secret that was there leaves the WAL
}

// dataKey is the newest key of an org, or its first.
func (v *Vault) dataKey(ctx context.Context, tx *sql.Tx, org string) (dataKey, error) {
	var id, master string
	var wrapped []byte
	err := tx.QueryRowContext(ctx, `SELECT id, master, wrapped FROM data_keys WHERE org = ? ORDER BY created DESC, id DESC LIMIT 1`,
		org).Scan(&id, &master, &wrapped)
	if err == nil {
		return v.ring.Load().unwrap(master, org, id, wrapped)
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return dataKey{}, err
	}
	return v.newDataKey(ctx, tx, org)
}

// newDataKey makes the newest key of an org, whatever the clock says.
func (v *Vault) newDataKey(ctx context.Context, tx *sql.Tx, org string) (dataKey, error) {
	keys := v.ring.Load()
	key, wrapped, err := keys.newDataKey(org)
	if err != nil {
		return dataKey{}, err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO data_keys (id, org, master, wrapped, created)
		SELECT ?, ?, ?, ?, max(?, coalesce(max(created) + 1, 0)) FROM data_keys`, key.id, org, keys.current, wrapped, v.now().UnixNano())
	return key, err
}

// Get opens the secret of a credential. A secret that the vault does not hold is ErrNoSecret.
func (v *Vault) Get(ctx context.Context, org, id string) (Secret, error) {
	name := secretName{org, id}
	v.mu.Lock()
	o, ok := v.opened[name]
	writes := v.writes
	v.mu.Unlock()
	if ok && v.now().Before(o.until) {
		return o.secret, nil
	}
	s, err := v.open(ctx, org, id)
	if errors.Is(err, errOtherKey) {
		s, err = v.open(ctx, org, id) // it was read before the end of a rotation, and the key was looked for after it
	}
	if err != nil {
		return Secret{}, fmt.Errorf("the secret of %s of %s: %w", id, org, err)
	}
	now := v.now()
	v.mu.Lock()
	defer v.mu.Unlock()
	for n, o := range v.opened {
		if !now.Before(o.until) {
			delete(v.opened, n)
		}
	}
	if v.writes == writes {
		v.opened[name] = openedSecret{s, now.Add(keepOpened)}
	}
	return s, nil
}

func (v *Vault) open(ctx context.Context, org, id string) (Secret, error) {
	var version int64
	var keyID, master string
	var sealed, wrapped []byte
	err := v.db.QueryRowContext(ctx, `SELECT s.version, s.data_key, s.sealed, k.master, k.wrapped
		FROM secrets s JOIN data_keys k ON k.id = s.data_key WHERE s.org = ? AND s.id = ?`, org, id).
		Scan(&version, &keyID, &sealed, &master, &wrapped)
	if errors.Is(err, sql.ErrNoRows) {
		return Secret{}, ErrNoSecret
	}
	if err != nil {
		return Secret{}, err
	}
	return v.opens(org, id, version, keyID, sealed, master, wrapped)
}

// opens opens a secret by what its row and that of its data key have.
func (v *Vault) opens(org, id string, version int64, keyID string, sealed []byte, master string, wrapped []byte) (Secret, error) {
	key, err := v.ring.Load().unwrap(master, org, keyID, wrapped)
	if err != nil {
		return Secret{}, err
	}
	value, err := key.open(sealed, placeOfSecret(org, id, version, keyID))
	if err != nil {
		return Secret{}, fmt.Errorf("it does not open; it was changed, or comes from another row: %w", err)
	}
	return NewSecret(string(value)), nil
}

// forget drops an opened secret from memory.
func (v *Vault) forget(org, id string) {
	v.forgetAll(func(n secretName) bool { return n == secretName{org, id} })
}

func (v *Vault) forgetAll(these func(secretName) bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.writes++
	maps.DeleteFunc(v.opened, func(n secretName, _ openedSecret) bool { return these(n) })
}

// Close closes the file and forgets what was opened.
func (v *Vault) Close() error {
	v.mu.Lock()
	v.writes++
	clear(v.opened)
	v.mu.Unlock()
	return v.db.Close()
}
