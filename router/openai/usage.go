package openai

import (
	"github.com/tidwall/gjson"

	"waybill/ledger"
)

// readUsage maps OpenAI's convention: prompt_tokens includes what was read from and written to the cache, and
// completion_tokens includes reasoning. The count of written tokens is called unadjusted, so the parts may
// exceed their total. It is not split by lifetime, as Responses splits it: written for longer counts as such only where the
// request asks for nothing else.
func (d *decoder) readUsage(u gjson.Result) {
	if !u.IsObject() {
		return
	}
	var total, hit int64
	var detailed bool
	next := ledger.Usage{}
	u.ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "prompt_tokens":
			next.Input = v.Int()
		case "completion_tokens":
			next.Output = v.Int()
		case "total_tokens":
			total = v.Int()
		case "prompt_tokens_details":
			cached := v.Get("cached_tokens")
			detailed = cached.Type == gjson.Number
			next.CacheRead, next.CacheWrite = cached.Int(), v.Get("cache_write_tokens").Int()
		case "completion_tokens_details":
			next.Reasoning = v.Get("reasoning_tokens").Int()
		case "prompt_cache_hit_tokens": // DeepSeek's word
			hit = v.Int()
		}
		return true
	})
	if !detailed {
		next.CacheRead = hit
	}
	// xAI counts reasoning beside the completion, as its total shows.
	if beside := next.Reasoning; beside > 0 && total == next.Input+next.Output+beside {
		next.Output += beside
	}
	d.usage = next.Clamped()
	d.usage.Input = max(0, d.usage.Input-d.usage.CacheRead-d.usage.CacheWrite)
	if d.long {
		d.usage.CacheWrite, d.usage.CacheWriteLong = 0, d.usage.CacheWrite
	}
	d.reported = true
}
