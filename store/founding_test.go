package store

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"waybill/ledger"
)

var operator = ledger.By{Actor: "operator"}

// founding is the first commands of a small node: plans, a model with a price, a platform credential, and orgs on "teams"
// with credit.
func founding(orgs ...string) []ledger.Command {
	commands := []ledger.Command{
		ledger.DefinePlan{Who: operator, Plan: ledger.Plan{ID: "free", Messages: 5, Lanes: []ledger.Lane{ledger.LaneAuto}}},
		ledger.DefinePlan{Who: operator, Plan: ledger.Plan{ID: "teams", Tokens: 20_000_000, Lanes: []ledger.Lane{ledger.LaneAuto, ledger.LaneManual}, Credit: true}},
		ledger.PublishModel{Who: operator, Model: ledger.Model{Name: "openai/gpt", Provider: "openai", ID: "gpt", Context: 400_000, MaxOutput: 100_000}},
		ledger.PublishPrice{Who: operator, Price: ledger.Price{ID: "gpt-1", Model: "openai/gpt", From: 1,
			Tiers: []ledger.Tier{{Rates: ledger.Rates{Input: 1_000_000_000, CacheRead: 100_000_000, CacheWrite: 1_000_000_000, CacheWriteLong: 1_000_000_000, Output: 4_000_000_000}}}}},
		ledger.AttachCredential{Who: operator, Org: ledger.Platform, Credential: "pool", Provider: "openai", Fingerprint: "abcd", Use: ledger.UsePrefer},
	}
	for _, org := range orgs {
		commands = append(commands, ledger.OpenOrg{Who: operator, Org: org, Plan: "teams"},
			ledger.GrantCredit{Who: operator, Org: org, Lot: "lot-" + org, Amount: 100_000 * ledger.Dollar})
	}
	return commands
}

var pool = ledger.Choice{Model: "openai/gpt", Credential: "pool", Kind: ledger.PlatformPool}

// admit asks for a call that holds up to 1,100 tokens.
func admit(org, request string) ledger.Admit {
	return ledger.Admit{Who: ledger.By{Actor: "key/k1", Cause: request}, Org: org, Request: request, Lane: ledger.LaneManual,
		Dialect: ledger.DialectOpenAIChat, Asked: "gpt", Streamed: true,
		Inputs: ledger.Inputs{Seed: 7, Legs: []ledger.Choice{pool}},
		Demand: ledger.Demand{Choice: pool, Input: 100, Output: 1000}}
}

// settle settles such a call by 300 tokens.
func settle(org, request string) ledger.Settle {
	return ledger.Settle{Who: ledger.By{Actor: "waybill", Cause: request}, Org: org, Request: request,
		Resolution: ledger.Resolution{Duration: 1_234_567_890, Attempts: []ledger.Attempt{{N: 1, Choice: pool, Outcome: ledger.Answered, Status: 200, Latency: 1_200_000_000, FirstByte: 300_000_000}}},
		Usage:      ledger.Usage{Input: 80, CacheRead: 20, Output: 200, Reasoning: 50}, Source: ledger.UsageProvider,
		Finish: "stop", UpstreamID: "chatcmpl-" + request, Answered: "gpt-2026-11-01", FirstByte: 300_000_000}
}

// ids counts ids up, so that a run can be repeated.
func ids() func() [16]byte {
	var n atomic.Uint64
	return func() (id [16]byte) {
		binary.BigEndian.PutUint64(id[8:], n.Add(1))
		return id
	}
}

// newNode makes a data folder with orgs and opens it; it is closed with the test.
func newNode(t testing.TB, o Options, orgs ...string) *Store {
	t.Helper()
	if err := Create(context.Background(), o, founding(orgs...)); err != nil {
		t.Fatal(err)
	}
	return reopen(t, o)
}

// reopen opens a data folder; it is closed with the test.
func reopen(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// stride leads through the cases of a test that tries very many: through all of them, or every nth where tests are to be short.
func stride(n int) int {
	if testing.Short() {
		return n
	}
	return 1
}

// must executes commands that are not refused, and gives their records.
func must(t testing.TB, s *Store, commands ...ledger.Command) (recs []ledger.Record) {
	t.Helper()
	for _, c := range commands {
		r, err := s.Execute(context.Background(), c)
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		recs = append(recs, r.Records...)
	}
	return recs
}

// together has the writer do orders in one group: it is held up by the order before them until all are queued.
func together(t testing.TB, s *Store, orders ...*order) []answer {
	t.Helper()
	begun, release := make(chan struct{}), make(chan struct{})
	block := &order{answer: make(chan answer, 1), write: func(*journal) error {
		close(begun)
		<-release
		return nil
	}}
	for i, o := range append([]*order{block}, orders...) {
		o.answer = make(chan answer, 1)
		if err := s.enqueue(context.Background(), o); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			<-begun
		}
	}
	close(release)
	answers := make([]answer, len(orders))
	for i, o := range orders {
		answers[i] = <-o.answer
	}
	return answers
}

// commanded are orders of commands, as Execute gives them.
func commanded(commands ...ledger.Command) (orders []*order) {
	for _, c := range commands {
		orders = append(orders, &order{command: c, firm: firm(c)})
	}
	return orders
}

// refusal is the code of a refusal, and a word for anything else.
func refusal(err error) ledger.Code {
	var e *ledger.Error
	switch {
	case err == nil:
		return "none"
	case errors.As(err, &e):
		return e.Code
	}
	return "no refusal: " + ledger.Code(err.Error())
}

// rows is a state's rows and balances as text, by name.
func rows(t testing.TB, s *ledger.State) map[string]string {
	t.Helper()
	m := map[string]string{}
	for k, v := range s.Rows() {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		m[k.Kind+" "+k.ID] = string(data)
	}
	for b := range s.Balances() {
		m[b.Account.String()+" "+string(b.Unit)] = fmt.Sprint(b.Amount)
	}
	return m
}

// orgNames are org-000, org-001, …
func orgNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("org-%03d", i)
	}
	return names
}

// grow appends at least so many events of calls, in groups.
func grow(t testing.TB, s *Store, orgs []string, events int) {
	t.Helper()
	var wg sync.WaitGroup
	var n atomic.Int64
	for range 128 {
		wg.Go(func() {
			for {
				i := int(n.Add(2))
				if i > events {
					return
				}
				org, request := orgs[i/2%len(orgs)], fmt.Sprintf("%08x-0000-7000-8000-%012x", i, i)
				for _, c := range []ledger.Command{admit(org, request), settle(org, request)} {
					if _, err := s.Execute(context.Background(), c); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}
