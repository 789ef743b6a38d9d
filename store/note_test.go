package store

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"waybill/ledger"
)

// A note is kept with the command that it goes with, and not without it; it outlives a restart, is no part of the log, and an
// erasure leaves none of its bytes.
func TestNotes(t *testing.T) {
	ctx := context.Background()
	o := Options{Dir: t.TempDir()}
	s := newNode(t, o)
	open := func(org string) ledger.OpenOrg {
		return ledger.OpenOrg{Who: ledger.By{Actor: "operator", Cause: org, Input: org}, Org: org, Plan: "teams"}
	}
	for org, text := range map[string]string{"acme": `{"key":"prod-web"}`, "beta": `{"key":"other"}`} {
		if _, err := s.ExecuteNoted(ctx, open(org), "req_"+org, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if rec, err := s.ExecuteNoted(ctx, open("acme"), "req_acme", []byte(`{"key":"second"}`)); err != nil || !rec.Repeated {
		t.Fatal(rec, err)
	}
	if _, err := s.ExecuteNoted(ctx, ledger.OpenOrg{Org: "acme", Plan: "teams"}, "req_refused", []byte(`{"key":"refused"}`)); refusal(err) != ledger.CodeConflict {
		t.Fatal(err)
	}
	s.Close()
	s = reopen(t, o)
	for request, want := range map[string]string{"req_acme": `{"key":"prod-web"}`, "req_beta": `{"key":"other"}`, "req_refused": "", "req_none": ""} {
		if text, err := s.Note(ctx, request); err != nil || string(text) != want {
			t.Errorf("%s: %s, %v", request, text, err)
		}
	}
	if n, err := s.EraseNotes(ctx, "acme"); err != nil || n != 1 {
		t.Errorf("%d erased, %v", n, err)
	}
	if text, err := s.Note(ctx, "req_acme"); err != nil || text != nil {
		t.Errorf("%s, %v", text, err)
	}
	if text, err := s.Note(ctx, "req_beta"); err != nil || text == nil {
		t.Errorf("the note of another org: %s, %v", text, err)
	}
	s.Close()
	b, err := os.ReadFile(filepath.Join(o.Dir, "waybill.db"))
	if err != nil || bytes.Contains(b, []byte("prod-web")) {
		t.Errorf("an erased note is still in the file: %v", err)
	}
}
