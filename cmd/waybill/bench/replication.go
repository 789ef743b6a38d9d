package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
)

// token is the operator's of the nodes that are measured.
const token = "bench-0123456789012345678901"

// replicating are the nodes whose cost of replication is compared: without a replica, the same once more, with one in a folder, and
// with answers that wait for it.
var replicating = []struct{ name, durability string }{
	{"off", ""}, {"off again", ""}, {"local", "local"}, {"money", "money"}, {"replicated", "replicated"},
}

// purchases is how many of them a round times, one after another.
const purchases = 100

// replication measures what a replica costs, and waiting for it: every kind of node runs throughout, and they take turns.
func replication(ctx context.Context, o Options) (err error) {
	dir, err := os.MkdirTemp("", "waybill-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{Options: o, dir: dir, figures: map[string][]float64{}}
	defer func() { err = errors.Join(err, b.stop()) }()
	upstream, err := start(ctx, b.Binary, []string{RoleVariable + "=upstream"}, "bench")
	if err != nil {
		return err
	}
	b.ways = append(b.ways, way{name: "direct", proc: upstream}) // to be stopped with the rest
	for _, r := range replicating {
		data := filepath.Join(dir, r.name, "data")
		file, env := "", []string{"WAYBILL_OPERATOR_TOKEN=" + token}
		if r.durability != "" {
			if file, err = replicaFile(filepath.Dir(data)); err != nil {
				return err
			}
			env = append(env, "WAYBILL_DURABILITY="+r.durability)
		}
		w, err := b.node(ctx, data, upstream.URL, file, env...)
		if err != nil {
			return err
		}
		w.name = r.name
		b.ways = append(b.ways, w)
	}
	for round := range o.Rounds {
		for i := range replicating {
			w := b.ways[1+(i+round)%len(replicating)]
			fmt.Fprintf(b.Log, "round %d of %d: %s\n", round+1, b.Rounds, w.name)
			if err := b.replicates(ctx, w, round); err != nil {
				return err
			}
		}
	}
	b.printReplication()
	return nil
}

// replicaFile is a litestream.yml for a node in a folder's data, with replicas beside it.
func replicaFile(dir string) (path string, err error) {
	text := "dbs:\n"
	for _, name := range []string{"waybill.db", "vault.db"} {
		text += fmt.Sprintf("- path: %q\n  replica: {path: %q}\n", filepath.Join(dir, "data", name), filepath.Join(dir, "replica", name))
	}
	path = filepath.Join(dir, "litestream.yml")
	return path, errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(path, []byte(text), 0o600))
}

// replicates measures one node for a round.
func (b *bench) replicates(ctx context.Context, w way, round int) error {
	if _, err := w.atRate(ctx, 50, time.Second); err != nil {
		return err
	}
	took, err := w.atRate(ctx, 100, b.Each)
	if err != nil {
		return err
	}
	b.note(w, "p50", millis(percentile(took, 0.5)))
	b.note(w, "p99", millis(percentile(took, 0.99)))
	calls, cpu, err := w.atMost(ctx, connections, b.Each)
	if err != nil {
		return err
	}
	b.note(w, "maximum", calls)
	b.note(w, "cpu", millis(cpu))
	bought := make([]time.Duration, purchases)
	for i := range bought {
		if bought[i], err = w.purchase(ctx, fmt.Sprintf("%d-%d", round, i)); err != nil {
			return err
		}
	}
	b.note(w, "purchase", millis(percentile(bought, 0.5)))
	b.note(w, "purchase p99", millis(percentile(bought, 0.99)))
	return nil
}

// purchase records one, as the operator.
func (w way) purchase(ctx context.Context, reference string) (time.Duration, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.proc.URL+"/api/v1/orgs/bench/credits",
		strings.NewReader(`{"kind":"purchase","amount_usd":"0.01","reference":"`+reference+`"}`))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	began := time.Now()
	resp, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusCreated {
		err = fmt.Errorf("%s: a purchase: status %d: %.200s", w.name, resp.StatusCode, bytes.TrimSpace(body))
	}
	return time.Since(began), err
}

func (b *bench) printReplication() {
	t := tabwriter.NewWriter(b.Out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "%-*s\t", labelWidth, "figure")
	for _, r := range replicating {
		fmt.Fprintf(t, "%s\t", r.name)
	}
	fmt.Fprintln(t, "A/A\tlocal/off\tmoney/off\treplicated/off\t")
	for _, f := range []struct{ key, name string }{
		{"p50", "call at 100/s, p50, ms"}, {"p99", "call at 100/s, p99, ms"}, {"maximum", fmt.Sprintf("maximum at %d connections, calls/s", connections)},
		{"cpu", "CPU of 1,000 calls, ms"}, {"purchase", "purchase, p50, ms"}, {"purchase p99", "purchase, p99, ms"},
	} {
		fmt.Fprintf(t, "%-*s\t", labelWidth, f.name)
		for _, r := range replicating {
			fmt.Fprintf(t, "%.2f\t", b.of(r.name, f.key))
		}
		for _, r := range replicating[1:] { // round by round, so that what the machine does otherwise is in both
			fmt.Fprintf(t, "%.2f\t", b.ratio(r.name, "off", f.key))
		}
		fmt.Fprintln(t)
	}
	t.Flush()
	fmt.Fprintf(b.Out, "%d rounds of %s, interleaved; the replica is a folder on the same disk, A/A is the node without one against its like\n", b.Rounds, b.Each)
}

// ratio is the median of the ratios of two ways, round by round.
func (b *bench) ratio(of, to, figure string) float64 {
	var all []float64
	for i, v := range b.figures[of+" "+figure] {
		all = append(all, v/b.figures[to+" "+figure][i])
	}
	return median(all)
}
