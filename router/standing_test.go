package router_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"waybill/ledger"
	"waybill/router"
	"waybill/router/dialects"
)

const haiku = "anthropic/claude-haiku-5-5"

// count asks for the number of tokens of a conversation.
func (n *node) count(org string) *answer {
	in := dialects.Inbounds[ledger.DialectAnthropicMessages]
	a := &answer{id: fmt.Sprintf("req_%06d", n.seq.Add(1))}
	q, err := in.Decode(router.Incoming{Endpoint: router.EndpointCount, Body: []byte(`{"model":"` + haiku + `","messages":[{"role":"user","content":"hi"}]}`), Model: haiku})
	if err != nil {
		n.t.Fatal(err)
	}
	a.failure = n.d.Do(n.t.Context(), router.Task{ID: a.id, By: ledger.By{Actor: "test", Cause: a.id}, Org: org, Request: q, Inbound: in}, a)
	return a
}

// A count of tokens costs nothing and is bounded apart: neither does one that is refused shut a leg for chat, nor one that is
// answered keep a failing leg open, nor a failing leg shut out counts. Where the credential is of no use they are not called either.
func TestCountsShowNothing(t *testing.T) {
	const limited, overloaded, dead = http.StatusTooManyRequests, 529, http.StatusUnauthorized
	kinds := map[int]string{limited: "rate_limit_error", overloaded: "overloaded_error", dead: "authentication_error"}
	var counts, chats atomic.Int64 // the status that they get; 0: they are answered
	n := newNode(t)
	n.open("org_a", "teams")
	n.open("org_b", "teams")
	n.upstream("anthropic", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		status, well := chats.Load(), `{"id":"m","type":"message","role":"assistant","model":"claude-haiku-5-5","content":[{"type":"text","text":"ok"}],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":1}}`
		if strings.HasSuffix(r.URL.Path, "count_tokens") {
			status, well = counts.Load(), `{"input_tokens":3}`
		}
		if status == 0 {
			fmt.Fprint(w, well)
			return
		}
		w.WriteHeader(int(status))
		fmt.Fprintf(w, `{"type":"error","error":{"type":%q,"message":"no"}}`, kinds[int(status)])
	})
	leg := ledger.Choice{Model: haiku, Credential: n.pool["anthropic"], Kind: ledger.Platform}
	for _, status := range []int64{limited, dead} {
		counts.Store(status)
		for range 4 {
			n.count("org_a")
		}
		if a := n.ask(t.Context(), "org_b", haiku, "hi", ""); a.failure != nil {
			t.Fatalf("after counts with %d: %+v", status, a.failure)
		}
	}
	if c := n.d.Health.Condition(leg, time.Now()); c.Failures != 0 {
		t.Errorf("the figures of chat have them: %+v", c)
	}
	counts.Store(0)
	chats.Store(overloaded)
	for range 4 {
		n.d.Retries = router.Retries{}
		n.ask(t.Context(), "org_b", haiku, "hi", "")
		if a := n.count("org_a"); a.failure != nil {
			t.Fatalf("a count beside a chat that fails: %+v", a.failure)
		}
	}
	if !n.d.Health.Open(leg, time.Now()) {
		t.Error("counts keep the breaker of a failing chat closed")
	}
	n.d.Health = router.NewHealth()
	chats.Store(dead)
	n.ask(t.Context(), "org_b", haiku, "hi", "")
	if a := n.count("org_a"); a.code() != "upstream_failed" || a.failure.Status != http.StatusServiceUnavailable {
		t.Errorf("a count on a credential that is refused: %+v", a.failure)
	}
}

// A tier of service has bounds and a pace of its own: that there is no room in one says nothing of the others.
func TestTiersAreKnownApart(t *testing.T) {
	n := newNode(t)
	n.open("org_a", "teams")
	n.open("org_b", "teams")
	var calls atomic.Int64
	n.upstream("openai", func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		if strings.Contains(string(b), `"flex"`) {
			w.WriteHeader(http.StatusTooManyRequests)
			fmt.Fprint(w, `{"error":{"message":"resource unavailable","type":"requests","code":"resource_unavailable"}}`)
			return
		}
		fmt.Fprint(w, `{"id":"c","object":"chat.completion","model":"gpt-6-luna","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}`)
	})
	leg := ledger.Choice{Model: models[0], Credential: n.pool["openai"], Kind: ledger.Platform}
	for range 4 {
		n.ask(t.Context(), "org_a", models[0], "hi", `,"service_tier":"flex"`)
	}
	before := calls.Load()
	flex := n.ask(t.Context(), "org_a", models[0], "hi", `,"service_tier":"flex"`)
	if f := flex.failure; f == nil || f.Status != http.StatusServiceUnavailable || calls.Load() != before || !strings.Contains(f.Message, "breaker_open: rate_limited since") {
		t.Errorf("the tier itself rests not: %+v after %d calls more", f, calls.Load()-before)
	}
	if c := n.d.Health.Condition(leg, time.Now()); c.Open || c.Failures != 0 || n.d.Health.State(leg, time.Now()).Failing {
		t.Errorf("the usual tier: %+v", c)
	}
	for _, tier := range []string{"", `,"service_tier":"auto"`, `,"service_tier":"default"`, `,"service_tier":"priority"`} {
		if a := n.ask(t.Context(), "org_b", models[0], "hi", tier); a.failure != nil {
			t.Errorf("%s: %+v", tier, a.failure)
		}
	}
	for range 3 {
		try(n.d.Health, leg, time.Now(), router.ClassOverloaded)
	}
	for _, tier := range []string{"", "auto", "default", "standard", "standard_only"} { // they are one
		a := n.ask(t.Context(), "org_b", models[0], "hi", `,"service_tier":"`+tier+`"`)
		if a.failure == nil || a.failure.Status != http.StatusServiceUnavailable {
			t.Errorf("%q: %+v", tier, a.failure)
		}
	}
	if a := n.ask(t.Context(), "org_b", models[0], "hi", `,"service_tier":"priority"`); a.failure != nil {
		t.Errorf("priority, beside a usual tier that rests: %+v", a.failure)
	}
}

