package ledger

// Standing is what an org has: its allowance, its free messages and its credit. The same function computes it from the
// live state and from one that was folded up to an earlier event, so that an answer about the past is found in the same way as
// one about now.
type Standing struct {
	Org      string
	Position uint64  // of the log, up to which it holds
	At       Instant // of that position
	Plan     PlanStanding
	Free     FreeStanding
	Credit   Nano // of open lots, what nobody holds
	Held     Nano // of all lots, what open requests hold
	Lots     []LotStanding
}

// PlanStanding is the allowance of the period that runs, in plan tokens.
type PlanStanding struct {
	Plan     string
	Next     string // the plan that waits for the period's end, if one does
	Period   string
	Tokens   int64 // left, and held by nobody
	Held     int64
	Granted  int64
	ResetsAt Instant // none on a plan without an allowance
}

// FreeStanding is an org's free messages.
type FreeStanding struct {
	Messages int64 // left, and held by nobody
	Held     int64
}

// LotStanding is one lot and what is left of it.
type LotStanding struct {
	Lot
	Left Nano // held by nobody; of a closed lot it can no longer be spent
	Held Nano
}

// Standing gives what an org has, and false if there is no such org.
func (s *State) Standing(org string) (Standing, bool) {
	o := s.orgs[org]
	if o == nil {
		return Standing{}, false
	}
	left := func(w Draw) int64 { return s.Balance(w.of(org), w.Unit) }
	held := func(w Draw) int64 { return s.Balance(w.of(org).held(), w.Unit) }
	allowance, messages := Draw{Unit: Tok, ID: o.Period.ID}, Draw{Unit: Msg}
	st := Standing{Org: org, Position: s.head, At: s.at,
		Plan: PlanStanding{Plan: o.Plan, Next: o.Next, Period: o.Period.ID, Tokens: left(allowance), Held: held(allowance),
			Granted: o.Period.Tokens, ResetsAt: o.Period.End},
		Free: FreeStanding{Messages: left(messages), Held: held(messages)},
		Lots: make([]LotStanding, 0, len(o.Lots)),
	}
	for _, l := range o.Lots {
		w := Draw{Unit: USD, ID: l.ID}
		n := LotStanding{Lot: l, Left: Nano(left(w)), Held: Nano(held(w))}
		if !l.Closed {
			st.Credit += n.Left
		}
		st.Held += n.Held
		st.Lots = append(st.Lots, n)
	}
	return st, true
}
