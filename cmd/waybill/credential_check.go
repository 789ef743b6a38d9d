package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// commitmentView is a commitment as the control API shows it.
type commitmentView struct {
	Amount string `json:"amount_usd"`
	Until  string `json:"until"`
	Drawn  string `json:"drawn_usd"`
	Left   string `json:"left_usd"`
}

var credentialCheck = command{
	name:  "credential check",
	args:  "ORG CREDENTIAL",
	about: "ask the provider, by a free call, whether it takes a credential",
	more: "CREDENTIAL is its name or its id. A running node does so by itself every hour, and soon after a call has failed by it. One that\n" +
		"is found dead or unfunded is passed over until a check finds it good; one that fails is no reason to use paid capacity, unless\n" +
		"the org's policy says so. The exit status is 1 if the provider does not take it.",
	example: []string{"waybill credential check acme ours", "waybill credential check platform openai"},
	setup: func(f *flags) action {
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			answer, err := onCredential(ctx, a, "POST", args, "/check", nil)
			if err := showChecked(w, answer, err, *asJSON); err != nil {
				return err
			}
			var c credentialView
			if err := json.Unmarshal(answer, &c); err != nil || c.Warning == "" {
				return err
			}
			return errors.New("the provider does not take it")
		})
	},
}

var credentialCommit = command{
	name:  "credential commit",
	args:  "ORG CREDENTIAL COMMITMENT",
	about: "say what a credential's owner has agreed with the provider to spend on it",
	more: "CREDENTIAL is its name or its id. COMMITMENT is usd=AMOUNT, at list cost, with the last day of its term or without one, such as\n" +
		"usd=50000/2026-12-31, or none. Calls draw it down; setting it anew begins at nothing drawn. A route of the policy with\n" +
		"prefer: commitment takes credentials with something left before the others.",
	example: []string{"waybill credential commit acme ours usd=50000/2026-12-31", "waybill credential commit acme ours none"},
	setup: func(f *flags) action {
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			method, body := "DELETE", map[string]any(nil)
			if args[2] != "none" {
				c, err := parseCommitment(args[2])
				if err != nil {
					return misused("%v", err)
				}
				method, body = "PUT", c
			}
			answer, err := onCredential(ctx, a, method, args, "/commitment", body)
			if err != nil {
				return err
			}
			return show(w, answer, *asJSON, func(c credentialView) error { return credentialTable(w, c) })
		})
	},
}

// parseCommitment reads usd=50000/2026-12-31. The day is the last one, in UTC.
func parseCommitment(s string) (map[string]any, error) {
	amount, ok := strings.CutPrefix(s, "usd=")
	if !ok {
		return nil, fmt.Errorf("%q is no commitment such as usd=50000/2026-12-31", s)
	}
	amount, day, ends := strings.Cut(amount, "/")
	body := map[string]any{"amount_usd": amount}
	if ends {
		last, err := time.Parse(time.DateOnly, day)
		if err != nil {
			return nil, fmt.Errorf("%q is no day such as 2026-12-31", day)
		}
		body["until"] = last.AddDate(0, 0, 1).Format(time.RFC3339)
	}
	return body, nil
}

// showChecked shows a credential that was checked just now, and warns where the provider does not take it.
func showChecked(w *work, answer json.RawMessage, err error, asJSON bool) error {
	if err != nil {
		return err
	}
	var c credentialView
	if err := json.Unmarshal(answer, &c); err != nil {
		return fmt.Errorf("the node's answer is not understood: %w", err)
	}
	if c.Warning != "" {
		fmt.Fprintf(w.stderr, "warning: %s is %s: %s\n", printable(c.Name), c.State, printable(c.Warning))
	}
	w.warn(c.Warnings, "the policy")
	return show(w, answer, asJSON, func(c credentialView) error { return credentialTable(w, c) })
}
