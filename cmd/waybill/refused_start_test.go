package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A node that is refused at its start, because one of its files is not its newest, has put nothing into its replica: that has the newest
// state, which a restore brings back, and with the newest file put back the node goes on.
func TestRefusedStartLeavesTheReplica(t *testing.T) {
	s := newSite(t)
	config := s.replicated()
	s.must("org", "open", "acme", "--plan", "starter")
	_, stop := s.serve()
	stop()
	stranger := newSite(t)
	older := s.copied()
	_, stop = s.serve()
	s.must("credit", "purchase", "acme", "25.00", "--reference", "r1")
	stop()
	head := s.must("verify", "--from-replica")
	for name, c := range map[string]struct{ file, from, says string }{
		"an older log":    {"waybill.db", older.data(), "put back to an older copy"},
		"another log":     {"waybill.db", stranger.data(), "two nodes"},
		"no vault":        {"vault.db", "", "no signing key"},
		"another's vault": {"vault.db", stranger.data(), "master key"},
	} {
		path := filepath.Join(s.data(), c.file)
		aside := filepath.Join(t.TempDir(), c.file)
		if err := errors.Join(os.Rename(path, aside), os.RemoveAll(path+"-wal"), os.RemoveAll(path+"-shm")); err != nil {
			t.Fatal(name, err)
		}
		if c.from != "" {
			b, err := os.ReadFile(filepath.Join(c.from, c.file))
			if err := errors.Join(err, os.WriteFile(path, b, 0o600)); err != nil {
				t.Fatal(name, err)
			}
		}
		if status, _, err := s.run("", "serve"); status != exitFailed || !strings.Contains(err, c.says) {
			t.Fatalf("%s: status %d: %s", name, status, err)
		}
		if err := errors.Join(os.Rename(aside, path), os.RemoveAll(path+"-wal"), os.RemoveAll(path+"-shm")); err != nil {
			t.Fatal(name, err)
		}
		if got := s.must("verify", "--from-replica"); got != head {
			t.Fatalf("%s: the replica leads to\n%s\nand led to\n%s", name, got, head)
		}
	}
	_, stop = s.serve()
	s.must("credit", "purchase", "acme", "30.00", "--reference", "r2")
	stop()
	s.must("verify", "--from-replica")
	to := s.elsewhere()
	to.must("restore", "--from", config)
	if lots := to.must("credit", "lots", "acme"); !strings.Contains(lots, "r1") || !strings.Contains(lots, "r2") {
		t.Errorf("restored is\n%s", lots)
	}
}
