package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// keyView is a key as the control API shows it.
type keyView struct {
	ID        string    `json:"id"`
	Org       string    `json:"org"`
	Name      string    `json:"name"`
	Key       string    `json:"key"` // once
	Scopes    []string  `json:"scopes"`
	Models    []string  `json:"models"`
	Caps      []capView `json:"caps"`
	Requests  int64     `json:"requests_per_minute"`
	Tokens    int64     `json:"tokens_per_minute"`
	State     string    `json:"state"`
	ExpiresAt string    `json:"expires_at"`
	IssuedAt  string    `json:"issued_at"`
	Warnings  []string  `json:"warnings"`
}

// warn tells what there is to say of a key that was just issued or changed.
func (k keyView) warn(w *work) {
	for _, text := range k.Warnings {
		fmt.Fprintf(w.stderr, "warning: %s\n", printable(text))
	}
}

var keyIssue = command{
	name:  "key issue",
	args:  "ORG",
	about: "issue a key to an org; it is shown once",
	more: "The key alone goes to the standard output, what else there is to say goes to the standard error, so that a script can\n" +
		"write KEY=$(waybill key issue …).",
	example: []string{"waybill key issue acme --name laptop", `waybill key issue acme --name ci --models "claude-*,openai/gpt-6-luna" --expires 90d`,
		"waybill key issue acme --name prod-web --cap usd=5/day --cap tok=1000000/month --rpm 600 --tpm 200000"},
	setup: func(f *flags) action {
		name := f.String("name", "", "what the key is called, unique in the org")
		scopes := f.String("scope", "inference", "what it may do: `SCOPES` of inference and admin, with commas")
		models := f.String("models", "", "`PATTERNS` of the models that it may call, with commas (default all)")
		limits := limitFlags(f)
		expires := f.String("expires", "", "`WHEN` it ends: a time such as 2027-01-31T00:00:00Z, a day (at its beginning, UTC), or how long from now, such as 30d or 12h")
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			if *name == "" {
				return misused("--name is missing")
			}
			end, err := moment(*expires)
			if err != nil {
				return misused("--expires: %v", err)
			}
			body := map[string]any{"name": *name, "scopes": commas(*scopes), "models": commas(*models), "expires_at": end}
			limits.into(body)
			answer, err := a.call(ctx, "POST", at("/orgs/%s/keys", args[0]), body)
			return showSecretKey(w, answer, err, *asJSON, args[0])
		})
	},
}

var keyList = command{
	name:    "key list",
	args:    "ORG",
	about:   "list an org's keys",
	example: []string{"waybill key list acme"},
	setup: func(f *flags) action {
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			answer, err := a.call(ctx, "GET", at("/orgs/%s/keys", args[0]), nil)
			if err != nil {
				return err
			}
			return show(w, answer, *asJSON, func(v struct{ Keys []keyView }) error { return keyTable(w, v.Keys...) })
		})
	},
}

var keyLimit = command{
	name:  "key limit",
	args:  "ORG KEY",
	about: "change what a key may spend and do; what no flag names stays",
	more: "KEY is its name or its id. Caps replace those that the key had; one that only changes its amount counts on, and --cap none\n" +
		"takes all away. They count platform capacity at list cost, whoever pays: plan, free messages or credit.",
	example: []string{"waybill key limit acme prod-web --cap usd=20/day --rpm 1200", "waybill key limit acme ci --cap none --models all --expires 30d"},
	setup: func(f *flags) action {
		models := f.String("models", "", "`PATTERNS` of the models that it may call, with commas, or all")
		limits := limitFlags(f)
		expires := f.String("expires", "", "`WHEN` it ends, as for key issue, or never")
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			body := map[string]any{}
			limits.into(body)
			switch *expires {
			case "":
			case "never":
				body["expires_at"] = nil
			default:
				end, err := moment(*expires)
				if err != nil {
					return misused("--expires: %v", err)
				}
				body["expires_at"] = end
			}
			switch *models {
			case "":
			case "all":
				body["models"] = []string{}
			default:
				body["models"] = commas(*models)
			}
			if len(body) == 0 {
				return misused("nothing to change: --cap, --rpm, --tpm, --models or --expires")
			}
			id, err := keyNamed(ctx, a, args[0], args[1])
			if err != nil {
				return err
			}
			answer, err := a.call(ctx, "PATCH", at("/orgs/%s/keys/%s", args[0], id), body)
			if err != nil {
				return err
			}
			return show(w, answer, *asJSON, func(k keyView) error {
				k.warn(w)
				return keyTable(w, k)
			})
		})
	},
}

