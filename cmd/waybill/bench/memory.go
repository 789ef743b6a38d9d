package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"text/tabwriter"
	"time"

	"waybill/ledger"
	"waybill/ledger/secret"
	"waybill/router"
	"waybill/router/dialects"
	"waybill/router/sandbox"
	"waybill/store"
)

// lengths are the streams that are compared, in frames of 50 bytes of text each. The longest says 10 MB: no model does.
var lengths = []int{200, 20_000, 200_000}

const frameTokens = 12

// kept is the most that was kept of a stream, in bytes.
type kept struct {
	text int64 // while its text came
	end  int64 // while what follows the text came and was written
}

// memory measures what a node keeps of a stream that passes: the live heap, after a collection, at its highest of several
// moments, less what was live before the call. Responses says the whole text again at its end, so there the end is large.
func memory(ctx context.Context, o Options, up *sandbox.Server) (err error) {
	g, err := newGateway(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	table := tabwriter.NewWriter(o.Out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "\ncaller\tupstream\t")
	for _, n := range lengths {
		fmt.Fprintf(table, "kB kept at %d frames\t", n)
	}
	fmt.Fprintln(table, "longest × first\tat its end\t")
	for u := range spoken {
		s, err := recordStream(ctx, u, up.BaseURL(spoken[u].provider), frameTokens)
		if err != nil {
			return fmt.Errorf("recording %s: %w", spoken[u].dialect, err)
		}
		for _, i := range append([]int{u}, others(u)...) {
			if err := g.compare(ctx, table, i, u, s); err != nil {
				return fmt.Errorf("%s at %s: %w", spoken[i].dialect, spoken[u].dialect, err)
			}
		}
	}
	return table.Flush()
}

// compare writes the line of one caller's dialect at one upstream's.
func (g *gateway) compare(ctx context.Context, table io.Writer, i, u int, s *stream) error {
	if _, err := g.pass(ctx, i, u, s, lengths[0]); err != nil { // until caches are full
		return err
	}
	fmt.Fprintf(table, "%s\t%s\t", spoken[i].dialect, spoken[u].dialect)
	var first, last kept
	for _, n := range lengths {
		k, err := g.pass(ctx, i, u, s, n)
		if err != nil {
			return err
		}
		if n == lengths[0] {
			first = k
		}
		last = k
		fmt.Fprintf(table, "%.0f\t", float64(k.text)/1e3)
	}
	fmt.Fprintf(table, "%.1f\t%.0f\t\n", float64(last.text)/float64(max(1, first.text)), float64(last.end)/1e3)
	return nil
}

// gateway is a node but for its server: a real log, the router, and in place of the providers one stream.
type gateway struct {
	dir   string
	store *store.Store
	d     *router.Dispatcher
	calls int
}

const benchOrg = "org_bench"

// newGateway makes one whose providers speak one dialect each and are called for it.
func newGateway(ctx context.Context) (g *gateway, err error) {
	who := ledger.By{Actor: "operator", Cause: "bench"}
	first := []ledger.Command{
		ledger.DefinePlan{Who: who, Plan: ledger.Plan{ID: "own", Lanes: []ledger.Lane{ledger.LaneManual}}},
		ledger.OpenOrg{Who: who, Org: benchOrg, Plan: "own"},
	}
	providers := map[string]router.Provider{}
	for _, s := range spoken {
		name := string(s.dialect)
		providers[name] = router.Provider{Dialects: []ledger.Dialect{s.dialect}, BaseURL: "http://upstream.invalid"}
		first = append(first,
			ledger.PublishModel{Who: who, Model: ledger.Model{Name: name + "/" + s.model, Provider: name, ID: s.model, Context: 1 << 20, MaxOutput: 1 << 16,
				Features: []string{ledger.FeatureChat, ledger.FeatureTools}}},
			ledger.AttachCredential{Who: who, Org: benchOrg, Credential: "cred_" + name, Provider: name, Fingerprint: "bench", Use: ledger.UsePrefer})
	}
	g = &gateway{}
	if g.dir, err = os.MkdirTemp("", "waybill-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.close())
		}
	}()
	if err := store.Create(ctx, store.Options{Dir: g.dir}, first); err != nil {
		return nil, err
	}
	if g.store, err = store.Open(ctx, store.Options{Dir: g.dir}); err != nil {
		return nil, err
	}
	g.d = &router.Dispatcher{Books: g.store, Secrets: noSecrets{}, Upstreams: dialects.Upstreams, Providers: providers, Health: router.NewHealth(),
		Memory: router.NewMemory(), Now: time.Now, Timeouts: router.DefaultTimeouts, Stop: context.Background()}
	return g, nil
}

func (g *gateway) close() error {
	var errs []error
	if g.store != nil {
		errs = append(errs, g.store.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(g.dir))...)
}

// pass takes a stream of so many frames through the gateway.
func (g *gateway) pass(ctx context.Context, i, u int, s *stream, frames int) (k kept, err error) {
	inbound := dialects.Inbounds[spoken[i].dialect]
	q, err := inbound.Decode(spoken[i].in)
	if err != nil {
		return k, err
	}
	q.Model = string(spoken[u].dialect) + "/" + spoken[u].model
	before := live()
	g.d.Client = &http.Client{Transport: s.of(frames, func(end bool) {
		most := &k.text
		if end {
			most = &k.end
		}
		*most = max(*most, live()-before)
	})}
	g.calls++
	id := fmt.Sprintf("req_bench_%d", g.calls)
	out := sink{large: func() { k.end = max(k.end, live()-before) }}
	if f := g.d.Do(ctx, router.Task{ID: id, By: ledger.By{Actor: "bench", Cause: id}, Org: benchOrg, Request: q, Inbound: inbound}, &out); f != nil {
		return k, errors.New(f.Message)
	}
	if out.sent < int64(frames)*40 {
		return k, fmt.Errorf("of %d frames only %d bytes came out", frames, out.sent)
	}
	return k, nil
}

// live is the heap that is in use, in bytes. What pools keep goes with the second collection.
func live() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// sink counts an answer.
type sink struct {
	sent  int64
	large func() // is called while a large piece of it is being sent
}

// largePiece is what a piece has that says again much of the answer, in bytes.
const largePiece = 64 << 10

func (k *sink) Start(router.Facts) {}

func (k *sink) Send(b []byte) error {
	if k.sent += int64(len(b)); len(b) >= largePiece {
		k.large()
		runtime.KeepAlive(b)
	}
	return nil
}

// noSecrets are the secrets of providers that nobody calls.
type noSecrets struct{}

func (noSecrets) Secret(context.Context, *ledger.Credential) (secret.Text, error) {
	return secret.New("sk-bench"), nil
}
