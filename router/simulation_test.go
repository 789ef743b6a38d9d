package router_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"waybill/ledger"
	"waybill/router"
)

// past is a node that lives through much at once: calls, and changes of all that their decisions read.
type past struct {
	*node
	mu      sync.Mutex
	notes   map[string]*router.Note
	decided int
}

const (
	pastOrg     = "org_past"
	pastCallers = 64
)

// pastRequests is how many calls the log has at least.
func pastRequests() int {
	if testing.Short() {
		return 2_000
	}
	return 10_000
}

var pastKeys = map[string]string{"": "", "key_a": "prod-web", "key_b": "prod-batch", "key_c": "dev"}

// Under the documents that were in force, a log of ten thousand calls gives the decisions that it records: lane, route, legs, what was
// passed over, scores; and what they cost. They were made by sixty-four callers at a time, while policies, credentials, models,
// prices, plans and keys changed under them.
func TestSimulationReproducesTheLog(t *testing.T) {
	p := &past{node: newNode(t), notes: map[string]*router.Note{}}
	p.found()
	var callers sync.WaitGroup
	for c := range pastCallers {
		callers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(c), 26))
			for p.more() {
				if r.IntN(60) == 0 {
					p.change(r)
				}
				p.call(r)
			}
		})
	}
	callers.Wait()
	if t.Failed() {
		return
	}
	sim := p.simulation(nil, true)
	seen := map[string]int64{}
	err := p.store.Replay(t.Context(), pastOrg, 1, func(s *ledger.State, r *ledger.Record) error {
		e := r.Event.(*ledger.RequestAdmitted)
		p.again(s, r, e)
		count(seen, e, r)
		return sim.Decide(s, r)
	}, sim.Follow, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := sim.Result()
	if got.Considered < int64(pastRequests()) || got.Same != got.Considered || got.Before != got.After || got.Before.Calls == 0 || len(got.Refused) != 0 {
		t.Errorf("of %d calls %d are decided as they were; they cost %+v and would have cost %+v; %v would have been refused",
			got.Considered, got.Same, got.Before, got.After, got.Refused)
	}
	for _, what := range []string{"policy", "route", "narrowed", "noted", "raced", "conditions", "scores", "passed", "sticky", "origin", "byok", "platform", "auto", "manual", "embeddings", "count"} {
		if seen[what] < int64(pastRequests())/1000 {
			t.Errorf("the log has only %d decisions with %s", seen[what], what)
		}
	}
}

// count tells what there is in a decision.
func count(seen map[string]int64, e *ledger.RequestAdmitted, r *ledger.Record) {
	in := e.Inputs
	for what, is := range map[string]bool{"policy": in.Policy > 0, "route": in.Route != "", "narrowed": in.Narrowed != nil, "noted": in.Noted,
		"raced": in.AsOf+1 < r.Position, "conditions": len(in.Conditions) > 0, "scores": len(in.Scores) > 1, "passed": len(in.Passed) > 0,
		"sticky": in.Sticky != nil, "origin": in.Origin != nil, string(in.Legs[0].Kind): true, string(e.Lane): true, in.Endpoint: true} {
		if is {
			seen[what]++
		}
	}
}

// again holds a decision that is made again against the one that was recorded.
func (p *past) again(s *ledger.State, r *ledger.Record, e *ledger.RequestAdmitted) {
	p.t.Helper()
	policy, version, err := new(router.Policies).Of(s.Policy(pastOrg))
	if err != nil || version != e.Inputs.Policy {
		p.t.Fatalf("%s: policy %d, %v, and %d was in force", e.Request, version, err, e.Inputs.Policy)
	}
	d, err := router.Past{Org: pastOrg, Admitted: e, At: r.At, Note: p.notes[e.Request], KeyName: pastKeys[e.Key]}.Decide(s, policy)
	if err != nil {
		p.t.Fatalf("%s: %v", e.Request, err)
	}
	in := e.Inputs
	same := d.Lane == e.Lane && d.Route == in.Route && reflect.DeepEqual(d.Choices(), in.Legs) && alike(d.Passed, in.Passed) && alike(d.Scores, in.Scores) && alike(d.Conditions, in.Conditions)
	if !same {
		p.t.Errorf("%s at %d, decided on %d:\n%s %s %v\n%+v\n%+v\nwas\n%s %s %v\n%+v\n%+v", e.Request, r.Position, in.AsOf,
			d.Lane, d.Route, d.Choices(), d.Passed, d.Scores, e.Lane, in.Route, in.Legs, in.Passed, in.Scores)
	}
}

