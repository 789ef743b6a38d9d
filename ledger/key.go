package ledger

import (
	"path"
	"slices"
	"strings"
)

// Scope is what a key may do.
type Scope string

// The scopes.
const (
	ScopeInference Scope = "inference" // call models
	ScopeAdmin     Scope = "admin"     // what concerns the key's own org
)

// Key is what waybill issues to a developer. Only a digest of its secret is kept.
type Key struct {
	ID      string   `json:"key"`
	Org     string   `json:"org"`
	Hash    string   `json:"hash"`            // SHA-256 of the secret, in hex
	Former  string   `json:"former,omitzero"` // of the secret before a rotation, until FormerEnds
	Ends    Instant  `json:"former_ends,omitzero"`
	Scopes  []Scope  `json:"scopes"`
	Models  []string `json:"models,omitempty"` // patterns of the models it may call; all if none
	Expires Instant  `json:"expires,omitzero"`
	Caps    []Cap    `json:"caps,omitempty"`
	Issued  Instant  `json:"issued"`
	Revoked bool     `json:"revoked,omitzero"`

	RequestsPerMinute int64 `json:"requests_per_minute,omitzero"` // 0: as many as the org's plan allows
	TokensPerMinute   int64 `json:"tokens_per_minute,omitzero"`   // likewise
}

// Opens tells whether the secret of a digest opens the key at an instant.
func (k *Key) Opens(hash string, at Instant) bool {
	if k.Revoked || k.Expires.passed(at) {
		return false
	}
	return hash == k.Hash || hash == k.Former && hash != "" && !k.Ends.passed(at)
}

// Has tells whether the key has a scope.
func (k *Key) Has(s Scope) bool { return slices.Contains(k.Scopes, s) }

// Allows tells whether the key may call a model. A pattern is a full or bare name; * stands for any run of characters
// but a slash.
func (k *Key) Allows(m *Model) bool {
	return len(k.Models) == 0 || slices.ContainsFunc(k.Models, func(p string) bool { return matches(p, m) })
}

func matches(pattern string, m *Model) bool {
	name := m.ID
	if strings.Contains(pattern, "/") {
		name = m.Name
	}
	ok, err := path.Match(pattern, name)
	return err == nil && ok
}

// IssueKey issues a key.
type IssueKey struct {
	Who     By
	Org     string
	Key     string
	Hash    string
	Scopes  []Scope
	Models  []string
	Expires Instant
	Caps    []Cap

	RequestsPerMinute int64
	TokensPerMinute   int64
}

// LimitKey changes what a key may do from now on: all of it, to what is given here.
type LimitKey struct {
	Who     By
	Org     string
	Key     string
	Scopes  []Scope
	Models  []string
	Expires Instant
	Caps    []Cap

	RequestsPerMinute int64
	TokensPerMinute   int64
}

// RotateKey gives a key a new secret. The former one opens it until FormerEnds.
type RotateKey struct {
	Who        By
	Org        string
	Key        string
	Hash       string
	FormerEnds Instant
}

// RevokeKey ends a key. Calls that it opened go on.
type RevokeKey struct {
	Who By
	Org string
	Key string
}

// KeyIssued is key.issued.
type KeyIssued struct {
	Key     string   `json:"key"`
	Hash    string   `json:"hash"`
	Scopes  []Scope  `json:"scopes"`
	Models  []string `json:"models,omitempty"`
	Expires Instant  `json:"expires,omitzero"`
	Caps    []Cap    `json:"caps,omitempty"`

	RequestsPerMinute int64 `json:"requests_per_minute,omitzero"`
	TokensPerMinute   int64 `json:"tokens_per_minute,omitzero"`
}

// KeyLimited is key.limited.
type KeyLimited struct {
	Key     string   `json:"key"`
	Scopes  []Scope  `json:"scopes"`
	Models  []string `json:"models,omitempty"`
	Expires Instant  `json:"expires,omitzero"`
	Caps    []Cap    `json:"caps,omitempty"`

	RequestsPerMinute int64 `json:"requests_per_minute,omitzero"`
	TokensPerMinute   int64 `json:"tokens_per_minute,omitzero"`
}

// KeyRotated is key.rotated.
type KeyRotated struct {
	Key        string  `json:"key"`
	Hash       string  `json:"hash"`
	FormerEnds Instant `json:"former_ends,omitzero"`
}

// KeyRevoked is key.revoked.
type KeyRevoked struct {
	Key string `json:"key"`
}

// maxPatterns bounds the model patterns of a key: whoever may change a key must not fill the log with them.
const maxPatterns = 100

// validate checks what may be changed of a key.
func (k *Key) validate(at Instant) error {
	if len(k.Scopes) == 0 {
		return refuse(CodeInvalid, "a key needs a scope: inference, admin, or both")
	}
	for i, s := range k.Scopes {
		switch {
		case s != ScopeInference && s != ScopeAdmin:
			return refuse(CodeInvalid, "scope %q is neither inference nor admin", s)
		case slices.Contains(k.Scopes[:i], s):
			return refuse(CodeInvalid, "scope %q is given twice", s)
		}
	}
	if len(k.Models) > maxPatterns {
		return refuse(CodeInvalid, "%d model patterns: a key has up to %d", len(k.Models), maxPatterns)
	}
	for _, m := range k.Models {
		// As a model's name, a pattern is no text: the log carries no personal strings.
		outside := func(c rune) bool { return c <= ' ' || c > '~' }
		if _, err := path.Match(m, ""); err != nil || m == "" || len(m) > 128 || strings.ContainsFunc(m, outside) {
			return refuse(CodeInvalid, "model pattern %q: a name such as openai/gpt-6-luna or claude-*", m)
		}
	}
	if k.Expires.passed(at) {
		return refuse(CodeInvalid, "the key would expire at %s, which has passed", k.Expires)
	}
	for _, n := range []int64{k.RequestsPerMinute, k.TokensPerMinute} {
		if n < 0 || n > maxTokens {
			return refuse(CodeInvalid, "%d a minute: a limit is not negative and at most %d", n, int64(maxTokens))
		}
	}
	return validCaps(k.Caps)
}