// Who gives a probe no time, or leaves it, or has it wait, takes the turn of nobody else, however often.
func TestProbesInVain(t *testing.T) {
	leg := ledger.Choice{Model: "openai/gpt-6-sol", Credential: "cred_1", Kind: ledger.Platform}
	for _, tt := range []struct {
		name  string
		holds time.Duration
		orgs  int // that do it together
	}{{"at once", 0, 1}, {"soon", 150 * time.Millisecond, 1}, {"late", 29 * time.Second, 1}, {"never", time.Hour, 1}, {"late, three", 29900 * time.Millisecond, 3}} {
		t.Run(tt.name, func(t *testing.T) {
			h, now := router.NewHealth(), time.Unix(1_800_000_000, 0)
			for range 3 {
				try(h, leg, now, router.ClassServerError)
			}
			if now = now.Add(30*time.Second - 1); try(h, leg, now, "") {
				t.Fatal("there is no pause")
			}
			now = now.Add(1)
			probes, ends := map[string]*router.Trial{}, map[string]time.Time{}
			for ms := 0; ms < 95_000; ms += 5 { // the upstream is well again all the while
				at := now.Add(time.Duration(ms) * time.Millisecond)
				for i := range tt.orgs {
					org := fmt.Sprint("org_", i)
					if p := probes[org]; p != nil && !at.Before(ends[org]) {
						p.Report(router.ClassBadRequest, at) // as of a call that was given too little time
						probes[org] = nil
					}
					if p, ok := h.AllowOrg(org, leg, at); ok {
						probes[org], ends[org] = p, at.Add(tt.holds)
						if _, ok := h.AllowOrg(org, leg, at); ok {
							t.Fatalf("after %v: one org has two probes", at.Sub(now))
						}
					}
				}
				if ms%1000 == 500 {
					if p, ok := h.AllowOrg("another", leg, at); ok {
						if p.Heard(); h.Open(leg, at) || !try(h, leg, at, "") {
							t.Error("a probe that is answered does not close the breaker")
						}
						t.Logf("another's turn comes after %v", at.Sub(now))
						return
					}
				}
			}
			t.Error("another's turn never comes")
		})
	}
}

// However many probes have been in vain, few try a leg at a time, and the first that fails ends the others' turn.
func TestProbesAreBounded(t *testing.T) {
	h, now := router.NewHealth(), time.Unix(1_800_000_000, 0)
	leg := ledger.Choice{Model: "openai/gpt-6-sol", Credential: "cred_1", Kind: ledger.Platform}
	for range 3 {
		try(h, leg, now, router.ClassServerError)
	}
	now = now.Add(30 * time.Second)
	for range 100 {
		try(h, leg, now, router.ClassCanceled)
	}
	var probes []*router.Trial
	for i := range 100 {
		if p, ok := h.AllowOrg(fmt.Sprint("org_", i), leg, now); ok {
			probes = append(probes, p)
		}
	}
	if len(probes) != 16 || !h.Open(leg, now) {
		t.Fatalf("%d probes at a time", len(probes))
	}
	probes[0].Report(router.ClassTimeout, now)
	probes[1].Report(router.ClassTimeout, now.Add(10*time.Second)) // no news
	if try(h, leg, now.Add(30*time.Second-1), "") {
		t.Error("a probe that failed begins no pause")
	}
	now = now.Add(30 * time.Second)
	if _, ok := h.AllowOrg("org_x", leg, now); !ok || try(h, leg, now, "") {
		t.Error("after that pause not one probe tries the leg, but none or several")
	}
}

// An org whose calls take longer than it gives them shuts a leg that is well again for nobody.
func TestHastyProbes(t *testing.T) {
	n := newNode(t)
	n.open("org_a", "teams")
	n.open("org_b", "teams")
	n.policy("org_a", `{"timeouts":{"attempt":"100ms"}}`)
	leg := ledger.Choice{Model: models[0], Credential: n.pool["openai"], Kind: ledger.Platform}
	for range 3 {
		try(n.d.Health, leg, time.Now().Add(-31*time.Second), router.ClassServerError)
	}
	stop, done := make(chan bool), make(chan bool)
	for i := range 4 {
		go func() {
			defer func() { done <- true }()
			for j := 0; ; j++ {
				select {
				case <-stop:
					return
				default:
					n.d.Do(t.Context(), n.task(fmt.Sprintf("req_h_%d_%d", i, j), "org_a", models[0], "hello [[sandbox latency=400ms]]", ""), &answer{})
				}
			}
		}()
	}
	until(t, func() bool { return len(n.up.Calls()) >= 2 }) // the first was in vain
	if a := n.ask(t.Context(), "org_b", models[0], "hello", ""); a.failure != nil {
		t.Errorf("%+v", a.failure)
	}
	close(stop)
	for range 4 {
		<-done
	}
}
