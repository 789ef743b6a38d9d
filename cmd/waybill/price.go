package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	wbhttp "waybill/http"
)

// priceView is a price row as the control API shows it.
type priceView struct {
	ID    string `json:"id"`
	Model string `json:"model"`
	From  string `json:"from"`
	To    string `json:"to"`
	Tiers []struct {
		Above          int64  `json:"above"`
		Input          string `json:"input"`
		CacheRead      string `json:"cache_read"`
		CacheWrite     string `json:"cache_write"`
		CacheWriteLong string `json:"cache_write_long"`
		Output         string `json:"output"`
	} `json:"tiers"`
	Withdrawn bool `json:"withdrawn"`
	InForce   bool `json:"in_force"`
}

var priceList = command{
	name:    "price list",
	about:   "list the prices: dollars a million tokens, by model and date",
	example: []string{"waybill price list", "waybill price list --model openai/gpt-6-luna"},
	setup: func(f *flags) action {
		model := f.String("model", "", "in the table, those of one `MODEL` alone")
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, _ []string) error {
			answer, err := a.call(ctx, "GET", "/prices", nil)
			if err != nil {
				return err
			}
			return show(w, answer, *asJSON, func(v struct{ Prices []priceView }) error {
				return priceTable(w, slices.DeleteFunc(v.Prices, func(p priceView) bool { return *model != "" && p.Model != *model })...)
			})
		})
	},
}

var pricePublish = command{
	name:  "price publish",
	args:  "FILE",
	about: "publish prices from a file, from now on or from a later day",
	more: `FILE is YAML or JSON, "-" the standard input. It has one row, or a list of them named prices:

  prices:
    - id: gpt-6-luna-december           # made unless given; it stands in every bill
      model: openai/gpt-6-luna
      from: 2026-12-15                  # a day (UTC) or a time; now unless given
      to: 2027-01-01                    # until further notice unless given
      tiers:                            # dollars a million tokens, none left out
        - {above: 0, input: 0.25, cache_read: 0.025, cache_write: 0.3125, cache_write_long: 0.5, output: 1.25}
      service_tiers: {flex: 5000}       # of the rates, in hundredths of a percent; may be left out

All rows are published, or none if one is refused. A row takes the place of those of its model that started earlier, from its first
instant to its last. Rows are never edited: what was billed stays as it was.`,
	example: []string{"waybill price publish december.yml", "waybill price publish - < december.json"},
	setup: func(f *flags) action {
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			rows, several, err := readRows[priceRow](w, args[0], "prices")
			if err != nil {
				return err
			}
			answer, err := publish(ctx, a, "/prices", "prices", rows, several)
			if err != nil {
				return err
			}
			return showRows(w, answer, several, *asJSON, "prices", func(rows []priceView) error { return priceTable(w, rows...) })
		})
	},
}

var priceWithdraw = command{
	name:  "price withdraw",
	args:  "PRICE",
	about: "take a price row out of force, also one that has not started",
	more: "PRICE is a row's id. The row that it took the place of is in force again; without one, paid capacity of the model is closed.\n" +
		"What was billed stays as it was.",
	example: []string{"waybill price withdraw gpt-6-luna-december"},
	setup: func(f *flags) action {
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			answer, err := a.call(ctx, "DELETE", at("/prices/%s", args[0]), nil)
			if err != nil {
				return err
			}
			return show(w, answer, *asJSON, func(p priceView) error {
				var v struct{ Models []modelView }
				if err := a.get(ctx, "/models", &v); err != nil {
					return err
				}
				w.printf("withdrew %s\n", printable(p.ID))
				for _, m := range v.Models {
					switch {
					case m.ID != p.Model:
					case m.Price == "":
						w.printf("%s has no price in force: it is open to orgs' own keys only\n", printable(m.ID))
					default:
						w.printf("%s is billed by %s\n", printable(m.ID), printable(m.Price))
					}
				}
				return nil
			})
		})
	},
}

// publish publishes the rows of a file, all or none. Where one is refused, its place is told.
func publish[T any](ctx context.Context, a *api, path, list string, rows []fileRow[T], several bool) (json.RawMessage, error) {
	if !several {
		answer, err := a.call(ctx, "POST", path, rows[0].value)
		if err != nil {
			err = fmt.Errorf("%s: %w", rows[0].place, err)
		}
		return answer, err
	}
	values := make([]T, len(rows))
	for i, r := range rows {
		values[i] = r.value
	}
	answer, err := a.call(ctx, "POST", path+"/batch", map[string]any{list: values})
	if p, ok := errors.AsType[*wbhttp.Problem](err); ok {
		var n int
		if _, e := fmt.Sscanf(p.Detail, list+"[%d]", &n); e == nil && n < len(rows) {
			_, reason, _ := strings.Cut(p.Detail, "]")
			return nil, fmt.Errorf("%s: %s; nothing of the file is published", rows[n].place, strings.TrimLeft(reason, ":. "))
		}
	}
	return answer, err
}

// showRows prints what publish gave.
func showRows[T any](w *work, answer json.RawMessage, several, asJSON bool, list string, people func([]T) error) error {
	if !several {
		return show(w, answer, asJSON, func(row T) error { return people([]T{row}) })
	}
	return show(w, answer, asJSON, func(v map[string][]T) error { return people(v[list]) })
}

func priceTable(w *work, prices ...priceView) error {
	t := newTable("model", "from", "to", ">input above", ">input", ">cache read", ">cache write", ">long write", ">output", "state", "id")
	now := time.Now()
	for _, p := range prices {
		for _, r := range p.Tiers {
			t.row(p.Model, day(p.From), day(p.To), strconv.FormatInt(r.Above, 10), r.Input, r.CacheRead, r.CacheWrite, r.CacheWriteLong, r.Output, p.state(now), p.ID)
		}
	}
	return t.write(w.stdout)
}

func (p priceView) state(now time.Time) string {
	ahead := func(s string) bool {
		t, err := time.Parse(time.RFC3339Nano, s)
		return err == nil && t.After(now)
	}
	switch {
	case p.Withdrawn:
		return "withdrawn"
	case p.InForce:
		return "in force"
	case ahead(p.From):
		return "to come"
	case p.To != "" && !ahead(p.To):
		return "over"
	}
	return "superseded"
}

// day shows a time of the control API to the day, if it is the day's beginning, else to the second.
func day(s string) string {
	if d, ok := strings.CutSuffix(s, "T00:00:00Z"); ok {
		return d
	}
	return second(s)
}
