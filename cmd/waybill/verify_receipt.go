package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"waybill/store"
)

var verifyReceipt = command{
	name:  "verify-receipt",
	args:  "FILE",
	about: "check what waybill receipt has written, and tell what it proves",
	more: "Works on any machine, without a node and without a network. FILE may be - for the standard input. --key is the public key as\n" +
		"the node's operator has published it. Without it the receipt is checked by the key that it brings along, which shows that it\n" +
		"is whole, and not whose it is. Exit status 1 means that the receipt proves nothing; the reason is printed.",
	example: []string{"waybill verify-receipt receipt.json --key waybill.vkey", "waybill verify-receipt receipt.json"},
	alone:   true,
	setup: func(f *flags) action {
		key := f.String("key", "", "the public `KEY` that the receipt must be signed by, or a file that holds it")
		asJSON := f.Bool("json", false, "print JSON")
		return func(_ context.Context, w *work, args []string) error {
			text, err := receiptFile(w, args[0])
			if err != nil {
				return err
			}
			r, err := store.ParseReceipt(text)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			trusted := r.Key
			if *key != "" {
				trusted = vkeyNamed(*key)
			}
			p, err := r.Check(trusted)
			if err != nil {
				return fmt.Errorf("%s proves nothing: %s", args[0], printable(err.Error()))
			}
			if *asJSON {
				return writeJSON(w.stdout, provenOf(&p, *key != ""))
			}
			return tellProven(w, &p, *key != "")
		}
	},
}

func receiptFile(w *work, name string) ([]byte, error) {
	in := w.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	return io.ReadAll(io.LimitReader(in, store.MaxReceipt+1))
}

// vkeyNamed is a public key from the command line, or from the file that is named there.
func vkeyNamed(s string) string {
	if b, err := os.ReadFile(s); err == nil {
		s = string(b)
	}
	return strings.TrimSpace(s)
}

// proven is what verify-receipt prints as JSON.
type proven struct {
	OK         bool        `json:"ok"`
	Request    string      `json:"request"`
	Org        string      `json:"org"`
	State      string      `json:"state"`
	Model      string      `json:"model"`
	Credential string      `json:"credential"`
	PlanTokens int64       `json:"plan_tokens"`
	ChargeUSD  string      `json:"charge_usd"`
	SkippedUSD string      `json:"skipped_usd"`
	Events     []event     `json:"events"`
	Checkpoint provenUnder `json:"checkpoint"`
}

type provenUnder struct {
	Origin   string `json:"origin"`
	Epoch    uint64 `json:"epoch"`
	Position uint64 `json:"position"`
	Hash     string `json:"hash"`
	Key      string `json:"key"`
	KeyGiven bool   `json:"key_given"` // false: it is the receipt's own word that this is the node's key
}

func provenOf(p *store.Proven, given bool) proven {
	c, t := p.Checkpoint, p.Trace
	out := proven{OK: true, Request: t.ID, Org: t.Org, State: t.State, Model: t.Model, Credential: string(t.Kind), PlanTokens: t.PlanTokens,
		ChargeUSD: t.Charge.String(), SkippedUSD: t.Skipped.String(),
		Checkpoint: provenUnder{c.Origin(), c.Epoch, c.Position, hex.EncodeToString(c.Hash[:]), c.Key, given}}
	for i := range p.Records {
		out.Events = append(out.Events, eventOf(&p.Records[i]))
	}
	return out
}

// tellProven says in words what a receipt proves.
func tellProven(w *work, p *store.Proven, given bool) error {
	c, t := p.Checkpoint, p.Trace
	if given {
		w.printf("ok: signed by the key that was given\n\n")
	} else {
		w.printf("ok: whole, and signed by the key that it brings along. Whether that is the node's key only its operator can say: --key\n\n")
	}
	rows := newTable("", "")
	rows.row("request", t.ID)
	rows.row("of org", t.Org)
	rows.row("admitted", second(t.At.Time().Format(time.RFC3339Nano))+" UTC")
	rows.row("asked for", fmt.Sprintf("%s, on the %s lane", cmp.Or(t.Asked, "nothing"), t.Lane))
	switch t.State {
	case "admitted":
		rows.row("state", "open: the receipt has no end of it")
	case "settled":
		u := t.Usage
		rows.row("state", "settled")
		rows.row("answered by", fmt.Sprintf("%s, on a %s credential", t.Model, t.Kind))
		rows.row("tokens", fmt.Sprintf("%s in, %s cache read, %s cache write, %s out (%s of them reasoning), by the %s", grouped(u.Input), grouped(u.CacheRead),
			grouped(u.CacheWrite+u.CacheWriteLong), grouped(u.Output), grouped(u.Reasoning), t.UsageSource))
		rows.row("list cost", t.ListCost.String()+" usd")
	default:
		rows.row("state", strings.TrimSpace(t.State+" "+t.Reason))
	}
	if t.State != "admitted" {
		rows.row("plan tokens", grouped(t.PlanTokens))
		rows.row("charged", t.Charge.String()+" usd")
	}
	if t.SkipReason != "" {
		rows.row("skipped", fmt.Sprintf("%s usd, because %s", t.Skipped, t.SkipReason))
	}
	if t.Overage != 0 {
		rows.row("overage", t.Overage.String()+" usd")
	}
	if err := rows.write(w.stdout); err != nil {
		return err
	}
	w.printf("\nevents\n")
	events := newTable(">position", "at", "type", "draws")
	for i := range p.Records {
		r := &p.Records[i]
		events.row(fmt.Sprint(r.Position), second(r.At.Time().Format(time.RFC3339Nano)), string(r.Type), draws(r.Data))
	}
	if err := events.write(w.stdout); err != nil {
		return err
	}
	w.printf("\nin the log %s when it had %s events, epoch %d\nhash %x\nkey  %s\n", c.Origin(), grouped(int64(c.Position)), c.Epoch, c.Hash[:], c.Key)
	return nil
}
