package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestLeafVectors: the encoding of leaves is frozen. The vectors were written from its description by another program; hash
// is RFC 6962's of the leaf. They are never edited: a change of the encoding is another version byte, beside this one.
func TestLeafVectors(t *testing.T) {
	leaves := map[string]string{}
	for line := range strings.Lines(read(t, "testdata/leaf/vectors.jsonl")) {
		var v struct {
			Name, Stream, ID, Type, Actor, Cause, Data, Leaf, Hash string
			Position, Version                                      uint64
			Schema                                                 int
			At                                                     Instant
		}
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		r := Record{Position: v.Position, Stream: v.Stream, Version: v.Version, Type: Type(v.Type), Schema: v.Schema, At: v.At,
			Actor: v.Actor, Cause: v.Cause, Data: []byte(v.Data)}
		if _, err := hex.Decode(r.ID[:], []byte(v.ID)); err != nil {
			t.Fatal(err)
		}
		b := r.AppendLeaf([]byte("before"))
		if string(b[:6]) != "before" {
			t.Errorf("%s: what stood before it is %q", v.Name, b[:6])
		}
		if got := hex.EncodeToString(b[6:]); got != v.Leaf {
			t.Errorf("%s: its leaf is\n%s, not\n%s", v.Name, got, v.Leaf)
		}
		if sum := sha256.Sum256(append([]byte{0}, b[6:]...)); hex.EncodeToString(sum[:]) != v.Hash {
			t.Errorf("%s: its hash is %x, not %s", v.Name, sum, v.Hash)
		}
		if other, ok := leaves[v.Leaf]; ok {
			t.Errorf("%s and %s are one leaf", v.Name, other)
		}
		leaves[v.Leaf] = v.Name
	}
	if len(leaves) < 6 {
		t.Errorf("%d vectors", len(leaves))
	}
}

// TestLeavesDiffer: a change of any one column changes the leaf.
func TestLeavesDiffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := func(what string) string { return rapid.StringN(0, 6, 12).Draw(t, what) }
		a := Record{Position: rapid.Uint64().Draw(t, "position"), Stream: text("stream"), Version: rapid.Uint64().Draw(t, "version"),
			Type: Type(text("type")), Schema: rapid.IntRange(0, 9).Draw(t, "schema"), At: Instant(rapid.Int64().Draw(t, "at")),
			Actor: text("actor"), Cause: text("cause"), Data: []byte(text("data"))}
		b := a
		switch rapid.IntRange(0, 9).Draw(t, "column") {
		case 0:
			b.Position++
		case 1: // the bytes of two neighbours stay, and where one ends moves
			b.Actor, b.Cause = a.Actor+a.Cause, ""
			if a.Cause == "" {
				b.Cause = "x"
			}
		case 2:
			b.Version++
		case 3:
			b.ID[rapid.IntRange(0, 15).Draw(t, "byte")]++
		case 4:
			b.Type += "x"
		case 5:
			b.Schema++
		case 6:
			b.At++
		case 7:
			b.Stream += "\x00"
		case 8:
			b.Cause = "x" + a.Cause
		default:
			b.Data = append([]byte("{"), a.Data...)
		}
		if string(a.AppendLeaf(nil)) == string(b.AppendLeaf(nil)) {
			t.Fatalf("%+v and %+v are one leaf", a, b)
		}
	})
}

// TestParseLeaf: what is written as a leaf is read back whole, and no other bytes are read as one.
func TestParseLeaf(t *testing.T) {
	want := Record{Position: 7, Stream: "acme", Version: 3, ID: [16]byte{1, 2, 3}, Type: "org.suspended", Schema: 1, At: 12, Actor: "operator",
		Cause: "c", Data: []byte(`{"reason":"r"}`)}
	whole := want.AppendLeaf(nil)
	got, err := ParseLeaf(whole)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := got.Event.(*OrgSuspended); !ok {
		t.Errorf("its event is %T", got.Event)
	}
	if again := got.AppendLeaf(nil); string(again) != string(whole) {
		t.Errorf("read and written again it is\n%x, not\n%x", again, whole)
	}
	for n := range len(whole) {
		if r, err := ParseLeaf(whole[:n]); err == nil {
			t.Errorf("its first %d bytes are read as %+v", n, r)
		}
	}
	if _, err := ParseLeaf(append(whole[:len(whole):len(whole)], 0)); err == nil {
		t.Error("one byte more is read")
	}
	rapid.Check(t, func(t *rapid.T) {
		b := []byte(string(whole))
		for range rapid.IntRange(1, 3).Draw(t, "changes") {
			b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		if r, err := ParseLeaf(b); err == nil && string(r.AppendLeaf(nil)) != string(b) {
			t.Fatalf("%x is read as %+v", b, r)
		}
	})
}
