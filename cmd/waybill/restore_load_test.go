package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"waybill/store"
)

// A node with a replica is killed under load and its folder taken away. From the replica and the master key alone another
// machine becomes that node: it has every event up to the position that the node last reported as replicated, with the same
// hashes, and every balance, key, credential, policy and trace that follows from them; it says how many later ones are known to be missing.
func TestRestoreUnderLoad(t *testing.T) {
	c := newCampaign(t, 5)
	replica := t.TempDir()
	c.litestream = replicaFile(t, c.data, replica)
	c.serve()
	c.command("policy", "set", "byok", writeFile(t, "policy.yml", "credentials: byok-only\n"))
	stop := c.load(16)
	w := watch(c)
	c.until("some of the load is known to be in the replica", func() bool { return w.replicated.Load() > 500 })
	c.pause(300 * time.Millisecond)
	reported := w.replicated.Load()
	c.stop(syscall.SIGKILL)
	stop()
	w.stop()

	lost := c.leave()
	out := c.command("restore", "--from", c.litestream, "--to", c.data, "--known", fmt.Sprint(w.seen.Load()), "--json")
	var done store.Restored
	if err := json.Unmarshal([]byte(out), &struct {
		*store.Restored
		At any `json:"at"`
	}{Restored: &done}); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	was, is := c.reader(lost), c.reader(c.data)
	head, _, err := was.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the log had %d events, the node reported %d of them as replicated, and %d are restored: %d later ones are lost, of which %d are known to have been",
		head, reported, done.From, head-done.From, done.Missing)
	if done.From < reported {
		t.Errorf("restored up to %d, and %d were reported to be in the replica", done.From, reported)
	}
	if want := max(w.seen.Load(), done.From) - done.From; done.Missing != want {
		t.Errorf("%d events are said to be missing, want %d", done.Missing, want)
	}
	wasRoot, err := was.Root(t.Context(), done.From)
	if err != nil {
		t.Fatal(err)
	}
	if root, err := is.Root(t.Context(), done.From); err != nil || root != wasRoot {
		t.Errorf("the restored log is another: %s, %s, %v", root, wasRoot, err)
	}
	if len(done.Lacking) > 0 || done.Secrets != 6 {
		t.Errorf("secrets: %+v", done)
	}
	if got := c.command("verify"); !strings.HasPrefix(got, "ok:") {
		t.Error(got)
	}
	c.sameAs(lost, done.From)
	c.forgive(lost, done.From)
	c.serveAgain(replica)
	c.reconcile(len(c.up.Calls()) - len(c.keys)) // of the calls that it made after it was restored
	c.stop(syscall.SIGTERM)
}

// load calls and buys until it is told to stop.
func (c *campaign) load(callers int) (stop func()) {
	end := make(chan struct{})
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	var wg sync.WaitGroup
	for w := range callers {
		r := rand.New(rand.NewPCG(c.rand.Uint64(), uint64(w)))
		wg.Go(func() {
			for {
				select {
				case <-end:
					return
				default:
					c.call(client, r, w, false)
				}
			}
		})
	}
	return func() {
		close(end)
		wg.Wait()
		client.CloseIdleConnections()
	}
}

// watcher asks a node for its health, as a monitor does, and keeps what it said.
type watcher struct {
	seen       atomic.Uint64 // the highest position
	replicated atomic.Uint64 // the highest that is known to be in the replica
	stop       func()
}

// watch asks until it is stopped. What was committed before synced_at is in the replica.
func watch(c *campaign) *watcher {
	w, end, done := &watcher{}, make(chan struct{}), make(chan struct{})
	w.stop = func() {
		close(end)
		<-done
	}
	type moment struct {
		at       time.Time
		position uint64
	}
	url := c.url
	go func() {
		defer close(done)
		var open []moment
		for {
			select {
			case <-end:
				return
			case <-time.After(5 * time.Millisecond):
			}
			var h struct {
				Position    uint64
				Replication []struct {
					SyncedAt time.Time `json:"synced_at"`
				}
			}
			resp, err := http.Get(url + "/healthz")
			if err != nil {
				continue // it was killed
			}
			err = json.NewDecoder(resp.Body).Decode(&h)
			resp.Body.Close()
			if err != nil || len(h.Replication) != 2 {
				continue
			}
			w.seen.Store(max(w.seen.Load(), h.Position))
			open = append(open, moment{time.Now(), h.Position})
			for len(open) > 0 && open[0].at.Before(h.Replication[0].SyncedAt) {
				w.replicated.Store(open[0].position)
				open = open[1:]
			}
		}
	}()
	return w
}

