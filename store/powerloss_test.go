package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"waybill/ledger"
)

// TestPowerLoss cuts the log's files at random bytes, as a power failure does, and opens what is left. The length of the WAL is
// noted at each acknowledgement. Whatever the cut, the log ends with the last event that was acknowledged within it, and the
// tables, the head and the tree agree. Every third cut is of the file itself, while a checkpoint writes it: nothing is lost then.
//
// WAYBILL_CUTS is the number of cuts, WAYBILL_SEED where they are made.
func TestPowerLoss(t *testing.T) {
	cuts, seed := 200, uint64(1)
	if testing.Short() {
		cuts = 20
	}
	if s := os.Getenv("WAYBILL_CUTS"); s != "" {
		cuts, _ = strconv.Atoi(s)
	}
	if s := os.Getenv("WAYBILL_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	l := recordLifetimes(t)
	random := rand.New(rand.NewPCG(seed, 0))
	kept := map[string]int{}
	for n := range cuts {
		c := l.cut(random, n)
		if !t.Run(fmt.Sprintf("seed=%d/%d/%s", seed, n, c.what), func(t *testing.T) { l.open(t, c) }) {
			t.Fatalf("again: WAYBILL_SEED=%d WAYBILL_CUTS=%d go test ./store -run '^TestPowerLoss$'", seed, n+1)
		}
		kept[c.what]++
	}
	t.Logf("seed %d, %d WALs of %d acknowledgements and %d events: %v", seed, len(l.all), l.acknowledged, l.head(), kept)
}

// lifetime is that of a WAL: from one start over to the next. Between the two the file does not change.
type lifetime struct {
	file  []byte
	wal   []byte
	first uint64 // position of the last event that the file has
	acks  []acknowledgement
}

// acknowledgement is a moment at which a command was answered.
type acknowledgement struct {
	length int    // of what the WAL has of its own
	head   uint64 // of the log
}

// lifetimes are those of a log's WALs.
type lifetimes struct {
	*story
	all          []*lifetime
	events       []ledger.Record
	acknowledged int
	path         string
}

func (l *lifetimes) read(suffix string) []byte {
	l.Helper()
	b, err := os.ReadFile(l.path + suffix)
	if err != nil {
		l.Fatal(err)
	}
	return b
}

// quiet reads the file while the writer stands between two groups: a checkpoint is over then.
func (l *lifetimes) quiet() (b []byte) {
	l.Helper()
	answers := together(l, l.s, &order{write: func(*journal) (err error) { b, err = os.ReadFile(l.path); return err }})
	if answers[0].err != nil {
		l.Fatal(answers[0].err)
	}
	return b
}

// note is called after each answer: nobody else gives the writer anything to do, so the WAL is as the answer found it.
func (l *lifetimes) note() {
	l.Helper()
	wal := l.read("-wal")
	last := l.all[len(l.all)-1]
	if len(last.wal) > 0 && !bytes.Equal(last.wal[:32], wal[:32]) { // it has started over
		next := &lifetime{file: l.quiet(), first: last.acks[len(last.acks)-1].head}
		l.all = append(l.all, next)
		last = next
	}
	last.wal = wal
	var head uint64
	l.s.View(func(st *ledger.State) { head, _ = st.Head() })
	last.acks = append(last.acks, acknowledgement{ownLength(wal), head})
	l.acknowledged++
}

// ownLength is how much of a WAL's file is of the WAL itself: behind it lies what an earlier one has left.
func ownLength(wal []byte) int {
	frame := 24 + int(binary.BigEndian.Uint32(wal[8:]))
	end := 32
	for end+frame <= len(wal) && bytes.Equal(wal[end+8:end+16], wal[16:24]) {
		end += frame
	}
	return end
}

// recordLifetimes lives the story, and then goes on in large groups and small until the WAL has started over twice.
func recordLifetimes(t *testing.T) *lifetimes {
	t.Helper()
	l := &lifetimes{story: newStory(t)}
	l.path = logPath(l.dir)
	l.all = []*lifetime{{file: l.quiet(), first: l.story.head()}}
	l.after = l.note
	l.tell()
	for n := 0; len(l.all) < 3 || len(l.all[2].acks) < 20; n++ {
		request := fmt.Sprint("gamma-more-", n)
		l.admit("gamma", request, ownLeg("gamma"))
		if n%8 == 0 {
			l.group(n)
		}
		l.settle("gamma", request, tried(1, ownLeg("gamma"), ledger.Answered))
		if n > 1000 {
			t.Fatal("the WAL never starts over")
		}
	}
	l.after = nil
	var err error
	if l.events, err = l.s.Page(t.Context(), 0, 1<<30); err != nil {
		t.Fatal(err)
	}
	return l
}

// group has many commands in one transaction.
func (l *lifetimes) group(n int) {
	l.Helper()
	var commands []ledger.Command
	for i := range 12 {
		request := fmt.Sprint("acme-more-", n, "-", i)
		commands = append(commands, ledger.Admit{Who: asked(request), Org: "acme", Request: request, Lane: ledger.LaneAuto, Dialect: ledger.DialectOpenAIChat, Asked: "auto",
			Inputs: ledger.Inputs{Legs: []ledger.Choice{platformLeg}}, Demand: ledger.Demand{Choice: platformLeg, Input: 10, Output: 10}},
			ledger.Void{Who: unasked(request), Org: "acme", Request: request, Resolution: ledger.Resolution{Duration: 9, Reason: "upstream_failed"}})
	}
	for _, a := range together(l, l.s, commanded(commands...)...) {
		if a.err != nil {
			l.Fatal(a.err)
		}
	}
	l.note()
}

// wreck is what a power failure has left of the files.
type wreck struct {
	what      string
	file, wal []byte
	head      uint64 // that it must have
}

// cut is one power failure.
func (l *lifetimes) cut(random *rand.Rand, n int) wreck {
	g := random.IntN(len(l.all))
	if n%3 == 2 {
		return l.checkpoint(random, min(g, len(l.all)-2))
	}
	of := l.all[g]
	at := random.IntN(ownLength(of.wal) + 1)
	if random.IntN(4) == 0 { // at an acknowledgement to the byte, or one before
		at = of.acks[random.IntN(len(of.acks))].length - random.IntN(2)
	}
	c := wreck{what: "nothing behind the cut", file: of.file, wal: slices.Clone(of.wal[:at]), head: of.first}
	if n%3 == 1 { // the file's length is there and what was written is not
		c.what = "old bytes behind the cut"
		old := make([]byte, len(of.wal))
		if g > 0 {
			copy(old, l.all[g-1].wal)
		}
		c.wal = append(c.wal, old[at:]...)
	}
	for _, a := range of.acks {
		if a.length <= at {
			c.head = a.head
		}
	}
	return c
}

// checkpoint is a power failure while what the WAL has is written to the file: of some pages there is the old, of some the
// new, and of one a part of each. The WAL is whole.
func (l *lifetimes) checkpoint(random *rand.Rand, g int) wreck {
	of, next := l.all[g], l.all[g+1]
	file := slices.Clone(next.file)
	at := random.IntN(len(file))
	copy(file[at:], of.file[min(at, len(of.file)):])
	if random.IntN(2) == 0 && at > len(of.file) {
		file = file[:at]
	}
	return wreck{what: "within a checkpoint", file: file, wal: of.wal, head: next.first}
}

// open opens what is left, holds it against what was acknowledged, and goes on with it.
func (l *lifetimes) open(t *testing.T, c wreck) {
	o := Options{Dir: t.TempDir(), Now: l.now, NewID: ids(), Ballast: -1}
	for name, data := range map[string][]byte{logFile: c.file, logFile + "-wal": c.wal} {
		if err := os.WriteFile(filepath.Join(o.Dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := reopen(t, o)
	recs, err := s.Page(t.Context(), 0, 1<<30)
	if err != nil || uint64(len(recs)) != c.head {
		t.Fatalf("%d events, and %d were acknowledged: %v", len(recs), c.head, err)
	}
	for i := range recs {
		if !bytes.Equal(recs[i].AppendLeaf(nil), l.events[i].AppendLeaf(nil)) {
			t.Fatalf("event %d is another", i+1)
		}
	}
	s.View(func(st *ledger.State) {
		if head, _ := st.Head(); head != c.head {
			t.Errorf("the state is at %d, the log at %d", head, c.head)
		}
	})
	must(t, s, ledger.GrantCredit{Who: asked("after"), Org: "acme", Lot: "after", Amount: ledger.Dollar})
	whole(t, s.Reader)
	if res, err := Verify(t.Context(), s.Reader, VerifyOptions{}); err != nil || res.First() != nil || res.Head.Position <= c.head {
		t.Errorf("after another event: %v, %v, %v", res.Head, res.First(), err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
