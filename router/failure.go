package router

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Class is what went wrong with an attempt, by the provider's own code rather than by status alone.
type Class string

// The classes of failure. Policy names them in retry_on.
const (
	ClassRateLimited Class = "rate_limited" // slow down; worth another credential, or a later try
	ClassOverloaded  Class = "overloaded"   // the provider is out of capacity
	ClassServerError Class = "server_error" // the provider failed
	ClassTimeout     Class = "timeout"      // a deadline of ours or of the provider's passed
	ClassConnection  Class = "connection"   // refused, reset, or cut before its end
	ClassCredential  Class = "credential"   // the key is bad, forbidden, or out of credit
	ClassBadRequest  Class = "bad_request"  // the call itself is refused: no other leg would take it better
	ClassNotFound    Class = "not_found"    // the provider does not know the model
	ClassCanceled    Class = "canceled"     // the caller left
)

// UpstreamError is one failed attempt.
type UpstreamError struct {
	Class      Class
	Status     int           // the upstream's HTTP status, 0 if there was none
	Code       string        // the provider's own code
	Field      string        // the field of what was sent that is at fault, where the provider names one
	TooLong    bool          // the input is longer than the model takes
	Message    string        // the provider's own text, cut to a bounded length, secrets removed
	RetryAfter time.Duration // the provider's hint, 0 if none
	Phrase     string        // the words of Message by which it was classed, where no code says it
	OneModel   bool          // it is of the credential's for this model alone: others may answer on it
	Doubtful   bool          // its code is also that of a thing which a request may name, such as a file
	Provoked   bool          // what was asked, or the node's own end, may have brought it about: it is no sign of how the upstream does
	Err        error         // the cause, if it was ours or the network's
}

// Unfunded takes the failure for one of a credential whose account may spend no more, if the message has one of these phrases, in
// lower case. For dialects that have no code for it.
func (e *UpstreamError) Unfunded(phrases ...string) {
	message := strings.ToLower(e.Message)
	for _, phrase := range phrases {
		if strings.Contains(message, phrase) {
			e.Class, e.Phrase, e.OneModel = ClassCredential, phrase, false
			return
		}
	}
}

// condemns tells whether it is a sign that its credential is of no use, for any model.
func (e *UpstreamError) condemns() bool { return e.sign() == ClassCredential && !e.OneModel }

// sign is the class by which it counts for the upstream's health.
func (e *UpstreamError) sign() Class {
	if e.Provoked {
		return ClassBadRequest
	}
	return e.Class
}

// Error says what failed, where possible in the provider's words.
func (e *UpstreamError) Error() string {
	s := string(e.Class)
	if e.Status != 0 {
		s += fmt.Sprintf(" (%d)", e.Status)
	}
	if e.Code != "" {
		s += " " + e.Code
	}
	if e.Message != "" {
		s += ": " + e.Message
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// words are what is said of the failure, by the provider or, where it was ours or the network's, by its cause.
func (e *UpstreamError) words() string {
	switch {
	case e.Err == nil:
		return e.Message
	case e.Message == "":
		return e.Err.Error()
	}
	return e.Message + ": " + e.Err.Error()
}

// Unwrap gives the cause.
func (e *UpstreamError) Unwrap() error { return e.Err }

// FieldError is a request that a leg cannot carry: it names the caller's field and why.
type FieldError struct {
	Field  string // as the caller wrote it, for example "logit_bias" or "messages[2].content[0]"
	Reason string
}

// Error names the field.
func (e *FieldError) Error() string { return e.Field + ": " + e.Reason }

// upstreamError is an error as an upstream's; one that nobody has classed is taken for a failure of the provider's.
func upstreamError(err error) *UpstreamError {
	if e, ok := errors.AsType[*UpstreamError](err); ok {
		return e
	}
	return &UpstreamError{Class: ClassServerError, Err: err}
}
