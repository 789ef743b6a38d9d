package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/ledger"
)

// TestReportsColumns: the rows that the fold gives have the columns of the tables, in their order, and the columns of
// requests are the public ones.
func TestReportsColumns(t *testing.T) {
	r := newStory(t).reports()
	for _, table := range []table{requestsTable, extensionsTable, attemptsTable, entriesTable, usageTable} {
		var names []string
		for i, c := range columnsOf(t, r.read, table.name) {
			names = append(names, c.name)
			if i < len(table.columns) && (c.kind == "TEXT") != table.columns[i].text {
				t.Errorf("%s.%s is %s", table.name, c.name, c.kind)
			}
		}
		if strings.Join(names, ", ") != table.names() {
			t.Errorf("%s has the columns %v, the rows %s", table.name, names, table.names())
		}
	}
	public := "id, org, key, at, state, dialect, lane, model_asked, provider, model, credential, attempts, input_tokens, cache_read_tokens, " +
		"cache_write_tokens, output_tokens, reasoning_tokens, usage_source, plan_tokens, charge_nano, list_cost_nano, skipped_nano, skip_reason, " +
		"overage_nano, first_byte_ns, duration_ns, finish_reason, upstream_id, reason, admitted_position, settled_position"
	if requestsTable.names() != public {
		t.Errorf("the public columns of requests are now %s", requestsTable.names())
	}
}

// TestRequestRows: one request of each kind, told in full.
func TestRequestRows(t *testing.T) {
	y := newStory(t)
	y.tell()
	r := y.reports()
	usage := ledger.Usage{Input: 1000, CacheRead: 200, CacheWrite: 37, Output: 600, Reasoning: 100}
	// 1000 × $1 + 200 × $0.10 + 30 × $1.25 + 7 × $2 + 600 × $4 a million.
	const list = 1_000_000 + 20_000 + 37_500 + 14_000 + 2_400_000
	for id, want := range map[string]ledger.Trace{
		"acme-0": {Org: "acme", State: "settled", Kind: ledger.PlatformPool, Attempts: 1, Usage: usage, UsageSource: ledger.UsageProvider,
			PlanTokens: 1837, ListCost: list, FirstByte: 250_000_000, Duration: 1_500_000_000, Finish: "stop", UpstreamID: "up-1"},
		"acme-2": {Org: "acme", State: "settled", Kind: ledger.PlatformPool, Attempts: 1, Usage: usage, UsageSource: ledger.UsageProvider,
			// 326 of 1837 tokens are left: the rest is paid, rounded up once.
			PlanTokens: 326, Charge: (list*1511 + 1836) / 1837, ListCost: list, FirstByte: 250_000_000, Duration: 1_500_000_000, Finish: "stop", UpstreamID: "up-1"},
		"gamma-0": {Org: "gamma", State: "settled", Kind: ledger.BYOK, Attempts: 1, Usage: usage, UsageSource: ledger.UsageProvider,
			ListCost: list, Skipped: list, SkipReason: "byok", FirstByte: 250_000_000, Duration: 1_500_000_000, Finish: "stop", UpstreamID: "up-1"},
		"gamma-1": {Org: "gamma", State: "settled", Kind: ledger.PlatformPool, Attempts: 2, Usage: usage, UsageSource: ledger.UsageProvider,
			PlanTokens: 1837, ListCost: list, FirstByte: 250_000_000, Duration: 1_500_000_000, Finish: "stop", UpstreamID: "up-2"},
		"acme-void":   {Org: "acme", State: "voided", Kind: ledger.PlatformPool, Attempts: 1, Duration: 9, Reason: "upstream_failed"},
		"acme-crash":  {Org: "acme", State: "interrupted", Kind: ledger.PlatformPool, Attempts: 1, Reason: "void"},
		"gamma-crash": {Org: "gamma", State: "interrupted", Kind: ledger.PlatformPool, Attempts: 1, PlanTokens: 2163, Charge: 2_310_000, Reason: "capture_held"},
		"gamma-open":  {Org: "gamma", State: "admitted", Kind: ledger.PlatformPool, Attempts: 2},
	} {
		d, err := r.Request(t.Context(), "", id)
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		got := d.Trace
		want.ID, want.Dialect, want.Lane, want.Asked = id, ledger.DialectOpenAIChat, ledger.LaneAuto, storyAsked[want.Org]
		want.Provider, want.Model = "openai", "openai/gpt"
		want.At, want.AdmittedPosition, want.SettledPosition = got.At, d.Records[0].Position, got.SettledPosition
		if id == "gamma-crash" {
			want.Charge, want.PlanTokens = got.Charge, got.PlanTokens // what the hold was is the ledger's to say
			if got.Charge+ledger.Nano(got.PlanTokens) == 0 {
				t.Errorf("%s: nothing of the hold was captured", id)
			}
		}
		if got != want {
			t.Errorf("%s:\n%+v\nwant\n%+v", id, got, want)
		}
		if (got.State == "admitted") != (got.SettledPosition == 0) || got.SettledPosition != 0 && d.Records[len(d.Records)-1].Position != got.SettledPosition {
			t.Errorf("%s is %s, and its resolution is at %d", id, got.State, got.SettledPosition)
		}
	}
}

