package http

import (
	"net/http"

	"waybill/ledger"
)

// balanceView is what an org has: money in decimal dollars, tokens whole.
type balanceView struct {
	Org      string      `json:"org"`
	Position uint64      `json:"position"`
	At       Time        `json:"at"`
	Plan     planBalance `json:"plan"`
	Free     freeBalance `json:"free"`
	Credit   Dollars     `json:"credit_usd"`
	Held     Dollars     `json:"held_usd"`
	Lots     []lotView   `json:"lots"`
}

type planBalance struct {
	Plan     string `json:"plan"`
	Period   string `json:"period"`
	Tokens   int64  `json:"tokens"`
	Held     int64  `json:"held"`
	Granted  int64  `json:"granted"`
	ResetsAt Time   `json:"resets_at"`
}

type freeBalance struct {
	Messages int64 `json:"messages"`
	Held     int64 `json:"held"`
}

type lotView struct {
	Lot       string  `json:"lot"`
	Amount    Dollars `json:"amount_usd"`
	Left      Dollars `json:"left_usd"`
	Held      Dollars `json:"held_usd"`
	Promotion bool    `json:"promotion"`
	Expires   Time    `json:"expires_at"`
	Closed    bool    `json:"closed"`
}

func creditRoutes() []route {
	return []route{
		endpoint(http.MethodGet, "/api/v1/orgs/{org}/balance", "What an org has now", admin, balance),
		create("/api/v1/orgs/{org}/credits", "Purchase or grant credit", operator, addCredit),
	}
}

func balance(c *call, _ nothing) (v balanceView, err error) {
	// What fell due is brought about first, so that nobody reads a stale balance.
	if _, err := c.s.o.Books.Execute(c, ledger.Mature{Org: c.org}); err != nil {
		return v, err
	}
	var t ledger.Standing
	c.s.o.Books.View(func(st *ledger.State) { t, _ = st.Standing(c.org) })
	v = balanceView{Org: t.Org, Position: t.Position, At: Time(t.At), Credit: Dollars(t.Credit), Held: Dollars(t.Held), Lots: []lotView{},
		Plan: planBalance{t.Plan.Plan, t.Plan.Period, t.Plan.Tokens, t.Plan.Held, t.Plan.Granted, Time(t.Plan.ResetsAt)},
		Free: freeBalance{t.Free.Messages, t.Free.Held}}
	for _, l := range t.Lots {
		v.Lots = append(v.Lots, lotView{l.ID, Dollars(l.Amount), Dollars(l.Left), Dollars(l.Held), l.Promotion, Time(l.Expires), l.Closed})
	}
	return v, nil
}

func addCredit(c *call, in struct {
	Kind      string  `json:"kind"`
	Amount    Dollars `json:"amount_usd"`
	Reference string  `json:"reference"`
	Priority  int     `json:"priority"`
	Expires   Time    `json:"expires_at"`
}) (balanceView, error) {
	amount, expires, lot := ledger.Nano(in.Amount), ledger.Instant(in.Expires), "lot_"+c.s.o.NewID()
	var command ledger.Command
	switch in.Kind {
	case "purchase":
		command = ledger.PurchaseCredit{Who: c.by, Org: c.org, Lot: lot, Amount: amount, Reference: in.Reference, Expires: expires,
			Input: digest("purchase", c.org, amount.String())}
	case "grant":
		command = ledger.GrantCredit{Who: c.by, Org: c.org, Lot: lot, Amount: amount, Priority: in.Priority, Expires: expires}
	default:
		return balanceView{}, invalid("kind", "must be purchase or grant")
	}
	if _, err := c.s.o.Books.Execute(c, command); err != nil {
		return balanceView{}, err
	}
	return balance(c, nothing{})
}
