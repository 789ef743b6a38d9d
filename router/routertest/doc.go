// Package routertest is the conformance suite of the dialects: every scenario, for every dialect that callers speak with
// every dialect that upstreams speak, unary and streamed, over real HTTP against the sandbox's upstreams and a real log.
//
// [Run] runs it. A caller's dialect takes part by a line in [Clients], an upstream's by a line in [Upstreams]; a [Client]
// writes the scenarios in its dialect's JSON and reads the answers back into one neutral form. It is written from the
// providers' descriptions and knows nothing of the router's codecs, so that both cannot share a mistake.
//
// [Features] says what each pair carries, refuses or alters, as a table for people; the suite holds it against what happens.
package routertest
