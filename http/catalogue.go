package http

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"waybill/ledger"
	"waybill/router"
)

// model is a row of the catalogue, as the control API shows it.
type model struct {
	ID         string   `json:"id"` // provider/upstream_id
	Provider   string   `json:"provider"`
	UpstreamID string   `json:"upstream_id"` // the provider's own name
	Context    int64    `json:"context"`     // tokens in and out together
	MaxOutput  int64    `json:"max_output"`
	Features   []string `json:"features"`
	Retired    bool     `json:"retired"`
	Price      string   `json:"price,omitempty"` // id of the row in force; none: paid capacity is closed
}

type models struct {
	Models []model `json:"models"`
}

type newModel struct {
	Provider   string   `json:"provider"`
	UpstreamID string   `json:"upstream_id"`
	Context    int64    `json:"context"`
	MaxOutput  int64    `json:"max_output"`
	Features   []string `json:"features"`
}

type newModels struct {
	Models []newModel `json:"models"`
}

// price is a dated row of rates, in dollars for a million tokens.
type price struct {
	ID           string           `json:"id"`
	Model        string           `json:"model"`
	From         Time             `json:"from"`
	To           Time             `json:"to"` // null: until further notice
	Tiers        []tier           `json:"tiers"`
	ServiceTiers map[string]int64 `json:"service_tiers,omitempty"` // multiplier in basis points
	Withdrawn    bool             `json:"withdrawn"`
	InForce      bool             `json:"in_force"`
}

// tier is the rates of a request whose input is larger than so many tokens.
type tier struct {
	Above          int64 `json:"above"`
	Input          Rate  `json:"input"`
	CacheRead      Rate  `json:"cache_read"`
	CacheWrite     Rate  `json:"cache_write"`
	CacheWriteLong Rate  `json:"cache_write_long"`
	Output         Rate  `json:"output"`
}

type prices struct {
	Prices []price `json:"prices"`
}

type newPrices struct {
	Prices []newPrice `json:"prices"`
}

type newPrice struct {
	ID           string           `json:"id"` // made unless given
	Model        string           `json:"model"`
	From         Time             `json:"from"` // now unless given
	To           Time             `json:"to"`
	Tiers        []newTier        `json:"tiers"`
	ServiceTiers map[string]int64 `json:"service_tiers"`
}

// newTier has no rate that may be left out: what has none would be free.
type newTier struct {
	Above          int64       `json:"above"`
	Input          given[Rate] `json:"input"`
	CacheRead      given[Rate] `json:"cache_read"`
	CacheWrite     given[Rate] `json:"cache_write"`
	CacheWriteLong given[Rate] `json:"cache_write_long"`
	Output         given[Rate] `json:"output"`
}

func (t newTier) tier(n int) (ledger.Tier, error) {
	out := ledger.Tier{Above: t.Above}
	for _, class := range []struct {
		name string
		rate given[Rate]
		to   *ledger.Rate
	}{{"input", t.Input, &out.Input}, {"cache_read", t.CacheRead, &out.CacheRead}, {"cache_write", t.CacheWrite, &out.CacheWrite},
		{"cache_write_long", t.CacheWriteLong, &out.CacheWriteLong}, {"output", t.Output, &out.Output}} {
		if !class.rate.set {
			return out, invalid(fmt.Sprintf("tiers[%d].%s", n, class.name), `is required: without a rate it would be free; say "0" where it is`)
		}
		*class.to = ledger.Rate(class.rate.value)
	}
	return out, nil
}

func catalogueRoutes() []route {
	return []route{
		endpoint(http.MethodGet, "/api/v1/models", "The catalogue of models", known, listCatalogue),
		create("/api/v1/models", "Publish a model, or a new description of one", operator, publishModel),
		create("/api/v1/models/batch", "Publish several models, all or none", operator, publishModels),
		endpoint(http.MethodDelete, "/api/v1/models/{model:.+}", "Take a model out of use", operator, retireModel),
		endpoint(http.MethodGet, "/api/v1/prices", "The price rows", known, listPrices),
		create("/api/v1/prices", "Publish a price row", operator, publishPrice),
		create("/api/v1/prices/batch", "Publish several price rows, all or none", operator, publishPrices),
		endpoint(http.MethodDelete, "/api/v1/prices/{id:.+}", "Withdraw a price row, also one that has not started", operator, withdrawPrice),
	}
}

func (c *call) modelRow(st *ledger.State, m *ledger.Model) model {
	row := model{ID: m.Name, Provider: m.Provider, UpstreamID: m.ID, Context: m.Context, MaxOutput: m.MaxOutput, Features: append([]string{}, m.Features...), Retired: m.Retired}
	if p := st.PriceOf(m.Name, ledger.InstantOf(c.s.o.Now())); p != nil {
		row.Price = p.ID
	}
	return row
}

func listCatalogue(c *call, _ nothing) (models, error) {
	out := models{Models: []model{}}
	c.s.o.Books.View(func(st *ledger.State) {
		for _, m := range st.Models() {
			out.Models = append(out.Models, c.modelRow(st, m))
		}
	})
	return out, nil
}

// features are what can be said of a model.
var features = []string{ledger.FeatureChat, ledger.FeatureEmbedding, ledger.FeatureReasoning, ledger.FeatureSampling, ledger.FeatureImages, ledger.FeatureDocuments, ledger.FeatureTools,
	ledger.FeatureStructured, ledger.FeaturePrefill, ledger.FeatureMaxTokens, ledger.FeatureBudget, ledger.FeatureAutoTools, ledger.FeatureResponsesTools}

