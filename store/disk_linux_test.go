package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"waybill/ledger"
)

// TestSmallDisk fills a real file system: the ballast pays for the settlements of what was open, and returns with the space.
func TestSmallDisk(t *testing.T) {
	ctx := context.Background()
	o := Options{Dir: t.TempDir(), Ballast: 1 << 20, retry: time.Millisecond}
	err := syscall.Mount("tmpfs", o.Dir, "tmpfs", 0, "size=8m")
	if errors.Is(err, os.ErrPermission) {
		t.Skip("this needs the right to mount a file system: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(o.Dir, 0); err != nil {
			t.Error(err)
		}
	})
	s := newNode(t, o, "acme")
	filler, ballast := filepath.Join(o.Dir, "filler"), filepath.Join(o.Dir, "ballast")
	if err := os.WriteFile(filler, make([]byte, 5<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	var open []string
	for {
		request := fmt.Sprintf("r-%04d", len(open))
		_, err := s.Execute(ctx, admit("acme", request))
		if refusal(err) == ledger.CodeUnavailable && strings.Contains(err.Error(), "disk is full") {
			break
		}
		if err != nil || len(open) > 10_000 {
			t.Fatal(len(open), err)
		}
		open = append(open, request)
	}
	if _, err := os.Stat(ballast); err != nil {
		t.Errorf("the ballast was given up for a call that had not begun: %v", err)
	}
	for _, request := range open {
		must(t, s, settle("acme", request))
	}
	if _, err := s.Execute(ctx, admit("acme", "another")); refusal(err) != ledger.CodeUnavailable {
		t.Errorf("a call on what is left of the ballast: %v", err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	for err := error(unavailable("not yet")); err != nil; {
		if _, err = s.Execute(ctx, ledger.Mature{Org: "acme"}); err != nil && refusal(err) != ledger.CodeUnavailable {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(ballast); err != nil || info.Size() != o.Ballast {
		t.Errorf("the ballast afterwards: %v", err)
	}
	whole(t, s.Reader)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, o)
	s.View(func(st *ledger.State) {
		if n := len(st.Holds()); n != 0 {
			t.Errorf("%d holds are open", n)
		}
	})
}
