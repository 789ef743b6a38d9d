package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"waybill/cmd/waybill/caller"
	"waybill/ledger"
	"waybill/router/sandbox"
	"waybill/store"
)

// tell walks one story, step by step. What it prints is read from the node's answers and its log; a step that is not as
// told ends it with an error.
func (d *demonstration) tell(ctx context.Context) error {
	d.w.printf("A node of waybill on %s, with a sandbox in place of OpenAI, Anthropic and Google.\n", d.url)
	var straddle string
	for i, step := range []struct {
		title string
		tell  func(context.Context) error
	}{
		{"Plan tokens: startup, on the plan starter, asks for model auto", d.planTokens},
		{"Lanes: startup names a model, which its plan does not cover", d.laneRefused},
		{"The end of the allowance: company, on the plan teams, spends its plan tokens", d.spendPlan},
		{"The straddle: one call takes the last plan tokens, and credit pays for the rest of it",
			func(ctx context.Context) (err error) { straddle, err = d.straddles(ctx); return err }},
		{"The end of the credit: company goes on until nothing is left", d.spendCredit},
		{"Own key: lab, on the plan free, calls a model on its own Anthropic key", d.ownKey},
		{"Fallback: Google, the cheapest, is overloaded, and startup asks for model auto", d.fallsBack},
		{"The proof: fold the log again, and hold it against what the upstreams served", d.proof},
		{"The trace of the straddle, as SQL", func(ctx context.Context) error { return d.asSQL(ctx, straddle) }},
	} {
		d.w.printf("\n%d. %s\n\n", i+1, step.title)
		if err := step.tell(ctx); err != nil {
			return fmt.Errorf("step %d of the story is not as told: %w", i+1, err)
		}
	}
	d.w.printf("\nAll of it is as it was told.\n")
	return nil
}

func (d *demonstration) ask(ctx context.Context, org, model, text string, outputCap int64) (caller.Answer, error) {
	return caller.Chat(ctx, d.url, d.keys[org], model, text, outputCap)
}

func (d *demonstration) balance(ctx context.Context, org string) (b balanceView, err error) {
	return b, d.api.get(ctx, at("/orgs/%s/balance", org), &b)
}

func (d *demonstration) trace(ctx context.Context, a caller.Answer) (e explanation, err error) {
	return e, d.api.get(ctx, at("/requests/%s", a.Request), &e)
}

// say prints a line of the story.
func (d *demonstration) say(format string, args ...any) { d.w.printf("   "+format+"\n", args...) }

