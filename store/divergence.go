package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/benbjohnson/litestream"
	"github.com/superfly/ltx"
)

// Divergence is a replica whose history is not that of the folder which would go on with it. Whoever wrote there further, what it
// holds may be the only copy of it: it is not touched.
type Divergence struct {
	Path, Replica string
	Why           string
}

// Error says what was found, and what to do.
func (e *Divergence) Error() string {
	return fmt.Sprintf("the replica %s is not one of this %s: %s. Nothing was written there. If another node has taken over, leave it to that one; "+
		"if what the replica holds is the right one, restore from it into an empty folder (waybill restore); "+
		"if this folder is, name a replica that is empty", e.Replica, e.Path, e.Why)
}

// comparedFiles is how many of the newest transactions are compared by their content, and not by their size alone.
const comparedFiles = 8

// holding is what a replica was found to have.
type holding struct {
	last ltx.TXID // the last single transaction
	top  ltx.TXID // the last that any of its files has
}

// compare holds what the replica has against what this folder knows to have brought there: the files of single transactions, of
// which Litestream keeps the newest on either side, byte for byte the same. Only a *Divergence says that they differ.
func (d *replicated) compare(ctx context.Context) (h holding, err error) {
	there, err := d.there(ctx)
	if err != nil {
		return h, err
	}
	for _, f := range there {
		h.last = max(h.last, f.MaxTXID)
	}
	for level := 0; level <= litestream.SnapshotLevel; level++ {
		i, err := d.db.Replica.MaxLTXFileInfo(ctx, level)
		if err != nil {
			return h, err
		}
		h.top = max(h.top, i.MaxTXID)
	}
	own, err := d.own()
	if err != nil {
		return h, err
	}
	if h.top > 0 { // an empty one is filled from here
		if err := d.agrees(ctx, h, there, own); err != nil {
			return h, err
		}
	}
	d.way.ours.Store(true)
	return h, nil
}

func (d *replicated) agrees(ctx context.Context, h holding, there []*ltx.FileInfo, own map[ltx.TXID]int64) error {
	if len(own) == 0 {
		return d.way.diverged("it has a history, and nothing was ever replicated from this folder")
	}
	newest := slices.Max(slices.Collect(maps.Keys(own)))
	if h.top > newest {
		return d.way.diverged("it ends at transaction %d, this folder at %d: somebody else wrote there, or this folder is an older copy", h.top, newest)
	}
	var common []*ltx.FileInfo
	for _, f := range there {
		size, ok := own[f.MaxTXID]
		if !ok {
			continue
		}
		if size != f.Size {
			return d.way.diverged("its transaction %d is another than this folder's", f.MaxTXID)
		}
		common = append(common, f)
	}
	// One that was emptied while the node runs may have a full copy already, and no transaction yet.
	if len(common) == 0 && (len(there) > 0 || !d.way.whole.Load()) {
		return d.way.diverged("it ends at transaction %d, of which this folder, at %d, knows nothing any more", h.top, newest)
	}
	slices.SortFunc(common, func(a, b *ltx.FileInfo) int { return cmp.Compare(b.MaxTXID, a.MaxTXID) })
	for _, f := range common[:min(len(common), comparedFiles)] {
		same, err := d.same(ctx, f)
		if err != nil {
			return err
		}
		if !same {
			return d.way.diverged("its transaction %d is another than this folder's", f.MaxTXID)
		}
	}
	return nil
}

// there lists the single transactions that the replica has.
func (d *replicated) there(ctx context.Context) (all []*ltx.FileInfo, err error) {
	files, err := d.db.Replica.Client.LTXFiles(ctx, 0, 0, false)
	if err != nil {
		return nil, err
	}
	for files.Next() {
		f := *files.Item()
		all = append(all, &f)
	}
	return all, files.Close()
}

// own lists the single transactions that the folder has, and their sizes.
func (d *replicated) own() (map[ltx.TXID]int64, error) {
	entries, err := os.ReadDir(d.db.LTXLevelDir(0))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all := map[ltx.TXID]int64{}
	for _, e := range entries {
		_, id, err := ltx.ParseFilename(e.Name())
		if err != nil {
			continue // not one of them
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // its time was over
		}
		if err != nil {
			return nil, err
		}
		all[id] = info.Size()
	}
	return all, nil
}

// same compares the end of a file, which has the checksum of the whole.
func (d *replicated) same(ctx context.Context, f *ltx.FileInfo) (bool, error) {
	read := func(r io.ReadCloser, err error) ([]byte, error) {
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(r)
		return b, errors.Join(err, r.Close())
	}
	from := f.Size - ltx.TrailerSize
	theirs, err := read(d.db.Replica.Client.OpenLTXFile(ctx, 0, f.MinTXID, f.MaxTXID, from, ltx.TrailerSize))
	if err == nil && len(theirs) != ltx.TrailerSize {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		var ours []byte
		ours, err = read(endOf(d.db.LTXPath(0, f.MinTXID, f.MaxTXID), from))
		if err == nil {
			return bytes.Equal(theirs, ours), nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil // its time was over on one of the sides
	}
	return false, fmt.Errorf("comparing transaction %d of the replica: %w", f.MaxTXID, err)
}

func endOf(path string, from int64) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// resume says where to go on, which Litestream does not know at first, nor after a failure. It would take for its own whatever it finds
// in the replica, and fails if that lacks more than this folder still has as single transactions, such as one that was emptied:
// there it goes on with the next one, and inspect fills in what is before it.
func (d *replicated) resume(ctx context.Context) error {
	if !d.db.Replica.Pos().IsZero() {
		return nil
	}
	h, err := d.compare(ctx)
	if err != nil {
		return err
	}
	own, err := d.own()
	if err != nil || len(own) == 0 {
		return err
	}
	at := h.last
	if _, ok := own[at+1]; !ok && own[at] == 0 {
		at = slices.Max(slices.Collect(maps.Keys(own)))
	}
	d.db.Replica.SetPos(ltx.Pos{TXID: at})
	return nil
}
