package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// leafVersion is the first byte of every leaf. The encoding below is frozen: vectors in testdata/leaf pin it.
const leafVersion = 1

// AppendLeaf appends the bytes of a record that the Merkle tree hashes: a version byte, then the envelope's columns
// in the order of the events table, each with its length before it as four big-endian bytes. Numbers are eight
// big-endian bytes; data is as it is stored. Lengths before fields mean that no two records share an encoding.
func (r *Record) AppendLeaf(b []byte) []byte {
	b = append(b, leafVersion)
	b = leafNumber(b, r.Position)
	b = leafField(b, r.Stream)
	b = leafNumber(b, r.Version)
	b = leafField(b, string(r.ID[:]))
	b = leafField(b, string(r.Type))
	b = leafNumber(b, uint64(r.Schema))
	b = leafNumber(b, uint64(r.At))
	b = leafField(b, r.Actor)
	b = leafField(b, r.Cause)
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.Data)))
	return append(b, r.Data...)
}

func leafNumber(b []byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(b, 8), n)
}

func leafField(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

// ParseLeaf reads what AppendLeaf writes, and decodes the event. Bytes that AppendLeaf would not write are an error.
func ParseLeaf(b []byte) (r Record, err error) {
	l := leaf{b: b}
	if len(b) == 0 || b[0] != leafVersion {
		return r, errors.New("it does not begin as a leaf of this version does")
	}
	l.b = b[1:]
	r.Position = l.number("position")
	r.Stream = string(l.field("stream"))
	r.Version = l.number("version")
	if id := l.field("id"); len(id) == len(r.ID) {
		copy(r.ID[:], id)
	} else {
		l.fail("id")
	}
	r.Type = Type(l.field("type"))
	schema := l.number("schema")
	r.At = Instant(l.number("at"))
	r.Actor = string(l.field("actor"))
	r.Cause = string(l.field("cause"))
	r.Data = slices.Clone(l.field("data"))
	if r.Schema = int(schema); schema > math.MaxInt32 {
		l.fail("schema")
	}
	if l.err == nil && len(l.b) > 0 {
		l.err = fmt.Errorf("it goes on for %d bytes after its end", len(l.b))
	}
	if l.err != nil {
		return Record{}, l.err
	}
	r.Event, err = Decode(r.Type, r.Schema, r.Data)
	return r, err
}

// leaf is what is left of a leaf that is being read.
type leaf struct {
	b   []byte
	err error
}

func (l *leaf) fail(column string) {
	if l.err == nil {
		l.err = fmt.Errorf("its column %s is cut short or has another length than it should", column)
	}
}

func (l *leaf) field(column string) []byte {
	if l.err != nil {
		return nil
	}
	if len(l.b) < 4 || uint64(binary.BigEndian.Uint32(l.b)) > uint64(len(l.b)-4) {
		l.fail(column)
		return nil
	}
	n := binary.BigEndian.Uint32(l.b)
	f := l.b[4 : 4+n]
	l.b = l.b[4+n:]
	return f
}

func (l *leaf) number(column string) uint64 {
	f := l.field(column)
	if len(f) != 8 {
		l.fail(column)
		return 0
	}
	return binary.BigEndian.Uint64(f)
}
