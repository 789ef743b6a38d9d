package router_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"waybill/ledger"
	"waybill/router/sandbox"
)

// A stream that is silent for long gets headers and signs of life; another leg may still answer it, and an error in the end
// is the stream's.
func TestSignsOfLife(t *testing.T) {
	const route = `{"timeouts":{"first_byte":"400ms"},"routes":[{"when":{"model":"auto"},"auto":{"pool":["openai/gpt-6-luna","anthropic/claude-haiku-5-5"]}}]}`
	for _, all := range []bool{false, true} {
		n := newNode(t)
		n.open("org_a", "teams")
		n.policy("org_a", route)
		n.d.Timeouts.Quiet = 20 * time.Millisecond
		n.up.Script("openai", "gpt-6-luna", sandbox.Script{Hang: sandbox.AtHeaders})
		if all {
			n.up.Script("anthropic", "claude-haiku-5-5", sandbox.Script{Hang: sandbox.AtHeaders})
		}
		a := n.ask(t.Context(), "org_a", "auto", "hello", `,"stream":true`)
		if a.failure != nil || !strings.HasPrefix(a.text(), ": waybill\n\n") || a.facts.Request != a.id || a.facts.Model != "" {
			t.Fatalf("all=%v: %+v %+v\n%s", all, a.failure, a.facts, a.text())
		}
		if whole := a.whole(); whole == all || all != strings.Contains(a.text(), `"code":"upstream_failed"`) {
			t.Errorf("all=%v: %s", all, a.text())
		}
		if n.holds() != 0 {
			t.Errorf("%d holds", n.holds())
		}
	}
}

// Google's clients bear no signs of life, and a unary call has no place for them.
func TestNoSignsOfLife(t *testing.T) {
	n := newNode(t)
	n.open("org_a", "teams")
	n.d.Timeouts.Quiet = time.Millisecond
	a := n.ask(t.Context(), "org_a", "openai/gpt-6-luna", "hello [[sandbox latency=50ms]]", "")
	if a.failure != nil || strings.Contains(a.text(), "waybill") || a.facts.Model == "" {
		t.Errorf("%+v %s", a.failure, a.text())
	}
}

// gone is a caller who leaves with the first content.
type gone struct {
	*answer
	once  *sync.Once
	leave context.CancelFunc
}

func (c gone) Send(b []byte) error {
	c.once.Do(c.leave)
	return c.answer.Send(b)
}

// Where the policy cancels what nobody waits for, the call ends with its caller and is settled on a marked estimate.
func TestAbortCancels(t *testing.T) {
	for _, tt := range []struct {
		policy  string
		source  ledger.UsageSource
		outcome ledger.Outcome
	}{
		{`{"on_abort":"cancel"}`, ledger.UsageEstimate, ledger.Abandoned},
		{`{"on_abort":"drain"}`, ledger.UsageProvider, ledger.Answered},
	} {
		n := newNode(t)
		n.open("org_a", "teams")
		n.policy("org_a", tt.policy)
		ctx, leave := context.WithCancel(t.Context())
		a := &answer{id: "req_left"}
		words := "hello [[sandbox output=200 delay=2ms]]"
		n.d.Do(ctx, n.task(a.id, "org_a", "openai/gpt-6-luna", words, `,"stream":true`), gone{a, new(sync.Once), leave})
		s := n.settled(a.id)
		if s.Source != tt.source || s.Attempts[0].Outcome != tt.outcome || s.Reason != "client_gone" || s.Usage.Output == 0 || n.holds() != 0 {
			t.Errorf("%s: settled %+v", tt.policy, s)
		}
		if n.d.Draining() != 0 {
			t.Errorf("%s: %d calls are still being drained", tt.policy, n.d.Draining())
		}
	}
}
