package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/benbjohnson/litestream"
	"github.com/benbjohnson/litestream/file"

	"waybill/ledger"
)

// What the campaign below runs is this program once more, with this in its environment.
const campaignFolder = "WAYBILL_TEST_CAMPAIGN"

// TestCampaignNode is a node for TestReplicaCampaign: sixteen callers who each wait for the replica, and say then what it must have.
func TestCampaignNode(t *testing.T) {
	dir := os.Getenv(campaignFolder)
	if dir == "" {
		t.Skip("a part of TestReplicaCampaign")
	}
	c := replicas(dir, dir+".replica")
	c.Databases = c.Databases[:1]
	c.Levels, c.L0Retention = []time.Duration{time.Second, 5 * time.Second}, 10*time.Second // so that files are merged and deleted meanwhile
	c.apart = 1                                                                             // the more files come, the likelier is a listing that misses one
	c.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	r, err := Replicate(t.Context(), c, filepath.Join(dir, logFile))
	if err != nil {
		t.Fatal(err)
	}
	r.Begin()
	s, err := Open(t.Context(), Options{Dir: dir, Replicated: true, Ballast: -1})
	if err != nil {
		t.Fatal(err)
	}
	r.Follow(s)
	for w := range 16 {
		go func() {
			for i := 0; ; i++ {
				request := fmt.Sprintf("r-%d-%d-%d", os.Getpid(), w, i)
				_, err := s.Execute(t.Context(), admit("acme", request))
				rec, err2 := s.Execute(t.Context(), settle("acme", request))
				if err := errors.Join(err, err2, r.SyncTo(t.Context())); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(3)
				}
				fmt.Printf("acked %d\n", rec.Records[0].Position)
			}
		}()
	}
	io.Copy(io.Discard, os.Stdin) // until it is killed
}

// sum is what a campaign has seen.
type sum struct {
	live, gaps, explained, unexplained, kills, acked int
	failed, lost, events                             int
}

// TestReplicaCampaign kills a node with kill -9 while it replicates, and restores from its replica: beside it while it runs, and after each
// kill from the replica alone. Every event that the replica was said to have must be in each of them. WAYBILL_REPLICA_KILLS sets how
// many kills, and WAYBILL_REPLICA_EACH how long each run is on average.
func TestReplicaCampaign(t *testing.T) {
	kills, each := 2, time.Second
	if v := os.Getenv("WAYBILL_REPLICA_KILLS"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatal(err)
		}
		kills, each = n, 3*time.Second
	}
	if v := os.Getenv("WAYBILL_REPLICA_EACH"); v != "" {
		var err error
		if each, err = time.ParseDuration(v); err != nil {
			t.Fatal(err)
		}
	}
	var all sum
	var dir string
	began := time.Now()
	for k := range kills {
		if k%6 == 0 { // a new node: what is restored stays small, so that many restores are made
			dir, all.events, all.acked = filepath.Join(t.TempDir(), "data"), all.events+all.acked, 0
			if err := Create(t.Context(), Options{Dir: dir, Ballast: -1}, founding("acme")); err != nil {
				t.Fatal(err)
			}
		}
		campaign(t, dir, each/2+rand.N(each), &all)
		to := filepath.Join(filepath.Dir(dir), fmt.Sprint("restored-", k))
		if err := fetched(t.Context(), dir, to); err != nil {
			all.failed++
			t.Errorf("kill %d: restoring from the replica: %v", k, err)
			break
		}
		if got := headOf(t, to); got < uint64(all.acked) {
			all.lost += all.acked - int(got)
			t.Errorf("kill %d: the replica leads to %d, and was said to have %d", k, got, all.acked)
		}
		if k%3 == 2 { // and every third time the node goes on from there
			if err := errors.Join(os.RemoveAll(dir), os.Rename(to, dir)); err != nil {
				t.Fatal(err)
			}
			s := reopen(t, Options{Dir: dir, Ballast: -1})
			s.View(func(st *ledger.State) { p, _ := st.Head(); all.acked = int(p) })
			s.Close()
		}
	}
	t.Logf("in %s: %d kills, %d failed restores, %d lost events; %d restores beside the running node, %d of which saw a gap, all whole when tried again; "+
		"of the gaps the missing files were there in %d and not in %d; %d events", time.Since(began).Round(time.Second), all.kills, all.failed, all.lost, all.live,
		all.gaps, all.explained, all.unexplained, all.events+all.acked)
}

