package router

import (
	"strings"

	"waybill/ledger"
)

// Reason is a word for why a leg is not tried, or why an attempt failed, as decisions and traces have it.
type Reason struct {
	Word    string
	When    string
	Meaning string
}

// When a reason is found: while the route is decided, when it is the leg's turn, or in either case; or by the answer to its call.
const (
	whenDecided = "decided"
	whenTurn    = "its turn"
	whenEither  = "either"
	whenFailed  = "failed"
)

// anyField stands in a meaning for what follows the word.
const anyField = "…"

// Reasons are all the words that waybill has for it. The words of providers stand beside the last of them, the classes.
var Reasons = []Reason{
	{passMode, whenDecided, "the policy's mode of credentials leaves it out"},
	{passProvider, whenDecided, "the policy's providers leave this one out"},
	{passOnly, whenDecided, "the org has a credential of its own for this provider that is used instead of the platform's"},
	{passMissing, whenDecided, "no such credential is attached"},
	{passReplaced, whenDecided, "the credential that the policy names is detached, and the org has another for the provider: set the policy again"},
	{passUnknown, whenEither, "the catalogue does not have the model, or it is retired"},
	{passContext, whenDecided, "what is sent and an answer to it do not fit into its context"},
	{passOutput, whenDecided, "it does not put out as much as the caller asks for"},
	{passLacks, whenDecided, "the model does not have what the request needs: " + anyField},
	{string(ledger.CodeKeyForbidsModel), whenEither, "the key that calls may not call the model"},
	{string(ledger.CodePlanExcludesModel), whenEither, "the org's plan has no lane to the model on the platform's credentials"},
	{string(ledger.CodeUnpricedModel), whenEither, "the model has no price in force: it can be called on the org's own credential only"},
	{string(ledger.CodePlanLimit), whenEither, "the call is larger than the org's plan takes on the platform's credentials"},
	{passNarrowed, whenDecided, "the request itself leaves it out"},
	{passPaid, whenDecided, "it costs money and comes after the org's own credential: paid_fallback is off"},
	{passMore, whenDecided, "enough other legs come before it"},
	{breakerOpen, whenTurn, "it has failed, or its upstream has asked to be left alone: it rests"},
	{unreadable, whenTurn, "the vault does not give the credential's secret"},
	{passUnsupported, whenTurn, "the model or its provider's dialect cannot carry " + anyField},
	{unwritten, whenTurn, "the request could not be written for it: the node's own failure"},
	{string(ledger.CodeInsufficientFunds), whenTurn, "there is not enough to pay for it at worst"},
	{string(ledger.CodeFundsHeld), whenTurn, "there would be enough, if open calls did not hold it"},
	{string(ledger.CodeCapReached), whenTurn, "a cap of the key does not leave enough"},
	{string(ledger.CodeNotFound), whenTurn, "the credential was detached since the route was decided"},
	{string(ClassRateLimited), whenFailed, "the provider asks to slow down"},
	{string(ClassOverloaded), whenFailed, "the provider is out of capacity"},
	{string(ClassServerError), whenFailed, "the provider failed"},
	{string(ClassTimeout), whenFailed, "a deadline of the node's, the policy's or the provider's passed"},
	{string(ClassConnection), whenFailed, "the connection was refused, reset, or cut before the answer's end"},
	{string(ClassCredential), whenFailed, "the key is bad, may not do this, or is out of credit"},
	{string(ClassBadRequest), whenFailed, "the provider refuses the call itself: no other leg is tried"},
	{string(ClassNotFound), whenFailed, "the provider does not know the model"},
	{string(ClassCanceled), whenFailed, "the caller left"},
}

// meaning is what a reason means; empty if it is none.
func meaning(reason string) string {
	for _, r := range Reasons {
		if what, ok := strings.CutPrefix(reason, r.Word); ok && what == "" {
			return r.Meaning
		} else if ok && strings.HasSuffix(r.Meaning, anyField) {
			return strings.TrimSuffix(r.Meaning, anyField) + what
		}
	}
	return ""
}
