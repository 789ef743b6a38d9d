package http_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"waybill/ledger"
)

// midday is a clock that starts in the middle of a day, so that no test meets a midnight that it does not mean.
func midday() func() time.Time {
	began := time.Now()
	return func() time.Time { return time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC).Add(time.Since(began)) }
}

// Sixty-four clients at once on a key that may spend a dollar a day: whoever pays, at no position of the log do what is settled
// and what is held come to more at list cost, nearly all of it can be spent, and who is refused for good learns until when.
func TestCapUnderLoad(t *testing.T) {
	for _, payer := range []string{"credit", "plan"} {
		t.Run(payer, func(t *testing.T) { capUnderLoad(t, payer) })
	}
}

func capUnderLoad(t *testing.T, payer string) {
	const limit = ledger.Dollar
	n := newNodeAt(t, midday(), nil)
	op := n.as(operatorToken)
	tokens := map[string]int{"credit": 0, "plan": 1_000_000_000}[payer]
	op.call("POST", "/api/v1/plans", fmt.Sprintf(`{"id":"own","tokens":%d,"lanes":["auto","manual"],"credit":true}`, tokens)).want(201)
	n.open("acme", "own")
	if payer == "credit" {
		op.call("POST", "/api/v1/orgs/acme/credits", `{"kind":"purchase","amount_usd":"1000.00","reference":"r1"}`).want(201)
	}
	k := op.call("POST", "/api/v1/orgs/acme/keys", `{"name":"app","caps":[{"unit":"usd","amount":"1","window":"day"}]}`).want(201)

	var clients sync.WaitGroup
	refused := make(chan answer, 64)
	for i := range 64 {
		clients.Go(func() {
			p := n.as(k.text("key"))
			for {
				// Each settles at something else than its bound, some far below it.
				a := p.chat("openai/gpt-6-sol", fmt.Sprintf("[[sandbox input=%d output=%d]]", 100+i, 200+17*i), `,"max_completion_tokens":1300`)
				switch {
				case a.status == 200:
					continue
				case a.status == 429 && a.header.Get("Retry-After") == "1":
					if !strings.Contains(a.text("error.message"), "open calls of the key hold") || !strings.HasPrefix(a.header.Get("X-Ratelimit-Reset-Cap"), "11h") {
						t.Errorf("held by open calls: %v %s", a.header, a.body)
						return
					}
					continue
				}
				refused <- a
				return
			}
		})
	}
	clients.Wait()
	close(refused)
	for a := range refused {
		a.want(429)
		if a.text("error.code") != "cap_reached" || !strings.Contains(a.text("error.message"), "2026-11-26T00:00:00Z") || a.header.Get("X-Should-Retry") != "false" {
			t.Fatalf("%v: %s", a.header, a.body)
		}
		if reset := a.header.Get("X-Ratelimit-Reset-Cap"); !strings.HasPrefix(reset, "11h") {
			t.Errorf("the cap resets in %q", reset)
		}
		var wait int
		if _, err := fmt.Sscan(a.header.Get("Retry-After"), &wait); err != nil || wait < 11*3600 || wait > 12*3600 {
			t.Fatalf("Retry-After %q, and midnight is 12 hours away", a.header.Get("Retry-After"))
		}
	}

	spent, hold, calls := n.capped(t, limit)
	if spent > limit || spent <= limit-hold {
		t.Errorf("%s dollars were spent in %d calls: not within one hold of %s of a dollar", spent, calls, hold)
	}
	if a := op.call("GET", "/api/v1/orgs/acme/keys/"+k.text("id"), "").want(200); a.text("caps.0.spent") != spent.String() || a.text("caps.0.held") != "0.000000" {
		t.Errorf("the key shows %s, the log has %s", a.body, spent)
	}
	t.Logf("%d calls, %s dollars, the largest hold %s", calls, spent, hold)
}

// capped adds up, position by position, what the calls of the only key have settled and hold, and gives the sum of the former, the largest
// hold, and how many calls were settled.
func (n *node) capped(t *testing.T, limit ledger.Nano) (spent, hold ledger.Nano, calls int) {
	t.Helper()
	open := map[string]ledger.Nano{}
	var held ledger.Nano
	put := func(request string, bound ledger.Nano) {
		held += bound - open[request]
		open[request] = bound
		hold = max(hold, bound)
	}
	for after := uint64(0); ; {
		recs, err := n.store.Page(context.Background(), after, 1000)
		if err != nil || len(recs) == 0 {
			n.must(err)
			if held != 0 {
				t.Errorf("%s dollars are still held", held)
			}
			return spent, hold, calls
		}
		for _, r := range recs {
			after = r.Position
			switch e := r.Event.(type) {
			case *ledger.RequestAdmitted:
				put(e.Request, e.Leg.Bound)
			case *ledger.RequestExtended:
				put(e.Request, e.Leg.Bound)
			case *ledger.RequestSettled:
				put(e.Request, 0)
				spent += e.ListCost
				calls++
			case *ledger.RequestVoided:
				put(e.Request, 0)
			}
			if spent+held > limit {
				t.Fatalf("at position %d the key has spent %s and holds %s", r.Position, spent, held)
			}
		}
	}
}
