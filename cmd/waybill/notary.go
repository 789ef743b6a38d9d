package main

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"time"

	wbhttp "waybill/http"
	"waybill/ledger"
	"waybill/store"
)

// heldWithin is how long a checkpoint that somebody asks for waits until the replica holds what the log has.
const heldWithin = 5 * time.Second

// openNotary lets the log be signed, and refuses one that is not the log that was signed.
func (n *node) openNotary(ctx context.Context, o nodeOptions) (err error) {
	options := store.NotaryOptions{Now: n.world.now, NewKey: o.newKey}
	switch {
	case n.replication != nil:
		options.Held = func() uint64 {
			position, _ := n.replication.Position()
			return position
		}
		options.Sync = func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, heldWithin)
			defer cancel()
			return n.replication.SyncTo(ctx)
		}
	case n.conf.litestream != "":
		options.Held = func() uint64 { return 0 } // what the replica holds is for the node to know that serves
	}
	n.notary, err = store.OpenNotary(ctx, n.store, n.vault, options)
	return err
}

// sign signs the log once in a while, when it has grown. If it must not any more, it stops.
func (n *node) sign(ctx context.Context) {
	every := time.NewTicker(n.conf.signInterval)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		_, err := n.notary.Sign(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case n.notary.Err() != nil:
			n.log.Error("the log does not extend what was signed of it; calls are not admitted any more", slog.Any("error", err))
			return
		case err != nil:
			n.log.Warn("the log was not signed", slog.Any("error", err))
		}
	}
}

// signLast signs how a node that stops has left the log. It waits for the replica, since what that does not hold is not signed.
func (n *node) signLast() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*heldWithin)
	defer cancel()
	if _, err := n.notary.Fresh(ctx); err != nil {
		n.log.Warn("the log was not signed at the end", slog.Any("error", err))
	}
}

// publicKey is the one by which a folder's checkpoints are verified.
func publicKey(ctx context.Context, dir string) (key string, err error) {
	r, err := store.OpenReader(ctx, dir)
	if err != nil {
		return "", err
	}
	key, err = r.PublicKey(ctx)
	return key, errors.Join(err, r.Close())
}

// notary is the store's, as the server knows it.
type notary struct{ *store.Notary }

func (n notary) Checkpoint(ctx context.Context) (wbhttp.Checkpoint, error) {
	c, err := n.Fresh(ctx)
	if err != nil {
		return wbhttp.Checkpoint{}, err
	}
	return wbhttp.Checkpoint{Note: c.Note, Key: c.Key, Origin: c.Origin(), Epoch: c.Epoch, Position: c.Position, Hash: hex.EncodeToString(c.Hash[:]), SignedAt: wbhttp.Time(c.At)}, nil
}

func (n notary) Receipt(ctx context.Context, recs []ledger.Record) (wbhttp.Receipt, error) {
	r, err := n.Notary.Receipt(ctx, recs)
	return wbhttp.Receipt(r), err
}
