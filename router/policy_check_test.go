package router_test

import (
	"slices"
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/ledger/catalogue"
	"waybill/router"
)

// own is a credential of an org's own.
func own(id, provider string, use ledger.Use) *ledger.Credential {
	return &ledger.Credential{ID: id, Org: "org-1", Provider: provider, Use: use}
}

// platformOf is a credential of the platform's.
func platformOf(provider string) *ledger.Credential {
	return &ledger.Credential{ID: "pool-" + provider, Org: ledger.Platform, Provider: provider, Use: ledger.UsePrefer}
}

// listed is the catalogue, with one model that is retired, and finds one in it.
func listed(t testing.TB) (all []*ledger.Model, find func(name string) *ledger.Model) {
	t.Helper()
	commands, err := catalogue.Commands(ledger.By{})
	if err != nil {
		t.Fatal(err)
	}
	models := map[string]*ledger.Model{}
	for _, c := range commands {
		if m, ok := c.(ledger.PublishModel); ok {
			models[m.Model.Name], models[m.Model.ID] = &m.Model, &m.Model
			all = append(all, &m.Model)
		}
	}
	gone := &ledger.Model{Name: "openai/gone", Provider: "openai", ID: "gone", Retired: true, Features: []string{ledger.FeatureChat}}
	models[gone.Name] = gone
	return append(all, gone), func(name string) *ledger.Model { return models[name] }
}

func planOf(t testing.TB, id string) *ledger.Plan {
	t.Helper()
	i := slices.IndexFunc(catalogue.Plans, func(p ledger.Plan) bool { return p.ID == id })
	if i < 0 {
		t.Fatal("no plan " + id)
	}
	return &catalogue.Plans[i]
}

