package http

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"waybill/ledger"
)

// trace is one request as its events tell it. The token classes are disjoint; durations are in nanoseconds.
type trace struct {
	ID         string                `json:"id"`
	Org        string                `json:"org"`
	Key        string                `json:"key"`
	At         Time                  `json:"at"`    // of the admission
	State      string                `json:"state"` // admitted, settled, voided, interrupted
	Dialect    ledger.Dialect        `json:"dialect"`
	Lane       ledger.Lane           `json:"lane"`
	ModelAsked string                `json:"model_asked"`
	Provider   string                `json:"provider"`
	Model      string                `json:"model"`      // provider/id, of the leg that answered, or the last that was tried
	Credential ledger.CredentialKind `json:"credential"` // byok or platform
	Attempts   int64                 `json:"attempts"`
	tokens
	UsageSource ledger.UsageSource `json:"usage_source"` // provider or estimate
	money
	SkipReason       string `json:"skip_reason"`
	FirstByte        int64  `json:"first_byte_ns"`
	Duration         int64  `json:"duration_ns"`
	FinishReason     string `json:"finish_reason"`
	UpstreamID       string `json:"upstream_id"`
	Reason           string `json:"reason"` // why it was voided or interrupted, or what was unusual
	AdmittedPosition uint64 `json:"admitted_position"`
	SettledPosition  uint64 `json:"settled_position"` // of the resolution; 0 while open
}

// tokens is a usage, in disjoint classes but for reasoning, which is a part of the output.
type tokens struct {
	Input      int64 `json:"input_tokens"`
	CacheRead  int64 `json:"cache_read_tokens"`
	CacheWrite int64 `json:"cache_write_tokens"`
	Output     int64 `json:"output_tokens"`
	Reasoning  int64 `json:"reasoning_tokens"`
}

func tokensOf(u ledger.Usage) tokens {
	return tokens{u.Input, u.CacheRead, u.CacheWrite + u.CacheWriteLong, u.Output, u.Reasoning}
}

// money is what a call cost whom.
type money struct {
	PlanTokens  int64   `json:"plan_tokens"`
	ChargeUSD   Dollars `json:"charge_usd"` // taken from credit
	ListCostUSD Dollars `json:"list_cost_usd"`
	SkippedUSD  Dollars `json:"skipped_usd"` // list cost that was not billed
	OverageUSD  Dollars `json:"overage_usd"` // beyond hold and balance
}

type traces struct {
	Requests []trace `json:"requests"`
	Next     string  `json:"next,omitempty"` // of the next page; none if this is the last
}

type traceQuery struct {
	State string `query:"state" doc:"admitted, settled, voided or interrupted"`
	Model string `query:"model" doc:"provider/id of the model that answered"`
	Key   string `query:"key" doc:"id of the key"`
	Since Time   `query:"since" doc:"admitted at or after this time"`
	After uint64 `query:"after" doc:"next of the page before"`
	Limit limit  `query:"limit" doc:"rows of a page, 100 unless given, at most 1000"`
}

// attempt is one leg of a request, tried or passed over.
type attempt struct {
	N            int                   `json:"n"` // of the leg; 0 if it was never admitted
	Model        string                `json:"model"`
	CredentialID string                `json:"credential_id"`
	Credential   ledger.CredentialKind `json:"credential"`
	Outcome      ledger.Outcome        `json:"outcome"`
	Status       int                   `json:"status"` // the upstream's
	Class        string                `json:"class"`  // of its failure
	Reason       string                `json:"reason"`
	Latency      int64                 `json:"latency_ns"`
	FirstByte    int64                 `json:"first_byte_ns"`
	tokens
	UsageSource ledger.UsageSource `json:"usage_source"` // of what was discarded: provider, estimate; empty if that was nothing
	UpstreamID  string             `json:"upstream_id"`
}

// traceDetail is all there is to tell of one request.
type traceDetail struct {
	Request  trace     `json:"request"`
	Attempts []attempt `json:"attempts"`
	Entries  []posting `json:"entries"`
	Events   []event   `json:"events"`
	// Note is what the org's policy may have read of the request that the log does not hold: {"key": its name, "metadata": {…}}.
	Note json.RawMessage `json:"note,omitempty"`
}

// erasure is how many notes on requests were erased.
type erasure struct {
	Erased int64 `json:"erased"`
}

// posting is one signed amount, with the event that caused it. USD amounts are decimal dollars, others whole numbers.
type posting struct {
	Position uint64      `json:"position"`
	Line     int         `json:"line"` // in the entry, from 1
	At       Time        `json:"at"`
	Type     ledger.Type `json:"type"` // of the event
	Account  string      `json:"account"`
	Unit     ledger.Unit `json:"unit"`
	Amount   string      `json:"amount"` // usd: decimal dollars; tok, msg: a whole number
	Request  string      `json:"request,omitempty"`
}