func (d *Draft) liveKey(org, id string) (*Key, error) {
	k := d.key(id)
	if k == nil || k.Org != org {
		return nil, refuse(CodeNotFound, "org %s has no key %q", org, id)
	}
	if k.Revoked {
		return nil, refuse(CodeConflict, "key %s is revoked", id)
	}
	return k, nil
}

func (c IssueKey) Stream() string { return c.Org }
func (c IssueKey) By() By         { return c.Who }
func (c IssueKey) Once() []Cause  { return c.Who.once(c.Org) }
func (c IssueKey) decide(d *Draft, at Instant) ([]Event, error) {
	if _, err := d.openOrg(c.Org); err != nil {
		return nil, err
	}
	if !validID(c.Key) || len(c.Hash) != 64 {
		return nil, refuse(CodeInvalid, "a key needs an id and the SHA-256 of its secret in hex")
	}
	if d.key(c.Key) != nil {
		return nil, refuse(CodeConflict, "key %s exists already", c.Key)
	}
	e := &KeyIssued{c.Key, c.Hash, c.Scopes, c.Models, c.Expires, c.Caps, c.RequestsPerMinute, c.TokensPerMinute}
	if err := e.key(c.Org).validate(at); err != nil {
		return nil, err
	}
	return []Event{e}, nil
}

func (c LimitKey) Stream() string { return c.Org }
func (c LimitKey) By() By         { return c.Who }
func (c LimitKey) Once() []Cause  { return c.Who.once(c.Org) }
func (c LimitKey) decide(d *Draft, at Instant) ([]Event, error) {
	k, err := d.liveKey(c.Org, c.Key)
	if err != nil {
		return nil, err
	}
	e := &KeyLimited{c.Key, c.Scopes, c.Models, c.Expires, c.Caps, c.RequestsPerMinute, c.TokensPerMinute}
	n := *k
	e.change(&n)
	if err := n.validate(at); err != nil {
		return nil, err
	}
	return []Event{e}, nil
}

func (c RotateKey) Stream() string { return c.Org }
func (c RotateKey) By() By         { return c.Who }
func (c RotateKey) Once() []Cause  { return c.Who.once(c.Org) }
func (c RotateKey) decide(d *Draft, _ Instant) ([]Event, error) {
	if _, err := d.liveKey(c.Org, c.Key); err != nil {
		return nil, err
	}
	if len(c.Hash) != 64 {
		return nil, refuse(CodeInvalid, "a rotation needs the SHA-256 of the new secret in hex")
	}
	return []Event{&KeyRotated{c.Key, c.Hash, c.FormerEnds}}, nil
}

func (c RevokeKey) Stream() string { return c.Org }
func (c RevokeKey) By() By         { return c.Who }
func (c RevokeKey) Once() []Cause  { return c.Who.once(c.Org) }
func (c RevokeKey) decide(d *Draft, _ Instant) ([]Event, error) {
	if _, err := d.liveKey(c.Org, c.Key); err != nil {
		return nil, err
	}
	return []Event{&KeyRevoked{c.Key}}, nil
}

func (d *Draft) changeKey(r *Record, id string, change func(*Key)) {
	if k := d.key(id); k != nil {
		c := *k
		change(&c)
		d.keys.set(id, &c)
		d.touch(r, "key", id)
	}
}

func (*KeyIssued) Type() Type                { return "key.issued" }
func (*KeyIssued) postings(string) []Posting { return nil }
func (e *KeyIssued) evolve(d *Draft, r *Record) {
	k := e.key(r.Stream)
	k.Issued = r.At
	d.keys.set(e.Key, k)
	d.touch(r, "key", e.Key)
	d.setCaps(r, e.Key, e.Caps)
}

func (e *KeyIssued) key(org string) *Key {
	return &Key{ID: e.Key, Org: org, Hash: e.Hash, Scopes: e.Scopes, Models: e.Models, Expires: e.Expires, Caps: e.Caps,
		RequestsPerMinute: e.RequestsPerMinute, TokensPerMinute: e.TokensPerMinute}
}

func (*KeyLimited) Type() Type                { return "key.limited" }
func (*KeyLimited) postings(string) []Posting { return nil }
func (e *KeyLimited) evolve(d *Draft, r *Record) {
	d.changeKey(r, e.Key, e.change)
	d.setCaps(r, e.Key, e.Caps)
}

func (e *KeyLimited) change(k *Key) {
	k.Scopes, k.Models, k.Expires, k.Caps = e.Scopes, e.Models, e.Expires, e.Caps
	k.RequestsPerMinute, k.TokensPerMinute = e.RequestsPerMinute, e.TokensPerMinute
}

func (*KeyRotated) Type() Type                { return "key.rotated" }
func (*KeyRotated) postings(string) []Posting { return nil }
func (e *KeyRotated) evolve(d *Draft, r *Record) {
	d.changeKey(r, e.Key, func(k *Key) {
		k.Former, k.Ends = "", 0
		if e.FormerEnds != 0 {
			k.Former, k.Ends = k.Hash, e.FormerEnds
		}
		k.Hash = e.Hash
	})
}

func (*KeyRevoked) Type() Type                { return "key.revoked" }
func (*KeyRevoked) postings(string) []Posting { return nil }
func (e *KeyRevoked) evolve(d *Draft, r *Record) {
	d.changeKey(r, e.Key, func(k *Key) { k.Revoked = true })
}
