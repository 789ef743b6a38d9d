package router_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"waybill/ledger"
	"waybill/router"
	"waybill/router/sandbox"
)

// stalled is a client whose connections do not come to stand.
func stalled(t *testing.T) *http.Client {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// Who gives the platform's upstreams less time than the node does opens no breaker for others. The node's own time does, and so
// does an org's on a credential of its own, which nobody else has.
func TestOwnTimeouts(t *testing.T) {
	short, long := 150*time.Millisecond, time.Minute
	node := router.Timeouts{Connect: long, FirstByte: long, Idle: long, Attempt: long, Total: long, Drain: time.Second}
	set := func(of func(*router.Timeouts) *time.Duration) router.Timeouts {
		t := node
		*of(&t) = short
		return t
	}
	for _, tt := range []struct {
		name     string
		node     router.Timeouts // as short as the policy's
		place    sandbox.Place   // where the upstream hangs; empty: no connection stands
		streamed bool
	}{
		{"connect", set(func(t *router.Timeouts) *time.Duration { return &t.Connect }), "", false},
		{"first_byte", set(func(t *router.Timeouts) *time.Duration { return &t.FirstByte }), sandbox.AtHeaders, true},
		{"idle", set(func(t *router.Timeouts) *time.Duration { return &t.Idle }), sandbox.AtFirst, true},
		{"attempt", set(func(t *router.Timeouts) *time.Duration { return &t.Attempt }), sandbox.AtHeaders, false},
		{"total", set(func(t *router.Timeouts) *time.Duration { return &t.Total }), sandbox.AtHeaders, false},
	} {
		for _, whose := range []string{"policy", "own credential", "node"} {
			t.Run(tt.name+", "+whose, func(t *testing.T) {
				t.Parallel()
				n := newNode(t)
				leg := ledger.Choice{Model: models[0], Credential: n.pool["openai"], Kind: ledger.Platform}
				for _, org := range []string{"org_a", "org_b"} {
					n.open(org, "teams")
				}
				n.d.Timeouts = node
				switch whose {
				case "node":
					n.d.Timeouts = tt.node
				case "own credential":
					leg = ledger.Choice{Model: models[0], Credential: "cred_own", Kind: ledger.BYOK}
					n.do(ledger.AttachCredential{Org: "org_a", Credential: "cred_own", Provider: "openai", Fingerprint: "x", Use: ledger.UseOnly})
				}
				n.policy("org_a", fmt.Sprintf(`{"timeouts":{%q:%q}}`, tt.name, short))
				good, more := n.d.Client, ""
				if tt.streamed {
					more = `,"stream":true`
				}
				undo := func() { n.d.Client = good }
				if tt.place == "" {
					n.d.Client = stalled(t)
				} else {
					undo = n.up.Script("openai", "gpt-6-luna", sandbox.Script{Hang: tt.place})
				}
				for range 3 {
					if a := n.ask(t.Context(), "org_a", models[0], "hello", more); a.code() != "upstream_failed" {
						t.Fatalf("%+v", a.failure)
					}
				}
				undo()
				if open := n.d.Health.Open(leg, time.Now()); open != (whose != "policy") {
					t.Errorf("the breaker is open: %v", open)
				}
				c := n.d.Health.Condition(leg, time.Now())
				if whose == "policy" && (c.Failures != 0 || c.FirstByte != 0) {
					t.Errorf("the scores have it: %+v", c)
				}
				if whose == "policy" {
					if a := n.ask(t.Context(), "org_b", models[0], "hello", ""); a.failure != nil {
						t.Errorf("another org gets %+v", a.failure)
					}
				}
			})
		}
	}
}

// Nor does who asks for so much that a well upstream may take longer, or be silent for longer, than the node gives. Where nothing at all
// is heard, or the credential is the org's own, it counts whatever was asked.
func TestTimeThatTheCallNeeds(t *testing.T) {
	const stream, think, low = `,"stream":true`, `,"reasoning_effort":"high"`, `,"reasoning_effort":"low"`
	for _, tt := range []struct {
		name, more string
		place      sandbox.Place
		own, opens bool
	}{
		{"silent in thought", stream + think, sandbox.AtFirst, false, false},
		{"silent without", stream, sandbox.AtFirst, false, true},
		{"silent in little thought", stream + low, sandbox.AtFirst, false, true},
		{"silent within the answer", stream + think, sandbox.After(1), false, true},
		{"on an own credential", stream + think, sandbox.AtFirst, true, true},
		{"not heard of", stream + think, sandbox.AtHeaders, false, true},
		{"thought, whole", think, sandbox.AtHeaders, false, false},
		{"long, whole", `,"max_completion_tokens":60000`, sandbox.AtHeaders, false, false},
		{"short, whole", `,"max_completion_tokens":40`, sandbox.AtHeaders, false, true},
		{"of no bound, whole", ``, sandbox.AtHeaders, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			n.open("org_a", "teams")
			leg := ledger.Choice{Model: models[0], Credential: n.pool["openai"], Kind: ledger.Platform}
			if tt.own {
				leg = ledger.Choice{Model: models[0], Credential: "cred_own", Kind: ledger.BYOK}
				n.do(ledger.AttachCredential{Org: "org_a", Credential: "cred_own", Provider: "openai", Fingerprint: "x", Use: ledger.UseOnly})
			}
			n.d.Timeouts.FirstByte, n.d.Timeouts.Idle, n.d.Timeouts.Total = 300*time.Millisecond, 300*time.Millisecond, 1200*time.Millisecond
			n.up.Script("openai", "gpt-6-luna", sandbox.Script{Hang: tt.place, Output: 40, Chunks: 4})
			for range 3 {
				if a := n.ask(t.Context(), "org_a", models[0], "hello", tt.more); a.failure == nil && !strings.Contains(a.text(), "error") {
					t.Fatalf("it was answered: %s", a.text())
				}
			}
			if c := n.d.Health.Condition(leg, time.Now()); c.Open != tt.opens || c.Failures > 0 != tt.opens {
				t.Errorf("%+v", c)
			}
		})
	}
}

