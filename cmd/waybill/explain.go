package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"waybill/ledger"
)

// traceView is a request as the control API shows it.
type traceView struct {
	ID          string `json:"id"`
	Org         string `json:"org"`
	Key         string `json:"key"`
	At          string `json:"at"`
	State       string `json:"state"`
	Lane        string `json:"lane"`
	ModelAsked  string `json:"model_asked"`
	Model       string `json:"model"`
	Credential  string `json:"credential"`
	Input       int64  `json:"input_tokens"`
	CacheRead   int64  `json:"cache_read_tokens"`
	CacheWrite  int64  `json:"cache_write_tokens"`
	Output      int64  `json:"output_tokens"`
	Reasoning   int64  `json:"reasoning_tokens"`
	UsageSource string `json:"usage_source"`
	PlanTokens  int64  `json:"plan_tokens"`
	ChargeUSD   string `json:"charge_usd"`
	ListCostUSD string `json:"list_cost_usd"`
	SkippedUSD  string `json:"skipped_usd"`
	OverageUSD  string `json:"overage_usd"`
	SkipReason  string `json:"skip_reason"`
	FirstByte   int64  `json:"first_byte_ns"`
	Duration    int64  `json:"duration_ns"`
	Finish      string `json:"finish_reason"`
	UpstreamID  string `json:"upstream_id"`
	Reason      string `json:"reason"`
}

// total is every token once.
func (t traceView) total() int64 { return t.Input + t.CacheRead + t.CacheWrite + t.Output }

// explanation is all there is to tell of one request.
type explanation struct {
	Request  traceView `json:"request"`
	Attempts []struct {
		N          int    `json:"n"`
		Model      string `json:"model"`
		Credential string `json:"credential"`
		Outcome    string `json:"outcome"`
		Status     int    `json:"status"`
		Class      string `json:"class"`
		Reason     string `json:"reason"`
		Latency    int64  `json:"latency_ns"`
	} `json:"attempts"`
	Entries []struct {
		Position uint64 `json:"position"`
		Type     string `json:"type"`
		Account  string `json:"account"`
		Unit     string `json:"unit"`
		Amount   string `json:"amount"`
	} `json:"entries"`
	Events []event `json:"events"`
}

var explainCommand = command{
	name:  "explain",
	args:  "REQUEST",
	about: "tell what became of one call: its attempts, its events, and where each amount came from",
	more: "REQUEST is the id in the answer's header Waybill-Request, or the answer's own id: be it made by waybill, or by the upstream whose\n" +
		"answer was passed on.",
	example: []string{"waybill explain req_0192f0c1d2e37f4a8b5c6d7e8f901234"},
	setup: func(f *flags) action {
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			answer, err := a.call(ctx, "GET", at("/requests/%s", args[0]), nil)
			if err != nil {
				return err
			}
			return show(w, answer, *asJSON, func(e explanation) error { return explain(w, e) })
		})
	},
}

func explain(w *work, e explanation) error {
	r := e.Request
	w.printf("%s of %s, %s UTC: %s\n", r.ID, r.Org, second(r.At), r.State)
	t := newTable("", "")
	t.row("asked for", fmt.Sprintf("%s, on the %s lane", r.ModelAsked, r.Lane))
	if route := e.route(); route != "" {
		t.row("route", route)
	}
	served := "latest leg"
	if r.State == "settled" {
		served = "answered by"
	}
	t.row(served, fmt.Sprintf("%s, on a %s credential", r.Model, r.Credential))
	if r.State == "settled" {
		t.row("tokens", fmt.Sprintf("%s in, %s cache read, %s cache write, %s out (%s of them reasoning), by the %s",
			grouped(r.Input), grouped(r.CacheRead), grouped(r.CacheWrite), grouped(r.Output), grouped(r.Reasoning), r.UsageSource))
		t.row("took", fmt.Sprintf("%s, first content after %s; finish reason %s; upstream's id %s",
			time.Duration(r.Duration).Round(time.Microsecond), time.Duration(r.FirstByte).Round(time.Microsecond), r.Finish, r.UpstreamID))
		t.row("list cost", r.ListCostUSD+" usd")
	}
	t.row("plan tokens", grouped(r.PlanTokens))
	t.row("charged", r.ChargeUSD+" usd")
	if r.SkipReason != "" {
		t.row("skipped", fmt.Sprintf("%s usd, because %s", r.SkippedUSD, r.SkipReason))
	}
	if r.OverageUSD != "" && r.OverageUSD != ledger.Nano(0).String() {
		t.row("overage", r.OverageUSD+" usd")
	}
	if r.Reason != "" {
		t.row("reason", r.Reason)
	}
	if err := t.write(w.stdout); err != nil {
		return err
	}
	w.printf("\nattempts\n")
	attempts := newTable("leg", "model", "credential", "outcome", ">status", "why", ">took")
	for _, a := range e.Attempts {
		attempts.row(fmt.Sprint(a.N), a.Model, a.Credential, a.Outcome, fmt.Sprint(a.Status), strings.TrimSpace(a.Class+" "+a.Reason), time.Duration(a.Latency).Round(time.Microsecond).String())
	}
	if err := attempts.write(w.stdout); err != nil {
		return err
	}
	w.printf("\nevents\n")
	events := newTable(">position", "type", "cause", "draws")
	for _, ev := range e.Events {
		events.row(fmt.Sprint(ev.Position), string(ev.Type), ev.Cause, draws(ev.Data))
	}
	if err := events.write(w.stdout); err != nil {
		return err
	}
	w.printf("\nentries\n")
	entries := newTable(">position", "event", "account", "unit", ">amount")
	for _, p := range e.Entries {
		entries.row(fmt.Sprint(p.Position), p.Type, p.Account, p.Unit, p.Amount)
	}
	return entries.write(w.stdout)
}

// route is which of its org's policy the request took, empty if there was no policy.
func (e *explanation) route() string {
	for _, ev := range e.Events {
		var admitted struct{ Inputs ledger.Inputs }
		if json.Unmarshal(ev.Data, &admitted) == nil && admitted.Inputs.Policy > 0 {
			return fmt.Sprintf("%s, of the policy's version %d", cmp.Or(admitted.Inputs.Route, "none matched"), admitted.Inputs.Policy)
		}
	}
	return ""
}

// draws says what an event held or took, in order.
func draws(data json.RawMessage) string {
	var e struct{ Held, Draws []ledger.Draw }
	if json.Unmarshal(data, &e) != nil {
		return ""
	}
	say := func(verb string, ds []ledger.Draw) string {
		var parts []string
		for _, d := range ds {
			amount := grouped(d.Amount)
			if d.Unit == ledger.USD {
				amount = ledger.Nano(d.Amount).String()
			}
			parts = append(parts, strings.TrimSpace(fmt.Sprintf("%s %s %s", amount, d.Unit, d.ID)))
		}
		if len(parts) == 0 {
			return ""
		}
		return verb + " " + strings.Join(parts, " + ")
	}
	return strings.TrimSpace(say("held", e.Held) + "  " + say("drew", e.Draws))
}
