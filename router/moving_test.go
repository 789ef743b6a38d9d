package router_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"waybill/ledger"
	"waybill/router/sandbox"
)

// hands is a clock that goes only when it is told to, or when an upstream takes its time.
type hands struct {
	mu sync.Mutex
	at time.Time
}

func (h *hands) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at
}

func (h *hands) sleep(_ context.Context, d time.Duration) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = h.at.Add(d)
	return nil
}

// wound is a node in whose upstreams and router time passes by the hands alone.
func wound(t *testing.T) (*node, *hands) {
	t.Helper()
	n, h := newNode(t), &hands{at: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)}
	up, err := sandbox.Listen("127.0.0.1:0", sandbox.Options{Now: h.now, Sleep: h.sleep})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { up.Close() })
	n.up, n.d.Now = up, h.now
	for name, p := range n.d.Providers {
		p.BaseURL = up.BaseURL(name)
		n.d.Providers[name] = p
	}
	return n, h
}

// shorts are the models' names in the tests of the auto lane.
var shorts = map[string]string{
	"luna": "openai/gpt-6-luna", "sol": "openai/gpt-6-sol", "4o": "openai/gpt-4o", "mini": "openai/gpt-4o-mini", "5-mini": "openai/gpt-5-mini", "4.1-mini": "openai/gpt-4.1-mini",
	"haiku": "anthropic/claude-haiku-5-5", "sonnet": "anthropic/claude-sonnet-5-5",
	"lite": "google/gemini-2.5-flash-lite", "pro": "google/gemini-2.5-pro",
	"plain": "openai/plain", "free": "google/free", "unpriced": "openai/unpriced", "retired": "openai/retired",
	"unlisted": "openai/gpt-9", "ghost": "mistral/large",
}

func short(model string) string {
	for s, full := range shorts {
		if full == model {
			return s
		}
	}
	return model
}

// served is how many calls each model has answered in a stretch of time.
type served map[string]int

func (s served) share(model string) int {
	all := 0
	for _, n := range s {
		all += n
	}
	return 100 * s[model] / max(1, all)
}

func (s served) String() string {
	var out []string
	for _, m := range []string{"lite", "luna", "haiku"} {
		out = append(out, fmt.Sprintf("%s %3d %%", m, s.share(m)))
	}
	return strings.Join(out, ", ")
}

// The auto lane's first choice becomes slow, and its second fails: traffic moves to the third at once, no caller sees an error,
// and comes back when both have recovered.
func TestTrafficMoves(t *testing.T) {
	for _, stream := range []string{`,"stream":true`, ""} {
		t.Run("stream"+stream, func(t *testing.T) { trafficMoves(t, stream) })
		if testing.Short() {
			return
		}
	}
}

