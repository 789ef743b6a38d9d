package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	wbhttp "waybill/http"
	"waybill/ledger"
	"waybill/ledger/secret"
	"waybill/router/sandbox"
	"waybill/store"
)

var demoCommand = command{
	name:  "demo",
	about: "the first minute: a node with sandbox upstreams, orgs and keys, on a temporary folder",
	more: "Needs no key, no file and no service, and leaves nothing behind. The upstreams are a sandbox on loopback that speaks the\n" +
		"three providers' wire formats. With --once it tells one whole story instead, and exits: plan tokens, add-on credit,\n" +
		"refusals, an own key, a fallback, and the proof. Every figure in it is read from the log.",
	example:  []string{"waybill demo", "waybill demo --once"},
	settings: []string{"listen"},
	alone:    true,
	setup: func(f *flags) action {
		once := f.Bool("once", false, "tell the story and exit; status 1 if a step is not as told")
		asJSON := f.Bool("json", false, "print the address and the keys as one line of JSON, then serve")
		return func(ctx context.Context, w *work, _ []string) error {
			return demo(ctx, w, *once, *asJSON)
		}
	},
}

// demoOrgs are the orgs of the demo.
var demoOrgs = []struct{ name, plan, about string }{
	{"hobby", "free", "5 free messages, on the Auto lane"},
	{"startup", "starter", "10,000,000 plan tokens a month, on the Auto lane"},
	{"company", "teams", "20,000,000 plan tokens a month, on every model"},
	{"lab", "free", "an Anthropic key of its own: every Claude model, charged nothing"},
}

// demoKey is the key of an org of the demo. It is the same each time, so that a line in the README works; it opens nothing
// but a sandbox.
func demoKey(org string) (string, error) {
	return wbhttp.NewKey(strings.NewReader(strings.Repeat("the key of "+org+" in the demo, ", 8)))
}

// demonstration is a node on a temporary folder, its upstreams and its orgs.
type demonstration struct {
	w    *work
	up   *sandbox.Server
	api  *api
	url  string
	keys map[string]string // by org
}

func demo(ctx context.Context, w *work, once, asJSON bool) (err error) {
	dir, err := os.MkdirTemp("", "waybill-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	up, err := sandbox.Listen("127.0.0.1:0", sandbox.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, up.Close()) }()
	d := &demonstration{w: w, up: up, keys: map[string]string{}}
	// What the demo does hangs on nothing but the address that it was given: not on keys that may be in the environment.
	listen := w.conf.listen
	w.conf = defaults()
	w.conf.listen, w.conf.data, w.conf.masterKeyFile = freeOr(listen, once), filepath.Join(dir, "data"), filepath.Join(dir, "data.key")
	w.conf.drainTimeout = time.Second
	w.conf.allowPrivate = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} // where the sandbox is
	for _, p := range []string{sandbox.OpenAI, sandbox.Anthropic, sandbox.Google} {
		w.conf.baseURL[p], w.conf.platform[p] = up.BaseURL(p), secret.New("sk-sandbox-platform-"+p)
	}
	if _, err := create(ctx, w.conf, nil); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	log := slog.New(slog.NewTextHandler(w.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return serve(ctx, w, nodeOptions{log: log}, func(n *node, url string) error {
		d.api, d.url = n.api(), url
		if err := d.seed(ctx, n); err != nil {
			return err
		}
		switch {
		case once:
			defer cancel()
			return d.tell(ctx)
		case asJSON:
			return jsonLine(w.stdout, map[string]any{"url": url, "data": w.conf.data, "keys": d.keys})
		}
		return d.greet()
	})
}

// freeOr is the address to listen on: the given one, but any free port where the usual one is taken, or nobody needs it.
func freeOr(listen string, once bool) string {
	if listen != defaults().listen {
		return listen
	}
	l, err := net.Listen("tcp", listen)
	if err != nil || once {
		listen = "127.0.0.1:0"
	}
	if err == nil {
		l.Close()
	}
	return listen
}

// seed opens the orgs and issues their keys.
func (d *demonstration) seed(ctx context.Context, n *node) error {
	for _, o := range demoOrgs {
		var org orgView
		if err := d.api.post(ctx, "/orgs", map[string]any{"name": o.name, "plan": o.plan}, &org); err != nil {
			return err
		}
		secret, err := demoKey(o.name)
		if err != nil {
			return err
		}
		d.keys[o.name] = secret
		id := "key_demo_" + o.name
		issue := ledger.IssueKey{Who: ledger.By{Actor: "operator", Cause: "demo"}, Org: org.ID, Key: id, Hash: digest(secret), Scopes: []ledger.Scope{ledger.ScopeInference}}
		if _, err := n.store.ExecuteNamed(ctx, issue, store.Label{Kind: "key", ID: id, Scope: org.ID, Name: "demo"}); err != nil {
			return err
		}
	}
	return d.api.post(ctx, "/orgs/lab/credentials", map[string]any{"provider": "anthropic", "name": "ours", "secret": "sk-ant-sandbox-lab-own"}, nil)
}

// greet says what there is and what to try.
func (d *demonstration) greet() error {
	w := d.w
	w.printf("waybill listens on %s and calls a sandbox in place of OpenAI, Anthropic and Google.\n", d.url)
	w.printf("Nothing here costs anything. Ctrl-C ends it, and its folder goes with it.\n\n")
	t := newTable("org", "plan", "key", "what it has")
	for _, o := range demoOrgs {
		t.row(o.name, o.plan, d.keys[o.name], o.about)
	}
	if err := t.write(w.stdout); err != nil {
		return err
	}
	w.printf("\nA call that plan tokens of company pay for:\n\n%s\n", indented(demoCurl(d.url, d.keys["company"])))
	w.printf("\nWhat became of it, in another terminal:\n\n")
	for _, c := range []string{"balance company", "log tail", "sql \"SELECT id, model, plan_tokens, charge_nano FROM requests\"", "verify"} {
		w.printf("  waybill %s --data %s\n", c, w.conf.data)
	}
	return nil
}

// demoCurl is a call for the shell.
func demoCurl(url, key string) string {
	return fmt.Sprintf(`curl %s/v1/chat/completions \
  -H "Authorization: Bearer %s" \
  -H "Content-Type: application/json" \
  -d '{"model": "anthropic/claude-haiku-5-5", "messages": [{"role": "user", "content": "Hello"}]}'`, url, key)
}

func indented(s string) string { return "  " + strings.ReplaceAll(s, "\n", "\n  ") }
