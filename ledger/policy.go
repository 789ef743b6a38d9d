package ledger

import "encoding/json"

// Policy is how an org has its calls routed. What is in the document is the router's to read; the ledger keeps its versions.
type Policy struct {
	Org      string          `json:"org"`
	Version  uint64          `json:"version"` // of the org's policies, from 1
	Document json.RawMessage `json:"document"`
	Set      Instant         `json:"set"`
}

// maxPolicy bounds a policy's document, in bytes.
const maxPolicy = 64 << 10

// SetPolicy sets an org's policy. An empty document goes back to the defaults.
type SetPolicy struct {
	Who      By
	Org      string
	Document json.RawMessage
	// Replaces is the version that this one takes the place of, 0 if none was set yet: it is refused if somebody was quicker. Nil: any.
	Replaces *uint64
}

// PolicySet is policy.set. A document of null is the defaults.
type PolicySet struct {
	Version  uint64          `json:"version"`
	Document json.RawMessage `json:"document"`
}

func (c SetPolicy) Stream() string { return c.Org }
func (c SetPolicy) By() By         { return c.Who }
func (c SetPolicy) Once() []Cause  { return c.Who.once(c.Org) }
func (c SetPolicy) decide(d *Draft, _ Instant) ([]Event, error) {
	if _, err := d.openOrg(c.Org); err != nil {
		return nil, err
	}
	now := uint64(0)
	if p := d.policy(c.Org); p != nil {
		now = p.Version
	}
	document := c.Document
	if len(document) == 0 {
		document = json.RawMessage("null")
	}
	switch {
	case len(document) > maxPolicy:
		return nil, refuse(CodeInvalid, "the policy has %d bytes: at most %d", len(document), maxPolicy)
	case !json.Valid(document):
		return nil, refuse(CodeInvalid, "the policy's document is not JSON")
	case c.Replaces != nil && *c.Replaces != now:
		return nil, refuse(CodeConflict, "the policy is at version %d by now, not %d: read it again", now, *c.Replaces)
	}
	return []Event{&PolicySet{now + 1, document}}, nil
}

func (*PolicySet) Type() Type                { return "policy.set" }
func (*PolicySet) postings(string) []Posting { return nil }
func (e *PolicySet) evolve(d *Draft, r *Record) {
	d.policies.set(r.Stream, &Policy{Org: r.Stream, Version: e.Version, Document: e.Document, Set: r.At})
	d.touch(r, "policy", r.Stream)
}
