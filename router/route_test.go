package router_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/router"
)

// routeView is a View of a few models, without a ledger: the plan takes all, unless permits says otherwise.
func routeView(p *router.Policy, wallet ...*ledger.Credential) router.View {
	features := map[string][]string{
		"openai/luna": {ledger.FeatureChat, ledger.FeatureTools}, "openai/sol": {ledger.FeatureChat, ledger.FeatureTools, ledger.FeatureImages},
		"anthropic/opus": {ledger.FeatureChat, ledger.FeatureImages}, "google/flash": {ledger.FeatureChat, ledger.FeatureTools, ledger.FeatureImages},
		"openai/twin": {ledger.FeatureChat}, "google/twin": {ledger.FeatureChat}, "openai/vec": {ledger.FeatureEmbedding}, "hub/meta/llama": {ledger.FeatureChat},
	}
	v := router.View{Policy: p, Auto: []string{"openai/luna", "google/flash"}, Now: 1000,
		Model: func(name string) *ledger.Model {
			for full, f := range features {
				if provider, id, _ := strings.Cut(full, "/"); name == full || name == id && id != "twin" {
					return &ledger.Model{Name: full, Provider: provider, ID: id, Context: 100_000, MaxOutput: 10_000, Features: f}
				}
			}
			if name == "openai/old" {
				return &ledger.Model{Name: name, Provider: "openai", ID: "old", Retired: true, Features: []string{ledger.FeatureChat}}
			}
			return nil
		},
		Price:     func(string) *ledger.Price { return nil },
		Permits:   func(ledger.Lane, router.Leg) error { return nil },
		Condition: func(ledger.Choice) ledger.Condition { return ledger.Condition{} },
	}
	for _, c := range wallet {
		if c.Kind() == ledger.BYOK {
			v.Own = append(v.Own, c)
		} else {
			v.Pool = append(v.Pool, c)
		}
	}
	return v
}

// legsOf is a decision in a line.
func legsOf(d router.Decision) string {
	var all []string
	for _, c := range d.Choices() {
		all = append(all, c.Model+"@"+c.Credential)
	}
	return strings.Join(all, " ")
}

func passedOf(d router.Decision) string {
	var all []string
	for _, p := range d.Passed {
		all = append(all, strings.TrimSuffix(p.Model+"@"+p.Credential, "@")+"="+p.Reason)
	}
	return strings.Join(all, " ")
}

