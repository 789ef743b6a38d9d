package ledger

import "fmt"

// Code is the class of a refusal, the same word in every API and dialect.
type Code string

// The codes.
const (
	CodeInvalid           Code = "invalid"             // the command itself makes no sense
	CodeNotFound          Code = "not_found"           // what it names does not exist
	CodeConflict          Code = "conflict"            // it contradicts what is already so
	CodeRepeated          Code = "repeated"            // an Idempotency-Key was used before, for this same call
	CodeUnknownKey        Code = "unknown_key"         // no such key, or revoked, or expired
	CodeForbidden         Code = "forbidden"           // the key lacks the scope
	CodeOrgSuspended      Code = "org_suspended"       // the org may not call
	CodePlanExcludesModel Code = "plan_excludes_model" // the plan has no lane to this model
	CodePlanLimit         Code = "plan_limit"          // the plan caps the size of a call
	CodePlanExcludesCred  Code = "plan_excludes_credit"
	CodeKeyForbidsModel   Code = "key_forbids_model"
	CodeUnknownModel      Code = "unknown_model"
	CodePolicyForbids     Code = "policy_forbids" // the org's own policy refuses the call, or leaves nothing for it
	CodeUnpricedModel     Code = "unpriced_model" // no price is in force: paid capacity fails closed
	CodeInsufficientFunds Code = "insufficient_funds"
	CodeFundsHeld         Code = "funds_held"     // only other calls' holds stand in the way
	CodeCapReached        Code = "cap_reached"    // a cap of the key does not leave enough
	CodeUnavailable       Code = "unavailable"    // the node cannot take commands now
	CodeNotReplicated     Code = "not_replicated" // it is done here, and the replica has not confirmed it in time
	CodeInternal          Code = "internal"       // a bug: an invariant would have broken
)

// Error is a refused command.
type Error struct {
	Code    Code
	Message string // for people: what, where, and what to do
	Of      string // the id of what stands in the way, for instance the first request under a repeated cause
	// Until is when the cap of a CodeCapReached will no longer be used up: Never, if the end of no window helps, and 0 if only
	// other calls' holds stand in the way, which may end at any time.
	Until Instant
	// Resets is when the window of the cap of a CodeCapReached ends; 0 of a lifetime.
	Resets Instant
}

// Error is the message; the code is for programs.
func (e *Error) Error() string { return e.Message }

func refuse(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}
