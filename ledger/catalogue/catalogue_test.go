package catalogue_test

import (
	"encoding/json"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/ledger"
	"waybill/ledger/catalogue"
)

var who = ledger.By{Actor: "operator", Cause: "init"}

// state is a log that begins with the catalogue, at a day.
func state(t *testing.T, day time.Time) *ledger.State {
	t.Helper()
	commands, err := catalogue.Commands(who)
	if err != nil {
		t.Fatal(err)
	}
	s := ledger.NewState()
	d := s.Draft(func() (id [16]byte) { return id })
	for _, c := range commands {
		if recs, err := d.Decide(ledger.InstantOf(day), c); err != nil || len(recs) != 1 {
			t.Fatalf("%+v makes %d events: %v", c, len(recs), err)
		}
	}
	s.Merge(d)
	return s
}

var today = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// TestPlans: the plans are those that the product sells.
func TestPlans(t *testing.T) {
	s := state(t, today)
	auto, both := []ledger.Lane{ledger.LaneAuto}, []ledger.Lane{ledger.LaneAuto, ledger.LaneManual}
	for id, want := range map[string]ledger.Plan{
		"free":    {Messages: 5, Lanes: auto},
		"starter": {Tokens: 10_000_000, Lanes: auto, Credit: true},
		"teams":   {Tokens: 20_000_000, Lanes: both, Credit: true},
	} {
		p := s.Plan(id)
		if p == nil || p.Tokens != want.Tokens || p.Messages != want.Messages || !slices.Equal(p.Lanes, want.Lanes) || p.Credit != want.Credit || p.Markup != 0 || len(p.Weights) != 0 {
			t.Errorf("plan %s is %+v", id, p)
		}
	}
	if p := s.Plan(ledger.FreePlan); p.MaxInput <= 0 || p.MaxOutput <= 0 {
		t.Error("a free message has no bounds")
	}
	if n := len(s.Plans()); n != 3 {
		t.Errorf("%d plans", n)
	}
}

// TestModels: there are about 40, of the three providers, each with a price today, and each found by its bare name.
func TestModels(t *testing.T) {
	s := state(t, today)
	models := s.Models()
	if len(models) < 40 {
		t.Errorf("%d models", len(models))
	}
	features := []string{ledger.FeatureChat, ledger.FeatureEmbedding, ledger.FeatureReasoning, ledger.FeatureSampling, ledger.FeatureImages, ledger.FeatureDocuments,
		ledger.FeatureTools, ledger.FeatureStructured, ledger.FeaturePrefill, ledger.FeatureMaxTokens, ledger.FeatureBudget, ledger.FeatureAutoTools, ledger.FeatureResponsesTools}
	providers := map[string]int{}
	for _, m := range models {
		providers[m.Provider]++
		if s.PriceOf(m.Name, ledger.InstantOf(today)) == nil {
			t.Errorf("%s has no price today: paid calls to it would fail", m.Name)
		}
		if s.Model(m.ID) != m {
			t.Errorf("%s is not what %s names", m.Name, m.ID)
		}
		for _, f := range m.Features {
			if !slices.Contains(features, f) {
				t.Errorf("%s has a feature %q that nothing asks about", m.Name, f)
			}
		}
		if !m.Has(ledger.FeatureChat) && !m.Has(ledger.FeatureEmbedding) {
			t.Errorf("%s neither chats nor embeds", m.Name)
		}
		if m.Has(ledger.FeatureChat) && m.MaxOutput <= 0 || m.MaxOutput > m.Context {
			t.Errorf("%s puts out %d of %d tokens", m.Name, m.MaxOutput, m.Context)
		}
	}
	for _, p := range []string{"openai", "anthropic", "google"} {
		if providers[p] < 5 {
			t.Errorf("%d models of %s", providers[p], p)
		}
	}
	if len(providers) != 3 {
		t.Errorf("providers %v", providers)
	}
}

// TestPrices: no two rows of a model overlap, and none leaves a gap, so that each instant has one price.
func TestPrices(t *testing.T) {
	s := state(t, today)
	rows := map[string][]*ledger.Price{}
	for _, p := range s.Prices() {
		rows[p.Model] = append(rows[p.Model], p)
		if !strings.HasPrefix(p.ID, p.Model+"@") {
			t.Errorf("price %s is of %s", p.ID, p.Model)
		}
		for _, tier := range p.Tiers {
			if tier.CacheRead > tier.Input || tier.CacheWrite > tier.CacheWriteLong || tier.CacheWrite < tier.Input {
				t.Errorf("price %s: a cache that is read costs at most the input, one that is written at least that, a long one most: %+v", p.ID, tier)
			}
			if tier.Output < tier.Input && s.Model(p.Model).Has(ledger.FeatureChat) {
				t.Errorf("price %s: output is cheaper than input: %+v", p.ID, tier)
			}
			if tier.Input <= 0 || tier.Input > 1000*ledger.Rate(ledger.Dollar) {
				t.Errorf("price %s: input at %s", p.ID, tier.Input)
			}
		}
	}
	for model, ps := range rows {
		slices.SortFunc(ps, func(a, b *ledger.Price) int { return int(a.From - b.From) })
		for i, p := range ps {
			if p.From > ledger.InstantOf(today) && i == 0 {
				t.Errorf("%s has no price yet", model)
			}
			if i > 0 && ps[i-1].To != p.From {
				t.Errorf("%s ends at %s, and %s starts at %s", ps[i-1].ID, ps[i-1].To, p.ID, p.From)
			}
		}
		if last := ps[len(ps)-1]; last.To != 0 {
			t.Errorf("after %s ends, %s has no price", last.ID, model)
		}
	}
}

