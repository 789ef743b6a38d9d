package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	wbhttp "waybill/http"
	"waybill/ledger"
	"waybill/router"
	"waybill/router/dialects"
	"waybill/store"
)

var serveCommand = command{
	name:  "serve",
	about: "run the node",
	more: "Serves the OpenAI, Anthropic and Gemini dialects and the control API until SIGTERM or Ctrl-C, then lets open calls end.\n" +
		"Calls that an earlier run left open are resolved first, by the recovery rule. The keys that the providers' own clients\n" +
		"read from the environment, such as OPENAI_API_KEY, become the platform's credentials the first time that they are seen.\n" +
		"The log of the process goes to stderr and holds no secrets.",
	example:  []string{"waybill serve", "waybill serve --data /var/lib/waybill --listen 127.0.0.1:9000"},
	settings: []string{"listen", "tls-domain", "tls-cert", "tls-key", "drain-timeout", "recovery", "allow-private", "litestream", "durability"},
	setup: func(f *flags) action {
		acceptClock := f.Bool("accept-clock", false, "start though the clock stands behind the log's last event")
		newKey := f.Bool("accept-new-key", false, "sign checkpoints with a new key, though the vault has lost the one that has signed")
		restore := f.Bool("restore", false, "if the data folder has no log, restore it first from the replica that litestream.yml names")
		return func(ctx context.Context, w *work, _ []string) error {
			return serve(ctx, w, nodeOptions{log: slog.New(slog.NewTextHandler(w.stderr, nil)), acceptClock: *acceptClock, newKey: *newKey, restore: *restore, replicate: true}, nil)
		}
	},
}

// socketName is the node's Unix socket in its data folder: whoever can open it is the operator.
const socketName = "waybill.sock"

// serve runs a node until ctx ends. ready, if not nil, is told where it listens, in place of the line that says so.
func serve(ctx context.Context, w *work, o nodeOptions, ready func(n *node, url string) error) (err error) {
	if w.env["GOGC"] == "" {
		// The heap is small and what a call allocates is soon garbage: collecting half as often costs a few megabytes and
		// saves a tenth of the processor's time under load.
		debug.SetGCPercent(200)
	}
	o.serves = true
	n, err := openNode(ctx, w.conf, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	url, err := n.listen()
	if err != nil {
		return err
	}
	if err := n.server.ListenUnix(filepath.Join(w.conf.data, socketName)); err != nil {
		return errors.Join(err, n.server.Close())
	}
	served := make(chan error, 1)
	go func() { served <- n.server.Serve() }()
	defer n.behind(ctx, n.verify)()
	defer n.behind(ctx, n.checker.Run)()
	defer n.behind(ctx, n.drills)()
	defer n.behind(ctx, n.sign)()
	head, _ := n.head()
	o.log.Info("serving", slog.String("address", url), slog.String("data", w.conf.data), slog.Uint64("position", head), slog.String("version", version()))
	if ready == nil {
		w.printf("waybill listens on %s (data in %s, %s)\n", url, w.conf.data, counted(int64(head), "event"))
	} else if err := ready(n, url); err != nil {
		return errors.Join(err, n.server.Close(), <-served)
	}
	select {
	case <-ctx.Done():
		o.log.Info("stopping", slog.Duration("drain_timeout", w.conf.drainTimeout))
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.conf.drainTimeout)
		defer cancel()
		err := errors.Join(n.server.Drain(drain), <-served)
		n.signLast()
		return err
	case err := <-n.store.Failed():
		// What is on disk is not known: nothing more may be promised. The next start reads it and recovers.
		return errors.Join(fmt.Errorf("the log cannot be written any more, and the node ends: start it again: %w", err), n.server.Close(), <-served)
	case err := <-served:
		return err
	}
}

