package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/openai/openai-go/v3"
	"google.golang.org/genai"

	"waybill/router/sandbox"
)

// refusal is OpenAI's client's typed error.
func refusal(t *testing.T, err error, status int, code string) {
	t.Helper()
	e, ok := errors.AsType[*openai.Error](err)
	if !ok || e.StatusCode != status || e.Code != code || e.Message == "" {
		t.Errorf("got %v, want status %d with code %s", err, status, code)
	}
}

// refused is what must come of a call: the status, and the class in the words of each client's typed error.
type refused struct {
	status                   int
	openai, anthropic, genai string
}

var (
	unknownKey    = refused{401, "unknown_key", "authentication_error", "UNAUTHENTICATED"}
	unknownModel  = refused{404, "unknown_model", "not_found_error", "NOT_FOUND"}
	excludedModel = refused{403, "plan_excludes_model", "permission_error", "PERMISSION_DENIED"}
	malformed     = refused{400, "invalid", "invalid_request_error", "INVALID_ARGUMENT"}
	heldFunds     = refused{429, "funds_held", "rate_limit_error", "RESOURCE_EXHAUSTED"}
	rateLimited   = refused{429, "rate_limited", "rate_limit_error", "RESOURCE_EXHAUSTED"}
	reachedCap    = refused{429, "cap_reached", "rate_limit_error", "RESOURCE_EXHAUSTED"}
	noFunds       = refused{402, "insufficient_funds", "billing_error", "FAILED_PRECONDITION"}
	noUpstream    = refused{502, "upstream_failed", "api_error", "UNAVAILABLE"}
)

// is checks the error that a client made of a refusal. Of a 429 it must know when to try again.
func (want refused) is(t *testing.T, what string, err error) {
	t.Helper()
	var header http.Header
	switch e := err.(type) {
	case *openai.Error:
		refusal(t, err, want.status, want.openai)
		header = e.Response.Header
	case *anthropic.Error:
		if e.StatusCode != want.status || string(e.Type()) != want.anthropic || e.RequestID == "" {
			t.Errorf("%s: got %v (%s, request %q), want %d %s", what, err, e.Type(), e.RequestID, want.status, want.anthropic)
		}
		header = e.Response.Header
	case genai.APIError:
		if e.Code != want.status || e.Status != want.genai || e.Message == "" {
			t.Errorf("%s: got %+v, want %d %s", what, e, want.status, want.genai)
		}
		return // it does not show headers
	default:
		t.Errorf("%s: got %T %v, want status %d", what, err, err, want.status)
		return
	}
	if want.status == 429 && header.Get("Retry-After") == "" {
		t.Errorf("%s: a 429 without Retry-After", what)
	}
}

