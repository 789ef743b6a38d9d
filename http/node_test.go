package http_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	wbhttp "waybill/http"
	"waybill/ledger"
	"waybill/ledger/catalogue"
	"waybill/ledger/secret"
	"waybill/router"
	"waybill/router/dialects"
	"waybill/router/routertest"
	"waybill/router/sandbox"
	"waybill/store"
)

// node is a server over a real store, a real vault and the sandbox upstreams.
type node struct {
	t      testing.TB
	store  *store.Store
	up     *sandbox.Server
	server *wbhttp.Server
	url    string
	log    *journal // the node's own
}

// journal is a log that can be read while it is written.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// publicNames stand for an address of the Internet's, which no test calls.
var publicNames = routertest.Names{"llm.example.com.": {routertest.Addrs("8.8.8.8")}, "ours.openai.azure.com.": {routertest.Addrs("8.8.8.8")},
	"private.example.com.": {routertest.Addrs("10.0.0.7")}, "rebound.example.com.": {routertest.Addrs("8.8.8.8"), routertest.Addrs("127.0.0.1")}}

const operatorToken = "wbo_the-operators-own-token"

// newNode starts a node. change, if not nil, has the last word on its parts.
func newNode(t testing.TB, change func(*wbhttp.Options)) *node {
	t.Helper()
	return newNodeAt(t, time.Now, change)
}

// newNodeAt starts one that goes by a clock.
func newNodeAt(t testing.TB, now func() time.Time, change func(*wbhttp.Options)) *node {
	t.Helper()
	n := &node{t: t, log: new(journal)}
	dir := t.TempDir()
	first, err := catalogue.Commands(ledger.By{Actor: "operator", Cause: "test"})
	n.must(err)
	n.must(store.Create(t.Context(), store.Options{Dir: dir, Now: now, Ballast: -1}, first))
	n.store, err = store.Open(t.Context(), store.Options{Dir: dir, Now: now, Ballast: -1})
	n.must(err)
	t.Cleanup(func() { n.store.Close() })
	keyFile := filepath.Join(t.TempDir(), "master.key")
	master, err := store.CreateMasterKey(keyFile)
	n.must(err)
	vault, err := store.OpenVault(t.Context(), dir, master)
	n.must(err)
	t.Cleanup(func() { vault.Close() })
	tables, err := store.OpenReports(t.Context(), dir, n.store)
	n.must(err)
	t.Cleanup(func() { tables.Close() })
	tables.Follow(n.store)
	n.up, err = sandbox.Listen("127.0.0.1:0", sandbox.Options{})
	n.must(err)
	t.Cleanup(func() { n.up.Close() })
	stop, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	providers := map[string]router.Provider{}
	for name, p := range dialects.Providers {
		providers[name] = router.Provider{Dialects: p.Dialects, BaseURL: n.up.BaseURL(name)}
	}
	client := router.NewClient(time.Second)
	t.Cleanup(client.CloseIdleConnections)
	o := wbhttp.Options{
		Books: n.store, Log: n.store, Names: names{n.store}, Reports: reports{tables}, Tables: files{dir}, Vault: secrets{vault}, Custody: custody{vault, keyFile},
		Dispatcher: &router.Dispatcher{Books: n.store, Secrets: secrets{vault}, Upstreams: dialects.Upstreams, Providers: providers,
			Client: client, Fence: router.NewFence(nil, publicNames.Resolver(t), time.Second), Health: router.NewHealth(), Memory: router.NewMemory(), Now: now, Timeouts: router.DefaultTimeouts, Stop: stop},
		Inbounds: dialects.Inbounds, Providers: slices.Sorted(maps.Keys(dialects.Providers)), OperatorHash: wbhttp.Hash(operatorToken),
		Now: now, NewID: newID, Logger: slog.New(slog.NewTextHandler(n.log, nil)), Stop: cancel, Version: "test",
	}
	if change != nil {
		change(&o)
	}
	n.server, err = wbhttp.New(o)
	n.must(err)
	front := httptest.NewServer(n.server)
	t.Cleanup(front.Close)
	n.url = front.URL
	for _, provider := range []string{"openai", "anthropic", "google"} {
		n.as(operatorToken).call("POST", "/api/v1/platform/credentials", fmt.Sprintf(`{"provider":%q,"secret":"sk-platform-%s"}`, provider, provider)).want(201)
	}
	return n
}

func (n *node) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

func newID() string {
	id := uuid.Must(uuid.NewV7())
	return hex.EncodeToString(id[:])
}

// person makes calls with a secret.
type person struct {
	*node
	secret string
	header http.Header
}

func (n *node) as(secret string) person { return person{n, secret, http.Header{}} }

// with adds a header to the person's calls.
func (p person) with(name, value string) person {
	p.header = p.header.Clone()
	p.header.Set(name, value)
	return p
}

// answer is what a call got.
type answer struct {
	t      testing.TB
	asked  string
	status int
	header http.Header
	body   []byte
}

func (p person) send(method, path string, body io.Reader) *http.Response {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, body)
	p.must(err)
	maps.Copy(req.Header, p.header)
	if p.secret != "" {
		req.Header.Set("Authorization", "Bearer "+p.secret)
	}
	resp, err := http.DefaultClient.Do(req)
	p.must(err)
	return resp
}

func (p person) call(method, path, body string) answer {
	p.t.Helper()
	resp := p.send(method, path, strings.NewReader(body))
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	p.must(err)
	return answer{p.t, method + " " + path, resp.StatusCode, resp.Header, b}
}

