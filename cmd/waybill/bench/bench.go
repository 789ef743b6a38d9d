package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
)

// Options say how long to measure.
type Options struct {
	Binary string        // this program
	Rounds int           // interleaved rounds
	Each   time.Duration // of one measurement
	Events int           // in the log whose start is timed
	// StartOnly leaves out the rounds.
	StartOnly bool
	// TranslationOnly measures nothing but what translation costs.
	TranslationOnly bool
	// ReplicationOnly measures nothing but what replication costs.
	ReplicationOnly bool
	Out             io.Writer // the table, at the end
	Log             io.Writer // progress
}

// Targets are what waybill promises of itself.
const (
	targetP50     = 1.35 // × the journalled floor's added median
	targetMaximum = 0.6  // × the bare floor's
	targetCPU     = 2.0  // × the bare floor's
	targetFirst   = 5.0  // ms over the bare floor at 500 streams
	targetIdle    = 30.0 // MB
	targetStreams = 150.0
	targetStart   = 100.0 // ms
)

// rates are the calls a second of the open loop.
var rates = []int{200, 500}

const (
	connections = 32
	streamCount = 500
)

// bench is one run: its ways, and what each measured, round by round.
type bench struct {
	Options
	dir     string
	ways    []way // direct, bare, bare again, journal, waybill
	figures map[string][]float64
	idle    float64
}

// Run measures and prints. An error means that the run is not valid; a missed target is said in the table.
func Run(ctx context.Context, o Options) (err error) {
	if o.TranslationOnly {
		return translation(ctx, o)
	}
	if o.ReplicationOnly {
		return replication(ctx, o)
	}
	dir, err := os.MkdirTemp("", "waybill-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{Options: o, dir: dir, figures: map[string][]float64{}}
	defer func() { err = errors.Join(err, b.stop()) }()
	if err := b.start(ctx); err != nil {
		return err
	}
	for round := range o.Rounds {
		if o.StartOnly {
			break
		}
		if err := b.round(ctx, round); err != nil {
			return err
		}
	}
	s, err := b.startUp(ctx)
	if err != nil {
		return err
	}
	if !o.StartOnly {
		b.print()
	}
	s.print(o)
	if o.StartOnly {
		return nil
	}
	return translation(ctx, o)
}

func (b *bench) start(ctx context.Context) error {
	upstream, err := start(ctx, b.Binary, []string{RoleVariable + "=upstream"}, "bench")
	if err != nil {
		return err
	}
	b.ways = append(b.ways, way{name: "direct", url: upstream.URL + "/openai/v1/chat/completions", key: "sk-bench", proc: upstream})
	for _, role := range []string{"floor", "floor", "journal"} {
		p, err := start(ctx, b.Binary, []string{RoleVariable + "=" + role, TargetVariable + "=" + upstream.URL, FolderVariable + "=" + b.dir}, "bench")
		if err != nil {
			return err
		}
		name := map[string]string{"floor": "bare floor", "journal": "journalled floor"}[role]
		if role == "floor" && len(b.ways) > 1 {
			name = "bare floor again"
		}
		b.ways = append(b.ways, way{name: name, url: p.URL + "/openai/v1/chat/completions", key: "sk-bench", proc: p})
	}
	w, err := b.node(ctx, filepath.Join(b.dir, "data"), upstream.URL, "")
	if err != nil {
		return err
	}
	b.ways = append(b.ways, w)
	time.Sleep(2 * time.Second) // what a node keeps after its start is what it keeps idle
	idle, err := w.proc.memory()
	b.idle = float64(idle) / 1e6
	return err
}

// node sets up and serves a node of waybill as its README says, with billing on, and with the replica that a file names.
func (b *bench) node(ctx context.Context, data, upstream, replica string, more ...string) (way, error) {
	env := append([]string{"WAYBILL_OPENAI_BASE_URL=" + upstream + "/openai/v1", "OPENAI_API_KEY=sk-bench", "WAYBILL_LISTEN=127.0.0.1:0", "WAYBILL_LITESTREAM=" + replica}, more...)
	var key struct{ Key string }
	for _, step := range []struct {
		args []string
		out  any
	}{
		{[]string{"init"}, nil},
		{[]string{"org", "open", "bench", "--plan", "teams"}, nil},
		{[]string{"credit", "purchase", "bench", "100000.00", "--reference", "bench"}, nil},
		{[]string{"key", "issue", "bench", "--name", "bench", "--json"}, &key},
	} {
		cmd := exec.CommandContext(ctx, b.Binary, append(step.args, "--data", data)...)
		cmd.Env = append(os.Environ(), env...)
		out, err := cmd.Output()
		if err != nil {
			return way{}, fmt.Errorf("waybill %s: %w: %s", strings.Join(step.args, " "), err, stderrOf(err))
		}
		if step.out != nil {
			if err := json.Unmarshal(out, step.out); err != nil {
				return way{}, fmt.Errorf("waybill %s: %w", strings.Join(step.args, " "), err)
			}
		}
	}
	p, err := start(ctx, b.Binary, env, "serve", "--data", data)
	if err != nil {
		return way{}, err
	}
	return way{name: "waybill", url: p.URL + "/v1/chat/completions", key: key.Key, proc: p}, nil
}

func stderrOf(err error) []byte {
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		return e.Stderr
	}
	return nil
}

