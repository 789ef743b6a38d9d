package router_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"waybill/ledger"
	hidden "waybill/ledger/secret"
	"waybill/router"
)

// A check tells a dead key from an empty account, and both from a provider that says nothing, in each provider's words.
func TestCheck(t *testing.T) {
	n := newNode(t)
	for _, provider := range []string{"openai", "anthropic", "google"} {
		for secret, want := range map[string]ledger.CheckStatus{
			"sk-good":                       ledger.CheckOK,
			"sk-sandbox-fail-invalid-key":   ledger.CheckDead,
			"sk-sandbox-fail-forbidden":     ledger.CheckDead,
			"sk-sandbox-fail-out-of-credit": ledger.CheckUnfunded,
			"sk-sandbox-fail-spend-limit":   ledger.CheckUnfunded,
			"sk-sandbox-fail-rate-limited":  ledger.CheckLimited,
			"sk-sandbox-fail-overloaded":    ledger.CheckUnreachable,
			"sk-sandbox-fail-server-error":  ledger.CheckUnreachable,
			"sk-sandbox-fail-bad-gateway":   ledger.CheckUnreachable,
			"sk-sandbox-fail-not-found":     ledger.CheckUnreachable,
		} {
			f := n.d.Check(t.Context(), provider, "", hidden.New(secret), false)
			if f.Status != want || (f.Message == "") != (want == ledger.CheckOK) || strings.Contains(f.Message, secret) {
				t.Errorf("%s, %s: %+v, want %s", provider, secret, f, want)
			}
		}
	}
	if len(n.up.Calls()) != 0 {
		t.Error("a check is a call that costs")
	}
	if f := n.d.Check(t.Context(), "azure", "", hidden.New("k"), false); f.Status != ledger.CheckUnreachable {
		t.Errorf("without an address: %+v", f)
	}
	if f := n.d.Check(t.Context(), "openai", "http://127.0.0.1:1", hidden.New("sk-secret"), false); f.Status != ledger.CheckUnreachable || strings.Contains(f.Message, "127.0.0.1") {
		t.Errorf("nobody there: %+v", f)
	}
}

// The call goes where the provider's quirks say, with the secret where they say.
func TestCheckByQuirks(t *testing.T) {
	n := newNode(t)
	var path, key, bearer string
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		path, key, bearer = r.Method+" "+r.URL.Path, r.Header.Get("Api-Key"), r.Header.Get("Authorization")
	}))
	defer s.Close()
	n.d.Providers["odd"] = router.Provider{Dialects: []ledger.Dialect{ledger.DialectOpenAIChat}, BaseURL: s.URL, Quirks: router.Quirks{KeyHeader: "Api-Key", CheckPath: "/key"}}
	if f := n.d.Check(t.Context(), "odd", "", hidden.New("sk-x"), false); f.Status != ledger.CheckOK || path != "GET /key" || key != "sk-x" || bearer != "" {
		t.Errorf("%+v: %s, key %q, bearer %q", f, path, key, bearer)
	}
	// A redirect would take the secret elsewhere.
	n.d.Client = router.NewClient(time.Second)
	away := httptest.NewServer(http.RedirectHandler(s.URL, http.StatusFound))
	defer away.Close()
	if f := n.d.Check(t.Context(), "odd", away.URL, hidden.New("sk-x"), false); f.Status == ledger.CheckOK {
		t.Errorf("a redirect is %+v", f)
	}
}

// attach attaches credentials of an org's own, each with a secret.
func (n *node) attach(of map[string]string) {
	n.t.Helper()
	n.open("org_a", "teams")
	for id, secret := range of {
		n.d.Secrets.(secrets)[id] = secret
		n.do(ledger.AttachCredential{Org: "org_a", Credential: id, Provider: "openai", Fingerprint: id, Use: ledger.UsePrefer})
	}
}

func (n *node) checked(id string) (c ledger.Checked) {
	n.store.View(func(s *ledger.State) { c = s.Credential(id).Checked })
	return c
}

// Every credential is checked in a round: what is dead is recorded and no longer called, and what is good again is called again.
// Nothing that is not new is recorded.
func TestRound(t *testing.T) {
	n := newNode(t)
	now := time.Now()
	n.d.Now = func() time.Time { return now }
	k := router.NewChecker(n.d, slog.New(slog.DiscardHandler))
	n.attach(map[string]string{"cred_own": "sk-sandbox-fail-invalid-key"})
	k.Round(t.Context())
	if c := n.checked("cred_own"); c.Status != ledger.CheckDead || c.Code != "invalid_api_key" {
		t.Errorf("%+v", c)
	}
	if c := n.checked("cred_anthropic"); c.Status != ledger.CheckOK {
		t.Errorf("%+v", c)
	}
	leg := ledger.Choice{Model: "openai/gpt-6-luna", Credential: "cred_own", Kind: ledger.BYOK}
	if !n.d.Health.Open(leg, now) {
		t.Error("a dead credential is called")
	}
	calls := len(n.up.Calls())
	if a := n.ask(t.Context(), "org_a", "openai/gpt-6-luna", "hi", ""); a.failure == nil || len(n.up.Calls()) != calls {
		t.Errorf("%+v", a.failure)
	}

	head := func() (p uint64) { n.store.View(func(s *ledger.State) { p, _ = s.Head() }); return p }
	at := head()
	k.Round(t.Context())
	now = now.Add(time.Hour)
	k.Round(t.Context())
	if head() != at {
		t.Errorf("%d events of what was known", head()-at)
	}
	// A provider that does not answer takes nothing back.
	n.d.Secrets.(secrets)["cred_own"] = "sk-sandbox-fail-overloaded"
	now = now.Add(time.Hour)
	k.Round(t.Context())
	if head() != at || !n.d.Health.Open(leg, now) {
		t.Error("no answer was taken for one")
	}
	n.d.Secrets.(secrets)["cred_own"] = "sk-good-again"
	now = now.Add(time.Hour)
	k.Round(t.Context())
	if c := n.checked("cred_own"); c.Status != ledger.CheckOK || n.d.Health.Open(leg, now) {
		t.Errorf("%+v", c)
	}
	if a := n.ask(t.Context(), "org_a", "openai/gpt-6-luna", "hi", ""); a.failure != nil || a.facts.Kind != ledger.BYOK {
		t.Errorf("%+v", a.failure)
	}
	now = now.Add(25 * time.Hour)
	at = head()
	k.Round(t.Context())
	if head() == at {
		t.Error("a finding of yesterday was not renewed")
	}
}

