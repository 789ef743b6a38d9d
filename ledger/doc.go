// Package ledger is waybill's domain: what may happen to money, allowances and access, and what follows from it.
//
// It is pure. A Command is decided against a Draft, an overlay on the State, and becomes Events or a coded *Error.
// An Event is a fact: folding it (evolve) never fails and reads nothing but itself and the state before it. Every
// event that moves value names its postings, which sum to zero in each unit; a balance anywhere is a sum of
// postings and nothing else. Time, ids and chance are arguments.
//
// The words, each with one meaning:
//
//   - org: who pays; one stream of events, one consistency boundary.
//   - account: a posting target, such as org/ORG/credit/LOT, or its twin …/held.
//   - posting, entry: one signed amount; the balanced set that one event causes.
//   - allowance: plan tokens of one period, or free messages.
//   - lot: one purchase or grant of credit, with its own expiry and remainder.
//   - hold: an authorisation for one request, resolved once by settle, void or interrupt.
//   - draw: what a settlement took from one lot or allowance; overage: what was captured beyond hold and balance.
//   - stream, position, version: an org's events; place in the whole log; place in the stream.
//   - cause: the idempotency key of a command.
//
// Units are three and never mixed in one posting: usd in nano-dollars, tok in plan tokens, msg in free messages.
package ledger
