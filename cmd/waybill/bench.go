package main

import (
	"context"
	"os"
	"time"

	"waybill/cmd/waybill/bench"
)

var benchCommand = command{
	name:  "bench",
	about: "measure what waybill adds to a call, against proxies that do less",
	more: `Everything runs on this machine and against the sandbox upstream: the upstream called directly, a bare reverse
proxy, one that also keeps a durable journal, and a node of waybill with billing on. Rounds are interleaved, figures are
medians over them, and the bare proxy is measured twice a round: their ratio is the noise. Five rounds take ten minutes.
Two last tables have what it costs to translate a streamed call between dialects, against forwarding it in the upstream's own,
and what is kept in memory of a stream while it passes, for three lengths of it.`,
	example: []string{"waybill bench", "waybill bench --rounds 1 --each 2s", "waybill bench --start --events 1000000", "waybill bench --translation --each 4s"},
	setup: func(f *flags) action {
		rounds := f.Int("rounds", 5, "`N` interleaved rounds")
		each := f.Duration("each", 5*time.Second, "how long one measurement takes")
		events := f.Int("events", 100_000, "`N` events in the log whose start is timed")
		start := f.Bool("start", false, "time the start alone")
		translation := f.Bool("translation", false, "measure translation between dialects alone, and the memory of long streams")
		return func(ctx context.Context, w *work, _ []string) error {
			if role := w.env[bench.RoleVariable]; role != "" {
				return bench.Role(ctx, role, w.env[bench.TargetVariable], w.env[bench.FolderVariable], w.stdout)
			}
			binary, err := os.Executable()
			if err != nil {
				return err
			}
			return bench.Run(ctx, bench.Options{Binary: binary, Rounds: *rounds, Each: *each, Events: *events, StartOnly: *start, TranslationOnly: *translation, Out: w.stdout, Log: w.stderr})
		}
	},
}
