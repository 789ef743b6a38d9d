package router_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"waybill/ledger"
	"waybill/router"
	"waybill/router/sandbox"
)

// settled gives the settlement of a request, nil if it was resolved otherwise.
func (n *node) settled(id string) *ledger.RequestSettled {
	n.t.Helper()
	events := n.trace(id)
	if len(events) == 0 {
		return nil
	}
	s, _ := events[len(events)-1].(*ledger.RequestSettled)
	return s
}

var models = []string{"openai/gpt-6-luna", "anthropic/claude-haiku-5-5", "google/gemini-2.5-flash-lite"}

// Every provider's answer is settled with exactly what the sandbox says it served, unary and streamed.
func TestSettledAsServed(t *testing.T) {
	n := newNode(t)
	n.open("org_a", "teams")
	for _, model := range models {
		for _, more := range []string{"", `,"stream":true`, `,"stream":true,"stream_options":{"include_usage":true}`} {
			words := "Say something [[sandbox output=90 reasoning=30 cached=8]]"
			a := n.ask(t.Context(), "org_a", model, "a long enough prompt, so that a part of it can be cached. "+words, more)
			if a.failure != nil {
				t.Fatalf("%s%s: %+v", model, more, a.failure)
			}
			s := n.settled(a.id)
			calls := n.up.Calls()
			served := calls[len(calls)-1].Tokens
			want := ledger.Usage{Input: int64(served.Input), CacheRead: int64(served.CacheRead), CacheWrite: int64(served.CacheWrite),
				Output: int64(served.Output), Reasoning: int64(served.Reasoning)}
			if s == nil || s.Usage != want || s.Source != ledger.UsageProvider || s.Charge != 0 || s.PlanTokens() != want.Total() {
				t.Errorf("%s%s: settled %+v, served %+v", model, more, s, want)
			}
			if calls[len(calls)-1].Attempt != a.id+".1" {
				t.Errorf("%s: attempt id %q", model, calls[len(calls)-1].Attempt)
			}
			if more != "" && !a.whole() {
				t.Errorf("%s%s: no end mark: %s", model, more, a.text())
			}
		}
	}
	if n.holds() != 0 {
		t.Errorf("%d holds are open", n.holds())
	}
}

// The books know of a call before the upstream does, and of its bill before the caller has the finish.
func TestFinishWaitsForTheBooks(t *testing.T) {
	n := newNode(t)
	n.open("org_a", "teams")
	n.store.Close()
	a := n.ask(t.Context(), "org_a", models[0], "hello", "")
	if a.failure == nil || a.failure.Status != http.StatusServiceUnavailable {
		t.Errorf("with closed books: %+v", a.failure)
	}
	if calls := n.up.Calls(); len(calls) != 0 {
		t.Errorf("an upstream call without a record: %+v", calls)
	}
}

// On the auto lane a failing upstream is followed by the next, and the trace shows both.
func TestFallback(t *testing.T) {
	n := newNode(t)
	n.open("org_a", "starter")
	n.inOrder("org_a")
	n.up.Script("openai", "gpt-6-luna", sandbox.Script{Fail: sandbox.Overloaded, FailAt: sandbox.AtFirst})
	for range 5 {
		a := n.ask(t.Context(), "org_a", "auto", "hello", `,"stream":true`)
		if a.failure != nil || !a.whole() {
			t.Fatalf("%+v %s", a.failure, a.text())
		}
		if s := n.settled(a.id); s.Model != models[1] || len(s.Attempts) != 2 || s.Attempts[0].Model != models[0] {
			t.Errorf("settled %+v", s)
		}
	}
	last := n.trace("req_000005")
	if s := n.settled("req_000005"); s.Attempts[0].Outcome != ledger.Skipped || s.Attempts[0].Reason != "breaker_open" || len(last) != 2 {
		t.Errorf("after three failures in a row the breaker is not open: %+v", s.Attempts)
	}
}

// A starter org reaches no named model on platform capacity, and a teams org does.
func TestLanes(t *testing.T) {
	n := newNode(t)
	n.open("org_s", "starter")
	a := n.ask(t.Context(), "org_s", models[0], "hello", "")
	if a.failure == nil || a.failure.Status != 403 || a.code() != "plan_excludes_model" {
		t.Errorf("%+v", a.failure)
	}
	if a = n.ask(t.Context(), "org_s", "no/such", "hello", ""); a.failure == nil || a.failure.Status != 404 {
		t.Errorf("%+v", a.failure)
	}
}

