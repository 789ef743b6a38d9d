package router_test

import (
	"testing"
	"time"

	"waybill/ledger"
	"waybill/router"
)

var seenLeg = ledger.Choice{Model: "openai/gpt-6-luna", Credential: "cred_1"}

// stream reports a streamed answer.
func stream(t *testing.T, h *router.Health, at time.Time, first time.Duration, tokens int64, writing time.Duration) {
	t.Helper()
	trial, ok := h.Allow(seenLeg, at)
	if !ok {
		t.Fatal("shut out")
	}
	trial.Streamed(first, tokens, writing)
	trial.Report("", at)
}

func TestObservations(t *testing.T) {
	h, now := router.NewHealth(), time.Unix(1_800_000_000, 0)
	want := func(at time.Time, failures int64, first time.Duration, rate int64) {
		t.Helper()
		w := ledger.Condition{Model: seenLeg.Model, Credential: seenLeg.Credential, Failures: failures, FirstByte: int64(first), Throughput: rate}
		if got := h.Condition(seenLeg, at); got != w {
			t.Errorf("after %v: %+v, not %+v", at.Sub(now), got, w)
		}
	}
	want(now, 0, 0, 0)
	stream(t, h, now, 300*time.Millisecond, 200, 2*time.Second)
	want(now, 0, 300*time.Millisecond, 100)
	stream(t, h, now, 500*time.Millisecond, 600, 2*time.Second)
	want(now, 0, 400*time.Millisecond, 200)
	// A reading after a half-life weighs as much as two that were there before.
	stream(t, h, now.Add(10*time.Second), 800*time.Millisecond, 400, time.Second)
	want(now.Add(10*time.Second), 0, 600*time.Millisecond, 300)
	// Too little to tell the pace from, and a burst: neither is a reading of it.
	stream(t, h, now.Add(10*time.Second), 600*time.Millisecond, 3, time.Second)
	stream(t, h, now.Add(10*time.Second), 600*time.Millisecond, 1000, 0)
	want(now.Add(10*time.Second), 0, 600*time.Millisecond, 300)
	want(now.Add(40*time.Second), 0, 600*time.Millisecond, 300)
	want(now.Add(80*time.Second), 0, 0, 0)
	now = now.Add(80 * time.Second)
	stream(t, h, now, 5*time.Second, 0, 0)
	want(now, 0, 5*time.Second, 0) // what was forgotten weighs nothing
	want(now.Add(20*time.Second), 0, 5*time.Second, 0)
	want(now.Add(21*time.Second), 0, 0, 0)
}

// An answer that was not streamed shows its first content and its last at once: how long it is must not make its leg slow.
func TestWholeAnswers(t *testing.T) {
	h, now := router.NewHealth(), time.Unix(1_800_000_000, 0)
	whole := func(took time.Duration, tokens int64) {
		trial, _ := h.Allow(seenLeg, now)
		trial.Whole(took, tokens)
		trial.Report("", now)
	}
	whole(10*time.Second, 900)
	if got := h.Condition(seenLeg, now); got.FirstByte != int64(time.Second) || got.Throughput != 0 {
		t.Errorf("900 tokens in 10 s: %+v", got)
	}
	stream(t, h, now, time.Second, 1000, 2*time.Second) // 500 a second
	whole(3*time.Second, 1000)
	if got := h.Condition(seenLeg, now); got.FirstByte != int64(time.Second) || got.Throughput != 500 {
		t.Errorf("1,000 tokens in 3 s at 500 a second: %+v", got)
	}
	now = now.Add(time.Minute)
	whole(time.Millisecond, 1_000_000)
	if got := h.Condition(seenLeg, now); got.FirstByte != int64(time.Millisecond) {
		t.Errorf("faster than can be: %+v", got)
	}
}

