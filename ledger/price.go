package ledger

import (
	"math"
	"math/big"
	"math/bits"
)

// Rates are the prices of one million tokens of each class, in nano-dollars.
type Rates struct {
	Input          Rate `json:"input"`
	CacheRead      Rate `json:"cache_read"`
	CacheWrite     Rate `json:"cache_write"`
	CacheWriteLong Rate `json:"cache_write_long"`
	Output         Rate `json:"output"`
}

// Scale multiplies each rate by basis points, each rounded up.
func (r Rates) Scale(bps int64) Rates {
	if bps == basis {
		return r
	}
	return Rates{r.Input.Scale(bps), r.CacheRead.Scale(bps), r.CacheWrite.Scale(bps), r.CacheWriteLong.Scale(bps), r.Output.Scale(bps)}
}

// dearest takes the higher of each class.
func (r Rates) dearest(o Rates) Rates {
	return Rates{max(r.Input, o.Input), max(r.CacheRead, o.CacheRead), max(r.CacheWrite, o.CacheWrite),
		max(r.CacheWriteLong, o.CacheWriteLong), max(r.Output, o.Output)}
}

// Tier is the rates of a whole request whose input is larger than Above tokens.
type Tier struct {
	Above int64 `json:"above"`
	Rates
}

// Price is a dated row of rates. Rows are never edited: a change is a new row, or a withdrawal.
type Price struct {
	ID           string           `json:"price"`
	Model        string           `json:"model"`
	From         Instant          `json:"from"`
	To           Instant          `json:"to,omitzero"`             // none: until further notice
	Tiers        []Tier           `json:"tiers"`                   // ascending; the first has Above 0
	ServiceTiers map[string]int64 `json:"service_tiers,omitempty"` // multiplier of a tier in basis points
	Withdrawn    bool             `json:"withdrawn,omitzero"`
	Position     uint64           `json:"position,omitzero"` // of the event that published it; none in the event itself
}

// InForce tells whether the row applies at an instant.
func (p *Price) InForce(at Instant) bool {
	return !p.Withdrawn && p.From <= at && (p.To == 0 || at < p.To)
}

// supersedes tells which of two rows in force applies: the one that started later, and of those the one published
// later. Without the second rule a price would hang on the order in which rows are read.
func (p *Price) supersedes(o *Price) bool {
	return o == nil || p.From > o.From || p.From == o.From && p.Position > o.Position
}

// Applied is the rates of a request with so much input, on the service tier that the upstream reports.
// A tier without a multiplier of its own is the standard one.
func (p *Price) Applied(input int64, serviceTier string) Rates {
	r := p.Tiers[0].Rates
	for _, t := range p.Tiers[1:] {
		if input > t.Above {
			r = t.Rates
		}
	}
	if bps, ok := p.ServiceTiers[serviceTier]; ok {
		r = r.Scale(bps)
	}
	return r
}

// worst is the dearest rates that a request can meet with at most so much input, class by class, with every input
// class at the price of the dearest: what will be cached is not known when a hold is placed.
func (p *Price) worst(input int64, serviceTier string) Rates {
	r := p.Tiers[0].Rates
	for _, t := range p.Tiers[1:] {
		if input > t.Above {
			r = r.dearest(t.Rates)
		}
	}
	if bps, ok := p.ServiceTiers[serviceTier]; ok && bps > basis {
		r = r.Scale(bps)
	}
	r.Input = max(r.Input, r.CacheRead, r.CacheWrite, r.CacheWriteLong)
	return r
}

func (p *Price) validate() error {
	if p.ID == "" || p.Model == "" {
		return refuse(CodeInvalid, "a price needs an id and a model")
	}
	if len(p.Tiers) == 0 || p.Tiers[0].Above != 0 {
		return refuse(CodeInvalid, "price %s: the first tier is above 0", p.ID)
	}
	for i, t := range p.Tiers {
		if i > 0 && t.Above <= p.Tiers[i-1].Above {
			return refuse(CodeInvalid, "price %s: tiers ascend", p.ID)
		}
		if min(t.Input, t.CacheRead, t.CacheWrite, t.CacheWriteLong, t.Output) < 0 {
			return refuse(CodeInvalid, "price %s: a rate is never negative", p.ID)
		}
	}
	for tier, bps := range p.ServiceTiers {
		if bps < 0 {
			return refuse(CodeInvalid, "price %s: the multiplier of service tier %s is negative", p.ID, tier)
		}
	}
	if p.To != 0 && p.To <= p.From {
		return refuse(CodeInvalid, "price %s: ends before it starts", p.ID)
	}
	return nil
}

// Cost is tokens × rate over the classes, in 128 bits, divided once and rounded up once.
func Cost(r Rates, u Usage) Nano {
	hi, lo := r.sum(u)
	return Nano(ceilDiv(hi, lo, 1_000_000))
}

