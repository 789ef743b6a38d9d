package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"waybill/ledger"
	"waybill/ledger/secret"
	"waybill/router"
)

// credentialView is a credential as the control API shows it: never its secret.
type credentialView struct {
	ID          string `json:"id"`
	Org         string `json:"org"`
	Provider    string `json:"provider"`
	Name        string `json:"name"`
	Kind        string `json:"kind"`
	Fingerprint string `json:"fingerprint"`
	BaseURL     string `json:"base_url"`
	Use         string `json:"use"`
	Order       int    `json:"order"`
	AttachedAt  string `json:"attached_at"`
	RotatedAt   string `json:"rotated_at"`

	State        string         `json:"state"`
	Code         string         `json:"code"`
	CheckedAt    string         `json:"checked_at"`
	Failing      string         `json:"failing"`
	FailingSince string         `json:"failing_since"`
	Commitment   commitmentView `json:"commitment"`
	Warning      string         `json:"warning"`

	Warnings []router.PolicyNote `json:"warnings"`
}

// condition is how the credential is, in a few words.
func (c credentialView) condition() string {
	s := c.State
	if c.Code != "" {
		s += " (" + c.Code + ")"
	}
	if c.FailingSince != "" {
		s += ", failing since " + second(c.FailingSince)
	}
	return s
}

var credentialAttach = command{
	name:  "credential attach",
	args:  "ORG PROVIDER",
	about: "attach a provider's key: an org's own, or the platform's",
	more: "The secret is read from the standard input and sealed in the vault. PROVIDER is openai, anthropic, google, another that\n" +
		"waybill knows, or one of the configuration. Some, such as azure and vllm, have no address of their own: say it with --base-url.\n" +
		"ORG may be platform: then it is capacity that plans and credit pay for.\n" +
		"The provider is asked by a free call whether it takes the key. One that it does not take is attached all the same, with a\n" +
		"warning, unless --require-ok is given.",
	example: []string{`echo "$OPENAI_API_KEY" | waybill credential attach acme openai --name ours`,
		`echo "$ANTHROPIC_API_KEY" | waybill credential attach platform anthropic`,
		`echo "$AZURE_OPENAI_API_KEY" | waybill credential attach acme azure --base-url https://RESOURCE.openai.azure.com/openai/v1`},
	setup: func(f *flags) action {
		name := f.String("name", "", "what it is called, unique in the org (default the provider's name)")
		use := f.String("use", string(ledger.UsePrefer), "when it is taken: prefer (before platform capacity), fallback (after it), only")
		order := f.Int("order", 0, "place among the org's credentials for the provider, ascending")
		base := f.String("base-url", "", "where calls with it go, if not to the provider's own `ADDRESS`")
		commitment := f.String("commitment", "", "`WHAT` its owner has agreed to spend on it, such as usd=50000/2026-12-31: by the end of that day, or without one")
		requireOK := f.Bool("require-ok", false, "attach it only if the provider takes it")
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			body := map[string]any{"provider": args[1], "name": *name, "use": *use, "order": *order, "base_url": *base, "require_ok": *requireOK}
			if *commitment != "" {
				c, err := parseCommitment(*commitment)
				if err != nil {
					return misused("--commitment: %v", err)
				}
				body["commitment"] = c
			}
			given, err := w.secret()
			if err != nil {
				return err
			}
			body["secret"] = given.Reveal()
			answer, err := a.call(ctx, "POST", wallet(args[0]), body)
			return showChecked(w, answer, err, *asJSON)
		})
	},
}

var credentialList = command{
	name:    "credential list",
	args:    "ORG",
	about:   "list the credentials of an org, or of the platform, in the order of use, with how they are",
	example: []string{"waybill credential list acme", "waybill credential list platform"},
	setup: func(f *flags) action {
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			answer, err := a.call(ctx, "GET", wallet(args[0]), nil)
			if err != nil {
				return err
			}
			return show(w, answer, *asJSON, func(v struct{ Credentials []credentialView }) error { return credentialTable(w, v.Credentials...) })
		})
	},
}

