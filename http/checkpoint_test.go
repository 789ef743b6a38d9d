package http_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	wbhttp "waybill/http"
	"waybill/ledger"
	"waybill/store"
)

// notary is the store's, as the server knows it.
type notary struct{ *store.Notary }

func (n notary) Checkpoint(ctx context.Context) (wbhttp.Checkpoint, error) {
	c, err := n.Fresh(ctx)
	return wbhttp.Checkpoint{Note: c.Note, Key: c.Key, Origin: c.Origin(), Epoch: c.Epoch, Position: c.Position, Hash: hex.EncodeToString(c.Hash[:]), SignedAt: wbhttp.Time(c.At)}, err
}

func (n notary) Receipt(ctx context.Context, recs []ledger.Record) (wbhttp.Receipt, error) {
	r, err := n.Notary.Receipt(ctx, recs)
	return wbhttp.Receipt(r), err
}

// TestReceiptsOfTwoOrgs: an org's admin proves the org's own requests, nobody's else, and gets nothing of others with it.
func TestReceiptsOfTwoOrgs(t *testing.T) {
	n := newNode(t, func(o *wbhttp.Options) {
		signer, err := store.OpenNotary(t.Context(), o.Books.(*store.Store), o.Vault.(secrets).vault, store.NotaryOptions{Now: o.Now})
		if err != nil {
			t.Fatal(err)
		}
		o.Notary = notary{signer}
	})
	acme, acmeKey := n.open("acme", "teams", "inference", "admin")
	beta, betaKey := n.open("beta", "teams", "inference", "admin")
	_, plainKey := n.open("gamma", "teams")
	ids := map[string]string{}
	for org, key := range map[string]string{acme: acmeKey, beta: betaKey} {
		ids[org] = n.as(key).chat("openai/gpt-6-luna", "Hello", `,"max_completion_tokens":100`).want(200).header.Get("Waybill-Request")
	}
	path := func(org, of string) string { return fmt.Sprintf("/api/v1/orgs/%s/requests/%s/receipt", org, of) }
	op := n.as(operatorToken)
	for org, key := range map[string]string{acme: acmeKey, beta: betaKey} {
		a := n.as(key).call("GET", path(org, ids[org]), "").want(200)
		r, err := store.ParseReceipt(a.body)
		if err != nil {
			t.Fatal(err)
		}
		public := op.call("GET", "/api/v1/checkpoint", "").want(200).text("key")
		p, err := r.Check(public)
		if err != nil || p.Trace.Org != org || p.Trace.ID != ids[org] || p.Trace.State != "settled" || p.Trace.PlanTokens == 0 || len(p.Records) != 2 {
			t.Fatalf("%+v, %v", p, err)
		}
		seen := string(a.body)
		for i := range p.Records {
			seen += string(p.Records[i].AppendLeaf(nil))
		}
		for _, proof := range r.Proofs {
			_, extra, _ := strings.Cut(proof, "extra ")
			extra, _, _ = strings.Cut(extra, "\n")
			leaf, err := base64.StdEncoding.DecodeString(extra)
			if err != nil {
				t.Fatal(err)
			}
			seen += string(leaf)
		}
		for other, id := range ids {
			if other != org && (strings.Contains(seen, other) || strings.Contains(seen, id)) {
				t.Errorf("a receipt of %s has something of %s: %s", org, other, seen)
			}
		}
		if b := op.call("GET", "/api/v1/requests/"+ids[org]+"/receipt", "").want(200); b.text("org") != org {
			t.Errorf("%s", b.body)
		}
	}
	none := ids[beta][:20] + strings.Repeat("0", 16) // of the same time, which the text tells
	unknown := n.as(acmeKey).call("GET", path(acme, none), "").want(404)
	theirs := n.as(acmeKey).call("GET", path(acme, ids[beta]), "").want(404)
	if strings.ReplaceAll(theirs.text("detail"), ids[beta], "it") != strings.ReplaceAll(unknown.text("detail"), none, "it") {
		t.Errorf("a request of another org is told from one that is not there: %s, %s", theirs.body, unknown.body)
	}
	n.as(acmeKey).call("GET", path(beta, ids[beta]), "").want(404)
	n.as(acmeKey).call("GET", "/api/v1/requests/"+ids[acme]+"/receipt", "").want(403)
	n.as(plainKey).call("GET", path("gamma", ids[acme]), "").want(403)
	n.as("").call("GET", path(acme, ids[acme]), "").want(401)

	// Whoever may have receipts may have the checkpoint, and nobody else.
	n.as(acmeKey).call("GET", "/api/v1/checkpoint", "").want(200)
	n.as(plainKey).call("GET", "/api/v1/checkpoint", "").want(403)
	n.as("").call("GET", "/api/v1/checkpoint", "").want(401)
	head := op.call("GET", "/healthz", "").get("position")
	c := op.call("GET", "/api/v1/checkpoint", "").want(200)
	if c.get("position") != head || !strings.HasPrefix(c.text("checkpoint"), c.text("origin")+"\n") {
		t.Errorf("the log is at %v, and signed is %s", head, c.body)
	}
	if again := op.call("GET", "/api/v1/checkpoint", "").want(200); string(again.body) != string(c.body) {
		t.Errorf("a log that did not grow is signed again: %s, then %s", c.body, again.body)
	}
}
