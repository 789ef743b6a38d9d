package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"waybill/ledger"
)

// writer is the one goroutine that changes the log. It takes everything queued, decides it on one draft, commits once,
// publishes the state, and answers everyone. It does not linger: what arrives during a commit is the next group.
type writer struct {
	log     *journal
	newID   func() [16]byte
	clock   clock
	groupOf int // orders, at most

	gate   sync.RWMutex // held for writing only to close the queue
	queue  chan *order
	closed bool
	done   chan struct{}

	mu    sync.RWMutex // held for writing only to merge
	state *ledger.State
	due   ledger.Instant // no org falls due before it; 0: none will

	draft   *ledger.Draft // nil after a group that failed
	tails   tails
	recent  recent
	stall   stall
	kept    []*order // firm ones that wait for the stall to end
	dead    atomic.Pointer[ledger.Error]
	failure chan error
}

func unavailable(format string, args ...any) *ledger.Error {
	return &ledger.Error{Code: ledger.CodeUnavailable, Message: fmt.Sprintf(format, args...)}
}

// submit queues an order and waits for its answer. The context bounds only the wait for a place in the queue, and only
// firm orders wait for one: a commit cannot be taken back, so who has queued hears how it ended.
func (w *writer) submit(ctx context.Context, o *order) (ledger.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return ledger.Receipt{}, err
	}
	o.answer = make(chan answer, 1)
	if err := w.enqueue(ctx, o); err != nil {
		return ledger.Receipt{}, err
	}
	a := <-o.answer
	return a.receipt, a.err
}

func (w *writer) enqueue(ctx context.Context, o *order) error {
	w.gate.RLock()
	defer w.gate.RUnlock()
	if w.closed {
		return unavailable("the node is shutting down")
	}
	if why := w.dead.Load(); why != nil {
		return why
	}
	if why := w.stall.why.Load(); why != nil && !o.firm {
		return why
	}
	select {
	case w.queue <- o:
		return nil
	default:
	}
	if !o.firm {
		return unavailable("the node is busy: %d commands wait already, try again", cap(w.queue))
	}
	select {
	case w.queue <- o:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close ends the queue and waits until all that is in it is answered.
func (w *writer) close() {
	w.gate.Lock()
	if !w.closed {
		w.closed = true
		close(w.queue)
	}
	w.gate.Unlock()
	<-w.done
}

// run serves the queue until it is closed and empty.
func (w *writer) run() {
	defer close(w.done)
	for open := true; open; {
		var orders []*order
		orders, open = w.take()
		w.serve(orders)
	}
	refuse(w.kept, unavailable("the node is shutting down and could not write: the request is resolved when it starts again"))
	w.tails.end()
}

// take waits for orders, and gives those that were kept and up to a group of those that are queued. During a stall it also
// returns to try again.
func (w *writer) take() (orders []*order, open bool) {
	var o *order
	select {
	case o, open = <-w.queue:
	case <-w.stall.again():
		orders, w.kept = w.kept, nil
		return orders, true
	}
	orders, w.kept = w.kept, nil
	// Callers that are ready to queue do so first, as long as each turn brings more: under load they share the commit, and
	// where there are none this is free. It is no linger: nobody is waited for who is not running already.
	for queued := -1; queued < len(w.queue); {
		queued = len(w.queue)
		runtime.Gosched()
	}
	for open {
		orders = append(orders, o)
		if len(orders) >= w.groupOf {
			return orders, true
		}
		select {
		case o, open = <-w.queue:
		default:
			return orders, true
		}
	}
	return orders, false
}

// serve does orders and answers them. What it cannot do now it keeps if it is firm, and refuses if not.
func (w *writer) serve(orders []*order) {
	if why := w.dead.Load(); why != nil {
		refuse(orders, why)
		return
	}
	if why := w.stall.why.Load(); why != nil {
		orders = firmOnly(orders, why)
	}
	for setbacks := 0; ; {
		part := orders[:min(len(orders), w.stall.part())]
		err := w.commit(part)
		if err == nil {
			orders = orders[len(part):]
			err = w.log.checkpoint(w.stall.full)
		}
		var s *setback
		if errors.As(err, &s) {
			w.stall.begin(s)
			orders = firmOnly(orders, w.stall.why.Load())
			var room bool
			setbacks++
			if room, err = w.makeRoom(setbacks, orders); err == nil && !room {
				w.kept = orders
				return
			}
		}
		if err != nil {
			w.die(orders, err)
			return
		}
		if len(orders) == 0 {
			if setbacks == 0 {
				w.stall.end()
			}
			return
		}
	}
}

// makeRoom finds space for firm orders after a setback, and tells whether it is worth another try: first what the WAL takes
// up though the file has it too, then the ballast.
func (w *writer) makeRoom(setbacks int, orders []*order) (bool, error) {
	if !w.stall.full || len(orders) == 0 {
		return false, nil
	}
	switch setbacks {
	case 1:
		err := w.log.checkpoint(true)
		var s *setback
		if errors.As(err, &s) {
			err = nil // the ballast comes next
		}
		return true, err
	case 2:
		return w.stall.ballast.drop(), nil
	}
	return false, nil
}

// commit does orders in one transaction, publishes what follows, and answers. If it fails it has left no trace, in memory
// either, and answered nobody.
func (w *writer) commit(orders []*order) error {
	if w.draft == nil {
		w.draft = w.state.Draft(w.newID)
	}
	head := w.draft.Head()
	now, drift := w.clock.read()
	g := &group{log: w.log, draft: w.draft, now: now, drift: drift, orders: orders, causes: map[causeKey]*precedent{}}
	edge := w.log.edge
	if err := w.log.transact(g, head); err != nil {
		w.draft, w.log.edge = nil, edge
		return err
	}
	if w.draft.Head() != head {
		w.publish(g)
	}
	for i, o := range orders {
		o.answer <- g.answers[i]
	}
	return nil
}

// publish makes what is durable the state that others see.
func (w *writer) publish(g *group) {
	w.mu.Lock()
	w.state.Merge(w.draft)
	for i := range g.records {
		if r := &g.records[i]; r.Request() == "" {
			if o := w.state.Org(r.Stream); o != nil {
				w.due = sooner(w.due, o.Due())
			}
		}
	}
	w.mu.Unlock()
	w.recent.add(g.records)
	w.tails.grow(w.draft.Head())
}

// die ends the writing: it cannot be told from here what of the last group is on disk. Starting again can tell.
func (w *writer) die(orders []*order, err error) {
	why := unavailable("the log has failed: whether this happened is known once the node has started again")
	w.dead.Store(why)
	refuse(append(orders, w.kept...), why)
	w.kept = nil
	w.failure <- fmt.Errorf("the log has failed and must be opened again: %w", err)
	close(w.failure)
}

func refuse(orders []*order, why *ledger.Error) {
	for _, o := range orders {
		o.answer <- answer{err: why}
	}
}

// firmOnly refuses the orders that are not firm and gives the others.
func firmOnly(orders []*order, why *ledger.Error) []*order {
	var firm []*order
	for _, o := range orders {
		if o.firm {
			firm = append(firm, o)
		} else {
			o.answer <- answer{err: why}
		}
	}
	return firm
}

// sooner is the earlier of two instants, of which 0 is none.
func sooner(a, b ledger.Instant) ledger.Instant {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
