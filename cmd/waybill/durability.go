package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"waybill/ledger"
	"waybill/router"
	"waybill/store"
)

// durability is what an answer promises of the events behind it.
type durability string

const (
	durableHere  durability = "local"      // they are on this machine's disk
	durableMoney durability = "money"      // those that move money are in the replica too
	durableAll   durability = "replicated" // all are
)

// waits tells whether some answers wait for the replica.
func (d durability) waits() bool { return d == durableMoney || d == durableAll }

// confirmWithin is how long an answer waits for the replica. A round takes milliseconds to a folder and tens of them to a
// bucket; whoever has waited this long learns more from an error.
const confirmWithin = 30 * time.Second

// confirmed is the log whose receipts come once the replica has what they tell of. The writer goes on meanwhile: only who is
// answered waits, and any number of them for one round.
//
// To who executes, an error means that nothing has happened; here it may have. So this is for those whose next step is an answer to
// a caller and nothing else: the router, and who moves money.
type confirmed struct {
	*store.Store
	replica replica
	mode    durability
	within  time.Duration
}

// replica is the replication, as far as whoever waits needs it.
type replica interface {
	Position() (uint64, time.Time)
	SyncTo(context.Context) error
}

// books is the log as the router has it, and the control API.
func (n *node) books() (forRouter, forServer router.Books) {
	money := confirmed{n.store, n.replication, durableMoney, n.within}
	switch n.conf.durability {
	case durableMoney:
		return n.store, money
	case durableAll:
		all := money
		all.mode = durableAll
		return all, n.store // the server has its answers wait, not its steps
	}
	return n.store, n.store
}

// confirm has the server's answers to changes wait for the replica, nil if none does.
func (n *node) confirm() func(context.Context) error {
	if n.conf.durability != durableAll {
		return nil
	}
	c := confirmed{n.store, n.replication, durableAll, n.within}
	return func(ctx context.Context) error { return c.wait(ctx, 0) }
}

// Execute is the log's, and the wait.
func (c confirmed) Execute(ctx context.Context, cmd ledger.Command) (ledger.Receipt, error) {
	r, err := c.Store.Execute(ctx, cmd)
	return c.receipt(ctx, cmd, r, err)
}

// ExecuteNoted is the log's, and the wait.
func (c confirmed) ExecuteNoted(ctx context.Context, cmd ledger.Command, request string, note []byte) (ledger.Receipt, error) {
	r, err := c.Store.ExecuteNoted(ctx, cmd, request, note)
	return c.receipt(ctx, cmd, r, err)
}

// receipt waits for what a receipt tells of, be it of an earlier time. A call that was admitted and is not confirmed is not made: its
// hold is returned, and the same Idempotency-Key admits it anew.
func (c confirmed) receipt(ctx context.Context, cmd ledger.Command, r ledger.Receipt, err error) (ledger.Receipt, error) {
	if err != nil || !c.concerns(r.Records) {
		return r, err
	}
	if err := c.wait(ctx, r.Records[len(r.Records)-1].Position); err != nil {
		if a, ok := cmd.(ledger.Admit); ok && !r.Repeated {
			_, voiding := c.Store.Execute(context.WithoutCancel(ctx), ledger.Void{Who: a.Who, Org: a.Org, Request: a.Request,
				Resolution: ledger.Resolution{Reason: string(ledger.CodeNotReplicated)}})
			if voiding != nil {
				return ledger.Receipt{}, fmt.Errorf("%w; and voiding it: %w", err, voiding)
			}
		}
		return ledger.Receipt{}, err
	}
	return r, nil
}

// concerns tells whether an answer about these events waits.
func (c confirmed) concerns(recs []ledger.Record) bool {
	if c.mode == durableAll {
		return len(recs) > 0
	}
	for _, r := range recs {
		switch r.Event.(type) {
		case *ledger.CreditPurchased, *ledger.CreditGranted, *ledger.CreditRefunded, *ledger.CreditAdjusted:
			return true
		}
	}
	return false
}

// wait returns once the replica has the log up to a position; of 0, up to its present head, and what is beside the log.
func (c confirmed) wait(ctx context.Context, position uint64) error {
	if has, _ := c.replica.Position(); position > 0 && has >= position {
		return nil
	}
	within, cancel := context.WithTimeout(ctx, c.within)
	defer cancel()
	err := c.replica.SyncTo(within)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	why := fmt.Sprintf("within %s", c.within)
	if errors.Is(err, store.ErrNotReplicating) {
		why = "before the node stopped"
	}
	// What failed is for the operator: it is in the process's log, and names places.
	return &ledger.Error{Code: ledger.CodeNotReplicated, Message: "this is done and on the node's disk, but the replica has not confirmed it " + why +
		": sent again with the same Idempotency-Key, it waits again and is not done twice"}
}
