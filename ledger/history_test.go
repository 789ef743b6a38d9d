package ledger

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestHistories plays random histories on the ledger and on the oracle at once. A run that fails prints its seed, and
// -rapid.seed plays it again.
func TestHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawn{t}
		h := newHistory(d)
		for n := 20 + d.roll(80, "commands"); n > 0; n-- {
			if err := h.step(); err != nil {
				t.Fatalf("%v\nafter\n%s", err, strings.Join(h.said, "\n"))
			}
		}
		if err := h.w.commit(); err != nil {
			t.Fatalf("%v\nafter\n%s", err, strings.Join(h.said, "\n"))
		}
	})
}

// FuzzHistory is TestHistories with its dice in the fuzzer's hand.
func FuzzHistory(f *testing.F) {
	f.Add([]byte("waybill"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d := &bytesDice{data: data}
		h := newHistory(d)
		for n := 0; n < 120 && len(d.data) > 0; n++ {
			if err := h.step(); err != nil {
				t.Fatalf("%v\nafter\n%s", err, strings.Join(h.said, "\n"))
			}
		}
		if err := h.w.commit(); err != nil {
			t.Fatalf("%v\nafter\n%s", err, strings.Join(h.said, "\n"))
		}
	})
}

// dice is where a history's choices come from.
type dice interface {
	roll(n int, what string) int // from 0 to n-1
}

type drawn struct{ t *rapid.T }

// roll is fair, where rapid's own ranges lean to their ends: a history of mostly first choices goes nowhere.
func (d drawn) roll(n int, what string) int {
	return rapid.Custom(func(t *rapid.T) int {
		v := 0
		for reach := 1; reach < 2*n; reach *= 2 {
			v *= 2
			if rapid.Bool().Draw(t, "bit") {
				v++
			}
		}
		return v % n
	}).Draw(d.t, what)
}

// bytesDice reads a byte a roll, two where one does not reach, and zeroes at the end.
type bytesDice struct{ data []byte }

func (d *bytesDice) roll(n int, _ string) int {
	v := 0
	for reach := 1; reach < n; reach <<= 8 {
		v <<= 8
		if len(d.data) > 0 {
			v |= int(d.data[0])
			d.data = d.data[1:]
		}
	}
	return v % n
}

type history struct {
	dice
	w    *world
	o    *oracle
	said []string
	made int // ids used
	left int // commands until the batch is committed
}

var (
	historyOrgs   = []string{"acme", "beta", "cyan"}
	historyPlans  = []string{"free", "small", "large", "payg"}
	historyModels = []string{"openai/a", "anthropic/b", "google/c", "openai/a", "anthropic/b"} // the third is rarer
)

func newHistory(d dice) *history {
	h := &history{dice: d, w: newWorld(), o: newOracle()}
	h.w.now = instant("2026-01-31T10:00")
	for _, p := range historyPlans {
		h.must(DefinePlan{operator, h.plan(p)})
	}
	for i, m := range historyModels[:3] {
		provider, id, _ := strings.Cut(m, "/")
		h.must(PublishModel{operator, Model{Name: m, Provider: provider, ID: id, Context: 1 << 20, MaxOutput: []int64{0, 900, 4000}[i]}})
		h.must(AttachCredential{Who: operator, Org: Platform, Credential: "pool-" + provider, Provider: provider, Fingerprint: "f", Use: UsePrefer})
	}
	for _, m := range historyModels[:2] { // the third has no price, until one is published
		h.must(PublishPrice{operator, h.price(m, instant("2026-01-01"))})
	}
	for _, org := range historyOrgs[:2] { // the third may come later
		h.must(OpenOrg{operator, org, h.pick(historyPlans[1:], "plan")})
		h.must(AttachCredential{Who: operator, Org: org, Credential: h.own(org), Provider: "openai", Fingerprint: "f", Use: UsePrefer})
		h.must(IssueKey{Who: operator, Org: org, Key: org + "-k0", Hash: secret(org), Scopes: []Scope{ScopeInference}, Caps: h.caps()})
	}
	return h
}

func (h *history) must(c Command) {
	if err := h.play(c); err != nil {
		panic(err)
	}
}

