package ledger

import (
	"fmt"
	"slices"
	"time"
)

// Window is the time over which a cap adds up, in UTC.
type Window string

// The windows.
const (
	WindowDay      Window = "day"      // a calendar day
	WindowMonth    Window = "month"    // a calendar month
	WindowLifetime Window = "lifetime" // from when the cap was set
)

// begins is when the window of an instant began. A lifetime has no other before it, and so no beginning: 0.
func (w Window) begins(at Instant) Instant {
	switch w {
	case WindowDay:
		return at - (at%day+day)%day
	case WindowMonth:
		t := at.Time()
		return InstantOf(time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC))
	}
	return 0
}

// ends is when the window of an instant ends and the next begins, Never of a lifetime.
func (w Window) ends(at Instant) Instant {
	switch w {
	case WindowDay:
		return w.begins(at) + day
	case WindowMonth:
		t := at.Time()
		return InstantOf(time.Date(t.Year(), t.Month()+1, 1, 0, 0, 0, 0, time.UTC))
	}
	return Never
}

const day = Instant(24 * time.Hour)

// Cap bounds what a key may spend of platform capacity in a window, whoever pays: plan, free messages or credit. It counts
// what was settled and what is held, at list cost or in plan tokens. The org's own credentials are outside of it.
type Cap struct {
	Unit   Unit   `json:"unit"`   // usd or tok
	Amount int64  `json:"amount"` // nano-dollars at list cost, or tokens times the plan's weight of their model
	Window Window `json:"window"`
}

// maxCap bounds a cap, and maxCount what is counted against one: no sum of the two overflows.
const (
	maxCap   = 1 << 55 // 36 million dollars
	maxCount = 1 << 61
)

func validCaps(caps []Cap) error {
	for i, c := range caps {
		switch {
		case c.Unit != USD && c.Unit != Tok:
			return refuse(CodeInvalid, "a cap in %q: it is in usd or tok", c.Unit)
		case c.Window != WindowDay && c.Window != WindowMonth && c.Window != WindowLifetime:
			return refuse(CodeInvalid, "a cap by the %q: its window is day, month or lifetime", c.Window)
		case c.Amount <= 0 || c.Amount > maxCap:
			return refuse(CodeInvalid, "a cap of %s: it is more than 0 and at most %s", c.amount(c.Amount), c.amount(maxCap))
		case slices.ContainsFunc(caps[:i], func(o Cap) bool { return o.Unit == c.Unit && o.Window == c.Window }):
			return refuse(CodeInvalid, "two caps in %s by the %s: a key has one of a kind", c.Unit, c.Window)
		}
	}
	return nil
}

// amount is so much in the cap's unit, as people say it.
func (c Cap) amount(n int64) string {
	if c.Unit == USD {
		return Nano(n).String() + " dollars"
	}
	return fmt.Sprintf("%d plan tokens", n)
}

// words is the cap as people say it.
func (c Cap) words() string {
	over := "a " + string(c.Window)
	if c.Window == WindowLifetime {
		over = "in its lifetime"
	}
	return c.amount(c.Amount) + " " + over
}

// Spend is what the caps of a key have counted. A key without caps has none.
type Spend struct {
	Key    string  `json:"key"`
	Counts []Count `json:"counts"` // one of each cap of the key, in their order
}

// Count is what one cap has counted in its latest window. Counting begins with the event that sets the cap: what was
// settled before is not in it, what was open then is. A cap that only changes its amount counts on.
type Count struct {
	Cap
	Since   Instant `json:"since,omitzero"` // when the window began
	Settled int64   `json:"settled,omitzero"`
	Held    int64   `json:"held,omitzero"` // by open requests whose latest leg was admitted in the window
}

// at is what counts at an instant: nothing, if the window is over by then.
func (c *Count) at(now Instant) (settled, held int64) {
	if c.Window.begins(now) != c.Since {
		return 0, 0
	}
	return c.Settled, c.Held
}

// has tells whether what a request holds is in the count.
func (c *Count) has(h *Hold) bool { return h != nil && c.Window.begins(h.since()) == c.Since }

func counted(n, more int64) int64 { return min(n+min(more, maxCount), maxCount) }

// counted is what a leg may come to at the most, as a cap in a unit counts it.
func (l *Leg) counted(u Unit) int64 {
	switch {
	case l.Kind == BYOK:
		return 0
	case u == USD:
		return int64(l.Bound)
	}
	return l.worst(l.Output).Total() * l.Weight
}

// outlay is what one event changes in what a key's caps have counted.
type outlay struct {
	ended    *Hold // no longer holds its leg
	usd, tok int64 // was settled of it
	began    *Leg  // holds from now on
}

// spend has the caps of a key count an outlay.
func (d *Draft) spend(r *Record, key string, o outlay) {
	s, ok := d.spends.get(key)
	if !ok || (o.ended == nil || o.ended.Leg.Kind == BYOK) && (o.began == nil || o.began.Kind == BYOK) {
		return
	}
	n := &Spend{Key: key, Counts: slices.Clone(s.Counts)}
	for i := range n.Counts {
		n.Counts[i].add(o, r.At)
	}
	if !slices.Equal(n.Counts, s.Counts) {
		d.spends.set(key, n)
		d.touch(r, "spend", key)
	}
}

