package routertest_test

import (
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/router/routertest"
)

// The table says something of every feature, every caller and every upstream, and gives a reason for all that is not carried.
// That what it says is so, TestConformance shows: each cell is the claim that a scenario is held to.
func TestFeatures(t *testing.T) {
	type cell struct {
		feature, up string
		in          ledger.Dialect
	}
	seen, features := map[cell]bool{}, map[string]bool{}
	for _, f := range routertest.Features() {
		c := cell{f.Name, f.Up, f.In}
		if seen[c] {
			t.Errorf("%v is there twice", c)
		}
		seen[c], features[f.Name] = true, true
		switch f.Verdict {
		case routertest.Carried, routertest.Unsaid:
			if f.Field != "" {
				t.Errorf("%+v names a field for nothing", f)
			}
		case routertest.Refused, routertest.Warned, routertest.Approximate:
			if f.Field == "" || f.Why == "" {
				t.Errorf("%+v names no field or no reason", f)
			}
		default:
			t.Errorf("%+v has no verdict", f)
		}
	}
	if want := len(features) * len(routertest.Clients) * len(routertest.Upstreams); len(seen) != want {
		t.Errorf("%d cells, want %d", len(seen), want)
	}
	text := routertest.Markdown()
	for name := range features {
		if strings.Count(text, "| "+name+" |") != 1 {
			t.Errorf("%q is not one row of the table", name)
		}
	}
	if text != routertest.Markdown() {
		t.Error("the table is not the same twice")
	}
}