type entries struct {
	Entries []posting `json:"entries"`
	Next    string    `json:"next,omitempty"`
}

type entryQuery struct {
	Account string `query:"account" doc:"postings' account, such as org/ORG/credit/LOT"`
	Since   Time   `query:"since" doc:"at or after this time"`
	After   uint64 `query:"after" doc:"next of the page before"`
	Limit   limit  `query:"limit" doc:"entries of a page, each whole; 100 unless given, at most 1000"`
}

// usageSum sums the requests of a day, a model or a key, on one kind of credential.
type usageSum struct {
	Day        string `json:"day,omitempty"`
	Model      string `json:"model,omitempty"`
	Key        string `json:"key,omitempty"`
	Credential string `json:"credential"`
	Requests   int64  `json:"requests"` // resolved
	Settled    int64  `json:"settled"`
	tokens
	money
}

type usages struct {
	Usage []usageSum `json:"usage"`
}

type usageQuery struct {
	By   string `query:"by" doc:"day, model or key; day unless given"`
	From string `query:"from" doc:"first day, as 2026-11-01"`
	To   string `query:"to" doc:"last day"`
}

func traceRoutes() []route {
	return []route{
		endpoint(http.MethodGet, "/api/v1/orgs/{org}/requests", "An org's requests, the newest first", admin, listTraces),
		endpoint(http.MethodGet, "/api/v1/orgs/{org}/requests/{id}", "One request with its attempts, entries and events, by its id, its answer's, or the one that its upstream gave", admin, showTrace),
		endpoint(http.MethodGet, "/api/v1/requests/{id}", "One request of any org", operator, showTrace),
		endpoint(http.MethodDelete, "/api/v1/orgs/{org}/notes", "Erase what an org's requests said of themselves: names of keys and metadata that its policy may have read", admin, eraseNotes),
		endpoint(http.MethodGet, "/api/v1/orgs/{org}/entries", "An org's entries, the newest first", admin, listEntries),
		endpoint(http.MethodGet, "/api/v1/orgs/{org}/usage", "Sums of an org's requests by day, model or key", admin, sumUsage),
	}
}

// reports gives the tables behind the log, when they have come as far as the log stands now: a caller sees what it did.
func (c *call) reports() (Reports, error) {
	if c.s.o.Reports == nil {
		return nil, &ledger.Error{Code: ledger.CodeUnavailable, Message: "the reports are not open"}
	}
	head, _ := c.s.head()
	return c.s.o.Reports, c.s.o.Reports.WaitFor(c, head)
}

func traceRow(t *ledger.Trace) trace {
	return trace{ID: t.ID, Org: t.Org, Key: t.Key, At: Time(t.At), State: t.State, Dialect: t.Dialect, Lane: t.Lane, ModelAsked: t.Asked,
		Provider: t.Provider, Model: t.Model, Credential: t.Kind, Attempts: t.Attempts, tokens: tokensOf(t.Usage), UsageSource: t.UsageSource,
		money:      money{t.PlanTokens, Dollars(t.Charge), Dollars(t.ListCost), Dollars(t.Skipped), Dollars(t.Overage)},
		SkipReason: t.SkipReason, FirstByte: t.FirstByte, Duration: t.Duration, FinishReason: t.Finish, UpstreamID: t.UpstreamID,
		Reason: t.Reason, AdmittedPosition: t.AdmittedPosition, SettledPosition: t.SettledPosition}
}

func listTraces(c *call, in traceQuery) (traces, error) {
	if !slices.Contains([]string{"", "admitted", "settled", "voided", "interrupted"}, in.State) {
		return traces{}, invalid("state", "must be admitted, settled, voided or interrupted")
	}
	r, err := c.reports()
	if err != nil {
		return traces{}, err
	}
	rows, err := r.Requests(c, RequestQuery{Org: c.org, Key: in.Key, State: in.State, Model: in.Model, Since: ledger.Instant(in.Since), Before: in.After, Limit: in.Limit.or()})
	out := traces{Requests: make([]trace, len(rows))}
	for i := range rows {
		out.Requests[i] = traceRow(&rows[i])
	}
	if n := len(rows); n == in.Limit.or() {
		out.Next = strconv.FormatUint(rows[n-1].AdmittedPosition, 10)
	}
	return out, err
}

// ownID is waybill's id of a call, by itself or in what is made of it: the id that an answer has in its dialect, an item of it, or
// a call upstream.
var ownID = regexp.MustCompile(requestPrefix + "([0-9a-f]{32})")

