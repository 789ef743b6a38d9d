package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"waybill/ledger"
)

func TestGroup(t *testing.T) {
	ctx := context.Background()
	s := newNode(t, Options{Dir: t.TempDir()}, "acme")
	head, _, _ := s.Head(ctx)
	poor := admit("acme", "r9")
	poor.Demand.Output = 1 << 39
	a := together(t, s, commanded(admit("acme", "r1"), poor, admit("nobody", "r2"), admit("acme", "r1"), settle("acme", "r1"), settle("acme", "r1"), admit("acme", "r3"))...)
	var codes []ledger.Code
	for _, a := range a {
		codes = append(codes, refusal(a.err))
	}
	want := []ledger.Code{"none", "insufficient_funds", "not_found", "conflict", "none", "conflict", "none"}
	if !slices.Equal(codes, want) {
		t.Errorf("answers %v, want %v", codes, want)
	}
	recs, err := s.Page(ctx, head, 10)
	if err != nil || len(recs) != 3 {
		t.Fatalf("%d events, %v: a refused order costs only itself", len(recs), err)
	}
	for i, c := range []int{0, 4, 6} {
		if got := a[c].receipt.Records; len(got) != 1 || got[0].Position != recs[i].Position || got[0].ID != recs[i].ID || !slices.Equal(got[0].Data, recs[i].Data) {
			t.Errorf("order %d has the receipt %+v, and the log %+v", c, got, recs[i])
		}
	}
	if recs[1].Request() != "r1" || recs[1].Type != "request.settled" || recs[0].At >= recs[1].At || recs[1].At >= recs[2].At {
		t.Errorf("%+v", recs)
	}
}

// TestDueStands: what fell due before a refused command has happened all the same.
func TestDueStands(t *testing.T) {
	clock := newFakeClock()
	s := newNode(t, Options{Dir: t.TempDir(), Now: clock.now}, "acme")
	clock.pass(32 * 24 * time.Hour)
	_, err := s.Execute(context.Background(), ledger.Settle{Org: "acme", Request: "unknown"})
	if refusal(err) != ledger.CodeConflict {
		t.Fatal(err)
	}
	s.View(func(st *ledger.State) {
		if p := st.Org("acme").Period; p.Number != 2 {
			t.Errorf("period %+v", p)
		}
	})
	gapless(t, s.Reader, 5+4+1)
}

func TestConcurrentCallers(t *testing.T) {
	ctx, orgs := context.Background(), orgNames(7)
	o := Options{Dir: t.TempDir(), Batch: 16}
	s := newNode(t, o, orgs...)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for n := range 10 {
				org, request := orgs[i%len(orgs)], fmt.Sprintf("r-%d-%d", i, n)
				for _, c := range []ledger.Command{admit(org, request), admit("nobody", request), settle(org, request)} {
					r, err := s.Execute(ctx, c)
					if c.Stream() == "nobody" {
						if refusal(err) != ledger.CodeNotFound {
							t.Error(err)
						}
						continue
					}
					if err != nil || len(r.Records) != 1 || r.Records[0].Request() != request {
						t.Errorf("%+v: %+v, %v", c, r, err)
					}
					s.View(func(st *ledger.State) {
						if head, _ := st.Head(); head < r.Position() {
							t.Errorf("answered at %d while the state is at %d", r.Position(), head)
						}
					})
				}
			}
		})
	}
	wg.Wait()
	gapless(t, s.Reader, 5+7*4+64*10*2)
}

// gapless asserts that positions, and versions within streams, count up from one, and that times increase.
func gapless(t testing.TB, r *Reader, events int) {
	t.Helper()
	recs, err := r.Page(context.Background(), 0, 1<<30)
	if err != nil || len(recs) != events {
		t.Fatalf("%d events, want %d: %v", len(recs), events, err)
	}
	versions, at := map[string]uint64{}, ledger.Instant(0)
	for i := range recs {
		r := &recs[i]
		versions[r.Stream]++
		if r.Position != uint64(i+1) || r.Version != versions[r.Stream] || r.At <= at {
			t.Fatalf("event %d has position %d, version %d of %s, time %s after %s", i+1, r.Position, r.Version, r.Stream, r.At, at)
		}
		at = r.At
	}
}

