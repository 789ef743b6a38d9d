package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"waybill/ledger"
)

// BenchmarkAppend has callers admit and settle requests, each waiting for one answer before it asks again. It reports
// events per second, and as a ratio the fsyncs per second of a loop that does nothing else on the same disk.
func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			orgs := orgNames(50)
			s := newNode(b, Options{Dir: b.TempDir()}, orgs...)
			bare := fsyncs(b)
			head, _, err := s.Head(context.Background())
			if err != nil {
				b.Fatal(err)
			}
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ReportAllocs()
			b.ResetTimer()
			for range callers {
				wg.Go(func() {
					for {
						n := int(next.Add(2))
						if n > b.N+1 {
							return
						}
						org, request := orgs[n/2%len(orgs)], "req-"+strconv.Itoa(n)
						for _, c := range []ledger.Command{admit(org, request), settle(org, request)} {
							if _, err := s.Execute(context.Background(), c); err != nil {
								b.Error(err)
								return
							}
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			end, _, _ := s.Head(context.Background())
			rate := float64(end-head) / b.Elapsed().Seconds()
			b.ReportMetric(rate, "events/s")
			b.ReportMetric(rate/bare, "events/fsync")
			b.ReportMetric(bare, "fsyncs/s")
		})
	}
}

// BenchmarkReplay folds a log from nothing: read, hash, decode, fold.
func BenchmarkReplay(b *testing.B) {
	ctx, orgs := context.Background(), orgNames(50)
	s := newNode(b, Options{Dir: b.TempDir()}, orgs...)
	grow(b, s, orgs, 100_000)
	b.ReportAllocs()
	b.ResetTimer()
	events := 0
	for b.Loop() {
		state := ledger.NewState()
		draft := state.Draft(nil)
		err := walk(ctx, s.db, 0, func(e *step) error {
			if e.fault != nil {
				return e.fault
			}
			draft.Evolve(&e.Record)
			if events++; events%refoldBatch == 0 {
				state.Merge(draft)
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkOpen opens a log of a hundred thousand events.
func BenchmarkOpen(b *testing.B) {
	o, orgs := Options{Dir: b.TempDir()}, orgNames(50)
	s := newNode(b, o, orgs...)
	grow(b, s, orgs, 100_000)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, err := Open(context.Background(), o)
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// fsyncs is how many appends of 4 KiB, each synced, the disk takes in a second.
func fsyncs(b *testing.B) float64 {
	f, err := os.Create(filepath.Join(b.TempDir(), "bare"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 4096)
	start, n := time.Now(), 0
	for ; time.Since(start) < 500*time.Millisecond; n++ {
		if _, err := f.Write(block); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	return float64(n) / time.Since(start).Seconds()
}