// TestKnownPrices pins a few rows to their sources, each of another shape: cached reads, a context tier, a scheduled rise.
func TestKnownPrices(t *testing.T) {
	s := state(t, today)
	at := func(y int, m time.Month, d int) ledger.Instant {
		return ledger.InstantOf(time.Date(y, m, d, 0, 0, 0, 0, time.UTC))
	}
	million := ledger.Usage{Input: 1_000_000, Output: 1_000_000}
	for _, c := range []struct {
		model string
		at    ledger.Instant
		usage ledger.Usage
		tier  string
		cost  string
	}{
		{"openai/gpt-6-luna", at(2026, 11, 25), ledger.Usage{Input: 100_000, Output: 100_000}, "", "0.060000"},
		{"openai/gpt-6-luna", at(2026, 11, 25), million, "", "0.950000"}, // above 272,000 tokens of input
		{"openai/gpt-6-luna", at(2026, 11, 25), ledger.Usage{Input: 100_000, Output: 100_000}, "flex", "0.030000"},
		{"openai/gpt-6.2-sol", at(2026, 11, 25), ledger.Usage{CacheRead: 100_000}, "", "0.010000"},
		{"openai/gpt-6.2-sol", at(2026, 11, 25), ledger.Usage{Output: 100_000}, "ultrafast", "3.000000"},
		{"openai/gpt-6.2-sol", at(2027, 3, 1), ledger.Usage{Output: 100_000}, "ultrafast", "6.000000"},
		{"google/gemini-4-argon", at(2026, 11, 30), million, "", "12.000000"},
		{"google/gemini-4-argon", at(2026, 12, 1), million, "", "24.000000"},
		{"anthropic/claude-haiku-5-5", at(2026, 11, 25), ledger.Usage{Input: 100_000, Output: 1000}, "", "0.010500"},
		{"anthropic/claude-haiku-5-5", at(2026, 11, 25), ledger.Usage{Input: 1, CacheRead: 50_000, CacheWrite: 50_000, Output: 1000}, "", "0.036250500"},
		{"anthropic/claude-opus-5-5", at(2026, 11, 25), ledger.Usage{CacheWriteLong: 1_000_000}, "fast", "16.000000"},
	} {
		p := s.PriceOf(c.model, c.at)
		if p == nil {
			t.Errorf("%s has no price at %s", c.model, c.at)
			continue
		}
		if got := ledger.Cost(p.Applied(c.usage.InputTotal(), c.tier), c.usage).String(); got != c.cost {
			t.Errorf("%s at %s, %+v on tier %q costs %s, not %s", c.model, c.at, c.usage, c.tier, got, c.cost)
		}
	}
}

// TestSources: each row says where its figures are from, and when that was looked at.
func TestSources(t *testing.T) {
	text, err := os.ReadFile("catalogue.json")
	if err != nil {
		t.Fatal(err)
	}
	var f map[string][]struct{ Name, ID, Source, Checked string }
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	for kind, rows := range f {
		for _, r := range rows {
			u, err := url.Parse(r.Source)
			if err != nil || u.Scheme != "https" || u.Host == "" {
				t.Errorf("%s %s%s: source %q", kind, r.Name, r.ID, r.Source)
			}
			if _, err := time.Parse(time.DateOnly, r.Checked); err != nil {
				t.Errorf("%s %s%s: checked %q", kind, r.Name, r.ID, r.Checked)
			}
		}
	}
	if strings.Contains(string(text), "\t") || strings.ContainsAny(string(text), "\r") {
		t.Error("the file is indented by spaces")
	}
}

// TestDocuments: whoever is said to read documents is of a provider that says so.
func TestDocuments(t *testing.T) {
	text, err := os.ReadFile("catalogue.json")
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Evidence []struct{ Name, Provider, Says string }
	}
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	says := map[string]bool{}
	for _, e := range f.Evidence {
		says[e.Provider] = says[e.Provider] || e.Name == ledger.FeatureDocuments && e.Says != ""
	}
	reads := 0
	for _, m := range state(t, today).Models() {
		if m.Has(ledger.FeatureDocuments) {
			reads++
			if !says[m.Provider] || !m.Has(ledger.FeatureImages) {
				t.Errorf("%s reads documents: by what?", m.Name)
			}
		}
	}
	if reads < 30 {
		t.Errorf("%d models read documents", reads)
	}
}
