package router_test

import (
	"testing"
	"time"

	"waybill/ledger"
	"waybill/router"
)

// A credential that was given a new secret is tried at once, whatever the former one has come to, but for as long as an upstream has
// asked to be left alone; and calls that are still under way with the former secret shut out nothing any more.
func TestNewSecret(t *testing.T) {
	h, now := router.NewHealth(), time.Unix(1_800_000_000, 0)
	leg := func(model string) ledger.Choice {
		return ledger.Choice{Model: "openai/" + model, Credential: "cred_1", Kind: ledger.Platform}
	}
	other := ledger.Choice{Model: "openai/server_error", Credential: "cred_2"}
	for _, class := range []router.Class{router.ClassServerError, router.ClassOverloaded, router.ClassTimeout, router.ClassConnection, router.ClassRateLimited, router.ClassCredential} {
		for range 3 {
			try(h, leg(string(class)), now, class)
		}
		if !h.Open(leg(string(class)), now) {
			t.Fatalf("%s opens no breaker", class)
		}
	}
	for range 3 {
		try(h, other, now, router.ClassServerError)
	}
	hinted := func(model string, class router.Class, hint time.Duration) {
		trial, _ := h.Allow(leg(model), now)
		trial.Hinted(hint)
		trial.Report(class, now)
	}
	for range 2 {
		try(h, leg("asked"), now, router.ClassServerError)
	}
	hinted("asked", router.ClassRateLimited, 20*time.Second) // the third failure, which opens the breaker for longer
	hinted("used up", router.ClassCredential, 20*time.Second)
	under, _ := h.Allow(leg("under way"), now)
	under.Wait(now)
	now = now.Add(30 * time.Second) // and one that is tried with the former secret
	probe, _ := h.Allow(leg("timeout"), now)
	now = now.Add(-20 * time.Second)
	h.Trip("cred_1", time.Time{}, router.ClassCredential, now)
	h.Renewed("cred_1")
	for _, model := range []string{"server_error", "overloaded", "timeout", "connection", "rate_limited", "credential", "used up", "under way"} {
		if c := h.Condition(leg(model), now); c.Open || c.Failures != 0 || h.State(leg(model), now) != (router.State{}) {
			t.Errorf("%s: %+v, %+v", model, c, h.State(leg(model), now))
		}
	}
	if got := h.Rests("org_a", leg("asked"), now); got != 10*time.Second {
		t.Errorf("it rests for %v, and its upstream has asked for 10 s more", got)
	}
	if !h.Open(other, now) {
		t.Error("another credential's breaker is closed")
	}
	under.Report(router.ClassCredential, now)
	probe.Report(router.ClassTimeout, now)
	for _, model := range []string{"under way", "timeout"} {
		if h.Open(leg(model), now) || h.State(leg(model), now).Failing {
			t.Errorf("%s: a call with the former secret shuts the new one out", model)
		}
	}
	if try(h, leg("under way"), now, router.ClassCredential); !h.Open(leg("under way"), now) || h.State(leg("under way"), now).Since != now {
		t.Error("a call with the new secret that fails by it opens no breaker, or one of before")
	}
}

