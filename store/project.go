package store

import (
	"encoding/hex"

	"waybill/ledger"
)

// A projection is a table that follows from the log and from nothing else. The functions here turn records into its
// rows; the reports keep them, the exports write them out, and verify compares them with what the reports kept.

// tableColumn is a column of a public table.
type tableColumn struct {
	name string
	text bool // else an integer
}

// table is a public table: its columns, in the order in which its rows hold their values, and its primary key.
type table struct {
	name    string
	columns []tableColumn
	key     []string
}

func text(names ...string) []tableColumn { return columns(true, names) }
func ints(names ...string) []tableColumn { return columns(false, names) }

func columns(text bool, names []string) []tableColumn {
	cs := make([]tableColumn, len(names))
	for i, n := range names {
		cs[i] = tableColumn{n, text}
	}
	return cs
}

func join(parts ...[]tableColumn) []tableColumn {
	var cs []tableColumn
	for _, p := range parts {
		cs = append(cs, p...)
	}
	return cs
}

// The public tables. Their columns are an outside contract: add, never rename.
var (
	eventsTable = table{"events", join(ints("position"), text("stream"), ints("version"), text("id", "type"), ints("schema", "at"),
		text("actor", "cause", "data")), []string{"position"}}
	requestsTable = table{"requests", join(text("id", "org", "key"), ints("at"), text("state", "dialect", "lane", "model_asked",
		"provider", "model", "credential"), ints("attempts", "input_tokens", "cache_read_tokens", "cache_write_tokens",
		"output_tokens", "reasoning_tokens"), text("usage_source"), ints("plan_tokens", "charge_nano", "list_cost_nano",
		"skipped_nano"), text("skip_reason"), ints("overage_nano", "first_byte_ns", "duration_ns"), text("finish_reason",
		"upstream_id", "reason"), ints("admitted_position", "settled_position")), []string{"admitted_position"}}
	extensionsTable = table{"extensions", join(ints("position"), text("request")), []string{"position"}}
	attemptsTable   = table{"attempts", join(ints("position", "line"), text("request"), ints("n"), text("model", "credential", "kind",
		"outcome"), ints("status"), text("class", "reason"), ints("latency_ns", "first_byte_ns", "input_tokens", "cache_read_tokens",
		"cache_write_tokens", "output_tokens", "reasoning_tokens"), text("usage_source", "upstream_id")), []string{"position", "line"}}
	entriesTable = table{"entries", join(ints("position", "line"), text("org", "account", "unit"), ints("amount"), text("type"),
		ints("at"), text("request")), []string{"position", "line"}}
	usageTable = table{"usage_daily", join(text("day", "org", "key", "model", "kind"), ints("requests", "settled", "input_tokens",
		"cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens", "plan_tokens", "charge_nano",
		"list_cost_nano", "skipped_nano", "overage_nano", "position")), []string{"org", "day", "key", "model", "kind"}}
	balancesTable = table{"balances", join(text("account", "unit"), ints("amount")), []string{"account", "unit"}}
	lotsTable     = table{"lots", join(text("org", "lot"), ints("amount", "remaining", "held", "paid"), text("reference"),
		ints("promotion", "priority", "expires", "closed", "position")), []string{"org", "lot"}}
)

func eventRow(r *ledger.Record) []any {
	return []any{int64(r.Position), r.Stream, int64(r.Version), uuidText(r.ID), string(r.Type), int64(r.Schema), int64(r.At), r.Actor, r.Cause, string(r.Data)}
}

func requestRow(t *ledger.Trace) []any {
	u := t.Usage
	return []any{t.ID, t.Org, t.Key, int64(t.At), t.State, string(t.Dialect), string(t.Lane), t.Asked,
		t.Provider, t.Model, string(t.Kind), t.Attempts, u.Input, u.CacheRead, u.CacheWrite + u.CacheWriteLong,
		u.Output, u.Reasoning, string(t.UsageSource), t.PlanTokens, int64(t.Charge), int64(t.ListCost),
		int64(t.Skipped), t.SkipReason, int64(t.Overage), t.FirstByte, t.Duration, t.Finish,
		t.UpstreamID, t.Reason, int64(t.AdmittedPosition), int64(t.SettledPosition)}
}

// Attempt is a row of the table attempts.
type Attempt struct {
	Position uint64 // of the resolution that tells of it
	Line     int    // in the resolution, from 1
	Request  string
	ledger.Attempt
}

