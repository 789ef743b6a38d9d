package store

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"waybill/ledger"
)

// SavedHead is where a log stood, as a person keeps it elsewhere: the position of its last event, and the RFC 6962 hash
// of the tree over all events up to there.
type SavedHead struct {
	Position uint64
	Hash     tlog.Hash
}

// String is the head as it is saved: POSITION:HASH, the hash in hex.
func (h SavedHead) String() string {
	return strconv.FormatUint(h.Position, 10) + ":" + hex.EncodeToString(h.Hash[:])
}

// ParseSavedHead reads what String writes.
func ParseSavedHead(s string) (SavedHead, error) {
	var h SavedHead
	position, hash, ok := strings.Cut(strings.TrimSpace(s), ":")
	n, err := strconv.ParseUint(position, 10, 63)
	b, err2 := hex.DecodeString(hash)
	if !ok || err != nil || err2 != nil || len(b) != len(h.Hash) {
		return h, fmt.Errorf("head %q: not POSITION:HASH as waybill verify prints it", s)
	}
	h.Position = n
	copy(h.Hash[:], b)
	return h, nil
}

// Difference is one place where what is stored is not what the log says, or the log is not what it was.
type Difference struct {
	Position uint64 // of the event that the difference is about
	Table    string
	Row      string // its key
	Column   string // empty if the row as a whole is missing or too many
	Want     string
	Found    string
}

func (d Difference) String() string {
	where := "row " + d.Row
	if d.Column != "" {
		where += ", column " + d.Column
	}
	return fmt.Sprintf("position %d: table %s, %s: should be %s, is %s", d.Position, d.Table, where, d.Want, d.Found)
}

// VerifyOptions says what to verify beside the log itself.
type VerifyOptions struct {
	Head *SavedHead // an earlier head of this log, kept elsewhere: only it can tell of a tail that was cut off
	// Copy is a log that may have been copied a while ago, or ended on purpose: what was signed of events past its end says nothing of it.
	Copy     bool
	Progress func(done, total uint64)
}

// VerifyResult is what was found.
type VerifyResult struct {
	Head        SavedHead         // of the log as it is
	Reports     uint64            // the position up to which the reports were compared; 0 if there are none of this waybill's
	Checkpoints uint64            // that stand beside the log, each held against it
	Checkpoint  *SignedCheckpoint // the last of them, or the vault's; nil: none was signed
	Differences []Difference      // the first maxDifferences, in the order of their positions; empty if all is well
}

// First is the difference at the lowest position, nil if all is well.
func (r VerifyResult) First() *Difference {
	if len(r.Differences) == 0 {
		return nil
	}
	return &r.Differences[0]
}

// maxDifferences bounds a result: one broken event can put every later row in doubt.
const maxDifferences = 100

// errStop ends a walk before the end of the log.
var errStop = errors.New("the walk ends here")

// Verify folds the whole log again from nothing and compares: each event with its hash and the hashes with each other; the
// inline tables with the state that the fold gives; the reports, up to where they have come, with the rows that follow from the
// log. It writes nothing. The error is for what kept it from finishing; what it found is in the result.
func Verify(ctx context.Context, r *Reader, opt VerifyOptions) (VerifyResult, error) {
	reports, err := openComparison(ctx, r.dir)
	if err != nil {
		return VerifyResult{}, err
	}
	v := newVerification(opt, reports)
	reports.found = v.differ
	defer reports.close()
	if v.signed, err = openAttestations(ctx, r); err != nil {
		return VerifyResult{}, err
	}
	if v.total, _, err = r.Head(ctx); err != nil {
		return VerifyResult{}, err
	}
	// Most of the log is read without a snapshot, so that the writer's WAL does not grow meanwhile; the rest, and the
	// tables that must agree with it, in one.
	v.signed.copy = opt.Copy
	if err = walk(ctx, r.db, 0, v.visit); err == nil {
		err = v.signed.compare(ctx, r.db, v.head, false, v.differ)
	}
	if err == nil {
		err = v.finish(ctx, r)
	}
	if err != nil && !errors.Is(err, errStop) {
		return VerifyResult{}, err
	}
	return v.result(), nil
}

type verification struct {
	opt     VerifyOptions
	total   uint64
	reports *comparison

	head     uint64
	at       ledger.Instant
	versions map[string]uint64
	tree     edge
	hashes   []byte // reused: the row of the tree as it should be
	fold     *refold
	traces   *traces
	causes   receipts
	signed   *attestations

	differences []Difference
}

func newVerification(opt VerifyOptions, reports *comparison) *verification {
	return &verification{opt: opt, reports: reports, versions: map[string]uint64{}, fold: newRefold(), traces: newTraces()}
}

// finish walks what came since, and compares the tables, in one snapshot.
func (v *verification) finish(ctx context.Context, r *Reader) error {
	tx, err := r.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := walk(ctx, tx, v.head, v.visit); err != nil {
		return err
	}
	if h := v.opt.Head; h != nil && h.Position > v.head {
		v.differ(Difference{v.head + 1, "events", strconv.FormatUint(v.head+1, 10), "",
			fmt.Sprintf("there, since the saved head stands at %d", h.Position), "missing: the log ends before it"})
	}
	if err := v.compareTree(ctx, tx); err != nil {
		return err
	}
	if err := v.fold.compare(ctx, tx, v.differ); err != nil {
		return err
	}
	if err := v.causes.compare(ctx, tx, v.head, v.differ); err != nil {
		return err
	}
	if err := v.signed.finish(ctx, tx, v.head, v.differ); err != nil {
		return err
	}
	return v.reports.beyond(ctx, v.head)
}