// The org's own credential costs nothing here on any plan; when it fails, nothing is charged instead.
func TestBYOK(t *testing.T) {
	n := newNode(t)
	n.open("org_a", "free")
	n.do(ledger.AttachCredential{Org: "org_a", Credential: "cred_own", Provider: "openai", Fingerprint: "x", Use: ledger.UsePrefer})
	a := n.ask(t.Context(), "org_a", "gpt-6-luna", "hello", "")
	s := n.settled(a.id)
	if a.failure != nil || s == nil || s.Kind != ledger.BYOK || s.Charge != 0 || s.Skipped == 0 || s.SkipReason != "byok" || len(s.Draws) != 0 {
		t.Fatalf("%+v %+v", a.failure, s)
	}
	if memo := n.balance(ledger.Account{Org: "org_a", Kind: "byok"}, ledger.USD); memo != int64(s.Skipped) {
		t.Errorf("memo %d, skipped %d", memo, s.Skipped)
	}
	n.open("org_b", "teams")
	n.do(ledger.AttachCredential{Org: "org_b", Credential: "cred_dead", Provider: "openai", Fingerprint: "x", Use: ledger.UsePrefer})
	if a = n.ask(t.Context(), "org_b", "gpt-6-luna", "hello", ""); a.failure == nil || a.failure.Status != 502 {
		t.Errorf("a dead credential of the org's own: %+v", a.failure)
	}
	if got := n.balance(ledger.Account{Org: "org_b", Kind: "plan", ID: "p1"}, ledger.Tok); got != 20_000_000 {
		t.Errorf("a failing key of the org's own drew on its plan: %d left", got)
	}
}

// A caller who leaves is billed for what the upstream served, since it is read to its end.
func TestClientGone(t *testing.T) {
	n := newNode(t)
	n.open("org_a", "teams")
	ctx, leave := context.WithCancel(t.Context())
	gone := &leaving{leave: leave}
	in := n.d
	body := `{"model":"openai/gpt-6-luna","stream":true,"messages":[{"role":"user","content":"hello [[sandbox output=80 chunks=20 delay=1ms]]"}]}`
	q := decode(t, body)
	f := in.Do(ctx, router.Task{ID: "req_gone", By: ledger.By{Actor: "test", Cause: "req_gone"}, Org: "org_a", Request: q, Inbound: inbound}, gone)
	if f != nil {
		t.Fatalf("%+v", f)
	}
	s := n.settled("req_gone")
	served := n.up.Calls()[0].Tokens
	if s == nil || s.Usage.Output != int64(served.Output) || s.Source != ledger.UsageProvider || s.Reason != "client_gone" {
		t.Errorf("settled %+v, served %+v", s, served)
	}
}

// A stopping node ends what is open with an error, and settles what has begun on a marked estimate.
func TestStop(t *testing.T) {
	for _, tt := range []struct{ words, more string }{
		{"hello [[sandbox output=80 chunks=8 hang=content]]", `,"stream":true`},
		{"hello [[sandbox hang=first]]", `,"stream":true`},
		{"hello [[sandbox hang]]", ""},
	} {
		n := newNode(t)
		n.open("org_a", "starter")
		a := &answer{id: "req_000001"}
		begun := make(chan struct{}, 100)
		done := make(chan *router.Failure)
		q := decode(t, `{"model":"auto","messages":[{"role":"user","content":"`+tt.words+`"}]`+tt.more+`}`)
		go func() {
			done <- n.d.Do(context.Background(), router.Task{ID: a.id, By: ledger.By{Actor: "test", Cause: a.id}, Org: "org_a", Request: q, Inbound: inbound}, telling{a, begun})
		}()
		streams := strings.Contains(tt.words, "content")
		if streams {
			<-begun
		} else {
			until(t, func() bool { return len(n.up.Calls()) > 0 })
		}
		n.stop()
		a.failure = <-done
		if a.whole() || n.holds() != 0 || len(n.up.Calls()) != 1 {
			t.Errorf("%s: %s, with %d holds and %d calls", tt.words, a.text(), n.holds(), len(n.up.Calls()))
		}
		events := n.trace(a.id)
		switch e := events[len(events)-1].(type) {
		case *ledger.RequestSettled:
			if !streams || e.Source != ledger.UsageEstimate || e.Usage.Output == 0 || e.Attempts[0].Outcome != ledger.Cut || !strings.Contains(a.text(), "the node is stopping") {
				t.Errorf("%s: %s, settled %+v", tt.words, a.text(), e)
			}
		case *ledger.RequestVoided:
			if streams || a.code() != "not_ready" || e.Reason != "stopping" {
				t.Errorf("%s: %+v, voided %+v", tt.words, a.failure, e)
			}
		}
	}
}

// telling is a caller that tells of everything that comes.
type telling struct {
	*answer
	came chan<- struct{}
}

