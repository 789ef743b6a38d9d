package ledger

// Purse is what an org has for a call, dollars aside.
type Purse struct {
	Tokens   int64 // of its allowance
	Messages int64 // free ones
}

// Bill is what a usage costs whom.
type Bill struct {
	ListCost   Nano
	Charge     Nano // in dollars of credit
	PlanTokens int64
	Messages   int64
}

// BillOf is what a usage would cost on a leg, by the rules of a settlement: nothing on the org's own credential; else a free
// message, else plan tokens as far as there are any, and for the uncovered share dollars, by the price and with the plan's
// markup. Without a price the list cost is not known, and taken for none. It is refused if only credit could pay and the plan
// takes none.
func BillOf(plan *Plan, price *Price, c Choice, u Usage, serviceTier string, p Purse) (Bill, error) {
	var b Bill
	var rates Rates
	u = u.Clamped()
	if price != nil {
		rates = price.Applied(u.InputTotal(), serviceTier)
		b.ListCost = Cost(rates, u)
	}
	if c.Kind == BYOK {
		return b, nil
	}
	if plan.Messages > 0 && p.Messages > 0 {
		b.Messages = 1
		return b, nil
	}
	allowance := int64(0)
	if plan.Tokens > 0 {
		allowance = max(0, p.Tokens)
	}
	rates = rates.Scale(basis + plan.Markup)
	switch total := u.Total() * plan.weight(c.Model); {
	case total > 0:
		b.PlanTokens = min(total, allowance)
		b.Charge = Share(rates, u, total-b.PlanTokens, total)
	case allowance == 0: // a model of weight 0 is free of the allowance, on a plan that has one
		b.Charge = Cost(rates, u)
	}
	if b.Charge > 0 && !plan.Credit {
		return Bill{}, refuse(CodeInsufficientFunds, "plan %s takes no credit, and its allowance does not cover the call", plan.ID)
	}
	return b, nil
}

// Purse is what an org has left for a call, with what the call holds itself.
func (s *State) Purse(org, request string) Purse {
	o := s.orgs[org]
	if o == nil {
		return Purse{}
	}
	own := func(w Draw) int64 {
		n := s.Balance(w.of(org), w.Unit)
		if h := s.holds[request]; h != nil {
			for _, d := range h.Draws {
				if d.Unit == w.Unit && d.ID == w.ID {
					n += d.Amount
				}
			}
		}
		return n
	}
	return Purse{Tokens: own(Draw{Unit: Tok, ID: o.Period.ID}), Messages: own(Draw{Unit: Msg})}
}

// Bill is what the settlement took.
func (e *RequestSettled) Bill() Bill {
	return Bill{ListCost: e.ListCost, Charge: e.Charge, PlanTokens: e.PlanTokens(), Messages: sum(e.Draws, Msg)}
}
