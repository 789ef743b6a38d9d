package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"waybill/ledger"
	"waybill/router"
)

// simulatedSums are what calls cost, as the control API shows it.
type simulatedSums struct {
	Requests     int64  `json:"requests"`
	ListCostUSD  string `json:"list_cost_usd"`
	ChargeUSD    string `json:"charge_usd"`
	PlanTokens   int64  `json:"plan_tokens"`
	FreeMessages int64  `json:"free_messages"`
	Unpriced     int64  `json:"unpriced"`
}

type simulatedLeg struct {
	Model      string `json:"model"`
	Credential string `json:"credential"`
	Name       string `json:"name"`
}

// simulatedView is what a simulation has found, as the control API shows it.
type simulatedView struct {
	Org         string `json:"org"`
	Since       int64  `json:"since"`
	Position    int64  `json:"position"`
	Recorded    bool   `json:"recorded"`
	Requests    int64  `json:"requests"`
	Same        int64  `json:"same"`
	Different   int64  `json:"different"`
	Undecided   int64  `json:"undecided"`
	KeyNamesNow int64  `json:"by_present_key_name"`
	Unsettled   int64  `json:"unsettled"`
	Refused     []struct {
		Code     string `json:"code"`
		Requests int64  `json:"requests"`
	} `json:"refused"`
	Before simulatedSums `json:"before"`
	After  simulatedSums `json:"after"`
	Models []struct {
		Model  string        `json:"model"`
		Before simulatedSums `json:"before"`
		After  simulatedSums `json:"after"`
	} `json:"models"`
	Credentials []struct {
		simulatedLeg
		CredentialID string        `json:"credential_id"`
		Provider     string        `json:"provider"`
		Before       simulatedSums `json:"before"`
		After        simulatedSums `json:"after"`
	} `json:"credentials"`
	Changes []struct {
		Requests  int64          `json:"requests"`
		Request   string         `json:"request"`
		From      []simulatedLeg `json:"from"`
		To        []simulatedLeg `json:"to"`
		FromRoute string         `json:"from_route"`
		ToRoute   string         `json:"to_route"`
		Refused   string         `json:"refused"`
		Reason    string         `json:"reason"`
	} `json:"changes"`
	Warnings []router.PolicyNote `json:"warnings"`
}

var policySimulate = command{
	name:  "policy simulate",
	args:  "ORG [FILE]",
	about: "decide past requests again under another policy, and show what would have changed",
	more: `FILE is a policy, YAML or JSON, "-" the standard input; it is not set. Each request is decided from what the log recorded that it
was decided from, and priced by the tokens that it used: which models and credentials would have served, at what list cost,
for what charge. The allowance is taken as far as the real requests had left it, less what the simulated ones took beyond them.
Requests that were refused when they were made are not in the log.

Without FILE each request is decided under the policy that was in force: nothing may be different then.`,
	example: []string{"waybill policy simulate acme policy.yml --since 30d", "waybill policy simulate acme policy.yml --since 2026-11-01 --json", "waybill policy simulate acme"},
	setup: func(f *flags) action {
		since := f.String("since", "30d", "requests from then on: `WHEN` is how long ago, such as 30d or 12h, a day, a time, or a position of the log")
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			body := map[string]any{"since": *since}
			file := ""
			if len(args) > 1 {
				file = args[1]
				text, err := w.policyFile(file)
				if err != nil {
					return err
				}
				body["document"] = text
			}
			path := at("/orgs/%s/policy/simulate", args[0])
			done := tellHowFar(ctx, w, a, path)
			answer, err := a.call(ctx, "POST", path, body)
			done()
			if err != nil {
				return inFile(err, file)
			}
			return show(w, answer, *asJSON, func(v simulatedView) error {
				w.warn(v.Warnings, file)
				return simulatedTables(w, args[0], v)
			})
		})
	},
}

// progressPause is how often people are told how far a simulation is.
const progressPause = 2 * time.Second

