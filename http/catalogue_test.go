package http_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"waybill/ledger"
)

// hands is a clock that stands until it is set.
type hands struct{ at atomic.Int64 }

func (h *hands) set(t time.Time) { h.at.Store(t.UnixNano()) }
func (h *hands) now() time.Time  { return time.Unix(0, h.at.Load()) }

// A price that starts next month is in force from its first instant and not before; until then, and again once it is
// withdrawn, calls are billed by the row that it takes the place of. What was billed stays as it is.
func TestPriceFromADate(t *testing.T) {
	day := func(month time.Month, d int) time.Time { return time.Date(2026, month, d, 0, 0, 0, 0, time.UTC) }
	var clock hands
	clock.set(day(time.November, 25))
	n := newNodeAt(t, clock.now, nil)
	op := n.as(operatorToken)
	_, secret := n.open("acme", "teams")
	const tiers = `[{"above":0,"input":%q,"cache_read":"0.1","cache_write":"1","cache_write_long":"1","output":%q}]`
	op.call("POST", "/api/v1/models", `{"provider":"openai","upstream_id":"gpt-new","context":100000,"max_output":1000,"features":["chat","sampling"]}`).want(201)
	for _, row := range []string{`{"id":"team/old","model":"openai/gpt-new","tiers":` + fmt.Sprintf(tiers, "1", "10") + `}`,
		`{"id":"team/next","model":"openai/gpt-new","from":"2026-12-10T00:00:00Z","tiers":` + fmt.Sprintf(tiers, "3", "30") + `}`,
		`{"id":"team/promotion","model":"openai/gpt-new","from":"2026-12-20T00:00:00Z","to":"2026-12-24T00:00:00Z","tiers":` + fmt.Sprintf(tiers, "0.5", "5") + `}`} {
		op.call("POST", "/api/v1/prices", row).want(201)
	}
	billed := func() (row string, list ledger.Nano) {
		t.Helper()
		id := n.as(secret).chat("openai/gpt-new", "Hello [[sandbox input=1000 output=100]]", "").want(200).header.Get("Waybill-Request")
		recs, err := n.store.Page(t.Context(), 0, 1000)
		n.must(err)
		for _, r := range recs {
			if e, ok := r.Event.(*ledger.RequestSettled); ok && e.Request == id {
				return e.Price, e.ListCost
			}
		}
		t.Fatalf("%s is not settled", id)
		return "", 0
	}
	for _, tt := range []struct {
		at   time.Time
		row  string
		list ledger.Nano // 1000 tokens in, 100 out
	}{
		{day(time.November, 25), "team/old", 2_000_000},
		{day(time.December, 10).Add(-time.Nanosecond), "team/old", 2_000_000},
		{day(time.December, 10).Add(time.Second), "team/next", 6_000_000},
		{day(time.December, 20).Add(time.Second), "team/promotion", 1_000_000},
		{day(time.December, 24).Add(time.Second), "team/next", 6_000_000},
	} {
		clock.set(tt.at)
		if row, list := billed(); row != tt.row || list != tt.list {
			t.Errorf("at %s billed %d by %s, want %d by %s", tt.at, list, row, tt.list, tt.row)
		}
	}
	op.call("DELETE", "/api/v1/prices/team/next", "").want(200)
	if row, _ := billed(); row != "team/old" {
		t.Errorf("once its successor is withdrawn the row is %s", row)
	}
	op.call("DELETE", "/api/v1/prices/team/next", "").want(404)
}

// What is left out of a price or misspelt in a model is refused by name: it would be free, or never called.
func TestPublishRefuses(t *testing.T) {
	n := newNode(t, nil)
	op := n.as(operatorToken)
	for _, tt := range []struct{ path, body, field, detail string }{
		{"prices", `{"model":"` + luna + `","tiers":[{"above":0,"input":"1","cache_read":"0","cache_write":"0","cache_write_long":"0"}]}`, "tiers[0].output", "free"},
		{"prices", `{"model":"` + luna + `","tiers":[{"above":0,"input":"1","cache_read":"0","cache_write":"0","cache_write_long":"0","output":"1","audio":"1"}]}`, "audio", "not a field"},
		{"prices", `{"model":"` + luna + `","tiers":[]}`, "", "first tier"},
		{"prices", `{"model":"` + luna + `","from":"next month"}`, "from", "2026-12-31T00:00:00Z"},
		{"models", `{"provider":"openay","upstream_id":"x","context":1000,"features":["chat"]}`, "provider", "openai"},
		{"models", `{"provider":"openai","upstream_id":"x","context":1000,"features":["chat","tool"]}`, "features[1]", "tools"},
		{"models", `{"provider":"openai","upstream_id":"x","context":1000,"features":["tools"]}`, "features", "chat or embedding"},
		{"models", `{"provider":"openai","upstream_id":"x","features":["chat"]}`, "", "context"},
	} {
		if p := op.call("POST", "/api/v1/"+tt.path, tt.body).want(400); p.text("field") != tt.field || !strings.Contains(p.text("detail"), tt.detail) {
			t.Errorf("%s: %s", tt.body, p.body)
		}
	}
}

func TestCatalogue(t *testing.T) {
	n := newNode(t, nil)
	op := n.as(operatorToken)
	_, secret := n.open("acme", "teams")
	op.call("POST", "/api/v1/models", `{"provider":"openai","upstream_id":"gpt-new","context":1000,"max_output":100,"features":["chat","sampling"]}`).want(201)
	n.as(secret).chat("openai/gpt-new", "hi", "").want(403) // no price: closed on paid capacity
	row := `{"id":"p-new","model":"openai/gpt-new","tiers":[{"above":0,"input":"1.25","cache_read":"0","cache_write":"0","cache_write_long":"0","output":"10"}]}`
	if p := op.call("POST", "/api/v1/prices", row).want(201); p.text("tiers.0.input") != "1.250000" || p.get("in_force") != true {
		t.Errorf("%s", p.body)
	}
	n.as(secret).chat("openai/gpt-new", "hi", "").want(200)
	op.call("POST", "/api/v1/prices", row).want(409)
	op.call("DELETE", "/api/v1/prices/p-new", "").want(200)
	n.as(secret).chat("openai/gpt-new", "hi", "").want(403)
	if m := op.call("DELETE", "/api/v1/models/openai/gpt-new", "").want(200); m.get("retired") != true {
		t.Errorf("%s", m.body)
	}
	n.as(secret).chat("openai/gpt-new", "hi", "").want(404)
	if p := op.call("POST", "/api/v1/prices", `{"model":"`+luna+`","tiers":[{"input":1}]}`).want(400); p.text("field") != "tiers" {
		t.Errorf("%s", p.body)
	}
	if list := n.as(secret).call("GET", "/api/v1/prices", "").want(200); list.text("prices.0.id") == "" {
		t.Errorf("%s", list.body)
	}
	if list := n.as(secret).call("GET", "/api/v1/plans", "").want(200); list.text("plans.0.id") != "free" || list.get("plans.0.messages") != 5.0 {
		t.Errorf("%s", list.body)
	}
}