func (b *bench) stop() error {
	var errs []error
	for i := len(b.ways) - 1; i >= 0; i-- {
		errs = append(errs, b.ways[i].proc.stop())
	}
	return errors.Join(errs...)
}

// round measures every way once, in an order that turns from round to round.
func (b *bench) round(ctx context.Context, round int) error {
	for i := range b.ways {
		w := b.ways[(i+round)%len(b.ways)]
		fmt.Fprintf(b.Log, "round %d of %d: %s\n", round+1, b.Rounds, w.name)
		if _, err := w.atRate(ctx, 100, time.Second); err != nil { // connections and caches are warm
			return err
		}
		for _, rate := range rates {
			took, err := w.atRate(ctx, rate, b.Each)
			if err != nil {
				return err
			}
			b.note(w, fmt.Sprintf("p50 at %d/s", rate), millis(percentile(took, 0.5)))
			b.note(w, fmt.Sprintf("p99 at %d/s", rate), millis(percentile(took, 0.99)))
		}
		calls, cpu, err := w.atMost(ctx, connections, b.Each)
		if err != nil {
			return err
		}
		b.note(w, "maximum", calls)
		b.note(w, "cpu", millis(cpu))
		if w.name == "journalled floor" {
			continue // it holds an answer back until it is whole: its first byte is its last
		}
		first, memory, err := w.streams(ctx, streamCount)
		if err != nil {
			return err
		}
		b.note(w, "first byte", millis(percentile(first, 0.5)))
		b.note(w, "memory", float64(memory)/1e6)
	}
	return nil
}

func (b *bench) note(w way, figure string, v float64) {
	b.figures[w.name+" "+figure] = append(b.figures[w.name+" "+figure], v)
}

// of is the median of a way's figure.
func (b *bench) of(w, figure string) float64 { return median(b.figures[w+" "+figure]) }

// added is what a way adds to the direct call: the median of the differences, round by round.
func (b *bench) added(w, figure string) float64 {
	var d []float64
	for i, v := range b.figures[w+" "+figure] {
		d = append(d, v-b.figures["direct "+figure][i])
	}
	return median(d)
}

// labelWidth is that of the longest label: all else is aligned at the right.
const labelWidth = 34

func (b *bench) print() {
	t := tabwriter.NewWriter(b.Out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "%-*s", labelWidth, "figure")
	fmt.Fprintln(t, "\tdirect\tbare floor\tagain (A/A)\tjournalled\twaybill\tratio\ttarget\t")
	row := func(name, unit string, value func(string) float64, ratio float64, target string) {
		fmt.Fprintf(t, "%-*s\t", labelWidth, name+", "+unit)
		for _, w := range []string{"direct", "bare floor", "bare floor again", "journalled floor", "waybill"} {
			if v := value(w); math.IsNaN(v) {
				fmt.Fprint(t, "-\t")
			} else {
				fmt.Fprintf(t, "%.2f\t", v)
			}
		}
		fmt.Fprintf(t, "%.2f\t%s\t\n", ratio, target)
	}
	for _, rate := range rates {
		for _, p := range []string{"p50", "p99"} {
			figure := fmt.Sprintf("%s at %d/s", p, rate)
			target := "-"
			if p == "p50" {
				target = verdict(b.added("waybill", figure)/b.added("journalled floor", figure), "≤", targetP50, "× journalled")
			}
			row("added "+figure, "ms", func(w string) float64 { return b.added(w, figure) },
				b.added("waybill", figure)/b.added("journalled floor", figure), target)
		}
	}
	maximum := func(w string) float64 { return b.of(w, "maximum") }
	row(fmt.Sprintf("maximum at %d connections", connections), "calls/s", maximum, maximum("waybill")/maximum("bare floor"),
		verdict(maximum("waybill")/maximum("bare floor"), "≥", targetMaximum, "× bare"))
	cpu := func(w string) float64 { return b.of(w, "cpu") }
	row("CPU of 1,000 calls", "ms", cpu, cpu("waybill")/cpu("bare floor"), verdict(cpu("waybill")/cpu("bare floor"), "≤", targetCPU, "× bare"))
	first := func(w string) float64 { return b.added(w, "first byte") }
	row(fmt.Sprintf("added first byte at %d streams", streamCount), "ms", first, first("waybill")/first("bare floor"),
		verdict(first("waybill")-first("bare floor"), "≤", targetFirst, "ms over bare"))
	memory := func(w string) float64 { return b.of(w, "memory") }
	row(fmt.Sprintf("memory at %d streams", streamCount), "MB", memory, memory("waybill")/memory("bare floor"),
		verdict(memory("waybill"), "≤", targetStreams, "MB"))
	t.Flush()
	fmt.Fprintf(b.Out, "memory idle: %s\n", verdict(b.idle, "≤", targetIdle, "MB"))
	fmt.Fprintf(b.Out, "%d rounds of %s; the A/A ratio at the maximum is %.2f\n", b.Rounds, b.Each, maximum("bare floor again")/maximum("bare floor"))
}

// verdict says a figure against its target.
func verdict(v float64, relation string, target float64, unit string) string {
	ok := v <= target
	if relation == "≥" {
		ok = v >= target
	}
	word := "missed"
	if ok {
		word = "met"
	}
	return fmt.Sprintf("%.2f %s %.2f %s: %s", v, relation, target, unit, word)
}
