package http

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"waybill/ledger"
	"waybill/router"
)

// simulateTime bounds one simulation.
const simulateTime = 10 * time.Minute

// simulateChanges is how many kinds of changed decisions an answer shows.
const simulateChanges = 20

// simulationsAtOnce bounds the simulations at one time: each folds an org's past from its beginning.
const simulationsAtOnce = 4

// simulator lets an org have one simulation at a time. Its zero value is ready.
type simulator struct {
	mu      sync.Mutex
	running map[string]*progress // by org
}

// progress is how far a simulation is.
type progress struct{ position, head atomic.Uint64 }

// begin takes the org's turn, until it is given back.
func (m *simulator) begin(org string) (p *progress, end func(), err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.running[org] != nil:
		return nil, nil, &ledger.Error{Code: ledger.CodeUnavailable, Message: "another simulation of the org's runs: it has one at a time"}
	case len(m.running) >= simulationsAtOnce:
		return nil, nil, &ledger.Error{Code: ledger.CodeUnavailable, Message: fmt.Sprintf("%d simulations run: a node makes no more at a time", simulationsAtOnce)}
	case m.running == nil:
		m.running = map[string]*progress{}
	}
	p = &progress{}
	m.running[org] = p
	return p, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.running, org)
	}, nil
}

func (m *simulator) of(org string) *progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.running[org]
}

// simulateOrder asks for a simulation.
type simulateOrder struct {
	Document document `json:"document"` // a policy's text, YAML or JSON, or the policy as an object; none decides each call under the policy that was in force
	Since    string   `json:"since"`    // 30d, 12h, a day, a time by RFC 3339 or a position of the log; 30d unless given
}

// simulated is what a simulation has found. Before is what the calls cost, after what they would have cost.
type simulated struct {
	Org         string                `json:"org"`
	Since       uint64                `json:"since"`    // position of the log
	Position    uint64                `json:"position"` // up to which it was read
	Recorded    bool                  `json:"recorded"` // decided under the policies that were in force
	Requests    int64                 `json:"requests"` // that were admitted
	Same        int64                 `json:"same"`
	Different   int64                 `json:"different"`
	Undecided   int64                 `json:"undecided"`           // it is not kept what the policy would match of them
	KeyNamesNow int64                 `json:"by_present_key_name"` // decided by what their key is called now
	Unsettled   int64                 `json:"unsettled"`           // used nothing, and are not priced: voided, interrupted or open
	Refused     []simulatedRefusal    `json:"refused"`
	Before      simulatedSums         `json:"before"`
	After       simulatedSums         `json:"after"`
	Models      []simulatedModel      `json:"models"`
	Credentials []simulatedCredential `json:"credentials"`
	Changes     []simulatedChange     `json:"changes"`            // the most frequent first, at most 20
	Warnings    []policyNote          `json:"warnings,omitempty"` // of the document
}

type simulatedRefusal struct {
	Code     ledger.Code `json:"code"`
	Requests int64       `json:"requests"`
}

// simulatedSums add up calls that were settled.
type simulatedSums struct {
	Requests     int64   `json:"requests"`
	ListCostUSD  Dollars `json:"list_cost_usd"`
	ChargeUSD    Dollars `json:"charge_usd"`
	PlanTokens   int64   `json:"plan_tokens"`
	FreeMessages int64   `json:"free_messages"`
	Unpriced     int64   `json:"unpriced"` // requests of models without a price: their list cost is not known
}

type simulatedModel struct {
	Model  string        `json:"model"`
	Before simulatedSums `json:"before"`
	After  simulatedSums `json:"after"`
}

type simulatedCredential struct {
	Credential   ledger.CredentialKind `json:"credential"` // byok or platform
	CredentialID string                `json:"credential_id"`
	Name         string                `json:"name"`     // of the org's own
	Provider     string                `json:"provider"` // empty: it is detached by now
	Before       simulatedSums         `json:"before"`
	After        simulatedSums         `json:"after"`
}

// simulatedChange is a decision that would have been another.
type simulatedChange struct {
	Requests  int64          `json:"requests"`
	Request   string         `json:"request"` // the first
	From      []simulatedLeg `json:"from"`
	To        []simulatedLeg `json:"to"`
	FromRoute string         `json:"from_route"` // of the policy, that matched; empty: none did
	ToRoute   string         `json:"to_route"`
	Refused   ledger.Code    `json:"refused,omitempty"`
	Reason    string         `json:"reason,omitempty"`
}

type simulatedLeg struct {
	Model        string                `json:"model"`
	Credential   ledger.CredentialKind `json:"credential"`
	CredentialID string                `json:"credential_id"`
	Name         string                `json:"name"` // of the org's own
}

// simulateState is how far the simulation of an org's is.
type simulateState struct {
	Running  bool   `json:"running"`
	Position uint64 `json:"position"`
	Head     uint64 `json:"head"`
}

func simulateRoutes() []route {
	return []route{
		question("/api/v1/orgs/{org}/policy/simulate", "Decide past requests again under another policy, and what they would have cost", admin, simulatePolicy),
		endpoint(http.MethodGet, "/api/v1/orgs/{org}/policy/simulate", "How far a simulation is that runs", admin, simulating),
	}
}

func simulating(c *call, _ nothing) (simulateState, error) {
	p := c.s.simulator.of(c.org)
	if p == nil {
		return simulateState{}, nil
	}
	return simulateState{true, p.position.Load(), p.head.Load()}, nil
}

