package store

import (
	"errors"
	"strings"
	"testing"

	"waybill/ledger"
)

func codeOf(err error) ledger.Code {
	le, _ := errors.AsType[*ledger.Error](err)
	if le == nil {
		return ""
	}
	return le.Code
}

// A request is found by the id that an upstream gave to its answer, or to one that was discarded; where several have it, those are told.
func TestRequestByUpstreamID(t *testing.T) {
	y := newStory(t)
	y.tell()
	r := y.reports()
	for _, org := range []string{"", "gamma"} {
		if d, err := r.Request(t.Context(), org, "up-2"); err != nil || d.ID != "gamma-1" || len(d.Records) != 3 {
			t.Errorf("%q: %+v %v", org, d.Trace, err)
		}
	}
	for org, want := range map[string]ledger.Code{"acme": ledger.CodeNotFound, "nobody": ledger.CodeNotFound} {
		if _, err := r.Request(t.Context(), org, "up-2"); codeOf(err) != want {
			t.Errorf("%s: %v", org, err)
		}
		if _, err := r.Request(t.Context(), org, "gamma-1"); codeOf(err) != want {
			t.Errorf("%s: %v", org, err)
		}
	}
	if _, err := r.Request(t.Context(), "", ""); codeOf(err) != ledger.CodeNotFound {
		t.Errorf("no id: %v", err)
	}
	_, err := r.Request(t.Context(), "", "up-1")
	if codeOf(err) != ledger.CodeConflict || !strings.Contains(err.Error(), "acme-march, gamma-0, ") || strings.Count(err.Error(), ", ") != mostNamesakes {
		t.Errorf("an id of many answers: %v", err)
	}
	if _, err := r.Request(t.Context(), "acme", "up-1"); codeOf(err) != ledger.CodeConflict || strings.Contains(err.Error(), "gamma") {
		t.Errorf("an id of many answers tells of another org's: %v", err)
	}
	var plan strings.Builder
	rows, err := r.read.QueryContext(t.Context(), "EXPLAIN QUERY PLAN SELECT id FROM requests WHERE "+byUpstream+" ORDER BY admitted_position DESC LIMIT 5", "x")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(step + "\n")
	}
	if strings.Contains(plan.String(), "SCAN requests") || strings.Contains(plan.String(), "SCAN attempts") || rows.Err() != nil {
		t.Errorf("it goes through all that there is:\n%s%v", plan.String(), rows.Err())
	}
}
