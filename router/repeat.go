package router

import (
	"context"
	"encoding/json"
	"errors"

	"waybill/ledger"
)

// maxRepeats bounds how often a call may come again under one Idempotency-Key after it was voided.
const maxRepeats = 32

// once admits the first leg, once for an Idempotency-Key: while no request under the key is open or settled. One that was
// voided has used nothing, and its caller was told to try again.
func (r *run) once(c ledger.Admit) (*ledger.RequestAdmitted, error) {
	var e *ledger.RequestAdmitted
	for range maxRepeats {
		rec, err := r.noted(c)
		if err != nil {
			return nil, err
		}
		e = rec.Records[len(rec.Records)-1].Event.(*ledger.RequestAdmitted)
		if !rec.Repeated {
			return e, nil
		}
		open, voided, err := r.voided(e.Request)
		switch {
		case err != nil:
			return nil, err
		case open:
			return nil, r.repeated(e.Request, "is used by request "+e.Request+", which is still being answered")
		case !voided:
			return nil, r.repeated(e.Request, "was used by request "+e.Request+": its answer is not kept")
		}
		c.Who = c.Who.After(e.Request)
	}
	return nil, r.repeated(e.Request, "was used too often: take a new one")
}

// noted admits with what the decision may have read of the request that no log may hold, be it nothing: what is not there is
// erased.
func (r *run) noted(c ledger.Admit) (ledger.Receipt, error) {
	if !c.Inputs.Noted {
		return r.d.Books.Execute(r.client, c)
	}
	text, err := json.Marshal(r.task.Note)
	if err != nil {
		return ledger.Receipt{}, err
	}
	return r.d.Books.ExecuteNoted(r.client, c, c.Request, text)
}

func (r *run) repeated(first, why string) error {
	return &ledger.Error{Code: ledger.CodeRepeated, Of: first, Message: "this Idempotency-Key " + why +
		"; its trace is at GET /api/v1/orgs/" + r.task.Org + "/requests/" + first}
}

// voided tells how an earlier request under the caller's key stands. What is not open never opens again, so that to void it
// once more changes nothing: that is answered as it was the first time, or refused if it ended in another way.
func (r *run) voided(request string) (open, voided bool, err error) {
	r.d.Books.View(func(s *ledger.State) { open = s.Hold(request) != nil })
	if open {
		return true, false, nil
	}
	rec, err := r.d.Books.Execute(context.WithoutCancel(r.client), ledger.Void{Who: r.task.By, Org: r.task.Org, Request: request})
	if e, ok := errors.AsType[*ledger.Error](err); ok && e.Code == ledger.CodeConflict {
		return false, false, nil
	}
	return false, rec.Repeated, err
}
