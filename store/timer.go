package store

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"waybill/ledger"
)

// timer lets periods end and credit expire when their time has come, though nobody asks.
type timer struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func startTimer(w *writer, every time.Duration) *timer {
	ctx, cancel := context.WithCancel(context.Background())
	t := &timer{cancel, make(chan struct{})}
	go func() {
		defer close(t.done)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				w.mature(ctx)
			}
		}
	}()
	return t
}

func (t *timer) stop() {
	t.cancel()
	<-t.done
}

// mature does what has fallen due. What is refused now, because the node stalls, is due at the next tick still.
func (w *writer) mature(ctx context.Context) {
	now, drift := w.clock.read()
	w.mu.RLock()
	due := w.due
	w.mu.RUnlock()
	if drift != nil || due == 0 || due > now {
		return
	}
	var errs []error
	for _, org := range w.dueBy(now) {
		_, err := w.submit(ctx, &order{command: ledger.Mature{Org: org}})
		errs = append(errs, err)
	}
	if errors.Join(errs...) != nil {
		return
	}
	w.mu.Lock()
	w.due = w.nextDue(now)
	w.mu.Unlock()
}

// dueBy gives the orgs that fall due by an instant, in the order of their ids.
func (w *writer) dueBy(now ledger.Instant) (orgs []string) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	for o := range w.orgs() {
		if at := o.Due(); at != 0 && at <= now {
			orgs = append(orgs, o.ID)
		}
	}
	slices.Sort(orgs)
	return orgs
}

// nextDue is the earliest instant after now at which an org falls due; its caller holds the lock.
func (w *writer) nextDue(now ledger.Instant) (next ledger.Instant) {
	for o := range w.orgs() {
		if at := o.Due(); at > now {
			next = sooner(next, at)
		}
	}
	return next
}

// orgs yields every org in no order: to sort them all would hold up the writer where there are many.
func (w *writer) orgs() iter.Seq[*ledger.Org] {
	return func(yield func(*ledger.Org) bool) {
		for _, row := range w.state.Rows() {
			if o, ok := row.(*ledger.Org); ok && !yield(o) {
				return
			}
		}
	}
}
