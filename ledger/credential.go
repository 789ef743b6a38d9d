package ledger

import "cmp"

// CredentialKind says whose provider account a call runs on.
type CredentialKind string

// The kinds of credential.
const (
	BYOK         CredentialKind = "byok"     // the org's own: the org pays the provider, nothing is billed here
	PlatformPool CredentialKind = "platform" // the operator's pool
)

// Use says when a credential of an org's own is taken.
type Use string

// The uses, in their order.
const (
	UsePrefer   Use = "prefer"   // before platform capacity
	UseFallback Use = "fallback" // after it
	UseOnly     Use = "only"     // instead of it
)

// Credential is a provider secret that waybill keeps. The secret itself is in the vault; the log knows a fingerprint.
type Credential struct {
	ID          string  `json:"credential"`
	Org         string  `json:"org"` // or Platform
	Provider    string  `json:"provider"`
	Fingerprint string  `json:"fingerprint"`       // last four characters and a short digest
	BaseURL     string  `json:"base_url,omitzero"` // where the provider's own is not meant; bound to the secret
	Use         Use     `json:"use"`
	Order       int     `json:"order,omitzero"` // among the org's for a provider, ascending
	Attached    Instant `json:"attached"`
	Rotated     Instant `json:"rotated,omitzero"`

	Checked    Checked    `json:"checked,omitzero"`
	Commitment Commitment `json:"commitment,omitzero"`
	Trusted    bool       `json:"trusted,omitzero"` // the operator has said the base URL, so it may lead into the operator's own networks
	Drawn      Nano       `json:"drawn,omitzero"`   // list cost of what was settled on it since the commitment was set
}

// Fenced tells whether calls on the credential may reach public addresses alone: an org has said where they go.
func (c *Credential) Fenced() bool { return c.Org != Platform && c.BaseURL != "" && !c.Trusted }

// Kind says whose account the credential is.
func (c *Credential) Kind() CredentialKind {
	if c.Org == Platform {
		return PlatformPool
	}
	return BYOK
}

// byUse is the order in which a wallet's credentials are taken.
func byUse(a, b *Credential) int {
	rank := map[Use]int{UseOnly: 0, UsePrefer: 1, UseFallback: 2}
	return cmp.Or(cmp.Compare(rank[a.Use], rank[b.Use]), cmp.Compare(a.Order, b.Order),
		cmp.Compare(a.Attached, b.Attached), cmp.Compare(a.ID, b.ID))
}

// maxCredentials bounds the credentials of an org's own: each decision on a call of its reads them all.
const maxCredentials = 64

// AttachCredential records a secret that the vault has taken in.
type AttachCredential struct {
	Who         By
	Org         string // or Platform
	Credential  string
	Provider    string
	Fingerprint string
	BaseURL     string
	Use         Use
	Order       int
	Commitment  Commitment
	Trusted     bool // the operator has said the base URL
}

// RotateCredential records that the vault holds a new secret for a credential.
type RotateCredential struct {
	Who         By
	Org         string
	Credential  string
	Fingerprint string
}

// DetachCredential takes a credential out of use, before the vault destroys its secret.
type DetachCredential struct {
	Who        By
	Org        string
	Credential string
}

// CredentialAttached is credential.attached.
type CredentialAttached struct {
	Credential  string `json:"credential"`
	Provider    string `json:"provider"`
	Fingerprint string `json:"fingerprint"`
	BaseURL     string `json:"base_url,omitzero"`
	Use         Use    `json:"use"`
	Order       int    `json:"order,omitzero"`

	Commitment Commitment `json:"commitment,omitzero"`
	Trusted    bool       `json:"trusted,omitzero"`
}

// CredentialRotated is credential.rotated.
type CredentialRotated struct {
	Credential  string `json:"credential"`
	Fingerprint string `json:"fingerprint"`
}

// CredentialDetached is credential.detached.
type CredentialDetached struct {
	Credential string `json:"credential"`
}

