package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"waybill/cmd/waybill/campaign"
	"waybill/store"
)

// failingDisk is one that fails at a commit.
type failingDisk struct {
	s       *site
	how     fault
	after   atomic.Int64 // commits until then; less than 0: it is well
	random  *rand.Rand
	synced  int64 // length of the WAL when a commit was last acknowledged
	crashed *site // the folder as a loss of power has left it; nil: as it is
}

// Sync is told of each commit, before and after.
func (d *failingDisk) Sync(committed bool) error {
	due := d.after.Load() == 0
	switch {
	case committed && due && d.how == powerLoss:
		d.crashed = d.s.copied()
		if size := walSize(d.s.data()); size > d.synced {
			if err := os.Truncate(filepath.Join(d.crashed.data(), "waybill.db-wal"), d.synced+d.random.Int64N(size-d.synced)); err != nil {
				return err
			}
		}
		return errDisk
	case committed && due, !committed && due && d.how == lostSync:
		return errDisk
	case committed:
		d.synced = walSize(d.s.data())
		if d.after.Load() > 0 {
			d.after.Add(-1)
		}
	}
	return nil
}

// When an fsync of the log fails, or the power in the middle of it, the node ends with status 1 and says what to do. The next start
// recovers: all that was acknowledged is there, each call that was made has its record, and purchases that nobody heard of can be
// asked for again.
func TestFailedFsync(t *testing.T) {
	for how, name := range faultNames {
		for seed := range uint64(2) {
			t.Run(fmt.Sprintf("%s/seed=%d", name, seed), func(t *testing.T) { failAt(t, how, seed) })
		}
	}
}

func failAt(t *testing.T, how fault, seed uint64) {
	s := newSite(t)
	s.env = append(s.env, "WAYBILL_OPERATOR_TOKEN="+campaign.OperatorToken)
	random := rand.New(rand.NewPCG(seed, uint64(how)))
	d := &failingDisk{s: s, how: how, random: random}
	d.after.Store(-1)
	n := s.start(serveIn(world{disk: store.Disk{Sync: d.Sync}}))
	node := &campaign.Node{URL: n.url}
	keys, err := node.Populate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	load := &campaign.Load{Node: node, Keys: keys, Buys: "credit"}
	calm := func(r *rand.Rand) campaign.Manner {
		return campaign.Manner{Directive: fmt.Sprintf("output=%d chunks=4 delay=1ms", 10+r.IntN(30))}
	}
	stop := load.Start(16, random, calm)
	until(t, "there is a load", func() bool { return len(s.up.Calls()) > 64 })
	d.after.Store(int64(random.IntN(50)))
	status := n.wait(t)
	stop()
	if said := n.stderr.String(); status != exitFailed || !strings.Contains(said, "the log cannot be written any more, and the node ends: start it again") || !strings.Contains(said, errDisk.Error()) {
		t.Fatalf("status %d: %s", status, said)
	}

	if d.crashed != nil {
		s = d.crashed
	}
	n = s.start(serveCommand)
	reconciled := func(when string) {
		t.Helper()
		found, err := campaign.Reconcile(t.Context(), s.data(), s.up.Calls(), load)
		if err != nil || len(found) > 0 {
			t.Errorf("%s: %q, %v", when, found, err)
		}
	}
	reconciled("after the start")
	node.URL = n.url
	calls := len(s.up.Calls())
	stop = load.Start(16, random, calm)
	until(t, "it goes on", func() bool { return len(s.up.Calls()) > calls+64 })
	stop()
	reconciled("after it has gone on")
	if status := n.stop(); status != exitOK {
		t.Errorf("status %d: %s", status, n.stderr.String())
	}
	s.must("verify")
}
