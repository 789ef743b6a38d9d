package ledger

import (
	"cmp"
	"math/big"
	"slices"
	"sort"
	"time"
)

// oracle is a second ledger, written from the rules alone and sharing no code with the first: maps, big numbers and
// no events. It decides each command by itself and says what every balance is then.
type oracle struct {
	clock, last Instant // what the wall says, and the time of the last event
	bal         map[string]int64
	orgs        map[string]*oOrg
	plans       map[string]Plan
	models      map[string]Model
	prices      []oPrice // in the order of their publication
	calls       map[string]*oCall
	owner       map[string]string // credential → org
	keys        map[string]*oKey
	spent       []oSpent // in the order of settlement
	until       Instant  // of the latest refusal by a cap
	lots        int
	epoch       uint64 // 0: the first
}

type oOrg struct {
	plan, next         string
	number             int
	anchor, start, end Instant
	granted, suspended bool
	erased             bool
	lots               []*oLot
}

type oLot struct {
	id        string
	n         int // in the order of making
	amount    int64
	paid      int64
	promotion bool
	priority  int
	expires   Instant
	closed    bool
}

type oPrice struct {
	Price
	gone bool
}

type oCall struct {
	org           string
	lane          Lane
	kind          CredentialKind
	model         string
	price         *Price
	markup        int64
	weight        int64
	input, output int64 // bounds; output of all answers
	free          bool  // a model of no weight, on an allowance
	held          []oDraw
	admitted      Instant

	key           string
	leg           Instant // when it was admitted
	bound, tokens int64   // at worst
}

type oDraw struct {
	place  string // an account's path
	amount int64
}

func newOracle() *oracle {
	return &oracle{bal: map[string]int64{}, orgs: map[string]*oOrg{}, plans: map[string]Plan{}, models: map[string]Model{},
		calls: map[string]*oCall{}, owner: map[string]string{}, keys: map[string]*oKey{}}
}

func (o *oracle) event() Instant { o.last = max(o.clock, o.last+1); return o.last }

func (o *oracle) move(from, to, unit string, n int64) {
	o.bal[from+" "+unit] -= n
	o.bal[to+" "+unit] += n
}

func unitOf(place string) string {
	_, kind, _ := cut3(place)
	return map[string]string{"plan": "tok", "free": "msg", "credit": "usd"}[kind]
}

// cut3 takes org/ORG/KIND/ID apart.
func cut3(place string) (org, kind, id string) {
	var parts [4]string
	i := 0
	for _, c := range place {
		if c == '/' && i < 3 {
			i++
			continue
		}
		parts[i] += string(c)
	}
	return parts[1], parts[2], parts[3]
}

func (o *oracle) free(place string) int64 { return o.bal[place+" "+unitOf(place)] }
func (o *oracle) held(place string) int64 { return o.bal[place+"/held "+unitOf(place)] }

// month is the anchor n months on, on the last day of a month that is too short.
func month(anchor Instant, n int) Instant {
	t := time.Unix(0, int64(anchor)).UTC()
	m := int(t.Month()) - 1 + n
	year, mon := t.Year()+m/12, time.Month(m%12+1)
	day := min(t.Day(), time.Date(year, mon+1, 0, 0, 0, 0, 0, time.UTC).Day())
	return Instant(time.Date(year, mon, day, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC).UnixNano())
}

func (o *oracle) openPeriod(id string, plan string, at Instant, anchored bool) {
	g, p := o.orgs[id], o.plans[plan]
	old := planOf(id, g)
	if g.number > 0 {
		o.move(old, "house/expired", "tok", o.free(old))
	}
	g.plan, g.next = plan, ""
	g.number++
	if !anchored {
		g.anchor = at
	}
	n := 0
	for month(g.anchor, n+1) <= at {
		n++
	}
	g.start, g.end = month(g.anchor, n), 0
	if p.Tokens > 0 {
		g.end = month(g.anchor, n+1)
	}
	o.event()
	o.move("house/issued", planOf(id, g), "tok", p.Tokens)
	if !g.granted && p.Messages > 0 {
		g.granted = true
		o.move("house/issued", "org/"+id+"/free", "msg", p.Messages)
	}
}

func planOf(id string, g *oOrg) string { return "org/" + id + "/plan/p" + itoa(g.number) }
func lotOf(id string, l *oLot) string  { return "org/" + id + "/credit/" + l.id }

// due brings an org up to the clock.
func (o *oracle) due(id string) {
	g := o.orgs[id]
	for again := g != nil && !g.erased; again; {
		again = false
		at := max(o.clock, o.last+1)
		for _, l := range g.lots {
			if !l.closed && l.expires != 0 && l.expires <= at {
				o.move(lotOf(id, l), "house/expired", "usd", o.free(lotOf(id, l)))
				l.closed, again = true, true
				o.event()
			}
		}
		if g.end != 0 && g.end <= at {
			o.openPeriod(id, cmp.Or(g.next, g.plan), at, true)
			again = true
		}
	}
}

