package anthropic

import (
	"strconv"

	"github.com/tidwall/gjson"

	"waybill/ledger"
)

// counts are the figures of a usage object.
type counts struct {
	input, output, thinking int64
	cacheRead, cacheWrite   int64
	hour                    int64        // inside cacheWrite: written for an hour
	aside                   ledger.Usage // not in any of these
	final                   bool
}

// read takes the figures over that a usage object has. Those of a later event are cumulative: they replace
// earlier ones, field by field, and never add to them. No report is final that does not say what the output came to.
func (n *counts) read(u gjson.Result, final bool) {
	for _, f := range []struct {
		name string
		to   *int64
	}{
		{"input_tokens", &n.input},
		{"output_tokens", &n.output},
		{"output_tokens_details.thinking_tokens", &n.thinking},
		{"cache_read_input_tokens", &n.cacheRead},
		{"cache_creation_input_tokens", &n.cacheWrite},
		{"cache_creation.ephemeral_1h_input_tokens", &n.hour},
	} {
		if v := u.Get(f.name); v.Type == gjson.Number {
			*f.to = v.Int()
		}
	}
	if all := u.Get("iterations"); all.IsArray() {
		n.aside = asideOf(all)
	}
	n.final = final && u.Get("output_tokens").Type == gjson.Number
}

// asideOf adds up what it took to shorten a conversation on the way, and to ask another model for advice. Anthropic bills it,
// and does not count it into the figures around it, as it does count all other iterations:
// https://platform.claude.com/docs/en/agents-and-tools/tool-use/advisor-tool
func asideOf(iterations gjson.Result) (sum ledger.Usage) {
	iterations.ForEach(func(_, it gjson.Result) bool {
		if kind := it.Get("type").Str; kind == "compaction" || kind == "advisor_message" {
			var n counts
			n.read(it, false)
			sum = sum.Plus(n.ledger()).Clamped()
		}
		return true
	})
	return sum
}

// ledger maps Anthropic's convention: input_tokens excludes what was read from and written to the cache, and
// output_tokens includes thinking. Of the writes only the total is repeated as the answer goes on, so the
// long-lived share is bounded by it.
func (n *counts) ledger() ledger.Usage {
	u := ledger.Usage{
		Input: n.input, Output: n.output, Reasoning: n.thinking,
		CacheRead: n.cacheRead, CacheWrite: n.cacheWrite, CacheWriteLong: n.hour,
	}.Clamped()
	u.CacheWriteLong = min(u.CacheWriteLong, u.CacheWrite)
	u.CacheWrite -= u.CacheWriteLong
	return u.Plus(n.aside).Clamped()
}

// appendUsage writes Anthropic's convention, in which the three classes of input are apart.
func appendUsage(b []byte, u ledger.Usage) []byte {
	for _, part := range []struct {
		before string
		n      int64
	}{
		{`{"input_tokens":`, u.Input},
		{`,"cache_creation_input_tokens":`, u.CacheWrite + u.CacheWriteLong},
		{`,"cache_read_input_tokens":`, u.CacheRead},
		{`,"cache_creation":{"ephemeral_5m_input_tokens":`, u.CacheWrite},
		{`,"ephemeral_1h_input_tokens":`, u.CacheWriteLong},
		{`},"output_tokens":`, u.Output},
		{`,"output_tokens_details":{"thinking_tokens":`, u.Reasoning},
	} {
		b = strconv.AppendInt(append(b, part.before...), part.n, 10)
	}
	return append(b, "}}"...)
}