// Refusals become each client's typed errors.
func TestOfficialClientsErrors(t *testing.T) {
	s := newSite(t)
	s.must("org", "open", "company", "--plan", "teams")
	whole := s.must("key", "issue", "company", "--name", "sdk")
	keys := map[string]string{}
	for name := range sdkClients {
		s.must("org", "open", name, "--plan", "free")
		keys[name] = s.must("key", "issue", name, "--name", "sdk")
	}
	capped := s.must("key", "issue", "company", "--name", "capped", "--cap", "usd=0.0006/day")
	url, _ := s.serve()
	ctx, cancel := context.WithTimeout(t.Context(), sdkTimeout)
	defer cancel()
	spend := sdkClients["chat"](t, url, capped)
	if _, err := spend.ask(ctx, question{model: "openai/gpt-6-luna", turns: []turn{{text: "Hello [[sandbox input=500 output=600]]"}}, cap: 600}); err != nil {
		t.Fatal(err)
	}
	for name, make := range sdkClients {
		t.Run(name, func(t *testing.T) {
			ask := func(c sdkClient, model, text string) error {
				_, err := c.ask(ctx, question{model: model, turns: []turn{{text: text}}, cap: 64})
				return err
			}
			free, company, stranger := make(t, url, keys[name]), make(t, url, whole), make(t, url, "wbk_nobody")
			unknownKey.is(t, "a key that is none", ask(stranger, "auto", "Hello"))
			unknownModel.is(t, "a model that is none", ask(free, "openai/none", "Hello"))
			excludedModel.is(t, "a model outside the plan", ask(free, sdkModels[0], "Hello"))
			_, err := free.ask(ctx, question{model: "auto", turns: []turn{{text: "Hello"}}, cap: -1})
			malformed.is(t, "a cap below 0", err)
			_, err = make(t, url, capped).ask(ctx, question{model: "openai/gpt-6-luna", turns: []turn{{text: "Hello"}}, cap: 600})
			reachedCap.is(t, "a key that has spent what it may", err)
			for _, model := range sdkModels {
				want := malformed
				if strings.HasPrefix(model, "openai/") {
					want.openai = "invalid_value" // OpenAI's own word, for clients that know it
				}
				want.is(t, "what the provider refuses", ask(company, model, "Hello [[sandbox fail=bad_request]]"))
				good := func() { // which closes the breaker's count: each failure is tried once more
					if err := ask(company, model, "Hello"); err != nil {
						t.Error(err)
					}
				}
				rateLimited.is(t, "a provider that asks to slow down", ask(company, model, "Hello [[sandbox fail=rate_limited retry_after=100ms]]"))
				good()
				noUpstream.is(t, "a provider that fails", ask(company, model, "Hello [[sandbox fail=server_error]]"))
				good()
			}

			// Of five free messages four are used and the fifth is held by a call that goes on: that is no reason to give up.
			for range 4 {
				if err := ask(free, "auto", "Hello"); err != nil {
					t.Fatal(err)
				}
			}
			held := goAsk(func() error { return ask(free, "auto", "Hello [[sandbox hang=headers]]") })
			until(t, "the call hangs", func() bool { return slices.ContainsFunc(s.up.Calls(), func(c sandbox.Call) bool { return !c.Ended }) })
			heldFunds.is(t, "the last message is held", ask(free, "auto", "Hello"))
			until(t, "the call is let go", func() bool { return s.up.Release("") > 0 })
			if err := <-held; err != nil {
				t.Fatal(err)
			}
			noFunds.is(t, "no message is left", ask(free, "auto", "Hello"))
		})
	}
}

func goAsk(ask func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- ask() }()
	return done
}

// An answer that breaks off is the client's stream error, after the text that came before, and never looks finished.
func TestOfficialClientsSeeBrokenStreams(t *testing.T) {
	s := newSite(t)
	s.must("org", "open", "acme", "--plan", "teams")
	key := s.must("key", "issue", "acme", "--name", "sdk")
	url, _ := s.serve()
	ctx, cancel := context.WithTimeout(t.Context(), sdkTimeout)
	defer cancel()
	for name, make := range sdkClients {
		client := make(t, url, key)
		for _, model := range sdkModels {
			for _, fault := range []string{"fail=overloaded fail_at=content", "cut", "truncate"} {
				t.Run(name+"/"+strings.ReplaceAll(model, "/", ".")+"/"+fault, func(t *testing.T) {
					a, err := client.ask(ctx, question{model: model, stream: true, cap: 400,
						turns: []turn{{text: `Hello [[sandbox say="one two three four five six" chunks=6 ` + fault + `]]`}}})
					if err == nil || a.text == "" || !strings.HasPrefix("one two three four five six", a.text) || a.finish != "" {
						t.Errorf("got %q, finish %q, %v", a.text, a.finish, err)
					}
					if _, err := client.ask(ctx, question{model: model, turns: []turn{{text: "Hello"}}, cap: 400}); err != nil { // which closes the breaker's count
						t.Error(err)
					}
				})
			}
		}
	}
}
