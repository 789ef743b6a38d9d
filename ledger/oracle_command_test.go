package ledger

import (
	"cmp"
	"maps"
)

// do decides a command, and gives the code of its refusal.
func (o *oracle) do(c Command) Code {
	id := c.Stream()
	o.due(id)
	g := o.orgs[id]
	if _, opening := c.(OpenOrg); g == nil && !opening && id != Platform {
		if _, timer := c.(Mature); timer {
			return ""
		}
		switch c.(type) {
		case Settle, Void, Interrupt, Extend:
			return CodeConflict
		}
		return CodeNotFound
	}
	if g != nil && g.erased {
		if _, timer := c.(Mature); timer {
			return ""
		}
		return CodeConflict
	}
	switch c := c.(type) {
	case DefinePlan:
		o.plans[c.ID] = c.Plan
		o.event()
	case PublishModel:
		o.models[c.Name] = c.Model
		o.event()
	case PublishPrice:
		o.prices = append(o.prices, oPrice{Price: c.Price})
		o.event()
	case WithdrawPrice:
		for i := range o.prices {
			if o.prices[i].ID == c.Price && !o.prices[i].gone {
				o.prices[i].gone = true
				o.event()
				return ""
			}
		}
		return CodeNotFound
	case OpenOrg:
		if g != nil {
			return CodeConflict
		}
		o.orgs[id] = &oOrg{}
		o.event()
		o.event()
		o.openPeriod(id, c.Plan, max(o.clock, o.last+1), false)
	case RestoreLog, CompleteDrill, RotateVault:
		return o.node(c)
	case EraseOrg:
		return o.erase(id, g)
	case SubscribePlan, CancelPlan, SuspendOrg, ResumeOrg:
		return o.standing(id, g, c)
	case PurchaseCredit, GrantCredit, RefundCredit, AdjustCredit:
		return o.credit(id, g, c)
	case Admit, Extend, Settle, Void, Interrupt:
		return o.request(id, g, c)
	}
	return ""
}

func (o *oracle) standing(id string, g *oOrg, c Command) Code {
	switch c := c.(type) {
	case SubscribePlan:
		if c.Plan == g.plan && g.next == "" {
			return CodeConflict
		}
		o.event()
		switch {
		case c.Plan == g.plan:
			g.next = ""
		case g.end == 0 || o.plans[c.Plan].Tokens > o.plans[g.plan].Tokens:
			o.openPeriod(id, c.Plan, max(o.clock, o.last+1), false)
		default:
			g.next = c.Plan
		}
	case CancelPlan:
		if g.end == 0 {
			return CodeConflict
		}
		g.next = "free"
		o.event()
	case SuspendOrg:
		if g.suspended {
			return CodeConflict
		}
		g.suspended = true
		o.event()
	case ResumeOrg:
		if !g.suspended {
			return CodeConflict
		}
		g.suspended = false
		o.event()
	}
	return ""
}

func (o *oracle) credit(id string, g *oOrg, c Command) Code {
	find := func(name string) *oLot {
		for _, l := range g.lots {
			if l.id == name {
				return l
			}
		}
		return nil
	}
	add := func(l oLot) Code {
		switch {
		case find(l.id) != nil:
			return CodeConflict
		case l.expires != 0 && l.expires <= max(o.clock, o.last+1):
			return CodeInvalid
		case !o.plans[g.plan].Credit:
			return CodePlanExcludesCred
		}
		o.lots++
		l.n = o.lots
		g.lots = append(g.lots, &l)
		o.event()
		o.move("house/issued", lotOf(id, &l), "usd", l.amount)
		return ""
	}
	switch c := c.(type) {
	case PurchaseCredit:
		return add(oLot{id: c.Lot, amount: int64(c.Amount), paid: int64(c.Amount), expires: c.Expires})
	case GrantCredit:
		return add(oLot{id: c.Lot, amount: int64(c.Amount), promotion: true, priority: c.Priority, expires: c.Expires})
	case AdjustCredit:
		l := find(c.Lot)
		if l == nil {
			return CodeNotFound
		}
		if int64(c.Amount) < -o.free(lotOf(id, l)) || l.closed {
			return CodeConflict
		}
		o.move("house/issued", lotOf(id, l), "usd", int64(c.Amount))
		o.event()
	case RefundCredit:
		l := find(c.Lot)
		if l == nil {
			return CodeNotFound
		}
		if l.promotion {
			return CodeInvalid
		}
		there := o.free(lotOf(id, l))
		if !c.Chargeback {
			n := cmp.Or(int64(c.Amount), there)
			if n == 0 || n > there {
				return CodeConflict
			}
			o.move(lotOf(id, l), "house/refunded", "usd", n)
			o.event()
			return ""
		}
		n := cmp.Or(int64(c.Amount), l.paid)
		if n > max(l.paid, l.amount) {
			return CodeInvalid
		}
		o.move(lotOf(id, l), "house/refunded", "usd", min(n, there))
		o.event()
		l.closed = l.closed || n >= there
		if n > there {
			o.move("house/loss", "house/refunded", "usd", n-there)
			if !g.suspended {
				g.suspended = true
				o.event()
			}
		}
	}
	return ""
}