// model takes no feature and no provider that is not known: a misspelt one would show only in calls that fail.
func (c *call) model(in newModel) (m ledger.Model, err error) {
	if !slices.Contains(c.s.o.Providers, in.Provider) {
		return m, invalid("provider", "must be one of "+strings.Join(c.s.o.Providers, ", "))
	}
	for i, f := range in.Features {
		if !slices.Contains(features, f) {
			return m, invalid(fmt.Sprintf("features[%d]", i), fmt.Sprintf("is %q, and must be one of %s", f, strings.Join(features, ", ")))
		}
	}
	if !slices.Contains(in.Features, ledger.FeatureChat) && !slices.Contains(in.Features, ledger.FeatureEmbedding) {
		return m, invalid("features", "must have chat or embedding: else there is nothing to call the model for")
	}
	return ledger.Model{Name: in.Provider + "/" + in.UpstreamID, Provider: in.Provider, ID: in.UpstreamID, Context: in.Context, MaxOutput: in.MaxOutput, Features: in.Features}, nil
}

func publishModel(c *call, in newModel) (model, error) {
	m, err := c.model(in)
	if err != nil {
		return model{}, err
	}
	return c.changeModel(m.Name, ledger.PublishModel{Who: c.by, Model: m})
}

func publishModels(c *call, in newModels) (out models, err error) {
	cmd := ledger.PublishModels{Who: c.by}
	if cmd.Models, err = each("models", in.Models, c.model); err != nil {
		return out, err
	}
	if _, err := c.s.o.Books.Execute(c, cmd); err != nil {
		return out, err
	}
	c.s.o.Books.View(func(st *ledger.State) {
		for _, m := range cmd.Models {
			out.Models = append(out.Models, c.modelRow(st, st.Model(m.Name)))
		}
	})
	return out, nil
}

// each reads the rows of a list. What is wrong with one is told by its place in the list.
func each[In, Out any](list string, rows []In, read func(In) (Out, error)) (all []Out, err error) {
	for i, row := range rows {
		out, err := read(row)
		if f, ok := errors.AsType[*router.FieldError](err); ok {
			return nil, invalid(fmt.Sprintf("%s[%d].%s", list, i, f.Field), f.Reason)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, out)
	}
	return all, nil
}

func retireModel(c *call, _ nothing) (model, error) {
	return c.changeModel(c.vars["model"], ledger.RetireModel{Who: c.by, Model: c.vars["model"]})
}

func (c *call) changeModel(name string, cmd ledger.Command) (row model, err error) {
	if _, err := c.s.o.Books.Execute(c, cmd); err != nil {
		return model{}, err
	}
	err = notFound("model", name)
	c.s.o.Books.View(func(st *ledger.State) {
		if m := st.Model(name); m != nil {
			row, err = c.modelRow(st, m), nil
		}
	})
	return row, err
}

func priceRow(p *ledger.Price, inForce bool) price {
	row := price{ID: p.ID, Model: p.Model, From: Time(p.From), To: Time(p.To), ServiceTiers: p.ServiceTiers, Withdrawn: p.Withdrawn, InForce: inForce, Tiers: []tier{}}
	for _, t := range p.Tiers {
		row.Tiers = append(row.Tiers, tier{t.Above, Rate(t.Input), Rate(t.CacheRead), Rate(t.CacheWrite), Rate(t.CacheWriteLong), Rate(t.Output)})
	}
	return row
}

func (c *call) allPrices() []price {
	now, rows := ledger.InstantOf(c.s.o.Now()), []price{}
	c.s.o.Books.View(func(st *ledger.State) {
		for _, p := range st.Prices() {
			q := st.PriceOf(p.Model, now)
			rows = append(rows, priceRow(p, q != nil && q.ID == p.ID))
		}
	})
	return rows
}

func (c *call) priceOf(id string) (price, error) {
	for _, p := range c.allPrices() {
		if p.ID == id {
			return p, nil
		}
	}
	return price{}, notFound("price", id)
}

func listPrices(c *call, _ nothing) (prices, error) { return prices{Prices: c.allPrices()}, nil }

func (c *call) price(in newPrice) (ledger.Price, error) {
	p := ledger.Price{ID: in.ID, Model: in.Model, From: ledger.Instant(in.From), To: ledger.Instant(in.To), ServiceTiers: in.ServiceTiers}
	if p.ID == "" {
		p.ID = "price_" + c.s.o.NewID()
	}
	if p.From == 0 {
		p.From = ledger.InstantOf(c.s.o.Now())
	}
	for i, t := range in.Tiers {
		tier, err := t.tier(i)
		if err != nil {
			return p, err
		}
		p.Tiers = append(p.Tiers, tier)
	}
	return p, nil
}

func publishPrice(c *call, in newPrice) (price, error) {
	p, err := c.price(in)
	if err != nil {
		return price{}, err
	}
	rows, err := c.published(ledger.PublishPrice{Who: c.by, Price: p})
	if err != nil {
		return price{}, err
	}
	return rows[0], nil
}

func publishPrices(c *call, in newPrices) (out prices, err error) {
	cmd := ledger.PublishPrices{Who: c.by}
	if cmd.Prices, err = each("prices", in.Prices, c.price); err != nil {
		return out, err
	}
	out.Prices, err = c.published(cmd)
	return out, err
}

// published publishes price rows, and shows them as they were published first if that is a repetition.
func (c *call) published(cmd ledger.Command) (rows []price, err error) {
	rec, err := c.s.o.Books.Execute(c, cmd)
	if err != nil {
		return nil, err
	}
	for _, r := range rec.Records {
		row, err := c.priceOf(r.Event.(*ledger.PricePublished).ID)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func withdrawPrice(c *call, _ nothing) (price, error) {
	if _, err := c.s.o.Books.Execute(c, ledger.WithdrawPrice{Who: c.by, Price: c.vars["id"]}); err != nil {
		return price{}, err
	}
	return c.priceOf(c.vars["id"])
}
