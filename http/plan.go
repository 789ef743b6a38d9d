package http

import (
	"net/http"

	"waybill/ledger"
)

// plan is what an org may use without paying by the call, as the control API shows it.
type plan struct {
	ID        string           `json:"id"`
	Tokens    int64            `json:"tokens"`   // allowance of a month, in plan tokens
	Messages  int64            `json:"messages"` // free messages, once
	Lanes     []ledger.Lane    `json:"lanes"`
	Credit    bool             `json:"credit"` // may buy and spend add-on credit
	MarkupBPS int64            `json:"markup_bps"`
	Output    int64            `json:"output"`     // output cap of a call that sets none; 0: 32,768
	MaxInput  int64            `json:"max_input"`  // of one call, in tokens; 0: none
	MaxOutput int64            `json:"max_output"` // likewise
	Weights   map[string]int64 `json:"weights,omitempty"`
	Pool      []string         `json:"pool,omitempty"`                // models of platform capacity that its auto lane takes; all if none
	Requests  int64            `json:"requests_per_minute,omitempty"` // of an org, all its keys together; 0: no limit
	PerMinute int64            `json:"tokens_per_minute,omitempty"`   // likewise
}

type plans struct {
	Plans []plan `json:"plans"`
}

func planRoutes() []route {
	return []route{
		create("/api/v1/plans", "Define a plan, or define it anew for what is decided from then on", operator, definePlan),
		endpoint(http.MethodGet, "/api/v1/plans", "List the plans", known, listPlans),
	}
}

func planRow(p *ledger.Plan) plan {
	return plan{ID: p.ID, Tokens: p.Tokens, Messages: p.Messages, Lanes: append([]ledger.Lane{}, p.Lanes...), Credit: p.Credit,
		MarkupBPS: p.Markup, Output: p.Output, MaxInput: p.MaxInput, MaxOutput: p.MaxOutput, Weights: p.Weights,
		Pool: p.Pool, Requests: p.RequestsPerMinute, PerMinute: p.TokensPerMinute}
}

func definePlan(c *call, in plan) (plan, error) {
	p := ledger.Plan{ID: in.ID, Tokens: in.Tokens, Messages: in.Messages, Lanes: in.Lanes, Credit: in.Credit,
		Markup: in.MarkupBPS, Output: in.Output, MaxInput: in.MaxInput, MaxOutput: in.MaxOutput, Weights: in.Weights,
		Pool: in.Pool, RequestsPerMinute: in.Requests, TokensPerMinute: in.PerMinute}
	if _, err := c.s.o.Books.Execute(c, ledger.DefinePlan{Who: c.by, Plan: p}); err != nil {
		return plan{}, err
	}
	return planRow(&p), nil
}

func listPlans(c *call, _ nothing) (plans, error) {
	out := plans{Plans: []plan{}}
	c.s.o.Books.View(func(st *ledger.State) {
		for _, p := range st.Plans() {
			out.Plans = append(out.Plans, planRow(p))
		}
	})
	return out, nil
}
