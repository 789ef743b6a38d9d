package campaign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"waybill/router/sandbox"
	"waybill/store"
)

// Restored is how the node came back from its replica, after its folder was lost.
type Restored struct {
	Seen       uint64 `json:"position_seen"`       // the highest position that the node told of
	Replicated uint64 `json:"position_replicated"` // of which it last said that the replica has it
	Position   uint64 `json:"position_restored"`
	Lost       uint64 `json:"events_lost"` // that its disk had, and the replica not
	Answers    int    `json:"answers_lost"`
	Purchases  int    `json:"purchases_lost"` // that were acknowledged
}

// replicate has the node keep a replica, in a folder beside it.
func (c *crash) replicate() error {
	c.node.Durability = c.Durability
	c.node.Litestream = filepath.Join(c.Dir, "litestream.yml")
	text := "dbs:\n"
	for _, name := range []string{"waybill.db", "vault.db"} {
		text += fmt.Sprintf("  - path: %s\n    replica:\n      type: file\n      path: %s\n      sync-interval: 100ms\n",
			filepath.Join(c.node.Data, name), filepath.Join(c.Dir, "replica", name))
	}
	return os.WriteFile(c.node.Litestream, []byte(text), 0o600)
}

// watcher asks a node for its health, as a monitor does, and keeps what it said.
type watcher struct {
	seen       atomic.Uint64 // the highest position
	replicated atomic.Uint64 // the highest that is known to be in the replica
	end, done  chan struct{}
}

func (c *crash) watch() *watcher {
	w := &watcher{end: make(chan struct{}), done: make(chan struct{})}
	url := c.node.URL
	go func() {
		defer close(w.done)
		for {
			select {
			case <-w.end:
				return
			case <-time.After(5 * time.Millisecond):
				w.ask(url)
			}
		}
	}()
	return w
}

func (w *watcher) ask(url string) {
	var h struct {
		Position uint64
		Replica  struct{ Position uint64 }
	}
	resp, err := http.Get(url + "/healthz")
	if err != nil {
		return // it was killed
	}
	defer resp.Body.Close()
	if json.NewDecoder(resp.Body).Decode(&h) == nil {
		w.seen.Store(max(w.seen.Load(), h.Position))
		w.replicated.Store(max(w.replicated.Load(), h.Replica.Position))
	}
}

func (w *watcher) stop() *Restored {
	close(w.end)
	<-w.done
	return &Restored{Seen: w.seen.Load(), Replicated: w.replicated.Load()}
}

// restore takes the folder of the killed node away and makes it anew from the replica and the master key. What the replica was
// said to have must be there, event by event; what is lost behind it is counted, and nobody's to hold any more; of what waits for the replica by the node's durability nothing is lost.
func (c *crash) restore(ctx context.Context) error {
	is := c.report.Restored
	lost := filepath.Join(c.Dir, "lost")
	c.node.MasterKey = filepath.Join(c.Dir, "master.key")
	if err := errors.Join(os.Rename(c.node.Data, lost), os.Rename(c.node.Data+".key", c.node.MasterKey)); err != nil {
		return err
	}
	out, err := c.node.Command(ctx, "restore", "--from", c.node.Litestream, "--known", fmt.Sprint(is.Seen), "--json")
	if err != nil {
		return err
	}
	var done struct {
		Position uint64 `json:"restored_position"`
	}
	if err := json.Unmarshal([]byte(out), &done); err != nil {
		return fmt.Errorf("restore says %s: %w", out, err)
	}
	is.Position = done.Position
	if err := c.compare(ctx, lost, done.Position); err != nil {
		return err
	}
	if err := c.node.Serve(ctx); err != nil {
		return err
	}
	known := slices.DeleteFunc(c.up.Calls(), func(call sandbox.Call) bool {
		id, _, _ := strings.Cut(call.Attempt, ".")
		q := c.books.requests[id]
		return q == nil || q.at == 0 || q.at > done.Position
	})
	found, err := Reconcile(ctx, c.node.Data, known, c.load)
	if err != nil {
		return err
	}
	if _, err := c.node.Command(ctx, "verify"); err != nil {
		c.books.differ("verify: %v", err)
	}
	c.books.differences = append(c.books.differences, found...)
	return c.node.Stop()
}

// compare holds the restored log against the lost one, and takes off everybody's hands what is lost.
func (c *crash) compare(ctx context.Context, lost string, position uint64) (err error) {
	is := c.report.Restored
	if position < is.Replicated {
		c.books.differ("the replica was said to have event %d, and is restored up to %d", is.Replicated, position)
	}
	if err := c.books.read(ctx, lost); err != nil {
		return err
	}
	calls := c.up.CallsAfter(c.seen)
	c.seen += int64(len(calls))
	c.books.served(calls)
	c.books.held(c.load)
	is.Lost = c.books.head - min(c.books.head, position)
	was, err := store.OpenReader(ctx, lost)
	if err != nil {
		return err
	}
	defer was.Close()
	now, err := store.OpenReader(ctx, c.node.Data)
	if err != nil {
		return err
	}
	defer now.Close()
	for after := uint64(0); after < position; {
		a, err := was.Page(ctx, after, 5000)
		b, err2 := now.Page(ctx, after, 5000)
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		for i := 0; i < len(a) && i < len(b) && a[i].Position <= position; i++ {
			if string(a[i].AppendLeaf(nil)) != string(b[i].AppendLeaf(nil)) {
				c.books.differ("event %d is another since the restore", a[i].Position)
			}
		}
		if len(a) == 0 || len(b) == 0 {
			c.books.differ("the restored log ends before event %d", after+1)
			break
		}
		after = min(a[len(a)-1].Position, b[len(b)-1].Position)
	}
	is.Answers, is.Purchases = c.load.forget(c.books, position, c.Durability)
	return nil
}