// What rests is told for how long: until it is tried next.
func TestRestIsWhatIsLeft(t *testing.T) {
	h, now := router.NewHealth(), time.Unix(1_800_000_000, 0)
	after := func(d time.Duration) time.Time { return now.Add(d) }
	empty, down := ledger.Choice{Model: "openai/a", Credential: "empty"}, ledger.Choice{Model: "openai/a", Credential: "down"}
	rests := func(org string, c ledger.Choice, at, want time.Duration) {
		t.Helper()
		if got := h.Rests(org, c, after(at)); got != want {
			t.Errorf("after %v %s rests for %v, not %v", at, c.Credential, got, want)
		}
	}
	h.Trip("empty", after(5*time.Minute), router.ClassCredential, now)
	rests("org_a", empty, 0, 5*time.Minute)
	rests("org_a", empty, 5*time.Minute-2*time.Second, 2*time.Second)
	rests("org_a", empty, 5*time.Minute, 0)
	h.Trip("empty", time.Time{}, router.ClassCredential, now)
	rests("org_a", empty, time.Hour, 30*time.Second)

	for range 3 {
		try(h, down, now, router.ClassServerError)
	}
	rests("org_a", down, 12*time.Second, 18*time.Second)
	if _, ok := h.AllowOrg("org_a", down, after(40*time.Second)); !ok {
		t.Fatal("no probe")
	}
	rests("org_b", down, 45*time.Second, 25*time.Second) // the probe waits for 30 s at the most
	second, ok := h.AllowOrg("org_b", down, after(70*time.Second))
	if !ok {
		t.Fatal("the first probe has lapsed, and there is no second")
	}
	second.Report(router.ClassCanceled, after(71*time.Second))
	if _, ok := h.AllowOrg("org_b", down, after(72*time.Second)); !ok {
		t.Fatal("nothing was found out, and there is no third probe")
	}
	rests("org_b", down, 72*time.Second, 30*time.Second) // its own is under way
	rests("org_a", down, 72*time.Second, 0)              // another's turn
	if _, ok := h.AllowOrg("org_b", down, after(73*time.Second)); ok {
		t.Error("an org has two probes")
	}
}

// Since when a leg fails is told of the failure that lasts, not of one before.
func TestSinceIsOfThePresentFailure(t *testing.T) {
	h, now := router.NewHealth(), time.Unix(1_800_000_000, 0)
	leg := ledger.Choice{Model: "openai/a", Credential: "cred_1"}
	for range 3 {
		try(h, leg, now, router.ClassServerError)
	}
	first := now
	now = now.Add(time.Minute)
	if try(h, leg, now, router.ClassTimeout); h.State(leg, now) != (router.State{Failing: true, Since: first, Why: router.ClassTimeout}) {
		t.Errorf("nothing has come through since: %+v", h.State(leg, now))
	}
	now = now.Add(time.Minute)
	try(h, leg, now, "")
	now = now.Add(time.Minute)
	try(h, leg, now, router.ClassOverloaded)
	try(h, leg, now, router.ClassOverloaded)
	now = now.Add(time.Minute)
	if try(h, leg, now, router.ClassOverloaded); h.State(leg, now).Since != now {
		t.Errorf("since %v, and it was well in between", h.State(leg, now).Since)
	}
	h.Trip("cred_1", now.Add(time.Minute), router.ClassCredential, now)
	now = now.Add(2 * time.Minute)
	if h.Trip("cred_1", now.Add(time.Minute), router.ClassCredential, now); h.State(leg, now).Since != now {
		t.Errorf("since %v, and the earlier trip was over", h.State(leg, now).Since)
	}
}

// A caller for whom every leg rests is told when the first will be tried again.
func TestRetryAfterOfWhatRests(t *testing.T) {
	n, clock := wound(t)
	n.open("acme", "teams")
	n.d.Health.Trip(n.pool["openai"], n.d.Now().Add(4*time.Minute), router.ClassCredential, n.d.Now())
	for _, want := range []time.Duration{4 * time.Minute, 150 * time.Second, time.Minute} {
		if a := n.ask(t.Context(), "acme", models[0], "hi", ""); a.failure == nil || a.failure.Status != 503 || a.failure.RetryAfter != want {
			t.Errorf("%+v, not after %v", a.failure, want)
		}
		clock.sleep(t.Context(), 90*time.Second)
	}
	n.d.Health.Trip(n.pool["openai"], n.d.Now().Add(time.Hour), router.ClassCredential, n.d.Now())
	if a := n.ask(t.Context(), "acme", models[0], "hi", ""); a.failure == nil || a.failure.RetryAfter != 5*time.Minute {
		t.Errorf("%+v", a.failure)
	}
}
