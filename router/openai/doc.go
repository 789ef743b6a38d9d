// Package openai speaks the dialect of OpenAI's Chat Completions, to callers and to upstreams.
//
// A request that came in this dialect and goes to an upstream of this dialect is forwarded with its own bytes;
// only the members that edit names are written anew. Its answer is forwarded frame by frame. Everything else
// passes through the canonical form of package router.
//
// Field names and the order of a streamed answer are those of OpenAI's API description as its Go SDK
// v3.96.0 (2026-11-05) has it.
package openai
