package ledger

import (
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseDollars(t *testing.T) {
	for _, c := range []struct {
		text string
		want Nano
	}{
		{"0", 0},
		{"-0", 0},
		{"1", Dollar},
		{"25.00", 25 * Dollar},
		{"0.000000001", 1},
		{"-0.000000001", -1},
		{"007.5", 7*Dollar + Dollar/2},
		{"9223372036.854775807", math.MaxInt64},
		{"-9223372036.854775807", -math.MaxInt64},
		{"-9223372036.854775808", math.MinInt64},
	} {
		if got, err := ParseDollars(c.text); got != c.want || err != nil {
			t.Errorf("%q is read as %d (%v), not %d", c.text, got, err, c.want)
		}
	}
	for _, text := range []string{"", "-", ".", "1.", ".5", "1e3", "+1", "--1", " 1", "1 ", "1,000.00", "0x10", "NaN", "Inf", "1.0000000001",
		"1.2.3", "-.5", "١", "9223372036.854775808", "-9223372036.854775809", "99999999999999999999", strings.Repeat("9", 10_000)} {
		if n, err := ParseDollars(text); err == nil {
			t.Errorf("%q is read as %d", text, n)
		}
	}
}

func TestNanoString(t *testing.T) {
	for n, want := range map[Nano]string{
		0:                          "0.000000",
		1:                          "0.000000001",
		-1:                         "-0.000000001",
		1_000:                      "0.000001",
		1_250_000:                  "0.001250",
		1_250_001:                  "0.001250001",
		25 * Dollar:                "25.000000",
		-25*Dollar - 500_000_000:   "-25.500000",
		math.MaxInt64:              "9223372036.854775807",
		math.MinInt64:              "-9223372036.854775808",
		math.MaxInt64 / 1000 * 1e3: "9223372036.854775",
	} {
		if got := n.String(); got != want {
			t.Errorf("%d is shown as %s, not %s", int64(n), got, want)
		}
	}
}

func TestParseRate(t *testing.T) {
	if r, err := ParseRate("0.003625"); r != 3_625_000 || err != nil {
		t.Errorf("0.003625 dollars a million tokens is %d (%v)", r, err)
	}
	if r := Rate(3_625_000).String(); r != "0.003625" {
		t.Errorf("shown as %s", r)
	}
	for _, text := range []string{"-1", "-0.000000001", "free", ""} {
		if r, err := ParseRate(text); err == nil {
			t.Errorf("%q is a rate of %d", text, r)
		}
	}
}

// FuzzMoney: what is shown is read back as the same amount, and what is read is exactly what the text says.
func FuzzMoney(f *testing.F) {
	for _, s := range []string{"25.00", "0.000000001", "-9223372036.854775808", "1e9", "0.1234567890"} {
		f.Add(s, int64(len(s)))
	}
	f.Fuzz(func(t *testing.T, text string, n int64) {
		if back, err := ParseDollars(Nano(n).String()); err != nil || back != Nano(n) {
			t.Errorf("%d is shown as %s and read back as %d (%v)", n, Nano(n), back, err)
		}
		got, err := ParseDollars(text)
		if err != nil {
			if got != 0 {
				t.Errorf("%q is refused with an amount of %d", text, got)
			}
			return
		}
		want, ok := new(big.Rat).SetString(text)
		if !ok || want.Cmp(big.NewRat(int64(got), int64(Dollar))) != 0 {
			t.Errorf("%q is read as %d", text, got)
		}
		if again, err := ParseDollars(got.String()); err != nil || again != got {
			t.Errorf("%q is %d, shown as %s and read back as %d (%v)", text, got, got, again, err)
		}
	})
}

// TestCeilDiv compares the 128-bit division with math/big, at its ends and between.
func TestCeilDiv(t *testing.T) {
	check := func(hi, lo, by uint64) {
		n := new(big.Int).SetUint64(hi)
		n.Lsh(n, 64).Add(n, new(big.Int).SetUint64(lo))
		q, m := n.DivMod(n, new(big.Int).SetUint64(by), new(big.Int))
		if m.Sign() > 0 {
			q.Add(q, big.NewInt(1))
		}
		want := int64(math.MaxInt64)
		if q.IsInt64() {
			want = q.Int64()
		}
		if got := ceilDiv(hi, lo, by); got != want {
			t.Errorf("%d·2^64+%d over %d, rounded up: %d, not %d", hi, lo, by, got, want)
		}
	}
	ends := []uint64{0, 1, 2, 9_999, 10_000, 999_999, 1_000_000, 1_000_001, math.MaxInt64 - 1, math.MaxInt64, math.MaxInt64 + 1, math.MaxUint64 - 1, math.MaxUint64}
	for _, hi := range ends {
		for _, lo := range ends {
			check(hi, lo, 1_000_000)
			check(hi, lo, 10_000)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		check(rng.Uint64()>>(rng.UintN(64)), rng.Uint64(), 1_000_000)
	}
}

func anyRate(t *rapid.T, what string) Rate {
	return Rate(rapid.Int64Range(0, math.MaxInt64).Draw(t, what))
}

func anyRates(t *rapid.T) Rates {
	return Rates{anyRate(t, "input"), anyRate(t, "read"), anyRate(t, "write"), anyRate(t, "long"), anyRate(t, "output")}
}

func anyUsage(t *rapid.T) Usage {
	n := func(what string) int64 { return rapid.Int64Range(0, maxTokens).Draw(t, what) }
	return Usage{Input: n("input"), CacheRead: n("read"), CacheWrite: n("write"), CacheWriteLong: n("long"), Output: n("output")}
}

// TestCost compares Cost, Share and Scale with exact fractions that are rounded once, over all that can occur.
func TestCost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, u := anyRates(t), anyUsage(t)
		if got, want := Cost(r, u), ceil(exact(r, u)); int64(got) != want {
			t.Fatalf("%+v at %+v costs %d, not %d", u, r, got, want)
		}
		total := rapid.Int64Range(1, 5*maxTokens*1000).Draw(t, "total")
		uncovered := rapid.Int64Range(0, total).Draw(t, "uncovered")
		want := ceil(new(big.Rat).Mul(exact(r, u), big.NewRat(uncovered, total)))
		if got := Share(r, u, uncovered, total); int64(got) != want {
			t.Fatalf("%d of %d of %+v at %+v cost %d, not %d", uncovered, total, u, r, got, want)
		}
		bps := rapid.Int64Range(1, maxTokens).Draw(t, "bps")
		scaled := new(big.Rat).Mul(new(big.Rat).SetInt64(int64(r.Input)), big.NewRat(bps, 10_000))
		if got := r.Input.Scale(bps); int64(got) != ceil(scaled) {
			t.Fatalf("%d × %d ÷ 10,000 is %d, not %d", r.Input, bps, got, ceil(scaled))
		}
	})
}