// A call that fails by its credential has that checked soon. A list of models shows no empty account: the call has.
func TestSuspicion(t *testing.T) {
	n := newNode(t)
	ctx, cancel := context.WithCancel(t.Context())
	var late atomic.Bool
	now := time.Now()
	n.d.Now = func() time.Time {
		if late.Load() {
			return now.Add(2 * time.Minute)
		}
		return now
	}
	k := router.NewChecker(n.d, slog.New(slog.DiscardHandler))
	n.attach(map[string]string{"cred_own": "sk-good"})
	k.Round(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); k.Run(ctx) }()
	late.Store(true) // within the minute in which a credential was checked no call has it checked again
	n.ask(ctx, "org_a", "openai/gpt-6-luna", "hi [[sandbox fail=out_of_credit]]", "")
	deadline := time.Now().Add(10 * time.Second)
	for n.checked("cred_own").Status != ledger.CheckUnfunded {
		if time.Now().After(deadline) {
			t.Fatalf("%+v", n.checked("cred_own"))
		}
		<-time.After(time.Millisecond)
	}
	other := ledger.Choice{Model: "openai/gpt-6-sol", Credential: "cred_own", Kind: ledger.BYOK}
	if !n.d.Health.Open(other, n.d.Now()) {
		t.Error("another model of an empty account is called")
	}
	if n.d.Health.Open(other, n.d.Now().Add(6*time.Minute)) {
		t.Error("nobody finds out that the account is filled")
	}
	cancel()
	<-ended
}

// What a check finds of a secret that was replaced while it ran says nothing of the new one.
func TestCheckOfAFormerSecret(t *testing.T) {
	n := newNode(t)
	n.attach(map[string]string{"cred_own": "sk-former"})
	asked, answer := make(chan bool), make(chan bool)
	n.upstream("openai", func(w http.ResponseWriter, _ *http.Request) {
		asked <- true
		<-answer
		w.WriteHeader(http.StatusUnauthorized)
	})
	var c *ledger.Credential
	n.store.View(func(s *ledger.State) { c = s.Credential("cred_own") })
	done := make(chan error)
	go func() {
		_, err := n.d.Verify(t.Context(), ledger.By{Actor: "test", Cause: "check"}, c)
		done <- err
	}()
	<-asked
	n.do(ledger.RotateCredential{Org: "org_a", Credential: "cred_own", Fingerprint: "new"})
	n.d.Health.Renewed("cred_own")
	answer <- true
	if le, ok := errors.AsType[*ledger.Error](<-done); !ok || le.Code != ledger.CodeConflict {
		t.Errorf("the check of the former secret: %v", le)
	}
	if n.d.Health.Open(ledger.Choice{Model: "openai/gpt-6-luna", Credential: "cred_own", Kind: ledger.BYOK}, n.d.Now()) || n.checked("cred_own").Status != "" {
		t.Errorf("the new secret is taken for dead: %+v", n.checked("cred_own"))
	}
}

// Providers that do not answer hold up the checks of no others, and those of an org's own none of the platform's.
func TestSuspectsDoNotWaitForOthers(t *testing.T) {
	n := newNode(t)
	ctx, cancel := context.WithCancel(t.Context())
	now := time.Now()
	n.d.Now = func() time.Time { return now }
	n.attach(map[string]string{"cred_own": "sk-good"})
	k := router.NewChecker(n.d, slog.New(slog.DiscardHandler))
	k.Round(ctx)
	now = now.Add(2 * time.Minute) // so that the round in Run leaves all out, and calls may suspect each
	for _, id := range []string{"cred_own", "cred_openai"} {
		n.d.Secrets.(secrets)[id] = "sk-sandbox-fail-invalid-key"
	}
	asked := make(chan bool)
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- true
		<-r.Context().Done()
	}))
	defer silent.Close()
	ended := make(chan struct{})
	go func() { defer close(ended); k.Run(ctx) }()
	suspect := func(id string) {
		var c *ledger.Credential
		n.store.View(func(s *ledger.State) { c = s.Credential(id) })
		n.d.Suspect(c, &router.UpstreamError{Class: router.ClassCredential, Status: http.StatusUnauthorized})
	}
	hang := func(id string) {
		n.do(ledger.AttachCredential{Org: "org_a", Credential: id, Provider: "openai", Fingerprint: id, Use: ledger.UseFallback, BaseURL: silent.URL, Trusted: true})
		suspect(id)
		<-asked
	}
	dead := func(id string) {
		t.Helper()
		suspect(id)
		for deadline := time.Now().Add(5 * time.Second); n.checked(id).Status != ledger.CheckDead; <-time.After(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s waits for those that do not answer", id)
			}
		}
	}
	hang("cred_a")
	hang("cred_b")
	dead("cred_own")
	hang("cred_c")
	hang("cred_d") // now all of the orgs' turns are taken
	dead("cred_openai")
	cancel()
	<-ended
}
