package router_test

import (
	"fmt"
	"testing"
	"time"

	"waybill/ledger"
	"waybill/router"
)

// try asks for a leg and reports what becomes of it; no says that the breaker does not let it through.
func try(h *router.Health, c ledger.Choice, at time.Time, class router.Class) (ok bool) {
	trial, ok := h.Allow(c, at)
	if ok {
		trial.Report(class, at)
	}
	return ok
}

func TestBreaker(t *testing.T) {
	h, now := router.NewHealth(), time.Unix(1_800_000_000, 0)
	leg := ledger.Choice{Model: "openai/gpt-6-sol", Credential: "cred_1"}
	other := ledger.Choice{Model: "openai/gpt-6-sol", Credential: "cred_2"}
	// What says nothing about the upstream counts for nothing, and ends no row of failures.
	for _, class := range []router.Class{router.ClassTimeout, router.ClassBadRequest, router.ClassServerError, router.ClassCanceled, router.ClassNotFound, router.ClassOverloaded} {
		if !try(h, leg, now, class) {
			t.Fatalf("before %s: closed to calls after fewer than three failures", class)
		}
	}
	if try(h, leg, now.Add(29*time.Second), "") || !h.Open(leg, now) {
		t.Error("after three failures in a row a call is let through")
	}
	if !try(h, other, now, "") || h.Open(other, now) {
		t.Error("another credential is shut out as well")
	}
	now = now.Add(30 * time.Second)
	probe, ok := h.Allow(leg, now)
	if !ok {
		t.Fatal("after the pause there is no probe")
	}
	if try(h, leg, now, "") {
		t.Error("there are two probes at a time")
	}
	probe.Report(router.ClassCanceled, now)
	probe, ok = h.Allow(leg, now)
	if !ok {
		t.Fatal("a probe that found out nothing is lost")
	}
	probe.Report(router.ClassTimeout, now)
	probe.Report("", now) // who has reported has reported
	if try(h, leg, now.Add(29*time.Second), "") {
		t.Error("a probe that failed does not begin another pause")
	}
	if !try(h, leg, now.Add(30*time.Second), "") || !try(h, leg, now, router.ClassTimeout) || !try(h, leg, now, "") {
		t.Error("a probe that succeeds does not close the breaker")
	}
}

// A probe shuts out nobody once its answer comes, and nobody for longer than a pause.
func TestProbe(t *testing.T) {
	h, now := router.NewHealth(), time.Unix(1_800_000_000, 0)
	leg := ledger.Choice{Model: "openai/gpt-6-sol", Credential: "cred_1"}
	probe := func() *router.Trial {
		t.Helper()
		trial, ok := h.Allow(leg, now)
		if !ok || !h.Open(leg, now) {
			t.Fatalf("no probe: let through %v, open %v", ok, h.Open(leg, now))
		}
		return trial
	}
	for range 3 {
		try(h, leg, now, router.ClassServerError)
	}
	now = now.Add(30 * time.Second)
	p := probe()
	p.Wait(now)
	if p.Heard(); h.Open(leg, now) || h.State(leg, now).Failing {
		t.Error("its stream lasts, and others wait for its end")
	}
	if other, ok := h.Allow(leg, now); !ok || h.Open(leg, now) {
		t.Error("the next call is a probe as well")
	} else {
		other.Report(router.ClassCanceled, now)
	}
	if p.Report(router.ClassConnection, now); !h.Open(leg, now) || h.State(leg, now).Since != now {
		t.Errorf("it broke off, and the breaker is closed: %+v", h.State(leg, now))
	}
	now = now.Add(30 * time.Second)
	p = probe()
	p.Heard()
	p.Report("", now)
	if try(h, leg, now, router.ClassServerError); h.Open(leg, now) {
		t.Error("it succeeded, and one failure opens the breaker")
	}
	late, _ := h.Allow(leg, now) // which fails when the breaker has long been open
	later, _ := h.Allow(leg, now)
	for range 2 {
		try(h, leg, now, router.ClassServerError)
	}
	late.Report(router.ClassTimeout, now.Add(29*time.Second))
	now = now.Add(30 * time.Second)
	hangs := probe()
	if later.Report(router.ClassTimeout, now); !h.Open(leg, now) {
		t.Error("what failed beside the probe makes room for another")
	}
	if now = now.Add(30*time.Second - 1); try(h, leg, now, "") {
		t.Error("there are two probes within a pause")
	}
	now = now.Add(1)
	second, ok := h.Allow(leg, now)
	if !ok || try(h, leg, now, "") {
		t.Fatal("its org has no second probe, or two of them")
	}
	hangs.Heard() // too late: it is the second's turn
	hangs.Report(router.ClassCanceled, now)
	if try(h, leg, now, "") {
		t.Error("a probe that has lapsed gives back what it no longer has")
	}
	if second.Report(router.ClassCanceled, now); !try(h, leg, now, "") {
		t.Error("a probe that found out nothing is lost")
	}
}