// TestRestart: the state read from the tables is the state that was in memory.
func TestRestart(t *testing.T) {
	orgs := orgNames(5)
	o := Options{Dir: t.TempDir()}
	s := newNode(t, o, orgs...)
	grow(t, s, orgs, 300)
	must(t, s, admit("org-001", "open-1"), admit("org-002", "open-2"),
		ledger.AttachCredential{Who: operator, Org: "org-003", Credential: "own", Provider: "openai", Fingerprint: "1234", Use: ledger.UsePrefer},
		ledger.IssueKey{Who: operator, Org: "org-003", Key: "k1", Hash: strings.Repeat("0a", 32), Scopes: []ledger.Scope{ledger.ScopeInference}})
	var before, after map[string]string
	var head uint64
	s.View(func(st *ledger.State) { before = rows(t, st); head, _ = st.Head() })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, o)
	s.View(func(st *ledger.State) {
		after = rows(t, st)
		if h, _ := st.Head(); h != head {
			t.Errorf("head %d, was %d", h, head)
		}
		if len(st.Wallet("org-003")) != 1 || st.KeyByHash(strings.Repeat("0a", 32)) == nil || st.PriceOf("openai/gpt", 2) == nil {
			t.Error("an index was not built")
		}
	})
	if !maps.Equal(before, after) {
		t.Errorf("before\n%v\nafter\n%v", before, after)
	}
	if recs := must(t, s, settle("org-001", "open-1")); recs[0].Position != head+1 {
		t.Errorf("the log goes on at %d after %d", recs[0].Position, head)
	}
}

// watched is a context that tells when it is waited for.
type watched struct {
	context.Context
	waiting chan struct{}
}

func (w watched) Done() <-chan struct{} {
	close(w.waiting)
	return w.Context.Done()
}

func TestQueue(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s := newNode(t, Options{Dir: t.TempDir(), Queue: 2, Batch: 1}, "acme")
	must(t, s, admit("acme", "r1"))
	begun, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		s.submit(ctx, &order{write: func(*journal) error { close(begun); <-release; return nil }})
	})
	<-begun
	queued := []*order{{write: func(*journal) error { return nil }}, {write: func(*journal) error { return nil }}}
	for _, o := range queued {
		o.answer = make(chan answer, 1)
		if err := s.enqueue(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Execute(ctx, admit("acme", "r2")); refusal(err) != ledger.CodeUnavailable || !strings.Contains(err.Error(), "busy") {
		t.Errorf("a full queue answers %v", err)
	}
	gone, leave := context.WithCancel(ctx)
	left, waiting := make(chan error), make(chan struct{})
	go func() { _, err := s.Execute(watched{gone, waiting}, settle("acme", "r1")); left <- err }()
	<-waiting
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("a settlement whose caller left before there was room: %v", err)
	}
	settled := make(chan error)
	waiting = make(chan struct{})
	go func() { _, err := s.Execute(watched{ctx, waiting}, settle("acme", "r1")); settled <- err }()
	<-waiting
	close(release)
	if err := <-settled; err != nil {
		t.Errorf("a settlement waits for room: %v", err)
	}
	wg.Wait()
	if _, err := s.Execute(gone, admit("acme", "r2")); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that is gone already: %v", err)
	}
}

// TestContextEndsNothing: who has queued hears how it ended, even with a context that has ended since.
func TestContextEndsNothing(t *testing.T) {
	s := newNode(t, Options{Dir: t.TempDir()}, "acme")
	ctx, cancel := context.WithCancel(context.Background())
	begun, release := make(chan struct{}), make(chan struct{})
	go s.submit(context.Background(), &order{write: func(*journal) error { close(begun); <-release; return nil }})
	<-begun
	type result struct {
		ledger.Receipt
		error
	}
	done := make(chan result)
	go func() { r, err := s.Execute(ctx, admit("acme", "r1")); done <- result{r, err} }()
	for len(s.queue) == 0 {
		runtime.Gosched()
	}
	cancel()
	close(release)
	if r := <-done; r.error != nil || len(r.Records) != 1 {
		t.Errorf("%+v", r)
	}
}

