package main_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"waybill/ledger"
	"waybill/router/sandbox"
)

// The crash campaign starts the real program under load, kills it, starts it again, and holds what the upstreams served
// and what clients received against the log. WAYBILL_KILLS says how often; a failure prints the seed, WAYBILL_SEED sets it.
func TestCrashes(t *testing.T) {
	kills, seed := 4, uint64(1)
	if s := os.Getenv("WAYBILL_KILLS"); s != "" {
		kills, _ = strconv.Atoi(s)
	}
	if s := os.Getenv("WAYBILL_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	t.Logf("seed %d, %d kills", seed, kills)
	c := newCampaign(t, seed)
	between := 0
	for i := range kills {
		if c.round(i) {
			between++
		}
	}
	c.serve()
	c.reconcile(len(c.up.Calls()))
	c.stop(syscall.SIGTERM)
	t.Logf("%d calls served, %d answers held whole, %d kills with an answer that had ended upstream and was not settled", len(c.up.Calls()), len(c.whole), between)
	if kills >= 50 && between < 10 {
		t.Errorf("only %d of %d kills fell between an upstream's end and its settlement", between, kills)
	}
}

// campaign is a node that is killed again and again, its load, and what the load's clients hold.
type campaign struct {
	t      *testing.T
	rand   *rand.Rand
	binary string
	data   string
	up     *sandbox.Server
	keys   []string

	litestream string // file; empty: no replica
	masterKey  string // file; empty: beside the data folder

	cmd *exec.Cmd
	url string

	mu    sync.Mutex
	whole map[string]ledger.Usage // by request: answers that a client holds whole, with the usage that they show
}

const crashToken = "wbo_crash_campaign_operator_token"

func newCampaign(t *testing.T, seed uint64) *campaign {
	t.Helper()
	c := &campaign{t: t, rand: rand.New(rand.NewPCG(seed, 0)), whole: map[string]ledger.Usage{}, data: filepath.Join(t.TempDir(), "data")}
	c.binary = filepath.Join(t.TempDir(), "waybill")
	if out, err := exec.Command("go", "build", "-o", c.binary, "waybill/cmd/waybill").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var err error
	if c.up, err = sandbox.Listen("127.0.0.1:0", sandbox.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.up.Close() })
	init := exec.Command(c.binary, "init", "--data", c.data)
	init.Env = c.env()
	if out, err := init.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c.serve()
	t.Cleanup(func() { c.stop(syscall.SIGKILL) })
	c.post("/plans", `{"id":"credit-only","lanes":["auto","manual"],"credit":true}`, nil)
	for _, org := range []struct{ name, plan string }{{"plan", "teams"}, {"credit", "credit-only"}, {"byok", "free"}} {
		c.post("/orgs", fmt.Sprintf(`{"name":%q,"plan":%q}`, org.name, org.plan), nil)
		var key struct{ Key string }
		c.post("/orgs/"+org.name+"/keys", `{"name":"load","scopes":["inference"]}`, &key)
		c.keys = append(c.keys, key.Key)
	}
	c.post("/orgs/credit/credits", `{"kind":"purchase","amount_usd":"5000.00","reference":"pay-1"}`, nil)
	for _, p := range []string{"openai", "anthropic", "google"} {
		c.post("/orgs/byok/credentials", fmt.Sprintf(`{"provider":%q,"name":%q,"secret":"sk-own-%s"}`, p, p, p), nil)
	}
	c.stop(syscall.SIGTERM)
	return c
}

func (c *campaign) env() []string {
	env := os.Environ()
	if c.masterKey != "" {
		env = append(env, "WAYBILL_MASTER_KEY_FILE="+c.masterKey)
	}
	return append(env, "WAYBILL_OPERATOR_TOKEN="+crashToken, "WAYBILL_LISTEN=127.0.0.1:0",
		"OPENAI_API_KEY=sk-platform-1", "ANTHROPIC_API_KEY=sk-platform-2", "GEMINI_API_KEY=sk-platform-3",
		"WAYBILL_OPENAI_BASE_URL="+c.up.BaseURL("openai"), "WAYBILL_ANTHROPIC_BASE_URL="+c.up.BaseURL("anthropic"),
		"WAYBILL_GOOGLE_BASE_URL="+c.up.BaseURL("google"))
}

// serve starts the node and waits until it says where it listens.
func (c *campaign) serve() {
	c.t.Helper()
	c.cmd = exec.Command(c.binary, "serve", "--data", c.data, "--litestream", c.litestream)
	c.cmd.Env = c.env()
	var log bytes.Buffer
	c.cmd.Stderr = &log
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if i := strings.Index(lines.Text(), "http://"); i >= 0 {
			c.url, _, _ = strings.Cut(lines.Text()[i:], " ")
			go io.Copy(io.Discard, out)
			return
		}
	}
	c.cmd.Wait()
	c.t.Fatalf("the node did not start: %s", log.String())
}