func (c telling) Send(b []byte) error {
	c.came <- struct{}{}
	return c.answer.Send(b)
}

// A call that takes too long is ended, and another leg tried.
func TestTimeouts(t *testing.T) {
	for _, tt := range []struct {
		name string
		hang sandbox.Place
		more string
		set  func(*router.Timeouts)
	}{
		{"first byte", sandbox.AtHeaders, `,"stream":true`, func(t *router.Timeouts) { t.FirstByte = 200 * time.Millisecond }},
		{"idle", sandbox.AtFirst, `,"stream":true`, func(t *router.Timeouts) { t.Idle = 200 * time.Millisecond }},
		{"attempt", sandbox.AtHeaders, "", func(t *router.Timeouts) { t.Attempt = 200 * time.Millisecond }},
		{"attempt of a stream", sandbox.AtFirst, `,"stream":true`, func(t *router.Timeouts) { t.Attempt = 200 * time.Millisecond }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			n.open("org_a", "starter")
			n.inOrder("org_a")
			tt.set(&n.d.Timeouts)
			n.up.Script("openai", "gpt-6-luna", sandbox.Script{Hang: tt.hang})
			a := n.ask(t.Context(), "org_a", "auto", "hello", tt.more)
			if a.failure != nil {
				t.Fatalf("%+v", a.failure)
			}
			if s := n.settled(a.id); s.Model != models[1] || s.Attempts[0].Class != string(router.ClassTimeout) {
				t.Errorf("settled %+v", s)
			}
		})
	}
}

// What a caller asked wrongly is not asked of the next upstream.
func TestBadRequestMovesOnNowhere(t *testing.T) {
	n := newNode(t)
	n.open("org_a", "starter")
	a := n.ask(t.Context(), "org_a", "auto", "hello [[sandbox fail=bad_request]]", "")
	if a.failure == nil || a.failure.Status != http.StatusBadRequest || len(n.up.Calls()) != 1 {
		t.Errorf("%+v after %d calls", a.failure, len(n.up.Calls()))
	}
}

// 64 callers at once on a balance that pays for few of them: exactly so many are served, and nothing is overdrawn.
func TestNoOverdraft(t *testing.T) {
	small := ledger.Plan{ID: "small", Tokens: 2_000, Lanes: []ledger.Lane{ledger.LaneAuto, ledger.LaneManual}}
	bare := ledger.Plan{ID: "bare", Lanes: []ledger.Lane{ledger.LaneAuto, ledger.LaneManual}, Credit: true}
	for _, plan := range []string{"small", "bare"} {
		t.Run(plan, func(t *testing.T) {
			n := newNode(t, small, bare)
			n.open("org_a", plan)
			account, unit := ledger.Account{Org: "org_a", Kind: "plan", ID: "p1"}, ledger.Tok
			if plan == "bare" {
				n.buy("org_a", "lot_1", 2_000_000)
				account, unit = ledger.Account{Org: "org_a", Kind: "credit", ID: "lot_1"}, ledger.USD
			}
			before := n.balance(account, unit)
			var mu sync.Mutex
			var held, cost int64
			served := int64(0)
			var wg sync.WaitGroup
			for range 64 {
				wg.Go(func() {
					for {
						a := n.ask(t.Context(), "org_a", models[0], "hello [[sandbox output=60]]", `,"max_completion_tokens":400`)
						if a.code() == "funds_held" {
							continue
						}
						if a.failure != nil && a.code() != "insufficient_funds" {
							t.Errorf("%+v", a.failure)
						}
						if a.failure == nil {
							s := n.settled(a.id)
							mu.Lock()
							served++
							held, cost = s.Held[0].Amount, s.Draws[0].Amount
							mu.Unlock()
						}
						return
					}
				})
			}
			wg.Wait()
			if want := (before-held)/cost + 1; served != want || held <= cost {
				t.Errorf("%d were served, want %d: balance %d, hold %d, cost %d", served, want, before, held, cost)
			}
			n.neverBelowZero()
		})
	}
}

// neverBelowZero folds the log from its start and looks at every balance after every event.
func (n *node) neverBelowZero() {
	n.t.Helper()
	fold := map[ledger.Account]map[ledger.Unit]int64{}
	for r := range n.log() {
		for _, p := range r.Postings() {
			if fold[p.Account] == nil {
				fold[p.Account] = map[ledger.Unit]int64{}
			}
			fold[p.Account][p.Unit] += p.Amount
			if p.Account.Org != "" && fold[p.Account][p.Unit] < 0 {
				n.t.Fatalf("position %d: %s is %d %s", r.Position, p.Account, fold[p.Account][p.Unit], p.Unit)
			}
		}
	}
}
