package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waybill/ledger"
	"waybill/store"
)

// away takes a replica out of reach, and gives what brings it back.
func away(t *testing.T, replica string) (back func()) {
	t.Helper()
	if err := errors.Join(os.Rename(replica, replica+".away"), os.WriteFile(replica, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := errors.Join(os.Remove(replica), os.Rename(replica+".away", replica)); err != nil {
			t.Fatal(err)
		}
	}
}

// replicatedTo is a litestream.yml for a node's two files.
func replicatedTo(t *testing.T, data, replica string) (file string) {
	t.Helper()
	text := "dbs:\n"
	for _, name := range []string{"waybill.db", "vault.db"} {
		text += fmt.Sprintf("  - {path: %s, replica: {path: %s, sync-interval: 50ms}}\n", filepath.Join(data, name), filepath.Join(replica, name))
	}
	file = filepath.Join(t.TempDir(), "litestream.yml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// durable is a node with an org on the plan teams and a replica in a folder, whose answers wait for that a short while.
func durable(t *testing.T, mode durability) (n *node, org, replica string) {
	t.Helper()
	s := newSite(t)
	s.must("org", "open", "acme", "--plan", "teams")
	replica = t.TempDir()
	s.env = append(s.env, "WAYBILL_LITESTREAM="+replicatedTo(t, s.data(), replica), "WAYBILL_DURABILITY="+string(mode), "WAYBILL_OPERATOR_TOKEN=01234567890123456789")
	conf, err := configure(nil, environ(s.env))
	if err != nil {
		t.Fatal(err)
	}
	n, err = openNode(t.Context(), conf, nodeOptions{log: slog.New(slog.DiscardHandler), serves: true, replicate: true, within: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.close() })
	if org, err = n.store.Find(t.Context(), "org", "", "acme"); err != nil || org == "" {
		t.Fatal(org, err)
	}
	return n, org, replica
}

// holdsAll asserts that a replica leads to a log with every event up to a position.
func holdsAll(t *testing.T, n *node, position uint64) {
	t.Helper()
	c, err := store.ReadReplicaConfig(n.conf.litestream)
	if err != nil {
		t.Fatal(err)
	}
	master, err := store.ReadMasterKey(n.conf.masterKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	done, err := store.Restore(t.Context(), store.RestoreOptions{Replicas: c, Dir: filepath.Join(t.TempDir(), "restored"), Master: master})
	if err != nil || done.From < position {
		t.Errorf("restored up to %d, want %d: %v", done.From, position, err)
	}
}

// What moves money answers once the replica has it, and not before. Nothing else waits, and the writer for nobody.
func TestMoneyWaitsForTheReplica(t *testing.T) {
	n, org, replica := durable(t, durableMoney)
	_, books := n.books()
	by := func(cause string) ledger.By { return ledger.By{Actor: "operator", Cause: cause, Input: cause} }
	purchase := func(cause string) ledger.Command {
		return ledger.PurchaseCredit{Who: by(cause), Org: org, Lot: "lot_" + cause, Amount: 5_000_000_000, Reference: "ref-" + cause}
	}
	for _, c := range []ledger.Command{purchase("p1"), ledger.GrantCredit{Who: by("g1"), Org: org, Lot: "lot_g1", Amount: 1_000_000_000},
		ledger.AdjustCredit{Who: by("a1"), Org: org, Lot: "lot_p1", Amount: 1, Reason: "goodwill"}, ledger.RefundCredit{Who: by("r1"), Org: org, Lot: "lot_p1", Reference: "back-1"}} {
		r, err := books.Execute(t.Context(), c)
		if err != nil {
			t.Fatalf("%T: %v", c, err)
		}
		holdsAll(t, n, r.Records[len(r.Records)-1].Position)
	}
	back := away(t, replica)
	was, _ := n.head()
	waiting := time.Now()
	failed := make(chan error)
	go func() { _, err := books.Execute(t.Context(), purchase("p2")); failed <- err }()
	until(t, "it is on this disk", func() bool { now, _ := n.head(); return now > was })
	for i := range 20 {
		if _, err := books.Execute(t.Context(), ledger.DefinePlan{Who: by(fmt.Sprint("plan", i)), Plan: ledger.Plan{ID: "late", Lanes: []ledger.Lane{ledger.LaneAuto}}}); err != nil {
			t.Error(err)
		}
	}
	if took := time.Since(waiting); took > 250*time.Millisecond {
		t.Logf("what does not wait took %s", took) // a slow machine: the order is what counts
	}
	err := <-failed
	if e, ok := errors.AsType[*ledger.Error](err); !ok || e.Code != ledger.CodeNotReplicated || strings.Contains(e.Message, replica) {
		t.Fatalf("the replica is out of reach: %v", err)
	}
	// A command sends no Idempotency-Key, and must not be told to go on with one.
	if err := n.api().post(t.Context(), "/orgs/acme/credits", map[string]string{"kind": "grant", "amount_usd": "1.00"}, nil); err == nil ||
		!strings.Contains(err.Error(), "Do not run the command again") || strings.Contains(err.Error(), "Idempotency-Key") {
		t.Errorf("a command is told: %v", err)
	}
	// The same cause waits again, in vain, and then not.
	if _, err := books.Execute(t.Context(), purchase("p2")); err == nil {
		t.Error("the same cause is answered though the replica is out of reach")
	}
	if _, err := books.Execute(t.Context(), ledger.RefundCredit{Who: by("r2"), Org: org, Lot: "lot_nobody"}); err == nil || strings.Contains(err.Error(), "replica") {
		t.Errorf("a refusal waits: %v", err)
	}
	left, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := books.Execute(left, purchase("p2")); !errors.Is(err, context.Canceled) {
		t.Errorf("of who has left: %v", err)
	}
	back()
	until(t, "a round succeeds", func() bool { return n.replication.Progress().Err == nil })
	r, err := books.Execute(t.Context(), purchase("p2"))
	if err != nil || !r.Repeated {
		t.Fatalf("the same cause, with the replica there: %+v, %v", r, err)
	}
	holdsAll(t, n, r.Records[0].Position)
	away(t, replica)
	if _, err := books.Execute(t.Context(), purchase("p2")); err != nil {
		t.Errorf("what the replica has waits for it: %v", err)
	}
}

// Where everything waits, a call is not made before its admission is in the replica. If it does not come there, nothing stays held,
// and the same Idempotency-Key admits it anew; a settlement stays settled.
func TestAdmissionWaitsForTheReplica(t *testing.T) {
	n, org, replica := durable(t, durableAll)
	books, _ := n.books()
	key := "k1"
	if _, err := n.store.Execute(t.Context(), ledger.IssueKey{Who: ledger.By{Actor: "operator", Cause: "k1"}, Org: org, Key: key, Hash: strings.Repeat("ab", 32), Scopes: []ledger.Scope{ledger.ScopeInference}}); err != nil {
		t.Fatal(err)
	}
	var pool string
	n.store.View(func(s *ledger.State) {
		for _, r := range s.Rows() {
			if c, ok := r.(*ledger.Credential); ok && c.Provider == "openai" {
				pool = c.ID
			}
		}
	})
	admit := func(request string) ledger.Admit {
		return ledger.Admit{Who: ledger.By{Actor: key, Cause: "once"}, Org: org, Key: key, Request: request, Lane: ledger.LaneAuto, Dialect: ledger.DialectOpenAIChat,
			Asked: "auto", Demand: ledger.Demand{Choice: ledger.Choice{Model: "openai/gpt-6-luna", Credential: pool, Kind: ledger.PlatformPool}, Input: 10, Output: 100}}
	}
	held := func() (open int) {
		n.store.View(func(s *ledger.State) { open = len(s.Holds()) })
		return open
	}
	back := away(t, replica)
	for _, do := range []func(ledger.Admit) error{
		func(a ledger.Admit) error { _, err := books.Execute(t.Context(), a); return err },
		func(a ledger.Admit) error {
			a.Who.Cause, a.Inputs.Noted = "noted", true
			_, err := books.ExecuteNoted(t.Context(), a, a.Request, []byte(`{}`))
			return err
		},
	} {
		err := do(admit("r1"))
		if e, ok := errors.AsType[*ledger.Error](err); !ok || e.Code != ledger.CodeNotReplicated {
			t.Fatalf("it was admitted though the replica is out of reach: %v", err)
		}
		if held() != 0 {
			t.Error("its hold stays")
		}
	}
	back()
	until(t, "a round succeeds", func() bool { return n.replication.Progress().Err == nil })
	a := admit("r2")
	a.Who.Cause = "again"
	r, err := books.Execute(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	holdsAll(t, n, r.Records[0].Position)
	away(t, replica)
	_, err = books.Execute(t.Context(), ledger.Settle{Who: a.Who, Org: org, Request: "r2", Usage: ledger.Usage{Input: 1, Output: 1}, Source: ledger.UsageProvider})
	if e, ok := errors.AsType[*ledger.Error](err); !ok || e.Code != ledger.CodeNotReplicated || held() != 0 {
		t.Errorf("a settlement without the replica: %v, %d held", err, held())
	}
}

// The answer over HTTP: 504, and with the same Idempotency-Key the wait is taken up again; what only asks does not wait.
func TestNotReplicatedOverHTTP(t *testing.T) {
	for _, mode := range []durability{durableMoney, durableAll} {
		t.Run(string(mode), func(t *testing.T) {
			n, org, replica := durable(t, mode)
			addr, err := n.server.Listen("127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			go n.server.Serve()
			t.Cleanup(func() { n.server.Close() })
			do := func(method, path, key, body string) (status int, answer map[string]any) {
				r, err := http.NewRequest(method, "http://"+addr.String()+"/api/v1"+path, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Authorization", "Bearer 01234567890123456789")
				r.Header.Set("Idempotency-Key", key)
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				b, _ := io.ReadAll(resp.Body)
				json.Unmarshal(b, &answer)
				return resp.StatusCode, answer
			}
			purchase := func() (int, map[string]any) {
				return do("POST", "/orgs/"+org+"/credits", "buy-1", `{"kind":"purchase","amount_usd":"25.00","reference":"r"}`)
			}
			rename := func() (int, map[string]any) {
				return do("POST", "/orgs/"+org+"/suspend", "stop-1", "")
			}
			back := away(t, replica)
			if status, p := purchase(); status != http.StatusGatewayTimeout || p["code"] != "not_replicated" {
				t.Errorf("a purchase: %d %v", status, p)
			}
			want := http.StatusOK
			if mode == durableAll {
				want = http.StatusGatewayTimeout
			}
			if status, p := rename(); status != want {
				t.Errorf("another change: %d %v", status, p)
			}
			for _, ask := range []string{"/orgs/" + org + "/balance", "/orgs/" + org + "/credits"} {
				if status, p := do("GET", ask, "", ""); status != http.StatusOK {
					t.Errorf("%s: %d %v", ask, status, p)
				}
			}
			if status, p := do("POST", "/sql", "", `{"query":"SELECT 1"}`); status != http.StatusOK {
				t.Errorf("a question: %d %v", status, p)
			}
			back()
			until(t, "a round succeeds", func() bool { return n.replication.Progress().Err == nil })
			status, lot := purchase()
			if status != http.StatusCreated {
				t.Fatalf("the same purchase: %d %v", status, lot)
			}
			head, _ := n.head()
			var lots []*ledger.LotStanding
			n.store.View(func(s *ledger.State) {
				st, _ := s.Standing(org)
				for i := range st.Lots {
					lots = append(lots, &st.Lots[i])
				}
			})
			if len(lots) != 1 {
				t.Errorf("%d lots, and one was bought", len(lots))
			}
			if status, p := rename(); status != http.StatusOK {
				t.Errorf("another change, again: %d %v", status, p)
			}
			holdsAll(t, n, head)
		})
	}
}

// The end of a stream, from its finish reason on, is released after its settlement is in the replica.
func TestStreamEndsAfterTheReplica(t *testing.T) {
	s := newSite(t)
	s.must("org", "open", "acme", "--plan", "teams")
	key := s.must("key", "issue", "acme", "--name", "k")
	replica := t.TempDir()
	url, _ := s.serve("--durability", "replicated", "--litestream", replicatedTo(t, s.data(), replica))
	body := `{"model":"openai/gpt-6-luna","stream":true,"messages":[{"role":"user","content":"Hello [[sandbox hang=content]]"}]}`
	r, err := http.NewRequest("POST", url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	resp, err := http.DefaultClient.Do(r)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	defer resp.Body.Close()
	var got bytes.Buffer
	buf := make([]byte, 4096)
	for !strings.Contains(got.String(), `"content":"`) {
		k, err := resp.Body.Read(buf)
		got.Write(buf[:k])
		if err != nil {
			t.Fatalf("%v after %s", err, got.String())
		}
	}
	back := away(t, replica)
	until(t, "the upstream goes on", func() bool { return s.up.Release("") > 0 })
	ended := make(chan string, 1)
	go func() {
		rest, _ := io.ReadAll(resp.Body)
		ended <- string(rest)
	}()
	until(t, "it is settled here", func() bool {
		return strings.Contains(s.must("sql", "--csv", "SELECT state FROM requests"), "settled")
	})
	failed := func() (rounds int) {
		_, line, _ := strings.Cut(fetch(t, url+"/metrics"), "\nwaybill_replica_failures_total ")
		fmt.Sscan(line, &rounds)
		return rounds
	}
	before := failed()
	until(t, "two more rounds fail", func() bool { return failed() > before+1 }) // one at least began after the settlement
	select {
	case rest := <-ended:
		t.Fatalf("it ended before the replica had it: %s", rest)
	default:
	}
	if strings.Contains(got.String(), `"finish_reason":"stop"`) {
		t.Errorf("the finish reason came before: %s", got.String())
	}
	back()
	if rest := <-ended; !strings.Contains(rest, `"finish_reason":"stop"`) || !strings.Contains(rest, "[DONE]") {
		t.Errorf("the end is %s", rest)
	}
}

// A promise about a replica without one is refused.
func TestDurabilityNeedsAReplica(t *testing.T) {
	s := newSite(t)
	for _, mode := range []string{"money", "replicated"} {
		if status, _, err := s.run("", "serve", "--durability", mode); status != exitFailed || !strings.Contains(err, "durability "+mode+" is a promise about a replica") {
			t.Errorf("%s: status %d, %s", mode, status, err)
		}
	}
	// A command without a node keeps the promise too.
	s.must("org", "open", "acme", "--plan", "teams")
	replica := t.TempDir()
	s.env = append(s.env, "WAYBILL_LITESTREAM="+replicatedTo(t, s.data(), replica), "WAYBILL_DURABILITY=money")
	s.must("credit", "purchase", "acme", "25.00", "--reference", "r1")
	if _, err := os.Stat(filepath.Join(replica, "waybill.db", "ltx", "0")); err != nil {
		t.Errorf("the replica: %v", err)
	}
}
