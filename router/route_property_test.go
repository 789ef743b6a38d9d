package router_test

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"waybill/ledger"
	"waybill/router"
)

// routeCase is one call at random: what there is, what the org wants, and what is asked.
type routeCase struct {
	state  *ledger.State
	models map[string]ledger.Model
	priced map[string]bool
	own    []ledger.AttachCredential
	pool   []string // providers of the platform's credentials
	plan   ledger.Plan
	key    ledger.IssueKey
	policy *router.Policy
	ask    router.Ask
	seed   uint64
}

var somePatterns = []string{"*", "a", "openai/*", "openai/a", "anthropic/*", "b*", "c", "google/d", "x-*"}

func drawCase(t *rapid.T) *routeCase {
	c := &routeCase{models: map[string]ledger.Model{}, priced: map[string]bool{}, seed: rapid.Uint64().Draw(t, "seed")}
	chat, tools, images := ledger.FeatureChat, ledger.FeatureTools, ledger.FeatureImages
	for _, m := range []ledger.Model{
		{Name: "openai/a", Context: 10_000, MaxOutput: 5000, Features: []string{chat, tools}},
		{Name: "openai/b", Context: 100_000, MaxOutput: 5000, Features: []string{chat, tools, images}},
		{Name: "anthropic/c", Context: 50_000, MaxOutput: 2000, Features: []string{chat, images}},
		{Name: "google/d", Context: 100_000, MaxOutput: 5000, Features: []string{chat, tools, images}},
		{Name: "openai/e", Context: 8000, Features: []string{ledger.FeatureEmbedding}},
		{Name: "google/old", Context: 8000, Features: []string{chat}, Retired: true},
		{Name: "anthropic/unpriced", Context: 8000, Features: []string{chat, tools}},
	} {
		m.Provider, m.ID, _ = strings.Cut(m.Name, "/")
		c.models[m.Name], c.priced[m.Name] = m, m.ID != "unpriced"
	}
	providers := []string{"openai", "anthropic", "google", "mistral"}
	for i := range rapid.IntRange(0, 4).Draw(t, "own") {
		a := ledger.AttachCredential{Org: "acme", Credential: fmt.Sprintf("own-%d", i), Provider: rapid.SampledFrom(providers).Draw(t, "provider"), Fingerprint: "f",
			Use: rapid.SampledFrom([]ledger.Use{ledger.UsePrefer, ledger.UsePrefer, ledger.UseFallback, ledger.UseOnly}).Draw(t, "use")}
		if rapid.Bool().Draw(t, "committed") {
			a.Commitment = ledger.Commitment{Amount: ledger.Dollar}
		}
		c.own = append(c.own, a)
	}
	for _, p := range providers[:3] {
		if rapid.IntRange(0, 7).Draw(t, "pool") > 0 {
			c.pool = append(c.pool, p)
		}
	}
	c.plan = ledger.Plan{ID: "plan", Tokens: 1000, Credit: true, Lanes: rapid.SampledFrom([][]ledger.Lane{{ledger.LaneAuto}, {ledger.LaneAuto, ledger.LaneManual}, {ledger.LaneAuto, ledger.LaneManual}, {}}).Draw(t, "lanes"),
		Pool:     rapid.SampledFrom([][]string{nil, {"openai/a", "google/d"}, {"openai/b", "anthropic/c", "anthropic/unpriced"}}).Draw(t, "plan's pool"),
		MaxInput: rapid.SampledFrom([]int64{0, 0, 5000}).Draw(t, "max input")}
	c.key = ledger.IssueKey{Org: "acme", Key: "k", Hash: strings.Repeat("0", 64), Scopes: []ledger.Scope{ledger.ScopeInference}}
	if rapid.IntRange(0, 3).Draw(t, "limited") == 0 {
		c.key.Models = rapid.SliceOfN(rapid.SampledFrom(somePatterns), 1, 3).Draw(t, "key's models")
	}
	if rapid.IntRange(0, 9).Draw(t, "policy") > 0 {
		c.policy = drawPolicy(t, len(c.own))
	}
	c.ask = drawAsk(t, c)
	c.build(t)
	return c
}