// node is an open data folder, and everything that serves from it.
type node struct {
	conf        config
	log         *slog.Logger
	world       world
	lock        *store.Lock
	replication *store.Replication // nil: none
	store       *store.Store
	vault       *store.Vault
	notary      *store.Notary
	reports     *store.Reports
	server      *wbhttp.Server
	checker     *router.Checker                  // of the credentials
	stop        context.CancelFunc               // ends the calls that are open
	differs     atomic.Pointer[store.Difference] // the first that a check of the log has found
	verified    atomic.Pointer[verification]
	within      time.Duration // how long an answer waits for the replica
}

type nodeOptions struct {
	log         *slog.Logger
	acceptClock bool
	serves      bool // it takes up what the last run left; a command that opens the folder for itself changes nothing unasked
	newKey      bool // sign with a new key where the vault has lost the one that has signed
	restore     bool // if there is no log, from the replica
	replicate   bool // start the replication that the configuration names
	world       world
	within      time.Duration // how long an answer waits for the replica; 0: confirmWithin
}

// openNode opens what a node consists of, in the order of its dependencies, and brings it to a state from which it can
// serve. What it has opened is closed again if it fails.
func openNode(ctx context.Context, c config, o nodeOptions) (n *node, err error) {
	n = &node{conf: c, log: o.log, world: o.world.orReal(), within: cmp.Or(o.within, confirmWithin)}
	defer func() {
		if err != nil {
			n, err = nil, errors.Join(err, n.close())
		}
	}()
	if c.durability.waits() && c.litestream == "" {
		return n, fmt.Errorf("durability %s is a promise about a replica, and none is named: name it in litestream.yml (--litestream FILE), or take durability local", c.durability)
	}
	if err := n.ensureLog(ctx, o); err != nil {
		return n, err
	}
	master, err := store.ReadMasterKey(c.masterKeyFile)
	if err != nil {
		return n, err
	}
	if n.lock, err = store.TakeLock(c.data); err != nil {
		return n, err
	}
	if (o.replicate || c.durability.waits()) && c.litestream != "" {
		if n.replication, err = replicate(ctx, c, o.log); err != nil {
			return n, err
		}
	}
	if n.store, err = store.Open(ctx, store.Options{Dir: c.data, Lock: n.lock, AcceptClock: o.acceptClock, Replicated: n.replication != nil,
		Now: n.world.now, Elapsed: n.world.elapsed, NewID: func() [16]byte { return n.world.eventID() }, Disk: n.world.disk, Ballast: n.world.ballast}); err != nil {
		return n, err
	}
	if n.vault, err = store.OpenVault(ctx, c.data, master); err != nil {
		return n, err
	}
	if n.replication != nil {
		n.vault.ReplicatedBy(n.replication)
	}
	if err := n.openNotary(ctx, o); err != nil {
		return n, err
	}
	if n.replication != nil { // now that the two files are known to be the newest of this node
		n.replication.Follow(n.store)
		n.replication.Begin()
	}
	if n.reports, err = store.OpenReports(ctx, c.data, n.store); err != nil {
		return n, err
	}
	n.reports.Follow(n.store)
	if o.serves {
		if err := errors.Join(n.reapply(ctx), n.resolve(ctx), n.adopt(ctx), n.takeToken(ctx)); err != nil {
			return n, err
		}
	}
	n.server, err = n.newServer(ctx, o)
	return n, err
}

// replicate makes ready the replication of the node's two files, before they are opened.
func replicate(ctx context.Context, c config, log *slog.Logger) (*store.Replication, error) {
	rc, err := store.ReadReplicaConfig(c.litestream)
	if err != nil {
		return nil, err
	}
	rc.Log = log
	r, err := store.Replicate(ctx, rc, filepath.Join(c.data, "waybill.db"), filepath.Join(c.data, "vault.db"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w; name another file with --litestream FILE, or none with --litestream=\"\"", c.litestream, err)
	}
	return r, nil
}

