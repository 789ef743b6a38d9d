package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"

	"waybill/ledger"
	"waybill/store"
)

// replicated gives the site a replica in a folder of its own.
func (s *site) replicated() (config string) {
	s.t.Helper()
	config = filepath.Join(s.t.TempDir(), "litestream.yml")
	replica := s.t.TempDir()
	text := "dbs:\n"
	for _, name := range []string{"waybill.db", "vault.db"} {
		text += fmt.Sprintf("  - path: %s\n    replica:\n      type: file\n      path: %s\n      sync-interval: 50ms\n", filepath.Join(s.data(), name), filepath.Join(replica, name))
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.env = append(s.env, "WAYBILL_LITESTREAM="+config)
	return config
}

// busy serves until some calls of three orgs are settled: on plan tokens, on credit and on a key of the org's own.
func (s *site) busy(calls int) {
	s.t.Helper()
	url, stop := s.serve()
	s.must("org", "open", "plan", "--plan", "teams")
	s.must("org", "open", "credit", "--plan", "starter")
	s.must("org", "open", "own", "--plan", "free")
	if status, _, err := s.run("sk-own", "credential", "attach", "own", "openai", "--name", "ours"); status != exitOK {
		s.t.Fatal(err)
	}
	var keys []string
	for _, org := range []string{"plan", "credit", "own"} {
		keys = append(keys, s.must("key", "issue", org, "--name", "load"))
	}
	var wg sync.WaitGroup
	for w, key := range keys {
		wg.Go(func() {
			client := sdk(url, key)
			for i := range calls {
				model := "openai/gpt-6-luna"
				if w == 1 {
					model = "auto"
				}
				if _, err := client.Chat.Completions.New(s.t.Context(), chat(model, fmt.Sprintf("Hello %d", i))); err != nil {
					s.t.Errorf("org %d: %v", w, err)
					return
				}
			}
		})
	}
	for i := range 5 {
		s.must("credit", "purchase", "credit", "10.00", "--reference", fmt.Sprint("pay-", i))
		s.must("credit", "grant", "plan", "1.50")
	}
	wg.Wait()
	s.must("key", "revoke", "plan", "load")
	s.must("org", "plan", "credit", "teams")
	if status := stop(); status != exitOK {
		s.t.Fatalf("the node ended with status %d", status)
	}
}

// A log is restored to positions drawn at random: every balance is the one that the original shows for that position. A
// failure prints the seed, WAYBILL_SEED sets it.
func TestRestoreToRandomPositions(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv("WAYBILL_SEED"); v != "" {
		seed, _ = strconv.ParseUint(v, 10, 64)
	}
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	s := newSite(t)
	config := s.replicated()
	s.busy(20)
	head := s.headOf()
	balances := func(s *site, position uint64) (all string) {
		for _, org := range []string{"plan", "credit", "own"} {
			status, out, err := s.run("", "balance", org, "--at", fmt.Sprint(position), "--json")
			if status != exitOK && !strings.Contains(err, "is not known") {
				s.t.Fatalf("%s at %d: %s", org, position, err)
			}
			all += out
		}
		return all
	}
	filled := 0
	for i := range 20 {
		n := 1 + r.Uint64N(head)
		to := s.elsewhere()
		out := to.must("restore", "--from", config, "--at", fmt.Sprint(n), "--json")
		var done struct {
			Position uint64 `json:"restored_position"`
			LeftOut  uint64 `json:"events_left_out"`
			Epoch    uint64 `json:"epoch"`
		}
		if err := json.Unmarshal([]byte(out), &done); err != nil || done.Position != n || done.LeftOut != head-n || done.Epoch != 2 {
			t.Fatalf("restored to %d: %s, %v", n, out, err)
		}
		want, got := balances(s, n), balances(to, n)
		if want != got {
			t.Fatalf("restored to %d:\n%s\nwant\n%s", n, got, want)
		}
		if want != "" {
			filled++
		}
		to.must("verify")
		if i < 3 { // it starts, though checkpoints were signed further on
			_, stop := to.serve()
			if status := stop(); status != exitOK {
				t.Errorf("restored to %d, it serves with status %d", n, status)
			}
			to.must("verify")
		}
	}
	if filled == 0 {
		t.Error("no position had a balance: this test shows nothing")
	}
}

func (s *site) headOf() uint64 {
	s.t.Helper()
	r, err := store.OpenReader(s.t.Context(), s.data())
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Close()
	head, _, err := r.Head(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return head
}

// A node whose folder is empty restores it by itself if it is told to, goes on with it if it is there, and says what it did.
func TestServeRestores(t *testing.T) {
	s := newSite(t)
	s.replicated()
	s.busy(2)
	head := s.headOf()
	if err := os.RemoveAll(s.data()); err != nil {
		t.Fatal(err)
	}
	if status, _, err := s.run("", "serve"); status != exitFailed || !strings.Contains(err, "waybill serve --restore") {
		t.Fatalf("status %d: %s", status, err)
	}
	for range 2 {
		_, stop := s.serve("--restore")
		if status := stop(); status != exitOK {
			t.Fatalf("status %d", status)
		}
		if n := s.headOf(); n != head+1 {
			t.Errorf("the log ends at %d, want %d", n, head+1)
		}
	}
	s.must("verify")
}

// A serving node makes its drills at the interval from the last one that the log knows, and shows what came of the latest.
func TestServeDrills(t *testing.T) {
	s := newSite(t)
	s.replicated()
	s.env = append(s.env, "WAYBILL_DRILL_INTERVAL=50ms", "WAYBILL_OPERATOR_TOKEN=wbo_0123456789abcdefghij")
	url, stop := s.serve()
	drills := func() (n int) {
		r, err := store.OpenReader(t.Context(), s.data())
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		recs, err := r.Page(t.Context(), 0, 10_000)
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range recs {
			if e, ok := rec.Event.(*ledger.DrillCompleted); ok {
				n++
				if !e.OK && e.Failure != store.TrialEmpty { // before the first round there is nothing
					t.Errorf("drill %d: %+v", n, e)
				}
			}
		}
		return n
	}
	until(t, "two drills are made", func() bool { return drills() >= 2 })
	until(t, "the latest succeeded", func() bool {
		return strings.Contains(fetch(t, url+"/metrics"), "\nwaybill_drill_ok 1\n")
	})
	if m := fetch(t, url+"/metrics"); strings.Contains(m, "\nwaybill_drill_position 0\n") || strings.Contains(m, "\nwaybill_drill_timestamp_seconds 0\n") || !strings.Contains(m, "\nwaybill_log_epoch 1\n") {
		t.Errorf("metrics:\n%s", m)
	}
	stop()
	before := drills()
	s.env = append(s.env, "WAYBILL_DRILL_INTERVAL=1h")
	n, err := openNode(t.Context(), s.conf(), nodeOptions{log: slog.New(slog.DiscardHandler), serves: true, replicate: true})
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	var last ledger.Instant
	n.store.View(func(st *ledger.State) { last = st.Node().Drilled })
	if due, err := n.nextDrill(t.Context()); err != nil || before == 0 || !due.Equal(last.Time().Add(time.Hour)) {
		t.Errorf("the next drill is due at %s, %v; the last was at %s", due, err, last)
	}
}

func (s *site) conf() config {
	s.t.Helper()
	c, err := configure(nil, environ(s.env))
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b strings.Builder
	if err := resp.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The two files come from different moments: a credential that was attached after the vault's is failing, so nothing is paid
// for what it would have answered, and one that was detached after it does not come back.
func TestRestoreOfTwoMoments(t *testing.T) {
	s := newSite(t)
	config := s.replicated()
	url, stop := s.serve()
	s.must("org", "open", "acme", "--plan", "teams")
	attach := func(name string) {
		if status, _, err := s.run("sk-own-"+name, "credential", "attach", "acme", "openai", "--name", name); status != exitOK {
			t.Fatal(err)
		}
	}
	attach("early")
	key := s.must("key", "issue", "acme", "--name", "k")
	if err := ask(t, url, key, chat("openai/gpt-6-luna", "Hello")); err != nil {
		t.Fatal(err)
	}
	stop()
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	var replica string
	for line := range strings.Lines(string(text)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "path: "); ok && filepath.Base(path) == "vault.db" {
			replica = path // the second is the replica's
		}
	}
	older := filepath.Join(t.TempDir(), "vault.db")
	if err := os.CopyFS(older, os.DirFS(replica)); err != nil {
		t.Fatal(err)
	}
	_, stop = s.serve()
	attach("late")
	s.must("credential", "detach", "acme", "early")
	stop()
	mixed := filepath.Join(t.TempDir(), "litestream.yml")
	if err := os.WriteFile(mixed, []byte(strings.ReplaceAll(string(text), replica, older)), 0o600); err != nil {
		t.Fatal(err)
	}
	to := s.elsewhere()
	out := to.must("restore", "--from", mixed)
	if !strings.Contains(out, "failing") || !strings.Contains(out, "1 of detached ones destroyed") {
		t.Errorf("restore says\n%s", out)
	}
	url, _ = to.serve()
	before := len(s.up.Calls())
	if err := ask(t, url, key, chat("openai/gpt-6-luna", "Hello")); err == nil {
		t.Error("a credential without its secret is taken for one that is absent: the call went to paid capacity")
	}
	if n := len(s.up.Calls()) - before; n != 0 {
		t.Errorf("%d calls went out", n)
	}
	if list := to.must("credential", "list", "acme"); strings.Contains(list, "early") || !strings.Contains(list, "late") {
		t.Errorf("credentials:\n%s", list)
	}
}

// The stock litestream command restores from the same litestream.yml, and what it restores is the node.
func TestStockLitestreamRestores(t *testing.T) {
	s := newSite(t)
	config := s.replicated()
	s.busy(5)
	s.stockRestores(config)
}

// stockRestores has the stock command restore the site, if WAYBILL_LITESTREAM_COMMAND names it.
func (s *site) stockRestores(config string) {
	s.t.Helper()
	litestream := os.Getenv("WAYBILL_LITESTREAM_COMMAND")
	if litestream == "" {
		s.t.Log("WAYBILL_LITESTREAM_COMMAND is not set: the stock command was not tried")
		return
	}
	to := s.elsewhere()
	if err := os.Mkdir(to.data(), 0o700); err != nil {
		s.t.Fatal(err)
	}
	for _, name := range []string{"waybill.db", "vault.db"} {
		out, err := exec.Command(litestream, "restore", "-config", config, "-o", filepath.Join(to.data(), name), filepath.Join(s.data(), name)).CombinedOutput()
		if err != nil {
			s.t.Fatalf("%v: %s", err, out)
		}
	}
	to.must("verify")
	to.sameBalances(s)
	url, stop := to.serve()
	if err := ask(s.t, url, to.must("key", "issue", "own", "--name", "new"), chat("openai/gpt-6-luna", "Hello")); err != nil {
		s.t.Errorf("on the org's own key: %v", err)
	}
	stop()
}

// elsewhere is another machine, to which the master key was brought, and nothing else.
func (s *site) elsewhere() *site {
	return &site{t: s.t, up: s.up, env: append(slices.Clone(s.env), "WAYBILL_DATA="+filepath.Join(s.t.TempDir(), "new"),
		"WAYBILL_MASTER_KEY_FILE="+environ(s.env)["WAYBILL_DATA"]+".key", "WAYBILL_LITESTREAM=")}
}

func (s *site) sameBalances(other *site) {
	s.t.Helper()
	position := min(s.headOf(), other.headOf())
	for _, org := range []string{"plan", "credit", "own"} {
		at := fmt.Sprint(position - 1)
		if got, want := s.must("balance", org, "--json", "--at", at), other.must("balance", org, "--json", "--at", at); got != want {
			s.t.Errorf("%s has\n%s\nand had\n%s", org, got, want)
		}
	}
}

func (s *site) drillsOK() {
	s.t.Helper()
	if out := s.must("drill"); !strings.HasPrefix(out, "ok:") {
		s.t.Error(out)
	}
}

func ask(t *testing.T, url, key string, params openai.ChatCompletionNewParams) error {
	client := sdk(url, key)
	_, err := client.Chat.Completions.New(t.Context(), params)
	return err
}
