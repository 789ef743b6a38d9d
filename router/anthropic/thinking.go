package anthropic

import (
	"fmt"

	"waybill/ledger"
	"waybill/router"
)

// thinking says how the model is to reason.
type thinking struct {
	Type    string `json:"type"`
	Budget  int64  `json:"budget_tokens,omitzero"`
	Display string `json:"display,omitzero"`
}

// efforts are the other dialects' words for Anthropic's efforts. There is no "none": the newest models cannot
// be told not to think.
var efforts = map[string]string{
	"none": "low", "minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max",
}

// budgets are efforts in tokens, for the models that think by a budget and refuse an effort. They are waybill's own
// choice: the providers name no figures.
var budgets = map[string]int64{
	"minimal": minBudget, "low": 1536, "medium": 8192, "high": 16_384, "xhigh": 32_768, "max": 65_536,
}

// minBudget is the least that Anthropic takes.
const minBudget = 1024

// reasoning writes how the model is to reason, if the caller says.
func (e *encoding) reasoning() error {
	t := e.t
	if !t.Model.Has(ledger.FeatureReasoning) {
		return nil
	}
	if _, ok := efforts[t.Effort]; !ok && t.Effort != "" {
		return t.Cannot("reasoning_effort", "it has no counterpart")
	}
	asked := t.Thoughts || t.Effort != "" && t.Effort != "none" || t.Effort == "" && t.Budget != nil && *t.Budget != 0
	if t.Effort == "none" || t.Effort == "" && t.Budget != nil && *t.Budget == 0 {
		asked = false
	}
	if t.Model.Has(ledger.FeatureBudget) {
		if asked {
			e.budget()
		}
		return nil
	}
	e.effort()
	switch {
	case !asked:
	case e.forced():
		if t.Thoughts {
			t.Warn("thoughts", "what is thought is not shown, "+t.Model.Name+" does not do so when it is made to call a tool")
		}
	default:
		e.out.Thinking = &thinking{Type: "adaptive", Display: e.display()}
	}
	return nil
}

func (e *encoding) display() string {
	if e.t.Thoughts {
		return "summarized"
	}
	return ""
}

func (e *encoding) effort() {
	t := e.t
	asked := t.Effort
	if asked == "" && t.Budget != nil {
		if asked = t.EffortNear(); asked == "" {
			return
		}
		t.Warn("reasoning_effort", fmt.Sprintf("a budget of %d tokens taken for the effort %s, by which %s reasons", *t.Budget, efforts[asked], t.Model.Name))
	} else if word := efforts[asked]; word != asked {
		t.Warn("reasoning_effort", word+" at "+t.Model.Name+", which has no "+asked)
	}
	e.out.OutputConfig.Effort = efforts[asked]
}

// budget lets a model think that does so only when told to, by a number of tokens below the output cap.
func (e *encoding) budget() {
	t, most := e.t, e.out.MaxTokens*4/5
	if t.Endpoint == router.EndpointCount {
		most = e.out.MaxTokens - 1
	}
	switch {
	case e.forced():
		t.Warn("reasoning_effort", "left out, "+t.Model.Name+" does not think when it is made to call a tool")
		return
	case e.prefill:
		t.Warn("reasoning_effort", "left out, "+t.Model.Name+" does not think when its answer is begun for it")
		return
	case e.loop && !e.thought:
		t.Warn("reasoning_effort", "left out, the calls that are being answered were not thought of by "+t.Model.Name)
		return
	case most < minBudget:
		t.Warn("reasoning_effort", fmt.Sprintf("left out, an output of %d tokens leaves no room to think", e.out.MaxTokens))
		return
	}
	n, ok := budgets[t.Effort]
	if !ok {
		n = budgets["medium"]
	}
	exact := t.Budget != nil && *t.Budget >= minBudget && *t.Budget < e.out.MaxTokens
	switch {
	case exact:
		n = *t.Budget
	case t.Budget != nil && *t.Budget > 0:
		n = max(*t.Budget, minBudget)
	}
	if !exact {
		n = min(n, most)
		t.Warn("reasoning_effort", fmt.Sprintf("taken for a budget of %d tokens, by which %s reasons", n, t.Model.Name))
	}
	e.out.Thinking = &thinking{Type: "enabled", Budget: n, Display: e.display()}
	e.unsampled()
}

// unsampled leaves out the sampling that does not go with thinking by a budget.
func (e *encoding) unsampled() {
	t, o := e.t, &e.out
	if o.Temperature != nil {
		if *o.Temperature != 1 {
			t.Warn("temperature", "left out, "+t.Model.Name+" takes none when it thinks")
		}
		o.Temperature = nil
	}
	if o.TopK != nil {
		t.Warn("top_k", "left out, "+t.Model.Name+" takes none when it thinks")
		o.TopK = nil
	}
	if o.TopP != nil && *o.TopP < 0.95 {
		t.Warn("top_p", "left out, "+t.Model.Name+" takes none below 0.95 when it thinks")
		o.TopP = nil
	}
}
