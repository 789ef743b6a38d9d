package ledger

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// world is one log under test. Its state is made in three ways at once: decided and merged as the writer does, folded
// again from the stored bytes, and loaded from the rows that a store would have kept. They must never differ.
type world struct {
	now    Instant
	log    []Record
	state  *State
	folded *State
	rows   map[RowKey]Row
	stored map[balanceKey]Balance

	draft *Draft // the batch that is being decided
	ids   uint64

	// What the audit keeps for itself, from the postings alone.
	sums  map[balanceKey]int64
	open  map[string][]Draw // request → its hold
	ended map[string]bool
}

func newWorld() *world {
	return &world{state: NewState(), folded: NewState(), rows: map[RowKey]Row{}, stored: map[balanceKey]Balance{},
		sums: map[balanceKey]int64{}, open: map[string][]Draw{}, ended: map[string]bool{}}
}

func counter(n *uint64) func() [16]byte {
	return func() (id [16]byte) {
		*n++
		binary.BigEndian.PutUint64(id[8:], *n)
		return id
	}
}

// decide decides a command as part of the present batch. The first error is the command's refusal, the second an
// invariant that broke.
func (w *world) decide(c Command) (recs []Record, refused error, broken error) {
	if w.draft == nil {
		w.draft = w.state.Draft(counter(&w.ids))
	}
	recs, refused = w.draft.Decide(w.now, c)
	for i := range recs {
		if err := w.audit(&recs[i]); err != nil {
			return recs, refused, fmt.Errorf("%s at position %d: %w", recs[i].Type, recs[i].Position, err)
		}
	}
	if refused == nil && len(recs) > 0 {
		own := slices.IndexFunc(recs, func(r Record) bool { return r.Cause != "due" })
		if own >= 0 && !slices.Equal(recs[own].Causes(), c.Once()) {
			return recs, nil, fmt.Errorf("the log tells of the causes %v, and the command of %v", recs[own].Causes(), c.Once())
		}
	}
	var coded *Error
	if refused != nil && (!errors.As(refused, &coded) || coded.Code == CodeInternal || coded.Code == "") {
		return recs, refused, fmt.Errorf("an invariant stopped the command: %w", refused)
	}
	return recs, refused, nil
}

// commit ends the batch: what the draft changed goes to the store's rows, and the draft into the state.
func (w *world) commit() error {
	if w.draft == nil {
		return nil
	}
	for row, err := range w.draft.Rows() {
		if err != nil {
			return err
		}
		if row.Data == nil {
			delete(w.rows, row.RowKey)
		} else {
			w.rows[row.RowKey] = row
		}
	}
	for b := range w.draft.Balances() {
		if b.Amount == 0 {
			delete(w.stored, balanceKey{b.Account, b.Unit})
		} else {
			w.stored[balanceKey{b.Account, b.Unit}] = b
		}
	}
	w.state.Merge(w.draft)
	w.draft = nil
	return w.same()
}

// do decides one command in a batch of its own.
func (w *world) do(c Command) (recs []Record, refused error, broken error) {
	before := dump(w.state)
	ids := w.ids
	dropped, why := w.state.Draft(counter(&ids)).Decide(w.now, c)
	if after := dump(w.state); after != before {
		return nil, nil, fmt.Errorf("a dropped draft left a trace:\n%s", difference(before, after))
	}
	recs, refused, broken = w.decide(c)
	if broken != nil {
		return recs, refused, broken
	}
	if fmt.Sprint(why) != fmt.Sprint(refused) || !slices.EqualFunc(dropped, recs, sameLeaf) {
		return recs, refused, fmt.Errorf("the same command on the same state was decided twice differently")
	}
	return recs, refused, w.commit()
}

func sameLeaf(a, b Record) bool { return bytes.Equal(a.AppendLeaf(nil), b.AppendLeaf(nil)) }

// audit checks one record against what must hold at every position of a log, and folds its stored bytes.
func (w *world) audit(r *Record) error {
	if r.Position != uint64(len(w.log)+1) {
		return fmt.Errorf("follows position %d", len(w.log))
	}
	var last Record
	for _, p := range slices.Backward(w.log) {
		if last.Position == 0 {
			last.Position, last.At = p.Position, p.At
		}
		if p.Stream == r.Stream {
			last.Version = p.Version
			break
		}
	}
	if r.At <= last.At || r.At < w.now {
		return fmt.Errorf("at %d, after %d, when the clock said %d", r.At, last.At, w.now)
	}
	if o := w.folded.Org(r.Stream); o != nil && o.Erased != 0 {
		return fmt.Errorf("org %s was erased before", r.Stream)
	}
	if r.Version != last.Version+1 {
		return fmt.Errorf("version %d of %s after %d", r.Version, r.Stream, last.Version)
	}
	w.log = append(w.log, *r)

	again, err := Decode(r.Type, r.Schema, r.Data)
	if err != nil {
		return err
	}
	if _, _, data, err := Encode(again); err != nil || !bytes.Equal(data, r.Data) {
		return fmt.Errorf("decoded and encoded again it is %s, not %s (%v)", data, r.Data, err)
	}
	copied := *r
	copied.Event = again
	d := w.folded.Draft(nil)
	d.Evolve(&copied)
	w.folded.Merge(d)

	if err := w.requests(again); err != nil {
		return err
	}
	return w.add(copied.Postings())
}

