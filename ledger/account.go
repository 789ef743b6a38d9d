package ledger

import (
	"fmt"
	"slices"
	"strings"
)

// Unit is what an amount counts.
type Unit string

// The units. One account may have a balance in each; they are never added.
const (
	USD Unit = "usd" // nano-dollars
	Tok Unit = "tok" // plan tokens
	Msg Unit = "msg" // free messages
)

// Account is a posting target. The house's accounts have no org.
type Account struct {
	Org  string
	Kind string // plan, free, credit or byok; of the house: issued, revenue, …
	ID   string // the period of a plan account, the lot of a credit account
	Held bool   // the twin that carries what open requests hold
}

// The house's accounts: where value comes from and goes to.
var (
	houseIssued   = Account{Kind: "issued"}   // allowances and lots come from here: its balance is negative
	houseRevenue  = Account{Kind: "revenue"}  // credit earned
	houseConsumed = Account{Kind: "consumed"} // allowance used
	houseExpired  = Account{Kind: "expired"}  // what lapsed unused
	houseRefunded = Account{Kind: "refunded"} // what went back to a payer
	houseOverage  = Account{Kind: "overage"}  // what upstreams billed past hold and balance: negative
	houseAbsorbed = Account{Kind: "absorbed"} // list cost of paid attempts that were discarded
	houseLoss     = Account{Kind: "loss"}     // chargebacks of credit already spent: negative
	houseBYOK     = Account{Kind: "byok"}     // memo: the other side of org/ORG/byok
)

// String is the account's path: house/KIND, org/ORG/KIND[/ID][/held].
func (a Account) String() string {
	if a.Org == "" {
		return "house/" + a.Kind
	}
	s := "org/" + a.Org + "/" + a.Kind
	if a.ID != "" {
		s += "/" + a.ID
	}
	if a.Held {
		s += "/held"
	}
	return s
}

// ParseAccount reads what String writes.
func ParseAccount(s string) (Account, error) {
	p := strings.Split(s, "/")
	if len(p) == 2 && p[0] == "house" && p[1] != "" {
		return Account{Kind: p[1]}, nil
	}
	if len(p) < 3 || len(p) > 5 || p[0] != "org" || p[1] == "" || p[2] == "" {
		return Account{}, fmt.Errorf("account %q: not house/KIND or org/ORG/KIND[/ID][/held]", s)
	}
	a := Account{Org: p[1], Kind: p[2]}
	rest := p[3:]
	if len(rest) > 0 && rest[len(rest)-1] == "held" {
		a.Held, rest = true, rest[:len(rest)-1]
	}
	switch {
	case len(rest) == 1 && rest[0] != "":
		a.ID = rest[0]
	case len(rest) > 0:
		return Account{}, fmt.Errorf("account %q: not house/KIND or org/ORG/KIND[/ID][/held]", s)
	}
	return a, nil
}

// held is the account's twin.
func (a Account) held() Account { a.Held = true; return a }

// Posting is one signed amount on one account.
type Posting struct {
	Account Account
	Unit    Unit
	Amount  int64
}

// entry is the balanced set of postings of one event: value only ever moves, so the set sums to zero.
type entry []Posting

func (e *entry) move(from, to Account, unit Unit, amount int64) {
	if amount == 0 {
		return
	}
	e.post(from, unit, -amount)
	e.post(to, unit, amount)
}

func (e *entry) post(a Account, unit Unit, amount int64) {
	for i := range *e {
		if p := &(*e)[i]; p.Unit == unit && p.Account == a {
			p.Amount += amount
			return
		}
	}
	*e = append(*e, Posting{a, unit, amount})
}

// whole is the finished entry: what moved out of an account and back into it is not a posting.
func (e entry) whole() []Posting {
	return slices.DeleteFunc(e, func(p Posting) bool { return p.Amount == 0 })
}

// Balanced tells whether the postings sum to zero in each unit.
func Balanced(ps []Posting) bool {
	var usd, tok, msg int64
	for _, p := range ps {
		switch p.Unit {
		case USD:
			usd += p.Amount
		case Tok:
			tok += p.Amount
		case Msg:
			msg += p.Amount
		default:
			return false
		}
	}
	return usd == 0 && tok == 0 && msg == 0
}

// Draw is an amount taken from, held on, or returned to one lot or allowance.
type Draw struct {
	Unit   Unit   `json:"unit"`        // tok: a period's allowance; msg: free messages; usd: a lot
	ID     string `json:"id,omitzero"` // the period or the lot; none for free messages
	Amount int64  `json:"amount"`      // in the unit
}

// of is the account of an org that the draw concerns.
func (w Draw) of(org string) Account {
	switch w.Unit {
	case Tok:
		return Account{Org: org, Kind: "plan", ID: w.ID}
	case Msg:
		return Account{Org: org, Kind: "free"}
	default:
		return Account{Org: org, Kind: "credit", ID: w.ID}
	}
}

// earned is where a drawn amount goes.
func (w Draw) earned() Account {
	if w.Unit == USD {
		return houseRevenue
	}
	return houseConsumed
}
