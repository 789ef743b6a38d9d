package http

import (
	"net/http"

	"waybill/ledger"
)

// lot is one purchase or grant of credit, as the control API shows it.
type lot struct {
	ID         string  `json:"id"`
	Kind       string  `json:"kind"` // purchase or grant
	AmountUSD  Dollars `json:"amount_usd"`
	LeftUSD    Dollars `json:"left_usd"` // held by nobody; of a closed lot it can no longer be spent
	HeldUSD    Dollars `json:"held_usd"`
	PaidUSD    Dollars `json:"paid_usd"`
	Reference  string  `json:"reference,omitempty"` // of the payment
	Priority   int     `json:"priority"`            // lower is used first
	ExpiresAt  Time    `json:"expires_at"`
	State      string  `json:"state"` // open or closed
	OfPosition uint64  `json:"position"`
}

type lots struct {
	Lots []lot `json:"lots"`
}

// newCredit is credit that comes in, or the correction of a lot.
type newCredit struct {
	Kind      string         `json:"kind"` // purchase, grant or adjust
	AmountUSD Dollars        `json:"amount_usd"`
	PaidUSD   given[Dollars] `json:"paid_usd"`  // of a purchase: the price; the amount unless given
	Reference string         `json:"reference"` // of a purchase: the payment's id, which credits once
	ExpiresAt Time           `json:"expires_at"`
	Priority  int            `json:"priority"` // of a grant
	Lot       string         `json:"lot"`      // of an adjustment: the lot that it corrects
	Reason    string         `json:"reason"`   // of an adjustment: a word such as goodwill
}

// stray names a field that credit of this kind does not have: what would be ignored was not meant so.
func (in newCredit) stray() string {
	purchase, grant, adjust := in.Kind == "purchase", in.Kind == "grant", in.Kind == "adjust"
	switch {
	case in.PaidUSD.set && !purchase:
		return "paid_usd"
	case in.Reference != "" && !purchase:
		return "reference"
	case in.ExpiresAt != 0 && adjust:
		return "expires_at"
	case in.Priority != 0 && !grant:
		return "priority"
	case in.Lot != "" && !adjust:
		return "lot"
	case in.Reason != "" && !adjust:
		return "reason"
	}
	return ""
}

type refund struct {
	AmountUSD  given[Dollars] `json:"amount_usd"` // left out: all that is left and held by nobody; of a chargeback, the whole price
	Reference  string         `json:"reference"`  // the refund's id at the payment provider
	Chargeback bool           `json:"chargeback"`
}

// refunded is what a refund did, and to which lot.
type refunded struct {
	Lot        lot     `json:"lot"`
	TakenUSD   Dollars `json:"taken_usd"` // from the lot
	LossUSD    Dollars `json:"loss_usd"`  // of a chargeback, what was spent already
	Chargeback bool    `json:"chargeback"`
	Reference  string  `json:"reference"`
}

func creditRoutes() []route {
	const all = "/api/v1/orgs/{org}/credits"
	return []route{
		create(all, "Record a purchase of credit, grant some, or adjust a lot", operator, addCredit),
		endpoint(http.MethodGet, all, "List an org's lots of credit, in the order of use", admin, listLots),
		endpoint(http.MethodPost, all+"/{lot}/refund", "Return a lot's remainder to its payer, or record a chargeback", operator, refundCredit),
	}
}

func addCredit(c *call, in newCredit) (lot, error) {
	id := "lot_" + c.s.o.NewID()
	amount, expires := ledger.Nano(in.AmountUSD), ledger.Instant(in.ExpiresAt)
	var cmd ledger.Command
	switch in.Kind {
	case "purchase":
		if in.PaidUSD.set && in.PaidUSD.value == 0 { // to the ledger, no price is the amount's
			return lot{}, invalid("paid_usd", "must be more than 0: credit that nobody paid for is a grant")
		}
		cmd = ledger.PurchaseCredit{Who: c.by, Org: c.org, Lot: id, Amount: amount, Paid: ledger.Nano(in.PaidUSD.value), Reference: in.Reference,
			Expires: expires}
	case "grant":
		cmd = ledger.GrantCredit{Who: c.by, Org: c.org, Lot: id, Amount: amount, Priority: in.Priority, Expires: expires}
	case "adjust":
		cmd = ledger.AdjustCredit{Who: c.by, Org: c.org, Lot: in.Lot, Amount: amount, Reason: in.Reason}
	default:
		return lot{}, invalid("kind", "must be purchase, grant or adjust")
	}
	if field := in.stray(); field != "" {
		return lot{}, invalid(field, "is not for a credit of kind "+in.Kind)
	}
	rec, err := c.s.o.Books.Execute(c, cmd)
	if err != nil {
		return lot{}, err
	}
	// A repeated one answers with the lot of the first time.
	switch e := rec.Records[len(rec.Records)-1].Event.(type) {
	case *ledger.CreditPurchased:
		id = e.Lot
	case *ledger.CreditGranted:
		id = e.Lot
	case *ledger.CreditAdjusted:
		id = e.Lot
	}
	return c.lotOf(id)
}

func (c *call) lotOf(id string) (lot, error) {
	st, err := c.standing()
	if err != nil {
		return lot{}, err
	}
	for _, l := range st.Lots {
		if l.ID == id {
			return lotRow(l), nil
		}
	}
	return lot{}, notFound("lot", id)
}

func lotRow(l ledger.LotStanding) lot {
	row := lot{ID: l.ID, Kind: "purchase", AmountUSD: Dollars(l.Amount), LeftUSD: Dollars(l.Left), HeldUSD: Dollars(l.Held), PaidUSD: Dollars(l.Paid),
		Reference: l.Reference, Priority: l.Priority, ExpiresAt: Time(l.Expires), State: "open", OfPosition: l.Position}
	if l.Promotion {
		row.Kind = "grant"
	}
	if l.Closed {
		row.State = "closed"
	}
	return row
}

func listLots(c *call, _ nothing) (lots, error) {
	st, err := c.standing()
	if err != nil {
		return lots{}, err
	}
	return lots{Lots: lotRows(st)}, nil
}

func lotRows(st ledger.Standing) []lot {
	rows := []lot{}
	for _, l := range st.Lots {
		rows = append(rows, lotRow(l))
	}
	return rows
}

func refundCredit(c *call, in refund) (refunded, error) {
	if in.AmountUSD.set && in.AmountUSD.value == 0 { // to the ledger, none is everything
		return refunded{}, invalid("amount_usd", "must be more than 0: leave it out to return all that is left")
	}
	rec, err := c.s.o.Books.Execute(c, ledger.RefundCredit{Who: c.by, Org: c.org, Lot: c.vars["lot"], Amount: ledger.Nano(in.AmountUSD.value),
		Chargeback: in.Chargeback, Reference: in.Reference})
	if err != nil {
		return refunded{}, err
	}
	var out refunded
	for _, r := range rec.Records {
		if e, ok := r.Event.(*ledger.CreditRefunded); ok {
			out = refunded{TakenUSD: Dollars(e.Taken), LossUSD: Dollars(e.Loss), Chargeback: e.Chargeback, Reference: e.Reference}
			if out.Lot, err = c.lotOf(e.Lot); err != nil {
				return refunded{}, err
			}
		}
	}
	return out, nil
}
