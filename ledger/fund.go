package ledger

import "math"

// fund decides whether a leg may run and what it holds meanwhile. Present is the request's hold so far, which the
// new one replaces. A leg on the org's own credential holds and costs nothing here, whatever the plan.
func (d *Draft) fund(o *Org, key string, lane Lane, dm Demand, present *Hold, at Instant) (Leg, []Draw, error) {
	if err := dm.validate(); err != nil {
		return Leg{}, nil, err
	}
	m, err := d.modelOf(dm.Choice)
	if err != nil {
		return Leg{}, nil, err
	}
	plan, price := d.plan(o.Plan), d.priceOf(m.Name, at)
	if err := permits(plan, d.key(key), price, m, lane, dm); err != nil {
		return Leg{}, nil, err
	}
	leg := Leg{Choice: dm.Choice, Input: dm.Input, Output: dm.Output, Answers: max(1, dm.Answers), ServiceTier: dm.ServiceTier}
	if price != nil {
		leg.Price = price.ID
	}
	if dm.Kind == BYOK {
		if err := d.attached(o.ID, dm.Credential); err != nil {
			return Leg{}, nil, err
		}
		if leg.Output == 0 && !dm.NoOutput && !dm.Gratis {
			leg.Output = m.MaxOutput // 0 of a model that is not listed: then no cap is sent
		}
		return leg, nil, nil
	}
	if err := d.attached(Platform, dm.Credential); err != nil {
		return Leg{}, nil, err
	}
	if dm.Gratis {
		return leg, nil, nil
	}
	f := funding{d: d, o: o, plan: plan, leg: &leg, price: price, present: present, at: at}
	if present != nil {
		f.released = present.Draws
	}
	f.spend, _ = d.spends.get(key)
	held, err := f.place(m, dm)
	return leg, held, err
}

// permits says why a key or a plan rules out a leg, whatever money there is; nil if neither does. The org's own credentials
// are open on every plan.
func permits(plan *Plan, k *Key, price *Price, m *Model, lane Lane, dm Demand) error {
	switch {
	case k != nil && !k.Allows(m):
		return refuse(CodeKeyForbidsModel, "the key may not call %s", m.Name)
	case dm.Kind == BYOK:
		return nil
	case !plan.Allows(lane):
		return refuse(CodePlanExcludesModel, "plan %s has no %s lane: call model \"auto\", attach a credential of your own for %s, or change the plan",
			plan.ID, lane, m.Provider)
	case !plan.Reaches(m.Name):
		return refuse(CodePlanExcludesModel, "the auto lane of plan %s does not take %s: attach a credential of your own for %s, or change the plan",
			plan.ID, m.Name, m.Provider)
	case price == nil:
		return refuse(CodeUnpricedModel, "model %s has no price in force: it can be called on your own credential only", m.Name)
	case plan.MaxInput > 0 && dm.Input > plan.MaxInput:
		return refuse(CodePlanLimit, "plan %s takes up to %d tokens of input, and this call may have %d", plan.ID, plan.MaxInput, dm.Input)
	}
	return nil
}

// Permits says why an org's plan or one of its keys rules out a leg on a model, whatever money there is; nil if neither does.
func (s *State) Permits(org, key string, lane Lane, m *Model, dm Demand, at Instant) error {
	o := s.orgs[org]
	if o == nil {
		return refuse(CodeNotFound, "there is no org %q", org)
	}
	return permits(s.plans[o.Plan], s.keys[key], s.PriceOf(m.Name, at), m, lane, dm)
}

// funding is the placing of one hold on platform capacity.
type funding struct {
	d        *Draft
	o        *Org
	plan     *Plan
	leg      *Leg
	price    *Price
	present  *Hold
	released []Draw // by the present hold
	spend    *Spend // of the key; nil if it has no caps
	at       Instant
}

// purse is what there is to hold from.
type purse struct {
	messages int64
	tokens   int64
	credit   Nano
	room     room // that the key's caps leave
}

