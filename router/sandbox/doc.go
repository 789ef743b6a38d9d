// Package sandbox stands in for the providers. It is an http.Handler that speaks
// OpenAI Chat Completions and Responses, Anthropic Messages, Gemini generateContent
// and the Chat Completions of small compatible servers as strictly as they do,
// answers deterministically, misbehaves on request, and keeps a record of each call
// it served, so that a ledger can be reconciled against it.
//
// It imports nothing of waybill. Its idea of a wire format comes from the
// providers' descriptions and the types of their own SDKs alone, so that the
// gateway's codecs and this package cannot share one mistake.
//
// # Addresses
//
//	/openai/v1/chat/completions                        POST
//	/openai/v1/responses                               POST
//	/openai/v1/responses/input_tokens                  POST
//	/openai/v1/embeddings                              POST
//	/openai/v1/models  /openai/v1/models/MODEL         GET
//	/anthropic/v1/messages                             POST
//	/anthropic/v1/messages/count_tokens                POST
//	/anthropic/v1/models  /anthropic/v1/models/MODEL   GET (?limit= after_id= before_id=)
//	/google/v1beta/models/MODEL:generateContent        POST
//	/google/v1beta/models/MODEL:streamGenerateContent  POST (?alt=sse, else one JSON array)
//	/google/v1beta/models/MODEL:countTokens            POST (contents or generateContentRequest)
//	/google/v1beta/models/MODEL:embedContent           POST
//	/google/v1beta/models/MODEL:batchEmbedContents     POST
//	/google/v1beta/models  /google/v1beta/models/MODEL GET (?pageSize= pageToken=)
//	/compatible/v1/chat/completions                    POST, and /embeddings, /models
//	/compatible/strict/…  /compatible/azure/…          the same three, other quirks
//	/calls                                             GET, the record; ?after=SEQ
//
// [BaseURL] gives the address that each provider's own SDK takes.
//
// # Compatible servers
//
// All three take any model and any key, give reasoning as reasoning_content deltas
// (and message.reasoning_content), put usage into the last chunk that has a choice,
// whether asked or not, and ignore fields that they do not know. In particular
//
//	/compatible/v1      takes stream_options and ignores it
//	/compatible/strict  refuses max_completion_tokens, the developer role, stream_options,
//	                    reasoning_effort and json_schema with 400; takes max_tokens
//	/compatible/azure   takes the key in the header Api-Key (or as a bearer), sends a first
//	                    chunk without choices and model that only has prompt_filter_results,
//	                    and follows include_usage as OpenAI does
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
// clip or file. Output is text, the arguments of calls (each rounded up) and
// reasoning. The output cap counts reasoning first, then text, then calls.
// Usage is reported by each provider's own convention. What the text is:
//
//   - say's or output's, if the directive has one;
//   - else nothing, if tools are called;
//   - else, if a JSON schema was asked for, an instance of it ([Instance]); if it is any JSON
//     object, {"answer": TEXT} around what follows;
//   - else, if the directive says describe, a line for all media of the conversation;
//   - else, if the conversation ends with tool results, a line for each in the order
//     of their calls, "result of NAME (ID): TEXT" or "error of NAME (ID): TEXT"
//     ([Result]): ID is left out, brackets too, where the provider had none. TEXT is the
//     text parts, or of a Gemini response that has one member, output, result or error,
//     whose value is a string, that string, else its JSON. Media follow as lines of their own;
//   - else, if the last user message has images, audio, video or documents, a line for
//     each of them in order ([Media], [MediaURL]): "image image/png 68 bytes sha256:0123456789abcdef"
//     or "image URL";
//   - else sentences.
//
// # Tools
//
// A tool is called if a directive says so or the tool choice forces it (the named tool,
// else the first one allowed), never if it is none. A choice that is not satisfied by the
// directive's names, and names that were not offered, are answered with 400 by name. Arguments
// are [Instance] of the tool's schema: every property, required and optional, strings
// with quotes, backslashes and other scripts; the second call of one answer gets other
// values than the first. If parallel calls are switched off, only the first is made.
// What ends with tool results is answered with text, even under a choice that forces;
// a directive in a result's text (not the user's before it) steers that answer. A text behind the results in the
// last turn makes it a new question.
//
// Arguments come in fragments of chunk_bytes each, after one frame that names the call; Gemini's
// come whole, and without id unless call_ids. Anthropic sends an empty first fragment,
// and none at all for {}. If the cap leaves no room, OpenAI's arguments are cut, others
// drop the call; the finish reason is the cap's.
//
// # Reasoning and seals
//
// reasoning=N spends tokens before the text. Anthropic shows a thinking block (its text only
// with display summarized) with a signature, Gemini thought parts with includeThoughts, Responses a
// reasoning item with encrypted_content, and a summary if asked. Gemini 3 and later sign the
// first call of each answer, and any model that reasoned its last text part.
//
// Each signature seals what it is on, the key's fingerprint and the model. When it comes back it is
// checked: 400 if it was altered, its text was altered or it was made under another key;
// of another model, Anthropic and OpenAI drop it in silence, uncounted, and Gemini refuses it. A call
// of the current turn that comes back to Gemini 3 or later without its signature is 400,
// unless it is the text skip_thought_signature_validator (as it is, or in base64).
// Thinking that comes back stands before the calls of its turn and is not its last block; a turn
// whose calls are being answered must begin with it if thinking is enabled with a budget.
// Responses stores nothing: reasoning must bring its encrypted_content and be followed by what it
// led to. That Anthropic also binds thinking to an unchanged prefix is left out.
//
// # Schemas
//
// Where a provider enforces a schema it takes only some: OpenAI's strict ones close every object
// and require each property, and compose with anyOf alone; Anthropic's (output_config, strict tools) close
// every object and have no bounds (minimum, maxLength, …); Gemini's parameters and responseSchema
// are its OpenAPI subset, whose words and types alone are known, with no empty properties and an
// items for each array, while its JSON Schemas may be anything. What breaks a rule is 400. A tool of Responses that
// does not say whether it is strict is made so, as far as its schema allows: objects are closed, and optional properties
// become required.
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
//	redacted        Anthropic: the thinking comes as a redacted_thinking block
//	describe        the text lists the media of the whole conversation, or says "no media"
//	call=A[,B…]     call these tools, in this order
//	calls=N         make the calls N times over; alone, of the first tool
//	args="TEXT"     these arguments, verbatim, for every call; a Go string literal. Not
//	                a JSON object is possible at OpenAI and compatible servers only
//	call_ids        Gemini: calls have ids
//
//	input=N         report this many input tokens in total
//	cached=N        of the input, read from the cache
//	cache_write=N   of the input, written to the cache for the shorter lifetime
//	                (Anthropic 5m, Responses 30m; OpenAI Chat reports the sum of both)
//	cache_write_long=N  and for the longer one (1h, 12h)
//	tier=WORD       report this service tier (Gemini: trafficType, such as ON_DEMAND_FLEX),
//	                whatever was asked for
//	uncapped        run past the caller's output cap
//	no_usage        report no usage at all
//	no_done         OpenAI Chat, compatible: no [DONE] at the end
//	verdict=V       refusal, filtered or blocked
//	finish=WORD     report this finish reason, verbatim (Responses: completed or failed as
//	                the status, any other word as the reason of an incomplete one)
//	extras          add fields, events, blocks and items that no client knows
//
//	latency=D       wait before the status line
//	delay=D         wait before each content frame
//	chunks=N        content frames in a stream: of the text, and of each call's arguments
//	chunk_bytes=N   or bytes of text in each of them (default 16)
//	split=N|utf8    write N bytes at a time, or break inside each non-ASCII rune
//	crlf            end SSE lines with CRLF
//	pings           a keep-alive before each content frame: a comment, Anthropic's
//	                ping, at Google an empty line (its own SDK takes no comment)
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
// A content frame is one step of every choice: a piece of its text, the frame that names a
// call, or a fragment of its arguments (Gemini: a whole call). Gemini puts the last of them and
// the finish reason into one frame, so it has one content frame less. If
// several faults fall on one place they strike in the order hang, fail, cut,
// truncate. An answer that is not streamed has its whole status and body as
// one: fail comes as the status wherever it is set, first is after the headers,
// 1 and content after half of the body, end before its last byte and last after
// it; words about frames do nothing there. Responses has no terminator: last is after its last event.
//
// A Responses stream fails with response.failed once it has begun, and with a bare error event before
// that. Embedding calls read the directive of their first text, and of its words only input, no_usage,
// latency, split and the faults; counting calls and lists read none.
//
// What does not parse, contradicts itself or cannot strike is answered with 400
// by name, so that a test cannot pass because its fault never happened.
// [Sandbox.Script] sets the same things from Go; a directive overrules it.
//
// # The record
//
// Each call is in [Sandbox.Calls] from its arrival ("opened"),
// before any byte of the answer, and is closed ("ended") before the frame with
// the finish reason, or the body, goes out. Its Endpoint says what it asked for; lists of
// models are recorded by [Sandbox.Lists], as they cost nothing and name no model. With [Options.Journal] both are
// also lines of JSON, each written whole. So whoever holds an answer that ends
// finds it in the record, whatever was killed meanwhile. A call that did not
// get so far is closed with what had been produced until then.
//
// # Left out
//
// Built-in tools, stored responses and conversations (refused), log probabilities, audio
// out, and what grammars of custom tools would allow.
package sandbox
