// Package sandbox stands in for the three providers. It is an http.Handler that
// speaks OpenAI Chat Completions, Anthropic Messages and Gemini generateContent
// as strictly as the providers do, answers deterministically, misbehaves on
// request, and keeps a record of each call it served, so that a ledger can be
// reconciled against it.
//
// It imports nothing of waybill. Its idea of a wire format comes from the
// providers' descriptions alone, so that the gateway's codecs and this package
// cannot share one mistake.
//
// # Addresses
//
//	/openai/v1/chat/completions                        POST
//	/openai/v1/models                                  GET
//	/anthropic/v1/messages                             POST
//	/anthropic/v1/models                               GET
//	/google/v1beta/models/MODEL:generateContent        POST
//	/google/v1beta/models/MODEL:streamGenerateContent  POST (?alt=sse, else one JSON array)
//	/google/v1beta/models                              GET
//	/calls                                             GET, the record; ?after=SEQ
//
// [BaseURL] gives the address that each provider's own SDK takes.
//
// # Keys
//
// With no [Options.Keys] any non-empty key is good. A key whose text holds
// "sandbox-fail-KIND" (KIND a [Failure], dashes or underscores) always fails
// so: "sk-sandbox-fail-out-of-credit". A Google key in the query string is not
// served: such keys end up in access logs, and a gateway that does it is wrong.
//
// # Answers
//
// The text is a pure function of the last user message ([Answer]): the same
// for every provider, streamed or not, and the directive in it does not count.
// A token is four bytes of UTF-8 text, rounded up once per text ([CountTokens]).
// Input is the sum over the system texts, message texts, tool calls and results
// and tool definitions (both as their raw JSON), plus 256 tokens an image, audio
// clip or file. The output cap counts reasoning first; what is left is text.
// Usage is reported by each provider's own convention.
//
// # Directives
//
// A user message may steer the call that carries it. The last user message is
// read; it may hold one directive:
//
//	directive = "[[sandbox" { space word } "]]"
//	word      = flag | name "=" value
//
//	output=N        tokens of text wanted, before cap and stop strings
//	say="TEXT"      this text instead; a Go string literal
//	reasoning=N     reasoning tokens spent before the text
//	input=N         report this many input tokens in total
//	cached=N        of the input, read from the cache
//	cache_write=N   of the input, written to the cache
//	uncapped        run past the caller's output cap
//	no_usage        report no usage at all
//	verdict=V       refusal, filtered or blocked
//	finish=WORD     report this finish reason, verbatim
//	extras          add fields and events that no client knows
//
//	latency=D       wait before the status line
//	delay=D         wait before each content frame
//	chunks=N        content frames in a stream
//	chunk_bytes=N   or bytes of text in each of them (default 16)
//	split=N|utf8    write N bytes at a time, or break inside each non-ASCII rune
//	crlf            end SSE lines with CRLF
//	pings           a keep-alive before each content frame
//
//	fail=KIND       fail; KIND is a Failure
//	fail_at=PLACE   where (default headers)
//	retry_after=D   the hint that goes with it (rate_limited gives 1s unasked)
//	hang[=PLACE]    stop there until the client leaves or Release (default content)
//	cut[=PLACE]     drop the connection there (default content)
//	truncate[=PLACE] end the body there as if it were complete (default end)
//
// D is a Go duration. A PLACE is
//
//	headers   before the status line
//	first     after the status line, before the first frame
//	N         after N content frames
//	content   after half of them, at least one if there is one
//	end       after all that carry no finish reason, before the one that does
//	last      after the finish reason and usage, before the terminator
//
// A content frame is one step of every choice. Gemini puts the last text and
// the finish reason into one frame, so it has one content frame less. If
// several faults fall on one place they strike in the order hang, fail, cut,
// truncate. An answer that is not streamed has its whole status and body as
// one: fail comes as the status wherever it is set, first is after the headers,
// 1 and content after half of the body, end before its last byte and last after
// it; words about frames do nothing there.
//
// What does not parse, contradicts itself or cannot strike is answered with 400
// by name, so that a test cannot pass because its fault never happened.
// [Sandbox.Script] sets the same things from Go; a directive overrules it.
//
// # The record
//
// Each generation call is in [Sandbox.Calls] from its arrival ("opened"),
// before any byte of the answer, and is closed ("ended") before the frame with
// the finish reason, or the body, goes out. With [Options.Journal] both are
// also lines of JSON, each written whole. So whoever holds an answer that ends
// finds it in the record, whatever was killed meanwhile. A call that did not
// get so far is closed with what had been produced until then.
//
// # Left out
//
// The models answer text: tools, images, schemas and logprobs are checked and
// counted, not acted upon.
package sandbox
