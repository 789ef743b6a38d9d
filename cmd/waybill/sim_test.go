package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"waybill/ledger"
	"waybill/router/sandbox"
	"waybill/store"
)

// The simulator runs the node that serves, on a real store, in a world that is scripted by a seed: its clock is virtual, its
// upstreams and callers speak when the script lets them, its disk fills, fails to sync and loses power. One thing happens at a
// time, and after each the invariants are held against what happened. A failure prints its seed and the script up to there;
// the same seed gives the same script.
//
// WAYBILL_SEEDS is how many seeds are run, WAYBILL_SEED runs that one alone and tells its script.
func TestSimulation(t *testing.T) {
	seeds, one := uint64(25), os.Getenv("WAYBILL_SEED")
	if testing.Short() {
		seeds = 5
	}
	if s := os.Getenv("WAYBILL_SEEDS"); s != "" {
		seeds, _ = strconv.ParseUint(s, 10, 64)
	}
	first := uint64(1)
	if one != "" {
		first, _ = strconv.ParseUint(one, 10, 64)
		seeds = 1
	}
	all := map[string]int{}
	for seed := first; seed < first+seeds; seed++ {
		if !t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			s := simulate(t, seed)
			for what, n := range s.counts {
				all[what] += n
			}
			if one != "" {
				t.Log(s.script())
			}
		}) {
			t.Fatalf("again: WAYBILL_SEED=%d go test ./cmd/waybill -run '^TestSimulation$' -v", seed)
		}
	}
	t.Logf("%d seeds: %v", seeds, all)
}

// TestSimulationReplays plays a script twice: the same happens, up to the last byte of the log.
func TestSimulationReplays(t *testing.T) {
	seeds := uint64(6)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		first, again := simulate(t, seed).told, simulate(t, seed).told
		for i, line := range first {
			if i == len(again) || again[i] != line {
				t.Fatalf("seed %d goes on in two ways:\n%s\n%s", seed, line, strings.Join(again[min(i, len(again)):min(i+1, len(again))], ""))
			}
		}
	}
}

// simulate plays the script of a seed. Goroutines that are ready at once run in the same order each time: one at a time, and what
// can be has its own instant to be ready at.
func simulate(t *testing.T, seed uint64) *sim {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	cryptotest.SetGlobalRandom(t, seed)
	s := &sim{home: t.TempDir(), rand: rand.New(rand.NewPCG(seed, 0)), counts: map[string]int{}, asked: map[string]*bought{}}
	synctest.Test(t, func(t *testing.T) {
		s.t = t
		s.play()
	})
	return s
}

// simSteps is how much happens under a seed.
const simSteps = 200

// sim is a world with a node in it.
type sim struct {
	t      *testing.T
	home   string
	rand   *rand.Rand
	told   []string // the script so far
	broken error    // the first of what may not be

	tallying sync.Mutex
	counts   map[string]int

	begun time.Time
	skew  atomic.Int64 // of the wall clock, in nanoseconds
	// Two counters, since the writer's goroutine takes its ids beside the others: they would not come out the same each time.
	ids, eventIDs atomic.Uint64

	folders    int
	replicated bool // with Litestream, to a folder
	conf       config
	node       *node
	life       *life
	disk       simDisk

	up *sandbox.Sandbox

	mu      sync.Mutex  // of what the node's goroutines come to see too
	calls   []*exchange // all there have been
	callers []*simCaller
	orgs    []simOrg
	keyed   []asking           // that were said under an Idempotency-Key
	asked   map[string]*bought // by payment: what was asked for it
	pending *bought            // of which it is not known whether it happened
	books   simBooks
}

// life is the time from a node's start to its end. What reaches an ended one from outside goes nowhere.
type life struct{ over atomic.Bool }

// simBegins is the time at which every script begins: the bubble's own is before there were prices.
var simBegins = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// play plays the script, and says why it had to end before its end.
func (s *sim) play() {
	defer func() {
		if p := recover(); p != nil {
			s.broke(p)
		}
		if s.broken == nil {
			return
		}
		if s.node != nil && !s.life.over.Load() {
			s.end()
		}
		s.t.Errorf("%v\n%s", s.broken, s.script())
	}()
	s.begin()
	for range simSteps {
		time.Sleep(time.Duration(1 + s.rand.Int64N(int64(time.Millisecond)))) // what began at one instant would time out at one
		s.step()
		s.settle()
	}
	s.finish()
}