func TestFailuresFade(t *testing.T) {
	h, now := router.NewHealth(), time.Unix(1_800_000_000, 0)
	for i, want := range []int64{0, 333, 500, 600} { // one success, and three failures after it
		class := router.ClassOverloaded
		if i == 0 {
			class = ""
		}
		try(h, seenLeg, now, class)
		if got := h.Condition(seenLeg, now); got.Failures != want {
			t.Errorf("after %d failures: %d of a thousand, not %d", i, got.Failures, want)
		}
	}
	if c := h.Condition(seenLeg, now); !c.Open {
		t.Error("the breaker is closed")
	}
	last := int64(1000)
	for _, after := range []time.Duration{10, 20, 30, 40, 60, 90, 200} {
		c := h.Condition(seenLeg, now.Add(after*time.Second))
		if c.Failures >= last || c.Open != (after < 30) {
			t.Errorf("after %d s: %+v", after, c)
		}
		last = c.Failures
	}
	if last != 0 {
		t.Errorf("after 200 s %d of a thousand", last)
	}
	for range 100 {
		try(h, seenLeg, now.Add(time.Minute), "")
	}
	if got := h.Condition(seenLeg, now.Add(time.Minute)); got.Failures != 0 {
		t.Errorf("after a hundred good calls: %+v", got)
	}
	// What the caller is to blame for says nothing; that the provider does not know the model says something, but opens nothing.
	h = router.NewHealth()
	for range 10 {
		try(h, seenLeg, now, router.ClassBadRequest)
		try(h, seenLeg, now, router.ClassCanceled)
	}
	if h.Remembered() != 0 {
		t.Error("calls that say nothing are remembered")
	}
	for range 10 {
		try(h, seenLeg, now, router.ClassNotFound)
	}
	if got := h.Condition(seenLeg, now); got.Open || got.Failures < 800 {
		t.Errorf("after ten times not found: %+v", got)
	}
	// A caller who leaves has still seen how long it took.
	trial, _ := h.Allow(seenLeg, now)
	trial.Streamed(time.Second, 0, 0)
	trial.Report(router.ClassCanceled, now)
	if got := h.Condition(seenLeg, now); got.FirstByte != int64(time.Second) {
		t.Errorf("after a caller who left: %+v", got)
	}
}

// Clocks that step back and figures that cannot be must not upset the figures.
func TestNonsenseIsBounded(t *testing.T) {
	h, now := router.NewHealth(), time.Unix(1_800_000_000, 0)
	for _, at := range []time.Time{now, now.Add(-time.Hour), now.Add(1000 * time.Hour), {}, now} {
		stream(t, h, at, 1<<62, 1<<62, 1<<40)
		stream(t, h, at, -5, -5, -5)
		c := h.Condition(seenLeg, at)
		if c.FirstByte < 0 || c.FirstByte > int64(time.Hour) || c.Throughput < 0 || c.Throughput > 1_000_000 || c.Failures != 0 {
			t.Errorf("%+v", c)
		}
	}
}

// A caller who makes up names of models that an upstream of its own answers to must not fill the memory.
func TestObservationsAreBounded(t *testing.T) {
	h, now := router.NewHealth(), time.Unix(1_800_000_000, 0)
	for i := range 100_000 {
		try(h, ledger.Choice{Model: "openai/" + time.Duration(i).String(), Credential: "cred_1"}, now, "")
	}
	if n := h.Remembered(); n > 10_000 {
		t.Errorf("%d legs are kept", n)
	}
}

// While a leg hangs, the calls that wait for it say so.
func TestWaiting(t *testing.T) {
	h, now := router.NewHealth(), time.Unix(1_800_000_000, 0)
	first := func(at time.Duration) time.Duration {
		return time.Duration(h.Condition(seenLeg, now.Add(at)).FirstByte)
	}
	wait := func() *router.Trial {
		trial, ok := h.Allow(seenLeg, now)
		if !ok {
			t.Fatal("shut out")
		}
		trial.Wait(now)
		return trial
	}
	a, b, c := wait(), wait(), wait()
	if first(900*time.Millisecond) != 0 || first(3*time.Second) != 3*time.Second {
		t.Errorf("of a leg that is not known: %v, %v", first(900*time.Millisecond), first(3*time.Second))
	}
	a.Heard()
	a.Heard()
	c.Report(router.ClassCanceled, now)
	if first(4*time.Second) != 4*time.Second {
		t.Errorf("one of three still waits: %v", first(4*time.Second))
	}
	b.Streamed(200*time.Millisecond, 0, 0)
	b.Report("", now)
	if first(4*time.Second) != 200*time.Millisecond {
		t.Errorf("none waits: %v", first(4*time.Second))
	}
	// Each that waits for longer than usual is a reading beside those that came.
	for range 6 {
		stream(t, h, now, 200*time.Millisecond, 0, 0)
	}
	d := wait()
	if got := first(200 * time.Millisecond); got != 200*time.Millisecond {
		t.Errorf("as long as usual: %v", got)
	}
	if got := first(3 * time.Second); got < 550*time.Millisecond || got > 650*time.Millisecond {
		t.Errorf("one waits for 3 s: %v", got)
	}
	for range 20 {
		wait()
	}
	if got := first(3 * time.Second); got < 2*time.Second {
		t.Errorf("all wait for 3 s: %v", got)
	}
	if h.Clear(seenLeg.Credential); first(3*time.Second) < 2*time.Second {
		t.Error("a good credential makes nobody wait less")
	}
	d.Report("", now)
	a.Report("", now)
}
