package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"testing"

	"github.com/benbjohnson/litestream"
	"github.com/superfly/ltx"
)

// inOrder is a replica that knows which transaction is to come next.
type inOrder struct {
	litestream.ReplicaClient
	coming sync.Mutex
	last   ltx.TXID
	n      int
	faults []string
}

func (o *inOrder) WriteLTXFile(ctx context.Context, level int, from, to ltx.TXID, r io.Reader) (*ltx.FileInfo, error) {
	if level > 0 {
		return o.ReplicaClient.WriteLTXFile(ctx, level, from, to, r)
	}
	alone := o.coming.TryLock()
	if !alone {
		o.coming.Lock()
	}
	defer o.coming.Unlock()
	if !alone || o.n > 0 && from != o.last+1 {
		o.faults = append(o.faults, fmt.Sprintf("%d to %d after %d, alone: %v", from, to, o.last, alone))
	}
	info, err := o.ReplicaClient.WriteLTXFile(ctx, level, from, to, r)
	if err == nil {
		o.last, o.n = to, o.n+1
	}
	return info, err
}

// However many wait, a replica gets one transaction after another, and each when it has the one before: whatever moment a node ends at, there
// is no gap in what it leaves.
func TestTransactionsComeInOrder(t *testing.T) {
	dir, _, c := small(t)
	c.apart = 1
	r, err := Replicate(t.Context(), c, filepath.Join(dir, logFile), filepath.Join(dir, vaultFile))
	if err != nil {
		t.Fatal(err)
	}
	var all []*inOrder
	for _, d := range r.dbs {
		o := &inOrder{ReplicaClient: d.way.ReplicaClient}
		d.way.ReplicaClient = o
		all = append(all, o)
	}
	r.Begin()
	s := reopen(t, Options{Dir: dir, Ballast: -1, Replicated: true})
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := range 30 {
				_, err := s.Execute(t.Context(), admit("acme", fmt.Sprintf("r-%d-%d", w, i)))
				if err := errors.Join(err, r.SyncTo(t.Context())); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(s.Close(), r.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, o := range all {
		n += o.n
		if len(o.faults) > 0 {
			t.Errorf("%d came out of turn: %s", len(o.faults), o.faults[0])
		}
	}
	if n < 10 {
		t.Errorf("%d transactions show nothing", n)
	}
}
