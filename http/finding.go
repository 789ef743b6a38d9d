package http

import (
	"context"

	"waybill/ledger"
	"waybill/router"
)

// unchecked is the state of a credential of which no check has found anything out.
const unchecked = "unchecked"

// check asks the provider about a secret that is to be attached. On a node that makes no calls nothing is found.
func (c *call) check(in newCredential, base string) (f router.Finding, err error) {
	d := c.s.o.Dispatcher
	if d == nil {
		return f, nil
	}
	f = d.Check(c, in.Provider, base, in.Secret, !c.operator && base != "")
	if in.RequireOK && f.Status != ledger.CheckOK {
		return f, invalid("secret", "is not taken by "+in.Provider+": "+f.Message+"; nothing was attached")
	}
	return f, nil
}

// found records what a check of a credential found that was attached just now, and shows the credential.
func (c *call) found(ctx context.Context, id string, f router.Finding) (credential, error) {
	k, err := c.attached(id)
	if err != nil {
		return credential{}, err
	}
	if d := c.s.o.Dispatcher; d != nil && f.Status != "" {
		if err := d.Found(ctx, c.within(), k, f); err != nil {
			return credential{}, err
		}
	}
	row, err := c.credentialOf(id)
	if f.Status != ledger.CheckOK {
		row.Warning = f.Message
	}
	return row, err
}

// recheck asks the provider about an attached credential, and shows it.
func (c *call) recheck(ctx context.Context, id string) (credential, error) {
	k, err := c.attached(id)
	if err != nil {
		return credential{}, err
	}
	f := router.Finding{Status: ledger.CheckOK}
	if d := c.s.o.Dispatcher; d != nil {
		if f, err = d.Verify(ctx, c.within(), k); err != nil {
			return credential{}, err
		}
	}
	row, err := c.credentialOf(id)
	row.Warning = f.Message
	return row, err
}

// within is the caller's By for a further command of the call: an Idempotency-Key is used up by the first.
func (c *call) within() ledger.By { return ledger.By{Actor: c.by.Actor, Cause: c.id} }

func checkCredential(c *call, _ nothing) (credential, error) {
	if c.s.o.Dispatcher == nil {
		return credential{}, &ledger.Error{Code: ledger.CodeUnavailable, Message: "this node makes no calls to providers"}
	}
	return c.recheck(c, c.vars["id"])
}

// failing tells how calls on a credential go now: of several models that fail, since the first.
func (s *Server) failing(st *ledger.State, k *ledger.Credential) (worst router.State) {
	if s.o.Dispatcher == nil {
		return router.State{}
	}
	now := s.o.Now()
	for _, m := range st.Models() {
		if m.Provider != k.Provider {
			continue
		}
		state := s.o.Dispatcher.Health.State(ledger.Choice{Model: m.Name, Credential: k.ID, Kind: k.Kind()}, now)
		if state.Failing && (!worst.Failing || state.Since.Before(worst.Since)) {
			worst = state
		}
	}
	return worst
}
