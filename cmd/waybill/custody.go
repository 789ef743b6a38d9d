package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	wbhttp "waybill/http"
	"waybill/ledger"
	"waybill/store"
)

// custody is the node's vault as a whole, as the server knows it.
type custody struct{ n *node }

func (c custody) Rotate(ctx context.Context, by ledger.By, r wbhttp.VaultRotation) (wbhttp.VaultReport, error) {
	file := c.n.conf.masterKeyFile
	var done store.Rotated
	var err error
	if !r.DryRun {
		done, err = c.n.vault.Rotate(ctx, file, store.Rotation{NewKey: r.NewKeyFile, KeepKey: r.KeepKey, Reencrypt: r.Reencrypt},
			func(d store.Rotated) error {
				// Under the rotation's own cause: one that is not known to be in the log is not there twice.
				_, err := c.n.store.Execute(ctx, ledger.RotateVault{Who: ledger.By{Actor: by.Actor, Cause: "vault-" + d.ID, Input: d.Master},
					Master: d.Master, Rewrapped: d.Rewrapped, Reencrypted: d.Reencrypted})
				return err
			})
	}
	if err != nil {
		code := ledger.CodeUnavailable
		if errors.Is(err, store.ErrOtherRotation) || errors.Is(err, store.ErrRotating) {
			code = ledger.CodeConflict
		}
		return wbhttp.VaultReport{}, &ledger.Error{Code: code, Message: err.Error()} // for the operator, who has the files that it names
	}
	at, err := c.n.vault.Report(ctx)
	out := wbhttp.VaultReport{Master: at.Master, File: file, UnderWay: at.UnderWay, Rewrapped: done.Rewrapped, Reencrypted: done.Reencrypted}
	for _, k := range at.Keys {
		out.Keys = append(out.Keys, wbhttp.VaultKey(k))
	}
	if err != nil {
		return out, err
	}
	key, err := store.ReadMasterKey(file)
	if err != nil {
		return out, err
	}
	if former, ok := key.Former(); ok {
		out.Former, out.FormerFile = former.ID(), file+".old"
	}
	return out, nil
}

func (c custody) EraseOrg(ctx context.Context, org string) (int64, error) {
	return c.n.vault.EraseOrg(ctx, org)
}

// Forgets reads it from the file that names the replicas, whether or not they are written now.
func (c custody) Forgets() (vault, log time.Duration, err error) {
	if c.n.conf.litestream == "" {
		return 0, 0, nil
	}
	rc, err := store.ReadReplicaConfig(c.n.conf.litestream)
	if err != nil {
		return 0, 0, &ledger.Error{Code: ledger.CodeUnavailable, Message: err.Error() + "; nothing was changed: without this file nobody can tell until when the replica keeps what goes"}
	}
	for _, f := range rc.Databases {
		switch filepath.Base(f.Path) {
		case "vault.db":
			vault = f.Forgets(rc.L0Retention)
		case "waybill.db":
			log = f.Forgets(rc.L0Retention)
		}
	}
	return vault, log, nil
}

// reapply makes the vault follow the log, which may be ahead of it after a crash or a restore: secrets of detached credentials, and
// all of orgs that are erased, are destroyed. What lies past the log's head stays.
func (n *node) reapply(ctx context.Context) error {
	live := func(id string) (is bool) {
		n.store.View(func(s *ledger.State) { is = s.Credential(id) != nil })
		return is
	}
	attached := sync.OnceValues(func() (map[string]bool, error) { return n.store.EverAttached(ctx) })
	if _, err := n.vault.Reconcile(ctx, live, func(id string) (bool, error) { all, err := attached(); return all[id], err }); err != nil {
		return err
	}
	erased, err := n.vault.EraseOrgs(ctx, func(org string) (is bool) {
		n.store.View(func(s *ledger.State) { o := s.Org(org); is = o != nil && o.Erased != 0 })
		return is
	})
	if err != nil {
		return err
	}
	if erased > 0 {
		n.log.Warn("the vault still had secrets of orgs that are erased: they are destroyed", slog.Int("orgs", erased))
	}
	r, err := n.vault.Report(ctx)
	if err != nil {
		return err
	}
	if r.UnderWay {
		n.log.Warn("a rotation of the vault's keys has begun and not ended: the node needs both master keys until waybill vault rotate has gone on with it",
			slog.String("file", n.conf.masterKeyFile), slog.String("former", n.conf.masterKeyFile+".old"))
	}
	return nil
}