// holds is an error with what should have been so.
func holds(is bool, format string, args ...any) error {
	if is {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// answered asks, and gives the trace of an answer that is there.
func (d *demonstration) answered(ctx context.Context, org, model, text string) (caller.Answer, explanation, error) {
	a, err := d.ask(ctx, org, model, text, 0)
	if err != nil {
		return a, explanation{}, err
	}
	if a.Status != 200 {
		return a, explanation{}, fmt.Errorf("%s asked %s and got %d %s: %s", org, model, a.Status, a.Code, a.Message)
	}
	e, err := d.trace(ctx, a)
	return a, e, err
}

func (d *demonstration) planTokens(ctx context.Context) error {
	before, err := d.balance(ctx, "startup")
	if err != nil {
		return err
	}
	a, e, err := d.answered(ctx, "startup", "auto", "What is a waybill?")
	if err != nil {
		return err
	}
	after, err := d.balance(ctx, "startup")
	if err != nil {
		return err
	}
	r := e.Request
	d.say("%s answers: %q", r.Model, a.Text)
	d.say("%s tokens in and %s out. Paid by: %s. Charge: %s usd.", grouped(r.Input), grouped(r.Output), a.Billing, r.ChargeUSD)
	d.say("Plan tokens: %s before, %s drawn, %s left.", grouped(before.Plan.Tokens), grouped(r.PlanTokens), grouped(after.Plan.Tokens))
	return errors.Join(
		holds(a.Billing == "plan" && r.PlanTokens == r.total() && r.total() > 0, "%d tokens were used, and %d were drawn", r.total(), r.PlanTokens),
		holds(before.Plan.Tokens-after.Plan.Tokens == r.PlanTokens, "the balance moved by %d", before.Plan.Tokens-after.Plan.Tokens))
}

func (d *demonstration) laneRefused(ctx context.Context) error {
	before, err := d.balance(ctx, "startup")
	if err != nil {
		return err
	}
	a, err := d.ask(ctx, "startup", "anthropic/claude-sonnet-5-5", "Hello", 0)
	if err != nil {
		return err
	}
	after, err := d.balance(ctx, "startup")
	if err != nil {
		return err
	}
	d.say("%d %s: %s", a.Status, a.Code, a.Message)
	d.say("Plan tokens: %s, as before.", grouped(after.Plan.Tokens))
	return errors.Join(holds(a.Status == 403 && a.Code == string(ledger.CodePlanExcludesModel), "it should be 403 %s", ledger.CodePlanExcludesModel),
		holds(before.Plan.Tokens == after.Plan.Tokens, "the balance moved"))
}

// spendPlan makes calls that think much and say little, since twenty million tokens of text take a while to write.
func (d *demonstration) spendPlan(ctx context.Context) error {
	const most = 128_000 // output of one answer of the model
	before, err := d.balance(ctx, "company")
	if err != nil {
		return err
	}
	calls, left := 0, before.Plan.Tokens
	for left > 3000 {
		outputCap := min(most, left-1000)
		a, err := d.ask(ctx, "company", "openai/gpt-6-luna", fmt.Sprintf("Think. [[sandbox reasoning=%d output=50]]", outputCap-100), outputCap)
		if err != nil {
			return err
		}
		if a.Status != 200 || a.Billing != "plan" {
			return fmt.Errorf("call %d: %d %s, paid by %q: %s", calls+1, a.Status, a.Code, a.Billing, a.Message)
		}
		now, err := d.balance(ctx, "company")
		if err != nil {
			return err
		}
		calls, left = calls+1, now.Plan.Tokens
	}
	var sums struct {
		Usage []struct {
			Requests   int   `json:"requests"`
			PlanTokens int64 `json:"plan_tokens"`
		}
	}
	if err := d.api.get(ctx, "/orgs/company/usage?by=model", &sums); err != nil {
		return err
	}
	u := sums.Usage[0]
	d.say("%d calls to openai/gpt-6-luna, which thinks much and says little, draw %s plan tokens.", u.Requests, grouped(u.PlanTokens))
	d.say("Plan tokens: %s before, %s left.", grouped(before.Plan.Tokens), grouped(left))
	return holds(u.Requests == calls && before.Plan.Tokens-u.PlanTokens == left, "%d calls took %d", calls, before.Plan.Tokens-left)
}

func (d *demonstration) straddles(ctx context.Context) (request string, err error) {
	var lot lotView
	if err := d.api.post(ctx, "/orgs/company/credits", map[string]any{"kind": "purchase", "amount_usd": "0.25", "reference": "demo-invoice-1"}, &lot); err != nil {
		return "", err
	}
	before, err := d.balance(ctx, "company")
	if err != nil {
		return "", err
	}
	a, e, err := d.answered(ctx, "company", "anthropic/claude-sonnet-5-5", "Tell a story. [[sandbox output=2000]]")
	if err != nil {
		return "", err
	}
	after, err := d.balance(ctx, "company")
	if err != nil {
		return "", err
	}
	r := e.Request
	d.say("company has %s plan tokens and has bought %s usd of credit.", grouped(before.Plan.Tokens), before.CreditUSD)
	d.say("%s answers with %s tokens in and %s out, at a list cost of %s usd. Paid by: %s.", r.Model, grouped(r.Input), grouped(r.Output), r.ListCostUSD, a.Billing)
	d.say("%s of the %s tokens are plan tokens; the other %s cost %s usd of credit.", grouped(r.PlanTokens), grouped(r.total()), grouped(r.total()-r.PlanTokens), r.ChargeUSD)
	d.say("Plan tokens: %s left. Credit: %s usd left.", grouped(after.Plan.Tokens), after.CreditUSD)
	had, err1 := ledger.ParseDollars(before.CreditUSD)
	has, err2 := ledger.ParseDollars(after.CreditUSD)
	charge, err3 := ledger.ParseDollars(r.ChargeUSD)
	return r.ID, errors.Join(err1, err2, err3,
		holds(a.Billing == "plan+credit" && r.PlanTokens == before.Plan.Tokens && after.Plan.Tokens == 0, "%s paid, and %d plan tokens are left", a.Billing, after.Plan.Tokens),
		holds(charge > 0 && had-has == charge, "credit moved by %s", had-has))
}

func (d *demonstration) spendCredit(ctx context.Context) error {
	for range 20 {
		a, err := d.ask(ctx, "company", "anthropic/claude-sonnet-5-5", "Go on. [[sandbox output=30000]]", 0)
		if err != nil {
			return err
		}
		b, err := d.balance(ctx, "company")
		if err != nil {
			return err
		}
		if a.Status != 200 {
			d.say("%d %s: %s", a.Status, a.Code, a.Message)
			d.say("Credit: %s usd left, %s held. It never went below zero.", b.CreditUSD, b.HeldUSD)
			left, err := ledger.ParseDollars(b.CreditUSD)
			return errors.Join(err, holds(a.Status == 402 && a.Code == string(ledger.CodeInsufficientFunds), "it should be 402 %s", ledger.CodeInsufficientFunds),
				holds(left >= 0 && b.HeldUSD == ledger.Nano(0).String(), "the balance is %s", b.CreditUSD))
		}
		if err := holds(a.Billing == "credit", "%s paid", a.Billing); err != nil {
			return err
		}
		d.say("%s answers with at most %s tokens, which is what the credit pays for. Charge: %s usd. Credit: %s usd left.", a.Model, thousands(a.OutputCap), a.Charge, b.CreditUSD)
	}
	return errors.New("the credit has no end")
}

func (d *demonstration) ownKey(ctx context.Context) error {
	before, err := d.balance(ctx, "lab")
	if err != nil {
		return err
	}
	a, e, err := d.answered(ctx, "lab", "anthropic/claude-sonnet-5-5", "Who pays for this?")
	if err != nil {
		return err
	}
	after, err := d.balance(ctx, "lab")
	if err != nil {
		return err
	}
	r := e.Request
	d.say("%s answers on a %s credential: %s tokens in and %s out.", r.Model, r.Credential, grouped(r.Input), grouped(r.Output))
	d.say("Charge: %s usd. Skipped: %s usd of list cost, because %s. Free messages: %d, as before.", r.ChargeUSD, r.SkippedUSD, r.SkipReason, after.Free.Messages)
	skipped, err := ledger.ParseDollars(r.SkippedUSD)
	return errors.Join(err,
		holds(a.Billing == "byok" && r.Credential == "byok" && r.ChargeUSD == ledger.Nano(0).String() && skipped > 0 && r.SkippedUSD == r.ListCostUSD, "%s paid, charge %s", a.Billing, r.ChargeUSD),
		holds(before.Free == after.Free && before.CreditUSD == after.CreditUSD, "a balance moved"))
}

func (d *demonstration) fallsBack(ctx context.Context) error {
	undo := d.up.Script(sandbox.Google, "", sandbox.Script{Fail: sandbox.Overloaded})
	defer undo()
	_, e, err := d.answered(ctx, "startup", "auto", "Are you there?")
	if err != nil {
		return err
	}
	for _, a := range e.Attempts {
		line := fmt.Sprintf("leg %d, %s: %s with status %d", a.N, a.Model, a.Outcome, a.Status)
		if a.Class != "" {
			line += fmt.Sprintf(" (%s, %s)", a.Class, a.Reason)
		}
		d.say("%s", line)
	}
	d.say("Plan tokens drawn: %s, for the answer that came.", grouped(e.Request.PlanTokens))
	n := len(e.Attempts)
	return holds(n == 2 && e.Attempts[0].Outcome == string(ledger.Failed) && e.Attempts[1].Outcome == string(ledger.Answered) &&
		e.Request.PlanTokens == e.Request.total(), "there were %d attempts", n)
}

func (d *demonstration) proof(ctx context.Context) (err error) {
	var said bytes.Buffer
	err = verify(ctx, &work{conf: d.w.conf, stdout: &said, stderr: d.w.stderr}, nil, "", false)
	for line := range strings.Lines(said.String()) {
		d.say("%s", strings.TrimSpace(line))
	}
	if err != nil {
		return err
	}
	var whole, tokens int64
	calls := d.up.Calls()
	for _, c := range calls {
		if c.Outcome == sandbox.Completed {
			whole++
			tokens += int64(c.Tokens.Input + c.Tokens.Output)
		}
	}
	if err := catchUp(ctx, d.w.conf.data); err != nil {
		return err
	}
	row, err := d.row(ctx, `SELECT count(*), sum(outcome = 'answered'), sum(input_tokens + cache_read_tokens + cache_write_tokens + output_tokens) FROM attempts`)
	if err != nil {
		return err
	}
	d.say("The upstreams served %s calls, %s of them whole, with %s tokens.", grouped(int64(len(calls))), grouped(whole), grouped(tokens))
	d.say("The log has     %s calls, %s of them answered, with %s tokens.", grouped(row[0]), grouped(row[1]), grouped(row[2]))
	return holds(row[0] == int64(len(calls)) && row[1] == whole && row[2] == tokens, "they differ")
}

// row asks the log a question whose answer is one row of numbers.
func (d *demonstration) row(ctx context.Context, query string) (numbers []int64, err error) {
	rows, err := store.Query(ctx, d.w.conf.data, query, store.Limits{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for row, err := range rows.All() {
		if err != nil {
			return nil, err
		}
		for _, v := range row {
			n, _ := v.(int64)
			numbers = append(numbers, n)
		}
	}
	return numbers, nil
}

// thousands groups a number that came as text.
func thousands(s string) string {
	var n int64
	if _, err := fmt.Sscan(s, &n); err != nil {
		return s
	}
	return grouped(n)
}

// asSQL prints what an export says of one request: its row in requests, its attempts and its entries.
func (d *demonstration) asSQL(ctx context.Context, request string) (err error) {
	r, err := store.OpenReader(ctx, d.w.conf.data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	var dump bytes.Buffer
	if err := export(ctx, &dump, r, store.ExportOptions{Format: store.FormatSQL}); err != nil {
		return err
	}
	insert, printed := "", 0
	for line := range strings.Lines(dump.String()) {
		if strings.HasPrefix(line, "INSERT INTO ") {
			insert = strings.TrimSpace(line)
		}
		if strings.HasPrefix(insert, "INSERT INTO events") || !strings.Contains(line, "'"+request+"'") {
			continue
		}
		row := strings.TrimRight(strings.TrimSpace(line), ",;")
		d.say("%s %s;", insert, row)
		printed++
	}
	return holds(printed >= 3, "an export has %d rows of it", printed)
}