// TestModes lists every cell: mode × how the org keeps its credential × paid_fallback. Own is the org's credential, pool the
// platform's; a paid leg never comes after an own one unless paid_fallback says so.
func TestModes(t *testing.T) {
	const none = ""
	cells := []struct {
		mode    router.Mode
		use     ledger.Use // none: no credential of the org's own is attached
		off, on string     // by paid_fallback: the legs, or the code of the refusal
	}{
		{mode: router.BYOKFirst, use: none, off: "pool", on: "pool"},
		{mode: router.BYOKFirst, use: ledger.UsePrefer, off: "own", on: "own pool"},
		{mode: router.BYOKFirst, use: ledger.UseFallback, off: "pool own", on: "pool own"},
		{mode: router.BYOKFirst, use: ledger.UseOnly, off: "own", on: "own"},
		{mode: router.BYOKOnly, use: none, off: "!policy_forbids", on: "!policy_forbids"},
		{mode: router.BYOKOnly, use: ledger.UsePrefer, off: "own", on: "own"},
		{mode: router.BYOKOnly, use: ledger.UseFallback, off: "own", on: "own"},
		{mode: router.BYOKOnly, use: ledger.UseOnly, off: "own", on: "own"},
		{mode: router.PlatformFirst, use: none, off: "pool", on: "pool"},
		{mode: router.PlatformFirst, use: ledger.UsePrefer, off: "pool own", on: "pool own"},
		{mode: router.PlatformFirst, use: ledger.UseFallback, off: "pool own", on: "pool own"},
		{mode: router.PlatformFirst, use: ledger.UseOnly, off: "own", on: "own"},
		{mode: router.PlatformOnly, use: none, off: "pool", on: "pool"},
		{mode: router.PlatformOnly, use: ledger.UsePrefer, off: "pool", on: "pool"},
		{mode: router.PlatformOnly, use: ledger.UseFallback, off: "pool", on: "pool"},
		{mode: router.PlatformOnly, use: ledger.UseOnly, off: "!policy_forbids", on: "!policy_forbids"},
	}
	for _, c := range cells {
		for _, paid := range []bool{false, true} {
			want := c.off
			if paid {
				want = c.on
			}
			wallet := []*ledger.Credential{{ID: "pool", Org: ledger.Platform, Provider: "openai", Use: ledger.UsePrefer}}
			if c.use != none {
				wallet = append(wallet, own("own", "openai", c.use))
			}
			// The auto lane and a route that names the model alone keep the same rules as the model's own name.
			for _, way := range []struct{ name, model, routes string }{
				{"named", "luna", ""},
				{"a route without try", "luna", "routes: [{when: {model: luna}}]"},
				{"a line without a credential", "luna", "routes: [{try: [{model: luna}]}]"},
				{"auto", "auto", "routes: [{auto: {pool: [luna]}}]"},
			} {
				p := parsePolicy(t, fmt.Sprintf("credentials: %s\npaid_fallback: %v\n%s\n", c.mode, paid, way.routes))
				d, err := router.Route(router.Ask{Endpoint: router.EndpointChat, Model: way.model, Field: "model"}, routeView(p, wallet...))
				got := strings.ReplaceAll(legsOf(d), "openai/luna@", "")
				var le *ledger.Error
				if errors.As(err, &le) {
					got = "!" + string(le.Code)
				}
				if got != want {
					t.Errorf("%s, own credential %q, paid_fallback %v, %s: %q, not %q (%s) %v", c.mode, c.use, paid, way.name, got, want, passedOf(d), err)
				}
			}
		}
	}
}

