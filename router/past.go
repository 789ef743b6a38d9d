package router

import (
	"errors"
	"slices"
	"strings"

	"waybill/ledger"
)

// Past is a call that was decided before.
type Past struct {
	Org      string
	Admitted *ledger.RequestAdmitted
	At       ledger.Instant // of the admission
	Note     *Note          // nil: none was kept, or it is erased
	KeyName  string         // what the key is called now; it stands in for a note that was never kept
}

// ErrNoteGone is why a past call cannot be decided again: a policy would match what stood beside the log, and that is not there.
var ErrNoteGone = errors.New("what the policy would match of the call is not kept")

// Decide decides the call again: from what its record says it was decided from, the state as it stood then, and a policy, the
// same one or another. Under the policy of the time this is the decision of the time.
func (p Past) Decide(s *ledger.State, policy *Policy) (Decision, error) {
	in := &p.Admitted.Inputs
	note, keyKnown := Note{Key: p.KeyName}, !in.Noted && p.KeyName != "" || p.Admitted.Key == ""
	if p.Note != nil {
		note = *p.Note
	}
	a, at := AskedOf(p.Admitted, note), in.Decided
	if at == 0 {
		at = p.At
	}
	v := ViewOf(s, p.Org, p.Admitted.Key, policy, a, at)
	v.Seed = in.Seed
	v.Condition = func(c ledger.Choice) ledger.Condition {
		for _, o := range in.Conditions {
			if o.Model == c.Model && o.Credential == c.Credential {
				return o
			}
		}
		return ledger.Condition{Model: c.Model, Credential: c.Credential}
	}
	if p.Note == nil && hinges(a, v, keyKnown) {
		return Decision{}, ErrNoteGone
	}
	return Route(a, v)
}

// hinges tells whether what a policy says of a call may depend on its note, of which at most the key's name is known.
func hinges(a Ask, v View, keyKnown bool) bool {
	if v.Policy == nil {
		return false
	}
	if !keyKnown {
		a.Note.Key = ""
	}
	r := &routing{ask: a, view: v, model: v.Policy.means(a.Model)}
	for _, rule := range v.Policy.Routes {
		switch at := r.mismatch(rule.When); {
		case at == "":
			return false
		case at == "key" && !keyKnown, strings.HasPrefix(at, "metadata."):
			return true
		}
	}
	return false
}

// Choices are the legs as the log has them.
func (d *Decision) Choices() []ledger.Choice {
	all := make([]ledger.Choice, len(d.Legs))
	for i, l := range d.Legs {
		all[i] = l.choice()
	}
	return all
}

// reads tells whether a policy may match what stands beside the log.
func (p *Policy) reads() bool {
	return p != nil && slices.ContainsFunc(p.Routes, func(r PolicyRoute) bool { return r.When.Key != "" || len(r.When.Metadata) > 0 })
}
