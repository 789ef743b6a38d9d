package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"waybill/store"
)

var verifyCommand = command{
	name:  "verify",
	about: "fold the log again from its first event and compare everything with it",
	more: "Compares each event with its hash, the hashes with each other, and the tables of balances, orgs, keys, prices and\n" +
		"requests with what follows from the events; and the log with every checkpoint that was signed of it. It writes nothing and\n" +
		"works beside a running node. Exit status 1 means that something differs; the first line says where. A log\n" +
		"whose tail was cut off, or whose hashes were made anew, may differ only from a head or a checkpoint that was kept\n" +
		"before, on another machine.",
	example:  []string{"waybill verify", "waybill verify --save-head head.txt", "waybill verify --head head.txt", "waybill verify --from-replica"},
	settings: []string{"litestream"},
	setup: func(f *flags) action {
		fromReplica := f.Bool("from-replica", false, "verify what the replica would restore, in a copy that is removed again, and compare it with the log of the data folder if there is one")
		head := f.String("head", "", "hold the log against a saved head: `FILE`, which may be a checkpoint, or POSITION:HASH")
		save := f.String("save-head", "", "write the head to `FILE` if all is well")
		asJSON := f.Bool("json", false, "print JSON")
		return func(ctx context.Context, w *work, _ []string) error {
			saved, err := savedHead(*head)
			if err != nil {
				return err
			}
			if *fromReplica {
				return verifyReplica(ctx, w, saved, *save, *asJSON)
			}
			return verify(ctx, w, saved, *save, *asJSON)
		}
	},
}

var errDiffers = errors.New("the log and what follows from it do not agree")

func verify(ctx context.Context, w *work, head *store.SavedHead, save string, asJSON bool) (err error) {
	r, err := store.OpenReader(ctx, w.conf.data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	res, err := store.Verify(ctx, r, store.VerifyOptions{Head: head, Progress: w.progress})
	if err != nil {
		return err
	}
	if err := report(w, res, head, asJSON); err != nil {
		return err
	}
	if res.First() != nil {
		return errDiffers
	}
	return saveHead(save, res.Head)
}

func saveHead(file string, head store.SavedHead) error {
	if file == "" {
		return nil
	}
	return os.WriteFile(file, []byte(head.String()+"\n"), 0o644)
}

// verifyReplica verifies what a restore would come to. Where there is no data folder, as on an auditor's machine, it stands alone.
func verifyReplica(ctx context.Context, w *work, head *store.SavedHead, save string, asJSON bool) (err error) {
	o := store.TrialOptions{Head: head, Step: w.step, Progress: w.progress}
	if o.Replicas, err = replicasOf(w.conf); err != nil {
		return err
	}
	if exists(filepath.Join(w.conf.data, "waybill.db")) {
		o.Dir = w.conf.data
		if o.Own, err = store.OpenReader(ctx, w.conf.data); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, o.Own.Close()) }()
	}
	t, err := store.Try(ctx, o)
	if err != nil {
		return err
	}
	if t.Failure != "" && t.Failure != store.TrialDiffers {
		return fmt.Errorf("the replica (%s): %w", t.Failure, t.Err)
	}
	if err := report(w, t.Verified, head, asJSON); err != nil {
		return err
	}
	if t.Failure != "" {
		return errDiffers
	}
	if o.Own != nil && !asJSON {
		w.printf("ok: it is this node's log, and lacks %s of its events\n", grouped(int64(t.Behind)))
	}
	return saveHead(save, t.Verified.Head)
}

// verified is what verify prints as JSON.
type verified struct {
	OK          bool         `json:"ok"`
	Position    uint64       `json:"position"`
	Head        string       `json:"head"`
	Reports     uint64       `json:"reports_position"`
	Checkpoints uint64       `json:"checkpoints"`
	Checkpoint  string       `json:"checkpoint"` // the last, as it was signed; empty: none was
	Differences []difference `json:"differences"`
}

type difference struct {
	Position uint64 `json:"position"`
	Table    string `json:"table"`
	Row      string `json:"row"`
	Column   string `json:"column,omitempty"`
	Want     string `json:"want"`
	Found    string `json:"found"`
}

func report(w *work, res store.VerifyResult, head *store.SavedHead, asJSON bool) error {
	if asJSON {
		v := verified{OK: res.First() == nil, Position: res.Head.Position, Head: res.Head.String(), Reports: res.Reports, Checkpoints: res.Checkpoints, Differences: []difference{}}
		if res.Checkpoint != nil {
			v.Checkpoint = res.Checkpoint.Note
		}
		for _, d := range res.Differences {
			v.Differences = append(v.Differences, difference(d))
		}
		return writeJSON(w.stdout, v)
	}
	if d := res.First(); d != nil {
		w.printf("%s\n", printable(d.String()))
		for _, d := range res.Differences[1:] {
			w.printf("  also %s\n", printable(d.String()))
		}
		return nil
	}
	w.printf("ok: %s, their hashes, and every balance and row that follows from them\n", counted(int64(res.Head.Position), "event"))
	if head != nil {
		w.printf("ok: the log continues the saved head at position %d\n", head.Position)
	}
	if c := res.Checkpoint; c != nil {
		if n := c.Position - min(c.Position, res.Head.Position); n > 0 { // a copy, or a log that was restored to an earlier moment
			w.printf("ends early: this log lacks %s of those that were signed; the last checkpoint is of position %d, in epoch %d\n", counted(int64(n), "event"), c.Position, c.Epoch)
		} else {
			w.printf("ok: the log extends all that was signed of it, %s; the last is of position %d, in epoch %d\n", counted(int64(res.Checkpoints), "checkpoint"), c.Position, c.Epoch)
		}
	}
	w.printf("head %s\n", res.Head)
	return nil
}

// savedHead reads a head from the command line, or from the file that is named there.
func savedHead(s string) (*store.SavedHead, error) {
	if s == "" {
		return nil, nil
	}
	text := s
	if b, err := os.ReadFile(s); err == nil {
		text = string(b)
	}
	if h, err := store.ParseSavedCheckpoint(text); err == nil {
		return &h, nil
	}
	h, err := store.ParseSavedHead(text)
	if err != nil {
		return nil, misused("--head: %v, nor a file that holds one", err)
	}
	return &h, nil
}
