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
	"unicode/utf8"

	wbhttp "waybill/http"
	"waybill/router"
)

// policyView is a policy as the control API shows it.
type policyView struct {
	Version  uint64              `json:"version"`
	SetAt    string              `json:"set_at"`
	Document string              `json:"document"`
	Warnings []router.PolicyNote `json:"warnings"`
}

var policySet = command{
	name:  "policy set",
	args:  "ORG FILE",
	about: "set how an org has its calls routed",
	more: `FILE is YAML or JSON, "-" the standard input. It takes effect with the next call. The first route that matches a call says what to
try; without one the call goes to the model that it names:

  credentials: byok-first          # or byok-only, platform-first, platform-only
  paid_fallback: false             # may a failing key of the org's own move to paid capacity?
  max_attempts: 3
  aliases: {fast: openai/gpt-6-luna}
  routes:
    - name: claude on our own key
      when: {model: "claude-*", key: "prod-*", metadata: {team: research}}
      try:
        - {model: anthropic/claude-sonnet-5-5, credential: byok/ours}
        - {model: openai/gpt-6-sol, credential: platform}
    - name: the rest
      when: {model: auto}
      auto: {goal: cost, pool: [openai/gpt-6-luna, anthropic/claude-haiku-5-5]}

Comments are not kept: keep the file. All else is in the log for good, also the patterns of keys and metadata, the names of routes and the
reasons of refuse: put nothing personal there. Names of credentials are not. What is wrong with the file is told by line and column,
and then nothing is changed.`,
	example: []string{"waybill policy set acme routing.yml", "waybill policy show acme | sed 's/byok-first/byok-only/' | waybill policy set acme -"},
	setup: func(f *flags) action {
		version := f.String("version", "", "set it only in the place of version `N`, 0 if none was ever set")
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			text, err := w.policyFile(args[1])
			if err != nil {
				return err
			}
			body := map[string]any{"document": text}
			if *version != "" {
				if body["version"], err = strconv.ParseUint(*version, 10, 63); err != nil {
					return misused("--version: %q is no version such as 3", *version)
				}
			}
			answer, err := a.call(ctx, "PUT", at("/orgs/%s/policy", args[0]), body)
			if err != nil {
				return inFile(err, args[1])
			}
			return show(w, answer, *asJSON, func(p policyView) error {
				w.warn(p.Warnings, args[1])
				w.printf("the policy of %s is at version %d\n", printable(args[0]), p.Version)
				return nil
			})
		})
	},
}

var policyShow = command{
	name:    "policy show",
	args:    "ORG",
	about:   "show how an org has its calls routed, in YAML",
	example: []string{"waybill policy show acme"},
	setup: func(f *flags) action {
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			answer, err := a.call(ctx, "GET", at("/orgs/%s/policy", args[0]), nil)
			if err != nil {
				return err
			}
			return show(w, answer, *asJSON, func(p policyView) error {
				for i, n := range p.Warnings {
					if n.Line > 0 {
						p.Warnings[i].Line++ // below the line that is printed first
					}
				}
				w.warn(p.Warnings, "the policy")
				if p.Version == 0 {
					w.printf("# no policy is set: these are the defaults\n%s", p.Document)
				} else {
					w.printf("# version %d, set %s\n%s", p.Version, second(p.SetAt), p.Document)
				}
				return nil
			})
		})
	},
}

var policyClear = command{
	name:    "policy clear",
	args:    "ORG",
	about:   "go back to the defaults of routing",
	example: []string{"waybill policy clear acme"},
	setup: func(f *flags) action {
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			answer, err := a.call(ctx, "DELETE", at("/orgs/%s/policy", args[0]), nil)
			if err != nil {
				return err
			}
			return show(w, answer, *asJSON, func(p policyView) error {
				w.printf("%s is back at the defaults (version %d)\n", printable(args[0]), p.Version)
				return nil
			})
		})
	},
}

// file reads a file, or the standard input for "-".
func (w *work) file(name string) (string, error) {
	if name == "-" {
		b, err := io.ReadAll(w.stdin)
		if err != nil {
			return "", fmt.Errorf("reading the standard input: %w", err)
		}
		return string(b), nil
	}
	b, err := os.ReadFile(name)
	return string(b), err
}

// policyFile reads a policy.
func (w *work) policyFile(name string) (string, error) {
	text, err := w.file(name)
	if err == nil && strings.TrimSpace(text) == "" {
		err = fmt.Errorf("%s is empty: a policy begins as waybill policy show prints it, and waybill policy clear goes back to the defaults", named(name))
	}
	return text, err
}

// named is what errors call a file.
func named(name string) string {
	if name == "-" {
		return "stdin"
	}
	return name
}

// inFile tells the errors of a policy as compilers do: FILE:LINE:COLUMN.
func inFile(err error, name string) error {
	p, ok := errors.AsType[*wbhttp.Problem](err)
	if !ok || len(p.Errors) == 0 {
		return err
	}
	var lines []string
	for _, n := range p.Errors {
		lines = append(lines, placed(n, name))
	}
	return errors.New("the policy was not taken:\n" + strings.Join(lines, "\n"))
}

func placed(n router.PolicyNote, name string) string {
	if n.Line == 0 {
		return named(name) + ": " + printable(n.String())
	}
	return named(name) + ":" + printable(n.String())
}

func (w *work) warn(notes []router.PolicyNote, name string) {
	for _, n := range notes {
		fmt.Fprintf(w.stderr, "warning: %s\n", placed(n, name))
	}
}

// jsonFile reads a file of JSON, or the standard input for "-".
func (w *work) jsonFile(name string) (json.RawMessage, error) {
	text, err := w.file(name)
	if err != nil {
		return nil, err
	}
	var value json.RawMessage
	err = json.Unmarshal([]byte(text), &value)
	if s, ok := errors.AsType[*json.SyntaxError](err); ok {
		before := text[:max(0, min(int(s.Offset), len(text))-1)] // the offset is behind the character that is at fault
		line := 1 + strings.Count(before, "\n")
		err = fmt.Errorf("%s:%d:%d: it is not JSON: %w", named(name), line, 1+utf8.RuneCountInString(before[strings.LastIndex(before, "\n")+1:]), err)
	}
	return value, err
}
