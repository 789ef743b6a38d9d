package router_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"waybill/ledger"
	"waybill/router"
	"waybill/router/sandbox"
)

// turn asks on in a conversation that began with the same words, and says which model answered and whether it was to.
func (n *node) turn(org, model, begin, more string) (answered string, sticky bool) {
	n.t.Helper()
	body := fmt.Sprintf(`{"model":%q,"messages":[{"role":"system","content":"be brief"},{"role":"user","content":%q}%s]}`, model, begin, more)
	a := n.send(n.t.Context(), org, []byte(body))
	if a.failure != nil {
		n.t.Fatalf("%+v", a.failure)
	}
	return short(n.settled(a.id).Model), n.trace(a.id)[0].(*ledger.RequestAdmitted).Inputs.Sticky != nil
}

const later = `,{"role":"assistant","content":"well"},{"role":"user","content":"go on"}`

// A conversation of the auto lane whose prompt is in a provider's cache stays there, though others look better by now.
func TestSticky(t *testing.T) {
	long := strings.Repeat("word ", 1200)
	for _, directive := range []string{"", " [[sandbox input=200 cached=100]]"} {
		begin, later := long, later
		if directive != "" {
			begin, later = "hello there"+directive, strings.Replace(later, "go on", "go on"+directive, 1)
		}
		n, clock := wound(t)
		n.open("org_a", "starter")
		n.open("org_b", "starter")
		want := func(what, org, model, begin, more, by string, sticks bool) {
			t.Helper()
			if got, sticky := n.turn(org, model, begin, more); got != by || sticky != sticks {
				t.Errorf("%s: %s answers, kept there: %v; want %s, %v", what, got, sticky, by, sticks)
			}
		}
		want("the first turn", "org_a", "auto", begin, "", "lite", false)
		want("too short for a cache", "org_a", "auto", "hello", "", "lite", false)
		remove := n.up.Script("google", "gemini-2.5-flash-lite", sandbox.Script{Latency: 9 * time.Second})
		for range 4 {
			n.turn("org_b", "auto", "make it slow", "")
		}
		want("another that is too short", "org_a", "auto", "hello", later, "luna", false)
		want("the second turn", "org_a", "auto", begin, later, "lite", true)
		want("of another org", "org_b", "auto", begin, later, "luna", false)
		want("asked for otherwise", "org_a", "auto:latency", begin, later, "luna", false)
		remove()

		clock.sleep(t.Context(), 4*time.Minute)
		want("after four minutes", "org_a", "auto", begin, later, "lite", true)
		clock.sleep(t.Context(), 4*time.Minute)
		for range 3 {
			fail(n, "google/gemini-2.5-flash-lite", clock.now())
		}
		want("its breaker is open", "org_a", "auto", begin, later, "luna", false)
		clock.sleep(t.Context(), time.Minute)
		want("it is where it was answered last", "org_a", "auto", begin, later, "luna", true)
		clock.sleep(t.Context(), 5*time.Minute)
		want("after five minutes", "org_a", "auto", begin, later, "lite", false)
		if kept, sticky := n.turnNamed(begin, later); kept != "luna" || sticky {
			t.Errorf("a named model: %s, kept: %v", kept, sticky)
		}
	}
}

// fail reports a failure of a leg of the platform's.
func fail(n *node, model string, at time.Time) {
	provider, _, _ := strings.Cut(model, "/")
	trial, ok := n.d.Health.Allow(ledger.Choice{Model: model, Credential: n.pool[provider]}, at)
	if ok {
		trial.Report(router.ClassOverloaded, at)
	}
}

// turnNamed asks a named model twice, which waybill never keeps anywhere.
func (n *node) turnNamed(begin, later string) (string, bool) {
	n.open("org_t", "teams")
	n.turn("org_t", models[0], begin, "")
	return n.turn("org_t", models[0], begin, later)
}

// The memory of conversations is bounded.
func TestStickyIsBounded(t *testing.T) {
	var s router.Sticky
	for i := range 200_000 {
		s.Stick("org", fmt.Sprint(i))
	}
	if n := s.Len(); n > 70_000 {
		t.Errorf("%d conversations are kept", n)
	}
}
