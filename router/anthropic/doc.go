// Package anthropic speaks the dialect of Anthropic's Messages API, version 2023-06-01, to upstreams.
//
// Field names, events and error types are those of Anthropic's API description as its Go SDK v1.84.0
// (2026-10-20) has it, and of https://platform.claude.com/docs/en/build-with-claude/streaming.
package anthropic