// TestRequestDetail: the attempts, entries and events of a request that fell back.
func TestRequestDetail(t *testing.T) {
	y := newStory(t)
	y.tell()
	r := y.reports()
	d, err := r.Request(t.Context(), "", "gamma-1")
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for _, rec := range d.Records {
		types = append(types, string(rec.Type))
	}
	if want := []string{"request.admitted", "request.extended", "request.settled"}; !slices.Equal(types, want) {
		t.Errorf("its events are %v", types)
	}
	if len(d.Tried) != 2 || d.Tried[0].Outcome != ledger.Failed || d.Tried[0].Class != "overloaded" || d.Tried[0].Usage != (ledger.Usage{}) ||
		d.Tried[1].Outcome != ledger.Answered || d.Tried[1].Usage.Output != 600 || d.Tried[1].Request != "gamma-1" {
		t.Errorf("its attempts are %+v", d.Tried)
	}
	sums := map[ledger.Unit]int64{}
	for _, e := range d.Entries {
		sums[e.Unit] += e.Amount
		if e.Request != "gamma-1" || e.Org != "gamma" {
			t.Errorf("entry %+v", e)
		}
	}
	if len(d.Entries) == 0 || sums[ledger.USD] != 0 || sums[ledger.Tok] != 0 {
		t.Errorf("its entries are %+v", d.Entries)
	}
	crash, err := r.Request(t.Context(), "", "acme-crash")
	if err != nil || len(crash.Tried) != 1 || crash.Tried[0].Outcome != ledger.Interrupted || crash.Tried[0].N != 1 {
		t.Errorf("the attempts of an interrupted request are %+v: %v", crash.Tried, err)
	}
	_, err = r.Request(t.Context(), "", "nothing")
	var refused *ledger.Error
	if !errors.As(err, &refused) || refused.Code != ledger.CodeNotFound {
		t.Errorf("a request that is not there: %v", err)
	}
}