func TestRoute(t *testing.T) {
	committed := own("o2", "openai", ledger.UsePrefer)
	committed.Commitment = ledger.Commitment{Amount: ledger.Dollar}
	spent := own("o1", "openai", ledger.UsePrefer)
	spent.Commitment, spent.Drawn = ledger.Commitment{Amount: ledger.Dollar}, ledger.Dollar
	all := []*ledger.Credential{spent, committed, platformOf("openai"), platformOf("anthropic"), platformOf("google")}
	pool := all[2:]
	chat := router.Ask{Endpoint: router.EndpointChat, Dialect: ledger.DialectOpenAIChat, Model: "luna", Field: "model", Input: 100}
	ask := func(change func(*router.Ask)) router.Ask {
		a := chat
		change(&a)
		return a
	}
	model := func(name string) router.Ask { return ask(func(a *router.Ask) { a.Model = name }) }
	embed := ask(func(a *router.Ask) {
		a.Model, a.Endpoint, a.Needs = "vec", router.EndpointEmbed, []string{ledger.FeatureEmbedding}
	})
	for _, c := range []struct {
		name, policy string
		a            router.Ask
		wallet       []*ledger.Credential
		route        string
		legs         string
		passed       string // some of it
		err          string // its text, some of it
	}{
		{name: "the defaults", a: chat, wallet: all, legs: "openai/luna@o1 openai/luna@o2", passed: "openai/luna@pool-openai=paid_fallback_off"},
		{name: "a pattern by the bare name", policy: "routes: [{name: r, when: {model: lu*}}]", a: model("openai/luna"), wallet: pool, route: "r", legs: "openai/luna@pool-openai"},
		{name: "a pattern by the full name", policy: "routes: [{name: r, when: {model: openai/*}}]", a: model("luna"), wallet: pool, route: "r", legs: "openai/luna@pool-openai"},
		{name: "a star stops at a slash", policy: "routes: [{name: r, when: {model: hub/*}}, {name: s, when: {model: hub/*/*}}]", a: model("hub/meta/llama"), wallet: []*ledger.Credential{platformOf("hub")}, route: "s", legs: "hub/meta/llama@pool-hub"},
		{name: "a star alone does not", policy: `routes: [{name: r, when: {model: "*"}}]`, a: model("hub/meta/llama"), wallet: []*ledger.Credential{platformOf("hub")}, route: "r", legs: "hub/meta/llama@pool-hub"},
		{name: "an unlisted model by its bare name", policy: "routes: [{name: r, when: {model: gpt-*}}]", a: model("openai/gpt-new"), wallet: all, route: "r", legs: "openai/gpt-new@o1 openai/gpt-new@o2"},
		{name: "an alias is matched by its name", policy: "aliases: {fast: luna}\nroutes: [{name: r, when: {model: fast}}]", a: model("fast"), wallet: pool, route: "r", legs: "openai/luna@pool-openai"},
		{name: "an alias is matched by what it means", policy: "aliases: {fast: luna}\nroutes: [{name: r, when: {model: openai/luna}}]", a: model("fast"), wallet: pool, route: "r", legs: "openai/luna@pool-openai"},
		{name: "an alias of a lane", policy: `aliases: {cheap: "auto:cost"}` + "\nroutes: [{name: r, when: {model: auto}, auto: {pool: [google/flash]}}]", a: model("cheap"), wallet: pool, route: "r", legs: "google/flash@pool-google"},
		{name: "aliases in try and pool", policy: "aliases: {fast: luna, best: opus}\nroutes: [{name: a, when: {model: auto}, auto: {pool: [best]}}, {name: r, try: [{model: best}, {model: fast}]}]", a: model("sol"), wallet: pool, route: "r", legs: "anthropic/opus@pool-anthropic openai/luna@pool-openai"},
		{name: "aliases in a pool", policy: "aliases: {best: opus}\nroutes: [{auto: {pool: [best]}}]", a: model("sol"), wallet: pool, route: "routes[0]", legs: "anthropic/opus@pool-anthropic"},
		{name: "the order of a list", policy: "paid_fallback: true\nroutes: [{try: [{model: opus}, {model: luna, credential: byok/o2}, {model: luna, credential: platform}, {model: luna, credential: byok}]}]\nmax_attempts: 8", a: chat, wallet: all,
			route: "routes[0]", legs: "anthropic/opus@pool-anthropic openai/luna@o2 openai/luna@pool-openai openai/luna@o1"},
		{name: "no paid leg after an own one", policy: "routes: [{try: [{model: opus, credential: platform}, {model: luna, credential: byok/o2}, {model: flash, credential: platform}]}]", a: chat, wallet: all,
			route: "routes[0]", legs: "anthropic/opus@pool-anthropic openai/luna@o2", passed: "google/flash@pool-google=paid_fallback_off"},
		{name: "but where none is attached", policy: "routes: [{try: [{model: luna, credential: byok}, {model: flash, credential: platform}]}]", a: chat, wallet: pool,
			route: "routes[0]", legs: "google/flash@pool-google", passed: "openai/luna=credential_absent"},
		{name: "nor the one that the list names", policy: "routes: [{try: [{model: luna, credential: byok/gone}, {model: flash, credential: platform}]}]", a: chat, wallet: pool,
			route: "routes[0]", legs: "google/flash@pool-google", passed: "openai/luna@gone=credential_absent"},
		{name: "one that another has taken the place of is not absent", policy: "routes: [{name: r, try: [{model: luna, credential: byok/gone}, {model: flash, credential: platform}]}]", a: chat, wallet: all,
			route: "r", passed: "openai/luna@gone=credential_replaced google/flash@pool-google=paid_fallback_off", err: `route "r" of the org's policy names a credential that is detached, and the org has another for its provider: set the policy again`},
		{name: "another for another provider takes no place", policy: "routes: [{try: [{model: opus, credential: byok/gone}, {model: flash, credential: platform}]}]", a: chat, wallet: all,
			route: "routes[0]", legs: "google/flash@pool-google", passed: "anthropic/opus@gone=credential_absent"},
		{name: "the next line of own ones goes on", policy: "routes: [{try: [{model: luna, credential: byok/gone}, {model: luna}]}]", a: chat, wallet: all,
			route: "routes[0]", legs: "openai/luna@o1 openai/luna@o2", passed: "openai/luna@gone=credential_replaced openai/luna@pool-openai=paid_fallback_off"},
		{name: "paid ones go on where they may", policy: "paid_fallback: true\nroutes: [{try: [{model: luna, credential: byok/gone}, {model: flash, credential: platform}]}]", a: chat, wallet: all,
			route: "routes[0]", legs: "google/flash@pool-google", passed: "openai/luna@gone=credential_replaced"},
		{name: "an own one that cannot serve is not absent", policy: "routes: [{try: [{model: luna, credential: byok}, {model: flash, credential: platform}]}]", a: ask(func(a *router.Ask) { a.Needs = []string{ledger.FeatureImages} }), wallet: all,
			route: "routes[0]", passed: "openai/luna@o1=lacks_images openai/luna@o2=lacks_images google/flash@pool-google=paid_fallback_off", err: "model: no model that the org's policy takes can serve this call: openai/luna on byok: lacks_images"},
		{name: "a retired model on an own one is not absent", policy: "routes: [{name: r, try: [{model: openai/old, credential: byok/o1}, {model: flash, credential: platform}]}]", a: chat, wallet: all,
			route: "r", passed: "openai/old@o1=unknown_model google/flash@pool-google=paid_fallback_off", err: `route "r" of the org's policy has nothing that can be called, and names a model that the catalogue does not have, or that is retired: set the policy again: openai/old on byok: unknown_model`},
		{name: "on any own one", policy: "routes: [{name: r, try: [{model: openai/old, credential: byok}, {model: flash, credential: platform}]}]", a: chat, wallet: all,
			route: "r", passed: "openai/old@o1=unknown_model openai/old@o2=unknown_model google/flash@pool-google=paid_fallback_off", err: "set the policy again"},
		{name: "or on whichever the mode says", policy: "routes: [{name: r, try: [{model: openai/old}, {model: flash}]}]", a: chat, wallet: all,
			route: "r", passed: "openai/old@o1=unknown_model openai/old@o2=unknown_model openai/old@pool-openai=unknown_model google/flash@pool-google=paid_fallback_off", err: "set the policy again"},
		{name: "or on one that another has taken the place of", policy: "routes: [{name: r, try: [{model: openai/old, credential: byok/gone}, {model: flash, credential: platform}]}]", a: chat, wallet: all,
			route: "r", passed: "openai/old@gone=credential_replaced google/flash@pool-google=paid_fallback_off", err: "names a credential that is detached"},
		{name: "nor a name that is none any more", policy: "routes: [{name: r, try: [{model: nova, credential: byok/o1}, {model: flash, credential: platform}]}]", a: chat, wallet: all,
			route: "r", passed: "nova@o1=unknown_model google/flash@pool-google=paid_fallback_off", err: "set the policy again"},
		{name: "nor a bare name that two providers have", policy: "routes: [{name: r, try: [{model: twin, credential: byok}, {model: flash, credential: platform}]}]", a: chat, wallet: all,
			route: "r", passed: "twin@o1=unknown_model twin@o2=unknown_model google/flash@pool-google=paid_fallback_off", err: "set the policy again"},
		{name: "nor one that has become another provider's", policy: "routes: [{name: r, try: [{model: opus, credential: byok/o1}, {model: flash, credential: platform}]}]", a: chat, wallet: all,
			route: "r", passed: "anthropic/opus@o1=unknown_model google/flash@pool-google=paid_fallback_off", err: "set the policy again"},
		{name: "the next of own ones goes on after it", policy: "routes: [{try: [{model: openai/old, credential: byok/o1}, {model: luna}]}]", a: chat, wallet: all,
			route: "routes[0]", legs: "openai/luna@o1 openai/luna@o2", passed: "openai/old@o1=unknown_model openai/luna@pool-openai=paid_fallback_off"},
		{name: "what may be paid goes on after it", policy: "paid_fallback: true\nroutes: [{try: [{model: openai/old, credential: byok/o1}, {model: flash, credential: platform}]}]", a: chat, wallet: all,
			route: "routes[0]", legs: "google/flash@pool-google", passed: "openai/old@o1=unknown_model"},
		{name: "a retired model without an own one costs no more than it did", policy: "routes: [{try: [{model: openai/old, credential: byok}, {model: openai/old, credential: platform}, {model: flash, credential: platform}]}]", a: chat, wallet: pool,
			route: "routes[0]", legs: "google/flash@pool-google", passed: "openai/old=unknown_model openai/old@pool-openai=unknown_model"},
		{name: "a retired model that own ones are left out of", policy: "credentials: platform-only\nroutes: [{try: [{model: openai/old}, {model: flash}]}]", a: chat, wallet: all,
			route: "routes[0]", legs: "google/flash@pool-google", passed: "openai/old@o1=mode_excludes"},
		{name: "lines that cannot serve are passed over", policy: "routes: [{try: [{model: vec}, {model: opus}, {model: old}, {model: nova}, {model: sol}]}]", a: ask(func(a *router.Ask) { a.Needs = []string{ledger.FeatureTools} }), wallet: pool,
			route: "routes[0]", legs: "openai/sol@pool-openai", passed: "nova=unknown_model openai/vec@pool-openai=lacks_chat anthropic/opus@pool-anthropic=lacks_tools"},
		{name: "embeddings by a list", policy: "routes: [{try: [{model: luna}, {model: vec}]}]", a: embed, wallet: pool, route: "routes[0]", legs: "openai/vec@pool-openai", passed: "openai/luna@pool-openai=lacks_embedding"},
		{name: "embeddings by auto", policy: "routes: [{name: all, auto: {}}]", a: embed, wallet: pool, route: "all", err: `route "all" leaves the model to waybill, and vectors of different models cannot be compared: the policy needs a route for endpoint embeddings before it`},
		{name: "too long", policy: "routes: [{try: [{model: luna}]}]", a: ask(func(a *router.Ask) { a.Input = 100_000 }), wallet: pool, route: "routes[0]", passed: "openai/luna@pool-openai=context_too_short", err: "context_too_short"},
		{name: "a goal in the name", policy: "routes: [{auto: {goal: latency}}]", a: model("auto:fun"), wallet: pool, route: "routes[0]", err: `"fun" is no goal`},
		{name: "refused", policy: "routes: [{name: closed, when: {key: \"app-*\"}, refuse: ask first}]", a: ask(func(a *router.Ask) { a.Note.Key = "app-1" }), wallet: pool, route: "closed", err: `route "closed": ask first`},
		{name: "metadata", policy: "routes: [{name: r, when: {metadata: {team: r*, app: \"*\"}}}]", a: ask(func(a *router.Ask) { a.Note.Metadata = map[string]string{"team": "research", "app": ""} }), wallet: pool, route: "r", legs: "openai/luna@pool-openai"},
		{name: "metadata that is not there", policy: "routes: [{name: r, when: {metadata: {team: \"*\"}}}]", a: chat, wallet: pool, legs: "openai/luna@pool-openai"},
		{name: "commitment first", policy: "routes: [{prefer: commitment}]", a: chat, wallet: all, route: "routes[0]", legs: "openai/luna@o2 openai/luna@o1"},
		{name: "commitment within a group only", policy: "paid_fallback: true\nroutes: [{prefer: commitment}]", a: chat, wallet: append([]*ledger.Credential{own("o3", "openai", ledger.UseFallback)}, all...), route: "routes[0]", legs: "openai/luna@o2 openai/luna@o1 openai/luna@pool-openai"},
		{name: "a cache is no reason to pay", policy: "paid_fallback: true\nroutes: [{auto: {pool: [luna, flash]}}]", a: ask(func(a *router.Ask) {
			a.Model, a.Sticky = "auto", ledger.Choice{Model: "google/flash", Credential: "pool-google", Kind: ledger.PlatformPool}
		}), wallet: all, route: "routes[0]", legs: "openai/luna@o1 openai/luna@o2 google/flash@pool-google", passed: "openai/luna@pool-openai=beyond_max_attempts"},
		{name: "a cache goes first among its like", policy: "routes: [{auto: {pool: [luna, flash]}}]", a: ask(func(a *router.Ask) {
			a.Model, a.Sticky = "auto", ledger.Choice{Model: "google/flash", Credential: "pool-google", Kind: ledger.PlatformPool}
		}), wallet: pool, route: "routes[0]", legs: "google/flash@pool-google openai/luna@pool-openai"},
		{name: "a cache does not wait for what keeps for failures", policy: "credentials: byok-only\nroutes: [{auto: {pool: [luna]}}]", a: ask(func(a *router.Ask) {
			a.Model, a.Sticky = "auto", ledger.Choice{Model: "openai/luna", Credential: "o3", Kind: ledger.BYOK}
		}), wallet: append([]*ledger.Credential{own("o3", "openai", ledger.UseFallback)}, all...), route: "routes[0]", legs: "openai/luna@o1 openai/luna@o2 openai/luna@o3"},
		{name: "a cache changes no order that the org wrote", policy: "routes: [{when: {model: auto}, try: [{model: luna}, {model: flash}]}]", a: ask(func(a *router.Ask) {
			a.Model, a.Sticky = "auto", ledger.Choice{Model: "google/flash", Credential: "pool-google", Kind: ledger.PlatformPool}
		}), wallet: pool, route: "routes[0]", legs: "openai/luna@pool-openai google/flash@pool-google"},
		{name: "a cache does not go before a commitment", policy: "routes: [{auto: {pool: [luna]}, prefer: commitment}]", a: ask(func(a *router.Ask) {
			a.Model, a.Sticky = "auto", ledger.Choice{Model: "openai/luna", Credential: "o1", Kind: ledger.BYOK}
		}), wallet: all, route: "routes[0]", legs: "openai/luna@o2 openai/luna@o1"},
		{name: "a seal goes first among its like", a: ask(func(a *router.Ask) {
			a.Origin = ledger.Choice{Model: "openai/luna", Credential: "o2", Kind: ledger.BYOK}
		}), wallet: all, legs: "openai/luna@o2 openai/luna@o1"},
		{name: "a seal goes first in a list", policy: "routes: [{try: [{model: luna}, {model: flash}, {model: opus}]}]", a: ask(func(a *router.Ask) {
			a.Origin = ledger.Choice{Model: "anthropic/opus", Credential: "pool-anthropic", Kind: ledger.PlatformPool}
		}), wallet: pool, route: "routes[0]", legs: "anthropic/opus@pool-anthropic openai/luna@pool-openai google/flash@pool-google"},
		{name: "a seal is no reason to pay", policy: "paid_fallback: true\nmax_attempts: 2", a: ask(func(a *router.Ask) {
			a.Origin = ledger.Choice{Model: "openai/luna", Credential: "pool-openai", Kind: ledger.PlatformPool}
		}), wallet: all, legs: "openai/luna@o1 openai/luna@o2", passed: "openai/luna@pool-openai=beyond_max_attempts"},
		{name: "a seal puts no own credential before paid ones", policy: "credentials: platform-first", a: ask(func(a *router.Ask) {
			a.Origin = ledger.Choice{Model: "openai/luna", Credential: "o2", Kind: ledger.BYOK}
		}), wallet: all, legs: "openai/luna@pool-openai openai/luna@o2 openai/luna@o1"},
		{name: "a seal opens no door", a: ask(func(a *router.Ask) {
			a.Origin = ledger.Choice{Model: "openai/luna", Credential: "pool-openai", Kind: ledger.PlatformPool}
		}), wallet: all, legs: "openai/luna@o1 openai/luna@o2"},
		{name: "fallbacks", policy: "paid_fallback: true\nroutes: [{max_fallbacks: 1}]", a: chat, wallet: all, route: "routes[0]", legs: "openai/luna@o1 openai/luna@o2", passed: "openai/luna@pool-openai=beyond_max_attempts"},
		{name: "the request narrows to the platform, which stays shut", a: ask(func(a *router.Ask) { a.Narrowed.Credentials = "platform-only" }), wallet: all, passed: "openai/luna@o1=narrowed", err: "waybill.credentials: the request leaves nothing of what its org's policy allows"},
		{name: "the request leaves out what would cost money", policy: "routes: [{try: [{model: luna}, {model: flash}]}]", a: ask(func(a *router.Ask) { a.Narrowed.Models = []string{"luna"} }), wallet: all, route: "routes[0]", legs: "openai/luna@o1 openai/luna@o2", passed: "openai/luna@pool-openai=paid_fallback_off google/flash@pool-google=narrowed"},
		{name: "the request leaves out what would cost money, and nothing else is left", policy: "routes: [{try: [{model: luna}, {model: flash}]}]", a: ask(func(a *router.Ask) {
			a.Narrowed.Models, a.Needs = []string{"luna"}, []string{ledger.FeatureImages}
		}), wallet: all, route: "routes[0]", passed: "google/flash@pool-google=narrowed", err: "no model that the org's policy takes can serve this call: openai/luna on byok: lacks_images"},
		{name: "the request names models", policy: "paid_fallback: true\naliases: {fast: luna}\nroutes: [{auto: {pool: [luna, flash]}}]", a: ask(func(a *router.Ask) { a.Model, a.Narrowed.Models = "auto", []string{"fast"} }), wallet: pool, route: "routes[0]", legs: "openai/luna@pool-openai", passed: "google/flash@pool-google=narrowed"},
		{name: "providers", policy: "providers: [anthropic]", a: chat, wallet: all, passed: "openai/luna@o1=provider_excluded", err: "the org's policy leaves nothing for this call: openai/luna on byok: provider_excluded"},
		{name: "a route of nothing", policy: "routes: [{name: r, try: [{model: nova}]}]", a: chat, wallet: all, route: "r", err: `route "r" of the org's policy has nothing that can be called, and names a model that the catalogue does not have, or that is retired: set the policy again: nova: unknown_model`},
		{name: "no credential", a: chat, err: "no credential is attached that reaches luna"},
		{name: "own ones only, and none", policy: "credentials: byok-only", a: chat, err: "the org's policy takes its own credentials only, and none is attached that reaches luna"},
		{name: "a name that the log would not have whole", policy: `routes: [{when: {model: "x*y"}, try: [{model: luna}]}]`, a: model("x" + strings.Repeat("x", 127) + "y"), wallet: pool, route: "routes[0]", err: `model "` + strings.Repeat("x", 64) + `…" is not in the catalogue`},
		{name: "nor that is no text", policy: "routes: [{auto: {}}]", a: model("luna\xff"), wallet: pool, route: "routes[0]", err: `model "luna\xff" is not in the catalogue`},
		{name: "the longest name", policy: `routes: [{when: {model: "x*y"}, try: [{model: luna}]}]`, a: model("x" + strings.Repeat("x", 126) + "y"), wallet: pool, route: "routes[0]", legs: "openai/luna@pool-openai"},
		{name: "an unknown model", a: model("nova"), wallet: all, err: `model "nova" is not in the catalogue`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p *router.Policy
			if c.policy != "" {
				p = parsePolicy(t, c.policy)
			}
			d, err := router.Route(c.a, routeView(p, c.wallet...))
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, not %q", err, c.err)
			}
			if d.Route != c.route || legsOf(d) != c.legs || !strings.Contains(passedOf(d), c.passed) {
				t.Errorf("route %q: %s; passed over %s\nnot   %q: %s; passed over %s", d.Route, legsOf(d), passedOf(d), c.route, c.legs, c.passed)
			}
		})
	}
}