// close closes in the opposite order: readers, the writer, then the replicator, which makes a last round.
func (n *node) close() error {
	var errs []error
	if n.stop != nil {
		n.stop()
	}
	if n.reports != nil {
		errs = append(errs, n.reports.Close())
	}
	if n.vault != nil {
		errs = append(errs, n.vault.Close())
	}
	if n.store != nil {
		errs = append(errs, n.store.Close())
	}
	if n.replication != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		errs = append(errs, n.replication.Close(ctx))
	}
	if n.lock != nil {
		errs = append(errs, n.lock.Release())
	}
	return errors.Join(errs...)
}

// resolve resolves the calls that a crash left open, by the operator's rule.
func (n *node) resolve(ctx context.Context) error {
	var open []*ledger.Hold
	n.store.View(func(s *ledger.State) { open = s.Holds() })
	for _, h := range open {
		if _, err := n.store.Execute(ctx, ledger.Interrupt{Org: h.Org, Request: h.Request, Rule: n.conf.recovery}); err != nil {
			return fmt.Errorf("resolving request %s, which a crash interrupted: %w", h.Request, err)
		}
		n.log.Warn("a call was interrupted by a crash", slog.String("request", h.Request), slog.String("org", h.Org), slog.String("rule", string(n.conf.recovery)))
	}
	return nil
}

// takeToken makes the operator's token of the environment, if there is one, the node's from now on.
func (n *node) takeToken(ctx context.Context) error {
	t := n.conf.operatorToken.Reveal()
	if t == "" {
		return nil
	}
	known, err := n.store.NodeValue(ctx, operatorValue)
	if err != nil || digest(t) == string(known) {
		return err
	}
	n.log.Info("the operator's token is the one in WAYBILL_OPERATOR_TOKEN from now on")
	return n.store.SetNodeValue(ctx, operatorValue, []byte(digest(t)))
}

// newServer puts the router and the server on top of the books.
func (n *node) newServer(ctx context.Context, o nodeOptions) (*wbhttp.Server, error) {
	hash, err := n.store.NodeValue(ctx, operatorValue)
	if err != nil {
		return nil, err
	}
	stop, cancel := context.WithCancel(context.Background())
	n.stop = cancel
	t := n.conf.timeouts
	secrets, providers := secrets{n.vault}, n.conf.providers()
	client, fence := router.NewClient(t.connect), router.NewFence(n.conf.allowPrivate, nil, t.connect)
	if n.world.transport != nil {
		client.Transport, fence.Client.Transport = n.world.transport, n.world.transport
	}
	forRouter, forServer := n.books()
	d := &router.Dispatcher{
		Books: forRouter, Secrets: secrets, Upstreams: dialects.Upstreams, Providers: providers,
		Client: client, Fence: fence, Health: router.NewHealth(), Memory: router.NewMemory(), Now: n.world.now, Stop: stop,
		Timeouts: router.Timeouts{FirstByte: t.firstByte, Idle: t.idle, Total: t.total, Quiet: router.DefaultTimeouts.Quiet, Drain: t.abandoned},
	}
	n.checker = router.NewChecker(d, n.log)
	return wbhttp.New(wbhttp.Options{
		Books: forServer, Confirm: n.confirm(), Log: n.store, Names: names{n.store}, Reports: reports{n.reports}, Tables: tables{n.conf.data}, Vault: secrets, Custody: custody{n}, Notary: notary{n.notary}, Dispatcher: d,
		Inbounds: dialects.Inbounds, Providers: slices.Sorted(maps.Keys(providers)),
		OperatorHash: string(hash), Now: n.world.now, NewID: n.newID, Logger: n.log, Ready: n.ready, Replicas: n.replicas(), Checklist: n.checklist, Stop: cancel, Version: version(),
	})
}

// newID is a UUIDv7 in hex.
func (n *node) newID() string {
	id := n.world.newID()
	return hex.EncodeToString(id[:])
}

