package ledger

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strings"
)

// Nano is an amount of money in nano-dollars: one billionth of a US dollar.
// An int64 of them reaches nine billion dollars.
type Nano int64

// Dollar is one US dollar in nano-dollars.
const Dollar Nano = 1_000_000_000

// ParseDollars reads a decimal string of dollars such as "25.00" or "0.000000001". More than nine
// decimals is an error rather than a rounding: the ledger never invents or loses a nano-dollar.
func ParseDollars(s string) (Nano, error) {
	n, err := parseDecimal(s)
	if err != nil {
		return 0, fmt.Errorf("amount %q: %w", s, err)
	}
	return Nano(n), nil
}

// String shows the amount as a decimal of dollars: at least six decimals, nine when they are needed.
func (n Nano) String() string {
	sign, u := "", uint64(n)
	if n < 0 {
		sign, u = "-", uint64(-n)
	}
	frac := fmt.Sprintf("%09d", u%uint64(Dollar))
	if strings.HasSuffix(frac, "000") {
		frac = frac[:6]
	}
	return fmt.Sprintf("%s%d.%s", sign, u/uint64(Dollar), frac)
}

// Rate is a price in nano-dollars per one million tokens.
type Rate int64

// ParseRate reads a decimal string of dollars per million tokens, as vendors publish them.
func ParseRate(s string) (Rate, error) {
	n, err := parseDecimal(s)
	if err != nil {
		return 0, fmt.Errorf("rate %q: %w", s, err)
	}
	if n < 0 {
		return 0, fmt.Errorf("rate %q: a rate is never negative", s)
	}
	return Rate(n), nil
}

// String shows the rate as dollars per million tokens.
func (r Rate) String() string { return Nano(r).String() }

// Scale multiplies the rate by basis points (10,000 = ×1), rounded up: a marked-up or service-tier
// rate is itself a whole number, so that the rate in an event is the rate that was charged.
func (r Rate) Scale(bps int64) Rate {
	if bps == basis || r <= 0 || bps <= 0 {
		if bps <= 0 {
			return 0
		}
		return r
	}
	hi, lo := bits.Mul64(uint64(r), uint64(bps))
	return Rate(ceilDiv(hi, lo, basis))
}

// basis is ×1 in basis points.
const basis = 10_000

func parseDecimal(s string) (int64, error) {
	digits, neg := s, false
	if strings.HasPrefix(digits, "-") {
		digits, neg = digits[1:], true
	}
	whole, frac, dotted := strings.Cut(digits, ".")
	if whole == "" || dotted && frac == "" {
		return 0, errors.New("not a decimal number such as 12.50")
	}
	if len(frac) > 9 {
		return 0, errors.New("more than nine decimals")
	}
	largest := uint64(math.MaxInt64)
	if neg {
		largest++
	}
	var n uint64
	for _, c := range whole + frac + strings.Repeat("0", 9-len(frac)) {
		if c < '0' || c > '9' {
			return 0, errors.New("not a decimal number such as 12.50")
		}
		digit := uint64(c - '0')
		if n > (largest-digit)/10 {
			return 0, errors.New("too large")
		}
		n = n*10 + digit
	}
	if neg {
		return -int64(n), nil
	}
	return int64(n), nil
}

// ceilDiv divides a 128-bit number, rounds up once, and saturates at the largest int64.
func ceilDiv(hi, lo, by uint64) int64 {
	if hi >= by {
		return math.MaxInt64
	}
	q, r := bits.Div64(hi, lo, by)
	if q >= math.MaxInt64 {
		return math.MaxInt64
	}
	if r > 0 {
		q++
	}
	return int64(q)
}