// TestFailure: after a commit of which it is not known how it ended, nothing is decided any more, and starting again tells.
func TestFailure(t *testing.T) {
	for name, fail := range map[string]func(*journal) error{
		"the transaction ends under the group": func(l *journal) error { return l.commit.exec() },
		"the disk is full, but the log has grown": func(l *journal) error {
			return errors.Join(l.exec(`INSERT INTO events SELECT position + 1, 'x', 1, id, type, schema, at, actor, cause, data FROM events ORDER BY position DESC LIMIT 1`),
				l.commit.exec(), l.begin.exec(), l.exec(`PRAGMA max_page_count = 1`), l.exec(`INSERT INTO node VALUES ('a', zeroblob(100000))`))
		},
		"a statement fails that never does": func(l *journal) error { return l.exec(`INSERT INTO balances VALUES ('a', 'usd', 0, 1)`) },
	} {
		t.Run(name, func(t *testing.T) { failOn(t, fail) })
	}
}

func failOn(t *testing.T, fail func(*journal) error) {
	o := Options{Dir: t.TempDir()}
	s := newNode(t, o, "acme")
	must(t, s, admit("acme", "r1"))
	a := together(t, s, append(commanded(admit("acme", "r2")), &order{write: fail})...)
	for _, a := range a {
		if refusal(a.err) != ledger.CodeUnavailable {
			t.Error(a.err)
		}
	}
	if err := <-s.Failed(); err == nil || !strings.Contains(err.Error(), "must be opened again") {
		t.Error(err)
	}
	for _, c := range []ledger.Command{admit("acme", "r3"), settle("acme", "r1")} {
		if _, err := s.Execute(context.Background(), c); refusal(err) != ledger.CodeUnavailable {
			t.Error(err)
		}
	}
	s.View(func(st *ledger.State) {
		if st.Hold("r2") != nil || st.Hold("r1") == nil {
			t.Error("the state is not as of the last commit that is known")
		}
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(t.Name(), "grown") {
		return
	}
	must(t, reopen(t, o), settle("acme", "r1"), admit("acme", "r3"))
}

// TestClose: what is queued is done, what comes later is refused, and no goroutine is left.
func TestClose(t *testing.T) {
	goroutines := runtime.NumGoroutine()
	s := newNode(t, Options{Dir: t.TempDir()}, "acme")
	begun, release := make(chan struct{}), make(chan struct{})
	go s.submit(context.Background(), &order{write: func(*journal) error { close(begun); <-release; return nil }})
	<-begun
	orders := commanded(admit("acme", "r1"), admit("acme", "r2"))
	for _, o := range orders {
		o.answer = make(chan answer, 1)
		if err := s.enqueue(context.Background(), o); err != nil {
			t.Fatal(err)
		}
	}
	tail := s.Changed(1 << 40)
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	for shut := false; !shut; runtime.Gosched() {
		s.gate.RLock()
		shut = s.writer.closed
		s.gate.RUnlock()
	}
	if _, err := s.Execute(context.Background(), admit("acme", "r3")); refusal(err) != ledger.CodeUnavailable {
		t.Errorf("a command that came after: %v", err)
	}
	close(release)
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	for _, o := range orders {
		if a := <-o.answer; a.err != nil || len(a.receipt.Records) != 1 {
			t.Errorf("a command that was queued before: %+v", a)
		}
	}
	<-tail
	if err := s.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > goroutines; runtime.Gosched() {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, before %d\n%s", runtime.NumGoroutine(), goroutines, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

func TestChanged(t *testing.T) {
	s := newNode(t, Options{Dir: t.TempDir()}, "acme")
	head, _, _ := s.Head(context.Background())
	select {
	case <-s.Changed(head - 1):
	default:
		t.Error("the head is beyond already")
	}
	now, later := s.Changed(head), s.Changed(head+1)
	must(t, s, admit("acme", "r1"))
	<-now
	select {
	case <-later:
		t.Error("the head is not beyond yet")
	default:
	}
	must(t, s, admit("acme", "r2"))
	<-later
}
