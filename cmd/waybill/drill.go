package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"waybill/ledger"
	"waybill/store"
)

var drillCommand = command{
	name:  "drill",
	about: "restore the replica beside the node, verify it, and record what came of it",
	more: "Restores both files from the replica into a folder of its own within the data folder, verifies the log, compares it with\n" +
		"the node's, opens every secret, and removes it all again. The node goes on meanwhile. The outcome is an event of the log\n" +
		"and a metric; exit status 1 is a replica that would not have brought the node back. While it serves, a node with a replica\n" +
		"does the same each day (drill_interval).",
	example:  []string{"waybill drill", "waybill drill --from litestream.yml --json"},
	settings: []string{"litestream"},
	setup: func(f *flags) action {
		from := f.String("from", "", "litestream.yml `FILE` that names the replica (default as for serve)")
		asJSON := f.asJSON()
		return func(ctx context.Context, w *work, args []string) error {
			if *from != "" {
				w.conf.litestream = *from
			}
			t, err := drill(ctx, w.conf, w.step)
			if err != nil {
				return err
			}
			record := withAPI(func(ctx context.Context, w *work, a *api, _ []string) error {
				answer, err := a.call(ctx, "POST", "/drills", newDrillView(t))
				if err != nil {
					return err
				}
				return show(w, answer, *asJSON, func(d drillView) error { return drillTable(w, d) })
			})
			if err := record(ctx, w, args); err != nil {
				return err
			}
			if t.Failure != "" {
				return fmt.Errorf("the replica would not bring this node back (%s): %w", t.Failure, t.Err)
			}
			return nil
		}
	},
}

// drillView is a drill, as the control API shows it.
type drillView struct {
	Position uint64        `json:"position"`
	OK       bool          `json:"ok"`
	Failure  string        `json:"failure,omitempty"`
	Behind   uint64        `json:"events_behind"`
	Duration time.Duration `json:"duration_ns"`
	At       string        `json:"at,omitempty"`
}

func newDrillView(t store.Trial) drillView {
	return drillView{Position: t.Position, OK: t.Failure == "", Failure: t.Failure, Behind: t.Behind, Duration: t.Took}
}

func drillTable(w *work, d drillView) error {
	if d.OK {
		w.printf("ok: the replica leads to a node with every event up to position %d, and to every secret\n", d.Position)
	} else {
		w.printf("failed: %s\n", d.Failure)
	}
	w.printf("behind: %s of this node not in the replica\ntook %.1f s\n", counted(int64(d.Behind), "event"), d.Duration.Seconds())
	return nil
}

// drill tries a restore of the data folder's node from its replica.
func drill(ctx context.Context, c config, step func(string)) (t store.Trial, err error) {
	o := store.TrialOptions{Dir: c.data, Step: step}
	if o.Replicas, err = replicasOf(c); err != nil {
		return t, err
	}
	if o.Master, err = store.ReadMasterKey(c.masterKeyFile); err != nil {
		return t, err
	}
	if o.Own, err = store.OpenReader(ctx, c.data); err != nil {
		return t, err
	}
	t, err = store.Try(ctx, o)
	return t, errors.Join(err, o.Own.Close())
}

// drillRetry is when a drill is tried again that could not be made.
const drillRetry = 15 * time.Minute

// drills makes one drill after another while the node serves. When the last one was, the log tells: a node that is started anew
// often makes them no more often, nor never.
func (n *node) drills(ctx context.Context) {
	if n.replication == nil || n.conf.drillInterval == 0 {
		return
	}
	for {
		due, err := n.nextDrill(ctx)
		if err == nil {
			if !pause(ctx, due.Sub(n.world.now())) {
				return
			}
			err = n.drill(ctx)
		}
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			n.log.Error("the drill could not be made", slog.Any("error", err))
			if !pause(ctx, drillRetry) {
				return
			}
		}
	}
}

func (n *node) nextDrill(ctx context.Context) (time.Time, error) {
	var last ledger.Instant
	n.store.View(func(s *ledger.State) { last = s.Node().Drilled })
	if last == 0 {
		first, err := n.store.Page(ctx, 0, 1)
		if err != nil {
			return time.Time{}, err
		}
		last = first[0].At
	}
	return last.Time().Add(n.conf.drillInterval), nil
}

func (n *node) drill(ctx context.Context) error {
	t, err := drill(ctx, n.conf, func(string) {})
	if err != nil {
		return err
	}
	if t.Failure != "" {
		n.log.Error("the drill failed: the replica would not bring this node back", slog.String("failure", t.Failure), slog.Any("error", t.Err))
	} else {
		n.log.Info("the drill succeeded", slog.Uint64("position", t.Position), slog.Uint64("behind", t.Behind), slog.Duration("took", t.Took))
	}
	_, err = n.store.Execute(ctx, ledger.CompleteDrill{Who: ledger.By{Actor: "waybill", Cause: "drill"},
		Drill: ledger.Drill{Position: t.Position, OK: t.Failure == "", Failure: t.Failure, Behind: t.Behind, Duration: int64(t.Took)}})
	return err
}

// pause waits, and tells whether the time has passed.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// ensureLog sees to it that there is a log to serve: it restores it if it is told to, and says what to do if not.
func (n *node) ensureLog(ctx context.Context, o nodeOptions) error {
	if _, err := os.Stat(filepath.Join(n.conf.data, "waybill.db")); !errors.Is(err, fs.ErrNotExist) {
		return err // it is there, or this user cannot see whether it is
	}
	if !o.restore {
		err := fmt.Errorf("there is no log in %s: make one with waybill init", n.conf.data)
		if n.conf.litestream != "" {
			err = fmt.Errorf("%w, or bring a lost node's back from the replica that %s names, with waybill serve --restore or waybill restore", err, n.conf.litestream)
		}
		return err
	}
	done, err := restore(ctx, n.conf, store.RestoreOptions{AcceptClock: o.acceptClock, Now: n.world.now, NewID: func() [16]byte { return n.world.newID() },
		Step: func(what string) { n.log.Info("restoring", slog.String("step", what)) }})
	if err != nil {
		return fmt.Errorf("restoring: %w", err)
	}
	n.log.Info("restored", slog.Uint64("position", done.From), slog.Uint64("epoch", done.Epoch), slog.Int("secrets", done.Secrets),
		slog.Int("failing", len(done.Lacking)), slog.Duration("took", done.Took))
	return nil
}
