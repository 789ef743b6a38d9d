package router_test

import (
	"testing"
	"time"

	"waybill/ledger"
	"waybill/router"
)

// BenchmarkRoute is a decision as a call makes it: the view of the state, the route, and how its legs have been observed to
// do.
func BenchmarkRoute(b *testing.B) {
	l := newLane(b)
	h, now := router.NewHealth(), l.at.Time()
	for _, m := range models {
		for _, credential := range []string{"pool-openai", "pool-anthropic", "pool-google"} {
			trial, _ := h.Allow(ledger.Choice{Model: m, Credential: credential}, now)
			trial.Streamed(300*time.Millisecond, 100, time.Second)
			trial.Report("", now)
		}
	}
	for _, c := range []struct{ name, org, model string }{
		{"named", "teams", models[0]},
		{"named on the own key", "teams-own", models[0]},
		{"auto of 3", "teams", "auto"},
	} {
		b.Run(c.name, func(b *testing.B) {
			a := autoAsk(b, c.model, "")
			b.ReportAllocs()
			for b.Loop() {
				v := router.ViewOf(l.state, c.org, "", nil, a, l.at)
				v.Condition = func(c ledger.Choice) ledger.Condition { return h.Condition(c, now) }
				if _, err := router.Route(a, v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