func TestPolicyCheck(t *testing.T) {
	models, find := listed(t)
	teams := router.PolicyView{Models: models, Model: find, Own: []*ledger.Credential{own("c1", "openai", ledger.UsePrefer), own("c2", "mistral", ledger.UsePrefer)},
		Pool: []*ledger.Credential{platformOf("openai"), platformOf("anthropic"), platformOf("google")}, Plan: planOf(t, "teams"),
		Auto: []string{"openai/gpt-6-luna", "anthropic/claude-haiku-5-5", "google/gemini-2.5-flash-lite"}, Providers: []string{"openai", "anthropic", "google"}}
	starter := teams
	starter.Plan = planOf(t, "starter")
	only := teams
	only.Own = []*ledger.Credential{own("c1", "openai", ledger.UseOnly)}
	for _, c := range []struct {
		name, text string
		v          router.PolicyView
		errs       []string
		warnings   []string
	}{
		{name: "nothing to say", text: fullyChecked, v: teams},
		{name: "unknown models", text: "aliases: {a: nova}\nroutes:\n- try: [{model: gpt-7, credential: platform}, {model: cohere/x}, {model: openai/gone}]\n- when: {model: auto}\n  auto: {pool: [nova]}\n", v: teams,
			errs:     []string{`1:14: aliases.a: "nova" is not in the catalogue`, `3:17: routes[0].try[0].model: "gpt-7" is not in the catalogue: the platform's`, `routes[0].try[1].model: "cohere/x" is not`, "routes[0].try[2].model: openai/gone is retired", `routes[1].auto.pool[0]: "nova"`},
			warnings: []string{"4:3: routes[1]: never matches"}},
		{name: "unlisted on the own credential", text: "routes:\n- try: [{model: mistral/large, credential: byok}]\n", v: teams,
			warnings: []string{"2:17: routes[0].try[0].model: mistral/large is not in the catalogue: it is called on the org's own credential alone"}},
		{name: "credentials", text: "routes:\n- try:\n  - {model: gpt-6-sol, credential: byok/c9}\n  - {model: gpt-6-sol, credential: byok/c2}\n  - {model: claude-opus-5, credential: byok}\n", v: teams,
			errs:     []string{`3:36: routes[0].try[0].credential: the org has no credential "c9"`, "4:36: routes[0].try[1].credential: is a credential for mistral, and openai/gpt-6-sol is of openai"},
			warnings: []string{"routes[0].try[2].credential: the org has no credential for anthropic now"}},
		{name: "modes", text: "credentials: byok-only\nroutes:\n- try: [{model: gpt-6-sol, credential: platform}]\n  when: {key: a}\n- credentials: platform-only\n  try: [{model: gpt-6-sol, credential: byok}]\n", v: teams,
			errs: []string{"3:40: routes[0].try[0].credential: is never taken: credentials is byok-only", "6:40: routes[1].try[0].credential: is never taken: credentials is platform-only"}},
		{name: "paid after own", text: "routes:\n- try:\n  - {model: gpt-6-sol, credential: byok}\n  - {model: claude-opus-5, credential: platform}\n", v: teams,
			warnings: []string{"4:5: routes[0].try[1]: is reached only if no credential of the org's own is attached"}},
		{name: "paid after own, allowed", text: "routes:\n- paid_fallback: true\n  try:\n  - {model: gpt-6-sol, credential: byok}\n  - {model: claude-opus-5, credential: platform}\n", v: teams},
		{name: "only", text: "routes:\n- try: [{model: gpt-6-sol, credential: platform}]\n", v: only,
			warnings: []string{"routes[0].try[0].credential: is never taken: the org has a credential for openai that is used instead"}},
		{name: "unreachable", text: "routes:\n- name: all\n- when: {model: gpt-6-sol}\n", v: teams, warnings: []string{"3:3: routes[1]: never matches: whatever it would, all has matched before"}},
		{name: "names that callers ask for", text: "aliases: {fast: gpt-6-luna}\nroutes:\n" + whens("gpt-6-sol", "openai/*", "*/gpt-6-*", "fa*", "auto:c*", "gone", "mistral/*", "*/large", "large", "*"), v: teams},
		{name: "names that nobody asks for", text: "aliases: {fast: gpt-6-luna}\nroutes:\n" + whens("cluade-*", "openai/gtp-6-*", "OpenAI/*", "auto:cheap", "fasst"), v: only,
			warnings: []string{"3:17: routes[0].when.model: no model of the catalogue now, and no alias, has such a name", "routes[1].when.model: no model", "routes[2].when.model: no model", "routes[3].when.model: no model", "routes[4].when.model: no model"}},
		{name: "covered", text: "routes:\n- when: {model: claude-*, dialect: any}\n- when: {model: claude-opus-5, key: a}\n- when: {model: claude-opus-*}\n- when: {model: \"auto:cost\"}\n- when: {model: auto}\n", v: teams,
			warnings: []string{"3:3: routes[1]: never matches: whatever it would, routes[0]"}},
		{name: "goals covered", text: "routes:\n- when: {model: auto}\n- when: {model: auto:cost}\n", v: teams, warnings: []string{"3:3: routes[1]: never matches"}},
		{name: "nothing left", text: "providers: [google]\nroutes:\n- when: {key: a}\n  try: [{model: gpt-6-sol}]\n- when: {key: b, endpoint: chat}\n  auto: {pool: [openai/gpt-6-luna]}\n- when: {model: gpt-6-sol}\n", v: teams,
			errs:     []string{"4:3: routes[0].try: nothing is left of this route: providers has google only", "6:3: routes[1].auto: nothing is left", "7:17: routes[2].when.model: nothing is left for openai/gpt-6-sol"},
			warnings: []string{"4:17: routes[0].try[0].model: is never tried", "routes[1].auto.pool[0]: is never taken"}},
		{name: "an unknown provider", text: "providers: [openai, gogle]\n", v: teams, warnings: []string{`1:21: providers[1]: no model of the catalogue and no credential of the org's is of a provider "gogle"`}},
		{name: "the plan", text: "routes:\n- when: {model: claude-*}\n  try: [{model: claude-haiku-5-5, credential: platform}]\n- when: {model: auto}\n  auto: {pool: [anthropic/claude-haiku-5-5, anthropic/claude-opus-5, openai/gpt-6-sol]}\n", v: starter,
			warnings: []string{"3:9: routes[0].try[0]: plan starter does not take such calls to anthropic/claude-haiku-5-5", "routes[1].auto.pool[1]: plan starter does not take such calls to anthropic/claude-opus-5"}},
		{name: "embeddings of auto", text: "routes:\n- when: {endpoint: embeddings}\n  auto: {}\n- auto: {}\n", v: teams,
			errs: []string{"3:3: routes[0].auto: no vectors can be had by it"}, warnings: []string{"4:3: routes[1].auto: refuses calls for embeddings"}},
		{name: "embeddings", text: "routes:\n- when: {endpoint: embeddings}\n  try: [{model: gpt-6-sol}]\n", v: teams, warnings: []string{"openai/gpt-6-sol makes no embeddings"}},
		{name: "prefer", text: "routes:\n- prefer: commitment\n", v: teams, warnings: []string{"2:11: routes[0].prefer: no credential of the org's has a commitment"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			errs, warnings := parsePolicy(t, c.text).Check(c.v)
			compareNotes(t, "errors", errs, c.errs)
			compareNotes(t, "warnings", warnings, c.warnings)
		})
	}
}

