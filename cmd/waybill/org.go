package main

import (
	"context"
	"encoding/json"

	"waybill/ledger"
)

// orgView is an org as the control API shows it.
type orgView struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Plan     string `json:"plan"`
	NextPlan string `json:"next_plan"`
	State    string `json:"state"`
	OpenedAt string `json:"opened_at"`
}

var orgOpen = command{
	name:    "org open",
	args:    "NAME",
	about:   "open an org on a plan",
	more:    "An org is who pays. Other commands take its name or its id.",
	example: []string{"waybill org open acme --plan teams"},
	setup: func(f *flags) action {
		plan := f.String("plan", ledger.FreePlan, "the `PLAN`: free, starter, teams, or one that you have defined")
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			answer, err := a.call(ctx, "POST", "/orgs", map[string]any{"name": args[0], "plan": *plan})
			return showOrg(w, answer, err, *asJSON)
		})
	},
}

var orgList = command{
	name:    "org list",
	about:   "list the orgs",
	example: []string{"waybill org list"},
	setup: func(f *flags) action {
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, _ []string) error {
			answer, err := a.call(ctx, "GET", "/orgs", nil)
			if err != nil {
				return err
			}
			return show(w, answer, *asJSON, func(v struct{ Orgs []orgView }) error { return orgTable(w, v.Orgs...) })
		})
	},
}

var orgShow = command{
	name:    "org show",
	args:    "ORG",
	about:   "show one org",
	example: []string{"waybill org show acme"},
	setup: func(f *flags) action {
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			answer, err := a.call(ctx, "GET", at("/orgs/%s", args[0]), nil)
			return showOrg(w, answer, err, *asJSON)
		})
	},
}

var orgPlan = command{
	name:    "org plan",
	args:    "ORG PLAN",
	about:   "put an org on another plan",
	more:    "A plan with more tokens starts at once, with a new period. Any other starts when the present period ends.",
	example: []string{"waybill org plan acme teams"},
	setup: func(f *flags) action {
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			answer, err := a.call(ctx, "PUT", at("/orgs/%s/plan", args[0]), map[string]any{"plan": args[1]})
			return showOrg(w, answer, err, *asJSON)
		})
	},
}

var orgSuspend = command{
	name:    "org suspend",
	args:    "ORG",
	about:   "stop an org's calls; its money stays as it is",
	example: []string{"waybill org suspend acme --reason unpaid"},
	setup: func(f *flags) action {
		reason := f.String("reason", "requested", "a `WORD` such as unpaid or abuse, for the log")
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			answer, err := a.call(ctx, "POST", at("/orgs/%s/suspend", args[0]), map[string]any{"reason": *reason})
			return showOrg(w, answer, err, *asJSON)
		})
	},
}

var orgResume = command{
	name:    "org resume",
	args:    "ORG",
	about:   "let a suspended org call again",
	example: []string{"waybill org resume acme"},
	setup: func(f *flags) action {
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			answer, err := a.call(ctx, "POST", at("/orgs/%s/resume", args[0]), nil)
			return showOrg(w, answer, err, *asJSON)
		})
	},
}

var orgErase = command{
	name:  "org erase",
	args:  "ORG",
	about: "end an org for good, and destroy its secrets and names",
	more: "Its keys are revoked, its credentials detached, and its provider secrets destroyed together with the keys that sealed them. Its\n" +
		"name, the names of its keys and credentials, and what its requests said of themselves are erased. Its events and balances stay,\n" +
		"under its id alone: the log still proves every figure. Nothing can follow: a refund is made before. An org with open calls is\n" +
		"refused: suspend it first, and wait for their end. This cannot be undone, and is not done without --yes.\n" +
		"Replicas forget after the retention in litestream.yml; the answer says when.",
	example: []string{"waybill org erase acme --yes"},
	setup: func(f *flags) action {
		yes := f.Bool("yes", false, "do it")
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			if !*yes {
				return misused("this ends %s for good and destroys its secrets and names: say --yes to do it", printable(args[0]))
			}
			answer, err := a.call(ctx, "POST", at("/orgs/%s/erase", args[0]), nil)
			if err != nil {
				return err
			}
			return show(w, answer, *asJSON, func(e erasedView) error {
				w.printf("erased %s at %s UTC: %s destroyed, and its names and notes with them; its events and balances stay\n", e.ID, second(e.ErasedAt), counted(e.Secrets, "secret"))
				if e.VaultForgets != "" {
					w.printf("the vault's replica forgets the sealed secrets and their keys by %s UTC, the log's replica the names and notes by %s UTC\n",
						second(e.VaultForgets), second(e.LogForgets))
				}
				return nil
			})
		})
	},
}

// erasedView is an org that is erased, as the control API tells of it.
type erasedView struct {
	ID           string
	ErasedAt     string `json:"erased_at"`
	Secrets      int64
	VaultForgets string `json:"vault_replica_forgets_at"`
	LogForgets   string `json:"log_replica_forgets_at"`
}

func showOrg(w *work, answer json.RawMessage, err error, asJSON bool) error {
	if err != nil {
		return err
	}
	return show(w, answer, asJSON, func(o orgView) error { return orgTable(w, o) })
}

func orgTable(w *work, orgs ...orgView) error {
	t := newTable("name", "id", "plan", "next plan", "state", "opened")
	for _, o := range orgs {
		t.row(o.Name, o.ID, o.Plan, o.NextPlan, o.State, second(o.OpenedAt))
	}
	return t.write(w.stdout)
}