// Of several reasons for which nothing is left the caller hears the one that is nearest to a remedy.
func TestRouteTellsTheNearestReason(t *testing.T) {
	refusal := func(code ledger.Code) error { return &ledger.Error{Code: code, Message: string(code)} }
	for _, c := range []struct {
		name    string
		permits map[string]ledger.Code // by model
		a       router.Ask
		want    string
	}{
		{name: "the key, then the plan", permits: map[string]ledger.Code{"openai/luna": ledger.CodeKeyForbidsModel, "google/flash": ledger.CodePlanExcludesModel}, want: "plan_excludes_model"},
		{name: "the plan, then its bound", permits: map[string]ledger.Code{"openai/luna": ledger.CodePlanLimit, "google/flash": ledger.CodePlanExcludesModel}, want: "plan_limit"},
		{name: "of a pool that cannot serve no ledger is asked", permits: map[string]ledger.Code{"openai/luna": ledger.CodePlanExcludesModel}, a: router.Ask{Needs: []string{ledger.FeatureReasoning}}, want: "lacks_reasoning"},
		{name: "the request before all", permits: map[string]ledger.Code{"openai/luna": ledger.CodePlanExcludesModel}, a: router.Ask{Narrowed: ledger.Narrowing{Models: []string{"x"}}}, want: "waybill.models"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := routeView(nil, platformOf("openai"), platformOf("google"))
			v.Permits = func(_ ledger.Lane, l router.Leg) error {
				if code, ok := c.permits[l.Model.Name]; ok {
					return refusal(code)
				}
				return nil
			}
			c.a.Endpoint, c.a.Model, c.a.Field = router.EndpointChat, "auto", "model"
			d, err := router.Route(c.a, v)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v (%s), not %s", err, passedOf(d), c.want)
			}
		})
	}
}