// build makes the state.
func (c *routeCase) build(t *rapid.T) {
	who := ledger.By{Actor: "operator", Cause: "test"}
	plan := ledger.DefinePlan{Who: who, Plan: c.plan}
	commands := []ledger.Command{plan, ledger.OpenOrg{Who: who, Org: "acme", Plan: "plan"}}
	for _, name := range sortedNames(c.models) {
		m := c.models[name]
		commands = append(commands, ledger.PublishModel{Who: who, Model: m})
		if c.priced[name] {
			commands = append(commands, ledger.PublishPrice{Who: who, Price: ledger.Price{ID: m.ID, Model: name, Tiers: []ledger.Tier{{Rates: ledger.Rates{Input: 1, Output: 1}}}}})
		}
		if m.Retired {
			commands = append(commands, ledger.RetireModel{Who: who, Model: name})
		}
	}
	for _, p := range c.pool {
		commands = append(commands, ledger.AttachCredential{Org: ledger.Platform, Credential: "pool-" + p, Provider: p, Fingerprint: "f", Use: ledger.UsePrefer})
	}
	for _, a := range c.own {
		commands = append(commands, a)
	}
	commands = append(commands, c.key)
	c.state = ledger.NewState()
	n := uint64(0)
	d := c.state.Draft(func() (id [16]byte) { n++; id[15] = byte(n); return id })
	for _, command := range commands {
		if _, err := d.Decide(1000, command); err != nil {
			t.Fatalf("%+v: %v", command, err)
		}
	}
	c.state.Merge(d)
}

func sortedNames(m map[string]ledger.Model) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func drawSettings(t *rapid.T, often int) (s router.Settings) {
	give := func(what string) bool { return rapid.IntRange(0, 9).Draw(t, what) < often }
	if give("mode?") {
		s.Credentials = rapid.SampledFrom([]router.Mode{router.BYOKFirst, router.BYOKOnly, router.PlatformFirst, router.PlatformOnly}).Draw(t, "mode")
	}
	if give("paid?") {
		paid := rapid.Bool().Draw(t, "paid_fallback")
		s.PaidFallback = &paid
	}
	if give("attempts?") {
		s.MaxAttempts = rapid.IntRange(1, 8).Draw(t, "max_attempts")
	}
	if give("providers?") && rapid.Bool().Draw(t, "all but some") {
		s.Providers = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"openai", "anthropic", "google", "mistral"}), 1, 4, rapid.ID[string]).Draw(t, "providers")
	}
	if give("retry?") {
		s.RetryOn = []router.Class{}
	}
	return s
}

var someModels = []string{"openai/a", "a", "openai/b", "b", "c", "d", "anthropic/c", "google/d", "openai/a", "openai/b", "anthropic/c", "google/d", "openai/e", "google/old", "anthropic/unpriced", "mistral/m", "openai/new", "nova", "fast"}

func drawPolicy(t *rapid.T, own int) *router.Policy {
	p := &router.Policy{Settings: drawSettings(t, 4)}
	p.Aliases = map[string]string{"fast": rapid.SampledFrom(someModels[:len(someModels)-1]).Draw(t, "fast"), "cheap": "auto:cost", "other": "openai/b"}
	for range rapid.IntRange(0, 4).Draw(t, "routes") {
		r := router.PolicyRoute{Settings: drawSettings(t, 3)}
		one := func(what string, of ...string) string {
			if rapid.IntRange(0, 3).Draw(t, what) > 0 {
				return ""
			}
			return rapid.SampledFrom(of).Draw(t, what)
		}
		r.When = router.When{Model: one("when.model", append([]string{"auto", "auto:*", "fast", "cheap"}, somePatterns...)...), Endpoint: one("when.endpoint", "chat", "embeddings", "count", "any"),
			Dialect: one("when.dialect", "gemini", "openai-chat", "any"), Key: one("when.key", "prod", "x-*", "*")}
		if v := one("when.metadata", "research", "r*", "*"); v != "" {
			r.When.Metadata = map[string]string{"team": v, "app": "*"}
		}
		switch rapid.IntRange(0, 9).Draw(t, "does") {
		case 0:
			r.Refuse = "no"
		case 1, 2, 3:
			r.Auto = &router.Auto{}
			if rapid.Bool().Draw(t, "pool?") {
				r.Auto.Pool = rapid.SliceOfN(rapid.SampledFrom(someModels), 1, 5).Draw(t, "pool")
			}
		case 4, 5, 6, 7, 8:
			credentials := []string{"", "platform", "platform", "byok", "byok", gonePin}
			for i := range own {
				credentials = append(credentials, fmt.Sprintf("byok/own-%d", i))
			}
			for range rapid.IntRange(1, 5).Draw(t, "tries") {
				r.Try = append(r.Try, router.Try{Model: rapid.SampledFrom(someModels).Draw(t, "try"), Credential: rapid.SampledFrom(credentials).Draw(t, "on")})
			}
		}
		if rapid.IntRange(0, 3).Draw(t, "fallbacks?") == 0 {
			n := rapid.IntRange(0, 3).Draw(t, "max_fallbacks")
			r.MaxFallbacks = &n
		}
		if rapid.Bool().Draw(t, "prefer") {
			r.Prefer = router.PreferCommitment
		}
		p.Routes = append(p.Routes, r)
	}
	return p
}

