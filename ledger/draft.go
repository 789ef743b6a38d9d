package ledger

import (
	"encoding/json"
	"fmt"
	"iter"
	"strings"
)

// Draft is a copy-on-write overlay on a State: a batch of commands is decided and folded on it, and either merged
// when its events are durable, or dropped without a trace.
type Draft struct {
	base  *State
	newID func() [16]byte

	head     uint64
	at       Instant
	versions overlay[string, uint64]
	balances overlay[balanceKey, int64]

	orgs        overlay[string, *Org]
	keys        overlay[string, *Key]
	credentials overlay[string, *Credential]
	holds       overlay[string, *Hold]
	plans       overlay[string, *Plan]
	models      overlay[string, *Model]
	prices      overlay[string, *Price]
	policies    overlay[string, *Policy]
	spends      overlay[string, *Spend]
	nodes       overlay[string, *Node]

	touchedRows     touched[RowKey]
	touchedBalances touched[balanceKey]
}

// Draft starts an overlay. newID makes the ids of new events; it may be nil for a draft that only folds.
func (s *State) Draft(newID func() [16]byte) *Draft {
	return &Draft{
		base: s, newID: newID, head: s.head, at: s.at,
		versions: over(s.versions), balances: over(s.balances),
		orgs: over(s.orgs), keys: over(s.keys), credentials: over(s.credentials), holds: over(s.holds),
		plans: over(s.plans), models: over(s.models), prices: over(s.prices), policies: over(s.policies), spends: over(s.spends), nodes: over(s.nodes),
		touchedRows: touched[RowKey]{last: map[RowKey]uint64{}}, touchedBalances: touched[balanceKey]{last: map[balanceKey]uint64{}},
	}
}

// Head is the position of the draft's last event.
func (d *Draft) Head() uint64 { return d.head }

// Decide decides one command at a time of the writer's clock and folds what follows. The records are the command's
// own events, after any that fell due in its stream before it: those stand even if the command is refused.
func (d *Draft) Decide(now Instant, c Command) ([]Record, error) {
	var recs []Record
	for {
		now = max(now, d.at+1) // each event takes an instant: the command comes after what was due, and so may more be
		due := d.due(c.Stream(), now)
		if len(due) == 0 {
			break
		}
		var err error
		if recs, err = d.append(recs, c.Stream(), now, By{Actor: "waybill", Cause: "due"}, due); err != nil {
			return recs, err
		}
	}
	if by := c.By(); strings.Contains(by.Cause, " ") {
		return recs, refuse(CodeInvalid, "idempotency key %q: no spaces", by.Cause)
	}
	events, err := c.decide(d, now)
	if err != nil {
		return recs, err
	}
	return d.append(recs, c.Stream(), now, c.By(), events)
}

// append gives events their place, checks that each moves value without making any, and folds them.
func (d *Draft) append(recs []Record, stream string, now Instant, by By, events []Event) ([]Record, error) {
	for _, e := range events {
		ps := e.postings(stream)
		if err := d.sound(stream, e, ps); err != nil {
			return recs, err
		}
		t, schema, data, err := Encode(e)
		if err != nil {
			return recs, refuse(CodeInternal, "encoding %s: %v", e.Type(), err)
		}
		v, _ := d.versions.get(stream)
		r := Record{Position: d.head + 1, Stream: stream, Version: v + 1, ID: d.newID(), Type: t, Schema: schema,
			At: max(now, d.at+1), Actor: by.Actor, Cause: by.recorded(), Data: data, Event: e}
		d.fold(&r, ps)
		recs = append(recs, r)
	}
	return recs, nil
}

// sound asserts, before an event is a fact, that its entry balances and takes no org's account below zero.
func (d *Draft) sound(stream string, e Event, ps []Posting) error {
	if !Balanced(ps) {
		return refuse(CodeInternal, "%s in %s would not balance: %v", e.Type(), stream, ps)
	}
	for _, p := range ps {
		if p.Account.Org != "" && d.balance(p.Account, p.Unit)+p.Amount < 0 {
			return refuse(CodeInternal, "%s in %s would take %s below zero", e.Type(), stream, p.Account)
		}
	}
	return nil
}

// Evolve folds one record. History is never refused.
func (d *Draft) Evolve(r *Record) { d.fold(r, r.Postings()) }

func (d *Draft) fold(r *Record, ps []Posting) {
	d.head, d.at = r.Position, r.At
	d.versions.set(r.Stream, r.Version)
	for _, p := range ps {
		k := balanceKey{p.Account, p.Unit}
		n, _ := d.balances.get(k)
		if n += p.Amount; n == 0 {
			d.balances.delete(k)
		} else {
			d.balances.set(k, n)
		}
		d.touchedBalances.add(k, r.Position)
	}
	r.Event.evolve(d, r)
}

