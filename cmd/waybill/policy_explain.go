package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"waybill/ledger"
	"waybill/router"
)

// explanationView is how a request would be routed, as the control API tells it.
type explanationView struct {
	router.Explanation
	Version     uint64              `json:"policy_version"`
	Credentials map[string]string   `json:"credential_names"`
	Warnings    []router.PolicyNote `json:"warnings"`
}

var policyExplain = command{
	name:  "policy explain",
	args:  "ORG REQUEST",
	about: "tell how a request would be routed, and why, without calling anything",
	more: `REQUEST is a file with the body of a call as its client sends it, in any dialect, "-" the standard input. It tells which route
matches, every leg that is considered, why each is taken or passed over, what it would hold and what it is likely to cost.`,
	example: []string{`echo '{"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}' | waybill policy explain acme -`,
		"waybill policy explain acme request.json --key prod-web --metadata team=research --policy other.yml"},
	setup: func(f *flags) action {
		dialect := f.String("dialect", "", "of the request: `DIALECT` openai-chat, openai-responses, anthropic-messages or gemini (default openai-chat)")
		endpoint := f.String("endpoint", "", "what is called: `ENDPOINT` chat, count or embeddings (default chat)")
		model := f.String("model", "", "`MODEL`, where the dialect says it in the address")
		key := f.String("key", "", "that makes the call: `KEY`, its name or its id (default one that may all)")
		metadata := f.String("metadata", "", "what the request says of itself: `NAME=VALUE`, with commas")
		file := f.String("policy", "", "try the policy in `FILE` in place of the org's")
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			body := map[string]any{"dialect": *dialect, "endpoint": *endpoint, "model": *model, "key": *key}
			said := map[string]string{}
			for _, pair := range commas(*metadata) {
				name, value, ok := strings.Cut(pair, "=")
				if !ok {
					return misused("--metadata: %q is not NAME=VALUE", pair)
				}
				said[name] = value
			}
			body["metadata"] = said
			request, err := w.jsonFile(args[1])
			if err != nil {
				return err
			}
			body["request"] = request
			if *file != "" {
				if body["document"], err = w.policyFile(*file); err != nil {
					return err
				}
			}
			answer, err := a.call(ctx, "POST", at("/orgs/%s/policy/explain", args[0]), body)
			if err != nil {
				return inFile(err, *file)
			}
			return show(w, answer, *asJSON, func(e explanationView) error {
				w.warn(e.Warnings, *file)
				return e.print(w)
			})
		})
	},
}

func (e *explanationView) print(w *work) error {
	facts := newTable("", "")
	fact := func(name, format string, args ...any) { facts.row(name, fmt.Sprintf(format, args...)) }
	asked := e.Asked
	if e.Means != "" {
		asked += ", which stands for " + e.Means
	}
	fact("model", "%s", asked)
	for _, r := range e.Routes {
		switch {
		case r.Matched:
			fact("route", "%s: matches", r.Route)
		case r.Mismatch != "after_the_match":
			fact("route", "%s: its %s does not match", r.Route, r.Mismatch)
		}
	}
	if e.Route == "" {
		fact("route", "none: the settings of the whole policy hold")
	}
	lane := string(e.Lane)
	if e.Goal != "" {
		lane += ", goal " + string(e.Goal)
	}
	fact("lane", "%s", lane)
	paid := "off"
	if p := e.Settings.PaidFallback; p != nil && *p {
		paid = "on"
	}
	fact("credentials", "%s, paid_fallback %s, at most %d legs", e.Settings.Credentials, paid, e.Settings.MaxAttempts)
	output := grouped(e.Output) + " out"
	if e.Assumed {
		output += " (assumed: the request sets no cap)"
	}
	fact("size", "about %s tokens in, %s at the most, %s", grouped(e.Input), grouped(e.Bound), output)
	if len(e.Needs) > 0 {
		fact("needs", "%s", strings.Join(e.Needs, ", "))
	}
	if e.Plan != "" {
		fact("plan", "%s", e.Plan)
	}
	for _, c := range e.Caps {
		v := capView{Unit: string(c.Unit), Amount: json.Number(c.Amount), Window: string(c.Window)}
		left := v.of(json.Number(c.Left)) + " left"
		if c.ResetsAt != "" {
			left += " until " + second(c.ResetsAt)
		}
		fact("cap", "%s: %s", v, left)
	}
	if err := facts.write(w.stdout); err != nil {
		return err
	}
	if err := e.legs(w); err != nil {
		return err
	}
	if e.Refused != nil {
		w.printf("\nthe call would be refused: %s: %s\n", e.Refused.Code, printable(e.Refused.Message))
	}
	return nil
}

// legs are those that are considered, if any is.
func (e *explanationView) legs(w *work) error {
	if len(e.Legs) == 0 {
		return nil
	}
	w.printf("\n")
	legs := newTable(">order", "model", "credential", "holds", ">list cost", ">charge", "why")
	for _, l := range e.Legs {
		order := ""
		if l.Order > 0 {
			order = strconv.Itoa(l.Order)
		}
		legs.row(order, l.Model, e.credential(l.Choice), heldBy(l), l.ListCost, charge(l), why(l))
	}
	return legs.write(w.stdout)
}

func (e *explanationView) credential(c ledger.Choice) string {
	if name := e.Credentials[c.Credential]; name != "" {
		return string(c.Kind) + "/" + name
	}
	return string(c.Kind)
}

// heldBy is what a leg would hold.
func heldBy(l router.ExplainedLeg) string {
	if l.Holds == nil {
		return ""
	}
	var parts []string
	if l.Holds.Messages > 0 {
		parts = append(parts, grouped(l.Holds.Messages)+" message")
	}
	if l.Holds.PlanTokens > 0 {
		parts = append(parts, grouped(l.Holds.PlanTokens)+" tokens")
	}
	if c := l.Holds.Credit; strings.Trim(c, "0.") != "" {
		parts = append(parts, c+" usd")
	}
	return strings.Join(parts, " + ")
}

// charge is what the org would owe for a leg.
func charge(l router.ExplainedLeg) string {
	switch {
	case l.Messages > 0:
		return grouped(l.Messages) + " message"
	case l.PlanTokens > 0 && strings.Trim(l.Charge, "0.") != "":
		return grouped(l.PlanTokens) + " tokens + " + l.Charge
	case l.PlanTokens > 0:
		return grouped(l.PlanTokens) + " tokens"
	}
	return l.Charge
}

// why is for what reason a leg is passed over, or has its place.
func why(l router.ExplainedLeg) string {
	var parts []string
	if l.Reason != "" {
		s := l.Reason
		if l.Meaning != "" {
			s += ": " + l.Meaning
		}
		parts = append(parts, s)
	}
	if l.Rests != "" {
		parts = append(parts, "rests, "+l.Rests)
	}
	if l.Unfunded != nil {
		parts = append(parts, l.Unfunded.Code+": "+l.Unfunded.Message)
	}
	if s := l.Score; s != nil {
		parts = append(parts, fmt.Sprintf("score %d (cost %d, latency %d, reliability %d)", s.Total, s.Cost, s.Latency, s.Reliability))
	}
	if c := l.Condition; c != nil && c.Open {
		parts = append(parts, "its breaker is open")
	}
	return strings.Join(parts, "; ")
}