func (v *verification) differ(d Difference) {
	i := len(v.differences)
	for i > 0 && v.differences[i-1].Position > d.Position {
		i--
	}
	v.differences = append(v.differences[:i:i], append([]Difference{d}, v.differences[i:]...)...)
	v.differences = v.differences[:min(len(v.differences), maxDifferences)]
}

func (v *verification) result() VerifyResult {
	return VerifyResult{Head: SavedHead{v.head, v.tree.root(v.head)}, Reports: v.reports.checkpoint, Differences: v.differences,
		Checkpoints: v.signed.count, Checkpoint: v.signed.newest}
}

// visit checks one event and folds it.
func (v *verification) visit(s *step) error {
	if d := v.wrong(s); d != nil {
		v.differ(*d)
		return errStop
	}
	if s.fault != nil {
		return fmt.Errorf("event %d: %w", s.Position, s.fault)
	}
	v.head, v.at = s.Position, s.At
	v.versions[s.Stream] = s.Version
	v.signed.add(s, func() tlog.Hash { return v.tree.root(v.head) })
	if h := v.opt.Head; h != nil && h.Position == s.Position && v.tree.root(v.head) != h.Hash {
		v.differ(Difference{s.Position, "events", "1 to " + strconv.FormatUint(s.Position, 10), "",
			"as they were when the head was saved, with tree hash " + hex.EncodeToString(h.Hash[:]),
			"changed, with their hashes made anew: " + v.tree.root(v.head).String()})
	}
	ps := s.Postings()
	if d := v.fold.add(&s.Record, ps); d != nil {
		v.differ(*d)
	}
	tr, err := v.traces.fold(&s.Record)
	if err != nil {
		return err
	}
	if tr == nil && s.Request() != "" {
		v.differ(eventDifference(s, "data", "of a request that is open", "of "+s.Request()+", which is not"))
	}
	v.causes.add(&s.Record)
	if err := v.reports.add(&s.Record, ps, tr); err != nil {
		return err
	}
	if v.opt.Progress != nil && (s.Position%100_000 == 0 || s.Position == v.total) {
		v.opt.Progress(s.Position, max(v.total, s.Position))
	}
	return nil
}

func eventDifference(s *step, column, want, found string) Difference {
	return Difference{s.Position, "events", strconv.FormatUint(s.Position, 10), column, want, found}
}

// wrong checks an event's place in the log, and its bytes against the tree. The place comes first: it names the column.
func (v *verification) wrong(s *step) *Difference {
	differ := func(column string, want, found any) *Difference {
		d := eventDifference(s, column, fmt.Sprint(want), fmt.Sprint(found))
		return &d
	}
	v.hashes = v.tree.grow(v.hashes[:0], v.head+1, s.leaf)
	hashes := v.hashes
	switch {
	case s.Position != v.head+1:
		return &Difference{v.head + 1, "events", strconv.FormatUint(v.head+1, 10), "", "there", "missing: the next event is at " + strconv.FormatUint(s.Position, 10)}
	case s.Version != v.versions[s.Stream]+1:
		return differ("version", fmt.Sprintf("%d in stream %s", v.versions[s.Stream]+1, s.Stream), s.Version)
	case s.At <= v.at:
		return differ("at", "after "+v.at.String(), s.At)
	case len(s.id) != len(s.ID):
		return differ("id", "16 bytes", fmt.Sprintf("%d bytes", len(s.id)))
	case s.hashes == nil:
		return &Difference{s.Position, "tree", strconv.FormatUint(s.Position, 10), "", "there", "missing"}
	case string(s.hashes) == string(hashes):
		return nil
	case len(s.hashes) >= tlog.HashSize && string(s.hashes[:tlog.HashSize]) == string(hashes[:tlog.HashSize]):
		return &Difference{s.Position, "tree", strconv.FormatUint(s.Position, 10), "hashes", hex.EncodeToString(hashes), hex.EncodeToString(s.hashes)}
	default:
		return &Difference{s.Position, "events", strconv.FormatUint(s.Position, 10), "leaf hash", "as in the tree: " +
			hex.EncodeToString(s.hashes[:min(len(s.hashes), tlog.HashSize)]), "of the stored bytes: " + hex.EncodeToString(hashes[:tlog.HashSize])}
	}
}

// compareTree looks for rows of the tree that belong to no event.
func (v *verification) compareTree(ctx context.Context, q querier) error {
	var n, extra uint64
	if err := q.QueryRowContext(ctx, "SELECT count(*) FROM tree").Scan(&n); err != nil || n == v.head {
		return err
	}
	err := q.QueryRowContext(ctx, "SELECT position FROM tree WHERE position NOT BETWEEN 1 AND ? ORDER BY position LIMIT 1", int64(v.head)).Scan(&extra)
	if err != nil {
		return fmt.Errorf("the tree has %d rows for %d events: %w", n, v.head, err)
	}
	v.differ(Difference{v.head + 1, "tree", strconv.FormatUint(extra, 10), "", "absent: the log ends before it", "there"})
	return nil
}

// root is the hash of the tree over the first size events, of which the edge is.
func (e *edge) root(size uint64) tlog.Hash {
	var h tlog.Hash
	whole := false
	for level := range bits.Len64(size) {
		switch {
		case size>>level&1 == 0:
		case whole:
			h = tlog.NodeHash(e[level], h)
		default:
			h, whole = e[level], true
		}
	}
	if !whole {
		h, _ = tlog.TreeHash(0, nil) // of the empty tree: nothing is read
	}
	return h
}