// However many credentials there are, and models, a decision considers and records a bounded number of legs.
func TestRouteIsBounded(t *testing.T) {
	v := routeView(nil)
	for i := range 2000 {
		v.Own = append(v.Own, own(fmt.Sprint("o", i), "openai", ledger.UsePrefer))
		v.Pool = append(v.Pool, &ledger.Credential{ID: fmt.Sprint("p", i), Org: ledger.Platform, Provider: "google", Use: ledger.UsePrefer})
	}
	v.Condition = func(c ledger.Choice) ledger.Condition {
		return ledger.Condition{Model: c.Model, Credential: c.Credential, Failures: 1}
	}
	v.Auto = []string{"luna", "flash"}
	for i := range 30 {
		v.Auto = append(v.Auto, fmt.Sprint("openai/unlisted-", i))
	}
	for _, c := range []struct{ model, policy string }{{"luna", ""}, {"auto", ""}, {"auto", "credentials: platform-first"}, {"luna", "paid_fallback: true\nroutes: [{try: [{model: luna}, {model: flash}, {model: luna}]}]"}} {
		v.Policy = parsePolicy(t, "max_attempts: 8\n"+c.policy)
		conditions := 0
		seen := v
		seen.Condition = func(c ledger.Choice) ledger.Condition { conditions++; return v.Condition(c) }
		d, err := router.Route(router.Ask{Endpoint: router.EndpointChat, Model: c.model, Field: "model"}, seen)
		if err != nil || len(d.Legs) != 8 || len(d.Scores) > 64 || len(d.Conditions) > 64 || len(d.Passed) > 64 || conditions > 64 {
			t.Errorf("%s, %s: %d legs, %d scores, %d conditions of %d, %d passed over, %v", c.model, c.policy, len(d.Legs), len(d.Scores), len(d.Conditions), conditions, len(d.Passed), err)
		}
	}
}