// requests checks that each admission has at most one resolution, and keeps the holds that are open.
func (w *world) requests(e Event) error {
	resolve := func(request string) error {
		if _, ok := w.open[request]; !ok {
			return fmt.Errorf("request %s is resolved but not open", request)
		}
		delete(w.open, request)
		w.ended[request] = true
		return nil
	}
	switch e := e.(type) {
	case *RequestAdmitted:
		if _, ok := w.open[e.Request]; ok || w.ended[e.Request] {
			return fmt.Errorf("request %s is admitted twice", e.Request)
		}
		w.open[e.Request] = e.Held
	case *RequestExtended:
		if _, ok := w.open[e.Request]; !ok {
			return fmt.Errorf("request %s is extended but not open", e.Request)
		}
		w.open[e.Request] = e.Held
	case *RequestSettled:
		return resolve(e.Request)
	case *RequestVoided:
		return resolve(e.Request)
	case *RequestInterrupted:
		return resolve(e.Request)
	}
	return nil
}

// add adds an entry to the audit's own sums: it balances in each unit, takes no account of an org's below zero, and
// leaves on the held accounts what the open holds say.
func (w *world) add(entry []Posting) error {
	units := map[Unit]int64{}
	seen := map[balanceKey]bool{}
	for _, p := range entry {
		k := balanceKey{p.Account, p.Unit}
		if seen[k] || p.Amount == 0 {
			return fmt.Errorf("%s has two postings, or an empty one: %v", p.Account, entry)
		}
		if back, err := ParseAccount(p.Account.String()); err != nil || back != p.Account {
			return fmt.Errorf("account %s is read back as %s (%v)", p.Account, back, err)
		}
		seen[k] = true
		units[p.Unit] += p.Amount
		w.sums[k] += p.Amount
	}
	for u, n := range units {
		if n != 0 {
			return fmt.Errorf("the entry makes %d %s of nothing: %v", n, u, entry)
		}
	}
	held := map[balanceKey]int64{}
	for request, draws := range w.open {
		org := w.folded.holds[request].Org
		for _, draw := range draws {
			held[balanceKey{draw.of(org).held(), draw.Unit}] += draw.Amount
		}
	}
	total := map[Unit]int64{}
	for k, n := range w.sums {
		total[k.Unit] += n
		if k.Org != "" && n < 0 {
			return fmt.Errorf("%s is at %d %s", k.Account, n, k.Unit)
		}
		if k.Held && held[k] != n {
			return fmt.Errorf("%s has %d %s, and the open holds have %d", k.Account, n, k.Unit, held[k])
		}
	}
	for k, n := range held {
		if w.sums[k] != n {
			return fmt.Errorf("the open holds have %d %s, and %s has %d", n, k.Unit, k.Account, w.sums[k])
		}
	}
	for u, n := range total {
		if n != 0 {
			return fmt.Errorf("all balances sum to %d %s", n, u)
		}
	}
	return nil
}

// same compares the state as it was decided with its two other makings, and with the audit's sums.
func (w *world) same() error {
	decided := dump(w.state)
	if folded := dump(w.folded); folded != decided {
		return fmt.Errorf("folded again from its bytes, the log makes another state:\n%s", difference(decided, folded))
	}
	loaded := NewState()
	for _, row := range w.rows {
		if err := loaded.Load(row); err != nil {
			return err
		}
	}
	for _, b := range w.stored {
		loaded.LoadBalance(b)
	}
	versions := map[string]uint64{}
	for _, r := range w.log {
		versions[r.Stream] = r.Version
	}
	head, at := w.state.Head()
	loaded.Seal(head, at, versions)
	if l := dump(loaded); l != decided {
		return fmt.Errorf("loaded from its rows, the state is another:\n%s", difference(decided, l))
	}
	for k, n := range w.sums {
		if w.state.Balance(k.Account, k.Unit) != n {
			return fmt.Errorf("%s is at %d %s, and its postings sum to %d", k.Account, w.state.Balance(k.Account, k.Unit), k.Unit, n)
		}
	}
	return nil
}

// dump shows everything that a state answers, one fact a line, in one order.
func dump(s *State) string {
	head, at := s.Head()
	lines := []string{fmt.Sprintf("head %d %d", head, at)}
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for k, v := range s.Rows() {
		data, err := json.Marshal(v)
		say("row %s %s %s %v", k.Kind, k.ID, data, err)
	}
	for b := range s.Balances() {
		say("balance %s %s %d", b.Account, b.Unit, b.Amount)
	}
	for stream, v := range s.versions {
		say("version %s %d", stream, v)
	}
	for hash, k := range s.keyByHash {
		say("hash %s %s", hash, k.ID)
	}
	for org, wallet := range s.wallets {
		if len(wallet) > 0 {
			ids := make([]string, len(wallet))
			for i, c := range wallet {
				ids[i] = c.ID
				if s.credentials[c.ID] != c {
					ids[i] += " as it no longer is"
				}
			}
			say("wallet %s %s", org, strings.Join(ids, " "))
		}
	}
	for name, m := range s.bareName {
		if m != nil {
			say("name %s %s", name, m.Name)
		} else {
			say("name %s is several", name)
		}
	}
	for _, row := range s.prices {
		if p := s.PriceOf(row.Model, max(at, row.From)); p != nil {
			say("price of %s once %s has begun: %s", row.Model, row.ID, p.ID)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// difference lists the lines that only one of two dumps has.
func difference(a, b string) string {
	var out []string
	la, lb := strings.Split(a, "\n"), strings.Split(b, "\n")
	for _, l := range la {
		if !slices.Contains(lb, l) {
			out = append(out, "- "+l)
		}
	}
	for _, l := range lb {
		if !slices.Contains(la, l) {
			out = append(out, "+ "+l)
		}
	}
	return strings.Join(out, "\n")
}