var credentialRotate = command{
	name:    "credential rotate",
	args:    "ORG CREDENTIAL",
	about:   "replace the secret of a credential",
	more:    "The new secret is read from the standard input. CREDENTIAL is its name or its id.",
	example: []string{`echo "$OPENAI_API_KEY" | waybill credential rotate acme ours`},
	setup: func(f *flags) action {
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			given, err := w.secret()
			if err != nil {
				return err
			}
			answer, err := onCredential(ctx, a, "POST", args, "/rotate", map[string]any{"secret": given.Reveal()})
			return showChecked(w, answer, err, *asJSON)
		})
	},
}

var credentialDetach = command{
	name:    "credential detach",
	args:    "ORG CREDENTIAL",
	about:   "take a credential out of use and destroy its secret",
	more:    "CREDENTIAL is its name or its id.",
	example: []string{"waybill credential detach acme ours"},
	setup: func(f *flags) action {
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			answer, err := onCredential(ctx, a, "DELETE", args, "", nil)
			if err != nil {
				return err
			}
			return show(w, answer, *asJSON, func(c credentialView) error {
				w.warn(c.Warnings, "the policy")
				w.printf("detached %s (%s), and destroyed its secret\n", printable(c.Name), c.ID)
				return nil
			})
		})
	},
}

// wallet is where the credentials of an org are, or those of the platform.
func wallet(org string) string {
	if org == ledger.Platform {
		return "/platform/credentials"
	}
	return at("/orgs/%s/credentials", org)
}

// secret reads a secret from the standard input: it must not be an argument, which every process on the machine can read.
func (w *work) secret() (secret.Text, error) {
	if f, ok := w.stdin.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			fmt.Fprintln(w.stderr, "the secret is read from here: paste it, then Enter and Ctrl-D")
		}
	}
	b, err := io.ReadAll(io.LimitReader(w.stdin, 8192))
	if err != nil {
		return secret.Text{}, fmt.Errorf("reading the secret: %w", err)
	}
	s := strings.TrimSpace(string(b))
	if s == "" {
		return secret.Text{}, errors.New("there is no secret on the standard input: echo \"$KEY\" | waybill credential …")
	}
	return secret.New(s), nil
}

// credentialTable lists credentials, and below them the commitments of those that have one.
func credentialTable(w *work, credentials ...credentialView) error {
	t := newTable("name", "id", "provider", "kind", "use", ">order", "state", "checked", "fingerprint", "attached", "rotated", "base url")
	commitments := newTable("name", ">commitment", ">drawn", ">left", "until")
	for _, c := range credentials {
		t.row(c.Name, c.ID, c.Provider, c.Kind, c.Use, strconv.Itoa(c.Order), c.condition(), second(c.CheckedAt), c.Fingerprint, second(c.AttachedAt), second(c.RotatedAt), c.BaseURL)
		if m := c.Commitment; m.Amount != "" {
			commitments.row(c.Name, m.Amount, m.Drawn, m.Left, second(m.Until))
		}
	}
	if err := t.write(w.stdout); err != nil || len(commitments.rows) == 0 {
		return err
	}
	w.printf("\n")
	return commitments.write(w.stdout)
}

// onCredential makes a call about the credential that a command's arguments name, an org and the credential's name. What is the name
// of none is taken for an id.
func onCredential(ctx context.Context, a *api, method string, args []string, rest string, body any) (json.RawMessage, error) {
	var v struct{ Credentials []credentialView }
	if err := a.get(ctx, wallet(args[0]), &v); err != nil {
		return nil, err
	}
	id := args[1]
	for _, c := range v.Credentials {
		if c.Name == args[1] {
			id = c.ID
		}
	}
	return a.call(ctx, method, wallet(args[0])+at("/%s", id)+rest, body)
}