// However many credentials the org has for one model, the auto lane weighs the others too.
func TestAutoWeighsEveryModel(t *testing.T) {
	p := parsePolicy(t, "routes: [{auto: {pool: [luna, sol, flash, opus]}}]")
	v := routeView(p, own("a0", "anthropic", ledger.UsePrefer))
	for i := range 40 {
		v.Own = append(v.Own, own(fmt.Sprint("o", i), "openai", ledger.UsePrefer), own(fmt.Sprint("g", i), "google", ledger.UsePrefer))
	}
	v.Condition = func(c ledger.Choice) ledger.Condition {
		return ledger.Condition{Model: c.Model, Credential: c.Credential, Open: !strings.HasPrefix(c.Model, "anthropic/")}
	}
	d, err := router.Route(router.Ask{Endpoint: router.EndpointChat, Model: "auto", Field: "model"}, v)
	scored := map[string]int{}
	for _, s := range d.Scores {
		scored[s.Model]++
	}
	if want := map[string]int{"openai/luna": 16, "openai/sol": 16, "google/flash": 16, "anthropic/opus": 1}; err != nil || !maps.Equal(scored, want) || !strings.HasPrefix(legsOf(d), "anthropic/opus@a0 ") {
		t.Errorf("%s of %v, %v", legsOf(d), scored, err)
	}
}