func (h *history) pick(from []string, what string) string { return from[h.roll(len(from), what)] }

// fresh is a new id.
func (h *history) fresh(prefix string) string {
	h.made++
	return prefix + itoa(h.made)
}

// lot picks one of an org's lots, or one that is not there.
func (h *history) lot(org string) string {
	o := h.w.folded.Org(org)
	if o == nil || len(o.Lots) == 0 || h.roll(20, "no lot") == 0 {
		return "nothing"
	}
	return o.Lots[h.roll(len(o.Lots), "lot")].ID
}

// play has a command decided by both ledgers.
func (h *history) play(c Command) error {
	h.said = append(h.said, fmt.Sprintf("%s %T%+v", h.w.now, c, c))
	h.o.clock = h.w.now
	code := h.o.do(c)
	recs, refused, broken := h.w.decide(c)
	if broken != nil {
		return broken
	}
	var got *Error
	errors.As(refused, &got)
	switch c.(type) {
	case AttachCredential, DetachCredential, RotateCredential, IssueKey, RotateKey, RevokeKey, LimitKey:
		h.follow(recs)
	default:
		if (got == nil) != (code == "") || got != nil && got.Code != code {
			return fmt.Errorf("refused with %v, and by the oracle with %q", refused, code)
		}
		if code == CodeCapReached && got.Until != h.o.until {
			return fmt.Errorf("capped until %s, and by the oracle until %s", got.Until, h.o.until)
		}
	}
	if h.left--; h.left <= 0 {
		if err := h.w.commit(); err != nil {
			return err
		}
		h.left = h.roll(3, "batch")
	}
	return h.agree()
}

// follow tells the oracle of events that it does not decide.
func (h *history) follow(recs []Record) {
	for _, r := range recs {
		h.o.last = r.At
		switch e := r.Event.(type) {
		case *CredentialAttached:
			h.o.owner[e.Credential] = r.Stream
		case *CredentialDetached:
			delete(h.o.owner, e.Credential)
		case *KeyIssued:
			h.o.issue(r.Stream, e.Key, e.Caps)
		case *KeyLimited:
			h.o.limit(e.Key, e.Caps)
		case *KeyRevoked:
			h.o.keys[e.Key].revoked = true
		}
	}
}

// agree compares every balance, and the time.
func (h *history) agree() error {
	if n := len(h.w.log); n > 0 && h.w.log[n-1].At != h.o.last {
		return fmt.Errorf("the last event is at %s, and the oracle's at %s", h.w.log[n-1].At, h.o.last)
	}
	seen := map[string]bool{}
	for k, n := range h.w.sums {
		name := k.Account.String() + " " + string(k.Unit)
		seen[name] = true
		if h.o.bal[name] != n {
			return fmt.Errorf("%s is %d, and by the oracle %d", name, n, h.o.bal[name])
		}
	}
	for name, n := range h.o.bal {
		if n != 0 && !seen[name] {
			return fmt.Errorf("%s is nothing, and by the oracle %d", name, n)
		}
	}
	if got := h.w.folded.Epoch(); got != max(h.o.epoch, 1) {
		return fmt.Errorf("the epoch is %d, and by the oracle %d", got, h.o.epoch)
	}
	for id, o := range h.o.orgs {
		if o.erased != (h.w.folded.Org(id).State() == "erased") {
			return fmt.Errorf("org %s is %s, and by the oracle erased: %t", id, h.w.folded.Org(id).State(), o.erased)
		}
	}
	if key, got, want := h.o.sameStandings(h.w.folded, max(h.w.now, h.o.last)); key != "" {
		return fmt.Errorf("the caps of %s stand at %+v, and by the oracle at %+v", key, got, want)
	}
	return nil
}

