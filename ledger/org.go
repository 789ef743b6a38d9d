package ledger

import (
	"slices"
	"strconv"
)

// Org is who pays: one stream of events, one consistency boundary. What it owns in value stands in its accounts;
// what it is called stands in a side table, outside the log.
type Org struct {
	ID          string  `json:"org"`
	Opened      Instant `json:"opened"`
	Suspended   bool    `json:"suspended,omitzero"`
	Erased      Instant `json:"erased,omitzero"` // for good: its stream has ended
	Plan        string  `json:"plan"`
	Next        string  `json:"next,omitzero"` // the plan that waits for the period's end
	Period      Period  `json:"period"`
	FreeGranted bool    `json:"free_granted,omitzero"`
	Lots        []Lot   `json:"lots,omitempty"` // in the order of use, closed and spent ones included
}

// State is the org's state in a word.
func (o *Org) State() string {
	switch {
	case o.Erased != 0:
		return "erased"
	case o.Suspended:
		return "suspended"
	}
	return "active"
}

// Due is when the next period or expiry of the org falls, 0 if none will.
func (o *Org) Due() Instant {
	if o.Erased != 0 {
		return 0
	}
	due := o.Period.End
	for _, l := range o.Lots {
		if !l.Closed && l.Expires != 0 && (due == 0 || l.Expires < due) {
			due = l.Expires
		}
	}
	return due
}

// OpenOrg opens an org on a plan.
type OpenOrg struct {
	Who  By
	Org  string
	Plan string
}

// SuspendOrg stops an org's calls; its money stays as it is.
type SuspendOrg struct {
	Who    By
	Org    string
	Reason string // a word: abuse, unpaid, chargeback, requested
}

// ResumeOrg lets a suspended org call again.
type ResumeOrg struct {
	Who By
	Org string
}

// Mature brings an org up to date: it opens the period and expires the lots that fell due. Every other command on the
// org does so by itself; this one is the timer's.
type Mature struct {
	Org string
}

// OrgOpened is org.opened.
type OrgOpened struct{}

// OrgSuspended is org.suspended.
type OrgSuspended struct {
	Reason string `json:"reason"`
}

// OrgResumed is org.resumed.
type OrgResumed struct{}

func (c OpenOrg) Stream() string { return c.Org }
func (c OpenOrg) By() By         { return c.Who }
func (c OpenOrg) Once() []Cause  { return c.Who.once(Platform) }
func (c OpenOrg) decide(d *Draft, at Instant) ([]Event, error) {
	if !validID(c.Org) || c.Org == Platform {
		return nil, refuse(CodeInvalid, "org id %q: lower-case letters, digits, dashes and underscores only", c.Org)
	}
	if d.org(c.Org) != nil {
		return nil, refuse(CodeConflict, "org %s exists already", c.Org)
	}
	p := d.plan(c.Plan)
	if p == nil {
		return nil, refuse(CodeNotFound, "plan %q is not defined: see GET /api/v1/plans", c.Plan)
	}
	return []Event{&OrgOpened{}, &PlanSubscribed{Plan: c.Plan}, d.period(&Org{ID: c.Org}, p, at+2, 0)}, nil
}

func (c SuspendOrg) Stream() string { return c.Org }
func (c SuspendOrg) By() By         { return c.Who }
func (c SuspendOrg) Once() []Cause  { return c.Who.once(c.Org) }
func (c SuspendOrg) decide(d *Draft, _ Instant) ([]Event, error) {
	o, err := d.openOrg(c.Org)
	if err != nil {
		return nil, err
	}
	if o.Suspended {
		return nil, refuse(CodeConflict, "org %s is suspended already", c.Org)
	}
	if !validID(c.Reason) {
		return nil, refuse(CodeInvalid, "a reason is a word such as unpaid, not a text: the log carries no personal strings")
	}
	return []Event{&OrgSuspended{c.Reason}}, nil
}

func (c ResumeOrg) Stream() string { return c.Org }
func (c ResumeOrg) By() By         { return c.Who }
func (c ResumeOrg) Once() []Cause  { return c.Who.once(c.Org) }
func (c ResumeOrg) decide(d *Draft, _ Instant) ([]Event, error) {
	o, err := d.openOrg(c.Org)
	if err != nil {
		return nil, err
	}
	if !o.Suspended {
		return nil, refuse(CodeConflict, "org %s is not suspended", c.Org)
	}
	return []Event{&OrgResumed{}}, nil
}

func (c Mature) Stream() string                          { return c.Org }
func (c Mature) By() By                                  { return By{Actor: "waybill", Cause: "due"} }
func (c Mature) Once() []Cause                           { return nil }
func (c Mature) decide(*Draft, Instant) ([]Event, error) { return nil, nil }

// due is what fell due in a stream by now and has not happened yet.
func (d *Draft) due(stream string, now Instant) []Event {
	o := d.org(stream)
	if o == nil || !o.Due().passed(now) {
		return nil
	}
	var events []Event
	for _, l := range o.Lots {
		if !l.Closed && l.Expires.passed(now) {
			events = append(events, &CreditExpired{Lot: l.ID, Amount: Nano(d.balance(l.account(o.ID), USD))})
		}
	}
	if o.Period.End.passed(now) {
		next := o.Plan
		if o.Next != "" {
			next = o.Next
		}
		events = append(events, d.period(o, d.plan(next), now, o.Period.Anchor))
	}
	return events
}

// openOrg gives the org that a command is on, if anything may still happen to it.
func (d *Draft) openOrg(id string) (*Org, error) {
	switch o := d.org(id); {
	case o == nil:
		return nil, refuse(CodeNotFound, "org %q is not known", id)
	case o.Erased != 0:
		return nil, refuse(CodeConflict, "org %s was erased at %s: nothing follows that", id, o.Erased)
	default:
		return o, nil
	}
}

// changeOrg replaces the org of a record's stream by a changed copy.
func (d *Draft) changeOrg(r *Record, change func(*Org)) {
	o := d.org(r.Stream)
	if o == nil {
		return // history of an org that was never opened changes nothing
	}
	c := *o
	c.Lots = slices.Clone(o.Lots)
	change(&c)
	d.orgs.set(c.ID, &c)
	d.touch(r, "org", c.ID)
}

func (*OrgOpened) Type() Type                { return "org.opened" }
func (*OrgOpened) postings(string) []Posting { return nil }
func (e *OrgOpened) evolve(d *Draft, r *Record) {
	d.orgs.set(r.Stream, &Org{ID: r.Stream, Opened: r.At})
	d.touch(r, "org", r.Stream)
}

func (*OrgSuspended) Type() Type                { return "org.suspended" }
func (*OrgSuspended) postings(string) []Posting { return nil }
func (e *OrgSuspended) evolve(d *Draft, r *Record) {
	d.changeOrg(r, func(o *Org) { o.Suspended = true })
}

func (*OrgResumed) Type() Type                { return "org.resumed" }
func (*OrgResumed) postings(string) []Posting { return nil }
func (e *OrgResumed) evolve(d *Draft, r *Record) {
	d.changeOrg(r, func(o *Org) { o.Suspended = false })
}

// validID tells whether s may stand in the log as an id or a reason: short, lower-case, without spaces, so that no
// personal string can hide in it.
func validID(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func itoa(n int) string { return strconv.Itoa(n) }