// settle waits until nothing more follows from what has happened, and looks.
func (s *sim) settle() {
	synctest.Wait()
	if s.broken != nil {
		panic(s.broken)
	}
	s.died()
	s.check()
}

// begin makes the node and its orgs.
func (s *sim) begin() {
	time.Sleep(time.Until(simBegins))
	s.begun = time.Now()
	s.up = sandbox.New(sandbox.Options{Now: time.Now})
	env := map[string]string{"WAYBILL_LITESTREAM": "", "WAYBILL_OPERATOR_TOKEN": simToken, "WAYBILL_MASTER_KEY_FILE": filepath.Join(s.home, "master.key"),
		"OPENAI_API_KEY": "sk-platform-openai", "ANTHROPIC_API_KEY": "sk-platform-anthropic", "GEMINI_API_KEY": "sk-platform-google"}
	for _, p := range []string{"openai", "anthropic", "google"} {
		env["WAYBILL_"+strings.ToUpper(p)+"_BASE_URL"] = sandbox.BaseURL("http://upstream.test", p)
	}
	var err error
	if s.conf, err = configure(nil, env); err != nil {
		s.fail("%v", err)
	}
	if s.chance(2) {
		s.conf.recovery = ledger.RuleCaptureHeld
	}
	s.replicated = s.chance(4)
	s.moveTo(s.folder())
	if _, err := create(s.t.Context(), s.conf, s.newEventID); err != nil {
		s.fail("%v", err)
	}
	s.start()
	s.found()
}

const simToken = "wbo_the_operators_token_in_a_simulation"

func (s *sim) folder() string {
	s.folders++
	return filepath.Join(s.home, fmt.Sprint("data", s.folders))
}

func (s *sim) now() time.Time { return time.Now().Round(0).Add(time.Duration(s.skew.Load())) }

// id is a UUIDv7 of which nothing is left to chance.
func (s *sim) id(n *atomic.Uint64) (id uuid.UUID) {
	binary.BigEndian.PutUint64(id[:8], uint64(s.now().UnixMilli())<<16)
	binary.BigEndian.PutUint64(id[8:], n.Add(1))
	id[6], id[8] = 0x70, 0x80|id[8]
	return id
}

func (s *sim) newEventID() [16]byte { return s.id(&s.eventIDs) }

// start opens the folder, as serve does.
func (s *sim) start() {
	s.life = &life{}
	woke := time.Now()
	s.disk.next(s)
	n, err := openNode(s.t.Context(), s.conf, nodeOptions{log: slog.New(slog.DiscardHandler), acceptClock: true, serves: true, replicate: s.replicated, world: world{
		now: s.now, elapsed: func() time.Duration { return time.Since(woke) }, newID: func() uuid.UUID { return s.id(&s.ids) }, eventID: func() uuid.UUID { return s.newEventID() },
		disk: store.Disk{Pages: s.disk.pages.Load, Sync: s.disk.sync}, ballast: -1, transport: &wire{s, s.life},
	}})
	if err != nil {
		s.fail("the node does not start: %v", err)
	}
	s.node = n
	time.Sleep(time.Millisecond) // replication begins with a round of its own accord, and one that is asked for at that instant may be it or not
	s.books.again(s)
	s.verify()
}

// died starts the node again if its log failed.
func (s *sim) died() {
	select {
	case err := <-s.node.store.Failed():
		if s.disk.left() == "" {
			s.fail("the log fails on a disk that does not: %v", err)
		}
		s.tell("the log failed, its WAL %s: the process ends", s.disk.torn())
		s.count("failures of the log")
		s.restart()
	default:
	}
}

// restart ends the node's life, goes on with the files that a crash would have left, and starts it again.
func (s *sim) restart() {
	s.end()
	if to := s.disk.left(); to != "" {
		s.moveTo(to)
	}
	s.start()
}

