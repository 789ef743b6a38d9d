package router

import (
	"cmp"
	"slices"
	"time"

	"waybill/ledger"
)

// autoPool is the models of the auto lane where neither policy nor plan names any: the cheap one of each provider.
var autoPool = []string{"openai/gpt-6-luna", "anthropic/claude-haiku-5-5", "google/gemini-2.5-flash-lite"}

// weights say what a goal looks at.
type weights struct{ cost, latency, reliability int64 }

// goals are the weights of the auto lane's goals.
var goals = map[Goal]weights{
	GoalBalanced:    {2, 1, 2},
	GoalCost:        {8, 1, 2},
	GoalLatency:     {1, 8, 2},
	GoalReliability: {1, 1, 8},
}

// What scores are made of. They are integers, a thousand for the best of a group, two thousand for what is twice as bad.
const (
	best  = 1000
	worst = 100 * best // nothing counts as worse than a hundred times as bad
	// mostFigure bounds what is compared, so that no product overflows: a million dollars, or twelve days.
	mostFigure = 1 << 50
	// usualOutput is how long an answer is taken to be whose caller sets no lower cap, in tokens.
	usualOutput = 1024
	// awaited is how much of it somebody waits for before there is enough to read on, in tokens.
	awaited = 256
	// leastOutput is what must fit in a model's context beside the input where the caller sets no cap, in tokens.
	leastOutput = 256
	// usualFirst is the most that a leg of which nothing is known is taken to need until its first content. It is tried
	// when all that are known need longer.
	usualFirst = int64(time.Second)
	// leastWait is a time below which nobody is kept waiting: legs are not told apart by less.
	leastWait = int64(100 * time.Millisecond)
	// failureWeight is what one failure in a thousand counts: a leg that fails one call in twenty is twice as bad as one
	// that never does.
	failureWeight = 20
)

// rank puts legs in the order of their scores, with those last whose breakers are open. Equal scores leave the order of the
// pool.
func (r *routing) rank(legs []Leg) {
	if len(legs) == 0 {
		return
	}
	type scored struct {
		leg   Leg
		open  bool
		score ledger.Score
	}
	seen := make([]ledger.Condition, len(legs))
	for i, l := range legs {
		seen[i] = r.view.Condition(l.choice())
	}
	costs, waits, risks := r.costs(legs), r.waits(seen), make([]int64, len(legs))
	for i, o := range seen {
		risks[i] = best + failureWeight*o.Failures
	}
	toScores(costs)
	toScores(waits)
	toScores(risks)
	w, ok := goals[r.decision.Goal]
	if !ok {
		w = goals[GoalBalanced]
	}
	ranked := make([]scored, len(legs))
	for i, l := range legs {
		s := ledger.Score{Choice: l.choice(), Cost: costs[i], Latency: waits[i], Reliability: risks[i]}
		s.Total = (w.cost*s.Cost + w.latency*s.Latency + w.reliability*s.Reliability) / (w.cost + w.latency + w.reliability)
		ranked[i] = scored{l, seen[i].Open, s}
	}
	slices.SortStableFunc(ranked, func(a, b scored) int {
		switch {
		case a.open == b.open:
			return cmp.Compare(a.score.Total, b.score.Total)
		case a.open:
			return 1
		}
		return -1
	})
	d := &r.decision
	d.Scores = slices.Grow(d.Scores, len(legs))
	for i, c := range ranked {
		legs[i] = c.leg
		d.Scores = append(d.Scores, c.score)
	}
	for _, o := range seen {
		if o.Open || o.Failures != 0 || o.FirstByte != 0 || o.Throughput != 0 {
			d.Conditions = append(d.Conditions, o)
		}
	}
}

// toScores makes a score of each of the figures of a group.
func toScores(figures []int64) {
	for i, n := range figures {
		figures[i] = max(1, min(n, mostFigure))
	}
	least := slices.Min(figures)
	for i, n := range figures {
		figures[i] = min(worst, n*best/least)
	}
}

// output is how long the answer is expected to be, in tokens.
func (a *Ask) output() int64 {
	if a.Output > 0 && a.Output < usualOutput {
		return a.Output
	}
	return usualOutput
}

// costs are what legs are expected to cost at list price, in nano-dollars, be it the org's own provider who bills it. A model
// without a price, which only an org's own credential serves, is taken for as dear as the dearest.
func (r *routing) costs(legs []Leg) []int64 {
	out := make([]int64, len(legs))
	u := ledger.Usage{Input: r.ask.Input, Output: r.ask.output()}
	for i, l := range legs {
		if p := r.view.Price(l.Model.Name); p != nil {
			out[i] = int64(ledger.Cost(p.Applied(u.Input, ""), u))
		} else {
			out[i] = -1
		}
	}
	dearest := max(0, slices.Max(out))
	for i := range out {
		if out[i] < 0 {
			out[i] = dearest
		}
	}
	return out
}

// waits are how long each leg is expected to take until there is something to read, in nanoseconds. What is not known of a leg
// is taken for what is usual among those of which it is known, but never for worse than is usual anywhere: else nobody would
// ever find out.
func (r *routing) waits(seen []ledger.Condition) []int64 {
	first, rate := usualFirst, int64(usualRate)
	var firsts, rates []int64
	for _, o := range seen {
		if o.FirstByte > 0 {
			firsts = append(firsts, o.FirstByte)
		}
		if o.Throughput > 0 {
			rates = append(rates, o.Throughput)
		}
	}
	if len(firsts) > 0 {
		slices.Sort(firsts)
		first = min(first, firsts[(len(firsts)-1)/2])
	}
	if len(rates) > 0 {
		slices.Sort(rates)
		rate = max(rate, rates[len(rates)/2])
	}
	out := make([]int64, len(seen))
	for i, o := range seen {
		out[i] = max(leastWait, cmp.Or(o.FirstByte, first)) + min(awaited, r.ask.output())*int64(time.Second)/cmp.Or(o.Throughput, rate)
	}
	return out
}

// unfit says why a model cannot serve the call, empty if it can.
func (a *Ask) unfit(m *ledger.Model) string {
	need := a.Input
	if a.Endpoint != EndpointCount {
		need += max(leastOutput, a.Output)
	}
	switch {
	case m.Context > 0 && need > m.Context:
		return passContext
	case m.MaxOutput > 0 && a.Output > m.MaxOutput:
		return passOutput
	}
	if i := slices.IndexFunc(a.Needs, func(f string) bool { return !m.Has(f) }); i >= 0 {
		return passLacks + a.Needs[i]
	}
	return ""
}
