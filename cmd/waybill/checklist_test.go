package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	wbhttp "waybill/http"
	"waybill/ledger"
	"waybill/store"
)

// The command prints what it finds, in a table or as the control API does, and its status says whether something is wrong; beside a node
// that serves, and without one.
func TestChecklist(t *testing.T) {
	s := newSite(t)
	status, out, _ := s.run("", "checklist")
	if status != exitFailed || !strings.Contains(out, "this disk has the only copy") {
		t.Errorf("without a replica: status %d\n%s", status, out)
	}
	s.env = append(s.env, "WAYBILL_LITESTREAM="+replicatedTo(t, s.data(), t.TempDir()))
	url, stop := s.serve()
	until(t, "it takes calls", func() bool { return ready(url) })
	until(t, "the replica has it, and a drill succeeds", func() bool {
		status, _, _ := s.run("", "drill")
		return status == exitOK
	})
	var v checklistView
	until(t, "all is known and nothing is wrong", func() bool {
		status, out, _ := s.run("", "checklist", "--json")
		if err := json.Unmarshal([]byte(out), &v); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		unknown := slices.ContainsFunc(v.Checks, func(c struct{ Name, State, Detail, Action string }) bool { return c.State == wbhttp.CheckUnknown })
		return v.OK && status == exitOK && (!unknown || unchecked(v))
	})
	table := s.must("checklist")
	for _, line := range []string{"at position ", "master key", "log verified", "open calls", "platform credentials", "prices"} {
		if !strings.Contains(table, line) {
			t.Errorf("no %q in\n%s", line, table)
		}
	}
	stop()
	if _, out, _ := s.run("", "checklist"); !strings.Contains(out, "the node does not serve") {
		t.Errorf("without a node:\n%s", out)
	}
}

// unchecked tells whether all that is unknown are the credentials, which a round of checks finds out in its own time.
func unchecked(v checklistView) bool {
	for _, c := range v.Checks {
		if c.State == wbhttp.CheckUnknown && c.Name != "platform credentials" {
			return false
		}
	}
	return true
}

