package campaign

import (
	"errors"
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

// Failed says what was not as it must be; nil: nothing.
func (r CrashReport) Failed() error {
	if n := len(r.Differences); n > 0 {
		return fmt.Errorf("differences: %d", n)
	}
	return nil
}

// Print prints the report for people.
func (r SoakReport) Print(out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "after\tresident, MB\tlive heap, MB\tgoroutines\topen files\tcalls\tevents\t")
	for _, s := range r.Samples {
		fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%g\t%g\t%d\t%.0f\t\n", s.At.Round(time.Second), s.Resident/1e6, s.Live/1e6, s.Goroutines, s.Files, s.Calls, s.Events)
	}
	fmt.Fprintln(t, "\n\tsecond third\tlast third\tat most\t\t")
	for _, x := range r.Trends {
		verdict := "flat"
		if !x.Flat {
			verdict = "it grows"
		}
		fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%.1f\t%s\t\n", x.Figure, x.Second, x.Last, x.Most, verdict)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nseed %d, %s: %d calls made (%d not, as too many were open), %d served upstream, answers by status %v, %d held whole\n",
		r.Seed, r.Took.Round(time.Second), r.Calls, r.NotMade, r.Served, r.Statuses, r.Whole)
	fmt.Fprintf(out, "%d purchases, %d policies, %d restarts of the upstreams, %d events\n", r.Purchases, r.Policies, r.Restarts, r.Events)
	for _, d := range r.Differences {
		fmt.Fprintln(out, d)
	}
	_, err := fmt.Fprintf(out, "differences: %d\n", len(r.Differences))
	return err
}

// Failed says what was not as it must be; nil: nothing.
func (r SoakReport) Failed() error {
	var errs []error
	for _, t := range r.Trends {
		if !t.Flat {
			errs = append(errs, fmt.Errorf("%s: %.1f, and before %.1f", t.Figure, t.Last, t.Second))
		}
	}
	if n := len(r.Differences); n > 0 {
		errs = append(errs, fmt.Errorf("differences: %d", n))
	}
	return errors.Join(errs...)
}
