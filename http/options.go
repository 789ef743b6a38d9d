package http

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"waybill/ledger"
	"waybill/ledger/secret"
	"waybill/router"
)

// Log reads the events.
type Log interface {
	// Page gives the records after a position, in order, at most limit.
	Page(ctx context.Context, after uint64, limit int) ([]ledger.Record, error)
	// Changed is closed once the log has a record after a position.
	Changed(after uint64) <-chan struct{}
	// BalanceAt gives what an org had when the log stood at a position.
	BalanceAt(ctx context.Context, org string, position uint64) (ledger.Standing, error)
	// BalanceAtTime gives what an org had at an instant.
	BalanceAtTime(ctx context.Context, org string, at ledger.Instant) (ledger.Standing, error)
	// PositionAt is that of the last event no later than an instant, 0 if all are.
	PositionAt(ctx context.Context, at ledger.Instant) (uint64, error)
	// Note gives what a request said of itself that stands beside the log, nil if that is not kept.
	Note(ctx context.Context, request string) ([]byte, error)
	// Replay folds an org's past. From a position on, decide gets each admission on the state that it was decided on, and follow each
	// event of the org's on the state before it; passed is told how far the fold is.
	Replay(ctx context.Context, org string, from uint64, decide, follow func(*ledger.State, *ledger.Record) error, passed func(position uint64)) error
}

// Label is the name of an org, a key or a credential. Names are in a side table: the log carries no personal strings.
type Label struct {
	Kind  string // org, key or credential
	ID    string
	Scope string // within which the name is unique: empty for orgs, else the org or Platform
	Name  string
}

// Naming keeps what no log may hold: the labels, and the notes on requests.
type Naming interface {
	// ExecuteNamed executes a command and writes labels in the same transaction. A name that is taken is a refusal with
	// ledger.CodeConflict. A repeated command writes none.
	ExecuteNamed(ctx context.Context, c ledger.Command, labels ...Label) (ledger.Receipt, error)
	// Find gives the id that has a name, empty if none has.
	Find(ctx context.Context, kind, scope, name string) (id string, err error)
	// Labels gives the labels of a scope.
	Labels(ctx context.Context, kind, scope string) ([]Label, error)
	// Label gives the label of an id; one without a name has none.
	Label(ctx context.Context, kind, id string) (Label, error)
	// Rename changes a label's name.
	Rename(ctx context.Context, l Label) error
	// Note gives what a request said of itself that its org's policy may have read, as JSON of router.Note; nil if nothing is kept.
	Note(ctx context.Context, request string) ([]byte, error)
	// EraseNotes erases the notes on an org's requests, and gives how many there were.
	EraseNotes(ctx context.Context, org string) (int64, error)
}

// Vault keeps the secrets of credentials.
type Vault interface {
	// Put seals a credential's secret, in place of one that it may have, and gives what may be known of it.
	Put(ctx context.Context, org, credential string, s secret.Text) (fingerprint string, err error)
	// Secret opens the secret of a credential.
	Secret(ctx context.Context, c *ledger.Credential) (secret.Text, error)
	// Delete destroys a credential's secret. One that is not there is no error.
	Delete(ctx context.Context, org, credential string) error
}

// Limits bound what callers may take of the node. The zero value of each takes the default.
type Limits struct {
	MaxBody       int64         // bytes of one inference call's body; 32 MiB
	MaxBodies     int64         // bytes of all bodies in memory at a time; 256 MiB
	MaxConns      int           // connections of a listener; 10,000
	KeyConns      int           // connections on which one key calls; 2,000
	KeyCalls      int           // calls of one key that are open at a time, streams and others; 1,000
	HeaderTimeout time.Duration // for a call's headers; 10 s
	BodyTimeout   time.Duration // for a call's body; 2 min
	WriteTimeout  time.Duration // for the caller to take one write of an answer; 30 s
	IdleTimeout   time.Duration // of a connection between two calls; 2 min
}

func (l Limits) withDefaults() Limits {
	def(&l.MaxBody, 32<<20)
	def(&l.MaxBodies, 256<<20)
	def(&l.MaxConns, 10_000)
	def(&l.KeyConns, 2_000)
	def(&l.KeyCalls, 1_000)
	def(&l.HeaderTimeout, 10*time.Second)
	def(&l.BodyTimeout, 2*time.Minute)
	def(&l.WriteTimeout, 30*time.Second)
	def(&l.IdleTimeout, 2*time.Minute)
	return l
}

func def[T int | int64 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// Options is what a Server is made of.
type Options struct {
	Books      router.Books
	Log        Log
	Names      Naming
	Reports    Reports // nil: what needs reports answers 503
	Tables     Tables  // nil: likewise
	Vault      Vault   // nil: credentials cannot be attached
	Custody    Custody // nil: the vault's keys are not replaced, and no org is erased
	Notary     Notary  // nil: nothing is signed
	Dispatcher *router.Dispatcher
	Inbounds   map[ledger.Dialect]router.Inbound
	Providers  []string // the names that a credential may be for

	OperatorHash string // SHA-256 of the operator's token, in hex; empty: there is none

	Now       func() time.Time
	NewID     func() string // 32 hex digits of a UUIDv7: ids sort by the time of their making
	Logger    *slog.Logger
	Limits    Limits
	Ready     func() error                    // nil: always; an error is why the node must not get calls now
	Confirm   func(ctx context.Context) error // nil: none; else a change of the control API is answered once it gives nil
	Checklist Checklist                       // nil: there is none
	Replicas  func() Replication              // nil: there are none
	Stop      func()                          // ends the calls that are still open, through the context that is Dispatcher.Stop
	Version   string
}

func (o Options) validate() error {
	switch {
	case o.Books == nil, o.Log == nil, o.Names == nil:
		return errors.New("a server needs books, a log and names")
	case o.Now == nil, o.NewID == nil, o.Logger == nil:
		return errors.New("a server needs a clock, a maker of ids and a logger")
	case o.Dispatcher != nil && (o.Inbounds[ledger.DialectOpenAIChat] == nil || o.Stop == nil):
		return errors.New("a server with a dispatcher needs the callers' dialects, and the means to stop the dispatcher")
	}
	return nil
}
