// Package gemini speaks the dialect of the Gemini Developer API, to callers and to upstreams: generateContent and
// streamGenerateContent, countTokens, embedContent and batchEmbedContents.
//
// A request that came in this dialect and goes to an upstream of this dialect is forwarded with its own bytes; only what
// edit names is written anew. Its answer is forwarded frame by frame. Everything else passes through the canonical form
// of package router.
//
// Field names, finish reasons and levels are those of Google's Go SDK google.golang.org/genai v1.77.0
// (2026-10-29); error details those of https://cloud.google.com/apis/design/errors.
package gemini
