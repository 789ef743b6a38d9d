package http

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"waybill/ledger"
	"waybill/router"
)

// reached is a model that calls get to, and what answers them now.
type reached struct {
	ledger.Model
	asked string         // as callers name it: an alias of the org's, or the model's own name
	since ledger.Instant // of the price in force, or where there is none of what answers
	by    answering
}

// answering is what answers calls for a model now: the first leg of their route that does not fail, or where all do the first.
type answering struct {
	Credential ledger.CredentialKind `json:"credential"`              // byok or platform
	State      string                `json:"state"`                   // ok or failing
	Since      Time                  `json:"since"`                   // when it began to fail
	Why        string                `json:"reason,omitempty"`        // why it fails: a class such as credential or overloaded
	Model      string                `json:"model,omitempty"`         // that answers, where another was named
	Route      string                `json:"route,omitempty"`         // of the org's policy
	ID         string                `json:"credential_id,omitempty"` // for the org's own eyes
}

// since is when a leg came to be what it is now: its model's price, or where it has none, its credential.
func since(st *ledger.State, c ledger.Choice, now ledger.Instant) ledger.Instant {
	if p := st.PriceOf(c.Model, now); p != nil {
		return p.From
	}
	if k := st.Credential(c.Credential); k != nil {
		return k.Attached
	}
	return 0
}

// gather makes of the auto lane's row what its candidates are together: as new as the newest, and as large as the largest, since
// the lane picks one that a call fits into.
func (m *reached) gather(st *ledger.State, d *router.Decision, now ledger.Instant) {
	all := d.Choices()
	for _, s := range d.Scores {
		all = append(all, s.Choice)
	}
	for _, c := range all {
		m.since = max(m.since, since(st, c, now))
		if row := st.Model(c.Model); row != nil {
			m.Context, m.MaxOutput = max(m.Context, row.Context), max(m.MaxOutput, row.MaxOutput)
		}
	}
}

// reach finds what the calls of a key get to, or of no key in particular, as an org's policy has them routed now.
func (s *Server) reach(org, key string, a router.Ask) (models []reached, err error) {
	now := s.o.Now()
	s.o.Books.View(func(st *ledger.State) {
		var policy *router.Policy
		if s.o.Dispatcher != nil {
			if policy, _, err = s.o.Dispatcher.Policies.Of(st.Policy(org)); err != nil {
				return
			}
		}
		add := func(m ledger.Model, asked string) {
			a := a
			a.Endpoint, a.Model, a.Field = router.EndpointChat, asked, "model"
			if !m.Has(ledger.FeatureChat) {
				a.Endpoint = router.EndpointEmbed
			}
			v := router.ViewOf(st, org, key, policy, a, ledger.InstantOf(now))
			if s.o.Dispatcher != nil {
				v.Condition = func(c ledger.Choice) ledger.Condition { return s.o.Dispatcher.Health.Condition(c, now) }
			}
			d, err := router.Route(a, v)
			if err != nil {
				return
			}
			row := reached{Model: m, asked: asked, by: s.answering(&d, now)}
			if row.by.Model == m.Name {
				row.by.Model = ""
			}
			if m.Name == router.ModelAuto {
				row.gather(st, &d, ledger.InstantOf(now))
			} else {
				row.since = since(st, ledger.Choice{Model: m.Name, Credential: row.by.ID}, ledger.InstantOf(now))
			}
			models = append(models, row)
		}
		auto := ledger.Model{Name: router.ModelAuto, Provider: "waybill", Features: []string{ledger.FeatureChat}}
		add(auto, auto.Name)
		for _, m := range st.Models() {
			add(*m, m.Name)
		}
		if policy == nil {
			return
		}
		for _, alias := range slices.Sorted(maps.Keys(policy.Aliases)) {
			if m := st.Model(policy.Aliases[alias]); m != nil {
				add(*m, alias)
			} else {
				add(auto, alias)
			}
		}
	})
	return models, err
}

// answering finds which of a route's legs would answer.
func (s *Server) answering(d *router.Decision, now time.Time) (by answering) {
	for i, c := range d.Choices() {
		state := router.State{}
		if s.o.Dispatcher != nil {
			state = s.o.Dispatcher.Health.State(c, now)
		}
		if i > 0 && state.Failing {
			continue
		}
		by = answering{Credential: c.Kind, State: "ok", Model: c.Model, Route: d.Route, ID: c.Credential}
		if !state.Failing {
			return by
		}
		by.State, by.Since, by.Why = "failing", Time(ledger.InstantOf(state.Since)), string(state.Why)
	}
	return by
}