// An upstream that asks to be left alone is, from the first time on, but not for longer than an open breaker would be.
func TestPauseOnRequest(t *testing.T) {
	h, now := router.NewHealth(), time.Unix(1_800_000_000, 0)
	leg := ledger.Choice{Model: "openai/gpt-6-sol", Credential: "cred_1"}
	hinted := func(class router.Class, hint time.Duration) {
		t.Helper()
		trial, ok := h.Allow(leg, now)
		if !ok {
			t.Fatal("it rests")
		}
		trial.Hinted(hint)
		trial.Report(class, now)
	}
	for hint, rests := range map[time.Duration]time.Duration{2 * time.Second: 2 * time.Second, 50 * time.Second: 30 * time.Second} {
		under, _ := h.Allow(leg, now)
		failed, _ := h.Allow(leg, now)
		if hinted(router.ClassRateLimited, hint); h.State(leg, now) != (router.State{Why: router.ClassRateLimited}) {
			t.Errorf("%+v", h.State(leg, now))
		}
		failed.Report(router.ClassServerError, now) // without a hint, which shortens nothing
		under.Report("", now)                       // nor does what was under way
		if last := now.Add(rests - 1); !h.Open(leg, last) || !h.Condition(leg, last).Open || try(h, leg, last, "") {
			t.Errorf("it is called within %v", rests)
		}
		if now = now.Add(rests); !try(h, leg, now, "") || h.State(leg, now) != (router.State{}) {
			t.Errorf("it is not called after %v", rests)
		}
	}
	hinted(router.ClassBadRequest, time.Minute)
	hinted(router.ClassCanceled, time.Minute)
	hinted("", time.Minute)
	if h.Open(leg, now) {
		t.Error("one that says nothing of it has it rest")
	}
	for range 3 {
		hinted(router.ClassRateLimited, time.Millisecond)
		now = now.Add(time.Millisecond)
	}
	if !try(h, leg, now.Add(30*time.Second), "") || !try(h, leg, now.Add(29*time.Second), "") {
		t.Error("the probe that succeeds leaves a pause")
	}
}

// A caller who makes up names of models must not fill the memory with breakers.
func TestBreakersAreBounded(t *testing.T) {
	h, now := router.NewHealth(), time.Unix(1_800_000_000, 0)
	down := ledger.Choice{Model: "openai/down", Credential: "cred_1"}
	for i := range 100_000 {
		now = now.Add(10 * time.Millisecond)
		try(h, ledger.Choice{Model: "openai/" + time.Duration(i).String(), Credential: "cred_1"}, now, router.ClassServerError)
		if i >= 99_997 {
			try(h, down, now, router.ClassServerError)
		}
	}
	if n := h.Remembered(); n > 10_000 {
		t.Errorf("%d breakers are kept", n)
	}
	if !h.Open(down, now) {
		t.Error("a breaker that is open was forgotten")
	}
}

