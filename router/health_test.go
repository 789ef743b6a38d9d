package router_test

import (
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