func (g *oOrg) inOrder() []*oLot {
	lots := slices.DeleteFunc(slices.Clone(g.lots), func(l *oLot) bool { return l.closed })
	sort.SliceStable(lots, func(i, j int) bool {
		a, b := lots[i], lots[j]
		switch {
		case a.priority != b.priority:
			return a.priority < b.priority
		case a.expires != b.expires:
			return a.expires != 0 && (b.expires == 0 || a.expires < b.expires)
		case a.promotion != b.promotion:
			return a.promotion
		}
		return a.n < b.n
	})
	return lots
}

func (o *oracle) priceAt(model string, at Instant) *Price {
	var best *Price
	for i := range o.prices {
		p := &o.prices[i]
		if p.Model == model && !p.gone && p.From <= at && (p.To == 0 || at < p.To) && (best == nil || p.From >= best.From) {
			best = &p.Price
		}
	}
	return best
}

// leg decides a leg on what is free now, takes its hold, and gives its call or the code of its refusal.
func (o *oracle) leg(org, key string, lane Lane, d Demand) (*oCall, Code) {
	g := o.orgs[org]
	m, known := o.models[d.Model]
	if !known || m.Retired {
		return nil, CodeUnknownModel
	}
	at := max(o.clock, o.last+1)
	c := &oCall{org: org, key: key, lane: lane, kind: d.Kind, model: d.Model, price: o.priceAt(d.Model, at), input: d.Input, leg: at}
	owner := Platform
	if d.Kind == BYOK {
		owner = org
	}
	if o.owner[d.Credential] != owner {
		return nil, CodeNotFound
	}
	if d.Kind == BYOK {
		return c, ""
	}
	p := o.plans[g.plan]
	if !slices.Contains(p.Lanes, lane) {
		return nil, CodePlanExcludesModel
	}
	if c.price == nil {
		return nil, CodeUnpricedModel
	}
	if p.MaxInput > 0 && d.Input > p.MaxInput {
		return nil, CodePlanLimit
	}
	n := max(d.Answers, 1)
	least, most := d.Output, d.Output
	if d.Output == 0 {
		least = max(d.Floor, 1)
		most = max(cmp.Or(p.Output, 32_768), least)
		if m.MaxOutput > 0 {
			least, most = min(least, m.MaxOutput), min(most, m.MaxOutput)
		}
	}
	if p.MaxOutput > 0 {
		if least*n > p.MaxOutput {
			return nil, CodePlanLimit
		}
		most = min(most, p.MaxOutput/n)
	}
	c.markup, c.weight = p.Markup, 1
	if w, ok := p.Weights[d.Model]; ok {
		c.weight = w
	}
	message := p.Messages > 0 && o.free("org/"+org+"/free") > 0
	worst := func(output int64) (usd, tok int64) {
		list := exact(dearestFor(c.price, d.Input, d.ServiceTier, 0), Usage{Input: d.Input, Output: output * n})
		return ceil(list), (d.Input + output*n) * c.weight
	}
	var lots []*oLot
	if p.Credit {
		lots = g.inOrder()
	}
	tokens, credit := int64(0), int64(0)
	idleTokens, idleCredit := int64(0), int64(0)
	if p.Tokens > 0 {
		tokens = o.free(planOf(org, g))
		idleTokens = tokens + o.held(planOf(org, g))
	}
	for _, l := range lots {
		credit += o.free(lotOf(org, l))
		idleCredit += o.free(lotOf(org, l)) + o.held(lotOf(org, l))
	}
	rates := dearestFor(c.price, d.Input, d.ServiceTier, p.Markup)
	need := func(output, tokens int64) (covered, dollars int64) {
		u := Usage{Input: d.Input, Output: output * n}
		total := (u.Input + u.Output) * c.weight
		if total == 0 && tokens > 0 {
			return 0, 0
		}
		covered = min(total, tokens)
		return covered, part(exact(rates, u), total-covered, total)
	}
	fits := func(output, tokens, credit int64) bool {
		_, usd := need(output, tokens)
		return message || usd <= credit
	}
	allowed := func(output int64) bool {
		usd, tok := worst(output)
		capped, _ := o.capped(key, usd, tok)
		return !capped
	}
	usd, tok := worst(least)
	if capped, until := o.capped(key, usd, tok); capped && (until > 0 || fits(least, tokens, credit)) {
		o.until = until
		return nil, CodeCapReached
	}
	if !fits(least, tokens, credit) {
		if fits(least, idleTokens, idleCredit) || p.Messages > 0 && o.held("org/"+org+"/free") > 0 {
			return nil, CodeFundsHeld
		}
		return nil, CodeInsufficientFunds
	}
	// The largest cap that can be paid for: the first that cannot, less one.
	out := least - 1 + int64(sort.Search(int(most-least)+1, func(i int) bool {
		return !fits(least+int64(i), tokens, credit) || !allowed(least+int64(i))
	}))
	c.output = out * n
	c.bound, c.tokens = worst(out)
	if message {
		c.held = []oDraw{{"org/" + org + "/free", 1}}
		return c, o.hold(c)
	}
	covered, usd := need(out, tokens)
	c.free = c.weight == 0 && tokens > 0
	if covered > 0 {
		c.held = append(c.held, oDraw{planOf(org, g), covered})
	}
	for _, l := range lots {
		if take := min(usd, o.free(lotOf(org, l))); take > 0 {
			c.held = append(c.held, oDraw{lotOf(org, l), take})
			usd -= take
		}
	}
	return c, o.hold(c)
}

