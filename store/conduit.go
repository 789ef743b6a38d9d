package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/benbjohnson/litestream"
	"github.com/superfly/ltx"
)

// conduit is the way to a replica. It notes when something came through last, and lets nothing be changed there before replication has begun
// and the replica is found to be this folder's, nor once it is found to be another's. It connects when it must and not before: a node starts though
// its replica is out of reach.
type conduit struct {
	litestream.ReplicaClient
	file  ReplicatedFile
	pulse atomic.Int64               // ns since 1970, when something came through
	begun atomic.Bool                // see Replication.Begin: nothing is changed there before
	ours  atomic.Bool                // single transactions may be brought there
	whole atomic.Bool                // it has the newest: others may be merged and deleted
	lost  atomic.Pointer[Divergence] // it is another's
	// compare looks whether it is still this folder's: before Litestream's housekeeping changes anything there, at a time of its own.
	compare func(context.Context) error
	// merging is held while a file of several transactions is written: a full copy that a round makes may be the one that housekeeping
	// makes at the same time, and a folder takes both under one name.
	merging sync.Mutex
}

// writable is nil if a file of a level may be changed.
func (c *conduit) writable(ctx context.Context, level int) error {
	if why := c.lost.Load(); why != nil {
		return why
	}
	switch {
	case !c.begun.Load():
		return errNotBegun
	case level == 0 && c.ours.Load():
		return nil
	case c.whole.Load():
		return c.compare(ctx)
	}
	return errUnknown
}

var (
	errNotBegun = errors.New("nothing is replicated yet")
	errUnknown  = errors.New("it is not known yet whether the replica is this folder's")
)

// diverged closes it for good.
func (c *conduit) diverged(format string, args ...any) *Divergence {
	c.lost.CompareAndSwap(nil, &Divergence{Path: c.file.Path, Replica: c.file.Replica, Why: fmt.Sprintf(format, args...)})
	return c.lost.Load()
}

func (c *conduit) beat() { c.pulse.Store(time.Now().UnixNano()) }

func (c *conduit) Init(context.Context) error { return nil }

func (c *conduit) LTXFiles(ctx context.Context, level int, seek ltx.TXID, metadata bool) (ltx.FileIterator, error) {
	defer c.beat()
	return c.ReplicaClient.LTXFiles(ctx, level, seek, metadata)
}

func (c *conduit) OpenLTXFile(ctx context.Context, level int, from, to ltx.TXID, offset, size int64) (io.ReadCloser, error) {
	defer c.beat()
	f, err := c.ReplicaClient.OpenLTXFile(ctx, level, from, to, offset, size)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{flow{f, c}, f}, nil
}

func (c *conduit) WriteLTXFile(ctx context.Context, level int, from, to ltx.TXID, r io.Reader) (*ltx.FileInfo, error) {
	if err := c.writable(ctx, level); err != nil {
		return nil, err
	}
	if level > 0 {
		c.merging.Lock()
		defer c.merging.Unlock()
	}
	defer c.beat()
	if s, ok := r.(io.ReadSeeker); ok { // whose length is known: it goes up in one piece
		if err := c.vacant(ctx, level, from, to, s); err != nil {
			return nil, err
		}
		return c.ReplicaClient.WriteLTXFile(ctx, level, from, to, struct {
			io.Reader
			io.Seeker
		}{flow{r, c}, s})
	}
	return c.ReplicaClient.WriteLTXFile(ctx, level, from, to, flow{r, c})
}

// vacant looks whether a transaction's place is free, or has that very one since an upload failed whose outcome was not heard. Another's
// is from a node that believes, as this one does, that it is the only one here.
func (c *conduit) vacant(ctx context.Context, level int, from, to ltx.TXID, ours io.ReadSeeker) error {
	f, err := c.ReplicaClient.OpenLTXFile(ctx, level, from, to, 0, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking whether transaction %d is there already: %w", to, err)
	}
	head := make([]byte, ltx.HeaderSize) // what is shorter is no transaction, but an answer that broke off
	_, err = io.ReadFull(f, head)
	equal := false
	if err == nil {
		equal, err = alike(io.MultiReader(bytes.NewReader(head), f), ours)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("comparing transaction %d, which is there already: %w", to, err)
	}
	if !equal {
		return c.diverged("transaction %d is there already, from somebody else who writes there now", to)
	}
	_, err = ours.Seek(0, io.SeekStart)
	return err
}

// alike tells whether two readers give the same.
func alike(a, b io.Reader) (bool, error) {
	x, y := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(a, x)
		m, err2 := io.ReadFull(b, y)
		if !bytes.Equal(x[:n], y[:m]) {
			return false, nil
		}
		over := func(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
		switch {
		case over(err) && over(err2):
			return true, nil
		case err != nil && !over(err):
			return false, err
		case err2 != nil && !over(err2):
			return false, err2
		}
	}
}

func (c *conduit) DeleteLTXFiles(ctx context.Context, files []*ltx.FileInfo) error {
	if err := c.writable(ctx, litestream.SnapshotLevel); err != nil {
		return err
	}
	defer c.beat()
	return c.ReplicaClient.DeleteLTXFiles(ctx, files)
}

// flow is bytes on their way.
type flow struct {
	r io.Reader
	c *conduit
}

func (f flow) Read(b []byte) (int, error) {
	f.c.beat()
	return f.r.Read(b)
}