func drawAsk(t *rapid.T, c *routeCase) router.Ask {
	a := router.Ask{Endpoint: rapid.SampledFrom([]router.Endpoint{router.EndpointChat, router.EndpointChat, router.EndpointChat, router.EndpointChat, router.EndpointChat, router.EndpointCount, router.EndpointEmbed}).Draw(t, "endpoint"),
		Dialect: rapid.SampledFrom([]ledger.Dialect{ledger.DialectGemini, ledger.DialectOpenAIChat}).Draw(t, "dialect"), Field: "model",
		Model: rapid.SampledFrom(append([]string{"auto", "auto", "auto:latency", "cheap", "fast", "other"}, someModels...)).Draw(t, "model"),
		Input: rapid.SampledFrom([]int64{100, 100, 100, 100, 9000, 60_000}).Draw(t, "input"), Output: rapid.SampledFrom([]int64{0, 0, 0, 100, 3000}).Draw(t, "output")}
	a.Most = a.Input * 3
	if a.Endpoint == router.EndpointEmbed {
		a.Needs = []string{ledger.FeatureEmbedding}
	} else {
		a.Needs = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{ledger.FeatureTools, ledger.FeatureImages}), 0, rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "so many"), rapid.ID[string]).Draw(t, "needs")
	}
	a.Note.Key = rapid.SampledFrom([]string{"", "prod", "x-1"}).Draw(t, "key's name")
	if rapid.Bool().Draw(t, "noted") {
		a.Note.Metadata = map[string]string{"team": "research", "app": rapid.SampledFrom([]string{"", "y"}).Draw(t, "app")}
	}
	if rapid.IntRange(0, 2).Draw(t, "narrowed") == 0 {
		n := &a.Narrowed
		n.Credentials = rapid.SampledFrom([]string{"", "byok-only", "platform-only"}).Draw(t, "narrowed credentials")
		n.Goal = rapid.SampledFrom([]string{"", "latency"}).Draw(t, "narrowed goal")
		n.MaxAttempts = rapid.IntRange(0, 3).Draw(t, "narrowed attempts")
		if rapid.Bool().Draw(t, "narrowed models?") {
			n.Models = rapid.SliceOfN(rapid.SampledFrom(append([]string{"fast"}, somePatterns...)), 1, 2).Draw(t, "narrowed models")
		}
	}
	some := func(what string) ledger.Choice {
		l := rapid.SampledFrom([]ledger.Choice{{Model: "openai/a"}, {Model: "openai/b"}, {Model: "anthropic/c"}, {Model: "google/d"}}).Draw(t, what)
		l.Credential, l.Kind = "pool-"+provider(l.Model), ledger.PlatformPool
		for _, o := range c.own {
			if o.Provider == provider(l.Model) && rapid.Bool().Draw(t, "on "+o.Credential) {
				l.Credential, l.Kind = o.Credential, ledger.BYOK
			}
		}
		return l
	}
	if rapid.Bool().Draw(t, "origin?") {
		a.Origin = some("origin")
	}
	if rapid.IntRange(0, 3).Draw(t, "sticky?") == 0 {
		a.Sticky = some("sticky")
	}
	return a
}

// condition is some observation, the same for the same leg.
func (c *routeCase) condition(l ledger.Choice) ledger.Condition {
	h := fnv.New64a()
	fmt.Fprint(h, c.seed, l)
	n := h.Sum64()
	if n%3 == 0 {
		return ledger.Condition{Model: l.Model, Credential: l.Credential}
	}
	return ledger.Condition{Model: l.Model, Credential: l.Credential, Open: n%5 == 0, Failures: int64(n>>8) % 1000, FirstByte: int64(n>>16)%3_000_000_000 + 1, Throughput: int64(n>>24)%200 + 1}
}

func (c *routeCase) view(p *router.Policy, a router.Ask) router.View {
	v := router.ViewOf(c.state, "acme", "k", p, a, 2000)
	v.Condition = c.condition
	return v
}

func (c *routeCase) route(p *router.Policy, a router.Ask) (router.Decision, error) {
	return router.Route(a, c.view(p, a))
}

// tells is what of a decision must be the same.
func tells(d router.Decision, err error) string {
	return fmt.Sprintf("%v %q %v %v\n%v\n%v\n%v\n%v", d.Lane, d.Route, d.Goal, err, d.Choices(), d.Passed, d.Scores, d.Settings.RetryOn)
}