func attempts(r *ledger.Record) []Attempt {
	told := r.Attempted()
	as := make([]Attempt, len(told))
	for i, a := range told {
		as[i] = Attempt{r.Position, i + 1, r.Request(), a}
	}
	return as
}

func (a *Attempt) row() []any {
	u := a.Usage
	return []any{int64(a.Position), int64(a.Line), a.Request, int64(a.N), a.Model, a.Credential, string(a.Kind),
		string(a.Outcome), int64(a.Status), a.Class, a.Reason, a.Latency, a.FirstByte, u.Input, u.CacheRead,
		u.CacheWrite + u.CacheWriteLong, u.Output, u.Reasoning, string(a.Source), a.UpstreamID}
}

// Entry is a row of the table entries: one posting, with the event that caused it.
type Entry struct {
	Position uint64
	Line     int    // in the entry, from 1
	Org      string // whose event it was; Platform's own events post nothing
	Account  string // as ledger.Account shows it
	Unit     ledger.Unit
	Amount   int64 // in the unit
	Type     ledger.Type
	At       ledger.Instant
	Request  string // empty if it was not one
}

func entries(r *ledger.Record, ps []ledger.Posting) []Entry {
	es := make([]Entry, len(ps))
	for i, p := range ps {
		es[i] = Entry{r.Position, i + 1, r.Stream, p.Account.String(), p.Unit, p.Amount, r.Type, r.At, r.Request()}
	}
	return es
}

func (e *Entry) row() []any {
	return []any{int64(e.Position), int64(e.Line), e.Org, e.Account, string(e.Unit), e.Amount, string(e.Type), int64(e.At), e.Request}
}

// traces follows the requests that are open. lookup finds one that was admitted before the projection started to
// follow, nil where there is none; it may be nil itself for a fold that starts at the first event.
type traces struct {
	open   map[string]*ledger.Trace
	lookup func(request string) (*ledger.Trace, error)
}

func newTraces() *traces { return &traces{open: map[string]*ledger.Trace{}} }

// fold carries the trace of the record's request on, and gives nil if the record is of none.
func (t *traces) fold(r *ledger.Record) (*ledger.Trace, error) {
	if e, ok := r.Event.(*ledger.RequestAdmitted); ok {
		tr := e.Trace(r)
		t.open[e.Request] = &tr
		return &tr, nil
	}
	id := r.Request()
	if id == "" {
		return nil, nil
	}
	tr := t.open[id]
	if tr == nil && t.lookup != nil {
		var err error
		if tr, err = t.lookup(id); err != nil {
			return nil, err
		}
	}
	if tr == nil || !tr.Follow(r) {
		return nil, nil
	}
	if tr.SettledPosition != 0 {
		delete(t.open, id)
	} else {
		t.open[id] = tr
	}
	return tr, nil
}

// usageKey is what a row of usage_daily stands for.
type usageKey struct{ day, org, key, model, kind string }

// UsageRow sums requests: the token classes are disjoint, as in requests.
type UsageRow struct {
	Day, Key, Model, Kind string // empty where the rows of several are summed
	Requests, Settled     int64  // resolved, and of these settled
	Usage                 ledger.Usage
	PlanTokens            int64
	Charge, ListCost      ledger.Nano
	Skipped, Overage      ledger.Nano
	position              uint64
}

// usageOf is the key under which a resolved request counts. at is the time of its resolution.
func usageOf(t *ledger.Trace, at ledger.Instant) usageKey {
	return usageKey{at.Time().Format("2006-01-02"), t.Org, t.Key, t.Model, string(t.Kind)}
}

func (u *UsageRow) add(t *ledger.Trace) {
	u.Requests++
	if t.State == "settled" {
		u.Settled++
	}
	u.Usage = u.Usage.Plus(t.Usage)
	u.PlanTokens += t.PlanTokens
	u.Charge += t.Charge
	u.ListCost += t.ListCost
	u.Skipped += t.Skipped
	u.Overage += t.Overage
	u.position = t.SettledPosition
}

func (u *UsageRow) row(k usageKey) []any {
	n := u.Usage
	return []any{k.day, k.org, k.key, k.model, k.kind, u.Requests, u.Settled, n.Input, n.CacheRead, n.CacheWrite + n.CacheWriteLong,
		n.Output, n.Reasoning, u.PlanTokens, int64(u.Charge), int64(u.ListCost), int64(u.Skipped), int64(u.Overage), int64(u.position)}
}

// uuidText is the usual form of an event's id.
func uuidText(id [16]byte) string {
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
