package ledger

// Usage is what one answer consumed, in tokens, in disjoint classes: the same token is never in two of
// Input, CacheRead, CacheWrite, CacheWriteLong and Output. Reasoning is the part of Output that was thought
// rather than said. The dialects map each provider's own convention onto this one.
type Usage struct {
	Input          int64 `json:"input,omitzero"`            // plain input, read at full price
	CacheRead      int64 `json:"cache_read,omitzero"`       // input served from the provider's cache
	CacheWrite     int64 `json:"cache_write,omitzero"`      // input written to a short-lived cache (5 or 30 minutes)
	CacheWriteLong int64 `json:"cache_write_long,omitzero"` // input written to a long-lived cache (1 or 12 hours)
	Output         int64 `json:"output,omitzero"`           // everything generated, reasoning included
	Reasoning      int64 `json:"reasoning,omitzero"`        // inside Output
}

// maxTokens bounds each class, so that no upstream's figure can overflow a sum. It is far above any context.
const maxTokens = 1 << 40

// Clamped returns the usage with each class forced into its legal range: providers do report negative,
// absurd and inconsistent figures, and a bill must never follow them below zero or past an overflow.
func (u Usage) Clamped() Usage {
	for _, n := range []*int64{&u.Input, &u.CacheRead, &u.CacheWrite, &u.CacheWriteLong, &u.Output, &u.Reasoning} {
		*n = max(0, min(*n, maxTokens))
	}
	u.Reasoning = min(u.Reasoning, u.Output)
	return u
}

// InputTotal is every input token, cached or not: what context tiers are measured on.
func (u Usage) InputTotal() int64 { return u.Input + u.CacheRead + u.CacheWrite + u.CacheWriteLong }

// Total is every token once: what a plan's allowance is measured on.
func (u Usage) Total() int64 { return u.InputTotal() + u.Output }

// Plus adds another answer's usage, class by class.
func (u Usage) Plus(v Usage) Usage {
	return Usage{u.Input + v.Input, u.CacheRead + v.CacheRead, u.CacheWrite + v.CacheWrite,
		u.CacheWriteLong + v.CacheWriteLong, u.Output + v.Output, u.Reasoning + v.Reasoning}
}

// UsageSource says who counted the tokens.
type UsageSource string

// The sources of a usage figure.
const (
	UsageProvider UsageSource = "provider" // the upstream reported it
	UsageEstimate UsageSource = "estimate" // waybill estimated it, because the upstream's figure never came
)