// Share is the part of Cost that covers uncovered of total tokens, with one rounding: a request that straddles
// the end of an allowance is priced as a whole and then divided, never class by class.
func Share(r Rates, u Usage, uncovered, total int64) Nano {
	if uncovered >= total {
		return Cost(r, u)
	}
	if uncovered <= 0 {
		return 0
	}
	hi, lo := r.sum(u)
	n := new(big.Int).SetUint64(hi)
	n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(lo)).Mul(n, big.NewInt(uncovered))
	by := new(big.Int).Mul(big.NewInt(total), big.NewInt(1_000_000))
	q, rem := n.QuoRem(n, by, new(big.Int))
	if rem.Sign() > 0 {
		q.Add(q, big.NewInt(1))
	}
	if !q.IsInt64() {
		return math.MaxInt64
	}
	return Nano(q.Int64())
}

func (r Rates) sum(u Usage) (hi, lo uint64) {
	add := func(tokens int64, rate Rate) {
		h, l := bits.Mul64(uint64(max(0, tokens)), uint64(max(0, rate)))
		var carry uint64
		lo, carry = bits.Add64(lo, l, 0)
		hi, _ = bits.Add64(hi, h, carry)
	}
	add(u.Input, r.Input)
	add(u.CacheRead, r.CacheRead)
	add(u.CacheWrite, r.CacheWrite)
	add(u.CacheWriteLong, r.CacheWriteLong)
	add(u.Output, r.Output)
	return hi, lo
}

// PublishPrice adds a price row. From the instant it starts, it takes the place of an older one that has no end.
type PublishPrice struct {
	Who By
	Price
}

// PublishPrices adds several rows, or none of them if one is refused.
type PublishPrices struct {
	Who    By
	Prices []Price
}

// WithdrawPrice takes a row out of force, also one that has not started.
type WithdrawPrice struct {
	Who   By
	Price string
}

// PricePublished is price.published.
type PricePublished struct{ Price }

// PriceWithdrawn is price.withdrawn.
type PriceWithdrawn struct {
	Price string `json:"price"`
}

func (c PublishPrice) Stream() string { return Platform }
func (c PublishPrice) By() By         { return c.Who }
func (c PublishPrice) Once() []Cause  { return c.Who.once(Platform) }
func (c PublishPrice) decide(d *Draft, _ Instant) ([]Event, error) {
	if err := c.Price.validate(); err != nil {
		return nil, err
	}
	if d.price(c.ID) != nil {
		return nil, refuse(CodeConflict, "price %s exists already: rows are never edited, publish one with a new id", c.ID)
	}
	if d.model(c.Model) == nil {
		return nil, refuse(CodeNotFound, "price %s: model %q is not in the catalogue", c.ID, c.Model)
	}
	p := c.Price
	p.Withdrawn, p.Position = false, 0
	return []Event{&PricePublished{p}}, nil
}

func (c PublishPrices) Stream() string { return Platform }
func (c PublishPrices) By() By         { return c.Who }
func (c PublishPrices) Once() []Cause  { return c.Who.once(Platform) }
func (c PublishPrices) decide(d *Draft, at Instant) ([]Event, error) {
	place := map[string]int{}
	return decideAll("prices", c.Prices, func(i int, p Price) ([]Event, error) {
		if first, ok := place[p.ID]; ok {
			return nil, refuse(CodeConflict, "price %s is prices[%d] already", p.ID, first)
		}
		place[p.ID] = i
		return PublishPrice{c.Who, p}.decide(d, at)
	})
}

func (c WithdrawPrice) Stream() string { return Platform }
func (c WithdrawPrice) By() By         { return c.Who }
func (c WithdrawPrice) Once() []Cause  { return c.Who.once(Platform) }
func (c WithdrawPrice) decide(d *Draft, _ Instant) ([]Event, error) {
	if p := d.price(c.Price); p == nil || p.Withdrawn {
		return nil, refuse(CodeNotFound, "price %q is not in force", c.Price)
	}
	return []Event{&PriceWithdrawn{c.Price}}, nil
}

func (*PricePublished) Type() Type                { return "price.published" }
func (*PricePublished) postings(string) []Posting { return nil }
func (e *PricePublished) evolve(d *Draft, r *Record) {
	p := e.Price
	p.Position = r.Position
	d.prices.set(p.ID, &p)
	d.touch(r, "price", p.ID)
}

func (*PriceWithdrawn) Type() Type                { return "price.withdrawn" }
func (*PriceWithdrawn) postings(string) []Posting { return nil }
func (e *PriceWithdrawn) evolve(d *Draft, r *Record) {
	if p := d.price(e.Price); p != nil {
		n := *p
		n.Withdrawn = true
		d.prices.set(n.ID, &n)
		d.touch(r, "price", n.ID)
	}
}
