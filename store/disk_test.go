package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"waybill/ledger"
)

// brim is a store whose file may have so many pages and no more.
type brim struct {
	*Store
	limit atomic.Int64
}

func newBrim(t *testing.T, o Options) *brim {
	b := new(brim)
	o.tick = time.Hour
	o.Disk.Pages = b.limit.Load
	b.Store = newNode(t, o, "acme")
	return b
}

func (b *brim) pages(t *testing.T) (n int64) {
	together(t, b.Store, &order{write: func(l *journal) error {
		row, err := l.one(`PRAGMA page_count`)
		n = row[0].(int64)
		return err
	}})
	return n
}

// TestFull: when the file can grow no more, new commands are refused before anything is done for them, settlements wait, and
// all goes on by itself once there is space.
func TestFull(t *testing.T) {
	ctx := context.Background()
	o := Options{Dir: t.TempDir(), Ballast: 1 << 20, retry: time.Millisecond}
	s := newBrim(t, o)
	var open []string
	admitted := func(n int) string { return fmt.Sprintf("r-%04d", n) }
	for n := range 50 {
		must(t, s.Store, admit("acme", admitted(n)))
		open = append(open, admitted(n))
	}
	s.limit.Store(s.pages(t) + 2)
	var err error
	n := len(open)
	for err == nil && n < 1000 {
		var group []ledger.Command
		for range 16 { // a large group fails when some of it is written already
			group = append(group, admit("acme", admitted(n)))
			n++
		}
		for i, a := range together(t, s.Store, commanded(group...)...) {
			if err = a.err; err == nil {
				open = append(open, group[i].(ledger.Admit).Request)
			}
		}
	}
	if refusal(err) != ledger.CodeUnavailable || !strings.Contains(err.Error(), "disk is full") {
		t.Fatalf("at the limit: %v", err)
	}
	settled := make(chan error)
	for _, request := range open {
		go func() { _, err := s.Execute(ctx, settle("acme", request)); settled <- err }()
	}
	done := 0
	for s.stall.why.Load() == nil || len(s.queue) > 0 {
		select {
		case err := <-settled:
			if done++; err != nil {
				t.Fatal(err)
			}
		default:
			runtime.Gosched()
		}
	}
	if _, err := s.Execute(ctx, ledger.SuspendOrg{Who: operator, Org: "acme", Reason: "abuse"}); refusal(err) != ledger.CodeUnavailable {
		t.Errorf("another command while the disk is full: %v", err)
	}
	if err := s.SetNodeValue(ctx, "a", nil); refusal(err) != ledger.CodeUnavailable {
		t.Errorf("another write while the disk is full: %v", err)
	}
	if err := s.Stalled(); refusal(err) != ledger.CodeUnavailable {
		t.Errorf("a full disk is no stall: %v", err)
	}
	s.View(func(st *ledger.State) {
		if len(st.Holds()) == 0 {
			t.Error("the limit was not felt")
		}
	})
	select {
	case err := <-s.Failed():
		t.Fatal(err)
	default:
	}
	s.limit.Store(1 << 30)
	for ; done < len(open); done++ {
		if err := <-settled; err != nil {
			t.Fatal(err)
		}
	}
	for err = unavailable("not yet"); refusal(err) == ledger.CodeUnavailable; n++ {
		_, err = s.Execute(ctx, admit("acme", admitted(n)))
	}
	if err != nil || s.Stalled() != nil {
		t.Fatal(err, s.Stalled())
	}
	if info, err := os.Stat(filepath.Join(o.Dir, "ballast")); err != nil || info.Size() != 1<<20 {
		t.Errorf("the ballast afterwards: %v, %v", info, err)
	}
	whole(t, s.Reader) // what was rolled back has left nothing in it
	s.Close()
	reopen(t, o).View(func(st *ledger.State) {
		if h := st.Holds(); len(h) != 1 {
			t.Errorf("%d holds are open, want the last alone", len(h))
		}
	})
}