func (a answer) want(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s: status %d, want %d: %s", a.asked, a.status, status, a.body)
	}
	return a
}

// get reads a member of the answer, by a path such as plan.tokens or lots.0.id.
func (a answer) get(path string) any {
	a.t.Helper()
	var v any
	if err := json.Unmarshal(a.body, &v); err != nil {
		a.t.Fatalf("%s: %v: %s", a.asked, err, a.body)
	}
	for _, step := range strings.Split(path, ".") {
		switch w := v.(type) {
		case map[string]any:
			v = w[step]
		case []any:
			var i int
			if _, err := fmt.Sscan(step, &i); err != nil || i >= len(w) {
				return nil
			}
			v = w[i]
		default:
			return nil
		}
	}
	return v
}

func (a answer) text(path string) string {
	s, _ := a.get(path).(string)
	return s
}

// open opens an org on a plan and gives its id and the secret of a key with some scopes.
func (n *node) open(name, plan string, scopes ...string) (org, secret string) {
	n.t.Helper()
	op := n.as(operatorToken)
	org = op.call("POST", "/api/v1/orgs", fmt.Sprintf(`{"name":%q,"plan":%q}`, name, plan)).want(201).text("id")
	if len(scopes) == 0 {
		scopes = []string{"inference"}
	}
	list, err := json.Marshal(scopes)
	n.must(err)
	return org, op.call("POST", "/api/v1/orgs/"+org+"/keys", fmt.Sprintf(`{"name":"first","scopes":%s}`, list)).want(201).text("key")
}

func chatBody(model, words, more string) string {
	return fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":%q}]%s}`, model, words, more)
}

func (p person) chat(model, words, more string) answer {
	p.t.Helper()
	return p.call("POST", "/v1/chat/completions", chatBody(model, words, more))
}

// holds counts the requests that are open.
func (n *node) holds() (open int) {
	n.store.View(func(s *ledger.State) { open = len(s.Holds()) })
	return open
}

// The server and the store do not know each other: these say one's words in the other's.

type secrets struct{ vault *store.Vault }

func (s secrets) Put(ctx context.Context, org, credential string, v secret.Text) (string, error) {
	return store.Fingerprint(v), s.vault.Put(ctx, org, credential, v)
}

func (s secrets) Secret(ctx context.Context, c *ledger.Credential) (secret.Text, error) {
	return s.vault.Get(ctx, c.Org, c.ID)
}

func (s secrets) Delete(ctx context.Context, org, credential string) error {
	return s.vault.Delete(ctx, org, credential)
}

type names struct{ *store.Store }

func (n names) ExecuteNamed(ctx context.Context, c ledger.Command, labels ...wbhttp.Label) (ledger.Receipt, error) {
	var own []store.Label
	for _, l := range labels {
		own = append(own, store.Label(l))
	}
	return n.Store.ExecuteNamed(ctx, c, own...)
}

func (n names) Labels(ctx context.Context, kind, scope string) (all []wbhttp.Label, err error) {
	labels, err := n.Store.Labels(ctx, kind, scope)
	for _, l := range labels {
		all = append(all, wbhttp.Label(l))
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

type reports struct{ *store.Reports }

func (r reports) Requests(ctx context.Context, q wbhttp.RequestQuery) ([]ledger.Trace, error) {
	return r.Reports.Requests(ctx, store.RequestQuery(q))
}

func (r reports) Request(ctx context.Context, org, id string) (ledger.Trace, []ledger.Record, error) {
	d, err := r.Reports.Request(ctx, org, id)
	return d.Trace, d.Records, err
}

func (r reports) Entries(ctx context.Context, q wbhttp.EntryQuery) (all []wbhttp.Entry, err error) {
	es, err := r.Reports.Entries(ctx, store.EntryQuery(q))
	for _, e := range es {
		all = append(all, wbhttp.Entry(e))
	}
	return all, err
}

func (r reports) Usage(ctx context.Context, q wbhttp.UsageQuery) (all []wbhttp.UsageRow, err error) {
	us, err := r.Reports.Usage(ctx, store.UsageQuery(q))
	for _, u := range us {
		all = append(all, wbhttp.UsageRow{Day: u.Day, Key: u.Key, Model: u.Model, Kind: u.Kind, Requests: u.Requests, Settled: u.Settled, Usage: u.Usage,
			PlanTokens: u.PlanTokens, Charge: u.Charge, ListCost: u.ListCost, Skipped: u.Skipped, Overage: u.Overage})
	}
	return all, err
}

// files are the data folder's tables.
type files struct{ dir string }

func (f files) Query(ctx context.Context, query string, most int) (columns []string, all [][]any, err error) {
	rows, err := store.Query(ctx, f.dir, query, store.Limits{Rows: most})
	if err != nil {
		return nil, nil, asked(err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for row, err := range rows.All() {
		if err != nil {
			return nil, nil, asked(err)
		}
		all = append(all, row)
	}
	return rows.Columns, all, nil
}

func (f files) Export(ctx context.Context, w io.Writer, e wbhttp.ExportQuery) (err error) {
	r, err := store.OpenReader(ctx, f.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	_, err = store.Export(ctx, r, w, store.ExportOptions{Format: store.Format(e.Format), Dialect: store.Dialect(e.Dialect), Table: e.Table, Org: e.Org, Since: e.Since})
	return asked(err)
}

func asked(err error) error {
	if q, wrong := errors.AsType[*store.QueryError](err); wrong {
		return &wbhttp.QueryError{Reason: q.Error()}
	}
	return err
}
