package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"waybill/store"
)

var verifyCommand = command{
	name:  "verify",
	about: "fold the log again from its first event and compare everything with it",
	more: "Compares each event with its hash, the hashes with each other, and the tables of balances, orgs, keys, prices and\n" +
		"requests with what follows from the events. It writes nothing and works beside a running node. Exit status 1 means that\n" +
		"something differs; the first line says where. A log whose tail was cut off, or whose hashes were made anew, differs\n" +
		"only from a head that was saved before, on another machine.",
	example: []string{"waybill verify", "waybill verify --save-head head.txt", "waybill verify --head head.txt"},
	setup: func(f *flags) action {
		head := f.String("head", "", "hold the log against a saved head: `FILE`, or POSITION:HASH")
		save := f.String("save-head", "", "write the head to `FILE` if all is well")
		asJSON := f.Bool("json", false, "print JSON")
		return func(ctx context.Context, w *work, _ []string) error {
			saved, err := savedHead(*head)
			if err != nil {
				return err
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
	progress := func(done, total uint64) {
		if total > 500_000 {
			fmt.Fprintf(w.stderr, "%s of %s events\n", grouped(int64(done)), grouped(int64(total)))
		}
	}
	res, err := store.Verify(ctx, r, store.VerifyOptions{Head: head, Progress: progress})
	if err != nil {
		return err
	}
	if err := report(w, res, head, asJSON); err != nil {
		return err
	}
	if res.First() != nil {
		return errDiffers
	}
	if save != "" {
		return os.WriteFile(save, []byte(res.Head.String()+"\n"), 0o644)
	}
	return nil
}

// verified is what verify prints as JSON.
type verified struct {
	OK          bool         `json:"ok"`
	Position    uint64       `json:"position"`
	Head        string       `json:"head"`
	Reports     uint64       `json:"reports_position"`
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
		v := verified{OK: res.First() == nil, Position: res.Head.Position, Head: res.Head.String(), Reports: res.Reports, Differences: []difference{}}
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
	w.printf("ok: %s events, their hashes, and every balance and row that follows from them\n", grouped(int64(res.Head.Position)))
	if head != nil {
		w.printf("ok: the log continues the saved head at position %d\n", head.Position)
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
	h, err := store.ParseSavedHead(text)
	if err != nil {
		return nil, misused("--head: %v, nor a file that holds one", err)
	}
	return &h, nil
}