func trafficMoves(t *testing.T, more string) {
	n, clock := wound(t)
	n.open("org_a", "starter")
	start := clock.now()
	well := []sandbox.Script{{Latency: 300 * time.Millisecond}, {Latency: 400 * time.Millisecond}, {Latency: 500 * time.Millisecond}}
	var undo []func()
	behave := func(lite, luna, haiku sandbox.Script) {
		for _, remove := range undo {
			remove()
		}
		undo = []func(){n.up.Script("google", "gemini-2.5-flash-lite", lite), n.up.Script("openai", "gpt-6-luna", luna), n.up.Script("anthropic", "claude-haiku-5-5", haiku)}
	}
	// during is what answers until a second of the run, a call each half a second; slow counts those that took long.
	during := func(until time.Duration) (s served, slow int) {
		s = served{}
		for clock.now().Sub(start) < until {
			asked := clock.now()
			a := n.ask(t.Context(), "org_a", "auto", "hello", more)
			if a.failure != nil {
				t.Fatalf("after %v: %+v", clock.now().Sub(start), a.failure)
			}
			s[short(n.settled(a.id).Model)]++
			if clock.now().Sub(asked) > 2*time.Second {
				slow++
			}
			clock.sleep(t.Context(), 500*time.Millisecond)
		}
		return s, slow
	}
	type phase struct {
		name        string
		until       time.Duration
		model       string // that answers nearly all
		share, slow int    // at least, at most
	}
	run := func(phases ...phase) {
		for _, p := range phases {
			s, slow := during(p.until)
			t.Logf("until %4v, %-28s %v, %d slow", p.until, p.name+":", s, slow)
			if s.share(p.model) < p.share || slow > p.slow {
				t.Errorf("%s: %v with %d slow answers, want %d %% of %s and at most %d slow", p.name, s, slow, p.share, p.model, p.slow)
			}
		}
	}
	behave(well[0], well[1], well[2])
	run(phase{"all well", 30 * time.Second, "lite", 100, 0})
	behave(sandbox.Script{Latency: 8 * time.Second}, sandbox.Script{Fail: sandbox.Overloaded}, well[2])
	run(phase{"lite slow, luna failing", 60 * time.Second, "haiku", 80, 2}, phase{"and on", 100 * time.Second, "haiku", 90, 2})
	behave(well[0], well[1], well[2])
	run(phase{"both recovered", 150 * time.Second, "lite", 30, 0}, phase{"and on", 200 * time.Second, "lite", 95, 0})
	if c := n.d.Health.Condition(ledger.Choice{Model: "openai/gpt-6-luna", Credential: "cred_openai"}, clock.now()); c.Open || c.Failures > 10 {
		t.Errorf("the failures of luna have not faded: %+v", c)
	}
	var e *ledger.RequestAdmitted
	for _, event := range n.trace("req_000040") {
		if a, ok := event.(*ledger.RequestAdmitted); ok {
			e = a
		}
	}
	if e == nil || len(e.Inputs.Scores) != 3 || len(e.Inputs.Conditions) == 0 {
		t.Errorf("the log has no scores and what they were made from: %+v", e)
	}
}

// An upstream that hangs is left before any of its calls has ended.
func TestTrafficLeavesWhatHangs(t *testing.T) {
	n, clock := wound(t)
	n.open("org_a", "starter")
	n.up.Script("google", "gemini-2.5-flash-lite", sandbox.Script{Hang: sandbox.AtHeaders})
	ctx, leave := context.WithCancel(t.Context())
	n.d.Timeouts.Drain = time.Millisecond
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.ask(ctx, "org_a", "auto", "hello", `,"stream":true`)
	}()
	for len(n.up.Calls()) == 0 {
		time.Sleep(time.Millisecond)
	}
	clock.sleep(t.Context(), 3*time.Second)
	if s := n.settled(n.ask(t.Context(), "org_a", "auto", "hello", `,"stream":true`).id); s == nil || s.Model != models[0] || len(s.Attempts) != 1 {
		t.Errorf("settled %+v", s)
	}
	leave()
	<-done
}

// unhurried is a caller who takes a second for whatever comes.
type unhurried struct {
	answer
	clock *hands
}

func (u *unhurried) Send(b []byte) error {
	u.clock.sleep(context.Background(), time.Second)
	return u.answer.Send(b)
}

// What others have taken is not the leg's: the attempt before it, and the caller.
func TestPaceIsTheLegsOwn(t *testing.T) {
	n, clock := wound(t)
	n.open("org_a", "starter")
	n.inOrder("org_a")
	n.up.Script("openai", "gpt-6-luna", sandbox.Script{Latency: 5 * time.Second, Fail: sandbox.Overloaded})
	n.up.Script("anthropic", "claude-haiku-5-5", sandbox.Script{Latency: 400 * time.Millisecond, Output: 100, Chunks: 10})
	a := &unhurried{clock: clock}
	if failure := n.d.Do(t.Context(), n.task("req_1", "org_a", "auto", "hello", `,"stream":true`), a); failure != nil {
		t.Fatalf("%+v", failure)
	}
	got := n.d.Health.Condition(ledger.Choice{Model: models[1], Credential: n.pool["anthropic"]}, clock.now())
	if got.FirstByte != int64(400*time.Millisecond) || got.Throughput != 0 {
		t.Errorf("%+v", got)
	}
}
