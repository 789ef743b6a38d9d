package http

import (
	"context"
	"time"

	"waybill/ledger"
)

// Reports are the tables that are folded behind the log.
type Reports interface {
	// WaitFor returns when the reports have come as far as a position.
	WaitFor(ctx context.Context, position uint64) error
	// Requests gives a page of requests, the newest first.
	Requests(ctx context.Context, q RequestQuery) ([]ledger.Trace, error)
	// Request gives one request of an org, or of any if that is empty, and its events, by its id or by one that an upstream gave to its
	// answer; or a not-found error.
	Request(ctx context.Context, org, id string) (ledger.Trace, []ledger.Record, error)
	// Entries gives a page of entries, the newest first, the postings of each in order.
	Entries(ctx context.Context, q EntryQuery) ([]Entry, error)
	// Usage gives sums of an org's requests.
	Usage(ctx context.Context, q UsageQuery) ([]UsageRow, error)
}

// RequestQuery asks for requests. Empty fields do not filter.
type RequestQuery struct {
	Org    string
	Key    string
	State  string // admitted, settled, voided, interrupted
	Model  string // provider/id, as it answered
	Since  ledger.Instant
	Before uint64 // admitted before this position; 0 starts with the newest
	Limit  int
}

// EntryQuery asks for an org's entries. Empty fields do not filter.
type EntryQuery struct {
	Org     string
	Account string
	Since   ledger.Instant
	Before  uint64 // caused before this position; 0 starts with the newest
	Limit   int    // of entries, each whole
}

// Entry is one posting, with the event that caused it.
type Entry struct {
	Position uint64
	Line     int // in the entry, from 1
	Org      string
	Account  string
	Unit     ledger.Unit
	Amount   int64 // in the unit
	Type     ledger.Type
	At       ledger.Instant
	Request  string // empty if it was not one
}

// UsageQuery asks for sums of an org's requests.
type UsageQuery struct {
	Org      string
	By       string // day, model or key
	From, To string // days as YYYY-MM-DD, both inclusive; empty for all
}

// UsageRow sums requests of one day, model or key, on one kind of credential.
type UsageRow struct {
	Day, Key, Model, Kind string // empty where the rows of several are summed
	Requests, Settled     int64  // resolved, and of these settled
	Usage                 ledger.Usage
	PlanTokens            int64
	Charge, ListCost      ledger.Nano
	Skipped, Overage      ledger.Nano
}

// Replication is how far the copies of the node's files are.
type Replication struct {
	Position uint64        // in the log, that all of them are known to have reached
	At       time.Time     // when that was the head; zero: not since the start
	Behind   uint64        // events that they are not known to have
	Lag      time.Duration // bounds the age of those
	Failures uint64        // rounds that failed since the start
	Overdue  time.Time     // when a round succeeded last, if that is too long ago; zero: all is well
	Replicas []Replica
}

// Replica is how far the copy of one file is.
type Replica struct {
	Path      string
	Replica   string
	InSync    bool
	SyncedAt  time.Time // everything that was committed before is there
	Inspected time.Time // when what it holds was looked at last
	Err       error     // of the last round
}
