package store

import (
	"context"
	"errors"
	"fmt"

	jsonv2 "github.com/go-json-experiment/json"

	"waybill/ledger"
)

// Receipt proves to a stranger what the log has of a request: its events, each with the proof that the node's signed log holds it. It
// has nothing of other orgs but how many events there were in all.
type Receipt struct {
	Format  string   `json:"format"`
	Request string   `json:"request"`
	Org     string   `json:"org"`
	Key     string   `json:"key"`    // public, of the node; a stranger compares it with the one that the node's operator has published
	Proofs  []string `json:"proofs"` // in the order of the log, each a C2SP tlog-proof with the event's leaf as its extra data
}

const (
	receiptFormat = "waybill-receipt@v1"
	// MaxReceipt bounds a receipt, in bytes. One of a call with three legs has about 8,000.
	MaxReceipt = 4 << 20
	// maxProofs is more than the legs that any policy allows a request.
	maxProofs = 256
)

// Receipt makes the receipt of a request from its records, all of them in order. Where its last event is not signed yet, the log is.
func (n *Notary) Receipt(ctx context.Context, recs []ledger.Record) (Receipt, error) {
	if len(recs) == 0 {
		return Receipt{}, errors.New("a receipt of no events")
	}
	c, err := n.Covering(ctx, recs[len(recs)-1].Position)
	if err != nil {
		return Receipt{}, err
	}
	r := Receipt{Format: receiptFormat, Request: recs[0].Request(), Org: recs[0].Stream, Key: n.key}
	for i := range recs {
		p, err := n.s.prove(ctx, &recs[i], c)
		if err != nil {
			return Receipt{}, err
		}
		r.Proofs = append(r.Proofs, p)
	}
	return r, nil
}

// Proven is what a receipt proves.
type Proven struct {
	Checkpoint SignedCheckpoint // what the log was
	Trace      ledger.Trace     // the request, as the events tell it
	Records    []ledger.Record  // the events
}

// ParseReceipt reads a receipt strictly: nothing in it is passed over, for what is not read is not proved.
func ParseReceipt(text []byte) (r Receipt, err error) {
	if len(text) > MaxReceipt {
		return r, fmt.Errorf("it has more than %d bytes: it is no receipt", MaxReceipt)
	}
	if err := jsonv2.Unmarshal(text, &r, jsonv2.RejectUnknownMembers(true)); err != nil {
		return r, fmt.Errorf("it is not the JSON of a receipt: %w", err)
	}
	switch {
	case r.Format != receiptFormat:
		return r, fmt.Errorf("its format is %q, where this waybill reads %s", short(r.Format), receiptFormat)
	case len(r.Proofs) == 0:
		return r, errors.New("it proves nothing: it has no events")
	case len(r.Proofs) > maxProofs:
		return r, fmt.Errorf("it has %d events, more than a request can have", len(r.Proofs))
	}
	return r, nil
}

// Check finds out what the receipt proves to somebody who trusts a public key. Nothing but the two is needed.
func (r *Receipt) Check(key string) (proven Proven, err error) {
	if r.Key != key {
		return proven, fmt.Errorf("the receipt says that it is signed by the key %s, and not by %s", short(r.Key), short(key))
	}
	var events []proof
	for i, text := range r.Proofs {
		p, err := parseProof(text)
		if err != nil {
			return proven, fmt.Errorf("proof %d: %w", i+1, err)
		}
		if i > 0 && p.note != events[0].note {
			return proven, fmt.Errorf("proof %d is by another checkpoint than proof 1", i+1)
		}
		events = append(events, p)
	}
	c, err := OpenCheckpoint(events[0].note, key)
	if err != nil {
		return proven, err
	}
	proven.Checkpoint = c
	for i := range events {
		if err := events[i].check(c.Checkpoint); err != nil {
			return proven, err
		}
		rec, err := ledger.ParseLeaf(events[i].leaf)
		if err != nil {
			return proven, fmt.Errorf("event %d is in the log, but is not understood: %w", events[i].index+1, err)
		}
		if rec.Position != events[i].index+1 {
			return proven, fmt.Errorf("event %d says of itself that it stands at position %d", events[i].index+1, rec.Position)
		}
		proven.Records = append(proven.Records, rec)
	}
	proven.Trace, err = r.told(proven.Records)
	return proven, err
}

// told finds out whether the events are those of the request that the receipt names, and what they tell.
func (r *Receipt) told(recs []ledger.Record) (ledger.Trace, error) {
	first, ok := recs[0].Event.(*ledger.RequestAdmitted)
	if !ok {
		return ledger.Trace{}, fmt.Errorf("the first event, %s at position %d, admits no request", recs[0].Type, recs[0].Position)
	}
	t := first.Trace(&recs[0])
	for i := range recs {
		rec := &recs[i]
		switch {
		case rec.Request() != r.Request:
			return t, fmt.Errorf("event %d is of request %q, and the receipt is of %q", rec.Position, short(rec.Request()), short(r.Request))
		case rec.Stream != r.Org:
			return t, fmt.Errorf("event %d is of org %q, and the receipt says %q", rec.Position, short(rec.Stream), short(r.Org))
		case i == 0:
			continue
		case rec.Position <= recs[i-1].Position || rec.Version <= recs[i-1].Version || rec.At <= recs[i-1].At:
			return t, fmt.Errorf("event %d does not come after event %d", rec.Position, recs[i-1].Position)
		case t.SettledPosition != 0:
			return t, fmt.Errorf("event %d comes after the request's end", rec.Position)
		case !t.Follow(rec):
			return t, fmt.Errorf("event %d, %s, does not follow in a request", rec.Position, rec.Type)
		}
	}
	return t, nil
}
