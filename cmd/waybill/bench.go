package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"waybill/cmd/waybill/bench"
	"waybill/cmd/waybill/campaign"
)

var benchCommand = command{
	name:  "bench",
	about: "measure what waybill adds to a call, against proxies that do less; or break a node under load, and reconcile",
	more: `Everything runs on this machine and against the sandbox upstream: the upstream called directly, a bare reverse
proxy, one that also keeps a durable journal, and a node of waybill with billing on. Rounds are interleaved, figures are
medians over them, and the bare proxy is measured twice a round: their ratio is the noise. Five rounds take ten minutes.
Two last tables have what it costs to translate a streamed call between dialects, against forwarding it in the upstream's own,
and what is kept in memory of a stream while it passes, for three lengths of it.

With --crash nothing is measured: a node on a temporary folder serves calls in four dialects, on plan tokens, on credit and on
keys of an org's own, and purchases; it is killed (kill -9) at random moments and started again. After each kill its log is held
against the upstreams' own record and against every answer and acknowledged purchase that callers hold. With --replica it also
keeps one, its folder is taken away after the last kill, and what is restored is held against what was lost. Exit status 1 is
any difference; the folder is kept then.

With --soak the node is not killed, and all else goes wrong for so long: upstreams that fail, cut, end early, hang, go away and come
back, callers who leave or read slowly, while credit is bought and policies change. Each minute the load rests until nothing is
open, and what the node keeps is noted: memory, goroutines, open files. Exit status 1 is a difference, or a last third of the time in which
it kept more than in the second: a tenth or 8 MB of resident memory, a tenth or 4 MB of live heap, 5 goroutines, 5 files.`,
	example: []string{"waybill bench", "waybill bench --rounds 1 --each 2s", "waybill bench --start --events 1000000", "waybill bench --translation --each 4s",
		"waybill bench --replication --rounds 3",
		"waybill bench --crash --kills 50", "waybill bench --crash --kills 10 --replica --durability money --seed 7 --json",
		"waybill bench --soak 30m"},
	alone: true,
	setup: func(f *flags) action {
		rounds := f.Int("rounds", 5, "`N` interleaved rounds")
		each := f.Duration("each", 5*time.Second, "how `LONG` one measurement takes")
		events := f.Int("events", 100_000, "`N` events in the log whose start is timed")
		start := f.Bool("start", false, "time the start alone")
		replication := f.Bool("replication", false, "measure what replication costs alone: without, with a replica in a folder, and with answers that wait for it")
		translation := f.Bool("translation", false, "measure translation between dialects alone, and the memory of long streams")
		crash := f.Bool("crash", false, "kill a node under load again and again, and reconcile")
		kills := f.Int("kills", 50, "`N` kills")
		seed := f.Uint64("seed", 0, "`N` from which moments and calls are drawn (default: another each time)")
		replica := f.Bool("replica", false, "with --crash: lose the folder in the end, and restore it from a replica")
		durability := f.String("durability", "", "with --replica: the `MODE` in which the node serves, local, money or replicated (default local)")
		soak := f.Duration("soak", 0, "let a node run for so `LONG` under a load in which all goes wrong, and see what it keeps")
		every := f.Duration("every", time.Minute, "with --soak: how `LONG` from one sample to the next; a third of it all at the most")
		asJSON := f.Bool("json", false, "with --crash or --soak: print JSON")
		return func(ctx context.Context, w *work, _ []string) error {
			if role := w.env[bench.RoleVariable]; role != "" {
				return bench.Role(ctx, role, w.env[bench.TargetVariable], w.env[bench.FolderVariable], w.stdout)
			}
			binary, err := os.Executable()
			if err != nil {
				return err
			}
			if *seed == 0 {
				*seed = 1 + rand.Uint64N(1_000_000)
			}
			if *crash {
				if *kills < 1 {
					return misused("--kills %d: it takes one at least", *kills)
				}
				if *durability != "" && !*replica {
					return misused("--durability %s: it takes a --replica", *durability)
				}
				return crashes(ctx, w, campaign.CrashOptions{Binary: binary, Kills: *kills, Seed: *seed, Replica: *replica, Durability: *durability, Log: w.stderr}, *asJSON)
			}
			if *soak > 0 {
				if *soak < 3**every {
					return misused("--soak %s with a sample each %s: a verdict takes three of them at the least: say --every %s", *soak, *every, (*soak / 6).Round(time.Second))
				}
				return soaks(ctx, w, campaign.SoakOptions{Binary: binary, During: *soak, Every: *every, Seed: *seed, Log: w.stderr}, *asJSON)
			}
			return bench.Run(ctx, bench.Options{Binary: binary, Rounds: *rounds, Each: *each, Events: *events, StartOnly: *start, TranslationOnly: *translation, ReplicationOnly: *replication, Out: w.stdout, Log: w.stderr})
		}
	},
}

// outcome is what came of a campaign.
type outcome interface {
	Print(out io.Writer) error
	Failed() error // what was not as it must be
}

// crashes runs a crash campaign.
func crashes(ctx context.Context, w *work, o campaign.CrashOptions, asJSON bool) error {
	return campaigned(w, o.Seed, asJSON, func(dir string) (outcome, error) {
		o.Dir = dir
		return campaign.Crash(ctx, o)
	})
}

// soaks runs a soak.
func soaks(ctx context.Context, w *work, o campaign.SoakOptions, asJSON bool) error {
	return campaigned(w, o.Seed, asJSON, func(dir string) (outcome, error) {
		o.Dir = dir
		return campaign.Soak(ctx, o)
	})
}

// campaigned runs a campaign on a temporary folder, which is kept if there is something to be seen in it.
func campaigned(w *work, seed uint64, asJSON bool, run func(dir string) (outcome, error)) error {
	dir, err := os.MkdirTemp("", "waybill-campaign-")
	if err != nil {
		return err
	}
	fmt.Fprintf(w.stderr, "seed %d, in %s\n", seed, dir)
	r, err := run(dir)
	if err != nil {
		return fmt.Errorf("%w; what it has made is in %s", err, dir)
	}
	if asJSON {
		err = writeJSON(w.stdout, r)
	} else {
		err = r.Print(w.stdout)
	}
	if err != nil {
		return err
	}
	if err := r.Failed(); err != nil {
		return fmt.Errorf("seed %d: %w; the folder is kept: %s", seed, err, dir)
	}
	return os.RemoveAll(dir)
}
