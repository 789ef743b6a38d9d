package http

import (
	"context"
	"net/http"

	"waybill/ledger"
)

// Notary signs what the log is, and proves what is in it.
type Notary interface {
	// Checkpoint signs the log as it is now, as far as its replicas hold it, and gives the last checkpoint.
	Checkpoint(ctx context.Context) (Checkpoint, error)
	// Receipt proves that the records of a request, all of them in order, are in the log.
	Receipt(ctx context.Context, recs []ledger.Record) (Receipt, error)
}

// Checkpoint is what the log was at a position, signed.
type Checkpoint struct {
	Note     string `json:"checkpoint"` // the signed text, a C2SP checkpoint: the other fields but key and signed_at are read from it
	Key      string `json:"key"`        // public, by which it is verified
	Origin   string `json:"origin"`
	Epoch    uint64 `json:"epoch"`    // each restore of the log begins one
	Position uint64 `json:"position"` // of the last event that it covers
	Hash     string `json:"hash"`     // of the Merkle tree over the events up to there (RFC 6962), in hex
	SignedAt Time   `json:"signed_at"`
}

// Receipt proves to a stranger what the log has of a request.
type Receipt struct {
	Format  string   `json:"format"`
	Request string   `json:"request"`
	Org     string   `json:"org"`
	Key     string   `json:"key"`    // public, of the node
	Proofs  []string `json:"proofs"` // one an event, each a C2SP tlog-proof whose extra data is the event's leaf
}

// A checkpoint says how many events there were in all, and so does each receipt. Whoever may fetch receipts may fetch it.
func checkpointRoutes() []route {
	return []route{
		endpoint(http.MethodGet, "/api/v1/checkpoint", "What the log is, signed now: as far as its replicas hold it", admin, showCheckpoint),
		endpoint(http.MethodGet, "/api/v1/orgs/{org}/requests/{id}/receipt", "Proof of what the log has of a request, to be verified offline", admin, showReceipt),
		endpoint(http.MethodGet, "/api/v1/requests/{id}/receipt", "Proof of what the log has of a request of any org", operator, showReceipt),
	}
}

func (c *call) notary() (Notary, error) {
	if c.s.o.Notary == nil {
		return nil, &ledger.Error{Code: ledger.CodeUnavailable, Message: "this node signs nothing"}
	}
	return c.s.o.Notary, nil
}

func showCheckpoint(c *call, _ nothing) (Checkpoint, error) {
	n, err := c.notary()
	if err != nil {
		return Checkpoint{}, err
	}
	return n.Checkpoint(c)
}

func showReceipt(c *call, _ nothing) (Receipt, error) {
	n, err := c.notary()
	if err != nil {
		return Receipt{}, err
	}
	_, recs, err := c.request(c.vars["id"])
	if err != nil {
		return Receipt{}, err
	}
	return n.Receipt(c, recs)
}
