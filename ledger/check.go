package ledger

// CheckStatus is how a credential was found to be.
type CheckStatus string

// The statuses.
const (
	CheckOK          CheckStatus = "ok"          // the provider takes it
	CheckDead        CheckStatus = "dead"        // it does not: revoked, wrong, or without permission
	CheckUnfunded    CheckStatus = "unfunded"    // it does, but the account behind it has nothing left
	CheckLimited     CheckStatus = "limited"     // it does, but not so many calls
	CheckUnreachable CheckStatus = "unreachable" // the provider did not say
)

// Checked is what the latest check of a credential found. A credential that was never checked, or not since its secret was
// replaced, has none.
type Checked struct {
	Status CheckStatus `json:"status"`
	Code   string      `json:"code,omitzero"` // the provider's
	At     Instant     `json:"at"`
}

// Commitment is what a credential's owner has agreed with the provider to spend on it.
type Commitment struct {
	Amount Nano    `json:"amount"`         // at list cost
	Until  Instant `json:"until,omitzero"` // exclusive; none: until it is spent
}

// CommitmentLeft is what of the credential's commitment is not drawn down yet at an instant, at list cost.
func (c *Credential) CommitmentLeft(at Instant) Nano {
	if c.Commitment.Until.passed(at) {
		return 0
	}
	return max(0, c.Commitment.Amount-c.Drawn)
}

func (c Commitment) validate(at Instant) error {
	switch {
	case c.Amount < 0 || c.Amount > maxIssued:
		return refuse(CodeInvalid, "a commitment of %s: not negative and at most %s dollars", c.Amount, maxIssued)
	case c.Amount == 0 && c.Until != 0:
		return refuse(CodeInvalid, "a commitment of nothing has no end")
	case c.Until.passed(at):
		return refuse(CodeInvalid, "the commitment would end at %s, which has passed", c.Until)
	}
	return nil
}

// CheckCredential records what a check of a credential has found. Whoever commands it leaves out what is not new.
type CheckCredential struct {
	Who         By
	Org         string // or Platform
	Credential  string
	Fingerprint string // of the secret that was checked: what is known of one says nothing of the next
	Status      CheckStatus
	Code        string // the provider's, if it gave one
}

// CommitCredential says what the credential's owner has agreed to spend on it from now on. An amount of nothing takes the
// commitment away. What was drawn down before counts no longer.
type CommitCredential struct {
	Who        By
	Org        string // or Platform
	Credential string
	Commitment Commitment
}

// CredentialChecked is credential.checked.
type CredentialChecked struct {
	Credential string      `json:"credential"`
	Status     CheckStatus `json:"status"`
	Code       string      `json:"code,omitzero"`
}

// CredentialCommitted is credential.committed.
type CredentialCommitted struct {
	Credential string     `json:"credential"`
	Commitment Commitment `json:"commitment,omitzero"` // none: it is taken away
}

func (c CheckCredential) Stream() string { return c.Org }
func (c CheckCredential) By() By         { return c.Who }
func (c CheckCredential) Once() []Cause  { return c.Who.once(c.Org) }
func (c CheckCredential) decide(d *Draft, _ Instant) ([]Event, error) {
	if err := d.attached(c.Org, c.Credential); err != nil {
		return nil, err
	}
	if d.credential(c.Credential).Fingerprint != c.Fingerprint {
		return nil, refuse(CodeConflict, "credential %s has another secret by now than the one that was checked", c.Credential)
	}
	switch c.Status {
	case CheckOK, CheckDead, CheckUnfunded, CheckLimited, CheckUnreachable:
	default:
		return nil, refuse(CodeInvalid, "status %q is none of ok, dead, unfunded, limited, unreachable", c.Status)
	}
	if c.Code != "" && !validReference(c.Code) {
		return nil, refuse(CodeInvalid, "code %q: a provider's of 1 to 128 letters, digits and -_.:/", c.Code)
	}
	return []Event{&CredentialChecked{c.Credential, c.Status, c.Code}}, nil
}

func (c CommitCredential) Stream() string { return c.Org }
func (c CommitCredential) By() By         { return c.Who }
func (c CommitCredential) Once() []Cause  { return c.Who.once(c.Org) }
func (c CommitCredential) decide(d *Draft, at Instant) ([]Event, error) {
	if err := d.attached(c.Org, c.Credential); err != nil {
		return nil, err
	}
	if err := c.Commitment.validate(at); err != nil {
		return nil, err
	}
	return []Event{&CredentialCommitted{c.Credential, c.Commitment}}, nil
}

func (*CredentialChecked) Type() Type                { return "credential.checked" }
func (*CredentialChecked) postings(string) []Posting { return nil }
func (e *CredentialChecked) evolve(d *Draft, r *Record) {
	d.changeCredential(r, e.Credential, func(c *Credential) { c.Checked = Checked{e.Status, e.Code, r.At} })
}

func (*CredentialCommitted) Type() Type                { return "credential.committed" }
func (*CredentialCommitted) postings(string) []Posting { return nil }
func (e *CredentialCommitted) evolve(d *Draft, r *Record) {
	d.changeCredential(r, e.Credential, func(c *Credential) { c.Commitment, c.Drawn = e.Commitment, 0 })
}

// drawDown takes the list cost of a settlement off a credential's commitment, if it has one.
func (d *Draft) drawDown(r *Record, credential string, cost Nano) {
	if c := d.credential(credential); c != nil && c.Commitment.Amount > 0 && cost > 0 {
		d.changeCredential(r, credential, func(c *Credential) { c.Drawn = Nano(counted(int64(c.Drawn), int64(cost))) })
	}
}
