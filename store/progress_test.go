package store

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// heard is a log that may be read while it is written.
type heard struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (h *heard) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.out.Write(b)
}

func (h *heard) count(what string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Count(h.out.String(), what)
}

// A replica that fails, and one that takes what is sent and never answers, are alarms: at once, not at each round, and with
// an end. Meanwhile the lag grows, from the log's own head.
func TestStalledReplication(t *testing.T) {
	release := make(chan struct{})
	free := sync.OnceFunc(func() { close(release) })
	for name, fault := range map[string]func(w http.ResponseWriter, r *http.Request) bool{
		"refuses": func(w http.ResponseWriter, _ *http.Request) bool {
			http.Error(w, "<Error><Code>AccessDenied</Code></Error>", http.StatusForbidden)
			return true
		},
		"hangs": func(http.ResponseWriter, *http.Request) bool {
			<-release
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _, _ := small(t)
			c, b := inBucket(t, dir)
			t.Cleanup(free)
			var log heard
			c.Log, c.patience = slog.New(slog.NewTextHandler(&log, nil)), 300*time.Millisecond
			for i := range c.Databases {
				c.Databases[i].SyncInterval = 20 * time.Millisecond
			}
			r := replicate(t, c)
			s := reopen(t, Options{Dir: dir, Ballast: -1, Replicated: true})
			r.Follow(s)
			var looks atomic.Int64 // how often somebody asked how far the log is, as each round and each look at the rounds does
			r.mu.Lock()
			head := r.head
			r.head = func() uint64 { looks.Add(1); return head() }
			r.mu.Unlock()
			must(t, s, admit("acme", "r1"))
			synced(t, r)
			was, _ := r.Position()
			eventually(t, "it says that all is well", func() bool {
				p := r.Progress()
				return p.Behind() == 0 && p.Lag == 0 && p.Err == nil && p.Overdue.IsZero() && p.Head == was
			})
			b.broken(fault)
			must(t, s, settle("acme", "r1"))
			eventually(t, "it is overdue", func() bool { return !r.Progress().Overdue.IsZero() })
			p := r.Progress()
			if p.Position != was || p.Behind() != 1 || p.Lag < 300*time.Millisecond || p.Err == nil || r.Status()[0].InSync {
				t.Errorf("it has stalled, and says %+v", p)
			}
			// Alarms without an end. A machine that is busy may have had one of its own before, and its end.
			alarms := func() int { return log.count(`level=ERROR msg="replication `) - log.count("replication goes on") }
			eventually(t, "the log says so", func() bool { return alarms() > 0 })
			seen := looks.Load()
			eventually(t, "it has been looked at ten times more", func() bool { return looks.Load() > seen+10 })
			if n := alarms(); n != 1 {
				t.Errorf("%d alarms:\n%s", n, log.out.String())
			}
			b.broken(nil)
			if name == "hangs" {
				r.mu.Lock()
				r.abandon(errNothingMoves) // as if minutes had passed
				r.mu.Unlock()
			}
			synced(t, r)
			eventually(t, "the log says that it is over", func() bool { return alarms() == 0 })
			eventually(t, "it says that it goes on", func() bool {
				p := r.Progress()
				return p.Behind() == 0 && p.Err == nil && p.Overdue.IsZero() && p.Failures > 0
			})
			if err := errors.Join(s.Close(), r.Close(t.Context())); err != nil {
				t.Error(err)
			}
			if log.count("hush") > 0 || log.count(filepath.Base(dir)) == 0 {
				t.Errorf("the log:\n%s", log.out.String())
			}
		})
	}
}

// A round in which nothing comes through is given up; one that is slow and moves is not.
func TestRoundIsGivenUp(t *testing.T) {
	_, _, c := small(t)
	r := replicate(t, c)
	synced(t, r)
	ctx, cancel := context.WithCancelCause(t.Context())
	begun := time.Now()
	at := func(since, pulse time.Duration) {
		r.mu.Lock()
		r.running, r.abandon = begun, cancel
		r.mu.Unlock()
		for _, d := range r.dbs {
			d.way.pulse.Store(begun.Add(pulse).UnixNano())
		}
		r.giveUp(begun.Add(since))
	}
	at(4*time.Minute, 0)
	at(20*time.Minute, 16*time.Minute)
	if ctx.Err() != nil {
		t.Fatal("a round that moves is given up")
	}
	at(20*time.Minute, 14*time.Minute)
	if !errors.Is(context.Cause(ctx), errNothingMoves) {
		t.Errorf("the cause is %v", context.Cause(ctx))
	}
}
