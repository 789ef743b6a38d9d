package router_test

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"waybill/ledger"
	"waybill/ledger/catalogue"
	"waybill/ledger/secret"
	"waybill/router"
	"waybill/router/dialects"
	"waybill/router/sandbox"
	"waybill/store"
)

// node is the router over a real store and the sandbox upstreams.
type node struct {
	t     *testing.T
	store *store.Store
	up    *sandbox.Server
	d     *router.Dispatcher
	stop  context.CancelFunc
	pool  map[string]string // the platform's credential of a provider
	seq   atomic.Int64
}

type secrets map[string]string

func (s secrets) Secret(_ context.Context, c *ledger.Credential) (secret.Text, error) {
	return secret.New(s[c.ID]), nil
}

func newNode(t *testing.T, plans ...ledger.Plan) *node {
	t.Helper()
	dir, who := t.TempDir(), ledger.By{Actor: "operator", Cause: "test"}
	first, err := catalogue.Commands(who)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range plans {
		first = append(first, ledger.DefinePlan{Who: who, Plan: p})
	}
	n := &node{t: t, pool: map[string]string{}}
	for _, provider := range []string{"openai", "anthropic", "google"} {
		id := "cred_" + provider
		n.pool[provider] = id
		first = append(first, ledger.AttachCredential{Who: who, Org: ledger.Platform, Credential: id, Provider: provider, Fingerprint: "test", Use: ledger.UsePrefer})
	}
	if err := store.Create(t.Context(), store.Options{Dir: dir, Ballast: -1}, first); err != nil {
		t.Fatal(err)
	}
	if n.store, err = store.Open(t.Context(), store.Options{Dir: dir, Ballast: -1}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.store.Close() })
	if n.up, err = sandbox.Listen("127.0.0.1:0", sandbox.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.up.Close() })
	providers := map[string]router.Provider{}
	for name, p := range dialects.Providers {
		providers[name] = router.Provider{Dialects: p.Dialects, BaseURL: n.up.BaseURL(name)}
	}
	stop, cancel := context.WithCancel(context.Background())
	n.stop = cancel
	t.Cleanup(cancel)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
	t.Cleanup(client.CloseIdleConnections)
	n.d = &router.Dispatcher{Books: n.store, Secrets: secrets{}, Upstreams: dialects.Upstreams, Providers: providers,
		Client: client, Health: router.NewHealth(), Memory: router.NewMemory(), Now: time.Now, Timeouts: router.DefaultTimeouts, Stop: stop}
	n.d.Secrets = secrets{"cred_openai": "sk-1", "cred_anthropic": "sk-2", "cred_google": "sk-3", "cred_own": "sk-own", "cred_dead": "sk-sandbox-fail-invalid-key"}
	return n
}

func (n *node) do(c ledger.Command) ledger.Receipt {
	n.t.Helper()
	r, err := n.store.Execute(n.t.Context(), c)
	if err != nil {
		n.t.Fatalf("%T: %v", c, err)
	}
	return r
}

func (n *node) open(org, plan string) { n.t.Helper(); n.do(ledger.OpenOrg{Org: org, Plan: plan}) }

func (n *node) buy(org, lot string, amount ledger.Nano) {
	n.t.Helper()
	n.do(ledger.PurchaseCredit{Org: org, Lot: lot, Amount: amount, Paid: amount, Reference: "pay-" + lot})
}

// answer is what a caller got.
type answer struct {
	facts   router.Facts
	started bool
	body    bytes.Buffer
	failure *router.Failure
	id      string
}

func (a *answer) Start(f router.Facts) { a.facts, a.started = f, true }
func (a *answer) Send(b []byte) error  { a.body.Write(b); return nil }
func (a *answer) text() string         { return a.body.String() }
func (a *answer) whole() bool          { return strings.Contains(a.text(), "[DONE]") }
func (a *answer) code() (code string) {
	if a.failure != nil {
		code = a.failure.Code
	}
	return code
}

// ask makes a call: a model and the user's words, in the caller's JSON where more is given.
func (n *node) ask(ctx context.Context, org, model, words string, more string) *answer {
	body := fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":%q}]%s}`, model, words, more)
	return n.send(ctx, org, []byte(body))
}

func (n *node) send(ctx context.Context, org string, body []byte) *answer {
	in := dialects.Inbounds[ledger.DialectOpenAIChat]
	a := &answer{id: fmt.Sprintf("req_%06d", n.seq.Add(1))}
	q, err := in.Decode(router.Incoming{Body: body})
	if err != nil {
		a.failure = router.FailureOf(err)
		return a
	}
	a.failure = n.d.Do(ctx, router.Task{ID: a.id, By: ledger.By{Actor: "test", Cause: a.id}, Org: org, Request: q, Inbound: in}, a)
	return a
}

// log is all that the log has.
func (n *node) log() iter.Seq[*ledger.Record] {
	return func(yield func(*ledger.Record) bool) {
		for after := uint64(0); ; {
			page, err := n.store.Page(n.t.Context(), after, 1000)
			if err != nil {
				n.t.Fatal(err)
			}
			if len(page) == 0 {
				return
			}
			for i := range page {
				if !yield(&page[i]) {
					return
				}
			}
			after = page[len(page)-1].Position
		}
	}
}

// trace is the events of a request, as the log has them.
func (n *node) trace(request string) (out []ledger.Event) {
	n.t.Helper()
	for r := range n.log() {
		if r.Request() != request {
			continue
		}
		out = append(out, r.Event)
		for _, a := range r.Attempted() { // whatever a test is about, no word in a trace is unknown
			if a.Outcome == ledger.Skipped && router.Meaning(a.Reason) == "" || a.Outcome == ledger.Failed && router.Meaning(a.Class) == "" {
				n.t.Errorf("nobody is told what is meant by %+v", a)
			}
		}
	}
	return out
}

func (n *node) balance(a ledger.Account, u ledger.Unit) (amount int64) {
	n.store.View(func(s *ledger.State) { amount = s.Balance(a, u) })
	return amount
}

func (n *node) holds() (open int) {
	n.store.View(func(s *ledger.State) { open = len(s.Holds()) })
	return open
}

var inbound = dialects.Inbounds[ledger.DialectOpenAIChat]

func decode(t *testing.T, body string) *router.Request {
	t.Helper()
	q, err := inbound.Decode(router.Incoming{Body: []byte(body)})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// leaving is a caller who leaves at the first content.
type leaving struct{ leave context.CancelFunc }

func (l *leaving) Start(router.Facts) {}
func (l *leaving) Send([]byte) error {
	l.leave()
	return context.Canceled
}

// task is a call as ask makes it.
func (n *node) task(id, org, model, words, more string) router.Task {
	n.t.Helper()
	in := dialects.Inbounds[ledger.DialectOpenAIChat]
	q, err := in.Decode(router.Incoming{Body: fmt.Appendf(nil, `{"model":%q,"messages":[{"role":"user","content":%q}]%s}`, model, words, more)})
	if err != nil {
		n.t.Fatal(err)
	}
	return router.Task{ID: id, By: ledger.By{Actor: "test", Cause: id}, Org: org, Request: q, Inbound: in}
}