func TestRouteForbids(t *testing.T) {
	kinds, refusals := map[string]int{}, map[string]int{}
	one := func(t *rapid.T) {
		c := drawCase(t)
		d, err := c.route(c.policy, c.ask)
		want := tells(d, err)
		if (err == nil) != (len(d.Legs) > 0) {
			t.Fatalf("%d legs, and %v", len(d.Legs), err)
		}
		o := newRouteOracle(c)
		for i, l := range d.Choices() {
			kinds[string(l.Kind)]++
			if why := o.forbidden(l); why != "" {
				t.Fatalf("leg %d, %v, is forbidden: %s\n%s\n%+v", i, l, why, want, o.rule)
			}
			if slices.Contains(d.Choices()[:i], l) {
				t.Fatalf("leg %d, %v, is there twice", i, l)
			}
		}
		if o.paysForAFailure(d.Choices()) {
			t.Fatalf("a paid leg comes after one of the org's own: %v\n%s\n%+v", d.Choices(), want, o.rule)
		}
		c.keepsTheOrder(t, d)
		if most := o.most(); len(d.Legs) > most {
			t.Fatalf("%d legs: at most %d", len(d.Legs), most)
		}
		for _, p := range d.Passed {
			refusals[p.Reason]++
			if router.Meaning(p.Reason) == "" {
				t.Fatalf("nobody is told what is meant by %q", p.Reason)
			}
		}
		// The same again, and by any of the policy's forms.
		for range 3 {
			if again := tells(c.route(remapped(c.policy), c.ask)); again != want {
				t.Fatalf("the same inputs, another decision:\n%s\n%s", want, again)
			}
		}
		if c.policy != nil {
			text, err := json.Marshal(c.policy)
			if err != nil {
				t.Fatal(err)
			}
			stored, err := router.PolicyOf(text)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range []*router.Policy{stored, mustParse(t, string(text)), mustParse(t, string(router.FormatPolicy(c.policy)))} {
				if again := tells(c.route(p, c.ask)); again != want {
					t.Fatalf("the same policy in another form, another decision:\n%s\n%s\n%s", router.FormatPolicy(p), want, again)
				}
			}
		}
		// What the request leaves out of its policy adds nothing.
		wide := c.ask
		wide.Narrowed = ledger.Narrowing{}
		w, _ := c.route(c.policy, wide)
		may := w.Choices()
		for _, p := range w.Passed {
			if p.Reason == "beyond_max_attempts" {
				may = append(may, p.Choice)
			}
		}
		for _, l := range d.Choices() {
			if !slices.Contains(may, l) {
				t.Fatalf("the request's narrowing %+v has added %v to %v", c.ask.Narrowed, l, may)
			}
		}
		// What is explained is what is decided.
		v := c.view(c.policy, c.ask)
		v.Funds = router.FundsOf(c.state, "acme", "k", 2000)
		e := router.Explain(d, c.ask, v)
		var taken []ledger.Choice
		for _, l := range e.Legs {
			if l.Order > 0 {
				taken = append(taken, l.Choice)
			} else if l.Reason == "" || l.Meaning == "" {
				t.Fatalf("no reason is told for %+v", l)
			}
		}
		if !slices.Equal(taken, d.Choices()) || (e.Refused != nil) != (err != nil) || e.Route != d.Route {
			t.Fatalf("explained as %+v\nwhich is not %s", e, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		for range 10 { // some rules meet in one case of hundreds
			one(t)
		}
	})
	if testing.Short() { // rapid draws a fifth of the cases then
		return
	}
	if kinds["byok"] < 50 || kinds["platform"] < 50 || len(refusals) < 12 {
		t.Errorf("too little was met to say much: legs %v, reasons %v", kinds, refusals)
	}
}

// keepsTheOrder holds a decision against one without a cache and a seal. They change no turn of the org's own credentials and the
// platform's, and a cache nothing that the org has put in order itself.
func (c *routeCase) keepsTheOrder(t *rapid.T, d router.Decision) {
	plain := c.ask
	plain.Origin = ledger.Choice{}
	unsealed, _ := c.route(c.policy, plain)
	plain.Sticky = ledger.Choice{}
	p, _ := c.route(c.policy, plain)
	for i, l := range d.Choices() {
		if l.Kind != p.Choices()[i].Kind {
			t.Fatalf("%v is not in the order of %v", d.Choices(), p.Choices())
		}
	}
	if o := newRouteOracle(c); len(o.rule.Try) > 0 && !slices.Equal(unsealed.Choices(), p.Choices()) {
		t.Fatalf("a cache makes %v of the list's %v", unsealed.Choices(), p.Choices())
	}
}

func mustParse(t *rapid.T, text string) *router.Policy {
	p, err := router.ParsePolicy([]byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return p
}

// remapped is the policy with its maps made anew.
func remapped(p *router.Policy) *router.Policy {
	if p == nil {
		return nil
	}
	n := *p
	n.Aliases = map[string]string{}
	for _, name := range []string{"other", "cheap", "fast"} {
		n.Aliases[name] = p.Aliases[name]
	}
	if !reflect.DeepEqual(n.Aliases, p.Aliases) {
		panic("the test does not know the policy's aliases")
	}
	return &n
}
