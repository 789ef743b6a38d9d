package ledger

import (
	"encoding/json"
	"fmt"
)

// Platform is the stream of what belongs to no org: plans, the catalogue, the platform's own credentials.
const Platform = "platform"

// Type is an event's name on disk, dotted and in the past tense. Types are never renamed.
type Type string

// Event is a fact. Its unexported methods close the set: an event that the fold does not know does not compile.
type Event interface {
	Type() Type
	// evolve folds the fact into the draft. It reads the event, its record and the draft, and cannot fail.
	evolve(d *Draft, r *Record)
	// postings is the entry that the event causes in the org's stream it stands in; it may be empty.
	postings(org string) []Posting
}

// Record is an event in its place in the log.
type Record struct {
	Position uint64   // in the whole log, from 1, gapless
	Stream   string   // an org's id, or Platform
	Version  uint64   // in the stream, from 1, gapless
	ID       [16]byte // UUIDv7
	Type     Type
	Schema   int
	At       Instant // strictly increasing over the log, assigned by the writer
	Actor    string  // who commanded it: operator, key/ID, waybill, stripe
	Cause    string  // the idempotency key of the command and, if a caller chose it, a space and the digest of what was asked
	Data     []byte  // the stored JSON, hashed as it is
	Event    Event   // Data, decoded
}

// Postings is the record's entry.
func (r *Record) Postings() []Posting { return r.Event.postings(r.Stream) }

type kind struct {
	schema int // the newest shape; older ones go through upcasters
	zero   func() Event
}

// kinds is every event there is. Adding one is a line here, its noun's file, and a golden sample.
var kinds = map[Type]kind{
	"org.opened":           {1, func() Event { return new(OrgOpened) }},
	"org.suspended":        {1, func() Event { return new(OrgSuspended) }},
	"org.resumed":          {1, func() Event { return new(OrgResumed) }},
	"org.erased":           {1, func() Event { return new(OrgErased) }},
	"log.restored":         {1, func() Event { return new(LogRestored) }},
	"drill.completed":      {1, func() Event { return new(DrillCompleted) }},
	"vault.rotated":        {1, func() Event { return new(VaultRotated) }},
	"plan.defined":         {1, func() Event { return new(PlanDefined) }},
	"plan.subscribed":      {1, func() Event { return new(PlanSubscribed) }},
	"plan.cancelled":       {1, func() Event { return new(PlanCancelled) }},
	"period.opened":        {1, func() Event { return new(PeriodOpened) }},
	"credit.purchased":     {1, func() Event { return new(CreditPurchased) }},
	"credit.granted":       {1, func() Event { return new(CreditGranted) }},
	"credit.expired":       {1, func() Event { return new(CreditExpired) }},
	"credit.refunded":      {1, func() Event { return new(CreditRefunded) }},
	"credit.adjusted":      {1, func() Event { return new(CreditAdjusted) }},
	"key.issued":           {1, func() Event { return new(KeyIssued) }},
	"key.limited":          {1, func() Event { return new(KeyLimited) }},
	"key.rotated":          {1, func() Event { return new(KeyRotated) }},
	"key.revoked":          {1, func() Event { return new(KeyRevoked) }},
	"credential.attached":  {1, func() Event { return new(CredentialAttached) }},
	"credential.rotated":   {1, func() Event { return new(CredentialRotated) }},
	"credential.checked":   {1, func() Event { return new(CredentialChecked) }},
	"credential.committed": {1, func() Event { return new(CredentialCommitted) }},
	"credential.detached":  {1, func() Event { return new(CredentialDetached) }},
	"model.published":      {1, func() Event { return new(ModelPublished) }},
	"model.retired":        {1, func() Event { return new(ModelRetired) }},
	"price.published":      {1, func() Event { return new(PricePublished) }},
	"price.withdrawn":      {1, func() Event { return new(PriceWithdrawn) }},
	"policy.set":           {1, func() Event { return new(PolicySet) }},
	"request.admitted":     {1, func() Event { return new(RequestAdmitted) }},
	"request.extended":     {1, func() Event { return new(RequestExtended) }},
	"request.settled":      {1, func() Event { return new(RequestSettled) }},
	"request.voided":       {1, func() Event { return new(RequestVoided) }},
	"request.interrupted":  {1, func() Event { return new(RequestInterrupted) }},
}

// Encode writes an event as it is stored: its type, the number of its shape, and JSON.
func Encode(e Event) (t Type, schema int, data []byte, err error) {
	k, ok := kinds[e.Type()]
	if !ok {
		return "", 0, nil, fmt.Errorf("event %s is not in the table of kinds", e.Type())
	}
	data, err = json.Marshal(e)
	return e.Type(), k.schema, data, err
}

// Decode reads a stored event of any released shape.
func Decode(t Type, schema int, data []byte) (Event, error) {
	return DecodeBy(json.Unmarshal, t, schema, data)
}

// DecodeBy is Decode by a JSON decoder of the caller's, who may know a faster one.
func DecodeBy(unmarshal func(data []byte, into any) error, t Type, schema int, data []byte) (Event, error) {
	k, ok := kinds[t]
	if !ok || schema > k.schema || schema < 1 {
		return nil, fmt.Errorf("event %s schema %d was written by a newer waybill: run that one", t, schema)
	}
	data, err := upcast(upcasters, t, schema, k.schema, data)
	if err != nil {
		return nil, fmt.Errorf("event %s schema %d: %w", t, schema, err)
	}
	e := k.zero()
	if err := unmarshal(data, e); err != nil {
		return nil, fmt.Errorf("event %s schema %d: %w", t, schema, err)
	}
	return e, nil
}
