package campaign

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"waybill/router/sandbox"
)

// SoakOptions say how a soak is to go.
type SoakOptions struct {
	Binary string // this program
	Dir    string // a folder for all that it makes
	During time.Duration
	Every  time.Duration // between samples; 0: a minute
	Rate   int           // calls a second; 0: 30
	Seed   uint64
	Log    io.Writer // progress
}

// SoakReport is how it went.
type SoakReport struct {
	Seed        uint64        `json:"seed"`
	Took        time.Duration `json:"duration_ns"`
	Calls       int64         `json:"calls_made"`
	NotMade     int64         `json:"calls_not_made"` // since too many were open
	Statuses    map[int]int   `json:"answers_by_status"`
	Whole       int           `json:"answers_held"`
	Served      int           `json:"calls_served"` // by the upstreams
	Purchases   int           `json:"purchases_acknowledged"`
	Policies    int           `json:"policies_set"`
	Restarts    int           `json:"upstream_restarts"`
	Events      uint64        `json:"events"`
	Samples     []Sample      `json:"samples"`
	Trends      []Trend       `json:"trends"`
	Differences []string      `json:"differences"`
}

const (
	soakOpen   = 400                     // calls that may be open at a time
	policyPace = 10 * time.Second        // between changes of a policy
	outagePace = 3 * time.Minute         // between restarts of the upstreams
	outage     = 1500 * time.Millisecond // for which they are away
	buyPace    = 5 * time.Second
)

// soak is one on its way.
type soak struct {
	SoakOptions
	node   *Node
	load   *Load
	client *http.Client
	report SoakReport
	began  time.Time
	open   atomic.Int64

	up     *sandbox.Server
	served []sandbox.Call // by upstreams that are gone
	rest   sync.RWMutex   // held for writing while nothing new is begun
}

// Soak serves under a steady load with faults of every kind but a crash: upstreams that fail, cut, end early, hang, go away and come back,
// callers who leave or read slowly, in all dialects, while credit is bought and policies change. At an interval the load rests until
// all that is open has ended, and a sample is taken. In the end memory, goroutines and file descriptors must be as flat as Judge
// says, and the log must agree with the upstreams' record and with what callers hold.
func Soak(ctx context.Context, o SoakOptions) (r SoakReport, err error) {
	if o.Every == 0 {
		o.Every = time.Minute
	}
	if o.Rate == 0 {
		o.Rate = 30
	}
	s := &soak{SoakOptions: o, began: time.Now(), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: soakOpen}}}
	if s.up, err = sandbox.Listen("127.0.0.1:0", sandbox.Options{}); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.up.Close()) }()
	s.node = &Node{Binary: o.Binary, Data: filepath.Join(o.Dir, "data"), Up: s.up.URL()}
	defer s.node.Kill()
	keys, err := s.node.Found(ctx)
	if err != nil {
		return r, err
	}
	for _, k := range keys {
		if err := s.node.Do(ctx, "PUT", "/orgs/"+k.Org+"/policy", policy("byok-first", "drain", true), nil); err != nil {
			return r, err
		}
	}
	s.load = &Load{Node: s.node, Keys: keys, Buys: "credit", BuyEvery: buyPace}
	if err := s.run(ctx); err != nil {
		return s.report, fmt.Errorf("seed %d: %w", o.Seed, err)
	}
	return s.report, s.finish(ctx)
}

// run lets the load and the faults go on for as long as it is to last.
func (s *soak) run(ctx context.Context) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	var all sync.WaitGroup
	behind := func(every time.Duration, stream uint64, do func(context.Context, *rand.Rand) error) {
		r := rand.New(rand.NewPCG(s.Seed, stream))
		all.Go(func() {
			for tick := time.NewTicker(every); ; {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				if err := do(ctx, r); err != nil && ctx.Err() == nil {
					end(err)
				}
			}
		})
	}
	stop := s.load.Start(0, rand.New(rand.NewPCG(s.Seed, 0)), nil) // who buys
	behind(time.Second/time.Duration(s.Rate), 1, s.call)
	behind(policyPace, 2, s.setPolicy)
	behind(outagePace, 3, s.restart)
	for last := s.began.Add(s.During); ctx.Err() == nil && time.Now().Before(last); {
		select {
		case <-ctx.Done():
		case <-time.After(min(s.Every, time.Until(last))):
			if err := s.sample(ctx); err != nil {
				end(err)
			}
		}
	}
	err := context.Cause(ctx)
	end(nil)
	all.Wait()
	stop()
	return err
}

// call begins one.
func (s *soak) call(_ context.Context, r *rand.Rand) error {
	s.rest.RLock()
	defer s.rest.RUnlock()
	if s.open.Load() >= soakOpen {
		s.report.NotMade++
		return nil
	}
	s.report.Calls++
	s.open.Add(1)
	m, own := faulty(r), rand.New(rand.NewPCG(r.Uint64(), 0))
	key := s.load.Keys[r.IntN(len(s.load.Keys))]
	go func() {
		defer s.open.Add(-1)
		s.load.call(s.client, own, key, m)
	}()
	return nil
}