func (c *campaign) stop(sig os.Signal) {
	if c.cmd != nil {
		c.cmd.Process.Signal(sig)
		c.cmd.Wait()
		c.cmd = nil
	}
}

func (c *campaign) post(path, body string, out any) {
	c.t.Helper()
	r, _ := http.NewRequest(http.MethodPost, c.url+"/api/v1"+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+crashToken)
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	if resp.StatusCode >= 300 {
		c.t.Fatalf("POST %s: %d %s", path, resp.StatusCode, b)
	}
	if out != nil {
		if err := json.Unmarshal(b, out); err != nil {
			c.t.Fatal(err)
		}
	}
}

var crashModels = []string{"openai/gpt-6-luna", "anthropic/claude-haiku-5-5", "google/gemini-2.5-flash-lite"}

// round serves, loads, kills at a moment drawn from the seed, and serves and reconciles. Every other kill follows the
// simultaneous end of all open answers, when settlements are waiting for their commit. It tells whether an answer had
// ended upstream and was not settled.
func (c *campaign) round(i int) (between bool) {
	c.serve()
	atEnd := i%2 == 1
	before := len(c.up.Calls())
	stop := make(chan struct{})
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	var wg sync.WaitGroup
	for w := range 32 {
		r := rand.New(rand.NewPCG(c.rand.Uint64(), uint64(w)))
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					c.call(client, r, w, atEnd)
				}
			}
		})
	}
	c.until("16 calls are open at once", func() bool { return c.openCalls(before) >= 16 })
	if atEnd {
		c.until("all callers wait", func() bool { return c.openCalls(before) >= 32 })
		c.up.Release("")
		c.pause(time.Duration(c.rand.IntN(4000)) * time.Microsecond)
	} else {
		c.pause(time.Duration(c.rand.IntN(150)) * time.Millisecond)
	}
	c.stop(syscall.SIGKILL)
	close(stop)
	c.up.Release("")
	wg.Wait()
	client.CloseIdleConnections()
	c.serve()
	between = c.reconcile(before)
	c.stop(syscall.SIGKILL)
	return between
}

// pause lets the load run on until the moment that was drawn for the kill.
func (c *campaign) pause(d time.Duration) { <-time.After(d) }

func (c *campaign) until(what string, is func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); {
		if time.Now().After(deadline) {
			by := map[string]int{}
			for _, call := range c.up.Calls() {
				by[fmt.Sprint(call.Outcome, " ended ", call.Ended)]++
			}
			c.t.Fatalf("not so within 30 s: %s; the upstreams' calls: %v", what, by)
		}
		<-time.After(time.Millisecond)
	}
}

func (c *campaign) openCalls(after int) (open int) {
	for _, call := range c.up.CallsAfter(int64(after)) {
		// A unary answer that hangs is noted as ended before its body goes out.
		if !call.Ended || call.Outcome == sandbox.Hung {
			open++
		}
	}
	return open
}

// call makes one call and notes its answer if it came whole.
func (c *campaign) call(client *http.Client, r *rand.Rand, w int, hang bool) {
	stream := r.IntN(2) == 0
	directive := fmt.Sprintf("output=%d chunks=8 delay=%dms reasoning=%d", 20+r.IntN(60), 2+r.IntN(10), 1+r.IntN(15))
	if hang {
		directive = fmt.Sprintf("output=%d chunks=4 hang=end", 20+r.IntN(60))
	}
	body := fmt.Sprintf(`{"model":%q,"stream":%t,"stream_options":{"include_usage":true},"max_completion_tokens":200,"messages":[{"role":"user","content":"load %d [[sandbox %s]]"}]}`,
		crashModels[r.IntN(len(crashModels))], stream, r.IntN(1000), directive)
	if !stream {
		body = strings.Replace(body, `"stream_options":{"include_usage":true},`, "", 1)
	}
	q, _ := http.NewRequestWithContext(context.Background(), http.MethodPost, c.url+"/v1/chat/completions", strings.NewReader(body))
	q.Header.Set("Authorization", "Bearer "+c.keys[w%len(c.keys)])
	q.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(q)
	if err != nil {
		<-time.After(time.Millisecond) // the node is gone; the round ends soon
		return
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		if err == nil && !bytes.Contains(b, []byte("upstream_failed")) {
			c.t.Errorf("status %d: %s", resp.StatusCode, b)
		}
		return
	}
	id, u, ok := resp.Header.Get("Waybill-Request"), ledger.Usage{}, false
	if stream {
		u, ok = streamUsage(b)
	} else if err == nil {
		u, ok = bodyUsage(b)
	}
	if ok {
		c.mu.Lock()
		c.whole[id] = u
		c.mu.Unlock()
	}
}
