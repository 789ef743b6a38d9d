package http

import (
	"waybill/ledger"
)

// newCommitment is what a credential's owner has agreed with the provider to spend on it.
type newCommitment struct {
	Amount Dollars `json:"amount_usd"` // at list cost; 0: nothing
	Until  Time    `json:"until"`      // exclusive; none: until it is spent
}

// commitmentView is a commitment and how far it is drawn down.
type commitmentView struct {
	Amount Dollars `json:"amount_usd"`
	Until  Time    `json:"until"`
	Drawn  Dollars `json:"drawn_usd"` // list cost of what was settled on the credential since
	Left   Dollars `json:"left_usd"`  // nothing once its end has come
}

func (n newCommitment) of() (ledger.Commitment, error) {
	if n.Amount == 0 && n.Until != 0 {
		return ledger.Commitment{}, invalid("amount_usd", "is missing: a commitment of nothing has no end")
	}
	return ledger.Commitment{Amount: ledger.Nano(n.Amount), Until: ledger.Instant(n.Until)}, nil
}

func commitmentOf(k *ledger.Credential, now ledger.Instant) commitmentView {
	if k.Commitment.Amount == 0 {
		return commitmentView{}
	}
	return commitmentView{Amount: Dollars(k.Commitment.Amount), Until: Time(k.Commitment.Until), Drawn: Dollars(k.Drawn), Left: Dollars(k.CommitmentLeft(now))}
}

func commitCredential(c *call, in newCommitment) (credential, error) {
	if in.Amount == 0 {
		return credential{}, invalid("amount_usd", "must be more than 0: DELETE takes a commitment away")
	}
	committed, err := in.of()
	if err != nil {
		return credential{}, err
	}
	return c.commit(committed)
}

func uncommitCredential(c *call, _ nothing) (credential, error) { return c.commit(ledger.Commitment{}) }

func (c *call) commit(to ledger.Commitment) (credential, error) {
	id := c.vars["id"]
	if _, err := c.s.o.Books.Execute(c, ledger.CommitCredential{Who: c.by, Org: c.org, Credential: id, Commitment: to}); err != nil {
		return credential{}, err
	}
	return c.credentialOf(id)
}
