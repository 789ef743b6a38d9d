package campaign

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// Print prints the report for people.
func (r CrashReport) Print(out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(what string, is any) { fmt.Fprintf(t, "%s\t%v\n", what, is) }
	row("seed", r.Seed)
	row("kills", r.Kills)
	row("kills between an answer's end upstream and its settlement", r.Between)
	row("calls served upstream", r.Served)
	row("answers held whole by callers", r.Whole)
	row("calls interrupted", r.Interrupted)
	row("purchases acknowledged", fmt.Sprintf("%d, %d of them asked for again", r.Purchases, r.Again))
	row("events", r.Events)
	row("slowest start after a kill", r.Start.Round(time.Millisecond))
	if s := r.Restored; s != nil {
		row("replicated, by the node's own word", s.Replicated)
		row("restored from the replica", s.Position)
		row("lost with the disk", fmt.Sprintf("%d events, %d whole answers, %d acknowledged purchases", s.Lost, s.Answers, s.Purchases))
	}
	row("took", r.Took.Round(time.Second))
	row("differences", len(r.Differences))
	for _, d := range r.Differences {
		row("", d)
	}
	return t.Flush()
}