func (n *node) head() (position uint64, at ledger.Instant) {
	n.store.View(func(s *ledger.State) { position, at = s.Head() })
	return position, at
}

// adopt makes credentials of the platform from the provider keys in the environment, once for each provider: one that
// the operator has detached since does not come back with the next start.
func (n *node) adopt(ctx context.Context) error {
	for _, provider := range slices.Sorted(maps.Keys(n.conf.platform)) {
		once := "environment_key_" + provider
		if seen, err := n.store.NodeValue(ctx, once); err != nil || seen != nil {
			if err != nil {
				return err
			}
			continue
		}
		id := "cred_" + n.newID()
		fingerprint, err := (secrets{n.vault}).Put(ctx, ledger.Platform, id, n.conf.platform[provider])
		if err != nil {
			return err
		}
		if _, err := n.store.ExecuteNamed(ctx, ledger.AttachCredential{Who: ledger.By{Actor: "operator", Cause: once}, Org: ledger.Platform, Credential: id,
			Provider: provider, Fingerprint: fingerprint, Use: ledger.UsePrefer}, store.Label{Kind: "credential", ID: id, Scope: ledger.Platform, Name: provider + "-environment"}); err != nil {
			return fmt.Errorf("attaching the %s key of the environment: %w", provider, err)
		}
		if err := n.store.SetNodeValue(ctx, once, []byte("attached")); err != nil {
			return err
		}
	}
	return nil
}

// behind does something while the node serves. The function that it gives ends that, and waits for the end.
func (n *node) behind(ctx context.Context, do func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		do(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// verify folds the log again and compares. If something differs, no call is admitted any more: balances that are in
// doubt are not spent.
func (n *node) verify(ctx context.Context) {
	r, err := store.OpenReader(ctx, n.conf.data)
	if err != nil {
		n.log.Error("the log was not verified", slog.Any("error", err))
		return
	}
	defer r.Close()
	began := time.Now()
	res, err := store.Verify(ctx, r, store.VerifyOptions{})
	switch d := res.First(); {
	case ctx.Err() != nil:
	case err != nil:
		n.log.Error("the log was not verified", slog.Any("error", err))
	case d != nil:
		n.differs.Store(d)
		n.log.Error("verification failed: the log and what follows from it do not agree; calls are not admitted until they do", slog.String("difference", d.String()))
	default:
		n.verified.Store(&verification{res.Head.Position, n.world.now()})
		n.log.Info("the log is verified", slog.Uint64("position", res.Head.Position), slog.Duration("took", time.Since(began)))
	}
}

var errDiverged = errors.New("the replica is another node's: this one must not go on, and its log says what to do")

// ready is why the node must not get calls, nil if it may. Everybody is told: what is an org's, or says where things are, stands in the
// process's log and the operator's checklist alone.
func (n *node) ready() error {
	if d := n.differs.Load(); d != nil {
		return fmt.Errorf("the log and what follows from it do not agree at position %d; calls are not admitted until they do, and the node's log says what differs", d.Position)
	}
	if err := n.notary.Err(); err != nil {
		return err
	}
	if n.replication != nil {
		if err := n.replication.Diverged(); err != nil {
			return errDiverged
		}
	}
	return n.store.Stalled()
}

// replicas tells how far the replicas are, nil without any.
func (n *node) replicas() func() wbhttp.Replication {
	if n.replication == nil {
		return nil
	}
	return func() wbhttp.Replication {
		p := n.replication.Progress()
		all := wbhttp.Replication{Position: p.Position, At: p.At, Behind: p.Behind(), Lag: p.Lag, Failures: p.Failures, Overdue: p.Overdue}
		for _, r := range n.replication.Status() {
			all.Replicas = append(all.Replicas, wbhttp.Replica{Path: r.Path, Replica: r.Replica, InSync: r.InSync, SyncedAt: r.SyncedAt, Inspected: r.Inspected, Err: r.Err})
		}
		return all
	}
}