// TestFullAtClose: a settlement that cannot be written before the end is refused, not lost in silence.
func TestFullAtClose(t *testing.T) {
	o := Options{Dir: t.TempDir(), retry: time.Hour, Ballast: -1}
	s := newNode(t, o, "acme")
	for n := range 200 {
		must(t, s, admit("acme", fmt.Sprintf("r-%04d", n)))
	}
	s.Close()
	o.Disk.Pages = func() int64 { return 1 } // SQLite takes it for as many as there are
	s = reopen(t, o)
	var orders []*order
	for n := range 200 {
		big := settle("acme", fmt.Sprintf("r-%04d", n))
		big.UpstreamID = strings.Repeat("x", 1000)
		orders = append(orders, &order{command: big, firm: true, answer: make(chan answer, 1)})
	}
	for _, o := range orders {
		if err := s.enqueue(context.Background(), o); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	refused, kept := 0, 0
	for _, o := range orders {
		switch a := <-o.answer; refusal(a.err) {
		case ledger.CodeUnavailable:
			refused++
		case "none":
			kept++
		default:
			t.Fatal(a.err)
		}
	}
	o.Disk = Disk{}
	reopen(t, o).View(func(st *ledger.State) {
		if h := len(st.Holds()); refused == 0 || h != refused {
			t.Errorf("%d were refused and %d settled, and %d holds are open", refused, kept, h)
		}
	})
}

// TestLocked: another program that has the log locked makes the node wait, not fail.
func TestLocked(t *testing.T) {
	ctx := context.Background()
	o := Options{Dir: t.TempDir(), retry: time.Millisecond}
	s := newNode(t, o, "acme")
	must(t, s, admit("acme", "r1"))
	together(t, s, &order{write: func(l *journal) error { _, err := l.one(`PRAGMA busy_timeout = 1`); return err }})
	other, err := connect(dsn(logPath(o.Dir), writing))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.exec(`BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Execute(ctx, admit("acme", "r2")); refusal(err) != ledger.CodeUnavailable || !strings.Contains(err.Error(), "locked") {
		t.Fatal(err)
	}
	settled := make(chan error)
	go func() { _, err := s.Execute(ctx, settle("acme", "r1")); settled <- err }()
	if err := other.exec(`ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	if err := <-settled; err != nil {
		t.Fatal(err)
	}
	for err = unavailable("not yet"); refusal(err) == ledger.CodeUnavailable; {
		_, err = s.Execute(ctx, admit("acme", "r2"))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestCheckpoint: the WAL stays small, unless a replicator owns it; and a reader who stands in the way costs only space.
func TestCheckpoint(t *testing.T) {
	orgs := orgNames(20)
	for _, replicated := range []bool{false, true} {
		o := Options{Dir: t.TempDir(), Replicated: replicated}
		s := newNode(t, o, orgs...)
		grow(t, s, orgs, 6000)
		wal, err := os.Stat(logPath(o.Dir) + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		if pages := wal.Size() / 4096; pages < 2*checkpointPages == replicated {
			t.Errorf("replicated %t: the WAL has %d pages", replicated, pages)
		}
	}
}

// TestCrash: a copy of the files at any moment is a node that has every event that was acknowledged by then.
func TestCrash(t *testing.T) {
	ctx, orgs := context.Background(), orgNames(5)
	o := Options{Dir: t.TempDir()}
	s := newNode(t, o, orgs...)
	enough, writing := make(chan struct{}), make(chan struct{})
	go func() { // however slow the copying is, there is a load to copy under
		defer close(writing)
		for {
			select {
			case <-enough:
				return
			default:
				grow(t, s, orgs, 1000)
			}
		}
	}()
	for i := 0; i < 5; i += stride(3) {
		var acknowledged uint64
		s.View(func(st *ledger.State) { acknowledged, _ = st.Head() })
		<-s.Changed(acknowledged + 200)
		s.View(func(st *ledger.State) { acknowledged, _ = st.Head() })
		copied := Options{Dir: t.TempDir()}
		copyLog(t, s, o.Dir, copied.Dir)
		c := reopen(t, copied)
		head, _, err := c.Head(ctx)
		if err != nil || head < acknowledged {
			t.Fatalf("the copy ends at %d, and %d was acknowledged: %v", head, acknowledged, err)
		}
		gapless(t, c.Reader, int(head))
		whole(t, c.Reader)
		must(t, c, admit(orgs[0], "after-the-crash"))
		c.Close()
	}
	close(enough)
	<-writing
}

// copyLog copies the file and its WAL while the writer stands between two groups, as otherwise a checkpoint may come between
// the two. What a torn write leaves follows in the WAL.
func copyLog(t *testing.T, s *Store, from, to string) {
	t.Helper()
	a := together(t, s, &order{write: func(*journal) error {
		for name, torn := range map[string][]byte{logFile: nil, logFile + "-wal": make([]byte, 1234)} {
			data, err := os.ReadFile(filepath.Join(from, name))
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(to, name), append(data, torn...), 0o600); err != nil {
				return err
			}
		}
		return nil
	}})
	if a[0].err != nil {
		t.Fatal(a[0].err)
	}
}
