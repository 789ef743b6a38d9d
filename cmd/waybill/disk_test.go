package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"waybill/store"
)

// serveIn is serve in another world.
func serveIn(in world) command {
	c := serveCommand
	c.setup = func(*flags) action {
		return func(ctx context.Context, w *work, _ []string) error {
			return serve(ctx, w, nodeOptions{log: slog.New(slog.NewTextHandler(w.stderr, nil)), replicate: true, world: in}, nil)
		}
	}
	return c
}

// developer makes a call, and keeps what came of it.
type developer struct {
	org, dialect, model string
	stream              bool
	status              int
	body, request       string
	err                 error
}

// whole tells whether what came looks finished.
func (c *developer) whole() bool {
	return c.status == http.StatusOK && (c.stream && strings.Contains(c.body, simDialects[c.dialect].finish) || !c.stream && c.err == nil)
}

// call makes the call.
func (c *developer) call(address, key, directive string) {
	d := simDialects[c.dialect]
	prompt := "Hello. [[sandbox " + directive + "]]"
	path, body := d.path, fmt.Sprintf(d.body, c.model, c.stream, prompt)
	if c.dialect == "gemini" {
		if c.stream {
			path = d.streamed
		}
		path, body = fmt.Sprintf(path, c.model), fmt.Sprintf(d.body, prompt)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address+path, strings.NewReader(body))
	if err != nil {
		c.err = err
		return
	}
	r.Header.Set("Authorization", "Bearer "+key)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		c.err = err
		return
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	c.status, c.body, c.request, c.err = resp.StatusCode, string(b), resp.Header.Get("Waybill-Request"), err
}

// kinds are calls of every org in every dialect, streamed and not.
func kinds() (all []*developer) {
	models := map[string]string{"plan": "openai/gpt-6-luna", "credit": "anthropic/claude-haiku-5-5", "own": "google/gemini-2.5-flash-lite"}
	for _, org := range []string{"plan", "credit", "own"} {
		for _, d := range []string{"chat", "responses", "messages", "gemini"} {
			for _, stream := range []bool{false, true} {
				all = append(all, &developer{org: org, dialect: d, model: models[org], stream: stream})
			}
		}
	}
	return all
}

// settled opens, while the node serves, an org on plan tokens, one on credit and one on a key of its own, and gives their keys.
func (s *site) settled(address string) (keys map[string]string) {
	s.t.Helper()
	r, err := http.NewRequest(http.MethodPost, address+"/api/v1/plans", strings.NewReader(`{"id":"credit-only","lanes":["auto","manual"],"credit":true}`))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+simToken)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	resp.Body.Close()
	s.must("org", "open", "plan", "--plan", "teams")
	s.must("org", "open", "credit", "--plan", "credit-only")
	s.must("org", "open", "own", "--plan", "free")
	s.must("credit", "purchase", "credit", "20.00", "--reference", "first")
	if status, _, err := s.run("sk-own", "credential", "attach", "own", "google", "--name", "ours"); status != exitOK {
		s.t.Fatal(err)
	}
	keys = map[string]string{}
	for _, org := range []string{"plan", "credit", "own"} {
		keys[org] = s.must("key", "issue", org, "--name", "k")
	}
	return keys
}

// smallDisk is one on which the log has little room: as much as is left when it fills, and the ballast's once that is given up.
type smallDisk struct {
	data    string
	full    atomic.Int64 // pages that the log's file may have; 0: enough
	reserve int64        // pages in the ballast
	dropped atomic.Bool
}

// Pages is asked before each transaction.
func (d *smallDisk) Pages() int64 {
	n := d.full.Load()
	if n == 0 {
		return 0
	}
	if _, err := os.Stat(filepath.Join(d.data, "ballast")); errors.Is(err, fs.ErrNotExist) {
		d.dropped.Store(true)
	}
	if d.dropped.Load() {
		n += d.reserve
	}
	return n
}

// fill leaves little more room than the log has. There is none for another ballast.
func (d *smallDisk) fill(t *testing.T) {
	t.Helper()
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: filepath.Join(d.data, "waybill.db"), RawQuery: "mode=ro"}).String())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var pages int64
	if err := db.QueryRow("PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(d.data, "ballast.spare", "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	d.full.Store(pages + 8)
}

func (d *smallDisk) empty(t *testing.T) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(d.data, "ballast.spare")); err != nil {
		t.Fatal(err)
	}
	d.full.Store(0)
}