func (h *history) step() error {
	switch h.roll(29, "command") {
	case 0, 1:
		h.w.now += []Instant{1, 2, 1e9, 3600e9, 86400e9, 9 * 86400e9, 33 * 86400e9, -3600e9, 70 * 86400e9}[h.roll(9, "step")]
		return h.play(Mature{h.pick(historyOrgs, "org")})
	case 2:
		return h.play(OpenOrg{operator, h.pick(historyOrgs, "org"), h.pick(historyPlans, "plan")}) // most often one that is open
	case 3:
		return h.play(SubscribePlan{operator, h.pick(historyOrgs, "org"), h.pick(historyPlans, "plan")})
	case 4:
		return h.standing()
	case 5, 6, 7:
		return h.credit()
	case 8:
		return h.catalogue()
	case 9:
		for range 4 {
			if err := h.access(); err != nil {
				return err
			}
		}
		return nil
	case 10, 11, 12, 13, 14, 24, 25, 26, 27:
		org := h.pick(historyOrgs, "org")
		key := ""
		if h.roll(3, "by key") > 0 {
			key = org + "-k" + itoa(h.roll(2, "key"))
		}
		return h.play(Admit{Who: operator, Org: org, Key: key, Request: h.fresh("r"),
			Lane: []Lane{LaneAuto, LaneManual}[h.roll(2, "lane")], Demand: h.demand(org)})
	case 15, 16:
		org, request := h.open()
		return h.play(Extend{operator, org, request, h.demand(org)})
	case 17:
		org, request := h.open()
		return h.play(Void{operator, org, request, Resolution{Attempts: h.attempts()}})
	case 18:
		org, request := h.open()
		return h.play(Interrupt{org, request, []Rule{RuleVoid, RuleCaptureHeld}[h.roll(2, "rule")]})
	case 28:
		return h.node()
	default:
		return h.settle()
	}
}

// node is what happens to the node, and now and then the end of an org.
func (h *history) node() error {
	switch h.roll(8, "node") {
	case 0, 1:
		return h.play(EraseOrg{operator, h.pick(historyOrgs, "org")}) // most often one with open calls
	case 2, 3:
		return h.play(RestoreLog{operator, uint64(len(h.w.log) - h.roll(3, "from")), uint64(h.roll(100, "known")), uint64(h.roll(4, "epoch"))})
	case 4, 5:
		return h.play(RotateVault{operator, "key-" + itoa(h.roll(3, "master")), uint64(h.roll(3, "rewrapped")), uint64(h.roll(3, "sealed"))})
	default:
		return h.play(CompleteDrill{operator, Drill{Position: uint64(len(h.w.log)), OK: h.roll(2, "ok") > 0,
			Failure: h.pick([]string{"", "unreachable"}, "failure"), Behind: uint64(h.roll(2, "behind")), Duration: int64(h.roll(9, "duration"))}})
	}
}

func (h *history) standing() error {
	org := h.pick(historyOrgs, "org")
	if o := h.w.folded.Org(org); o != nil && o.Suspended {
		return h.play(ResumeOrg{operator, org})
	}
	switch h.roll(6, "standing") {
	case 0:
		return h.play(SuspendOrg{operator, org, "unpaid"})
	case 1:
		return h.play(ResumeOrg{operator, org})
	default:
		return h.play(CancelPlan{operator, org})
	}
}

func (h *history) credit() error {
	org := h.pick(historyOrgs, "org")
	var expires Instant
	if h.roll(2, "expires") > 0 {
		expires = h.w.now + []Instant{1, 2, 3, 86400e9, 5 * 86400e9, -1}[h.roll(6, "expiry")]
	}
	amount := Nano(1+h.roll(200, "amount")) * 400_003
	switch h.roll(7, "credit") {
	case 0, 1, 2:
		id := h.fresh("l")
		if h.roll(20, "again") == 0 {
			id = h.lot(org)
		}
		return h.play(PurchaseCredit{Who: operator, Org: org, Lot: id, Amount: amount, Reference: "p-" + id, Expires: expires})
	case 3, 4:
		return h.play(GrantCredit{operator, org, h.fresh("l"), amount, h.roll(3, "priority") - 1, expires})
	case 5:
		return h.play(AdjustCredit{operator, org, h.lot(org), amount - 40_000_000, "correction"})
	default:
		c := RefundCredit{Who: operator, Org: org, Lot: h.lot(org), Chargeback: h.roll(2, "chargeback") > 0, Reference: "re"}
		if h.roll(2, "part") > 0 {
			c.Amount = amount / 2
		}
		return h.play(c)
	}
}