// whens are routes that each match the calls for one pattern of models.
func whens(patterns ...string) (text string) {
	for _, p := range patterns {
		text += "- when: {model: \"" + p + "\"}\n"
	}
	return text
}

// A key's patterns are held against models as a call of the key is: a full pattern against full names, a bare one against bare names.
func TestKeyPatterns(t *testing.T) {
	v := router.PolicyView{Providers: []string{"openai", "anthropic", "google"}}
	v.Models, v.Model = listed(t)
	for _, p := range []string{"*", "claude-*", "gpt-6-luna", "openai/*", "*/gpt-6-luna", "gone"} {
		if none := v.NoModel([]string{p}); none != nil {
			t.Errorf("%s matches nothing", p)
		}
	}
	if none, want := v.NoModel([]string{"cluade-*", "claude-*", "openai", "auto", "Openai/*", "mistral/*"}), []string{"cluade-*", "openai", "auto", "Openai/*", "mistral/*"}; !slices.Equal(none, want) {
		t.Errorf("%q match nothing, not %q", none, want)
	}
	v.Own = []*ledger.Credential{own("c1", "mistral", ledger.UsePrefer), own("c2", "openai", ledger.UsePrefer)}
	if none, want := v.NoModel([]string{"mistral/*", "openai/x"}), []string{"openai/x"}; !slices.Equal(none, want) {
		t.Errorf("%q match nothing, not %q", none, want)
	}
}

const fullyChecked = `credentials: byok-first
aliases: {fast: gpt-6-luna, cheap: "auto:cost"}
routes:
- when: {model: fast}
- when: {model: cheap, endpoint: chat}
  auto: {}
- when: {model: "claude-*"}
  try:
  - {model: claude-sonnet-5-5, credential: platform}
  - {model: openai/gpt-6-sol, credential: byok/c1}
- when: {model: auto}
  auto: {pool: [fast, openai/gpt-6-sol]}
- refuse: ask first
`

func compareNotes(t *testing.T, what string, got []router.PolicyNote, want []string) {
	t.Helper()
	for i, n := range got {
		if i >= len(want) || !strings.Contains(n.String(), want[i]) {
			t.Errorf("%s: %s", what, n)
		}
	}
	if len(got) < len(want) {
		t.Errorf("%s: none of %q", what, want[len(got):])
	}
}

func TestPolicyNamesCredentials(t *testing.T) {
	const text = "routes:\n- try:\n  - {model: a/b, credential: byok/acme}\n  - {model: a/b, credential: byok}\n  - {model: a/b, credential: byok/cred_2}\n"
	p := parsePolicy(t, text)
	ids := map[string]string{"acme": "cred_1", "cred_2": "cred_2"}
	if err := p.Resolve(func(name string) (string, bool) { id, ok := ids[name]; return id, ok }); err != nil {
		t.Fatal(err)
	}
	stored := canonical(t, p)
	if strings.Contains(stored, "acme") || !strings.Contains(stored, "byok/cred_1") {
		t.Error(stored)
	}
	shown := p.Named(func(id string) string { return map[string]string{"cred_1": "acme"}[id] })
	if got, want := canonical(t, shown), canonical(t, parsePolicy(t, text)); got != want {
		t.Errorf("shown as %s\nnot %s", got, want)
	}
	if canonical(t, p) != stored {
		t.Error("showing it has changed it")
	}
	err := parsePolicy(t, text).Resolve(func(string) (string, bool) { return "", false })
	if err == nil || !strings.Contains(err.Error(), `3:30: routes[0].try[0].credential: the org has no credential "acme"`) || !strings.Contains(err.Error(), "5:30: routes[0].try[2]") {
		t.Error(err)
	}
}
