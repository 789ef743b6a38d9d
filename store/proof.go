package store

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"waybill/ledger"
)

// A proof is a C2SP tlog-proof: that an event is in the log of which a checkpoint speaks. Its extra data is the event's leaf, the bytes
// that the tree hashes, so that nothing else is needed to check it.
const (
	proofHeader = "c2sp.org/tlog-proof@v1"
	// maxHashes is as many as a proof of the longest log has.
	maxHashes = 48
)

// proof is one, read: what it claims.
type proof struct {
	leaf   []byte
	index  uint64 // of the event, from 0
	hashes tlog.RecordProof
	note   string
}

// prove makes the proof that a record is in the log that a checkpoint covers. It checks it first: what is stored may have changed.
func (r *Reader) prove(ctx context.Context, rec *ledger.Record, c SignedCheckpoint) (string, error) {
	p := proof{leaf: rec.AppendLeaf(nil), index: rec.Position - 1, note: c.Note}
	var err error
	if p.hashes, err = tlog.ProveRecord(int64(c.Position), int64(p.index), r.hashes(ctx)); err != nil {
		return "", fmt.Errorf("proving event %d: %w", rec.Position, err)
	}
	if err := p.check(c.Checkpoint); err != nil {
		return "", fmt.Errorf("event %d cannot be proved, since the log and its tree do not agree: run waybill verify: %w", rec.Position, err)
	}
	return p.String(), nil
}

// check holds the proof against a checkpoint.
func (p *proof) check(c Checkpoint) error {
	if p.index >= c.Position {
		return fmt.Errorf("the proof is of event %d, and the checkpoint covers %d", p.index+1, c.Position)
	}
	if err := tlog.CheckRecord(p.hashes, int64(c.Position), c.Hash, int64(p.index), tlog.RecordHash(p.leaf)); err != nil {
		return fmt.Errorf("the proof does not lead from event %d to the checkpoint: the event, its position or the proof was changed", p.index+1)
	}
	return nil
}

// String is the proof as it is written.
func (p *proof) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nextra %s\nindex %d\n", proofHeader, base64.StdEncoding.EncodeToString(p.leaf), p.index)
	for _, h := range p.hashes {
		fmt.Fprintln(&b, h)
	}
	return b.String() + "\n" + p.note
}

// parseProof reads what String writes, and nothing else: each proof has one text.
func parseProof(text string) (p proof, err error) {
	head, note, ok := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	if !ok || len(lines) < 3 || lines[0] != proofHeader {
		return p, fmt.Errorf("it is not written as %s is", proofHeader)
	}
	if len(lines) > 3+maxHashes || len(note) > maxNote {
		return p, errors.New("it is longer than a proof can be")
	}
	extra, ok := strings.CutPrefix(lines[1], "extra ")
	if p.leaf, err = base64.StdEncoding.DecodeString(extra); !ok || err != nil {
		return p, errors.New("it has no event: extra is not base64")
	}
	index, ok := strings.CutPrefix(lines[2], "index ")
	if p.index, err = strconv.ParseUint(index, 10, 63); !ok || err != nil || p.index >= maxPosition {
		return p, errors.New("its index is no place in a log")
	}
	for _, line := range lines[3:] {
		h, err := tlog.ParseHash(line)
		if err != nil {
			return p, errors.New("one of its hashes is none")
		}
		p.hashes = append(p.hashes, h)
	}
	p.note = note
	if p.String() != text {
		return p, errors.New("it is not written as a proof is")
	}
	return p, nil
}
