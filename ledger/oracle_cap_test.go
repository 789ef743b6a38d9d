package ledger

import (
	"slices"
	"time"
)

// The oracle's caps: it keeps no count, and adds up all that a key ever settled and now holds whenever it is asked.

type oKey struct {
	org     string
	revoked bool
	caps    []oCap
}

type oCap struct {
	Cap
	from int // settlements before it was set
}

// oSpent is what a settlement came to.
type oSpent struct {
	key      string
	at       Instant // when its leg was admitted
	usd, tok int64
}

// issue and limit tell the oracle of a key as an event has it.
func (o *oracle) issue(org, key string, caps []Cap) {
	o.keys[key] = &oKey{org: org}
	o.limit(key, caps)
}

func (o *oracle) limit(key string, caps []Cap) {
	k := o.keys[key]
	var now []oCap
	for _, c := range caps {
		n := oCap{c, len(o.spent)}
		for _, was := range k.caps {
			if was.Unit == c.Unit && was.Window == c.Window {
				n.from = was.from
			}
		}
		now = append(now, n)
	}
	k.caps = now
}

// window is a name for the window of an instant, and when it ends.
func window(w Window, at Instant) (string, time.Time) {
	t := at.Time()
	switch w {
	case "day":
		return t.Format("2006-01-02"), time.Date(t.Year(), t.Month(), t.Day()+1, 0, 0, 0, 0, time.UTC)
	case "month":
		return t.Format("2006-01"), time.Date(t.Year(), t.Month()+1, 1, 0, 0, 0, 0, time.UTC)
	}
	return "", Never.Time()
}

// spending is what a cap counts at an instant.
func (o *oracle) spending(key string, c oCap, at Instant) (settled, held int64) {
	now, _ := window(c.Window, at)
	pick := func(usd, tok int64) int64 {
		if c.Unit == "usd" {
			return usd
		}
		return tok
	}
	for _, s := range o.spent[c.from:] {
		if name, _ := window(c.Window, s.at); s.key == key && name == now {
			settled += pick(s.usd, s.tok)
		}
	}
	for _, call := range o.calls {
		if name, _ := window(c.Window, call.leg); call.key == key && name == now && call.kind == PlatformPool {
			held += pick(call.bound, call.tokens)
		}
	}
	return settled, held
}

// capped tells whether a key's caps leave no room for so much, and until when that is so: 0 if only until other calls end.
func (o *oracle) capped(key string, usd, tok int64) (capped bool, until Instant) {
	k := o.keys[key]
	if k == nil {
		return false, 0
	}
	at := max(o.clock, o.last+1)
	for _, c := range k.caps {
		need := tok
		if c.Unit == "usd" {
			need = usd
		}
		settled, held := o.spending(key, c, at)
		if need == 0 || settled+held+need <= c.Amount {
			continue
		}
		capped = true
		if settled+need > c.Amount {
			_, ends := window(c.Window, at)
			if need > c.Amount {
				ends = Never.Time()
			}
			until = max(until, Instant(ends.UnixNano()))
		}
	}
	return capped, until
}

// callable tells why a key opens no call of an org's.
func (o *oracle) callable(org, key string) Code {
	if k := o.keys[key]; key != "" && (k == nil || k.org != org || k.revoked) {
		return CodeUnknownKey
	}
	return ""
}

// resolve ends a call, of which so much was settled.
func (o *oracle) resolve(request string, usd, tok int64) {
	call := o.calls[request]
	delete(o.calls, request)
	if call.kind == PlatformPool && call.key != "" {
		o.spent = append(o.spent, oSpent{call.key, call.leg, usd, tok})
	}
}

// standings is the caps of a key as a state should tell them.
func (o *oracle) standings(key string, at Instant) []CapStanding {
	var out []CapStanding
	for _, c := range o.keys[key].caps {
		s := CapStanding{Cap: c.Cap}
		s.Settled, s.Held = o.spending(key, c, at)
		s.Left = max(0, c.Amount-s.Settled-s.Held)
		if c.Window != "lifetime" {
			_, ends := window(c.Window, at)
			s.ResetsAt = InstantOf(ends)
		}
		out = append(out, s)
	}
	return out
}

// sameStandings compares the caps of every key with what a state tells of them.
func (o *oracle) sameStandings(s *State, at Instant) (key string, got, want []CapStanding) {
	for key := range o.keys {
		got, want := s.Spending(key, at), o.standings(key, at)
		if !slices.Equal(got, want) {
			return key, got, want
		}
	}
	return "", nil, nil
}
