package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// keyView is a key as the control API shows it.
type keyView struct {
	ID        string   `json:"id"`
	Org       string   `json:"org"`
	Name      string   `json:"name"`
	Key       string   `json:"key"` // once
	Scopes    []string `json:"scopes"`
	Models    []string `json:"models"`
	State     string   `json:"state"`
	ExpiresAt string   `json:"expires_at"`
	IssuedAt  string   `json:"issued_at"`
}

var keyIssue = command{
	name:  "key issue",
	args:  "ORG",
	about: "issue a key to an org; it is shown once",
	more: "The key alone goes to the standard output, what else there is to say goes to the standard error, so that a script can\n" +
		"write KEY=$(waybill key issue …).",
	example: []string{"waybill key issue acme --name laptop", `waybill key issue acme --name ci --models "claude-*,openai/gpt-6-luna" --expires 2160h`},
	setup: func(f *flags) action {
		name := f.String("name", "", "what the key is called, unique in the org")
		scopes := f.String("scope", "inference", "what it may do: `SCOPES` of inference and admin, with commas")
		models := f.String("models", "", "`PATTERNS` of the models that it may call, with commas (default all)")
		expires := f.String("expires", "", "`WHEN` it ends: a time such as 2027-01-31T00:00:00Z, or how long from now, such as 720h")
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			if *name == "" {
				return misused("--name is missing")
			}
			end, err := moment(*expires)
			if err != nil {
				return misused("--expires: %v", err)
			}
			answer, err := a.call(ctx, "POST", at("/orgs/%s/keys", args[0]),
				map[string]any{"name": *name, "scopes": commas(*scopes), "models": commas(*models), "expires_at": end})
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

var keyRotate = command{
	name:    "key rotate",
	args:    "ORG KEY",
	about:   "give a key a new secret, which is shown once",
	more:    "KEY is its name or its id. With --overlap the former secret opens the key for so long.",
	example: []string{"waybill key rotate acme laptop --overlap 24h"},
	setup: func(f *flags) action {
		overlap := f.Duration("overlap", 0, "how `LONG` the former secret still opens the key")
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			id, err := keyNamed(ctx, a, args[0], args[1])
			if err != nil {
				return err
			}
			body := map[string]any{}
			if *overlap > 0 {
				body["former_ends_at"] = time.Now().Add(*overlap).UTC().Format(time.RFC3339Nano)
			}
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
		fmt.Fprintf(w.stderr, "key %s (%s) of %s, shown this once:\n", printable(k.Name), k.ID, printable(org))
		w.printf("%s\n", k.Key)
		return nil
	})
}

func keyTable(w *work, keys ...keyView) error {
	t := newTable("name", "id", "state", "scopes", "models", "issued", "expires")
	for _, k := range keys {
		models := "all"
		if len(k.Models) > 0 {
			models = strings.Join(k.Models, ",")
		}
		t.row(k.Name, k.ID, k.State, strings.Join(k.Scopes, ","), models, second(k.IssuedAt), second(k.ExpiresAt))
	}
	return t.write(w.stdout)
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
