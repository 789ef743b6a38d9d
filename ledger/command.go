package ledger

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
	Cause string // recorded with each event; a caller's Idempotency-Key, or an id that waybill made
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

// Receipt is the durable answer to a command.
type Receipt struct {
	Records  []Record // what was appended, in order
	Repeated bool     // the cause was known: these are the records of the first time
}

// Position is that of the receipt's last event.
func (r Receipt) Position() uint64 { return r.Records[len(r.Records)-1].Position }