// modelsOf gives what the caller's key reaches, or refuses the caller. It counts as a call of the key's while it is looked up.
func (s *Server) modelsOf(c *call, w http.ResponseWriter) ([]reached, bool) {
	w.Header()["Waybill-Request"] = []string{c.id}
	if err := s.authenticate(c); err != nil {
		s.lost(w, c.r, *router.FailureOf(err))
		return nil, false
	}
	leave, f := s.admit(c, w, c.key.ID)
	if f != nil {
		s.lost(w, c.r, *f)
		return nil, false
	}
	defer leave()
	models, err := s.reachable(c)
	if err != nil {
		s.lost(w, c.r, *router.FailureOf(err))
		return nil, false
	}
	return models, true
}

func (s *Server) reachable(c *call) ([]reached, error) {
	_, narrowed, metadata, err := router.Narrow(nil, c.r.Header)
	if err != nil {
		return nil, err
	}
	note, err := s.note(c, metadata)
	if err != nil {
		return nil, err
	}
	models, err := s.reach(c.key.Org, c.key.ID, router.Ask{Dialect: spokenAt(c.r), Narrowed: narrowed, Note: note})
	for i := range models { // whoever has a key need not know the ids of credentials
		models[i].by.ID = ""
	}
	return models, err
}

// orgModel is a model that an org's calls get to, and what answers them now.
type orgModel struct {
	model
	Name       string    `json:"name"` // as callers name it
	Answers    answering `json:"waybill"`
	Credential string    `json:"credential_name,omitempty"` // of the org's own that answers
}

type orgModels struct {
	Models []orgModel `json:"models"`
}

type reachQuery struct {
	Key     string `query:"key" doc:"what this key reaches, by its id or its name; unless given, a key that may all"`
	Dialect string `query:"dialect" doc:"of the caller, which a policy may match; openai-chat unless given"`
}

func reachRoutes() []route {
	return []route{endpoint(http.MethodGet, "/api/v1/orgs/{org}/models", "List the models that an org's calls reach now, each with the credential that answers them", admin, listReach)}
}

func listReach(c *call, in reachQuery) (orgModels, error) {
	a := router.Ask{Dialect: ledger.Dialect(in.Dialect)}
	if a.Dialect == "" {
		a.Dialect = ledger.DialectOpenAIChat
	}
	if c.s.o.Inbounds[a.Dialect] == nil && c.s.o.Dispatcher != nil {
		return orgModels{}, invalid("dialect", "must be openai-chat, openai-responses, anthropic-messages or gemini")
	}
	key, err := c.keyNamed(in.Key)
	if err != nil {
		return orgModels{}, err
	}
	if key != "" {
		if a.Note.Key, err = c.s.keyNames.of(c, c.s.o.Names, key); err != nil {
			return orgModels{}, err
		}
	}
	labels, err := c.s.o.Names.Labels(c, "credential", c.org)
	if err != nil {
		return orgModels{}, err
	}
	all, err := c.s.reach(c.org, key, a)
	if err != nil {
		return orgModels{}, err
	}
	names := byID(labels)
	out := orgModels{Models: []orgModel{}}
	c.s.o.Books.View(func(st *ledger.State) {
		for _, m := range all {
			row := orgModel{model: c.modelRow(st, &m.Model), Name: m.asked, Answers: m.by, Credential: names[m.by.ID]}
			if m.by.Credential == ledger.PlatformPool {
				row.Answers.ID = ""
			}
			out.Models = append(out.Models, row)
		}
	})
	return out, nil
}

// keyNamed gives the id of a key of the call's org that is named by it or by its name; none of none.
func (c *call) keyNamed(name string) (id string, err error) {
	if name == "" {
		return "", nil
	}
	if id, err = c.s.o.Names.Find(c, "key", c.org, name); err != nil {
		return "", err
	}
	if id == "" {
		id = name
	}
	if _, err := c.live(id); err != nil {
		return "", notFound("key", name)
	}
	return id, nil
}