var keyRotate = command{
	name:    "key rotate",
	args:    "ORG KEY",
	about:   "give a key a new secret, which is shown once",
	more:    "KEY is its name or its id. With --overlap the former secret opens the key for so long, or until then.",
	example: []string{"waybill key rotate acme laptop --overlap 24h"},
	setup: func(f *flags) action {
		overlap := f.String("overlap", "", "how `LONG` the former secret still opens the key, such as 24h or 7d, or until which time (default not at all)")
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			ends, err := moment(*overlap)
			if err != nil {
				return misused("--overlap: %v", err)
			}
			id, err := keyNamed(ctx, a, args[0], args[1])
			if err != nil {
				return err
			}
			body := map[string]any{"former_ends_at": ends}
			answer, err := a.call(ctx, "POST", at("/orgs/%s/keys/%s/rotate", args[0], id), body)
			return showSecretKey(w, answer, err, *asJSON, args[0])
		})
	},
}

var keyRevoke = command{
	name:    "key revoke",
	args:    "ORG KEY",
	about:   "end a key; calls that it opened go on",
	more:    "KEY is its name or its id.",
	example: []string{"waybill key revoke acme laptop"},
	setup: func(f *flags) action {
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			id, err := keyNamed(ctx, a, args[0], args[1])
			if err != nil {
				return err
			}
			answer, err := a.call(ctx, "DELETE", at("/orgs/%s/keys/%s", args[0], id), nil)
			if err != nil {
				return err
			}
			return show(w, answer, *asJSON, func(k keyView) error { return keyTable(w, k) })
		})
	},
}

func showSecretKey(w *work, answer json.RawMessage, err error, asJSON bool, org string) error {
	if err != nil {
		return err
	}
	return show(w, answer, asJSON, func(k keyView) error {
		k.warn(w)
		fmt.Fprintf(w.stderr, "key %s (%s) of %s, shown this once:\n", printable(k.Name), k.ID, printable(org))
		w.printf("%s\n", k.Key)
		return nil
	})
}

// keyTable lists keys, and below each its caps.
func keyTable(w *work, keys ...keyView) error {
	t := newTable("name", "id", "state", "scopes", "models", ">rpm", ">tpm", "issued", "expires")
	caps := newTable("key", "cap", ">spent", ">held", ">left", "resets")
	for _, k := range keys {
		models := "all"
		if len(k.Models) > 0 {
			models = strings.Join(k.Models, ",")
		}
		t.row(k.Name, k.ID, k.State, strings.Join(k.Scopes, ","), models, perMinute(k.Requests), perMinute(k.Tokens), second(k.IssuedAt), second(k.ExpiresAt))
		for _, c := range k.Caps {
			caps.row(k.Name, c.String(), c.of(c.Spent), c.of(c.Held), c.of(c.Left), second(c.ResetsAt))
		}
	}
	if err := t.write(w.stdout); err != nil || len(caps.rows) == 0 {
		return err
	}
	w.printf("\n")
	return caps.write(w.stdout)
}

// keyNamed finds a key's id by its name. What is the name of none is taken for an id.
func keyNamed(ctx context.Context, a *api, org, key string) (string, error) {
	var v struct{ Keys []keyView }
	if err := a.get(ctx, at("/orgs/%s/keys", org), &v); err != nil {
		return "", err
	}
	for _, k := range v.Keys {
		if k.Name == key {
			return k.ID, nil
		}
	}
	return key, nil
}
