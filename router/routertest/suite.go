package routertest

import (
	"testing"
	"time"
)

// ample is how long a scenario waits between two bytes unless it says otherwise: for ever, as tests go.
const ample = 30 * time.Second

// Run runs every scenario for every pair, unary and streamed. The log is opened by the caller: the router knows no store.
func Run(t *testing.T, open Opener) {
	b := newBench(t, open)
	t.Run("pairs", func(t *testing.T) {
		for _, in := range Clients {
			for _, up := range Upstreams {
				b.pair(t, Pair{in, up}, Scenarios)
			}
			b.pair(t, Pair{in, openAI}, either)
		}
	})
}

func (b *bench) pair(t *testing.T, p Pair, scenarios []Scenario) {
	t.Run(string(p.In.Dialect())+" to "+p.Up.Name, func(t *testing.T) {
		t.Parallel()
		b.scenarios(t, p, scenarios)
	})
}

func (b *bench) scenarios(t *testing.T, p Pair, scenarios []Scenario) {
	for i := range scenarios {
		sc := &scenarios[i]
		if sc.For != nil && !sc.For(p) || sc.outcome(p).Verdict == Unsaid {
			continue
		}
		for _, streamed := range []bool{false, true} {
			if sc.Mode == Unary && streamed || sc.Mode == Stream && !streamed {
				continue
			}
			if testing.Short() && sc.Mode == Both && streamed == (i%2 == 0) { // one way of the two
				continue
			}
			name := sc.Name
			if streamed {
				name += ", streamed"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				idle := sc.Idle
				if idle == 0 {
					idle = ample
				}
				sc.run(b.session(t, p, streamed, idle))
			})
		}
	}
}

// run plays one scenario.
func (sc *Scenario) run(s *Session) {
	if sc.Run != nil {
		sc.Run(s)
		return
	}
	o := sc.outcome(s.Pair)
	r := s.Do(sc.Ask, sc.Model)
	field := ""
	if o.Field != "" {
		field = s.In.Field(o.Field)
	}
	if o.Verdict == Refused {
		r.refused(s, field)
		return
	}
	r.whole(s)
	r.warned(s, field)
	if sc.Check != nil && o.Verdict != Warned {
		sc.Check(s, r)
	}
}