// tellHowFar says on the standard error how far a simulation is that takes long, until it is done.
func tellHowFar(ctx context.Context, w *work, a *api, path string) (done func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(progressPause)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			var s struct {
				Running        bool
				Position, Head int64
			}
			if a.get(ctx, path, &s) == nil && s.Running {
				fmt.Fprintf(w.stderr, "position %s of %s\n", grouped(s.Position), grouped(s.Head))
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

func simulatedTables(w *work, org string, v simulatedView) error {
	under := "under this policy"
	if v.Recorded {
		under = "under the policies of the time"
	}
	w.printf("%s of %s since position %s, decided again %s\n\n", counted(v.Requests, "request"), org, grouped(v.Since), under)
	t := newTable("", ">requests")
	t.row("decided as they were", grouped(v.Same))
	t.row("decided otherwise", grouped(v.Different))
	for _, r := range v.Refused {
		t.row("refused: "+r.Code, grouped(r.Requests))
	}
	for _, n := range []struct {
		what  string
		count int64
	}{{"not to be decided: it is not kept what the policy would match", v.Undecided}, {"matched by what their keys are called now", v.KeyNamesNow},
		{"not priced: voided, interrupted or open", v.Unsettled}, {"of models without a price", v.After.Unpriced}} {
		if n.count > 0 {
			t.row(n.what, grouped(n.count))
		}
	}
	if err := t.write(w.stdout); err != nil {
		return err
	}
	w.printf("\n")
	sums := newTable("", ">list cost usd", ">charge usd", ">plan tokens", ">free messages")
	for _, s := range []struct {
		what string
		simulatedSums
	}{{"before", v.Before}, {"after", v.After}} {
		sums.row(s.what, s.ListCostUSD, s.ChargeUSD, grouped(s.PlanTokens), grouped(s.FreeMessages))
	}
	sums.row("difference", dollarsMore(v.Before.ListCostUSD, v.After.ListCostUSD), dollarsMore(v.Before.ChargeUSD, v.After.ChargeUSD),
		more(v.After.PlanTokens-v.Before.PlanTokens), more(v.After.FreeMessages-v.Before.FreeMessages))
	if err := sums.write(w.stdout); err != nil || v.Different == 0 {
		return err
	}
	return simulatedChanges(w, v)
}

func simulatedChanges(w *work, v simulatedView) error {
	cells := func(t *table, name string, b, a simulatedSums) {
		t.row(name, fmt.Sprintf("%s → %s", grouped(b.Requests), grouped(a.Requests)), dollarsMore(b.ListCostUSD, a.ListCostUSD), dollarsMore(b.ChargeUSD, a.ChargeUSD),
			more(a.PlanTokens-b.PlanTokens))
	}
	models := newTable("model", ">requests", ">list cost usd", ">charge usd", ">plan tokens")
	for _, m := range v.Models {
		cells(models, m.Model, m.Before, m.After)
	}
	credentials := newTable("credential", ">requests", ">list cost usd", ">charge usd", ">plan tokens")
	for _, c := range v.Credentials {
		name := c.leg()
		if c.Name == "" {
			name += " " + cmp.Or(c.Provider, c.CredentialID)
		}
		cells(credentials, name, c.Before, c.After)
	}
	changes := newTable(">requests", "from", "to", "the first")
	for _, c := range v.Changes {
		from, to := legsInShort(c.From), legsInShort(c.To)
		if from == to {
			from, to = legsText(c.From), legsText(c.To)
		}
		if c.Refused != "" {
			to = "refused: " + c.Refused
		}
		if c.ToRoute != "" {
			to += " (" + c.ToRoute + ")"
		}
		changes.row(grouped(c.Requests), from, to, c.Request)
	}
	for _, t := range []*table{models, credentials, changes} {
		w.printf("\n")
		if err := t.write(w.stdout); err != nil {
			return err
		}
	}
	return nil
}

// leg is the credential of a leg, as policies write it.
func (l simulatedLeg) leg() string {
	if l.Name != "" {
		return l.Credential + "/" + l.Name
	}
	return l.Credential
}

// legsInShort is the first of some legs, and how many there are.
func legsInShort(legs []simulatedLeg) string {
	if len(legs) < 2 {
		return legsText(legs)
	}
	return fmt.Sprintf("%s, then %d more", legsText(legs[:1]), len(legs)-1)
}

func legsText(legs []simulatedLeg) string {
	all := make([]string, len(legs))
	for i, l := range legs {
		all[i] = l.Model + " on " + l.leg()
	}
	return strings.Join(all, ", then ")
}

// more is a difference, with its sign.
func more(n int64) string {
	if n > 0 {
		return "+" + grouped(n)
	}
	return grouped(n)
}

// dollarsMore is by how much one amount is more than another.
func dollarsMore(before, after string) string {
	b, err := ledger.ParseDollars(before)
	a, err2 := ledger.ParseDollars(after)
	if err != nil || err2 != nil {
		return before + " → " + after
	}
	if a > b {
		return "+" + (a - b).String()
	}
	return (a - b).String()
}
