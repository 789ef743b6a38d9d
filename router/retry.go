package router

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"waybill/ledger"
)

// A leg that failed is called once more only where no other is left, and within a budget for each credential: a first call
// earns a tenth of a retry, up to ten. So an outage is not amplified: there are at most a tenth more calls than legs, and ten.
const (
	retryEarned = 1
	retryCost   = 10
	retryMost   = 10 * retryCost
)

// Bounds of the pause before a leg is called once more.
const (
	minRetryPause = 100 * time.Millisecond
	maxRetryPause = 5 * time.Second
)

// manyBudgets is how many budgets are remembered that are not full. For one more any of them is forgotten.
const manyBudgets = 4096

// transient is the failures that may be over in a moment.
var transient = []Class{ClassRateLimited, ClassOverloaded, ClassServerError, ClassConnection}

// Retries keeps the budgets of retries, by credential. Its zero value is ready, and every budget full.
type Retries struct {
	mu    sync.Mutex
	spent map[string]int // in tenths of a retry
}

// earn credits a credential with a first call.
func (b *Retries) earn(credential string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n, ok := b.spent[credential]; ok {
		if n -= retryEarned; n > 0 {
			b.spent[credential] = n
		} else {
			delete(b.spent, credential)
		}
	}
}

// take takes a retry on a credential, if its budget has one.
func (b *Retries) take(credential string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.spent[credential]
	if n+retryCost > retryMost {
		return false
	}
	if b.spent == nil {
		b.spent = map[string]int{}
	}
	if n == 0 && len(b.spent) >= manyBudgets { // most are of credentials that nobody calls any more
		for other := range b.spent {
			delete(b.spent, other)
			break
		}
	}
	b.spent[credential] = n + retryCost
	return true
}

// again says which leg to call, after its pause, now that all have failed or rest: once more the latest whose failure may be over
// in a moment, or else the first that rests for a moment only, as its upstream has asked.
func (r *run) again() (leg Leg, ok bool) {
	leg, once, hint := r.fleetingLeg, r.fleeting != nil, time.Duration(0)
	if once {
		hint = r.fleeting.RetryAfter
	} else {
		leg = r.restingLeg
	}
	if leg.Model == nil || leg.Credential.Kind() == ledger.Platform && r.ownFailed() && !*r.decision.Settings.PaidFallback {
		return Leg{}, false
	}
	rests := r.d.Health.rests(leg.choice(), r.standing(), r.d.Now())
	pause := retryPause(max(hint, rests), r.inputs.Seed, r.calls)
	if r.late(pause) || rests > pause || once && !r.d.Retries.take(leg.Credential.ID) {
		return Leg{}, false
	}
	return leg, r.wait(pause)
}

// restsBriefly tells whether a leg is well, as far as is known, but that its upstream has asked for a moment.
func (r *run) restsBriefly(leg Leg) bool {
	c, s, now := leg.choice(), r.standing(), r.d.Now()
	return !r.d.Health.state(c, s, now).Failing && r.d.Health.rests(c, s, now) <= maxRetryPause
}

// ownFailed tells whether a credential of the org's own has failed the request: from then on it costs nothing more unless the
// policy says that it may.
func (r *run) ownFailed() bool {
	return slices.ContainsFunc(r.attempts, func(a ledger.Attempt) bool {
		return a.Kind == ledger.BYOK && (a.Outcome == ledger.Failed || a.Reason == breakerOpen || a.Reason == unreadable)
	})
}

// retryPause is how long a leg is left alone: at least as long as its provider says, and then by chance, so that callers who
// failed together do not come again together.
func retryPause(hint time.Duration, seed uint64, calls int) time.Duration {
	pause := max(hint, minRetryPause)
	pause += time.Duration(rand.New(rand.NewPCG(seed, uint64(calls))).Int64N(int64(pause)))
	return min(pause, maxRetryPause)
}

// wait lets time pass, unless the caller leaves or the node stops.
func (r *run) wait(pause time.Duration) bool {
	ctx, cancel := context.WithTimeout(r.client, pause)
	defer cancel()
	stop := context.AfterFunc(r.d.Stop, cancel)
	defer stop()
	<-ctx.Done()
	return r.client.Err() == nil && r.d.Stop.Err() == nil
}
