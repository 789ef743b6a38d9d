package main

import (
	"context"
	"slices"
	"strconv"
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
				return priceTable(w, slices.DeleteFunc(v.Prices, func(p priceView) bool { return *model != "" && p.Model != *model }))
			})
		})
	},
}

func priceTable(w *work, prices []priceView) error {
	t := newTable("model", "from", "to", ">input above", ">input", ">cache read", ">cache write", ">long write", ">output", "state")
	for _, p := range prices {
		state := ""
		switch {
		case p.Withdrawn:
			state = "withdrawn"
		case p.InForce:
			state = "in force"
		}
		for _, r := range p.Tiers {
			t.row(p.Model, day(p.From), day(p.To), strconv.FormatInt(r.Above, 10), r.Input, r.CacheRead, r.CacheWrite, r.CacheWriteLong, r.Output, state)
		}
	}
	return t.write(w.stdout)
}

// day shows a time of the control API to the day.
func day(s string) string { return s[:min(len(s), len("2006-01-02"))] }
