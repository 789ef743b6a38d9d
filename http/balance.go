package http

import (
	"net/http"
	"strconv"

	"waybill/ledger"
)

// balance is what an org has, at a position of the log.
type balance struct {
	Org       string      `json:"org"`
	Position  uint64      `json:"position"`
	At        Time        `json:"at"` // of that position
	Plan      planBalance `json:"plan"`
	Free      freeBalance `json:"free"`
	CreditUSD Dollars     `json:"credit_usd"` // of open lots, what nobody holds
	HeldUSD   Dollars     `json:"held_usd"`
	Lots      []lot       `json:"lots"`
}

type planBalance struct {
	Plan     string `json:"plan"`
	NextPlan string `json:"next_plan,omitempty"`
	Period   string `json:"period"`
	Tokens   int64  `json:"tokens"` // left, and held by nobody
	Held     int64  `json:"held"`
	Granted  int64  `json:"granted"`
	ResetsAt Time   `json:"resets_at"`
}

type freeBalance struct {
	Messages int64 `json:"messages"` // left, and held by nobody
	Held     int64 `json:"held"`
}

type moment struct {
	At string `query:"at" doc:"a position of the log, or a time by RFC 3339; now unless given"`
}

func balanceRoutes() []route {
	return []route{endpoint(http.MethodGet, "/api/v1/orgs/{org}/balance", "What an org has, now or at an earlier moment", admin, showBalance)}
}

func showBalance(c *call, in moment) (balance, error) {
	st, err := c.standingAt(in.At)
	if err != nil {
		return balance{}, err
	}
	p := st.Plan
	return balance{Org: st.Org, Position: st.Position, At: Time(st.At), CreditUSD: Dollars(st.Credit), HeldUSD: Dollars(st.Held), Lots: lotRows(st),
		Plan: planBalance{Plan: p.Plan, NextPlan: p.Next, Period: p.Period, Tokens: p.Tokens, Held: p.Held, Granted: p.Granted, ResetsAt: Time(p.ResetsAt)},
		Free: freeBalance{Messages: st.Free.Messages, Held: st.Free.Held}}, nil
}

func (c *call) standingAt(at string) (ledger.Standing, error) {
	if at == "" {
		return c.standing()
	}
	if n, err := strconv.ParseUint(at, 10, 63); err == nil {
		if n == 0 {
			return ledger.Standing{}, invalid("at", "the first position is 1")
		}
		return c.s.o.Log.BalanceAt(c, c.org, n)
	}
	var t Time
	if err := t.parse(at); err != nil {
		return ledger.Standing{}, invalid("at", "must be a position of the log, or a time such as 2026-12-31T00:00:00Z")
	}
	return c.s.o.Log.BalanceAtTime(c, c.org, ledger.Instant(t))
}

// standing is what the call's org has now. What fell due and has not happened yet happens first, so that nobody reads
// an allowance or a lot that has ended.
func (c *call) standing() (st ledger.Standing, err error) {
	now, due, ok := ledger.InstantOf(c.s.o.Now()), false, false
	c.s.o.Books.View(func(s *ledger.State) {
		if st, ok = s.Standing(c.org); ok {
			d := s.Org(c.org).Due()
			due = d != 0 && d <= now
		}
	})
	if due {
		if _, err := c.s.o.Books.Execute(c, ledger.Mature{Org: c.org}); err != nil {
			return st, err
		}
		c.s.o.Books.View(func(s *ledger.State) { st, ok = s.Standing(c.org) })
	}
	if !ok {
		return st, notFound("org", c.org)
	}
	return st, nil
}