func (c AttachCredential) Stream() string { return c.Org }
func (c AttachCredential) By() By         { return c.Who }
func (c AttachCredential) Once() []Cause  { return c.Who.once(c.Org) }
func (c AttachCredential) decide(d *Draft, at Instant) ([]Event, error) {
	if c.Org != Platform {
		if _, err := d.openOrg(c.Org); err != nil {
			return nil, err
		}
	}
	switch {
	case !validID(c.Credential) || !validID(c.Provider) || c.Fingerprint == "":
		return nil, refuse(CodeInvalid, "a credential needs an id, a provider and a fingerprint")
	case d.credential(c.Credential) != nil:
		return nil, refuse(CodeConflict, "credential %s exists already", c.Credential)
	case c.Use != UsePrefer && c.Use != UseFallback && c.Use != UseOnly:
		return nil, refuse(CodeInvalid, "use %q is none of prefer, fallback, only", c.Use)
	case c.Org != Platform && d.credentialsOf(c.Org) >= maxCredentials:
		return nil, refuse(CodeConflict, "%s has %d credentials of its own, and may have no more: detach one that it does not need (waybill credential detach), or give one another secret (waybill credential rotate)", c.Org, maxCredentials)
	}
	if err := c.Commitment.validate(at); err != nil {
		return nil, err
	}
	return []Event{&CredentialAttached{c.Credential, c.Provider, c.Fingerprint, c.BaseURL, c.Use, c.Order, c.Commitment, c.Trusted}}, nil
}

// credentialsOf counts the credentials of an org.
func (d *Draft) credentialsOf(org string) (n int) {
	for _, c := range d.base.wallets[org] {
		if _, changed := d.credentials.over[c.ID]; !changed {
			n++
		}
	}
	for _, l := range d.credentials.over {
		if !l.deleted && l.value.Org == org {
			n++
		}
	}
	return n
}

func (d *Draft) attached(org, id string) error {
	if c := d.credential(id); c == nil || c.Org != org {
		return refuse(CodeNotFound, "%s has no credential %q", org, id)
	}
	return nil
}

func (c RotateCredential) Stream() string { return c.Org }
func (c RotateCredential) By() By         { return c.Who }
func (c RotateCredential) Once() []Cause  { return c.Who.once(c.Org) }
func (c RotateCredential) decide(d *Draft, _ Instant) ([]Event, error) {
	if err := d.attached(c.Org, c.Credential); err != nil {
		return nil, err
	}
	return []Event{&CredentialRotated{c.Credential, c.Fingerprint}}, nil
}

func (c DetachCredential) Stream() string { return c.Org }
func (c DetachCredential) By() By         { return c.Who }
func (c DetachCredential) Once() []Cause  { return c.Who.once(c.Org) }
func (c DetachCredential) decide(d *Draft, _ Instant) ([]Event, error) {
	if err := d.attached(c.Org, c.Credential); err != nil {
		return nil, err
	}
	return []Event{&CredentialDetached{c.Credential}}, nil
}

func (*CredentialAttached) Type() Type                { return "credential.attached" }
func (*CredentialAttached) postings(string) []Posting { return nil }
func (e *CredentialAttached) evolve(d *Draft, r *Record) {
	d.credentials.set(e.Credential, &Credential{ID: e.Credential, Org: r.Stream, Provider: e.Provider,
		Fingerprint: e.Fingerprint, BaseURL: e.BaseURL, Use: e.Use, Order: e.Order, Attached: r.At, Commitment: e.Commitment, Trusted: e.Trusted})
	d.touch(r, "credential", e.Credential)
}

func (*CredentialRotated) Type() Type                { return "credential.rotated" }
func (*CredentialRotated) postings(string) []Posting { return nil }
func (e *CredentialRotated) evolve(d *Draft, r *Record) {
	d.changeCredential(r, e.Credential, func(c *Credential) {
		c.Fingerprint, c.Rotated, c.Checked = e.Fingerprint, r.At, Checked{}
	})
}

// changeCredential replaces a credential by a changed copy.
func (d *Draft) changeCredential(r *Record, id string, change func(*Credential)) {
	if c := d.credential(id); c != nil {
		n := *c
		change(&n)
		d.credentials.set(id, &n)
		d.touch(r, "credential", id)
	}
}

func (*CredentialDetached) Type() Type                { return "credential.detached" }
func (*CredentialDetached) postings(string) []Posting { return nil }
func (e *CredentialDetached) evolve(d *Draft, r *Record) {
	d.credentials.delete(e.Credential)
	d.touch(r, "credential", e.Credential)
}