// faulty draws a call. Upstreams fail for few of them: three failures in a row, of which a retry is one, and a credential rests for half a minute.
func faulty(r *rand.Rand) Manner {
	text := fmt.Sprintf("output=%d chunks=%d", 10+r.IntN(150), 2+r.IntN(12))
	millis := func(least, most int) time.Duration {
		return time.Duration(least+r.IntN(most-least)) * time.Millisecond
	}
	paced := text + fmt.Sprintf(" delay=%s", millis(5, 60))
	one := func(of ...string) string { return of[r.IntN(len(of))] }
	switch n := r.IntN(1000); {
	case n < 15:
		return Manner{Directive: text + " fail=" + one("overloaded", "rate_limited", "server_error", "timeout", "bad_gateway")}
	case n < 20:
		return Manner{Directive: paced + " fail=" + one("overloaded", "server_error") + " fail_at=" + one("first", "1", "end")}
	case n < 30:
		return Manner{Directive: paced + " cut=" + one("headers", "first", "content", "end", "last")}
	case n < 35:
		return Manner{Directive: paced + " truncate=" + one("content", "end", "last")}
	case n < 40:
		return Manner{Directive: text + " hang=" + one("headers", "first", "content", "end")}
	case n < 80:
		return Manner{Directive: text + " hang=content", Within: millis(500, 1900)}
	case n < 160:
		return Manner{Directive: paced, Within: millis(10, 400)}
	case n < 230:
		return Manner{Directive: text, Slow: millis(2, 20)}
	}
	return Manner{Directive: paced + fmt.Sprintf(" reasoning=%d", 1+r.IntN(20))}
}

// setPolicy changes the policy of one of the orgs. All of them have short timeouts: a call that hangs does not keep the load from resting.
func (s *soak) setPolicy(ctx context.Context, r *rand.Rand) error {
	one := func(of ...string) string { return of[r.IntN(len(of))] }
	org := s.load.Keys[r.IntN(len(s.load.Keys))].Org
	s.report.Policies++
	return s.node.Do(ctx, "PUT", "/orgs/"+org+"/policy", policy(one("byok-first", "platform-first"), one("drain", "cancel"), r.IntN(2) == 0), nil)
}

func policy(credentials, abort string, paid bool) string {
	return fmt.Sprintf(`{"credentials":%q,"paid_fallback":%t,"on_abort":%q,"timeouts":{"first_byte":"2s","idle":"2s","total":"15s"}}`, credentials, paid, abort)
}

// restart takes the upstreams away, with all their connections, and brings them back at the same address.
func (s *soak) restart(ctx context.Context, _ *rand.Rand) error {
	s.rest.RLock() // not while the load rests
	defer s.rest.RUnlock()
	address := strings.TrimPrefix(s.up.URL(), "http://")
	if err := s.up.Close(); err != nil {
		return err
	}
	s.served = append(s.served, s.up.Calls()...)
	s.report.Restarts++
	select {
	case <-ctx.Done():
	case <-time.After(outage):
	}
	up, err := sandbox.Listen(address, sandbox.Options{})
	if err != nil {
		return err
	}
	s.up = up
	return nil
}

// settle has nothing new begin, and waits until all that is open has ended, with the callers and in the node.
func (s *soak) settle(ctx context.Context) (resume func(), m metrics, err error) {
	s.rest.Lock()
	for deadline := time.Now().Add(time.Minute); ; {
		if s.open.Load() == 0 {
			s.client.CloseIdleConnections()
			if m, err = s.node.metrics(ctx); err != nil || m["waybill_holds_open"] == 0 && m["waybill_calls_open"] == 0 {
				return s.rest.Unlock, m, err
			}
		}
		if time.Now().After(deadline) {
			return s.rest.Unlock, m, fmt.Errorf("a minute after the last call was made %d callers wait, and %g holds are open", s.open.Load(), m["waybill_holds_open"])
		}
		select {
		case <-ctx.Done():
			return s.rest.Unlock, m, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// finish ends the node in order and holds its log against the upstreams' record and the callers.
func (s *soak) finish(ctx context.Context) error {
	resume, _, err := s.settle(ctx)
	resume()
	if err != nil {
		return err
	}
	if err := s.node.Stop(); err != nil {
		return err
	}
	s.served = append(s.served, s.up.Calls()...)
	b := newBooks()
	if err := b.read(ctx, s.node.Data); err != nil {
		return err
	}
	b.resolved()
	b.served(s.served)
	b.held(s.load)
	if b.cut > 0 {
		b.differ("%d calls were interrupted, and nothing crashed", b.cut)
	}
	if _, err := s.node.Command(ctx, "verify"); err != nil {
		b.differ("verify: %v", err)
	}
	r := &s.report
	r.Seed, r.Took, r.Served, r.Events = s.Seed, time.Since(s.began), len(s.served), b.head
	r.Statuses, r.Whole, r.Purchases = s.load.statuses, len(s.load.whole), len(s.load.bought)
	r.Trends = Judge(r.Samples)
	r.Differences = append([]string{}, b.differences...)
	return nil
}
