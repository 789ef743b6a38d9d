package campaign

import (
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/router/sandbox"
	"waybill/store"
)

// Each way in which a log may disagree with what others know is told as a difference, and what agrees is none.
func TestDifferences(t *testing.T) {
	admitted := func(id string) ledger.Event { return &ledger.RequestAdmitted{Request: id} }
	settled := func(id string, out int64) ledger.Event {
		return &ledger.RequestSettled{Request: id, Leg: 1, Source: ledger.UsageProvider, Usage: ledger.Usage{Input: 10, Output: out}}
	}
	bought := func(lot, reference string) ledger.Event {
		return &ledger.CreditPurchased{Lot: lot, Reference: reference}
	}
	call := func(attempt string, out int) []sandbox.Call {
		return []sandbox.Call{{Attempt: attempt, Ended: true, Outcome: sandbox.Completed, Tokens: sandbox.Tokens{Input: 10, Output: out}}}
	}
	whole := func(id string, out int64) *Load {
		return &Load{whole: map[string]shown{id: {whole: true, counted: true, input: 10, output: out}}}
	}
	for name, c := range map[string]struct {
		log   []ledger.Event
		calls []sandbox.Call
		load  *Load
		want  string // of the one difference; empty: there is none
	}{
		"all agree":              {[]ledger.Event{admitted("a"), settled("a", 5), bought("l", "p")}, call("a.1", 5), whole("a", 5), ""},
		"interrupted":            {[]ledger.Event{admitted("a"), &ledger.RequestInterrupted{Request: "a", Leg: ledger.Leg{N: 1, Input: 10, Output: 5}}}, call("a.1", 5), nil, ""},
		"beyond the bound":       {[]ledger.Event{admitted("a"), &ledger.RequestInterrupted{Request: "a", Leg: ledger.Leg{N: 1, Input: 10, Output: 4}}}, call("a.1", 5), nil, "beyond its bound"},
		"no admission":           {nil, call("a.1", 5), nil, "no admission"},
		"no such leg":            {[]ledger.Event{admitted("a"), settled("a", 5)}, call("a.2", 5), nil, "1 legs"},
		"another usage":          {[]ledger.Event{admitted("a"), settled("a", 5)}, call("a.1", 6), nil, "has served"},
		"open":                   {[]ledger.Event{admitted("a")}, call("a.1", 5), nil, "is open"},
		"admitted twice":         {[]ledger.Event{admitted("a"), admitted("a"), settled("a", 5)}, nil, nil, "again"},
		"resolved twice":         {[]ledger.Event{admitted("a"), settled("a", 5), settled("a", 5)}, nil, nil, "not open"},
		"extended after its end": {[]ledger.Event{admitted("a"), settled("a", 5), &ledger.RequestExtended{Request: "a"}}, nil, nil, "not open"},
		"held and not settled":   {[]ledger.Event{admitted("a"), &ledger.RequestVoided{Request: "a"}}, nil, whole("a", 5), "RequestVoided"},
		"held and not known":     {nil, nil, whole("a", 5), "nothing"},
		"held and charged more":  {[]ledger.Event{admitted("a"), settled("a", 6)}, nil, whole("a", 5), "shows"},
		"bought and not there":   {nil, nil, &Load{bought: []purchase{{"p", "l"}}}, "acknowledged"},
		"bought as another":      {[]ledger.Event{bought("m", "p")}, nil, &Load{bought: []purchase{{"p", "l"}}}, "acknowledged"},
		"paid twice":             {[]ledger.Event{bought("l", "p"), bought("m", "p")}, nil, nil, "twice"},
		"told by a caller":       {nil, nil, &Load{differences: []string{"status 418"}}, "418"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBooks()
			for i, e := range c.log {
				b.event(&ledger.Record{Position: uint64(i + 1), Type: e.Type(), Event: e})
			}
			b.resolved()
			b.served(c.calls)
			if c.load != nil {
				b.held(c.load)
			}
			if n := len(b.differences); c.want == "" && n != 0 || c.want != "" && (n != 1 || !strings.Contains(b.differences[0], c.want)) {
				t.Errorf("%q, want %q", b.differences, c.want)
			}
		})
	}
}

// An event that is missing, and a log that no longer has what it had, are differences.
func TestLogThatHasLost(t *testing.T) {
	b := newBooks()
	b.event(&ledger.Record{Position: 2, Event: &ledger.OrgOpened{}})
	if len(b.differences) != 1 {
		t.Errorf("%q", b.differences)
	}
	dir := t.TempDir()
	if err := store.Create(t.Context(), store.Options{Dir: dir}, []ledger.Command{ledger.DefinePlan{Plan: ledger.Plan{ID: "free", Messages: 5, Lanes: []ledger.Lane{ledger.LaneAuto}}}}); err != nil {
		t.Fatal(err)
	}
	for what, had := range map[string]*books{"one more": {head: 2}, "another": {head: 1, last: [16]byte{1}}} {
		if err := had.read(t.Context(), dir); err != nil || len(had.differences) != 1 {
			t.Errorf("%s: %q, %v", what, had.differences, err)
		}
	}
}
