package responses

import (
	"waybill/ledger"
	"waybill/router"
)

var (
	head  = router.Head{Request: "req_1", Model: "anthropic/claude-haiku-5-5", Created: 1764000000}
	usage = ledger.Usage{Input: 412, CacheRead: 9000, CacheWrite: 1000, CacheWriteLong: 2000, Output: 250, Reasoning: 180}
)
