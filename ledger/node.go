package ledger

import (
	"cmp"
	"slices"
)

// Node is what the log knows of the node that keeps it: how often it was restored, how its latest drill went, and under which
// master key its vault was put last.
type Node struct {
	Epoch    uint64  `json:"epoch"`             // from 1; each restore begins the next
	Restored Instant `json:"restored,omitzero"` // when the latest did
	From     uint64  `json:"from,omitzero"`     // position at which the log ended that it restored
	Known    uint64  `json:"known,omitzero"`    // highest position that is known to have been; 0: none is

	Drill   Drill   `json:"drill,omitzero"`
	Drilled Instant `json:"drilled,omitzero"`

	Master  string  `json:"master,omitzero"` // id of the master key
	Rotated Instant `json:"rotated,omitzero"`
}

// Drill is what a trial of a restore came to.
type Drill struct {
	Position uint64 `json:"position"`         // that the replica led to
	OK       bool   `json:"ok"`               // it was restored, and verified
	Failure  string `json:"failure,omitzero"` // a word for what went wrong
	Behind   uint64 `json:"behind,omitzero"`  // events of the node's own that the replica did not have
	Duration int64  `json:"duration_ns"`
}

// RestoreLog begins a new epoch: from here on this log may differ from every other that was copied from the same one.
type RestoreLog struct {
	Who   By
	From  uint64 // position at which the restored log ended
	Known uint64 // highest position that is known to have been; 0: none is
	Epoch uint64 // highest that is known to have begun, where the restored log ends before it; 0: none is but the log's own
}

// CompleteDrill records what a trial of a restore came to.
type CompleteDrill struct {
	Who   By
	Drill Drill
}

// RotateVault records that every secret of the vault is under a master key, once it is so.
type RotateVault struct {
	Who         By
	Master      string // id of the key
	Rewrapped   uint64 // data keys that it wraps anew
	Reencrypted uint64 // secrets that were sealed anew, under new data keys
}

// EraseOrg ends an org for good: its keys are revoked, its credentials detached, and nothing follows in its stream. What it is
// called, and what its requests said of themselves, the store erases then, and the vault its data keys. Its balances stay.
type EraseOrg struct {
	Who By
	Org string
}

// LogRestored is log.restored.
type LogRestored struct {
	Epoch uint64 `json:"epoch"`
	From  uint64 `json:"from"`
	Known uint64 `json:"known,omitzero"`
}

// DrillCompleted is drill.completed.
type DrillCompleted struct{ Drill }

// VaultRotated is vault.rotated.
type VaultRotated struct {
	Master      string `json:"master"`
	Rewrapped   uint64 `json:"rewrapped,omitzero"`
	Reencrypted uint64 `json:"reencrypted,omitzero"`
}

// OrgErased is org.erased.
type OrgErased struct{}

func (c RestoreLog) Stream() string { return Platform }
func (c RestoreLog) By() By         { return c.Who }
func (c RestoreLog) Once() []Cause  { return c.Who.once(Platform) }
func (c RestoreLog) decide(d *Draft, _ Instant) ([]Event, error) {
	if c.From > d.head {
		return nil, refuse(CodeInvalid, "a log that ends at %d was not restored up to %d", d.head, c.From)
	}
	return []Event{&LogRestored{max(d.node().Epoch, c.Epoch) + 1, c.From, c.Known}}, nil
}

func (c CompleteDrill) Stream() string { return Platform }
func (c CompleteDrill) By() By         { return c.Who }
func (c CompleteDrill) Once() []Cause  { return c.Who.once(Platform) }
func (c CompleteDrill) decide(*Draft, Instant) ([]Event, error) {
	switch w := c.Drill; {
	case w.Failure != "" && !validID(w.Failure):
		return nil, refuse(CodeInvalid, "a drill's failure is a word such as unreachable, not a text: the log carries no personal strings")
	case w.OK != (w.Failure == ""):
		return nil, refuse(CodeInvalid, "a drill succeeds, or it names its failure")
	case w.Duration < 0:
		return nil, refuse(CodeInvalid, "a drill of %d ns: a duration is not negative", w.Duration)
	}
	return []Event{&DrillCompleted{c.Drill}}, nil
}