// What another attempt has left of a request's time, and what a long answer uses up by itself, says nothing of an upstream.
func TestTimeThatOthersUsed(t *testing.T) {
	n := newNode(t)
	n.open("org_a", "starter")
	n.inOrder("org_a")
	n.d.Timeouts.Attempt, n.d.Timeouts.Total = 600*time.Millisecond, 800*time.Millisecond
	n.up.Script("", "", sandbox.Script{Hang: sandbox.AtHeaders})
	for range 3 {
		n.ask(t.Context(), "org_a", "auto", "hello", "")
	}
	for provider, open := range map[string]bool{"openai": true, "anthropic": false} {
		leg := ledger.Choice{Model: map[string]string{"openai": models[0], "anthropic": models[1]}[provider], Credential: n.pool[provider]}
		if n.d.Health.Open(leg, time.Now()) != open {
			t.Errorf("%s: the breaker is open: %v", provider, !open)
		}
	}
	n = newNode(t)
	n.open("org_a", "teams")
	n.d.Timeouts.Total = 200 * time.Millisecond
	for range 3 {
		a := n.ask(t.Context(), "org_a", models[0], "hello [[sandbox output=400 chunks=100 delay=20ms]]", `,"stream":true`)
		if s := n.settled(a.id); s == nil || s.Reason != string(router.ClassTimeout) {
			t.Fatalf("%+v: settled %+v", a.failure, s)
		}
	}
	if c := n.d.Health.Condition(ledger.Choice{Model: models[0], Credential: n.pool["openai"]}, time.Now()); c.Open || c.Failures != 0 || c.FirstByte == 0 {
		t.Errorf("answers that were long: %+v", c)
	}
}

// Whom an upstream may bill for a call that we have ended has it in the books, by an estimate: the house, whose credential it was.
func TestEndedCallsAreAbsorbed(t *testing.T) {
	for _, tt := range []struct {
		name, policy, more string
		leaves, own        bool
		sent               bool
	}{
		{"left and cancelled", `{"on_abort":"cancel"}`, "", true, false, true},
		{"a stream, left and cancelled", `{"on_abort":"cancel"}`, `,"stream":true`, true, false, true},
		{"the policy's deadline", `{"timeouts":{"attempt":"150ms"}}`, "", false, false, true},
		{"no connection", `{"timeouts":{"attempt":"150ms"}}`, "", false, false, false},
		{"an own credential", `{"timeouts":{"attempt":"150ms"}}`, "", false, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t)
			n.open("org_a", "teams")
			n.policy("org_a", tt.policy)
			if tt.own {
				n.do(ledger.AttachCredential{Org: "org_a", Credential: "cred_own", Provider: "openai", Fingerprint: "x", Use: ledger.UseOnly})
			}
			if !tt.sent {
				n.d.Client = stalled(t)
			}
			n.up.Script("openai", "gpt-6-luna", sandbox.Script{Hang: sandbox.AtHeaders})
			var last ledger.Event
			if tt.leaves {
				last = n.leaveAt("org_a", models[0], "hello", tt.more)
			} else {
				events := n.trace(n.ask(t.Context(), "org_a", models[0], "hello", tt.more).id)
				last = events[len(events)-1]
			}
			v, ok := last.(*ledger.RequestVoided)
			if !ok || len(v.Attempts) != 1 {
				t.Fatalf("%+v", last)
			}
			at := v.Attempts[0]
			if told := at.Usage.Input > 10 && at.Usage.Output == 0 && at.Source == ledger.UsageEstimate; told != tt.sent || !tt.sent && (at.Usage != ledger.Usage{} || at.Source != "") {
				t.Errorf("the attempt: %+v", at)
			}
			if absorbed := n.balance(ledger.Account{Kind: "absorbed"}, ledger.USD); (v.Absorbed > 0) != (tt.sent && !tt.own) || absorbed != int64(v.Absorbed) || n.holds() != 0 {
				t.Errorf("absorbed %d of %+v", absorbed, v)
			}
		})
	}
}
