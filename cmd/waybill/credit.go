package main

import (
	"context"
	"strconv"
)

// lotView is a lot of credit as the control API shows it.
type lotView struct {
	ID        string `json:"id"`
	Kind      string `json:"kind"`
	AmountUSD string `json:"amount_usd"`
	LeftUSD   string `json:"left_usd"`
	HeldUSD   string `json:"held_usd"`
	PaidUSD   string `json:"paid_usd"`
	Reference string `json:"reference"`
	Priority  int    `json:"priority"`
	ExpiresAt string `json:"expires_at"`
	State     string `json:"state"`
}

var creditPurchase = command{
	name:    "credit purchase",
	args:    "ORG DOLLARS",
	about:   "record credit that an org has paid for",
	more:    "One payment reference credits once: the same command again changes nothing and shows the lot of the first time.",
	example: []string{"waybill credit purchase acme 25.00 --reference invoice-1001"},
	setup: func(f *flags) action {
		reference := f.String("reference", "", "the payment's `ID` at the payment provider, or an invoice's")
		paid := f.String("paid", "", "the price in `DOLLARS`, if it is not the amount")
		expires := f.String("expires", "", "`WHEN` it lapses: a time, a day (at its beginning, UTC), or how long from now, such as 365d (default never)")
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			if *reference == "" {
				return misused("--reference is missing: it is what keeps a payment from being credited twice")
			}
			end, err := moment(*expires)
			if err != nil {
				return misused("--expires: %v", err)
			}
			body := map[string]any{"kind": "purchase", "amount_usd": args[1], "reference": *reference, "expires_at": end}
			if *paid != "" {
				body["paid_usd"] = *paid
			}
			return addCredit(ctx, w, a, args[0], body, *asJSON)
		})
	},
}

var creditGrant = command{
	name:    "credit grant",
	args:    "ORG DOLLARS",
	about:   "give an org credit that nobody paid for",
	example: []string{"waybill credit grant acme 5.00 --expires 30d"},
	setup: func(f *flags) action {
		priority := f.Int("priority", 0, "its place in the order of use: lower is used first")
		expires := f.String("expires", "", "`WHEN` it lapses: a time, a day (at its beginning, UTC), or how long from now, such as 30d (default never)")
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			end, err := moment(*expires)
			if err != nil {
				return misused("--expires: %v", err)
			}
			return addCredit(ctx, w, a, args[0], map[string]any{"kind": "grant", "amount_usd": args[1], "priority": *priority, "expires_at": end}, *asJSON)
		})
	},
}

var creditRefund = command{
	name:  "credit refund",
	args:  "ORG LOT",
	about: "return what is left of a purchase, or record a chargeback",
	more: "A refund takes what nobody holds of the lot, and no more. A chargeback may be more than that: what was spent already is the\n" +
		"house's loss, and the org is suspended.",
	example: []string{"waybill credit refund acme lot_0123 --reference re_77", "waybill credit refund acme lot_0123 --reference dp_9 --chargeback"},
	setup: func(f *flags) action {
		amount := f.String("amount", "", "`DOLLARS` (default all that is left; of a chargeback, the whole price)")
		reference := f.String("reference", "", "the refund's `ID` at the payment provider")
		chargeback := f.Bool("chargeback", false, "the payer took the money back")
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			if *reference == "" {
				return misused("--reference is missing")
			}
			body := map[string]any{"reference": *reference, "chargeback": *chargeback}
			if *amount != "" {
				body["amount_usd"] = *amount
			}
			answer, err := a.call(ctx, "POST", at("/orgs/%s/credits/%s/refund", args[0], args[1]), body)
			if err != nil {
				return err
			}
			return show(w, answer, *asJSON, func(r struct {
				Lot      lotView
				TakenUSD string `json:"taken_usd"`
				LossUSD  string `json:"loss_usd"`
			}) error {
				w.printf("taken from the lot %s, lost %s\n\n", r.TakenUSD, r.LossUSD)
				return lotTable(w, r.Lot)
			})
		})
	},
}

var creditLots = command{
	name:    "credit lots",
	args:    "ORG",
	about:   "list an org's lots of credit, in the order of use",
	example: []string{"waybill credit lots acme"},
	setup: func(f *flags) action {
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			answer, err := a.call(ctx, "GET", at("/orgs/%s/credits", args[0]), nil)
			if err != nil {
				return err
			}
			return show(w, answer, *asJSON, func(v struct{ Lots []lotView }) error { return lotTable(w, v.Lots...) })
		})
	},
}

func addCredit(ctx context.Context, w *work, a *api, org string, body map[string]any, asJSON bool) error {
	answer, err := a.call(ctx, "POST", at("/orgs/%s/credits", org), body)
	if err != nil {
		return err
	}
	return show(w, answer, asJSON, func(l lotView) error { return lotTable(w, l) })
}

func lotTable(w *work, lots ...lotView) error {
	t := newTable("lot", "kind", ">amount usd", ">left usd", ">held usd", ">paid usd", "reference", ">priority", "expires", "state")
	for _, l := range lots {
		t.row(l.ID, l.Kind, l.AmountUSD, l.LeftUSD, l.HeldUSD, l.PaidUSD, l.Reference, strconv.Itoa(l.Priority), second(l.ExpiresAt), l.State)
	}
	return t.write(w.stdout)
}
