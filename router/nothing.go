package router

import (
	"fmt"
	"slices"
	"strings"

	"waybill/ledger"
)

// refusalRank is how near to an admission the ledger's refusals are: the nearest tells its caller most. Any other is nearer.
var refusalRank = []ledger.Code{ledger.CodeKeyForbidsModel, ledger.CodePlanExcludesModel, ledger.CodeUnpricedModel, ledger.CodePlanLimit}

// none is why nothing can be tried: of all the reasons the one whose remedy is the nearest. What the request itself leaves out
// would else be tried; what the ledger refuses, the policy would have; what the policy leaves out, the call would have fitted.
func (r *routing) none() error {
	d := &r.decision
	if r.narrows {
		field, header := "models", HeaderModels
		if r.ask.Narrowed.Credentials != "" {
			field, header = "credentials", HeaderCredentials
		}
		return &FieldError{narrowMember + "." + field, "the request leaves nothing of what its org's policy allows (this member of the body, or the header " +
			header + "): " + r.told()}
	}
	has := func(is func(reason string) bool) bool {
		return slices.ContainsFunc(d.Passed, func(p ledger.Passed) bool { return is(p.Reason) })
	}
	switch {
	case has(func(reason string) bool { return reason == passReplaced }):
		return &ledger.Error{Code: ledger.CodePolicyForbids, Message: fmt.Sprintf("route %q of the org's policy names a credential that is detached, and the org has another for its provider: set the policy again: %s", d.Route, r.told())}
	case len(r.refusals) > 0:
		return slices.MaxFunc(r.refusals, func(a, b error) int { return rankOf(a) - rankOf(b) })
	case has(isUnfit):
		return &FieldError{r.ask.Field, "no model that the org's policy takes can serve this call: " + r.told()}
	case len(r.rule.Try) > 0 && has(func(reason string) bool { return reason == passUnknown }):
		return &ledger.Error{Code: ledger.CodePolicyForbids, Message: fmt.Sprintf("route %q of the org's policy has nothing that can be called, and names a model that the catalogue does not have, or that is retired: set the policy again: %s", d.Route, r.told())}
	case has(func(reason string) bool {
		return reason == passMode || reason == passProvider || reason == passOnly || reason == passPaid
	}):
		return &ledger.Error{Code: ledger.CodePolicyForbids, Message: "the org's policy leaves nothing for this call: " + r.told()}
	case len(d.Passed) > 0 && (len(r.rule.Try) > 0 || r.rule.Auto != nil):
		return &ledger.Error{Code: ledger.CodePolicyForbids, Message: fmt.Sprintf("route %q of the org's policy has nothing that can be called: %s", d.Route, r.told())}
	case d.Settings.Credentials == BYOKOnly:
		return &ledger.Error{Code: ledger.CodePolicyForbids, Message: "the org's policy takes its own credentials only, and none is attached that reaches " + r.ask.Model}
	}
	return &ledger.Error{Code: ledger.CodeUnavailable, Message: "no credential is attached that reaches " + r.ask.Model +
		": attach one of your own, or ask the operator"}
}

func isUnfit(reason string) bool {
	return reason == passContext || reason == passOutput || strings.HasPrefix(reason, passLacks)
}

func rankOf(err error) int {
	if le, ok := err.(*ledger.Error); ok {
		if i := slices.Index(refusalRank, le.Code); i >= 0 {
			return i
		}
	}
	return len(refusalRank)
}

// manyTold is how many legs an error tells.
const manyTold = 6

// told is what was passed over and why, in a sentence.
func (r *routing) told() string {
	var parts []string
	for i, p := range r.decision.Passed {
		if i == manyTold {
			parts = append(parts, fmt.Sprintf("and %d more", len(r.decision.Passed)-i))
			break
		}
		s := p.Model
		if p.Kind != "" {
			s += " on " + string(p.Kind)
		}
		parts = append(parts, s+": "+p.Reason)
	}
	return strings.Join(parts, "; ")
}

func reasonOf(err error) string {
	if le, ok := err.(*ledger.Error); ok {
		return string(le.Code)
	}
	return "forbidden"
}
