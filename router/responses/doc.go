// Package responses speaks the dialect of OpenAI's Responses, to callers and to upstreams.
//
// Waybill keeps no conversations: a call brings its whole input, nothing of it is stored anywhere, and the fields that
// refer to what a provider would have stored are refused by name. Reasoning goes back and forth sealed, in the
// conversation itself.
//
// A request that came in this dialect and goes to an upstream of this dialect is forwarded with its own bytes; only
// what edit names is written anew. Its answer is forwarded frame by frame. Everything else passes through the canonical
// form of package router.
//
// Field names and the order of a streamed answer are those of OpenAI's API description as its Go SDK v3.96.0
// (2026-11-05) has it.
package responses
