package ledger

import "math/big"

// The oracle's money: exact fractions, rounded where the rules say so and nowhere else.

// ceil rounds up, and stops at the largest amount there is.
func ceil(r *big.Rat) int64 {
	q, m := new(big.Int).DivMod(r.Num(), r.Denom(), new(big.Int))
	if m.Sign() > 0 {
		q.Add(q, big.NewInt(1))
	}
	if !q.IsInt64() {
		return 1<<63 - 1
	}
	return q.Int64()
}

func times(rate Rate, bps int64) Rate { return Rate(ceil(big.NewRat(int64(rate)*bps, 10_000))) }

func each5(r Rates, bps int64) Rates {
	return Rates{times(r.Input, bps), times(r.CacheRead, bps), times(r.CacheWrite, bps), times(r.CacheWriteLong, bps), times(r.Output, bps)}
}

// exact is what a usage costs before any rounding.
func exact(r Rates, u Usage) *big.Rat {
	sum := new(big.Rat)
	for _, x := range [][2]int64{{u.Input, int64(r.Input)}, {u.CacheRead, int64(r.CacheRead)}, {u.CacheWrite, int64(r.CacheWrite)},
		{u.CacheWriteLong, int64(r.CacheWriteLong)}, {u.Output, int64(r.Output)}} {
		sum.Add(sum, new(big.Rat).Mul(new(big.Rat).SetInt64(x[0]), big.NewRat(x[1], 1_000_000)))
	}
	return sum
}

func part(cost *big.Rat, uncovered, total int64) int64 {
	if total == 0 {
		return ceil(cost)
	}
	return ceil(new(big.Rat).Mul(cost, big.NewRat(uncovered, total)))
}

func applied(p *Price, input int64, tier string) Rates {
	var r Rates
	for _, t := range p.Tiers {
		if t.Above == 0 || input > t.Above {
			r = t.Rates
		}
	}
	if bps, ok := p.ServiceTiers[tier]; ok {
		r = each5(r, bps)
	}
	return r
}

func dearestFor(p *Price, input int64, tier string, markup int64) Rates {
	var w Rates
	for _, t := range p.Tiers {
		if t.Above == 0 || input > t.Above {
			w = Rates{max(w.Input, t.Input), max(w.CacheRead, t.CacheRead), max(w.CacheWrite, t.CacheWrite),
				max(w.CacheWriteLong, t.CacheWriteLong), max(w.Output, t.Output)}
		}
	}
	if bps := p.ServiceTiers[tier]; bps > 10_000 {
		w = each5(w, bps)
	}
	w = each5(w, 10_000+markup)
	w.Input = max(w.Input, w.CacheRead, w.CacheWrite, w.CacheWriteLong)
	return w
}
