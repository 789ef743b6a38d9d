package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"waybill/ledger"
	"waybill/store"
)

// started is how a node with a long log starts: medians over the rounds.
type started struct {
	ready   []float64 // ms from the start of the process until the node answers that it is ready
	memory  []float64 // MB then
	reports []float64 // ms until the reports, which are dropped before each start, have caught up
	after   []float64 // MB then
}

// startUp fills a log with events and starts a node on it again and again.
func (b *bench) startUp(ctx context.Context) (s started, err error) {
	data := filepath.Join(b.dir, "filled")
	w, err := b.node(ctx, data, b.ways[0].proc.URL, "")
	if err != nil {
		return s, err
	}
	if err := w.proc.stop(); err != nil {
		return s, err
	}
	fmt.Fprintf(b.Log, "filling a log with %d events\n", b.Events)
	if err := Fill(ctx, data, b.Events, b.Log); err != nil {
		return s, err
	}
	for range b.Rounds {
		for _, file := range []string{"reports.db", "reports.db-wal", "reports.db-shm"} {
			if err := os.Remove(filepath.Join(data, file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return s, err
			}
		}
		if err := s.once(ctx, b.Binary, data); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (s *started) once(ctx context.Context, binary, data string) error {
	began := time.Now()
	p, err := start(ctx, binary, []string{"WAYBILL_LISTEN=127.0.0.1:0"}, "serve", "--data", data, "--litestream", "")
	if err != nil {
		return err
	}
	resp, err := client.Get(p.URL + "/readyz")
	if err != nil {
		return err
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the node started and is not ready: status %d", resp.StatusCode)
	}
	s.ready = append(s.ready, millis(time.Since(began)))
	memory, err := p.memory()
	if err != nil {
		return err
	}
	s.memory = append(s.memory, float64(memory)/1e6)
	// A query waits until the reports have caught up with the log.
	out, err := exec.CommandContext(ctx, binary, "sql", "--data", data, "SELECT count(*) FROM requests").CombinedOutput()
	if err != nil {
		return fmt.Errorf("waybill sql: %w: %s", err, out)
	}
	s.reports = append(s.reports, millis(time.Since(began)))
	if memory, err = p.memory(); err != nil {
		return err
	}
	s.after = append(s.after, float64(memory)/1e6)
	return p.stop()
}

func (s started) print(o Options) {
	fmt.Fprintf(o.Out, "start with %d events: %s\n", o.Events, verdict(median(s.ready), "≤", targetStart, "ms"))
	fmt.Fprintf(o.Out, "memory then: %.1f MB; reports made anew from the log after %.0f ms, memory then %.1f MB\n", median(s.memory), median(s.reports), median(s.after))
}

// Fill appends requests to the log of the org "bench" in a data folder, admitted and settled like any other, until it
// has so many events more.
func Fill(ctx context.Context, data string, events int, progress io.Writer) error {
	s, err := store.Open(ctx, store.Options{Dir: data})
	if err != nil {
		return err
	}
	defer s.Close()
	org, pool := "", ""
	s.View(func(st *ledger.State) {
		org, pool = st.Orgs()[0].ID, st.Wallet(ledger.Platform)[0].ID
	})
	choice := ledger.Choice{Model: "openai/gpt-6-luna", Credential: pool, Kind: ledger.PlatformPool}
	const callers = 256
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := c; i < events/2 && errs[c] == nil; i += callers {
				id := fmt.Sprintf("req_fill%09d", i)
				by := ledger.By{Actor: "bench", Cause: id}
				_, err := s.Execute(ctx, ledger.Admit{Who: by, Org: org, Request: id, Lane: ledger.LaneManual, Dialect: ledger.DialectOpenAIChat,
					Asked: choice.Model, Inputs: ledger.Inputs{Legs: []ledger.Choice{choice}}, Demand: ledger.Demand{Choice: choice, Input: 400, Output: 64}})
				if err == nil {
					_, err = s.Execute(ctx, ledger.Settle{Who: by, Org: org, Request: id, Usage: ledger.Usage{Input: 12, Output: 9}, Source: ledger.UsageProvider,
						Finish: "stop", UpstreamID: id, Resolution: ledger.Resolution{Duration: int64(time.Millisecond),
							Attempts: []ledger.Attempt{{N: 1, Choice: choice, Outcome: ledger.Answered, Status: 200, Latency: int64(time.Millisecond)}}}})
				}
				errs[c] = err
				if i%100_000 == 0 && i > 0 {
					fmt.Fprintf(progress, "%d of %d\n", 2*i, events)
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
