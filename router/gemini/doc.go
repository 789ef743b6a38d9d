// Package gemini speaks the dialect of the Gemini Developer API's generateContent to upstreams.
//
// Field names, finish reasons and levels are those of Google's Go SDK google.golang.org/genai v1.77.0
// (2026-10-29); error details those of https://cloud.google.com/apis/design/errors.
package gemini
