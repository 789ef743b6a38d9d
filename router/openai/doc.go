// Package openai speaks the dialect of OpenAI's Chat Completions and Embeddings, to callers and to upstreams: OpenAI's own,
// and the many servers that are compatible with it but for their quirks.
//
// A request that came in this dialect and goes to an upstream of this dialect is forwarded with its own bytes;
// only the members that edit names are written anew. Its answer is forwarded frame by frame. Everything else
// passes through the canonical form of package router: decode.go, message.go, part.go and tool.go read it, encode.go,
// turn.go and format.go write it; decoder.go and answer.go read an answer, rendering.go and choices.go write one.
//
// Field names and the order of a streamed answer are those of OpenAI's API description as its Go SDK
// v3.96.0 (2026-11-05) has it. What other servers add or do differently is marked as theirs where it is read.
package openai