func simulatePolicy(c *call, in simulateOrder) (simulated, error) {
	out := simulated{Org: c.org, Recorded: len(in.Document) == 0}
	var policy *router.Policy
	var err error
	if !out.Recorded {
		if policy, out.Warnings, err = c.parsePolicy(in.Document); err != nil {
			return out, err
		}
	}
	if out.Since, err = c.since(cmp.Or(in.Since, "30d")); err != nil {
		return out, err
	}
	names, err := c.credentialNames()
	if err != nil {
		return out, err
	}
	far, end, err := c.s.simulator.begin(c.org)
	if err != nil {
		return out, err
	}
	defer end()
	ctx, cancel := context.WithTimeout(c, simulateTime)
	defer cancel()
	c.s.o.Books.View(func(s *ledger.State) { out.Position, _ = s.Head() })
	far.head.Store(out.Position)
	sim := &router.Simulation{Org: c.org, Policy: policy, Recorded: out.Recorded,
		Note:    func(request string) (*router.Note, error) { return c.s.noteOf(ctx, request) },
		KeyName: func(key string) (string, error) { return c.s.keyNames.of(ctx, c.s.o.Names, key) }}
	err = c.s.o.Log.Replay(ctx, c.org, out.Since, sim.Decide, sim.Follow, far.position.Store)
	switch {
	case errors.Is(err, context.DeadlineExceeded) && c.Err() == nil:
		return out, invalid("since", "is too far back: the simulation was not done after "+simulateTime.String())
	case err != nil:
		return out, err
	}
	c.s.o.Books.View(func(s *ledger.State) { out.fill(sim.Result(), names, s) })
	return out, nil
}

// since is the position of the log from which calls count.
func (c *call) since(text string) (uint64, error) {
	if n, err := strconv.ParseUint(text, 10, 63); err == nil {
		if head, _ := c.s.head(); n > head+1 {
			return 0, invalid("since", fmt.Sprintf("is position %d, which lies in the future: the log ends at %d", n, head))
		}
		return n, nil
	}
	now := c.s.o.Now()
	var from time.Time
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n <= 36_500 {
			from = now.AddDate(0, 0, -n)
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		from = now.Add(-d)
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			from = t
		}
	}
	switch {
	case from.IsZero():
		return 0, invalid("since", "must be how long ago, such as 30d or 12h, a day such as 2026-11-01, a time or a position of the log")
	case from.After(now):
		return 0, invalid("since", "is "+text+", which lies in the future")
	}
	position, err := c.s.o.Log.PositionAt(c, ledger.InstantOf(from)-1)
	return position + 1, err
}

// noteOf is what a request said of itself, nil if that is not kept.
func (s *Server) noteOf(ctx context.Context, request string) (*router.Note, error) {
	text, err := s.o.Log.Note(ctx, request)
	if err != nil || text == nil {
		return nil, err
	}
	n := &router.Note{}
	return n, json.Unmarshal(text, n)
}

func (out *simulated) fill(r router.Simulated, names map[string]string, now *ledger.State) {
	out.Requests, out.Same, out.Different, out.Undecided = r.Considered, r.Same, r.Different, r.Undecided
	out.KeyNamesNow, out.Unsettled = r.PresentName, r.Unsettled
	out.Before, out.After = simulatedSumsOf(r.Before), simulatedSumsOf(r.After)
	out.Refused, out.Models, out.Credentials, out.Changes = []simulatedRefusal{}, []simulatedModel{}, []simulatedCredential{}, []simulatedChange{}
	for code, n := range r.Refused {
		out.Refused = append(out.Refused, simulatedRefusal{code, n})
	}
	slices.SortFunc(out.Refused, func(a, b simulatedRefusal) int { return cmp.Compare(a.Code, b.Code) })
	for model, s := range r.Models {
		out.Models = append(out.Models, simulatedModel{model, simulatedSumsOf(s.Before), simulatedSumsOf(s.After)})
	}
	slices.SortFunc(out.Models, func(a, b simulatedModel) int { return cmp.Compare(a.Model, b.Model) })
	for on, s := range r.Credentials {
		provider := ""
		if k := now.Credential(on.Credential); k != nil {
			provider = k.Provider
		}
		out.Credentials = append(out.Credentials, simulatedCredential{on.Kind, on.Credential, names[on.Credential], provider, simulatedSumsOf(s.Before), simulatedSumsOf(s.After)})
	}
	slices.SortFunc(out.Credentials, func(a, b simulatedCredential) int {
		return cmp.Or(cmp.Compare(a.Credential, b.Credential), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.CredentialID, b.CredentialID))
	})
	legs := func(choices []ledger.Choice) []simulatedLeg {
		all := make([]simulatedLeg, len(choices))
		for i, l := range choices {
			all[i] = simulatedLeg{l.Model, l.Kind, l.Credential, names[l.Credential]}
		}
		return all
	}
	for _, g := range r.Changes[:min(len(r.Changes), simulateChanges)] {
		out.Changes = append(out.Changes, simulatedChange{g.Requests, g.Request, legs(g.From), legs(g.To), g.FromRoute, g.ToRoute, g.Refused, g.Reason})
	}
}

func simulatedSumsOf(s router.Sums) simulatedSums {
	return simulatedSums{s.Calls, Dollars(s.ListCost), Dollars(s.Charge), s.PlanTokens, s.Messages, s.Unpriced}
}
