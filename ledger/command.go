package ledger

import (
	"errors"
	"strings"
)

// Command asks for something to happen. Deciding it reads the draft and changes nothing.
type Command interface {
	// Stream is the org, or Platform, that the command concerns.
	Stream() string
	// By says who commands, and under which idempotency key.
	By() By
	// Once lists the causes that must be new to the log. A command whose cause is known is not decided again.
	Once() []Cause
	decide(d *Draft, at Instant) ([]Event, error)
}

// By says who commands, and under which idempotency key.
type By struct {
	Actor string // operator, key/ID, waybill, stripe
	Cause string // without spaces: a caller's Idempotency-Key, or an id that waybill made
	// Input is a digest of what the caller asked, if Cause is the caller's own. It makes the cause binding: the
	// same cause with the same input is answered with the first receipt, with another input it is a conflict.
	Input string
}

// Cause is an idempotency key within a scope.
type Cause struct {
	Scope string // an org, or "payment"
	Key   string
	Input string // digest of what was asked under it
}

// once is the causes of a command that a caller has named.
func (b By) once(scope string) []Cause {
	if b.Input == "" {
		return nil
	}
	return []Cause{{scope, b.Cause, b.Input}}
}

// within is By for the later commands of a request, whose cause was used up by its admission.
func (b By) within() By { return By{Actor: b.Actor, Cause: b.Cause} }

// link joins what waybill adds to a caller's key for a cause of its own. Callers' keys are ASCII, so that none of them is such
// a cause.
const link = "§"

// After is By for calling once more under the caller's key, now that a request under it was voided. That cause is as binding
// as the key: of those who call again at once, one is admitted.
func (b By) After(request string) By {
	key, _, _ := strings.Cut(b.Cause, link)
	return By{b.Actor, key + link + request, b.Input}
}

// voiding is By for the voiding of a request, whose own cause was used up by its admission. Under a caller's key it has one of its
// own, so that to void the request once more tells that it was.
func (b By) voiding(request string) By {
	if b.Input == "" {
		return b
	}
	by := b.After(request)
	by.Cause += link + "void"
	return by
}

// recorded is the cause as the command's events carry it: the key and, after a space, the digest of what was asked under
// it, if the key is the caller's own. The log then tells by itself what each key was used for.
func (b By) recorded() string {
	if b.Input == "" {
		return b.Cause
	}
	return b.Cause + " " + b.Input
}

// Causes are the causes that the record's command has used up, as Once told of it. They stand with the first of a
// command's own events.
func (r *Record) Causes() []Cause {
	var used []Cause
	if key, input, ok := strings.Cut(r.Cause, " "); ok {
		scope := r.Stream
		if _, opens := r.Event.(*OrgOpened); opens {
			scope = Platform // the org had no id yet that a caller could know
		}
		used = append(used, Cause{scope, key, input})
	}
	switch e := r.Event.(type) {
	case *CreditPurchased:
		used = append(used, purchaseCause(r.Stream, e.Reference, e.Amount, e.Paid))
	case *CreditRefunded:
		used = append(used, refundCause(r.Stream, e.Lot, e.Reference, e.Asked, e.Chargeback))
	}
	return used
}

// Receipt is the durable answer to a command.
type Receipt struct {
	Records  []Record // what was appended, in order
	Repeated bool     // the cause was known: these are the records of the first time
}

// Position is that of the receipt's last event, 0 if nothing was to be done.
func (r Receipt) Position() uint64 {
	if len(r.Records) == 0 {
		return 0
	}
	return r.Records[len(r.Records)-1].Position
}

// decideAll decides the rows of a list: the events of all, or the refusal of the first that is refused, with its place.
func decideAll[T any](list string, rows []T, decide func(i int, row T) ([]Event, error)) (all []Event, err error) {
	if len(rows) == 0 {
		return nil, refuse(CodeInvalid, "%s: is empty", list)
	}
	for i, row := range rows {
		events, err := decide(i, row)
		if e, ok := errors.AsType[*Error](err); ok {
			return nil, refuse(e.Code, "%s[%d]: %s", list, i, e.Message)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, events...)
	}
	return all, nil
}