// Nor must they have what is known of the platform's legs forgotten: their figures, and how often in a row they have failed.
func TestMadeUpModelsWipeNothing(t *testing.T) {
	leg := ledger.Choice{Model: "openai/gpt-6-sol", Credential: "cred_pool", Kind: ledger.Platform}
	for _, each := range []time.Duration{time.Millisecond, 20 * time.Millisecond} { // within the time in which figures fade, and beyond
		h, alone, now := router.NewHealth(), router.NewHealth(), time.Unix(1_800_000_000, 0)
		for _, h := range []*router.Health{h, alone} {
			for range 2 {
				trial, _ := h.Allow(leg, now)
				trial.Streamed(20*time.Second, 100, 10*time.Second)
				trial.Report(router.ClassOverloaded, now)
			}
		}
		for i := range 20_000 {
			now = now.Add(each)
			try(h, ledger.Choice{Model: fmt.Sprint("openai/x", i), Credential: "cred_org", Kind: ledger.BYOK}, now, "")
		}
		if got, want := h.Condition(leg, now), alone.Condition(leg, now); got != want || h.Remembered() > 10_000 {
			t.Errorf("%+v, not %+v, among %d", got, want, h.Remembered())
		}
		if try(h, leg, now, router.ClassOverloaded); !h.Open(leg, now) {
			t.Error("its third failure in a row does not open its breaker")
		}
	}
}

func TestCredentialFailuresOpenAtOnce(t *testing.T) {
	h, now := router.NewHealth(), time.Unix(1_800_000_000, 0)
	leg, sibling := ledger.Choice{Model: "openai/a", Credential: "cred_1"}, ledger.Choice{Model: "openai/b", Credential: "cred_1"}
	try(h, leg, now, router.ClassCredential)
	if want := (router.State{Failing: true, Since: now, Why: router.ClassCredential}); h.State(leg, now) != want || !h.Open(leg, now) {
		t.Errorf("after one failure of the credential: %+v", h.State(leg, now))
	}
	if h.Open(sibling, now) || h.State(sibling, now).Failing {
		t.Error("another model is shut out: what the credential may not do with one it may with another")
	}
	good := ledger.Choice{Model: "openai/c", Credential: "cred_1"}
	try(h, good, now.Add(-time.Hour), router.ClassCredential)
	trial, _ := h.Allow(good, now)
	trial.Streamed(time.Second, 0, 0)
	trial.Report("", now)
	h.Clear("cred_1")
	if h.Condition(good, now).FirstByte == 0 {
		t.Error("of a leg that answers again it is forgotten how")
	}
	if h.Open(leg, now) || h.State(leg, now) != (router.State{}) {
		t.Error("a credential that was found to be good stays shut out")
	}
	for range 3 {
		try(h, leg, now, router.ClassServerError)
	}
	if h.Clear("cred_1"); !h.Open(leg, now) {
		t.Error("a good credential closes the breaker of an upstream that is down")
	}
	since := now
	now = now.Add(time.Minute)
	if h.Open(leg, now) || h.State(leg, now) != (router.State{Failing: true, Since: since, Why: router.ClassServerError}) {
		t.Errorf("after the pause, before anything came through: open %v, %+v", h.Open(leg, now), h.State(leg, now))
	}
	if try(h, leg, now, ""); h.State(leg, now) != (router.State{}) {
		t.Errorf("after a success: %+v", h.State(leg, now))
	}
}

func TestTrippedCredential(t *testing.T) {
	h, now := router.NewHealth(), time.Unix(1_800_000_000, 0)
	leg, other := ledger.Choice{Model: "openai/a", Credential: "cred_1"}, ledger.Choice{Model: "openai/a", Credential: "cred_2"}
	h.Trip("cred_1", now.Add(time.Hour), router.ClassCredential, now)
	h.Trip("cred_1", now.Add(2*time.Hour), router.ClassCredential, now.Add(time.Minute))
	at := now.Add(2*time.Hour - 1)
	if try(h, leg, at, "") || !h.Condition(leg, at).Open || h.State(leg, at) != (router.State{Failing: true, Since: now, Why: router.ClassCredential}) {
		t.Errorf("a tripped credential is called: %+v", h.State(leg, at))
	}
	if !try(h, other, at, "") {
		t.Error("another credential is shut out as well")
	}
	if !try(h, leg, at.Add(1), "") || h.State(leg, at.Add(1)).Failing {
		t.Error("it is not called when its time is over")
	}
	h.Trip("cred_1", time.Time{}, router.ClassCredential, now)
	if try(h, leg, now.AddDate(1, 0, 0), "") {
		t.Error("without an end it ends")
	}
	if h.Clear("cred_1"); !try(h, leg, now, "") {
		t.Error("cleared, it is not called")
	}
}
