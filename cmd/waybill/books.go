package main

import (
	"context"

	wbhttp "waybill/http"
	"waybill/ledger"
	"waybill/ledger/secret"
	"waybill/store"
)

// The server and the store do not know each other: each row here says one's words in the other's.

// secrets is the vault to the server and the router.
type secrets struct{ vault *store.Vault }

func (s secrets) Put(ctx context.Context, org, credential string, v secret.Text) (fingerprint string, err error) {
	return store.Fingerprint(v), s.vault.Put(ctx, org, credential, v)
}

func (s secrets) Secret(ctx context.Context, c *ledger.Credential) (secret.Text, error) {
	return s.vault.Get(ctx, c.Org, c.ID)
}

func (s secrets) Delete(ctx context.Context, org, credential string) error {
	return s.vault.Delete(ctx, org, credential)
}

// names is the store's labels, as the server knows them.
type names struct{ *store.Store }

func (n names) ExecuteNamed(ctx context.Context, c ledger.Command, labels ...wbhttp.Label) (ledger.Receipt, error) {
	own := make([]store.Label, len(labels))
	for i, l := range labels {
		own[i] = store.Label(l)
	}
	return n.Store.ExecuteNamed(ctx, c, own...)
}

func (n names) Labels(ctx context.Context, kind, scope string) ([]wbhttp.Label, error) {
	labels, err := n.Store.Labels(ctx, kind, scope)
	all := make([]wbhttp.Label, len(labels))
	for i, l := range labels {
		all[i] = wbhttp.Label(l)
	}
	return all, err
}

func (n names) Label(ctx context.Context, kind, id string) (wbhttp.Label, error) {
	l, err := n.Store.Label(ctx, kind, id)
	return wbhttp.Label(l), err
}

func (n names) Rename(ctx context.Context, l wbhttp.Label) error {
	return n.Store.Rename(ctx, store.Label(l))
}

// reports is the tables behind the log, as the server knows them.
type reports struct{ *store.Reports }

func (r reports) Requests(ctx context.Context, q wbhttp.RequestQuery) ([]ledger.Trace, error) {
	return r.Reports.Requests(ctx, store.RequestQuery(q))
}

func (r reports) Request(ctx context.Context, org, id string) (ledger.Trace, []ledger.Record, error) {
	d, err := r.Reports.Request(ctx, org, id)
	return d.Trace, d.Records, err
}

func (r reports) Entries(ctx context.Context, q wbhttp.EntryQuery) ([]wbhttp.Entry, error) {
	es, err := r.Reports.Entries(ctx, store.EntryQuery(q))
	all := make([]wbhttp.Entry, len(es))
	for i, e := range es {
		all[i] = wbhttp.Entry(e)
	}
	return all, err
}

func (r reports) Usage(ctx context.Context, q wbhttp.UsageQuery) ([]wbhttp.UsageRow, error) {
	us, err := r.Reports.Usage(ctx, store.UsageQuery(q))
	all := make([]wbhttp.UsageRow, len(us))
	for i, u := range us {
		all[i] = wbhttp.UsageRow{Day: u.Day, Key: u.Key, Model: u.Model, Kind: u.Kind, Requests: u.Requests, Settled: u.Settled, Usage: u.Usage,
			PlanTokens: u.PlanTokens, Charge: u.Charge, ListCost: u.ListCost, Skipped: u.Skipped, Overage: u.Overage}
	}
	return all, err
}