// On a full disk a serving node refuses calls before it makes any upstream, whoever pays for them, and purchases; the calls that
// are open end with their answers and their bills; and when there is space it goes on by itself.
func TestFullDisk(t *testing.T) {
	s := newSite(t)
	s.env = append(s.env, "WAYBILL_OPERATOR_TOKEN="+simToken)
	disk := &smallDisk{data: s.data(), reserve: 256}
	n := s.start(serveIn(world{disk: store.Disk{Pages: disk.Pages}, ballast: disk.reserve * 4096}))
	keys := s.settled(n.url)

	open := kinds()
	var ended atomic.Int64
	for _, c := range open {
		go func() {
			defer ended.Add(1)
			c.call(n.url, keys[c.org], "output=20 hang=end")
		}()
	}
	until(t, "all calls are open upstream", func() bool { return len(s.up.Calls()) == len(open) })

	disk.fill(t)
	answered := s.untilRefused(n.url, keys)
	s.refused(n.url, keys, "while calls are open")
	s.up.Release("")
	until(t, "the open calls end", func() bool { return ended.Load() == int64(len(open)) })
	for _, c := range open {
		if !c.whole() {
			t.Errorf("%s, stream %t, of %s was open when the disk was full, and got %d %s, %v", c.dialect, c.stream, c.org, c.status, c.body, c.err)
		}
	}
	if !disk.dropped.Load() {
		t.Error("the settlements had room without the ballast: the disk was not full")
	}
	s.refused(n.url, keys, "once they have ended")
	select {
	case <-n.ended:
		t.Fatalf("the node has ended: %s", n.stderr.String())
	default:
	}

	disk.empty(t)
	until(t, "the node goes on by itself", func() bool { return ready(n.url) })
	s.must("credit", "purchase", "credit", "5.00", "--reference", "refused")
	for _, c := range kinds() {
		if c.call(n.url, keys[c.org], "output=20"); !c.whole() {
			t.Errorf("%s, stream %t, of %s, when there is space again: %d %s, %v", c.dialect, c.stream, c.org, c.status, c.body, c.err)
		}
	}
	if got, want := s.must("sql", "--csv", "SELECT state, count(*) FROM requests GROUP BY state"), fmt.Sprint("settled,", 2*len(open)+answered); !strings.HasSuffix(got, "\n"+want) || strings.Count(got, "\n") != 1 {
		t.Errorf("the log has %q, want %s", got, want)
	}
	if status := n.stop(); status != exitOK {
		t.Errorf("status %d", status)
	}
	s.must("verify")
}

// untilRefused makes calls until one is refused, and gives how many were answered.
func (s *site) untilRefused(address string, keys map[string]string) (answered int) {
	s.t.Helper()
	for _, c := range slices.Repeat(kinds(), 40) {
		before := len(s.up.Calls())
		switch c.call(address, keys[c.org], "output=20"); {
		case c.status == http.StatusServiceUnavailable:
			if made := len(s.up.Calls()) - before; made != 0 {
				s.t.Fatalf("the first call that was refused had been made upstream: %s", c.body)
			}
			return answered
		case !c.whole():
			s.t.Fatalf("while the disk fills: %d %s, %v", c.status, c.body, c.err)
		}
		answered++
	}
	s.t.Fatal("the disk does not fill")
	return 0
}

// refused wants a node that takes nothing new, and makes no call for what it refuses.
func (s *site) refused(address string, keys map[string]string, when string) {
	s.t.Helper()
	before := len(s.up.Calls())
	for _, c := range kinds() {
		if c.call(address, keys[c.org], "output=20"); c.status != http.StatusServiceUnavailable || !strings.Contains(c.body, "disk is full") {
			s.t.Errorf("%s: %s, stream %t, of %s gets %d %s, %v", when, c.dialect, c.stream, c.org, c.status, c.body, c.err)
		}
	}
	if made := len(s.up.Calls()) - before; made != 0 {
		s.t.Errorf("%s: %d calls were made upstream", when, made)
	}
	if status, _, stderr := s.run("", "credit", "purchase", "credit", "5.00", "--reference", "refused"); status != exitFailed || !strings.Contains(stderr, "disk is full") {
		s.t.Errorf("%s: a purchase: status %d, %s", when, status, stderr)
	}
	if ready(address) {
		s.t.Errorf("%s: the node says that it is ready", when)
	}
}