// request finds one, and its events, by any id that its caller or its upstream has seen. One of another org than the path's is not
// known, as one that is not there.
func (c *call) request(id string) (t ledger.Trace, recs []ledger.Record, err error) {
	r, err := c.reports()
	if err != nil {
		return t, nil, err
	}
	own := ownID.FindStringSubmatch(id)
	if own != nil {
		t, recs, err = r.Request(c, c.org, own[0])
	}
	if own == nil || own[0] != id && absent(err) { // an upstream that is a waybill too makes ids like ours
		t, recs, err = r.Request(c, c.org, id)
	}
	if absent(err) {
		err = &ledger.Error{Code: ledger.CodeNotFound, Message: unadmitted(id, own)}
	}
	return t, recs, err
}

func absent(err error) bool {
	le, ok := errors.AsType[*ledger.Error](err)
	return ok && le.Code == ledger.CodeNotFound
}

// unadmitted says what it means that there is no request by an id.
func unadmitted(id string, own []string) string {
	why := "request \"" + id + "\" is not known: no call was admitted under this id, and no upstream has answered one with it. A call that is refused before anything is held or called leaves no record: the error that its caller got says why"
	if own == nil {
		return why
	}
	ms, _ := strconv.ParseInt(own[1][:12], 16, 64) // hex digits: of a UUIDv7, the milliseconds since 1970
	return why + ". If this id was given to a call, it was at " + time.UnixMilli(ms).UTC().Format(time.RFC3339)
}

func showTrace(c *call, _ nothing) (traceDetail, error) {
	t, recs, err := c.request(c.vars["id"])
	if err != nil {
		return traceDetail{}, err
	}
	id := t.ID
	out := traceDetail{Request: traceRow(&t), Attempts: []attempt{}, Entries: []posting{}, Events: []event{}}
	if out.Note, err = c.s.o.Names.Note(c, id); err != nil {
		return traceDetail{}, err
	}
	for i := range recs {
		rec := &recs[i]
		out.Events = append(out.Events, eventRow(rec))
		for line, p := range rec.Postings() {
			out.Entries = append(out.Entries, postingRow(Entry{Position: rec.Position, Line: line + 1, Account: p.Account.String(), Unit: p.Unit,
				Amount: p.Amount, Type: rec.Type, At: rec.At, Request: id}))
		}
		for _, a := range rec.Attempted() {
			out.Attempts = append(out.Attempts, attempt{N: a.N, Model: a.Model, CredentialID: a.Credential, Credential: a.Kind, Outcome: a.Outcome,
				Status: a.Status, Class: a.Class, Reason: a.Reason, Latency: a.Latency, FirstByte: a.FirstByte, tokens: tokensOf(a.Usage), UsageSource: a.Source, UpstreamID: a.UpstreamID})
		}
	}
	return out, nil
}

func eraseNotes(c *call, _ nothing) (erasure, error) {
	n, err := c.s.o.Names.EraseNotes(c, c.org)
	return erasure{n}, err
}

func postingRow(e Entry) posting {
	amount := strconv.FormatInt(e.Amount, 10)
	if e.Unit == ledger.USD {
		amount = ledger.Nano(e.Amount).String()
	}
	return posting{Position: e.Position, Line: e.Line, At: Time(e.At), Type: e.Type, Account: e.Account, Unit: e.Unit, Amount: amount, Request: e.Request}
}

func listEntries(c *call, in entryQuery) (entries, error) {
	r, err := c.reports()
	if err != nil {
		return entries{}, err
	}
	rows, err := r.Entries(c, EntryQuery{Org: c.org, Account: in.Account, Since: ledger.Instant(in.Since), Before: in.After, Limit: in.Limit.or()})
	out := entries{Entries: []posting{}}
	whole, last := 0, uint64(0)
	for _, e := range rows {
		if e.Position != last {
			whole, last = whole+1, e.Position
		}
		out.Entries = append(out.Entries, postingRow(e))
	}
	if whole == in.Limit.or() {
		out.Next = strconv.FormatUint(last, 10)
	}
	return out, err
}

func sumUsage(c *call, in usageQuery) (usages, error) {
	for field, day := range map[string]string{"from": in.From, "to": in.To} {
		if _, err := time.Parse(time.DateOnly, day); err != nil && day != "" {
			return usages{}, invalid(field, "must be a day such as 2026-11-01")
		}
	}
	if in.To != "" && in.From > in.To {
		return usages{}, invalid("from", "is "+in.From+", and to is the day "+in.To+" before it")
	}
	r, err := c.reports()
	if err != nil {
		return usages{}, err
	}
	rows, err := r.Usage(c, UsageQuery{Org: c.org, By: cmp.Or(in.By, "day"), From: in.From, To: in.To})
	out := usages{Usage: make([]usageSum, len(rows))}
	for i, u := range rows {
		out.Usage[i] = usageSum{Day: u.Day, Model: u.Model, Key: u.Key, Credential: u.Kind, Requests: u.Requests, Settled: u.Settled, tokens: tokensOf(u.Usage),
			money: money{u.PlanTokens, Dollars(u.Charge), Dollars(u.ListCost), Dollars(u.Skipped), Dollars(u.Overage)}}
	}
	return out, err
}
