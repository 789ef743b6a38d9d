package campaign

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"time"

	"waybill/router/sandbox"
)

// CrashOptions say how a crash campaign is to go.
type CrashOptions struct {
	Binary  string // this program
	Dir     string // a folder for all that it makes
	Kills   int
	Seed    uint64
	Replica bool      // with a replica in a folder, from which the node is restored at the end
	Log     io.Writer // progress

	Durability string // of the node with a replica; empty: local
}

// CrashReport is how it went.
type CrashReport struct {
	Seed        uint64        `json:"seed"`
	Kills       int           `json:"kills"`
	Served      int           `json:"calls_served"`     // by the upstreams
	Whole       int           `json:"answers_held"`     // whole, by callers
	Between     int           `json:"kills_in_between"` // that found an answer ended upstream and not settled
	Interrupted int           `json:"calls_interrupted"`
	Purchases   int           `json:"purchases_acknowledged"`
	Again       int           `json:"purchases_asked_again"` // since no answer came
	Events      uint64        `json:"events"`
	Start       time.Duration `json:"slowest_start_ns"`
	Restored    *Restored     `json:"restored,omitempty"`
	Took        time.Duration `json:"duration_ns"`
	Differences []string      `json:"differences"`
}

// callers is how many call at a time.
const callers = 32

// crash is a campaign on its way.
type crash struct {
	CrashOptions
	rand   *rand.Rand
	up     *sandbox.Server
	node   *Node
	load   *Load
	books  *books
	seen   int64 // calls of the upstreams' record that have been held against the log
	report CrashReport
}

// Crash serves under load, kills the process, serves again and holds the log against the upstreams' record and what callers hold, so often.
// An error means that it could not go on; what does not agree is in the report.
func Crash(ctx context.Context, o CrashOptions) (r CrashReport, err error) {
	began := time.Now()
	c := &crash{CrashOptions: o, rand: rand.New(rand.NewPCG(o.Seed, 0)), books: newBooks()}
	if c.up, err = sandbox.Listen("127.0.0.1:0", sandbox.Options{}); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, c.up.Close()) }()
	c.node = &Node{Binary: o.Binary, Data: filepath.Join(o.Dir, "data"), Up: c.up.URL()}
	defer c.node.Kill()
	if err := c.run(ctx); err != nil {
		return c.told(began), fmt.Errorf("seed %d: %w", o.Seed, err)
	}
	return c.told(began), nil
}

func (c *crash) run(ctx context.Context) error {
	if c.Replica {
		if err := c.replicate(); err != nil {
			return err
		}
	}
	keys, err := c.node.Found(ctx)
	if err != nil {
		return err
	}
	c.load = &Load{Node: c.node, Keys: keys, Buys: "credit"}
	for i := range c.Kills {
		if err := c.round(ctx, i, i == c.Kills-1); err != nil {
			return err
		}
	}
	if c.Replica {
		return c.restore(ctx)
	}
	return c.node.Stop()
}

// round loads the node, kills it at a moment drawn from the seed, starts it again and reconciles. Every other kill follows the
// simultaneous end of all open answers, when settlements are waiting for their commit. With a replica the node does not start again
// after the last: it is to be restored.
func (c *crash) round(ctx context.Context, i int, last bool) error {
	atEnd := i%2 == 1 && !(last && c.Replica)
	stop := c.load.Start(callers, c.rand, func(r *rand.Rand) Manner { return Manner{Directive: directive(r, atEnd)} })
	var w *watcher
	if last && c.Replica {
		w = c.watch()
	}
	err := c.moment(ctx, atEnd)
	if w != nil && err == nil {
		err = c.until(ctx, "the replica follows", func() bool { return w.replicated.Load() > c.books.head })
	}
	c.node.Kill()
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	c.up.Release("")
	<-stopped
	c.report.Kills++
	if w != nil {
		c.report.Restored = w.stop()
	}
	if err != nil || w != nil {
		return err
	}
	began := time.Now()
	if err := c.node.Serve(ctx); err != nil {
		return err
	}
	c.report.Start = max(c.report.Start, time.Since(began))
	between, err := c.reconcile(ctx)
	if between {
		c.report.Between++
	}
	fmt.Fprintf(c.Log, "kill %d of %d: %d calls served, %d answers held whole, %d differences\n", i+1, c.Kills, c.seen, len(c.load.whole), len(c.books.differences))
	return err
}

// directive draws what an upstream does.
func directive(r *rand.Rand, hang bool) string {
	switch {
	case hang:
		return fmt.Sprintf("output=%d chunks=4 hang=end", 20+r.IntN(60))
	case r.IntN(40) == 0:
		return "fail=overloaded"
	}
	return fmt.Sprintf("output=%d chunks=8 delay=%dms reasoning=%d", 20+r.IntN(60), 2+r.IntN(10), 1+r.IntN(15))
}

// moment waits until it is time to kill.
func (c *crash) moment(ctx context.Context, atEnd bool) error {
	if err := c.until(ctx, "16 calls are open at once", func() bool { return c.open() >= callers/2 }); err != nil {
		return err
	}
	if !atEnd {
		return c.pause(ctx, time.Duration(c.rand.IntN(150))*time.Millisecond)
	}
	if err := c.until(ctx, "all callers wait", func() bool { return c.open() >= callers }); err != nil {
		return err
	}
	c.up.Release("")
	return c.pause(ctx, time.Duration(c.rand.IntN(4000))*time.Microsecond)
}

// open counts the upstreams' calls of this round that are open. A unary answer that hangs is noted as ended before its body goes out.
func (c *crash) open() (n int) {
	for _, call := range c.up.CallsAfter(c.seen) {
		if !call.Ended || call.Outcome == sandbox.Hung {
			n++
		}
	}
	return n
}

// pause lets the load run on.
func (c *crash) pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *crash) until(ctx context.Context, what string, is func() bool) error {
	for deadline := time.Now().Add(time.Minute); !is(); {
		if time.Now().After(deadline) {
			return fmt.Errorf("not so within a minute: %s; the node says: %s", what, c.node.log)
		}
		if err := c.pause(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// reconcile holds the running node's log against the upstreams' record since the last time, and against all that callers hold.
func (c *crash) reconcile(ctx context.Context) (between bool, err error) {
	if _, err := c.node.Command(ctx, "verify"); err != nil {
		c.books.differ("verify: %v", err)
	}
	if err := c.books.read(ctx, c.node.Data); err != nil {
		return false, err
	}
	calls := c.up.CallsAfter(c.seen)
	if len(calls) > 0 {
		c.seen = calls[len(calls)-1].Seq
	}
	c.books.resolved()
	between = c.books.served(calls)
	c.books.held(c.load)
	return between, nil
}

func (c *crash) told(began time.Time) CrashReport {
	r := c.report
	r.Seed, r.Served, r.Events, r.Took = c.Seed, int(c.seen), c.books.head, time.Since(began)
	r.Differences = append([]string{}, c.books.differences...)
	r.Interrupted = c.books.cut
	if c.load != nil {
		r.Whole, r.Purchases, r.Again = len(c.load.whole), len(c.load.bought), c.load.again
	}
	return r
}
