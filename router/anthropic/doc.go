// Package anthropic speaks the dialect of Anthropic's Messages API, to callers and to upstreams.
//
// A request that came in this dialect and goes to an upstream of this dialect is forwarded with its own bytes; only
// the members that edit names are written anew. Its answer is forwarded frame by frame. Everything else passes
// through the canonical form of package router.
//
// Anthropic seals what its models think and wants it back, verbatim, where a conversation goes on past a tool call, with
// nothing changed of what came before it. A caller of this dialect brings it back; for others the answer is remembered
// as turn gathers it.
//
// Field names, events and error types are those of Anthropic's API description as its Go SDK v1.84.0
// (2026-10-20) has it, and of https://platform.claude.com/docs/en/build-with-claude/streaming. Requests that waybill
// writes itself are of version 2023-06-01; those of callers keep their version.
package anthropic