func (o *oracle) request(id string, g *oOrg, c Command) Code {
	mine := func(request string) *oCall {
		if call := o.calls[request]; call != nil && call.org == id {
			return call
		}
		return nil
	}
	switch c := c.(type) {
	case Admit:
		if g.suspended {
			return CodeOrgSuspended
		}
		if code := o.callable(id, c.Key); code != "" {
			return code
		}
		call, code := o.leg(id, c.Key, c.Lane, c.Demand)
		if code != "" {
			return code
		}
		call.admitted = o.event()
		o.calls[c.Request] = call
	case Extend:
		old := mine(c.Request)
		if old == nil {
			return CodeConflict
		}
		if g.suspended {
			return CodeOrgSuspended
		}
		if code := o.callable(id, old.key); code != "" {
			return code
		}
		before := maps.Clone(o.bal)
		o.giveBack(old, nil)
		delete(o.calls, c.Request) // it holds nothing while its next leg is decided
		call, code := o.leg(id, old.key, old.lane, c.Demand)
		if code != "" {
			o.bal, o.calls[c.Request] = before, old
			return code
		}
		call.admitted = old.admitted
		o.calls[c.Request] = call
		o.event()
	case Settle:
		call := mine(c.Request)
		if call == nil {
			return CodeConflict
		}
		usd, tok := o.settle(call, c.Usage, c.ServiceTier)
		o.absorb(call, c.Resolution.Attempts)
		o.resolve(c.Request, usd, tok)
		o.event()
	case Void:
		call := mine(c.Request)
		if call == nil {
			return CodeConflict
		}
		o.giveBack(call, nil)
		o.absorb(call, c.Resolution.Attempts)
		o.resolve(c.Request, 0, 0)
		o.event()
	case Interrupt:
		call := mine(c.Request)
		if call == nil {
			return CodeConflict
		}
		if c.Rule == RuleVoid {
			o.giveBack(call, nil)
			o.resolve(c.Request, 0, 0)
		} else {
			o.resolve(c.Request, call.bound, call.tokens)
			for _, d := range call.held {
				o.move(d.place+"/held", house(d.place), unitOf(d.place), d.amount)
			}
		}
		o.event()
	}
	return ""
}

// erase ends an org that has no open call: an event for each key and credential that it still has, and one for itself.
func (o *oracle) erase(id string, g *oOrg) Code {
	for _, call := range o.calls {
		if call.org == id {
			return CodeConflict
		}
	}
	for _, k := range o.keys {
		if k.org == id && !k.revoked {
			k.revoked = true
			o.event()
		}
	}
	for credential, owner := range o.owner {
		if owner == id {
			delete(o.owner, credential)
			o.event()
		}
	}
	g.erased = true
	o.event()
	return ""
}

// node decides what concerns no org's money at all.
func (o *oracle) node(c Command) Code {
	switch c := c.(type) {
	case RestoreLog:
		o.epoch = max(o.epoch, c.Epoch, 1) + 1
	case CompleteDrill:
		if c.Drill.OK == (c.Drill.Failure != "") {
			return CodeInvalid
		}
	}
	o.event()
	return ""
}