// campaign runs the node for a while, restores beside it all the time, and kills it.
func campaign(t *testing.T, dir string, during time.Duration, all *sum) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCampaignNode$", "-test.v=false")
	cmd.Env = append(os.Environ(), campaignFolder+"="+dir)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var acked atomic.Int64
	acked.Store(int64(all.acked))
	first := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		once := sync.OnceFunc(func() { close(first) })
		defer once()
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if n, err := strconv.ParseInt(strings.TrimPrefix(lines.Text(), "acked "), 10, 64); err == nil {
				acked.Store(max(acked.Load(), n))
				once()
			}
		}
	})
	<-first
	for end := time.Now().Add(during); time.Now().Before(end); {
		known := acked.Load()
		to := filepath.Join(filepath.Dir(dir), "live")
		err := fetched(t.Context(), dir, to)
		all.live++
		if err != nil && strings.Contains(err.Error(), "non-contiguous") {
			all.gaps++
			if there(dir, err) {
				all.explained++
			} else {
				all.unexplained++
			}
			if err = fetched(t.Context(), dir, to); err != nil {
				err = fetched(t.Context(), dir, to)
			}
		}
		if err != nil {
			t.Errorf("restoring beside the running node: %v", err)
			continue
		}
		r, err := OpenReader(t.Context(), to)
		if err != nil {
			t.Fatal(err)
		}
		head, _, err := r.Head(t.Context())
		if err := errors.Join(err, r.Close()); err != nil || head < uint64(known) {
			t.Errorf("beside the running node: restored up to %d, and %d was acknowledged before: %v", head, known, err)
		}
		os.RemoveAll(to)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	_ = cmd.Wait()
	all.kills++
	all.acked = int(acked.Load())
}

// fetched restores the log alone, as Litestream does.
func fetched(ctx context.Context, dir, to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	o := litestream.NewRestoreOptions()
	o.OutputPath = filepath.Join(to, logFile)
	db := litestream.NewDB(o.OutputPath)
	db.SetLogger(slog.New(slog.DiscardHandler))
	r := litestream.NewReplicaWithClient(db, file.NewReplicaClient(filepath.Join(dir+".replica", logFile)))
	if err := r.Restore(ctx, o); err != nil {
		return err
	}
	plan, err := litestream.CalcRestorePlan(ctx, r.Client, 0, time.Time{}, db.Logger)
	if err != nil {
		return nil // what goes on beside it is seen by the next one
	}
	return follow(ctx, db, r, plan[len(plan)-1].MaxTXID)
}

var gap = regexp.MustCompile(`have up to ([0-9a-f]+) but next file starts at ([0-9a-f]+)`)

// there looks, one by one, for the files that a listing did not show: a listing of a folder is no snapshot of it.
func there(dir string, err error) bool {
	m := gap.FindStringSubmatch(err.Error())
	if m == nil {
		return false
	}
	from, _ := strconv.ParseUint(m[1], 16, 64)
	to, _ := strconv.ParseUint(m[2], 16, 64)
	for id := from + 1; id < to; id++ {
		single := filepath.Join(dir+".replica", logFile, "ltx", "0", fmt.Sprintf("%016x-%016x.ltx", id, id))
		if _, err := os.Stat(single); err == nil {
			continue
		}
		merged := false
		for level := 1; level <= 9; level++ {
			names, _ := filepath.Glob(filepath.Join(dir+".replica", logFile, "ltx", strconv.Itoa(level), "*.ltx"))
			for _, n := range names {
				var a, b uint64
				if _, err := fmt.Sscanf(filepath.Base(n), "%x-%x.ltx", &a, &b); err == nil && a <= id && id <= b {
					merged = true
				}
			}
		}
		if !merged {
			return false
		}
	}
	return true
}