// place sizes the output cap and takes the hold: free messages where the plan gives them, else plan tokens, else credit.
func (f *funding) place(m *Model, dm Demand) ([]Draw, error) {
	leg, floor := f.leg, dm.Floor
	leg.Markup, leg.Weight = f.plan.Markup, f.plan.weight(m.Name)
	switch {
	case dm.NoOutput:
		leg.Output, floor = 0, 0
	case leg.Output > 0: // the caller's own cap is never clipped
		floor = leg.Output
	default:
		floor = max(1, floor)
		leg.Output = max(f.plan.output(), floor)
		if m.MaxOutput > 0 {
			leg.Output, floor = min(leg.Output, m.MaxOutput), min(floor, m.MaxOutput)
		}
	}
	if most := f.plan.MaxOutput; most > 0 {
		if floor*leg.Answers > most {
			return nil, refuse(CodePlanLimit, "plan %s gives up to %d tokens of output, and this call may need %d", f.plan.ID, most, floor*leg.Answers)
		}
		leg.Output = min(leg.Output, most/leg.Answers)
	}
	now, idle := f.purses()
	if !f.fits(now, leg.Output) {
		if !f.fits(now, floor) {
			return nil, f.refusal(now, idle, floor)
		}
		lo, hi := floor, leg.Output // fits(lo), not fits(hi)
		for hi-lo > 1 {
			mid := lo + (hi-lo)/2
			if f.fits(now, mid) {
				lo = mid
			} else {
				hi = mid
			}
		}
		leg.Output, leg.Clipped = lo, true
	}
	leg.Bound = f.bound(leg.Output)
	return f.take(now), nil
}

// purses is what can be held now, and what could if no other call held anything.
func (f *funding) purses() (now, idle purse) {
	if f.spend != nil {
		now.room, idle.room = f.spend.room(f.present, f.at)
	}
	add := func(w Draw, open bool) {
		if !open {
			return
		}
		a := w.of(f.o.ID)
		free, held := f.d.balance(a, w.Unit), f.d.balance(a.held(), w.Unit)
		own := int64(0)
		for _, r := range f.released {
			if r.Unit == w.Unit && r.ID == w.ID {
				own += r.Amount
			}
		}
		now.add(w.Unit, free+own)
		idle.add(w.Unit, free+held)
	}
	add(Draw{Unit: Msg}, f.plan.Messages > 0)
	add(Draw{Unit: Tok, ID: f.o.Period.ID}, f.plan.Tokens > 0)
	for i := range f.o.Lots {
		add(Draw{Unit: USD, ID: f.o.Lots[i].ID}, f.plan.Credit && !f.o.Lots[i].Closed)
	}
	return now, idle
}

func (p *purse) add(u Unit, n int64) {
	switch u {
	case Msg:
		p.messages += n
	case Tok:
		p.tokens += n
	case USD:
		p.credit += Nano(n)
	}
}

// bound is the list cost of a cap at worst.
func (f *funding) bound(output int64) Nano {
	return Cost(f.price.worst(f.leg.Input, f.leg.ServiceTier), f.leg.worst(output))
}

// need is what a cap would take at worst: plan tokens, and dollars for the share of them that the allowance lacks.
func (f *funding) need(p purse, output int64) (tokens int64, credit Nano) {
	u := f.leg.worst(output)
	total := u.Total() * f.leg.Weight
	tokens = min(total, p.tokens)
	rates := f.price.worst(f.leg.Input, f.leg.ServiceTier).Scale(basis + f.leg.Markup)
	if total == 0 { // a model of weight 0 is free of the allowance, on a plan that has one
		if p.tokens > 0 {
			return 0, 0
		}
		return 0, Cost(rates, u)
	}
	return tokens, Share(rates, u, total-tokens, total)
}

func (f *funding) fits(p purse, output int64) bool { return f.within(p, output) && f.pays(p, output) }

// within tells whether the key's caps leave room for a cap on the output.
func (f *funding) within(p purse, output int64) bool {
	return f.spend == nil || p.room.takes(int64(f.bound(output)), f.leg.worst(output).Total()*f.leg.Weight)
}

// pays tells whether there is what a cap on the output would take.
func (f *funding) pays(p purse, output int64) bool {
	if p.messages > 0 {
		return true
	}
	_, credit := f.need(p, output)
	return credit <= p.credit
}

// refusal says why not even the floor fits: first what waiting for other calls does not mend.
func (f *funding) refusal(now, idle purse, floor int64) error {
	if !f.within(idle, floor) || f.pays(now, floor) {
		return f.spend.reached(int64(f.bound(floor)), f.leg.worst(floor).Total()*f.leg.Weight, f.at)
	}
	_, credit := f.need(now, floor)
	if f.pays(idle, floor) {
		return refuse(CodeFundsHeld, "other calls hold what this one needs: try again when one has ended")
	}
	if f.plan.Messages > 0 && f.plan.Tokens == 0 {
		return refuse(CodeInsufficientFunds, "the free messages are used up: subscribe to a plan, or attach a credential of your own")
	}
	return refuse(CodeInsufficientFunds, "the call may cost up to %s dollars beyond %d plan tokens, and %s dollars of credit are left: buy credit, lower the output cap, or attach a credential of your own",
		credit, now.tokens, now.credit)
}