func (o *oracle) hold(c *oCall) Code {
	for _, d := range c.held {
		o.move(d.place, d.place+"/held", unitOf(d.place), d.amount)
	}
	return ""
}

// giveBack returns what a call holds, less what was taken, or lets it lapse where its place has closed.
func (o *oracle) giveBack(c *oCall, taken map[string]int64) {
	g := o.orgs[c.org]
	for _, d := range c.held {
		_, kind, id := cut3(d.place)
		n := d.amount - taken[d.place]
		to := d.place
		if kind == "plan" && d.place != planOf(c.org, g) {
			to = "house/expired"
		}
		for _, l := range g.lots {
			if kind == "credit" && l.id == id && l.closed {
				to = "house/expired"
			}
		}
		o.move(d.place+"/held", to, unitOf(d.place), n)
	}
}

func house(place string) string {
	if unitOf(place) == "usd" {
		return "house/revenue"
	}
	return "house/consumed"
}

// settle gives what the usage comes to at list cost and in plan tokens.
func (o *oracle) settle(c *oCall, u Usage, tier string) (usd, tok int64) {
	u = clamp(u)
	g := o.orgs[c.org]
	var list *big.Rat = new(big.Rat)
	var charged Rates
	if c.price != nil {
		r := applied(c.price, u.Input+u.CacheRead+u.CacheWrite+u.CacheWriteLong, tier)
		list, charged = exact(r, u), each5(r, 10_000+c.markup)
	}
	if c.kind == BYOK {
		o.move("house/byok", "org/"+c.org+"/byok", "usd", ceil(list))
		return ceil(list), 0
	}
	cost := exact(charged, u)
	total := (u.Input + u.CacheRead + u.CacheWrite + u.CacheWriteLong + u.Output) * c.weight
	rest, heldUSD := total, int64(0)
	taken := map[string]int64{}
	message := false
	for _, d := range c.held {
		switch unitOf(d.place) {
		case "msg":
			message, taken[d.place] = true, 1
		case "tok":
			taken[d.place] = min(d.amount, rest)
			rest -= taken[d.place]
		case "usd":
			heldUSD += d.amount
		}
	}
	owed := part(cost, rest, total)
	if message || total == 0 && c.free {
		owed = 0
	}
	p := o.plans[g.plan]
	if here := planOf(c.org, g); owed > heldUSD && rest > 0 && p.Tokens > 0 && slices.Contains(p.Lanes, c.lane) {
		extra := min(rest, o.free(here))
		o.move(here, "house/consumed", "tok", extra)
		owed = part(cost, rest-extra, total)
	}
	for _, d := range c.held {
		if unitOf(d.place) == "usd" {
			taken[d.place] = min(d.amount, owed)
			owed -= taken[d.place]
		}
	}
	for _, d := range c.held {
		o.move(d.place+"/held", house(d.place), unitOf(d.place), taken[d.place])
	}
	for _, l := range g.inOrder() {
		if p.Credit && owed > 0 {
			n := min(owed, o.free(lotOf(c.org, l)))
			o.move(lotOf(c.org, l), "house/revenue", "usd", n)
			owed -= n
		}
	}
	o.move("house/overage", "house/revenue", "usd", owed)
	o.giveBack(c, taken)
	return ceil(list), total
}

func clamp(u Usage) Usage {
	f := func(n int64) int64 { return min(max(n, 0), 1<<40) }
	return Usage{f(u.Input), f(u.CacheRead), f(u.CacheWrite), f(u.CacheWriteLong), f(u.Output), min(f(u.Reasoning), f(u.Output))}
}

func (o *oracle) absorb(c *oCall, attempts []Attempt) {
	for _, a := range attempts {
		if p := o.priceAt(a.Model, c.admitted); p != nil && a.Kind == PlatformPool && a.Outcome != Answered {
			u := clamp(a.Usage)
			o.move("house/issued", "house/absorbed", "usd", ceil(exact(applied(p, u.Input+u.CacheRead+u.CacheWrite+u.CacheWriteLong, ""), u)))
		}
	}
}