// add counts an outlay. What ends counts in the window of its admission, if that is the latest; what begins opens its own.
func (c *Count) add(o outlay, at Instant) {
	if c.has(o.ended) {
		settled := o.tok
		if c.Unit == USD {
			settled = o.usd
		}
		c.Held = max(0, c.Held-o.ended.Leg.counted(c.Unit))
		c.Settled = counted(c.Settled, settled)
	}
	if o.began == nil || o.began.Kind == BYOK {
		return
	}
	if since := c.Window.begins(at); since != c.Since {
		c.Since, c.Settled, c.Held = since, 0, 0
	}
	c.Held = counted(c.Held, o.began.counted(c.Unit))
}

// setCaps has the caps of a key count from now on, and those that it had before count on.
func (d *Draft) setCaps(r *Record, key string, caps []Cap) {
	old, capped := d.spends.get(key)
	if len(caps) == 0 {
		if capped {
			d.spends.delete(key)
			d.touch(r, "spend", key)
		}
		return
	}
	s := &Spend{Key: key, Counts: make([]Count, len(caps))}
	for i, c := range caps {
		n := &s.Counts[i]
		n.Cap, n.Since = c, c.Window.begins(r.At)
		if capped {
			for _, o := range old.Counts {
				if o.Unit == n.Unit && o.Window == n.Window && o.Since == n.Since {
					n.Settled = o.Settled
				}
			}
		}
	}
	for h := range d.holds.values() {
		for i := range s.Counts {
			if n := &s.Counts[i]; h.Key == key && n.has(h) {
				n.Held = counted(n.Held, h.Leg.counted(n.Unit))
			}
		}
	}
	d.spends.set(key, s)
	d.touch(r, "spend", key)
}

// room is what the caps of a key leave, in each unit; less than nothing where usage went beyond its bound.
type room struct{ usd, tok int64 }

// boundless is the room of a key without caps.
var boundless = room{maxCount, maxCount}

// room is what the caps leave now, and what they would if no other call than that of a hold held anything.
func (s *Spend) room(own *Hold, at Instant) (now, idle room) {
	now, idle = boundless, boundless
	for i := range s.Counts {
		c := &s.Counts[i]
		settled, held := c.at(at)
		if c.has(own) {
			held = max(0, held-own.Leg.counted(c.Unit))
		}
		now.narrow(c.Unit, c.Amount-settled-held)
		idle.narrow(c.Unit, c.Amount-settled)
	}
	return now, idle
}

func (m *room) narrow(u Unit, left int64) {
	if u == USD {
		m.usd = min(m.usd, left)
	} else {
		m.tok = min(m.tok, left)
	}
}

// takes tells whether so much finds room. What a cap does not count always does.
func (m room) takes(usd, tok int64) bool {
	return (usd == 0 || usd <= m.usd) && (tok == 0 || tok <= m.tok)
}

// reached is the refusal of a call that may come to so much. Until is when the last of the caps that are used up is no longer,
// and 0 if only other calls' holds stand in the way.
func (s *Spend) reached(usd, tok int64, at Instant) error {
	var until Instant
	var of, held *Count // the cap that is used up for the longest; and of those that open calls hold, the one with the latest end: one at least is short
	for i := range s.Counts {
		c := &s.Counts[i]
		need := tok
		if c.Unit == USD {
			need = usd
		}
		settled, open := c.at(at)
		switch left := c.Amount - settled; {
		case need == 0 || need <= left-open:
			continue
		case need <= left:
			if held == nil || c.Window.ends(at) > held.Window.ends(at) {
				held = c
			}
			continue
		}
		ends := c.Window.ends(at)
		if need > c.Amount {
			ends = Never
		}
		if ends > until {
			until, of = ends, c
		}
	}
	if of == nil {
		of = held
	}
	err := of.refusal(usd, tok, until, at)
	err.Until = until
	if ends := of.Window.ends(at); ends != Never {
		err.Resets = ends
	}
	return err
}

// refusal says what is left of the cap and until when, what the call would hold of it, and what helps.
func (c *Count) refusal(usd, tok int64, until, at Instant) *Error {
	need := tok
	if c.Unit == USD {
		need = usd
	}
	settled, open := c.at(at)
	left := c.amount(max(0, c.Amount-settled-open)) + " are left"
	if ends := c.Window.ends(at); ends != Never {
		left += " until " + ends.String()
	}
	var helps string
	switch {
	case until == 0:
		helps = fmt.Sprintf("open calls of the key hold %s: try again when one has ended", c.amount(open))
	case until == Never && c.Window != WindowLifetime:
		helps = "that is more than the cap: lower the call's output cap, or call on a credential of your own"
	case until == Never:
		helps = "raise the cap, or call on a credential of your own"
	default:
		helps = "wait until then, raise the cap, or call on a credential of your own"
	}
	return refuse(CodeCapReached, "the key may spend %s on platform capacity, of which %s, and the call would hold at least %s; %s", c.words(), left, c.amount(need), helps)
}

// CapStanding is one cap of a key, and how far it is used up.
type CapStanding struct {
	Cap
	Settled  int64   // in the window that runs; as Cap.Amount
	Held     int64   // likewise, by open requests
	Left     int64   // never below nothing
	ResetsAt Instant // none of a lifetime
}

// Spending gives how far the caps of a key are used up at an instant, in the order of the key's; none of a key without.
func (s *State) Spending(key string, at Instant) []CapStanding {
	spend := s.spends[key]
	if spend == nil {
		return nil
	}
	out := make([]CapStanding, len(spend.Counts))
	for i := range spend.Counts {
		c := &spend.Counts[i]
		n := CapStanding{Cap: c.Cap}
		n.Settled, n.Held = c.at(at)
		n.Left = max(0, c.Amount-n.Settled-n.Held)
		if ends := c.Window.ends(at); ends != Never {
			n.ResetsAt = ends
		}
		out[i] = n
	}
	return out
}
