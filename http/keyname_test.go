package http_test

import (
	"context"
	"encoding/json"
	"testing"

	wbhttp "waybill/http"
	"waybill/ledger"
)

// readNames is names that tell when a key's is read.
type readNames struct {
	names
	read *func()
}

func (n readNames) Label(ctx context.Context, kind, id string) (wbhttp.Label, error) {
	if do := *n.read; kind == "key" && do != nil {
		*n.read = nil
		do()
	}
	return n.names.Label(ctx, kind, id)
}

// A policy that is set in the middle of a call, once it is known which key makes it, knows the name of the key.
func TestPolicySetDuringACall(t *testing.T) {
	var read func()
	n := newNode(t, func(o *wbhttp.Options) { o.Names = readNames{o.Names.(names), &read} })
	org, secret := n.open("acme", "teams")
	read = func() {
		_, err := n.store.Execute(t.Context(), ledger.SetPolicy{Org: org, Who: ledger.By{Actor: "operator", Cause: "policy"},
			Document: json.RawMessage(`{"routes":[{"when":{"key":"first","metadata":{"team":"red"}},"try":[{"model":"google/gemini-2.5-flash-lite"}]}]}`)})
		n.must(err)
	}
	a := n.as(secret).with("Waybill-Metadata", "team=red").chat(luna, "hi", "").want(200)
	if got := a.header.Get("Waybill-Model"); got != "google/gemini-2.5-flash-lite" {
		t.Errorf("answered by %s: the policy did not know the call's key, or what it says of itself", got)
	}
}