// Each line is wrong when what it is about is.
func TestChecklistFinds(t *testing.T) {
	n, org, replica := durable(t, durableHere)
	at := func() map[string]wbhttp.Check {
		t.Helper()
		all, err := n.checklist(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		m := map[string]wbhttp.Check{}
		for _, c := range all {
			m[c.Name] = c
		}
		return m
	}
	is := func(name, state, detail string) {
		t.Helper()
		if c := at()[name]; c.State != state || !strings.Contains(c.Detail, detail) || state == wbhttp.CheckWrong && c.Action == "" {
			t.Errorf("%s: %+v, want %s: %s", name, c, state, detail)
		}
	}
	do := func(cs ...ledger.Command) {
		t.Helper()
		for _, c := range cs {
			if _, err := n.store.Execute(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
	}
	operator := func(cause string) ledger.By { return ledger.By{Actor: "operator", Cause: cause} }
	is("drill", wbhttp.CheckWrong, "never tried")
	do(ledger.CompleteDrill{Who: operator("d1"), Drill: ledger.Drill{Position: 7, Failure: "unreachable"}})
	is("drill", wbhttp.CheckWrong, "failed (unreachable)")
	do(ledger.CompleteDrill{Who: operator("d2"), Drill: ledger.Drill{Position: 7, OK: true}})
	is("drill", wbhttp.CheckOK, "up to position 7")

	is("prices", wbhttp.CheckOK, "")
	var row *ledger.Price
	n.store.View(func(s *ledger.State) { row = s.PriceOf("openai/gpt-6-luna", ledger.InstantOf(time.Now())) })
	do(ledger.WithdrawPrice{Who: operator("w1"), Price: row.ID})
	is("prices", wbhttp.CheckWarn, "openai/gpt-6-luna")

	is("open calls", wbhttp.CheckOK, "none")
	do(ledger.IssueKey{Who: operator("k1"), Org: org, Key: "k1", Hash: strings.Repeat("ab", 32), Scopes: []ledger.Scope{ledger.ScopeInference}})
	var pool *ledger.Credential
	n.store.View(func(s *ledger.State) { pool = s.Wallet(ledger.Platform)[0] })
	model := map[string]string{"openai": "openai/gpt-6-sol", "anthropic": "anthropic/claude-haiku-5-5", "google": "google/gemini-2.5-flash-lite"}[pool.Provider]
	do(ledger.Admit{Who: ledger.By{Actor: "k1", Cause: "r1"}, Org: org, Key: "k1", Request: "r1", Lane: ledger.LaneAuto, Dialect: ledger.DialectOpenAIChat, Asked: "auto",
		Demand: ledger.Demand{Choice: ledger.Choice{Model: model, Credential: pool.ID, Kind: ledger.PlatformPool}, Input: 10, Output: 100}})
	is("open calls", wbhttp.CheckOK, "1, the oldest, r1")

	do(ledger.CheckCredential{Who: operator("c1"), Org: ledger.Platform, Credential: pool.ID, Fingerprint: pool.Fingerprint, Status: ledger.CheckDead, Code: "invalid_api_key"})
	is("platform credentials", wbhttp.CheckWrong, "is dead invalid_api_key")

	is("clock", at()["clock"].State, "")
	now := n.world.now
	n.world.now = func() time.Time { return now().Add(2 * time.Hour) }
	is("open calls", wbhttp.CheckWrong, "2h")
	n.world.now = func() time.Time { return now().Add(-2 * time.Hour) }
	is("clock", wbhttp.CheckWrong, "the log's last event is of")
	n.world.now = func() time.Time { return now().Add(100 * time.Hour) }
	is("drill", wbhttp.CheckWarn, "100h")
	n.world.now = now

	is("log verified", wbhttp.CheckUnknown, "")
	n.verify(t.Context())
	is("log verified", wbhttp.CheckOK, "up to position")
	n.differs.Store(&store.Difference{Position: 4, Table: "balances", Want: "7", Found: "8"})
	is("log verified", wbhttp.CheckWrong, "table balances")

	key := n.conf.masterKeyFile
	inside := filepath.Join(n.conf.data, "k")
	n.conf.masterKeyFile = inside
	is("master key", wbhttp.CheckWrong, "is in the data folder")
	n.conf.masterKeyFile = key
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	is("master key", wbhttp.CheckWrong, "open to others")

	until(t, "a round succeeds", func() bool { p := n.replication.Progress(); return p.Behind() == 0 && p.Err == nil && !p.At.IsZero() })
	is("replica's lag", wbhttp.CheckOK, "events behind: 0")
	away(t, replica)
	do(ledger.CompleteDrill{Who: operator("d3"), Drill: ledger.Drill{Position: 7, OK: true}})
	until(t, "a round fails", func() bool { return n.replication.Progress().Err != nil })
	is("replica's lag", wbhttp.CheckWarn, "the last round failed")
	n.conf.litestream = filepath.Join(t.TempDir(), "none.yml")
	is("replica", wbhttp.CheckWrong, "none.yml")
	n.conf.litestream = ""
	is("replica", wbhttp.CheckWrong, "only copy")
}

// A node whose replica is another's takes no calls, and says so.
func TestDivergedNodeTakesNoCalls(t *testing.T) {
	s := newSite(t)
	s.must("org", "open", "acme", "--plan", "teams")
	replica := t.TempDir()
	s.env = append(s.env, "WAYBILL_LITESTREAM="+replicatedTo(t, s.data(), replica))
	url, stop := s.serve()
	until(t, "it takes calls", func() bool { return ready(url) })
	stop()
	// The folder as it is now comes back later, and by then the node has gone on.
	older := filepath.Join(t.TempDir(), "older")
	if err := os.CopyFS(older, os.DirFS(s.data())); err != nil {
		t.Fatal(err)
	}
	_, stop = s.serve()
	s.must("org", "open", "beta", "--plan", "teams")
	s.must("credit", "purchase", "beta", "5.00", "--reference", "r")
	stop()
	if err := errors.Join(os.Rename(s.data(), s.data()+".away"), os.Rename(older, s.data())); err != nil {
		t.Fatal(err)
	}
	status, _, text := s.run("", "serve")
	if status != exitFailed || !strings.Contains(text, "this folder is an older copy") || !strings.Contains(text, "waybill restore") {
		t.Errorf("status %d: %s", status, text)
	}
	if err := errors.Join(os.Rename(s.data(), older), os.Rename(s.data()+".away", s.data())); err != nil {
		t.Fatal(err)
	}
	// Beside the node that runs, somebody else writes the next transaction.
	url, _ = s.serve()
	until(t, "it takes calls", func() bool { return ready(url) })
	folder := filepath.Join(replica, "waybill.db", "ltx", "0")
	for more := range 20 {
		all, err := os.ReadDir(folder)
		if err != nil || len(all) == 0 {
			t.Fatal(all, err)
		}
		var last int
		if _, err := fmt.Sscanf(all[len(all)-1].Name(), "%x-", &last); err != nil {
			t.Fatal(err)
		}
		next := filepath.Join(folder, fmt.Sprintf("%016x-%016x.ltx", last+1, last+1))
		if err := os.WriteFile(next, bytes.Repeat([]byte("another's "), 40), 0o600); err != nil {
			t.Fatal(err)
		}
		s.must("org", "open", fmt.Sprint("more-", more), "--plan", "free")
		if !ready(url) {
			break
		}
	}
	until(t, "it takes no calls any more", func() bool { return !ready(url) })
	resp, err := http.Get(url + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(b), "the replica is another node's") || strings.Contains(string(b), replica) {
		t.Errorf("%s, %v", b, err)
	}
	if status, out, _ := s.run("", "checklist"); status != exitFailed || !strings.Contains(out, "somebody else who writes there now") {
		t.Errorf("the checklist: status %d\n%s", status, out)
	}
}
