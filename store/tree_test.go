package store

import (
	"context"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// stored are the hashes of a tree in tlog's own order.
type stored []tlog.Hash

func (s stored) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, n := range indexes {
		out[i] = s[n]
	}
	return out, nil
}

// whole asserts that the tree is that of the log's records.
func whole(t *testing.T, r *Reader) {
	t.Helper()
	recs, err := r.Page(context.Background(), 0, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	var all stored
	for i := range recs {
		hashes, err := tlog.StoredHashes(int64(i), recs[i].AppendLeaf(nil), all)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, hashes...)
	}
	want, err := tlog.TreeHash(int64(len(recs)), all)
	if err != nil {
		t.Fatal(err)
	}
	if root, err := r.Root(context.Background(), uint64(len(recs))); err != nil || root != want {
		t.Errorf("the root of %d events is %v, want %v: %v", len(recs), root, want, err)
	}
}

// TestTree: the rows of the tree hold tlog's stored hashes, and the root is that of the leaves, at every size, across restarts.
func TestTree(t *testing.T) {
	ctx := context.Background()
	o, orgs := Options{Dir: t.TempDir(), Batch: 3}, orgNames(3)
	s := newNode(t, o, orgs...)
	for i := range 3 {
		grow(t, s, orgs[i:i+1], 7)
		s.Close()
		s = reopen(t, o)
	}
	recs, err := s.Page(ctx, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var all stored
	for i := range recs {
		hashes, err := tlog.StoredHashes(int64(i), recs[i].AppendLeaf(nil), all)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, hashes...)
		var row, want []byte
		if err := s.db.QueryRow(`SELECT hashes FROM tree WHERE position = ?`, i+1).Scan(&row); err != nil {
			t.Fatal(err)
		}
		for _, h := range hashes {
			want = append(want, h[:]...)
		}
		if !slices.Equal(row, want) {
			t.Errorf("row %d: %x, want %x", i+1, row, want)
		}
		root, err := s.Root(ctx, uint64(i+1))
		if err != nil {
			t.Fatal(err)
		}
		if want, err := tlog.TreeHash(int64(i+1), all); err != nil || root != want {
			t.Errorf("root of %d: %v, want %v, %v", i+1, root, want, err)
		}
	}
	if _, err := s.Root(ctx, uint64(len(recs)+1)); err == nil {
		t.Error("a root past the head")
	}
	if root, err := s.Root(ctx, 0); err != nil || root.String() != "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" {
		t.Errorf("root of nothing: %v, %v", root, err)
	}
}
