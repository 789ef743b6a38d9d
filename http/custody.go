package http

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"waybill/ledger"
)

// Custody is what the operator does with the vault as a whole.
type Custody interface {
	// Rotate replaces the vault's keys, or goes on with a rotation that has begun, and tells what is under which key then.
	Rotate(ctx context.Context, by ledger.By, r VaultRotation) (VaultReport, error)
	// EraseOrg destroys all that the vault has of an org, and gives the number of its secrets.
	EraseOrg(ctx context.Context, org string) (secrets int64, err error)
	// Forgets gives how long after a deletion the replicas of the vault and of the log may still have what was deleted, 0 without any.
	// It is asked before anything is deleted: who is not told so might throw away a key that a replica still needs.
	Forgets() (vault, log time.Duration, err error)
}

// VaultRotation says how the vault's keys are to be replaced.
type VaultRotation struct {
	NewKeyFile string // of the master key to come, as the node finds it; empty: one is made
	KeepKey    bool   // the master key stays: the data keys alone are replaced
	Reencrypt  bool   // the data keys are replaced too, and what they seal is sealed anew
	DryRun     bool   // only tell
}

// VaultReport tells what is under which master key.
type VaultReport struct {
	Master      string // id of the key that wraps
	File        string // of that key
	UnderWay    bool   // a rotation has begun and not ended
	Keys        []VaultKey
	Rewrapped   uint64 // data keys that this rotation has wrapped anew
	Reencrypted uint64 // secrets that it has sealed anew
	Former      string // id of the key before, if its file is there
	FormerFile  string
}

// VaultKey is what is under one master key.
type VaultKey struct {
	Master                  string
	Orgs, DataKeys, Secrets int
}

// rotation is VaultRotation, as the control API takes it.
type rotation struct {
	NewKeyFile string `json:"new_key_file"`
	KeepKey    bool   `json:"keep_key"`
	Reencrypt  bool   `json:"reencrypt"`
	DryRun     bool   `json:"dry_run"`
}

// vaultState is what is under which master key, as the control API shows it: ids, which are hashes, and files, never a key.
type vaultState struct {
	Master      string     `json:"master"`
	File        string     `json:"file"`
	UnderWay    bool       `json:"under_way"`
	Keys        []vaultKey `json:"keys"`
	Rewrapped   uint64     `json:"rewrapped"`
	Reencrypted uint64     `json:"reencrypted"`
	Former      *formerKey `json:"former,omitempty"`
}

type vaultKey struct {
	Master   string `json:"master"`
	Orgs     int    `json:"orgs"`
	DataKeys int    `json:"data_keys"`
	Secrets  int    `json:"secrets"`
}

// formerKey is the master key before this one. A replica or a backup of the vault from before the rotation opens with it alone.
type formerKey struct {
	Master      string `json:"master"`
	File        string `json:"file"`
	NeededUntil Time   `json:"needed_until"` // by the vault's replica; none: while a rotation is under way, or without a replica
}

// ended is an org that is erased, and what of it is left elsewhere.
type ended struct {
	Org     string `json:"id"`
	State   string `json:"state"`
	Erased  Time   `json:"erased_at"`
	Secrets int64  `json:"secrets"` // destroyed now
	// Until then a replica may have the sealed secrets with their keys, or the names and notes. Without a replica there is none.
	VaultForgets Time `json:"vault_replica_forgets_at"`
	LogForgets   Time `json:"log_replica_forgets_at"`
}

func custodyRoutes() []route {
	return []route{
		endpoint(http.MethodPost, "/api/v1/orgs/{org}/erase", "End an org for good: its keys, secrets, names and notes are destroyed, its balances and events stay", operator, eraseOrg),
		endpoint(http.MethodPost, "/api/v1/vault/rotate", "Replace the vault's keys, or go on with a rotation that was interrupted, and tell what is under which key", operator, rotateVault),
	}
}

// eraseOrg appends the event, and with it, in its transaction, the names and notes go; then the vault destroys what it has. Where that
// fails it is done at the next start, or when the org is erased once more.
func eraseOrg(c *call, _ nothing) (ended, error) {
	if c.s.o.Custody == nil {
		return ended{}, errNoVault
	}
	vault, log, err := c.s.o.Custody.Forgets()
	if err != nil {
		return ended{}, err
	}
	var keys []*ledger.Key
	var wallet []*ledger.Credential
	var o *ledger.Org
	see := func() {
		c.s.o.Books.View(func(st *ledger.State) { keys, wallet, o = st.Keys(c.org), st.Wallet(c.org), st.Org(c.org) })
	}
	see()
	ctx := context.WithoutCancel(c) // a caller who leaves must not end this half-way
	if o.Erased == 0 {
		if _, err := c.s.o.Books.Execute(ctx, ledger.EraseOrg{Who: c.by, Org: c.org}); err != nil {
			return ended{}, err
		}
	}
	for _, k := range keys {
		c.s.keyNames.forget(k.ID)
	}
	if d := c.s.o.Dispatcher; d != nil {
		for _, k := range wallet {
			d.Health.Clear(k.ID)
		}
	}
	n, err := c.s.o.Custody.EraseOrg(ctx, c.org)
	if err != nil {
		return ended{}, fmt.Errorf("org %s is erased, but its secrets are still in the vault until the next start, or until it is erased once more: %w", c.org, err)
	}
	see()
	out := ended{Org: o.ID, State: o.State(), Erased: Time(o.Erased), Secrets: n}
	out.VaultForgets, out.LogForgets = c.in(vault), c.in(log)
	return out, nil
}

// in is the time after a while, none if there is nothing to wait for.
func (c *call) in(d time.Duration) Time {
	if d == 0 {
		return 0
	}
	return Time(ledger.InstantOf(c.s.o.Now().Add(d)))
}

func rotateVault(c *call, in rotation) (vaultState, error) {
	if c.s.o.Custody == nil {
		return vaultState{}, errNoVault
	}
	if in.KeepKey && in.NewKeyFile != "" {
		return vaultState{}, invalid("keep_key", "and a new key cannot both be meant")
	}
	vault, _, err := c.s.o.Custody.Forgets()
	if err != nil && !in.DryRun {
		return vaultState{}, err
	}
	r, err := c.s.o.Custody.Rotate(context.WithoutCancel(c), c.by, VaultRotation(in))
	if err != nil {
		return vaultState{}, err
	}
	out := vaultState{Master: r.Master, File: r.File, UnderWay: r.UnderWay, Keys: []vaultKey{}, Rewrapped: r.Rewrapped, Reencrypted: r.Reencrypted}
	for _, k := range r.Keys {
		out.Keys = append(out.Keys, vaultKey(k))
	}
	if r.Former != "" {
		out.Former = &formerKey{Master: r.Former, File: r.FormerFile}
		if !in.DryRun && !r.UnderWay {
			out.Former.NeededUntil = c.in(vault)
		}
	}
	return out, nil
}