func (c RotateVault) Stream() string { return Platform }
func (c RotateVault) By() By         { return c.Who }
func (c RotateVault) Once() []Cause  { return c.Who.once(Platform) }
func (c RotateVault) decide(*Draft, Instant) ([]Event, error) {
	if !validID(c.Master) {
		return nil, refuse(CodeInvalid, "master key id %q: lower-case letters, digits, dashes and underscores only", c.Master)
	}
	return []Event{&VaultRotated{c.Master, c.Rewrapped, c.Reencrypted}}, nil
}

func (c EraseOrg) Stream() string { return c.Org }
func (c EraseOrg) By() By         { return c.Who }
func (c EraseOrg) Once() []Cause  { return c.Who.once(c.Org) }
func (c EraseOrg) decide(d *Draft, _ Instant) ([]Event, error) {
	if _, err := d.openOrg(c.Org); err != nil {
		return nil, err
	}
	var open []string
	for h := range d.holds.values() {
		if h.Org == c.Org {
			open = append(open, h.Request)
		}
	}
	if len(open) > 0 {
		err := refuse(CodeConflict, "org %s has %d open requests: suspend it, and erase it when they have ended", c.Org, len(open))
		err.Of = slices.Min(open)
		return nil, err
	}
	var keys, credentials []string
	for k := range d.keys.values() {
		if k.Org == c.Org && !k.Revoked {
			keys = append(keys, k.ID)
		}
	}
	for k := range d.credentials.values() {
		if k.Org == c.Org {
			credentials = append(credentials, k.ID)
		}
	}
	slices.Sort(keys)
	slices.Sort(credentials)
	events := make([]Event, 0, len(keys)+len(credentials)+1)
	for _, id := range keys {
		events = append(events, &KeyRevoked{id})
	}
	for _, id := range credentials {
		events = append(events, &CredentialDetached{id})
	}
	return append(events, &OrgErased{}), nil
}

// nodeRow is the kind of the node's row, and its id: there is only one.
const nodeRow = "node"

// Node is what the log knows of its node.
func (s *State) Node() Node { return nodeOf(s.nodes[nodeRow]) }

// Epoch is how often the log began: 1, and one more with each restore.
func (s *State) Epoch() uint64 { return s.Node().Epoch }

func (d *Draft) node() Node {
	n, _ := d.nodes.get(nodeRow)
	return nodeOf(n)
}

func nodeOf(row *Node) Node {
	var n Node
	if row != nil {
		n = *row
	}
	n.Epoch = cmp.Or(n.Epoch, 1)
	return n
}

func (d *Draft) changeNode(r *Record, change func(*Node)) {
	n := d.node()
	change(&n)
	d.nodes.set(nodeRow, &n)
	d.touch(r, nodeRow, nodeRow)
}

func (*LogRestored) Type() Type                { return "log.restored" }
func (*LogRestored) postings(string) []Posting { return nil }
func (e *LogRestored) evolve(d *Draft, r *Record) {
	d.changeNode(r, func(n *Node) { n.Epoch, n.Restored, n.From, n.Known = e.Epoch, r.At, e.From, e.Known })
}

func (*DrillCompleted) Type() Type                { return "drill.completed" }
func (*DrillCompleted) postings(string) []Posting { return nil }
func (e *DrillCompleted) evolve(d *Draft, r *Record) {
	d.changeNode(r, func(n *Node) { n.Drill, n.Drilled = e.Drill, r.At })
}

func (*VaultRotated) Type() Type                { return "vault.rotated" }
func (*VaultRotated) postings(string) []Posting { return nil }
func (e *VaultRotated) evolve(d *Draft, r *Record) {
	d.changeNode(r, func(n *Node) { n.Master, n.Rotated = e.Master, r.At })
}

func (*OrgErased) Type() Type                { return "org.erased" }
func (*OrgErased) postings(string) []Posting { return nil }
func (e *OrgErased) evolve(d *Draft, r *Record) {
	d.changeOrg(r, func(o *Org) { o.Erased = r.At })
	if d.policy(r.Stream) != nil {
		d.policies.delete(r.Stream)
		d.touch(r, "policy", r.Stream)
	}
}