func (h *history) plan(id string) Plan {
	p := Plan{ID: id, Lanes: []Lane{LaneAuto, LaneManual}, Credit: true, Output: int64([]int{0, 50, 700}[h.roll(3, "default")]),
		Markup: int64([]int{0, 0, 1, 2500}[h.roll(4, "markup")])}
	switch id {
	case "free":
		p = Plan{ID: id, Messages: 3, Lanes: []Lane{LaneAuto}, MaxInput: 1200, MaxOutput: 800}
	case "small":
		p.Tokens, p.Lanes = int64(1000+h.roll(3000, "tokens")), p.Lanes[:1+h.roll(2, "lanes")]
	case "large":
		p.Tokens = int64(3000 + h.roll(8000, "tokens"))
	}
	if w := h.roll(5, "weight"); w != 1 {
		p.Weights = map[string]int64{historyModels[1]: int64(w)}
	}
	return p
}

func (h *history) price(model string, from Instant) Price {
	rate := func(what string) Rate {
		return Rate(h.roll(60, what)) * 333_333_331 // from nothing to 20 dollars, never round
	}
	p := Price{ID: h.fresh("price-"), Model: model, From: from, ServiceTiers: map[string]int64{"flex": 5000, "priority": 20_001}}
	for above := int64(0); above <= int64(500*h.roll(3, "tiers")); above += 500 {
		p.Tiers = append(p.Tiers, Tier{Above: above, Rates: Rates{rate("input"), rate("read"), rate("write"), rate("long"), rate("output")}})
	}
	return p
}

func (h *history) catalogue() error {
	switch h.roll(4, "catalogue") {
	case 0:
		return h.play(DefinePlan{operator, h.plan(h.pick(historyPlans, "plan"))})
	case 1:
		rows := h.w.folded.Prices()
		return h.play(WithdrawPrice{operator, rows[h.roll(len(rows), "price")].ID})
	default:
		p := h.price(h.pick(historyModels, "model"), h.w.now+[]Instant{0, 0, 1, 86400e9, -86400e9}[h.roll(5, "from")])
		if h.roll(3, "ends") == 0 {
			p.To = p.From + []Instant{1, 3600e9, 40 * 86400e9}[h.roll(3, "to")]
		}
		return h.play(PublishPrice{operator, p})
	}
}

// access attaches, detaches and rotates, so that the rows and indexes have all kinds of history.
func (h *history) access() error {
	org := h.pick(historyOrgs, "org")
	key, credential := org+"-k"+itoa(h.roll(2, "key")), h.own(org)
	h.made++
	hash := secret(itoa(h.made))
	switch h.roll(8, "access") {
	case 0:
		return h.play(IssueKey{Who: operator, Org: org, Key: key, Hash: hash, Scopes: []Scope{ScopeInference}, Caps: h.caps()})
	case 1:
		return h.play(LimitKey{Who: operator, Org: org, Key: key, Scopes: []Scope{ScopeInference}, Caps: h.caps()})
	case 2:
		return h.play(RotateKey{operator, org, key, hash, h.w.now + Instant(h.roll(2, "overlap"))})
	case 3:
		if h.roll(4, "revoke") > 0 {
			return nil
		}
		return h.play(RevokeKey{operator, org, key})
	case 4:
		return h.play(DetachCredential{operator, org, credential})
	case 5:
		return h.play(RotateCredential{operator, org, credential, "g"})
	default:
		return h.play(AttachCredential{Who: operator, Org: org, Credential: credential, Provider: "openai", Fingerprint: "f",
			Use: []Use{UseOnly, UsePrefer, UseFallback}[h.roll(3, "use")], Order: h.roll(3, "order")})
	}
}

// caps are none, one or several, of sizes that a few calls use up.
func (h *history) caps() (caps []Cap) {
	for _, u := range []Unit{USD, Tok} {
		for _, w := range []Window{WindowDay, WindowMonth, WindowLifetime} {
			if h.roll(4, "capped") > 0 {
				continue
			}
			c := Cap{u, int64(1+h.roll(30, "amount")) * 3_000_001, w}
			if u == Tok {
				c.Amount = int64(1+h.roll(30, "amount")) * 301
			}
			caps = append(caps, c)
		}
	}
	return caps
}

