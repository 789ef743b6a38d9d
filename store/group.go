package store

import (
	"waybill/ledger"
)

// order is one thing for the writer to do: a command with the labels and the note that go with it, or labels alone, or another write
// outside the log.
type order struct {
	command ledger.Command
	labels  []Label
	note    *note
	write   func(*journal) error
	firm    bool // it ends what has begun: a full disk does not refuse it, but makes it wait
	answer  chan answer
}

type answer struct {
	receipt ledger.Receipt
	err     error
}

// firm tells whether a command resolves a request. Its call has been made: the answer waits for the bill.
func firm(c ledger.Command) bool {
	switch c.(type) {
	case ledger.Settle, *ledger.Settle, ledger.Void, *ledger.Void, ledger.Interrupt, *ledger.Interrupt:
		return true
	}
	return false
}

// admits tells whether a command lets a call go upstream.
func admits(c ledger.Command) bool {
	switch c.(type) {
	case ledger.Admit, *ledger.Admit, ledger.Extend, *ledger.Extend:
		return true
	}
	return false
}

// group is what one transaction carries: the orders that were queued when it began.
type group struct {
	log     *journal
	draft   *ledger.Draft
	now     ledger.Instant
	drift   error // why no call is admitted now
	orders  []*order
	answers []answer // of the orders, once the group is durable
	records []ledger.Record
	causes  map[causeKey]*precedent
}

// decide does one order after another on the draft. A refusal costs only its order; any other error is the group's.
func (g *group) decide() error {
	for _, o := range g.orders {
		receipt, err := g.one(o)
		if err != nil {
			if _, refused := err.(*ledger.Error); !refused {
				return err
			}
		}
		g.answers = append(g.answers, answer{receipt, err})
	}
	return nil
}

func (g *group) one(o *order) (ledger.Receipt, error) {
	if o.write != nil {
		return ledger.Receipt{}, o.write(g.log)
	}
	var causes []ledger.Cause
	if o.command != nil {
		causes = o.command.Once()
		if f, err := g.known(causes); err != nil {
			return ledger.Receipt{}, err
		} else if f != nil {
			return ledger.Receipt{Records: f.records, Repeated: true}, nil
		}
		if g.drift != nil && admits(o.command) {
			return ledger.Receipt{}, g.drift
		}
	}
	for _, l := range o.labels {
		if err := g.log.free(l); err != nil {
			return ledger.Receipt{}, err
		}
		if err := ofErased(g.draft, l); err != nil {
			return ledger.Receipt{}, err
		}
	}
	var recs []ledger.Record
	if o.command != nil {
		var err error
		recs, err = g.draft.Decide(g.now, o.command)
		g.records = append(g.records, recs...)
		if err != nil {
			return ledger.Receipt{}, err
		}
	}
	if len(recs) > 0 {
		for _, c := range causes {
			g.causes[causeKey{c.Scope, c.Key}] = &precedent{c.Input, recs}
			if err := g.log.addCause.exec(c.Scope, c.Key, c.Input, int64(recs[0].Position), int64(recs[len(recs)-1].Position)); err != nil {
				return ledger.Receipt{}, err
			}
		}
	}
	if err := g.log.erase(recs); err != nil {
		return ledger.Receipt{}, err
	}
	if err := g.log.jot(o.note); err != nil {
		return ledger.Receipt{}, err
	}
	return ledger.Receipt{Records: recs}, g.log.label(o.labels)
}

// write puts into the open transaction what was decided.
func (g *group) write() error {
	if err := g.log.append(g.records); err != nil {
		return err
	}
	return g.log.project(g.draft)
}
