package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"waybill/ledger"
)

// refold is the state as the log gives it, with the position of the last event that touched each row, which the live
// state does not keep. It adds up the postings a second time by itself, so that two ways must agree.
type refold struct {
	state    *ledger.State
	draft    *ledger.Draft
	pending  int
	rows     map[ledger.RowKey]uint64
	balances map[balanceOf]*balance
}

type balanceOf struct {
	account ledger.Account
	unit    ledger.Unit
}

type balance struct {
	amount   int64
	position uint64
}

// refoldBatch is how many events are folded on one draft.
const refoldBatch = 2000

func newRefold() *refold {
	s := ledger.NewState()
	return &refold{state: s, draft: s.Draft(nil), rows: map[ledger.RowKey]uint64{}, balances: map[balanceOf]*balance{}}
}

// add folds an event, and tells if its entry does not balance or takes an org's account below zero.
func (f *refold) add(r *ledger.Record, ps []ledger.Posting) (d *Difference) {
	differ := func(want, found string) {
		d = &Difference{r.Position, "events", strconv.FormatUint(r.Position, 10), "data", want, found}
	}
	if !ledger.Balanced(ps) {
		differ("an entry that sums to zero", fmt.Sprint(ps))
	}
	for _, p := range ps {
		k := balanceOf{p.Account, p.Unit}
		b := f.balances[k]
		if b == nil {
			b = new(balance)
			f.balances[k] = b
		}
		b.amount += p.Amount
		b.position = r.Position
		if b.amount < 0 && p.Account.Org != "" {
			differ("no account of an org below zero", fmt.Sprintf("%s at %d %s", p.Account, b.amount, p.Unit))
		}
	}
	f.draft.Evolve(r)
	if f.pending++; f.pending == refoldBatch {
		if err := f.merge(); err != nil {
			differ("a state that can be stored", err.Error())
		}
	}
	return d
}

func (f *refold) merge() error {
	for row, err := range f.draft.Rows() {
		if err != nil {
			return err
		}
		if row.Data == nil {
			delete(f.rows, row.RowKey)
		} else {
			f.rows[row.RowKey] = row.Position
		}
	}
	f.state.Merge(f.draft)
	f.pending = 0
	for k, b := range f.balances {
		if b.amount == 0 {
			delete(f.balances, k)
		}
	}
	return nil
}

// compare reads the inline tables and names each row that is not as the fold has it.
func (f *refold) compare(ctx context.Context, q querier, differ func(Difference)) error {
	if err := f.merge(); err != nil {
		return err
	}
	if err := f.compareState(ctx, q, differ); err != nil {
		return err
	}
	return f.compareBalances(ctx, q, differ)
}

func (f *refold) compareState(ctx context.Context, q querier, differ func(Difference)) (err error) {
	values := make(map[ledger.RowKey]any, len(f.rows))
	for k, v := range f.state.Rows() {
		values[k] = v
	}
	rows, err := q.QueryContext(ctx, "SELECT kind, id, position, data FROM state")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var k ledger.RowKey
		var position int64
		var data []byte
		if err := rows.Scan(&k.Kind, &k.ID, &position, &data); err != nil {
			return err
		}
		v, ok := values[k]
		if !ok {
			differ(Difference{uint64(position), "state", k.Kind + " " + k.ID, "", "absent", "there: " + string(data)})
			continue
		}
		delete(values, k)
		want, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if p := f.rows[k]; p != uint64(position) {
			differ(Difference{p, "state", k.Kind + " " + k.ID, "position", strconv.FormatUint(p, 10), strconv.FormatInt(position, 10)})
		}
		if !bytes.Equal(want, data) {
			differ(Difference{f.rows[k], "state", k.Kind + " " + k.ID, "data", string(want), string(data)})
		}
	}
	for k := range values {
		differ(Difference{f.rows[k], "state", k.Kind + " " + k.ID, "", "there", "missing"})
	}
	return rows.Err()
}

func (f *refold) compareBalances(ctx context.Context, q querier, differ func(Difference)) (err error) {
	want := make(map[[2]string]*balance, len(f.balances))
	for k, b := range f.balances {
		want[[2]string{k.account.String(), string(k.unit)}] = b
		if n := f.state.Balance(k.account, k.unit); n != b.amount {
			differ(Difference{b.position, "balances", k.account.String() + " " + string(k.unit), "amount",
				strconv.FormatInt(b.amount, 10) + " by the postings", strconv.FormatInt(n, 10) + " by the fold"})
		}
	}
	rows, err := q.QueryContext(ctx, "SELECT account, unit, amount, position FROM balances")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var k [2]string
		var amount, position int64
		if err := rows.Scan(&k[0], &k[1], &amount, &position); err != nil {
			return err
		}
		b, row := want[k], k[0]+" "+k[1]
		if b == nil {
			differ(Difference{uint64(position), "balances", row, "", "absent", fmt.Sprintf("there, with %d", amount)})
			continue
		}
		delete(want, k)
		if b.amount != amount {
			differ(Difference{b.position, "balances", row, "amount", strconv.FormatInt(b.amount, 10), strconv.FormatInt(amount, 10)})
		}
		if b.position != uint64(position) {
			differ(Difference{b.position, "balances", row, "position", strconv.FormatUint(b.position, 10), strconv.FormatInt(position, 10)})
		}
	}
	for k, b := range want {
		differ(Difference{b.position, "balances", k[0] + " " + k[1], "", fmt.Sprintf("there, with %d", b.amount), "missing"})
	}
	return rows.Err()
}