// own is a credential that the org may have, of its own.
func (h *history) own(org string) string { return org + "-own" + itoa(h.roll(2, "credential")) }

func (h *history) demand(org string) Demand {
	model := h.pick(historyModels, "model")
	provider, _, _ := strings.Cut(model, "/")
	d := Demand{Choice: Choice{Model: model, Credential: "pool-" + provider, Kind: PlatformPool}, Input: int64(1 + h.roll(1000, "input")),
		Answers: int64(h.roll(4, "answers")), ServiceTier: h.pick([]string{"", "flex", "priority", "other"}, "tier")}
	if h.roll(2, "cap") > 0 {
		d.Output = int64(1 + h.roll(400, "output"))
	} else {
		d.Floor = int64(h.roll(300, "floor"))
	}
	if h.roll(6, "own") == 0 {
		d.Credential, d.Kind = h.own(org), BYOK
	}
	return d
}

// open picks an open request and its org, or now and then one that is not.
func (h *history) open() (org, request string) {
	requests := slices.Sorted(maps.Keys(h.w.open))
	if len(requests) == 0 || h.roll(12, "wrong") == 0 {
		return h.pick(historyOrgs, "org"), "r" + itoa(h.roll(h.made+1, "request"))
	}
	request = h.pick(requests, "request")
	return h.w.folded.Hold(request).Org, request
}

func (h *history) attempts() []Attempt {
	if h.roll(6, "discarded") > 0 {
		return nil
	}
	return []Attempt{{N: 1, Choice: Choice{h.pick(historyModels, "model"), "pool", []CredentialKind{PlatformPool, BYOK}[h.roll(2, "kind")]},
		Outcome: []Outcome{Failed, Answered}[h.roll(2, "outcome")], Usage: Usage{Input: int64(h.roll(900, "input")), Output: 40}}}
}

// settle resolves a request by a usage within its bounds, in all classes, or beyond them. Within, the hold pays.
func (h *history) settle() error {
	org, request := h.open()
	c := Settle{Who: operator, Org: org, Request: request, Source: UsageProvider, Resolution: Resolution{Attempts: h.attempts()}}
	hold := h.w.folded.Hold(request)
	within := hold != nil && h.roll(3, "within") > 0
	if within {
		c.Usage = h.usageWithin(hold.Leg)
		c.ServiceTier = h.pick([]string{hold.Leg.ServiceTier, "", "flex"}, "tier")
	} else {
		c.Usage = Usage{Input: int64(h.roll(4000, "input")) - 50, CacheRead: int64(h.roll(400, "read")), Output: int64(h.roll(4000, "output")) - 50}
		c.ServiceTier = h.pick([]string{"", "flex", "priority", "other"}, "tier")
	}
	before := len(h.w.log)
	if err := h.play(c); err != nil {
		return err
	}
	for _, r := range h.w.log[before:] {
		if e, ok := r.Event.(*RequestSettled); ok && within {
			if err := covered(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func (h *history) usageWithin(leg Leg) Usage {
	upTo := func(n int64, what string) int64 {
		switch h.roll(3, what+" all") {
		case 0:
			return n
		default:
			return int64(h.roll(int(n)+1, what))
		}
	}
	var u Usage
	input := upTo(leg.Input, "input")
	for _, class := range []*int64{&u.CacheWriteLong, &u.CacheWrite, &u.CacheRead} {
		if h.roll(2, "class") > 0 {
			*class = upTo(input, "share")
			input -= *class
		}
	}
	u.Input = input
	u.Output = upTo(leg.Output*leg.Answers, "output")
	return u
}

// covered checks that a settlement took from nothing but its hold.
func covered(e *RequestSettled) error {
	if e.Overage != 0 {
		return fmt.Errorf("usage within the bounds has an overage of %s: %+v", e.Overage, e)
	}
	for _, d := range e.Draws {
		i := slices.IndexFunc(e.Held, func(h Draw) bool { return h.Unit == d.Unit && h.ID == d.ID })
		if i < 0 || e.Held[i].Amount < d.Amount {
			return fmt.Errorf("usage within the bounds drew %d %s of %s beyond its hold: %+v", d.Amount, d.Unit, d.ID, e)
		}
	}
	return nil
}