func alike[T any](a, b []T) bool { return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b) }

func (p *past) simulation(policy *router.Policy, recorded bool) *router.Simulation {
	return &router.Simulation{Org: pastOrg, Policy: policy, Recorded: recorded,
		Note:    func(request string) (*router.Note, error) { return p.notes[request], nil },
		KeyName: func(key string) (string, error) { return pastKeys[key], nil }}
}

// found makes the org.
func (p *past) found() {
	p.open(pastOrg, "teams")
	p.buy(pastOrg, "lot", 500_000*ledger.Dollar)
	for key := range pastKeys {
		if key != "" {
			p.do(ledger.IssueKey{Org: pastOrg, Key: key, Hash: strings.Repeat(key[4:], 64), Scopes: []ledger.Scope{ledger.ScopeInference}})
		}
	}
}

func (p *past) more() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.decided < pastRequests() && !p.t.Failed()
}

// call decides, admits and resolves a call of chance.
func (p *past) call(r *rand.Rand) {
	q, key := p.request(r), pick(r, "", "key_a", "key_b", "key_c")
	note := router.Note{Key: pastKeys[key], Metadata: map[string]string{"team": pick(r, "red", "blue")}}
	task := router.Task{ID: fmt.Sprintf("req_%016x", r.Uint64()), Org: pastOrg, Key: key, Request: q, Note: note, Narrowed: narrowed(r)}
	d, in, err := p.d.Decided(task)
	var le *ledger.Error
	var fe *router.FieldError
	if err != nil {
		if !errors.As(err, &le) && !errors.As(err, &fe) {
			p.t.Errorf("%T %v", err, err)
		}
		return
	}
	if in.Noted {
		p.mu.Lock()
		p.notes[task.ID] = &note
		p.mu.Unlock()
	}
	var leg router.Leg
	var attempts []ledger.Attempt
	admitted := false
	for _, leg = range d.Legs {
		_, err := p.store.Execute(p.t.Context(), ledger.Admit{Org: pastOrg, Key: key, Request: task.ID, Lane: d.Lane, Dialect: q.Dialect, Asked: q.Model, Inputs: in, Demand: router.DemandOf(q, leg)})
		if err == nil {
			admitted = true
			break
		}
		if !errors.As(err, &le) {
			p.t.Errorf("admission: %v", err)
			return
		}
		attempts = append(attempts, ledger.Attempt{Choice: leg.Choice(), Outcome: ledger.Skipped, Reason: string(le.Code)})
	}
	if !admitted { // what it would call was taken away in the meantime
		return
	}
	p.observe(r, leg)
	if err := p.resolve(r, task.ID, leg, attempts); err != nil {
		p.t.Errorf("%s: %v", task.ID, err)
	}
	p.mu.Lock()
	p.decided++
	p.mu.Unlock()
}

func (p *past) resolve(r *rand.Rand, request string, leg router.Leg, attempts []ledger.Attempt) error {
	var c ledger.Command
	switch r.IntN(12) {
	case 0:
		c = ledger.Void{Org: pastOrg, Request: request}
	case 1:
		c = ledger.Interrupt{Org: pastOrg, Request: request, Rule: ledger.RuleVoid}
	default:
		u := ledger.Usage{Input: r.Int64N(300_000), CacheRead: r.Int64N(500), Output: r.Int64N(3000)}
		if !leg.Model.Has(ledger.FeatureChat) {
			u.Output = 0
		}
		c = ledger.Settle{Org: pastOrg, Request: request, Usage: u, Source: ledger.UsageProvider, ServiceTier: pick(r, "", "flex"), Resolution: ledger.Resolution{Attempts: attempts}}
	}
	_, err := p.store.Execute(p.t.Context(), c)
	return err
}