// Org gives an org as the draft has it, nil if there is none.
func (d *Draft) Org(id string) *Org { return d.org(id) }

func (d *Draft) balance(a Account, u Unit) int64 {
	n, _ := d.balances.get(balanceKey{a, u})
	return n
}

func (d *Draft) touch(r *Record, kind, id string) { d.touchedRows.add(RowKey{kind, id}, r.Position) }

func (d *Draft) org(id string) *Org               { o, _ := d.orgs.get(id); return o }
func (d *Draft) key(id string) *Key               { k, _ := d.keys.get(id); return k }
func (d *Draft) credential(id string) *Credential { c, _ := d.credentials.get(id); return c }
func (d *Draft) hold(request string) *Hold        { h, _ := d.holds.get(request); return h }
func (d *Draft) plan(id string) *Plan             { p, _ := d.plans.get(id); return p }
func (d *Draft) policy(org string) *Policy        { p, _ := d.policies.get(org); return p }
func (d *Draft) price(id string) *Price           { p, _ := d.prices.get(id); return p }

func (d *Draft) model(name string) *Model {
	if m, ok := d.models.get(name); ok {
		return m
	}
	return nil
}

// priceOf is the price row of a model in force, as State.PriceOf.
func (d *Draft) priceOf(model string, at Instant) *Price {
	rows := d.base.pricesOf[model]
	for _, l := range d.prices.over {
		if l.value.Model == model {
			rows = append(rows[:len(rows):len(rows)], l.value)
		}
	}
	// A row changed in this draft stands in it twice; the newer value decides.
	var p *Price
	for _, q := range rows {
		if q = d.price(q.ID); q.InForce(at) && q.supersedes(p) {
			p = q
		}
	}
	return p
}

// Rows yields the rows that the draft changed, encoded.
func (d *Draft) Rows() iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for _, k := range d.touchedRows.keys {
			row := Row{RowKey: k, Position: d.touchedRows.last[k]}
			var err error
			if v := d.row(k); v != nil {
				if row.Data, err = json.Marshal(v); err != nil {
					err = fmt.Errorf("state row %s %s: %w", k.Kind, k.ID, err)
				}
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

func (d *Draft) row(k RowKey) any {
	switch k.Kind {
	case "org":
		return orNil(d.orgs.get(k.ID))
	case "key":
		return orNil(d.keys.get(k.ID))
	case "credential":
		return orNil(d.credentials.get(k.ID))
	case "hold":
		return orNil(d.holds.get(k.ID))
	case "plan":
		return orNil(d.plans.get(k.ID))
	case "model":
		return orNil(d.models.get(k.ID))
	case "policy":
		return orNil(d.policies.get(k.ID))
	case "spend":
		return orNil(d.spends.get(k.ID))
	case nodeRow:
		return orNil(d.nodes.get(k.ID))
	default:
		return orNil(d.prices.get(k.ID))
	}
}

func orNil[V any](v *V, ok bool) any {
	if !ok {
		return nil
	}
	return v
}

// Balances yields the balances that the draft changed; an amount of zero means that the row goes.
func (d *Draft) Balances() iter.Seq[Balance] {
	return func(yield func(Balance) bool) {
		for _, k := range d.touchedBalances.keys {
			n, _ := d.balances.get(k)
			if !yield(Balance{k.Account, k.Unit, n, d.touchedBalances.last[k]}) {
				return
			}
		}
	}
}

// Merge makes the draft the state. The draft may be used on from there.
func (s *State) Merge(d *Draft) {
	s.head, s.at = d.head, d.at
	for _, k := range d.touchedRows.keys {
		if k.Kind == "key" {
			if key := d.key(k.ID); key != nil {
				s.indexKey(s.keys[k.ID], key)
			}
		}
	}
	wallets := map[string]bool{}
	for id, l := range d.credentials.over {
		c := s.credentials[id] // none, if the draft attached it
		if c != nil && !l.deleted && c.Org == l.value.Org && byUse(c, l.value) == 0 {
			s.replaceInWallet(c, l.value)
			continue
		}
		if c != nil {
			wallets[c.Org] = true
		}
		if !l.deleted {
			wallets[l.value.Org] = true
		}
	}
	models, prices := d.models.over, d.prices.over
	for _, l := range models {
		s.indexModel(l.value)
	}
	for _, l := range prices {
		s.indexPrice(l.value)
	}
	d.versions.merge()
	d.balances.merge()
	d.orgs.merge()
	d.keys.merge()
	d.credentials.merge()
	d.holds.merge()
	d.plans.merge()
	d.models.merge()
	d.prices.merge()
	d.policies.merge()
	d.spends.merge()
	d.nodes.merge()
	if len(wallets) > 0 {
		s.indexWallets(wallets)
	}
	d.touchedRows.clear()
	d.touchedBalances.clear()
}
