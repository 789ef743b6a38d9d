// Package dialects lists the wire formats that waybill speaks, and the providers that speak one of them. A new
// dialect is a folder beside this one and a line here; a provider that speaks a known dialect is a row.
package dialects

import (
	"waybill/ledger"
	"waybill/router"
	"waybill/router/anthropic"
	"waybill/router/gemini"
	"waybill/router/openai"
)

// Upstreams are the clients, by the dialect that the provider speaks.
var Upstreams = map[ledger.Dialect]router.Upstream{
	ledger.DialectOpenAIChat:        openai.Upstream{},
	ledger.DialectAnthropicMessages: anthropic.Upstream{},
	ledger.DialectGemini:            gemini.Upstream{},
}

// Inbounds are the readers and writers, by the dialect that the caller speaks.
var Inbounds = map[ledger.Dialect]router.Inbound{
	ledger.DialectOpenAIChat: openai.Inbound{},
}

// Providers are the providers by the name that models and credentials have them under.
var Providers = map[string]router.Provider{
	"openai":    {Dialects: []ledger.Dialect{ledger.DialectOpenAIChat}, BaseURL: "https://api.openai.com/v1"},
	"anthropic": {Dialects: []ledger.Dialect{ledger.DialectAnthropicMessages}, BaseURL: "https://api.anthropic.com"},
	"google":    {Dialects: []ledger.Dialect{ledger.DialectGemini}, BaseURL: "https://generativelanguage.googleapis.com"},
}