// observe has a leg do well, slowly or badly.
func (p *past) observe(r *rand.Rand, leg router.Leg) {
	now := p.d.Now()
	trial, ok := p.d.Health.Allow(ledger.Choice{Model: leg.Model.Name, Credential: leg.Credential.ID, Kind: leg.Credential.Kind()}, now)
	switch {
	case !ok:
	case r.IntN(5) == 0:
		trial.Report(router.ClassOverloaded, now)
	default:
		trial.Streamed(time.Duration(r.IntN(2000))*time.Millisecond, r.Int64N(3000), time.Duration(1+r.IntN(9))*time.Second)
		trial.Report("", now)
	}
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func pickModel(r *rand.Rand) string {
	return pick(r, "openai/gpt-6-luna", "gpt-6-luna", "anthropic/claude-haiku-5-5", "claude-sonnet-5-5", "google/gemini-2.5-flash-lite", "openai/gpt-4o", "openai/gpt-new",
		"google/gemini-2.5-pro", "fast", "big", "auto", "auto", "auto:cost", "auto:latency", "auto:reliability")
}

// request is one of chance.
func (p *past) request(r *rand.Rand) *router.Request {
	q := &router.Request{Endpoint: router.EndpointChat, Model: pickModel(r), Body: make([]byte, 1+r.IntN(3000)),
		Dialect:  pick(r, ledger.DialectOpenAIChat, ledger.DialectOpenAIResponses, ledger.DialectAnthropicMessages, ledger.DialectGemini),
		Messages: []router.Message{{Role: router.RoleUser, Parts: []router.Part{router.Text(fmt.Sprint("question ", r.IntN(200)))}}}}
	switch r.IntN(10) {
	case 0:
		q.Endpoint = router.EndpointCount
	case 1:
		q.Endpoint, q.Messages, q.Embed = router.EndpointEmbed, nil, &router.Embed{}
		q.Model = pick(r, "openai/text-embedding-3-small", "gemini-embedding-2")
		return q
	}
	if r.IntN(6) == 0 {
		q.Tools = []router.Tool{{Name: "look"}}
	}
	if r.IntN(6) == 0 {
		q.Effort = "high"
	}
	if r.IntN(4) == 0 {
		q.OutputCap = 1 + r.Int64N(100_000)
	}
	var sticky, origin ledger.Choice
	if r.IntN(10) == 0 {
		sticky = p.some(r)
	}
	if r.IntN(20) == 0 {
		origin = p.some(r)
	}
	p.d.Recall(pastOrg, q, sticky, origin, p.d.Now())
	return q
}

// narrowed is how one call in five restricts its policy.
func narrowed(r *rand.Rand) (n ledger.Narrowing) {
	switch r.IntN(20) {
	case 0:
		n.Models = []string{pick(r, "gpt-*", "openai/*", "google/gemini-2.5-flash-lite")}
	case 1:
		n.Credentials = pick(r, "byok-only", "platform-only")
	case 2:
		n.Goal = pick(r, "cost", "latency")
	case 3:
		n.MaxAttempts = 1 + r.IntN(2)
	}
	return n
}

// some is a leg that there may be.
func (p *past) some(r *rand.Rand) ledger.Choice {
	m := pick(r, "openai/gpt-6-luna", "anthropic/claude-haiku-5-5", "google/gemini-2.5-flash-lite")
	provider, _, _ := strings.Cut(m, "/")
	return ledger.Choice{Model: m, Credential: p.pool[provider], Kind: ledger.PlatformPool}
}

// change changes something that decisions read. What another caller has done first is refused, and that is well.
func (p *past) change(r *rand.Rand) {
	provider, now := pick(r, "openai", "anthropic", "google"), ledger.InstantOf(p.d.Now())
	own := fmt.Sprintf("own_%s_%d", provider, r.IntN(2))
	model := pick(r, "openai/gpt-6-luna", "anthropic/claude-haiku-5-5", "google/gemini-2.5-flash-lite", "openai/gpt-4o")
	var c ledger.Command
	switch r.IntN(9) {
	case 0, 1:
		c = ledger.SetPolicy{Org: pastOrg, Document: randomPolicy(p.t, r)}
	case 2, 3:
		c = ledger.AttachCredential{Org: pastOrg, Credential: own + fmt.Sprint("_", r.Uint32()), Provider: provider, Fingerprint: "f", Order: r.IntN(3),
			Use: pick(r, ledger.UsePrefer, ledger.UsePrefer, ledger.UseFallback, ledger.UseOnly), Commitment: pick(r, ledger.Commitment{}, ledger.Commitment{Amount: ledger.Dollar, Until: now + ledger.Instant(time.Minute)})}
	case 4:
		var wallet []*ledger.Credential
		p.store.View(func(s *ledger.State) { wallet = s.Wallet(pastOrg) })
		if len(wallet) == 0 {
			return
		}
		c = ledger.DetachCredential{Org: pastOrg, Credential: pick(r, wallet...).ID}
	case 5:
		var m *ledger.Model
		p.store.View(func(s *ledger.State) { m = s.Model(model) })
		if c = (ledger.RetireModel{Model: model}); m.Retired {
			c = ledger.PublishModel{Model: *m}
		}
	case 6:
		rate := ledger.Rate(1 + r.Int64N(4_000_000_000))
		c = ledger.PublishPrice{Price: ledger.Price{ID: fmt.Sprint("p", r.Uint64()), Model: model, From: now + ledger.Instant(r.Int64N(20_000_000)),
			Tiers:        []ledger.Tier{{Rates: ledger.Rates{Input: rate, Output: 4 * rate}}, {Above: 200_000, Rates: ledger.Rates{Input: 2 * rate, Output: 6 * rate}}},
			ServiceTiers: map[string]int64{"flex": 5000}}}
	case 7:
		c = ledger.DefinePlan{Plan: ledger.Plan{ID: "teams", Tokens: 20_000_000, Lanes: []ledger.Lane{ledger.LaneAuto, ledger.LaneManual}[:1+r.IntN(2)], Credit: true, Markup: r.Int64N(2000),
			Weights: map[string]int64{model: r.Int64N(4)}, Pool: pick(r, nil, []string{"openai/gpt-6-luna", "anthropic/claude-haiku-5-5"})}}
	case 8:
		c = ledger.LimitKey{Org: pastOrg, Key: pick(r, "key_a", "key_b", "key_c"), Scopes: []ledger.Scope{ledger.ScopeInference}, Models: pick(r, nil, nil, []string{"gpt-*"}, []string{"openai/*", "google/*"})}
	}
	_, err := p.store.Execute(p.t.Context(), c)
	var le *ledger.Error
	if err != nil && !errors.As(err, &le) {
		p.t.Errorf("%T: %v", c, err)
	}
}

// randomPolicy is a document of chance.
func randomPolicy(t *testing.T, r *rand.Rand) []byte {
	var b strings.Builder
	settings := func(indent string) {
		if r.IntN(2) == 0 {
			fmt.Fprintf(&b, "%scredentials: %s\n", indent, pick(r, "byok-first", "byok-first", "byok-only", "platform-first", "platform-first", "platform-only"))
		}
		if r.IntN(2) == 0 {
			fmt.Fprintf(&b, "%spaid_fallback: %v\n", indent, r.IntN(2) == 0)
		}
		if r.IntN(3) == 0 {
			fmt.Fprintf(&b, "%smax_attempts: %d\n", indent, 1+r.IntN(6))
		}
		if r.IntN(6) == 0 {
			fmt.Fprintf(&b, "%sproviders: [%s]\n", indent, pick(r, "openai, google", "anthropic, openai"))
		}
	}
	b.WriteString("aliases: {fast: openai/gpt-6-luna, big: claude-sonnet-5-5}\n")
	settings("")
	b.WriteString("routes:\n")
	for i := range 1 + r.IntN(4) {
		fmt.Fprintf(&b, "  - name: rule %d\n", i)
		w := pick(r, "model: claude-*", "model: auto", "model: fast", "model: openai/*", "endpoint: embeddings", "dialect: gemini", "key: prod-*", "key: dev, model: auto",
			"metadata: {team: red}", "metadata: {team: b*}, key: \"*\"", "")
		if w != "" {
			fmt.Fprintf(&b, "    when: {%s}\n", w)
		}
		settings("    ")
		switch does := r.IntN(8); {
		case does < 2:
			b.WriteString("    try:\n")
			for range 1 + r.IntN(3) {
				fmt.Fprintf(&b, "      - {model: %s%s}\n", pick(r, "openai/gpt-6-luna", "big", "google/gemini-2.5-pro", "openai/gpt-new"), pick(r, "", ", credential: byok", ", credential: platform", ", credential: byok/gone"))
			}
		case does < 4:
			fmt.Fprintf(&b, "    auto: {goal: %s%s}\n", pick(r, "cost", "latency", "balanced", "reliability"), pick(r, "", ", pool: [openai/gpt-6-luna, google/gemini-2.5-pro, anthropic/claude-haiku-5-5]"))
		case does == 4 && w != "" && w != "model: auto":
			b.WriteString("    refuse: not here\n")
		}
		if r.IntN(4) == 0 {
			fmt.Fprintf(&b, "    max_fallbacks: %d\n", r.IntN(3))
		}
		if r.IntN(4) == 0 {
			b.WriteString("    prefer: commitment\n")
		}
	}
	return document(t, b.String())
}

// document is a policy as the log keeps it.
func document(t *testing.T, text string) []byte {
	t.Helper()
	p, err := router.ParsePolicy([]byte(text))
	if err != nil {
		t.Errorf("%v in\n%s", err, text)
	}
	b, err := json.Marshal(p)
	if err != nil {
		t.Error(err)
	}
	return b
}
