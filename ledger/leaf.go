package ledger

import "encoding/binary"

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
