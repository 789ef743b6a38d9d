// Package dialects lists the wire formats that waybill speaks, and the providers that speak one of them. A new
// dialect is a folder beside this one and a line here; a provider that speaks a known dialect is a row.
package dialects

import (
	"waybill/ledger"
	"waybill/router"
	"waybill/router/anthropic"
	"waybill/router/gemini"
	"waybill/router/openai"
	"waybill/router/responses"
)

// Upstreams are the clients, by the dialect that the provider speaks.
var Upstreams = map[ledger.Dialect]router.Upstream{
	ledger.DialectOpenAIChat:        openai.Upstream{},
	ledger.DialectOpenAIResponses:   responses.Upstream{},
	ledger.DialectAnthropicMessages: anthropic.Upstream{},
	ledger.DialectGemini:            gemini.Upstream{},
}

// Inbounds are the readers and writers, by the dialect that the caller speaks.
var Inbounds = map[ledger.Dialect]router.Inbound{
	ledger.DialectOpenAIChat:        openai.Inbound{},
	ledger.DialectOpenAIResponses:   responses.Inbound{},
	ledger.DialectAnthropicMessages: anthropic.Inbound{},
	ledger.DialectGemini:            gemini.Inbound{},
}