// moveTo has the node's files elsewhere from now on, with the replica where it was.
func (s *sim) moveTo(dir string) {
	s.conf.data = dir
	if !s.replicated {
		return
	}
	s.conf.litestream = filepath.Join(s.home, "litestream.yml")
	var text strings.Builder
	text.WriteString("dbs:\n")
	for _, name := range []string{"waybill.db", "vault.db"} {
		fmt.Fprintf(&text, "  - path: %s\n    replica:\n      type: file\n      path: %s\n      sync-interval: 1h\n", filepath.Join(dir, name), filepath.Join(s.home, "replica", name))
	}
	if err := os.WriteFile(s.conf.litestream, []byte(text.String()), 0o600); err != nil {
		s.fail("%v", err)
	}
}

// end ends a life in whatever state it is: the callers lose their connections, and what the node still does is of no use.
func (s *sim) end() {
	s.life.over.Store(true)
	for _, c := range s.callers {
		c.leave()
		synctest.Wait()
	}
	for _, x := range s.calls {
		if x.life == s.life {
			x.cut()
			synctest.Wait()
		}
	}
	s.disk.pages.Store(0)
	find := func() {}
	if s.replicated && s.disk.left() != "" { // what it has left in its last folder is not for the replica
		find = s.loseReplica()
	}
	s.node.close() // of a node that has crashed, whatever it says
	find()
	synctest.Wait()
	s.callers = nil
}

// loseReplica has the replica out of reach, until it is found again.
func (s *sim) loseReplica() (find func()) {
	at := filepath.Join(s.home, "replica")
	if err := errors.Join(os.MkdirAll(at, 0o700), os.Rename(at, at+".away"), os.WriteFile(at, nil, 0o600)); err != nil {
		panic(err)
	}
	return func() {
		if err := errors.Join(os.Remove(at), os.Rename(at+".away", at)); err != nil {
			panic(err)
		}
	}
}

// finish lets everything end in order, and holds the whole history against the log.
func (s *sim) finish() {
	s.skew.Store(0)
	s.disk.pages.Store(0)
	for i := 0; len(s.open()) > 0; i++ {
		if i == 200 {
			s.fail("calls do not end")
		}
		for _, x := range s.calls {
			if x.life == s.life {
				x.advance(s, true)
				s.settle()
			}
		}
		time.Sleep(10 * time.Second)
		s.settle()
	}
	s.node.store.View(func(st *ledger.State) {
		if h := st.Holds(); len(h) > 0 {
			s.fail("every call has ended, and %d are open: %s", len(h), h[0].Request)
		}
	})
	s.end()
	s.start() // what was open is resolved
	for s.pending != nil {
		s.pays(*s.pending)
	}
	s.reconcile()
	s.end()
	s.verify()
}

func (s *sim) open() (open []*simCaller) {
	for _, c := range s.callers {
		if !c.ended.Load() {
			open = append(open, c)
		}
	}
	return open
}

func (s *sim) tell(format string, args ...any) {
	s.told = append(s.told, fmt.Sprintf("%9.3fs %s", time.Since(s.begun).Seconds(), fmt.Sprintf(format, args...)))
}

func (s *sim) count(what string) {
	s.tallying.Lock()
	defer s.tallying.Unlock()
	s.counts[what]++
}

func (s *sim) script() string { return strings.Join(s.told, "\n") }

// fail ends the play.
func (s *sim) fail(format string, args ...any) { panic(fmt.Errorf(format, args...)) }

// caught is deferred by what runs in the node's goroutines, which no play ends in.
func (s *sim) caught() {
	if p := recover(); p != nil {
		s.broke(p)
	}
}

func (s *sim) broke(p any) {
	err, ok := p.(error)
	if _, bug := p.(runtime.Error); bug || !ok {
		err = fmt.Errorf("%v\n%s", p, debug.Stack())
	}
	if s.broken == nil {
		s.broken = err
	}
}

// chance is true once in n times.
func (s *sim) chance(n int) bool { return s.rand.IntN(n) == 0 }

// oneOf picks one.
func oneOf[T any](r *rand.Rand, of []T) (one T, ok bool) {
	if len(of) == 0 {
		return one, false
	}
	return of[r.IntN(len(of))], true
}
