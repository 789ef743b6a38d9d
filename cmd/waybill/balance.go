package main

import (
	"context"
	"fmt"
	"net/url"
)

// balanceView is what an org has, as the control API shows it.
type balanceView struct {
	Org      string `json:"org"`
	Position uint64 `json:"position"`
	At       string `json:"at"`
	Plan     struct {
		Plan     string `json:"plan"`
		NextPlan string `json:"next_plan"`
		Period   string `json:"period"`
		Tokens   int64  `json:"tokens"`
		Held     int64  `json:"held"`
		Granted  int64  `json:"granted"`
		ResetsAt string `json:"resets_at"`
	} `json:"plan"`
	Free struct {
		Messages int64 `json:"messages"`
		Held     int64 `json:"held"`
	} `json:"free"`
	CreditUSD string    `json:"credit_usd"`
	HeldUSD   string    `json:"held_usd"`
	Lots      []lotView `json:"lots"`
}

var balanceCommand = command{
	name:    "balance",
	args:    "ORG",
	about:   "show what an org has, now or at an earlier moment",
	more:    "An earlier moment is a position of the log or a time; the answer is folded from the events up to there.",
	example: []string{"waybill balance acme", "waybill balance acme --at 1200", "waybill balance acme --at 2026-11-01T00:00:00Z"},
	setup: func(f *flags) action {
		when := f.String("at", "", "`POSITION` of the log, or a time (default now)")
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			path := at("/orgs/%s/balance", args[0])
			if *when != "" {
				path += "?at=" + url.QueryEscape(*when)
			}
			answer, err := a.call(ctx, "GET", path, nil)
			if err != nil {
				return err
			}
			return show(w, answer, *asJSON, func(b balanceView) error { return balanceTable(w, b) })
		})
	},
}

func balanceTable(w *work, b balanceView) error {
	w.printf("%s at position %d, %s UTC\n\n", b.Org, b.Position, second(b.At))
	t := newTable("", ">available", ">held", "")
	plan := "plan " + b.Plan.Plan
	if b.Plan.NextPlan != "" {
		plan += ", then " + b.Plan.NextPlan
	}
	if b.Plan.Granted > 0 {
		t.row("plan tokens", grouped(b.Plan.Tokens), grouped(b.Plan.Held), fmt.Sprintf("of %s until %s (%s)", grouped(b.Plan.Granted), second(b.Plan.ResetsAt), plan))
	} else {
		t.row("free messages", grouped(b.Free.Messages), grouped(b.Free.Held), plan)
	}
	t.row("credit usd", b.CreditUSD, b.HeldUSD, "")
	if err := t.write(w.stdout); err != nil || len(b.Lots) == 0 {
		return err
	}
	w.printf("\n")
	return lotTable(w, b.Lots...)
}