// leave takes what the node had out of reach, and makes the campaign one on another machine, which has the master key and the
// replica. What the node had is kept to be compared.
func (c *campaign) leave() (lost string) {
	c.t.Helper()
	elsewhere := c.t.TempDir()
	lost = filepath.Join(elsewhere, "lost")
	c.masterKey = filepath.Join(elsewhere, "master.key")
	for _, err := range []error{os.Rename(c.data, lost), os.Rename(c.data+".key", c.masterKey)} {
		if err != nil {
			c.t.Fatal(err)
		}
	}
	c.data = filepath.Join(c.t.TempDir(), "new")
	return lost
}

func replicaFile(t *testing.T, data, replica string) string {
	t.Helper()
	text := "dbs:\n"
	for _, name := range []string{"waybill.db", "vault.db"} {
		text += fmt.Sprintf("  - path: %s\n    replica:\n      type: file\n      path: %s\n      sync-interval: 50ms\n", filepath.Join(data, name), filepath.Join(replica, name))
	}
	return writeFile(t, "litestream.yml", text)
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// command runs a command of the program on the campaign's folder, and gives what it printed.
func (c *campaign) command(args ...string) string {
	c.t.Helper()
	cmd := exec.Command(c.binary, append(args, "--data", c.data)...)
	cmd.Env = c.env()
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil {
		c.t.Fatalf("waybill %s: %v\n%s%s", strings.Join(args, " "), err, out.String(), log.String())
	}
	return out.String()
}

func (c *campaign) reader(dir string) *store.Reader {
	c.t.Helper()
	r, err := store.OpenReader(c.t.Context(), dir)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { r.Close() })
	return r
}

// sameAs holds what follows from the log up to a position against what another folder has: balances, policies, and the traces
// of what was resolved by then.
func (c *campaign) sameAs(other string, position uint64) {
	c.t.Helper()
	is, was := c.reader(c.data), c.reader(other)
	orgs, err := is.Labels(c.t.Context(), "org", "")
	if err != nil || len(orgs) != 3 {
		c.t.Fatalf("%v, %v", orgs, err)
	}
	for _, org := range orgs {
		a, err := is.BalanceAt(c.t.Context(), org.ID, position)
		b, err2 := was.BalanceAt(c.t.Context(), org.ID, position)
		if err != nil || err2 != nil || !reflect.DeepEqual(a, b) {
			c.t.Errorf("%s has %+v, %v, had %+v, %v", org.Name, a, err, b, err2)
		}
	}
	mine := c.data
	for _, query := range []string{
		fmt.Sprintf("SELECT * FROM requests WHERE settled_position BETWEEN 1 AND %d ORDER BY id", position),
		fmt.Sprintf("SELECT * FROM attempts WHERE position <= %d ORDER BY position, line", position),
		fmt.Sprintf("SELECT * FROM entries WHERE position <= %d ORDER BY position, line", position),
	} {
		c.data = mine
		now := c.command("sql", query, "--csv")
		c.data = other
		then := c.command("sql", query, "--csv")
		if now != then || strings.Count(now, "\n") < 100 {
			c.t.Errorf("%s: %d rows, had %d", query, strings.Count(now, "\n"), strings.Count(then, "\n"))
		}
	}
	c.data = mine
	if p := c.command("policy", "show", "byok"); !strings.Contains(p, "byok-only") {
		c.t.Errorf("the policy is %s", p)
	}
}

// forgive takes off the clients' hands the answers whose settlements are among the lost events: with durability local they are
// what a lost disk costs.
func (c *campaign) forgive(lost string, position uint64) {
	c.t.Helper()
	now := c.data
	c.data = lost
	out := c.command("sql", fmt.Sprintf("SELECT id FROM requests WHERE settled_position > %d", position), "--csv")
	c.data = now
	held := len(c.whole)
	for id := range strings.FieldsSeq(out) {
		delete(c.whole, id)
	}
	c.t.Logf("clients hold %d answers whole, %d of them settled in lost events", held, held-len(c.whole))
}

// serveAgain serves the restored folder over the same replica: every key works, and calls go to the credentials that they went to.
func (c *campaign) serveAgain(replica string) {
	c.t.Helper()
	c.litestream = replicaFile(c.t, c.data, replica)
	c.serve()
	for i, want := range []string{"platform", "platform", "byok"} {
		for _, model := range crashModels[i : i+1] {
			body := fmt.Sprintf(`{"model":%q,"max_completion_tokens":50,"messages":[{"role":"user","content":"Hello"}]}`, model)
			r, _ := http.NewRequest(http.MethodPost, c.url+"/v1/chat/completions", strings.NewReader(body))
			r.Header.Set("Authorization", "Bearer "+c.keys[i])
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				c.t.Fatal(err)
			}
			resp.Body.Close()
			if got := resp.Header.Get("Waybill-Credential"); resp.StatusCode != http.StatusOK || got != want {
				c.t.Errorf("key %d at %s: status %d, credential %q, want %q", i, model, resp.StatusCode, got, want)
			}
		}
	}
}
