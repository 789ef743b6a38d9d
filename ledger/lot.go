package ledger

import (
	"cmp"
	"slices"
)

// Lot is one purchase or grant of credit. Its remainder is the balance of its account.
type Lot struct {
	ID        string  `json:"lot"`
	Amount    Nano    `json:"amount"`             // credited
	Paid      Nano    `json:"paid,omitzero"`      // price paid; none for a promotion
	Reference string  `json:"reference,omitzero"` // the payment's id at the payment provider
	Promotion bool    `json:"promotion,omitzero"`
	Priority  int     `json:"priority,omitzero"` // lower is used first
	Expires   Instant `json:"expires,omitzero"`
	Position  uint64  `json:"position"`        // of the event that made it
	Closed    bool    `json:"closed,omitzero"` // expired or wholly charged back: what returns to it expires
}

func (l *Lot) account(org string) Account { return Account{Org: org, Kind: "credit", ID: l.ID} }

// byFunding is the one order in which lots are used: priority, then expiry with none last, promotional before paid,
// and the earlier one first.
func byFunding(a, b Lot) int {
	never := func(i Instant) Instant {
		if i == 0 {
			return 1<<63 - 1
		}
		return i
	}
	paid := func(l Lot) int {
		if l.Promotion {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(never(a.Expires), never(b.Expires)),
		cmp.Compare(paid(a), paid(b)), cmp.Compare(a.Position, b.Position))
}

// PurchaseCredit credits a payment. One payment reference credits once, whatever the number of calls.
type PurchaseCredit struct {
	Who       By
	Org       string
	Lot       string
	Amount    Nano // credited; the price paid is the same unless Paid says otherwise
	Paid      Nano
	Reference string
	Expires   Instant
}

// GrantCredit gives promotional credit.
type GrantCredit struct {
	Who      By
	Org      string
	Lot      string
	Amount   Nano
	Priority int
	Expires  Instant
}

// RefundCredit returns money to its payer. It takes the unheld remainder of the lot. A chargeback may be more than that:
// what was spent goes to house/loss, and the org is suspended.
type RefundCredit struct {
	Who        By
	Org        string
	Lot        string
	Amount     Nano // 0: a refund's whole unheld remainder; a chargeback's whole price
	Chargeback bool
	Reference  string // the refund's id at the payment provider
}

// AdjustCredit corrects a lot by a signed amount.
type AdjustCredit struct {
	Who    By
	Org    string
	Lot    string
	Amount Nano
	Reason string // a word: goodwill, correction, …
}

// CreditPurchased is credit.purchased.
type CreditPurchased struct {
	Lot       string  `json:"lot"`
	Amount    Nano    `json:"amount"`
	Paid      Nano    `json:"paid"`
	Reference string  `json:"reference"`
	Expires   Instant `json:"expires,omitzero"`
}

// CreditGranted is credit.granted.
type CreditGranted struct {
	Lot      string  `json:"lot"`
	Amount   Nano    `json:"amount"`
	Priority int     `json:"priority,omitzero"`
	Expires  Instant `json:"expires,omitzero"`
}

// CreditExpired is credit.expired: the unheld remainder lapses.
type CreditExpired struct {
	Lot    string `json:"lot"`
	Amount Nano   `json:"amount"`
}

// CreditRefunded is credit.refunded.
type CreditRefunded struct {
	Lot        string `json:"lot"`
	Asked      Nano   `json:"asked,omitzero"` // the amount that was asked for; none: all there was
	Taken      Nano   `json:"taken"`          // from the lot's unheld remainder
	Loss       Nano   `json:"loss,omitzero"`  // of a chargeback, what was no longer there
	Chargeback bool   `json:"chargeback,omitzero"`
	Reference  string `json:"reference"`
}

// CreditAdjusted is credit.adjusted.
type CreditAdjusted struct {
	Lot    string `json:"lot"`
	Amount Nano   `json:"amount"`
	Reason string `json:"reason"`
}

// maxCredit bounds one lot: a hundred million dollars. maxIssued bounds all that was ever credited to all orgs, less what
// was adjusted away, so that no sum of lots overflows: eight billion.
const (
	maxCredit = 100_000_000 * Dollar
	maxIssued = 8_000_000_000 * Dollar
)

// issuable refuses credit beyond what the house account can count.
func (d *Draft) issuable(amount Nano) error {
	if issued := Nano(-d.balance(houseIssued, USD)); amount > 0 && amount > maxIssued-issued {
		return refuse(CodeInvalid, "amount %s: %s dollars of credit were issued on this node, and it counts up to %s", amount, issued, maxIssued)
	}
	return nil
}

func (d *Draft) mayBuy(org, lot string, amount Nano, expires, at Instant) error {
	o, err := d.openOrg(org)
	switch {
	case err != nil:
		return err
	case amount <= 0 || amount > maxCredit:
		return refuse(CodeInvalid, "amount %s: credit is more than 0 and at most %s dollars", amount, maxCredit)
	case !validID(lot):
		return refuse(CodeInvalid, "lot id %q: lower-case letters, digits, dashes and underscores only", lot)
	case slices.ContainsFunc(o.Lots, func(l Lot) bool { return l.ID == lot }):
		return refuse(CodeConflict, "lot %s exists already", lot)
	case expires != 0 && expires <= at:
		return refuse(CodeInvalid, "the credit would expire at %s, which has passed", expires)
	case !d.plan(o.Plan).Credit:
		return refuse(CodePlanExcludesCred, "plan %s cannot buy or spend add-on credit: subscribe to one that can", o.Plan)
	}
	return d.issuable(amount)
}

func (c PurchaseCredit) Stream() string { return c.Org }
func (c PurchaseCredit) By() By         { return c.Who }
func (c PurchaseCredit) Once() []Cause {
	return append(c.Who.once(c.Org), purchaseCause(c.Org, c.Reference, c.Amount, c.paid()))
}
func (c PurchaseCredit) decide(d *Draft, at Instant) ([]Event, error) {
	if !validReference(c.Reference) {
		return nil, refuse(CodeInvalid, "reference %q: a payment's id of 1 to 128 letters, digits and -_.:/", c.Reference)
	}
	if err := d.mayBuy(c.Org, c.Lot, c.Amount, c.Expires, at); err != nil {
		return nil, err
	}
	paid := c.paid()
	if paid < 0 || paid > maxCredit {
		return nil, refuse(CodeInvalid, "price paid %s: not negative and at most %s dollars", paid, maxCredit)
	}
	return []Event{&CreditPurchased{c.Lot, c.Amount, paid, c.Reference, c.Expires}}, nil
}

// paid is the price: the amount, unless it is given.
func (c PurchaseCredit) paid() Nano {
	if c.Paid == 0 {
		return c.Amount
	}
	return c.Paid
}

// purchaseCause is a payment's: the same payment again is the same purchase, and one of other figures is a conflict.
func purchaseCause(org, reference string, amount, paid Nano) Cause {
	return Cause{"payment", reference, "purchase " + org + " " + amount.String() + " " + paid.String()}
}

// refundCause is likewise that of a payment's return. A refund and a chargeback under one reference are two things.
func refundCause(org, lot, reference string, asked Nano, chargeback bool) Cause {
	what := "refund "
	if chargeback {
		what = "chargeback "
	}
	return Cause{"payment", reference, what + org + " " + lot + " " + asked.String()}
}

func (c GrantCredit) Stream() string { return c.Org }
func (c GrantCredit) By() By         { return c.Who }
func (c GrantCredit) Once() []Cause  { return c.Who.once(c.Org) }
func (c GrantCredit) decide(d *Draft, at Instant) ([]Event, error) {
	if err := d.mayBuy(c.Org, c.Lot, c.Amount, c.Expires, at); err != nil {
		return nil, err
	}
	return []Event{&CreditGranted{c.Lot, c.Amount, c.Priority, c.Expires}}, nil
}

// openLot finds an org's lot and what of it nobody holds.
func (d *Draft) openLot(org, lot string) (l Lot, unheld Nano, err error) {
	o, err := d.openOrg(org)
	if err != nil {
		return l, 0, err
	}
	i := slices.IndexFunc(o.Lots, func(l Lot) bool { return l.ID == lot })
	if i < 0 {
		return l, 0, refuse(CodeNotFound, "org %s has no lot %q", org, lot)
	}
	return o.Lots[i], Nano(d.balance(o.Lots[i].account(org), USD)), nil
}

func (c RefundCredit) Stream() string { return c.Org }
func (c RefundCredit) By() By         { return c.Who }
func (c RefundCredit) Once() []Cause {
	return append(c.Who.once(c.Org), refundCause(c.Org, c.Lot, c.Reference, c.Amount, c.Chargeback))
}
func (c RefundCredit) decide(d *Draft, _ Instant) ([]Event, error) {
	l, unheld, err := d.openLot(c.Org, c.Lot)
	if err != nil {
		return nil, err
	}
	if !validReference(c.Reference) {
		return nil, refuse(CodeInvalid, "reference %q: a refund's id of 1 to 128 letters, digits and -_.:/", c.Reference)
	}
	if l.Promotion {
		return nil, refuse(CodeInvalid, "lot %s was a promotion: there is no payment to return", l.ID)
	}
	if c.Chargeback {
		amount := c.Amount
		if amount == 0 {
			amount = l.Paid
		}
		if amount <= 0 || amount > max(l.Paid, l.Amount) {
			return nil, refuse(CodeInvalid, "a chargeback of %s against lot %s, which cost %s", amount, l.ID, l.Paid)
		}
		taken := min(amount, unheld)
		e := []Event{&CreditRefunded{l.ID, c.Amount, taken, amount - taken, true, c.Reference}}
		if amount > taken && !d.org(c.Org).Suspended {
			e = append(e, &OrgSuspended{Reason: "chargeback"})
		}
		return e, nil
	}
	amount := c.Amount
	if amount < 0 {
		return nil, refuse(CodeInvalid, "a refund of %s: it is not negative", amount)
	}
	if amount == 0 {
		amount = unheld
	}
	if amount == 0 || amount > unheld {
		return nil, refuse(CodeConflict, "lot %s has %s left that nobody holds: a refund cannot take %s", l.ID, unheld, amount)
	}
	return []Event{&CreditRefunded{Lot: l.ID, Asked: c.Amount, Taken: amount, Reference: c.Reference}}, nil
}

func (c AdjustCredit) Stream() string { return c.Org }
func (c AdjustCredit) By() By         { return c.Who }
func (c AdjustCredit) Once() []Cause  { return c.Who.once(c.Org) }
func (c AdjustCredit) decide(d *Draft, _ Instant) ([]Event, error) {
	l, unheld, err := d.openLot(c.Org, c.Lot)
	switch {
	case err != nil:
		return nil, err
	case !validID(c.Reason):
		return nil, refuse(CodeInvalid, "a reason is a word such as goodwill, not a text: the log carries no personal strings")
	case c.Amount == 0 || c.Amount > maxCredit:
		return nil, refuse(CodeInvalid, "amount %s: an adjustment is not zero and at most %s dollars", c.Amount, maxCredit)
	case c.Amount < -unheld:
		return nil, refuse(CodeConflict, "lot %s has %s left that nobody holds: it cannot be adjusted by %s", l.ID, unheld, c.Amount)
	case l.Closed:
		return nil, refuse(CodeConflict, "lot %s is closed: grant a new one instead", l.ID)
	}
	if err := d.issuable(c.Amount); err != nil {
		return nil, err
	}
	return []Event{&CreditAdjusted{l.ID, c.Amount, c.Reason}}, nil
}

func addLot(d *Draft, r *Record, l Lot) {
	l.Position = r.Position
	d.changeOrg(r, func(o *Org) {
		o.Lots = append(o.Lots, l)
		slices.SortFunc(o.Lots, byFunding)
	})
}

func closeLot(d *Draft, r *Record, lot string) {
	d.changeOrg(r, func(o *Org) {
		for i := range o.Lots {
			if o.Lots[i].ID == lot {
				o.Lots[i].Closed = true
			}
		}
	})
}

func credit(org, lot string) Account { return Account{Org: org, Kind: "credit", ID: lot} }

func (*CreditPurchased) Type() Type { return "credit.purchased" }
func (e *CreditPurchased) postings(org string) []Posting {
	var en entry
	en.move(houseIssued, credit(org, e.Lot), USD, int64(e.Amount))
	return en
}
func (e *CreditPurchased) evolve(d *Draft, r *Record) {
	addLot(d, r, Lot{ID: e.Lot, Amount: e.Amount, Paid: e.Paid, Reference: e.Reference, Expires: e.Expires})
}

func (*CreditGranted) Type() Type { return "credit.granted" }
func (e *CreditGranted) postings(org string) []Posting {
	var en entry
	en.move(houseIssued, credit(org, e.Lot), USD, int64(e.Amount))
	return en
}
func (e *CreditGranted) evolve(d *Draft, r *Record) {
	addLot(d, r, Lot{ID: e.Lot, Amount: e.Amount, Promotion: true, Priority: e.Priority, Expires: e.Expires})
}

func (*CreditExpired) Type() Type { return "credit.expired" }
func (e *CreditExpired) postings(org string) []Posting {
	var en entry
	en.move(credit(org, e.Lot), houseExpired, USD, int64(e.Amount))
	return en
}
func (e *CreditExpired) evolve(d *Draft, r *Record) { closeLot(d, r, e.Lot) }

func (*CreditRefunded) Type() Type { return "credit.refunded" }
func (e *CreditRefunded) postings(org string) []Posting {
	var en entry
	en.move(credit(org, e.Lot), houseRefunded, USD, int64(e.Taken))
	en.move(houseLoss, houseRefunded, USD, int64(e.Loss))
	return en
}
func (e *CreditRefunded) evolve(d *Draft, r *Record) {
	// Of a chargeback that left nothing, what returns expires; one of a part leaves the rest to be spent.
	if e.Chargeback && d.balance(credit(r.Stream, e.Lot), USD) == 0 {
		closeLot(d, r, e.Lot)
	}
}

func (*CreditAdjusted) Type() Type { return "credit.adjusted" }
func (e *CreditAdjusted) postings(org string) []Posting {
	var en entry
	en.move(houseIssued, credit(org, e.Lot), USD, int64(e.Amount))
	return en
}
func (e *CreditAdjusted) evolve(*Draft, *Record) {}

// validReference tells whether s may stand in the log as an id at a payment provider.
func validReference(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !slices.Contains([]rune("-_.:/"), c) {
			return false
		}
	}
	return true
}
