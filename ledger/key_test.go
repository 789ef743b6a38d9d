package ledger

import (
	"slices"
	"strings"
	"testing"
)

// play runs lines of a case, each of which must succeed.
func play(t *testing.T, lines string) *world {
	t.Helper()
	s := startScript(t, t.Name())
	for _, line := range strings.Split(strings.TrimSpace(lines), "\n") {
		s.line(line, strings.TrimSpace(line))
	}
	s.end()
	if s.failed {
		t.FailNow()
	}
	return s.w
}

// TestKeyOpens: a rotated key opens with both secrets until the former ends, and with none once revoked or expired.
func TestKeyOpens(t *testing.T) {
	w := play(t, `
		at 2026-01-01
		org acme tiny
		key k1 acme expires=2026-06-01
		key k2 acme
		rotate k1 acme second until=2026-01-10
		rotate k2 acme third
		key k3 acme
		revoke k3 acme`)
	for _, c := range []struct {
		key, secret, at string
		opens           bool
	}{
		{"k1", "second", "2026-01-01", true},
		{"k1", "k1", "2026-01-09T23:59:59", true},
		{"k1", "k1", "2026-01-10", false},
		{"k1", "second", "2026-05-31", true},
		{"k1", "second", "2026-06-01", false},
		{"k1", "third", "2026-01-01", false},
		{"k2", "third", "2026-01-01", true},
		{"k2", "k2", "2026-01-01", false},
		{"k3", "k3", "2026-01-01", false},
	} {
		if got := w.state.Key(c.key).Opens(secret(c.secret), instant(c.at)); got != c.opens {
			t.Errorf("secret %s opens key %s at %s: %v", c.secret, c.key, c.at, got)
		}
	}
	if w.state.Key("k2").Opens("", instant("2026-01-01")) {
		t.Error("no secret opens a key that never had a former one")
	}
}

// TestKeyByHash: a secret finds its key while it may open it, and no longer once it was rotated away.
func TestKeyByHash(t *testing.T) {
	w := play(t, `
		org acme tiny
		key k1 acme
		rotate k1 acme second until=2026-01-10
		rotate k1 acme third until=2026-01-20`)
	for word, found := range map[string]bool{"k1": false, "second": true, "third": true, "fourth": false} {
		if got := w.state.KeyByHash(secret(word)) != nil; got != found {
			t.Errorf("secret %s finds a key: %v", word, got)
		}
	}
	if k := w.state.KeyByHash(secret("second")); k != w.state.Key("k1") {
		t.Errorf("it finds %+v", k)
	}
}

func TestKeyAllows(t *testing.T) {
	claude := &Model{Name: "anthropic/claude-haiku-5-5", Provider: "anthropic", ID: "claude-haiku-5-5"}
	for pattern, allows := range map[string]bool{
		"claude-haiku-5-5":           true,
		"anthropic/claude-haiku-5-5": true,
		"claude-*":                   true,
		"*":                          true,
		"*/*":                        true,
		"anthropic/*":                true,
		"claude-haiku-?-?":           true,
		"haiku":                      false,
		"claude":                     false,
		"openai/*":                   false,
		"anthropic/":                 false,
		"claude-opus-*":              false,
		"CLAUDE-*":                   false,
	} {
		k := Key{Models: []string{"gpt-*", pattern}}
		if got := k.Allows(claude); got != allows {
			t.Errorf("%q allows %s: %v", pattern, claude.Name, got)
		}
	}
	if !(&Key{}).Allows(claude) {
		t.Error("a key without patterns allows every model")
	}
	if k := (&Key{Scopes: []Scope{ScopeAdmin}}); k.Has(ScopeInference) || !k.Has(ScopeAdmin) {
		t.Error("a key has the scopes that it was given")
	}
}

// TestKeysAndWallets: the state lists an org's keys and credentials, and nobody else's, in their order.
func TestKeysAndWallets(t *testing.T) {
	w := play(t, `
		org acme tiny
		org beta tiny
		key k2 acme
		key k1 acme
		key k3 beta
		credential c-fallback acme openai fallback
		credential c-second acme openai prefer order=2
		credential c-first acme openai prefer order=1
		credential c-only acme openai only order=9
		credential c-later acme openai prefer order=2
		credential d-beta beta openai prefer`)
	var got []string
	for _, k := range w.state.Keys("acme") {
		got = append(got, k.ID)
	}
	for _, c := range w.state.Wallet("acme") {
		got = append(got, c.ID)
	}
	if want := "k1 k2 c-only c-first c-second c-later c-fallback"; strings.Join(got, " ") != want {
		t.Errorf("%s, not %s", strings.Join(got, " "), want)
	}
	if c := w.state.Wallet(Platform); len(c) != 1 || c[0].Kind() != PlatformPool || w.state.Credential("c-only").Kind() != BYOK {
		t.Errorf("the platform's wallet is %+v", c)
	}
}

// TestKeyPatterns: patterns go into the log, so they are neither texts nor without bound.
func TestKeyPatterns(t *testing.T) {
	w := play(t, "org acme tiny\nkey k1 acme")
	limit := func(models ...string) error {
		_, refused, broken := w.do(LimitKey{Who: operator, Org: "acme", Key: "k1", Scopes: []Scope{ScopeInference}, Models: models})
		if broken != nil {
			t.Fatal(broken)
		}
		return refused
	}
	if err := limit(slices.Repeat([]string{"gpt-*"}, maxPatterns)...); err != nil {
		t.Error(err)
	}
	for _, models := range [][]string{{"Jane Doe"}, {"a\nb"}, {"Zoë"}, slices.Repeat([]string{"gpt-*"}, maxPatterns+1)} {
		if err := limit(models...); err == nil || err.(*Error).Code != CodeInvalid {
			t.Errorf("%d patterns such as %q: %v", len(models), models[0], err)
		}
	}
}
