package router

import (
	"context"
	"net/http"

	"waybill/ledger"
	"waybill/ledger/secret"
)

// Books is what the router needs of the ledger's keeper.
type Books interface {
	// Execute decides a command and returns when what follows is durable. A refusal is a *ledger.Error.
	Execute(ctx context.Context, c ledger.Command) (ledger.Receipt, error)
	// ExecuteNoted is Execute with a note on a request, which is kept beside the log, in the same transaction.
	ExecuteNoted(ctx context.Context, c ledger.Command, request string, note []byte) (ledger.Receipt, error)
	// View reads the state as it stands. What it hands out is immutable and may be kept.
	View(read func(*ledger.State))
}

// Secrets opens credentials.
type Secrets interface {
	// Secret is the secret of a credential, for one call's header.
	Secret(ctx context.Context, c *ledger.Credential) (secret.Text, error)
}

// Task is one request to be answered.
type Task struct {
	ID      string // waybill's id of the request
	By      ledger.By
	Org     string
	Key     string // id of the key that opened it
	Note    Note
	Request *Request
	Inbound Inbound
	// Narrowed is how the request restricts its org's policy.
	Narrowed ledger.Narrowing
	Settled  func(ledger.Usage) // told what the answer used, before its caller gets it or its end; nil: nobody is
}

// Facts is what an answer's headers say.
type Facts struct {
	Request   string
	Model     string // provider/model
	Kind      ledger.CredentialKind
	Attempts  int
	Warnings  []string
	Header    http.Header // what of the upstream's own headers is passed on
	OutputCap int64       // the cap that was sent, if the balance or the plan clipped it; else 0
	// Of a unary answer, which is settled before its headers go out:
	Settled bool
	Billing string
	Charge  ledger.Nano
}

// Sink takes an answer to the caller.
type Sink interface {
	// Start sends the headers of an answer.
	Start(f Facts)
	// Send sends bytes of its body, at once. An error means that the caller is gone.
	Send(b []byte) error
}
