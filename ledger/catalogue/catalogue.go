// Package catalogue is the data that a new log begins with: the plans as the product sells them, and the models and
// prices that were checked against their sources. At init each row becomes an event; from then on the log decides,
// and an operator changes prices by further events.
package catalogue

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"time"

	"waybill/ledger"
)

//go:embed catalogue.json
var embedded []byte

type file struct {
	Models []struct {
		Name      string   `json:"name"`
		Provider  string   `json:"provider"`
		ID        string   `json:"id"`
		Context   int64    `json:"context"`
		MaxOutput int64    `json:"max_output"`
		Features  []string `json:"features"`
	} `json:"models"`
	Prices []priceRow `json:"prices"`
}

type priceRow struct {
	ID    string     `json:"id"`
	Model string     `json:"model"`
	From  time.Time  `json:"from"`
	To    *time.Time `json:"to"`
	Tiers []struct {
		Above          int64  `json:"above"`
		Input          string `json:"input"`
		CacheRead      string `json:"cache_read"`
		CacheWrite     string `json:"cache_write"`
		CacheWriteLong string `json:"cache_write_long"`
		Output         string `json:"output"`
	} `json:"tiers"`
	ServiceTiers map[string]int64 `json:"service_tiers"`
}

// pool is the auto lane's models on plans without a manual one: the cheap one of each provider.
var pool = []string{"openai/gpt-6-luna", "anthropic/claude-haiku-5-5", "google/gemini-2.5-flash-lite"}

// Plans are the plans as the product sells them.
var Plans = []ledger.Plan{
	{ID: "free", Messages: 5, Lanes: []ledger.Lane{ledger.LaneAuto}, MaxInput: 32_768, MaxOutput: 2_048, Pool: pool},
	{ID: "starter", Tokens: 10_000_000, Lanes: []ledger.Lane{ledger.LaneAuto}, Credit: true, Pool: pool},
	{ID: "teams", Tokens: 20_000_000, Lanes: []ledger.Lane{ledger.LaneAuto, ledger.LaneManual}, Credit: true},
}

// Commands are what a new log begins with, in order.
func Commands(who ledger.By) ([]ledger.Command, error) {
	var f file
	if err := json.Unmarshal(embedded, &f); err != nil {
		return nil, fmt.Errorf("embedded catalogue: %w", err)
	}
	var out []ledger.Command
	for _, p := range Plans {
		out = append(out, ledger.DefinePlan{Who: who, Plan: p})
	}
	for _, m := range f.Models {
		out = append(out, ledger.PublishModel{Who: who, Model: ledger.Model{Name: m.Name, Provider: m.Provider, ID: m.ID,
			Context: m.Context, MaxOutput: m.MaxOutput, Features: m.Features}})
	}
	for _, row := range f.Prices {
		p, err := row.price()
		if err != nil {
			return nil, fmt.Errorf("embedded catalogue: %w", err)
		}
		out = append(out, ledger.PublishPrice{Who: who, Price: p})
	}
	return out, nil
}

func (row priceRow) price() (ledger.Price, error) {
	p := ledger.Price{ID: row.ID, Model: row.Model, From: ledger.InstantOf(row.From), ServiceTiers: row.ServiceTiers}
	if row.To != nil {
		p.To = ledger.InstantOf(*row.To)
	}
	for _, t := range row.Tiers {
		tier := ledger.Tier{Above: t.Above}
		for _, r := range []struct {
			text string
			rate *ledger.Rate
		}{{t.Input, &tier.Input}, {t.CacheRead, &tier.CacheRead}, {t.CacheWrite, &tier.CacheWrite},
			{t.CacheWriteLong, &tier.CacheWriteLong}, {t.Output, &tier.Output}} {
			rate, err := ledger.ParseRate(r.text)
			if err != nil {
				return p, fmt.Errorf("price %s: %w", row.ID, err)
			}
			*r.rate = rate
		}
		p.Tiers = append(p.Tiers, tier)
	}
	return p, nil
}