// TestRequestsInPages goes through an org's requests page by page, and by each filter.
func TestRequestsInPages(t *testing.T) {
	y := newStory(t)
	y.tell()
	r := y.reports()
	var ids []string
	for q := (RequestQuery{Org: "acme", Limit: 3}); ; {
		page, err := r.Requests(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, tr := range page {
			ids = append(ids, tr.ID)
			q.Before = tr.AdmittedPosition
		}
		if len(page) < q.Limit {
			break
		}
	}
	if want := []string{"acme-open", "acme-march", "acme-crash", "acme-void", "acme-3", "acme-2", "acme-1", "acme-0"}; !slices.Equal(ids, want) {
		t.Errorf("acme's requests are %v", ids)
	}
	for name, c := range map[string]struct {
		q    RequestQuery
		want int
	}{
		"all":   {RequestQuery{}, 13},
		"state": {RequestQuery{State: "interrupted"}, 2},
		"key":   {RequestQuery{Key: "k1"}, 0},
		"model": {RequestQuery{Org: "beta", Model: "openai/gpt"}, 1},
		"other": {RequestQuery{Org: "beta", Model: "openai/other"}, 0},
		"since": {RequestQuery{Since: ledger.InstantOf(storyBegins.AddDate(0, 0, 30))}, 3},
	} {
		c.q.Limit = 100
		if got, err := r.Requests(t.Context(), c.q); err != nil || len(got) != c.want {
			t.Errorf("%s: %d requests, want %d: %v", name, len(got), c.want, err)
		}
	}
}

// TestEntriesInPages: pages of whole entries, each of which sums to zero.
func TestEntriesInPages(t *testing.T) {
	y := newStory(t)
	y.tell()
	r := y.reports()
	var n int
	credit := int64(0)
	last := uint64(1 << 62)
	for q := (EntryQuery{Org: "acme", Limit: 2}); ; {
		page, err := r.Entries(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		positions := map[uint64]int64{}
		for _, e := range page {
			if e.Position > last {
				t.Fatalf("entry %d comes after %d", e.Position, last)
			}
			last = e.Position
			q.Before = e.Position
			if e.Unit == ledger.USD {
				positions[e.Position] += e.Amount
			} else {
				positions[e.Position] += 0
			}
			if e.Account == "org/acme/credit/l1" {
				credit += e.Amount
			}
		}
		for p, sum := range positions {
			if sum != 0 {
				t.Errorf("the entry at %d sums to %d", p, sum)
			}
		}
		n += len(positions)
		if len(positions) < q.Limit {
			break
		}
	}
	var want int64
	y.s.View(func(s *ledger.State) {
		want = s.Balance(ledger.Account{Org: "acme", Kind: "credit", ID: "l1"}, ledger.USD)
	})
	if n < 10 || credit != want {
		t.Errorf("%d entries, which make %d in the lot l1; its balance is %d", n, credit, want)
	}
	only, err := r.Entries(t.Context(), EntryQuery{Org: "beta", Account: "org/beta/free", Limit: 10})
	if err != nil || len(only) == 0 || only[0].Type != "request.admitted" || only[0].Amount != -1 {
		t.Errorf("the entries on free messages: %+v %v", only, err)
	}
}

// TestUsage sums by day, by model and by key, with what ran on an org's own credential apart.
func TestUsage(t *testing.T) {
	y := newStory(t)
	y.tell()
	r := y.reports()
	days, err := r.Usage(t.Context(), UsageQuery{Org: "gamma", By: "day"})
	if err != nil || len(days) != 2 || days[0].Kind != "byok" || days[0].Requests != 1 || days[0].Skipped != days[0].ListCost || days[0].Charge != 0 ||
		days[0].Day != "2026-01-31" || days[1].Requests != 2 || days[1].Settled != 1 || days[1].Usage.Output != 600 {
		t.Errorf("gamma by day: %+v %v", days, err)
	}
	models, err := r.Usage(t.Context(), UsageQuery{Org: "acme", By: "model"})
	if err != nil || len(models) != 1 || models[0].Model != "openai/gpt" || models[0].Requests != 7 || models[0].Settled != 5 || models[0].PlanTokens != 4000+1837 {
		t.Errorf("acme by model: %+v %v", models, err)
	}
	march, err := r.Usage(t.Context(), UsageQuery{Org: "acme", By: "key", From: "2026-03-01", To: "2026-03-31"})
	if err != nil || len(march) != 1 || march[0].Requests != 1 {
		t.Errorf("acme's March by key: %+v %v", march, err)
	}
	if _, err := r.Usage(t.Context(), UsageQuery{Org: "acme", By: "weather"}); err == nil {
		t.Error("usage was summed by the weather")
	}
}

// TestReportsFollow: a follower shows what the writer appends, a reader waits for its own write, and one that comes too
// early is told how far the reports are.
func TestReportsFollow(t *testing.T) {
	y := newStory(t)
	r, err := OpenReports(t.Context(), y.dir, y.s)
	if err != nil {
		t.Fatal(err)
	}
	r.Follow(y.s)
	for i := range 20 {
		request := fmt.Sprint("r-", i)
		y.admit("gamma", request, platformLeg)
		receipt := y.do(ledger.Void{Who: unasked(request), Org: "gamma", Request: request})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if err := r.WaitFor(ctx, receipt.Position()); err != nil {
			t.Fatal(err)
		}
		cancel()
		if d, err := r.Request(t.Context(), "", request); err != nil || d.State != "voided" {
			t.Fatalf("after its resolution request %s is %s: %v", request, d.State, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := r.WaitFor(ctx, y.head()+1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an event that is not there: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if v := y.verify(VerifyOptions{}); v.First() != nil || v.Reports != y.head() {
		t.Errorf("%+v", v)
	}
}

// TestReportsOfTwo: a node and a command that both bring the reports up to date do not count anything twice.
func TestReportsOfTwo(t *testing.T) {
	y := newStory(t)
	a, b := y.reports(), y.reports()
	y.tell()
	catchUp := func(r *Reports) {
		if err := r.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		for _, r := range [][2]*Reports{{a, b}, {b, a}} {
			request := fmt.Sprint("two-", y.head())
			y.admit("gamma", request, platformLeg)
			catchUp(r[0])
			y.do(ledger.Extend{Who: unasked(request), Org: "gamma", Request: request, Demand: ledger.Demand{Choice: platformLeg, Input: 150, Output: 100}})
			catchUp(r[1])
			y.do(ledger.Void{Who: unasked(request), Org: "gamma", Request: request})
			catchUp(r[0])
		}
	}
	for _, r := range []*Reports{b, a} {
		if err := r.CatchUp(t.Context()); err != nil || r.Position() != y.head() {
			t.Fatalf("at %d of %d: %v", r.Position(), y.head(), err)
		}
	}
	if v := y.verify(VerifyOptions{}); v.First() != nil || v.Reports != y.head() {
		t.Errorf("%+v", v)
	}
}

// TestReportsAreMadeAgain whenever they are not this log's as this waybill makes them.
func TestReportsAreMadeAgain(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, path string){
		"gone":    func(t *testing.T, path string) { remove(t, path) },
		"garbage": func(t *testing.T, path string) { overwrite(t, path, strings.Repeat("garbage ", 1000)) },
		"empty":   func(t *testing.T, path string) { overwrite(t, path, "") },
		"made by another waybill": func(t *testing.T, path string) {
			run(t, database(t, path), "UPDATE checkpoint SET made_by = 'x'; DELETE FROM requests; CREATE TABLE other (a)")
		},
		"of another log": func(t *testing.T, path string) {
			run(t, database(t, path), "UPDATE checkpoint SET event = x'00'; DELETE FROM entries")
		},
		"ahead of the log": func(t *testing.T, path string) {
			run(t, database(t, path), "UPDATE checkpoint SET position = position + 1; DELETE FROM attempts")
		},
		"no checkpoint": func(t *testing.T, path string) { run(t, database(t, path), "DELETE FROM checkpoint") },
	} {
		t.Run(name, func(t *testing.T) {
			y := newStory(t)
			y.tell()
			if err := y.reports().Close(); err != nil {
				t.Fatal(err)
			}
			harm(t, reportsPath(y.dir))
			y.TB = t
			y.reports()
			if v := y.verify(VerifyOptions{}); v.First() != nil || v.Reports != y.head() {
				t.Errorf("%+v", v)
			}
		})
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func overwrite(t *testing.T, path, with string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(with), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestReportsSurviveOddHistory: a history that this waybill would not write, such as one id of two requests, is folded all
// the same: a projection cannot refuse it.
func TestReportsSurviveOddHistory(t *testing.T) {
	y := newStory(t)
	y.admit("gamma", "twice", platformLeg)
	y.do(ledger.Void{Who: unasked("twice"), Org: "gamma", Request: "twice"})
	y.do(ledger.Admit{Who: unasked("twice"), Org: "acme", Request: "twice", Lane: ledger.LaneAuto, Dialect: ledger.DialectGemini, Asked: "auto",
		Inputs: ledger.Inputs{Legs: []ledger.Choice{platformLeg}}, Demand: ledger.Demand{Choice: platformLeg, Input: 10, Output: 10}})
	r := y.reports()
	y.do(ledger.Void{Who: unasked("twice"), Org: "acme", Request: "twice"})
	if err := r.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d, err := r.Request(t.Context(), "", "twice"); err != nil || d.Org != "acme" || d.State != "voided" || len(d.Records) != 2 {
		t.Errorf("%+v %v", d, err)
	}
	if v := y.verify(VerifyOptions{}); v.First() != nil {
		t.Error(v.First())
	}
}

// A fold that is told to stop has written a batch, or nothing of it: usage adds up, and half a batch would count twice.
func TestReportsStopAnywhere(t *testing.T) {
	y := told(t)
	r := reader(t, y.dir)
	for i := 0; i < 40; i += stride(8) {
		remove(t, reportsPath(y.dir))
		for _, d := range []time.Duration{time.Duration(i) * 50 * time.Microsecond, time.Hour} {
			reports, err := OpenReports(t.Context(), y.dir, r)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), d)
			if err := reports.CatchUp(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			cancel()
			if err := reports.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if d := y.verify(VerifyOptions{}).First(); d != nil {
			t.Fatalf("stopped after %d x 50 µs: %v", i, d)
		}
	}
}