// take turns the need into draws: one message, or tokens and then lots in the order of use.
func (f *funding) take(p purse) []Draw {
	if p.messages > 0 {
		return []Draw{{Unit: Msg, Amount: 1}}
	}
	tokens, credit := f.need(p, f.leg.Output)
	var held []Draw
	if tokens > 0 {
		held = append(held, Draw{Tok, f.o.Period.ID, tokens})
	}
	held, _ = f.d.drawLots(held, f.o, f.released, credit)
	return held
}

// drawLots takes an amount from an org's open lots in the order of use, as if what is released were back already, and
// says what they lacked.
func (d *Draft) drawLots(draws []Draw, o *Org, released []Draw, amount Nano) ([]Draw, Nano) {
	for i := range o.Lots {
		l := &o.Lots[i]
		if amount == 0 {
			break
		}
		if l.Closed {
			continue
		}
		free := Nano(d.balance(l.account(o.ID), USD))
		for _, r := range released {
			if r.Unit == USD && r.ID == l.ID {
				free += Nano(r.Amount)
			}
		}
		if n := min(free, amount); n > 0 {
			draws = append(draws, Draw{USD, l.ID, int64(n)})
			amount -= n
		}
	}
	return draws, amount
}

// capture is what a settlement takes for a usage.
type capture struct {
	draws   []Draw
	expired []Draw
	overage Nano
}

// capture draws on the hold first, then on what else is available, in the order of use, and names the rest an overage.
// What of the hold is not needed returns, or expires where its period or lot has closed.
func (d *Draft) capture(h *Hold, o *Org, rates Rates, u Usage) capture {
	var c capture
	left := make([]Draw, len(h.Draws))
	copy(left, h.Draws)
	take := func(i int, n int64) {
		if n > 0 {
			c.draws = append(c.draws, Draw{left[i].Unit, left[i].ID, n})
			left[i].Amount -= n
		}
	}
	total := u.Total() * h.Leg.Weight
	tokens := total
	message, onPlan := false, len(h.Draws) == 0
	for i, w := range left {
		switch w.Unit {
		case Msg:
			take(i, w.Amount)
			message = true
		case Tok:
			onPlan = true
			n := min(w.Amount, tokens)
			take(i, n)
			tokens -= n
		}
	}
	plan := d.plan(o.Plan)
	// Dollars that the hold has for the rest come before allowance that it does not have: a hold pins what it is on.
	beyond := !message && tokens > 0 && int64(Share(rates, u, tokens, total)) > sum(h.Draws, USD)
	if beyond && plan.Tokens > 0 && plan.Allows(h.Lane) {
		if n := min(tokens, d.balance(Account{Org: o.ID, Kind: "plan", ID: o.Period.ID}, Tok)); n > 0 {
			c.draws = append(c.draws, Draw{Tok, o.Period.ID, n})
			tokens -= n
		}
	}
	var owed Nano
	switch {
	case message:
	case total > 0:
		owed = Share(rates, u, tokens, total)
	case !onPlan:
		owed = Cost(rates, u)
	}
	for i, w := range left {
		if w.Unit == USD {
			n := min(w.Amount, int64(owed))
			take(i, n)
			owed -= Nano(n)
		}
	}
	if owed > 0 && plan.Credit {
		c.draws, owed = d.drawLots(c.draws, o, nil, owed)
	}
	c.overage = owed
	c.draws = joined(c.draws)
	c.expired = d.stranded(o, left)
	return c
}

// joined adds up draws on the same account, keeping the order of the first.
func joined(draws []Draw) []Draw {
	var out []Draw
next:
	for _, w := range draws {
		for i := range out {
			if out[i].Unit == w.Unit && out[i].ID == w.ID {
				out[i].Amount += w.Amount
				continue next
			}
		}
		out = append(out, w)
	}
	return out
}

// sum adds up the draws of a unit.
func sum(draws []Draw, u Unit) int64 {
	var n int64
	for _, w := range draws {
		if w.Unit == u {
			n += min(w.Amount, math.MaxInt64-n)
		}
	}
	return n
}
