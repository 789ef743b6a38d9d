package main

import (
	"context"
	"strings"
)

// modelView is a model as the control API shows it.
type modelView struct {
	ID        string   `json:"id"`
	Provider  string   `json:"provider"`
	Context   int64    `json:"context"`
	MaxOutput int64    `json:"max_output"`
	Features  []string `json:"features"`
	Retired   bool     `json:"retired"`
	Price     string   `json:"price"`
}

var modelList = command{
	name:    "model list",
	about:   "list the models of the catalogue",
	example: []string{"waybill model list"},
	setup: func(f *flags) action {
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, _ []string) error {
			answer, err := a.call(ctx, "GET", "/models", nil)
			if err != nil {
				return err
			}
			return show(w, answer, *asJSON, func(v struct{ Models []modelView }) error {
				t := newTable("model", ">context", ">max output", "price in force", "features")
				for _, m := range v.Models {
					price := m.Price
					switch {
					case m.Retired:
						price = "retired"
					case price == "":
						price = "none: own keys only"
					}
					t.row(m.ID, grouped(m.Context), grouped(m.MaxOutput), price, strings.Join(m.Features, " "))
				}
				return t.write(w.stdout)
			})
		})
	},
}