func TestCostRoundsUpOnce(t *testing.T) {
	for _, c := range []struct {
		name  string
		rates Rates
		usage Usage
		want  Nano
	}{
		{"a nano-dollar is the least that anything costs", Rates{Input: 1}, Usage{Input: 1}, 1},
		{"the classes are added before they are rounded", Rates{Input: 1, CacheRead: 1, CacheWrite: 1, CacheWriteLong: 1, Output: 1}, Usage{1, 1, 1, 1, 1, 1}, 1},
		{"what divides is not rounded", Rates{Input: 1_000_000}, Usage{Input: 7}, 7},
		{"one more is", Rates{Input: 1_000_001}, Usage{Input: 7}, 8},
		{"nothing costs nothing", Rates{Input: 1}, Usage{}, 0},
		{"reasoning is in the output already", Rates{Output: 1_000_000}, Usage{Output: 10, Reasoning: 9}, 10},
		{"123 million tokens of a 75 dollar model do not overflow", Rates{Output: 75 * Rate(Dollar)}, Usage{Output: 123_000_000}, 9225 * Dollar},
		{"past the largest amount it stops", Rates{Output: math.MaxInt64}, Usage{Output: maxTokens}, math.MaxInt64},
		{"a negative rate or count pays nobody", Rates{Input: -5, Output: 5_000_000}, Usage{Input: 5, Output: -5}, 0},
	} {
		if got := Cost(c.rates, c.usage); got != c.want {
			t.Errorf("%s: %d, not %d", c.name, got, c.want)
		}
	}
	r, u := Rates{Input: 1_000_000, Output: 3_000_000}, Usage{Input: 10, Output: 30} // 100
	for _, c := range []struct{ uncovered, total, want int64 }{
		{0, 40, 0}, {-1, 40, 0}, {40, 40, 100}, {41, 40, 100}, {20, 40, 50}, {1, 40, 3}, {39, 40, 98}, {0, 0, 100},
	} {
		if got := Share(r, u, c.uncovered, c.total); int64(got) != c.want {
			t.Errorf("%d of %d is %d, not %d", c.uncovered, c.total, got, c.want)
		}
	}
}

func TestClamped(t *testing.T) {
	got := Usage{Input: -1, CacheRead: math.MaxInt64, CacheWrite: math.MinInt64, CacheWriteLong: 5, Output: 10, Reasoning: 11}.Clamped()
	want := Usage{CacheRead: maxTokens, CacheWriteLong: 5, Output: 10, Reasoning: 10}
	if got != want {
		t.Errorf("%+v, not %+v", got, want)
	}
	if got.InputTotal() != maxTokens+5 || got.Total() != maxTokens+15 {
		t.Errorf("totals of %d and %d", got.InputTotal(), got.Total())
	}
	if sum := got.Plus(got); sum != (Usage{CacheRead: 2 * maxTokens, CacheWriteLong: 10, Output: 20, Reasoning: 20}) {
		t.Errorf("twice that is %+v", sum)
	}
}
