package main_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"waybill/cmd/waybill/campaign"
	"waybill/router/sandbox"
	"waybill/store"
)

// A node with a replica is killed under load and its folder taken away. From the replica and the master key alone another
// machine becomes that node: it has every event up to the position that the node last reported as replicated, with the same
// hashes, and every balance, key, credential, policy and trace that follows from them; it says how many later ones are known to be missing.
// Under durability money it has every purchase that was acknowledged, wherever in the log that stands.
func TestRestoreUnderLoad(t *testing.T) {
	t.Run("local", func(t *testing.T) { restoreUnderLoad(t, newRestoration(t)) })
	t.Run("money", func(t *testing.T) {
		c := newRestoration(t)
		c.node.Durability, c.load.Buys = "money", "credit"
		restoreUnderLoad(t, c)
	})
}

func restoreUnderLoad(t *testing.T, c *restoration) {
	replica := t.TempDir()
	c.node.Litestream = replicaFile(t, c.node.Data, replica)
	c.serve()
	c.command("policy", "set", "byok", writeFile(t, "policy.yml", "credentials: byok-only\n"))
	stop := c.load.Start(16, rand.New(rand.NewPCG(5, 0)), func(*rand.Rand) campaign.Manner {
		return campaign.Manner{Directive: "output=30 chunks=8 delay=5ms reasoning=10"}
	})
	w := watch(c.node.URL)
	c.until("some of the load is known to be in the replica", func() bool { return w.replicated.Load() > 500 })
	more := w.seen.Load() + 200
	c.until("there is more of it", func() bool { return w.seen.Load() > more })
	reported := w.replicated.Load()
	c.node.Kill()
	stop()
	w.stop()

	lost := c.leave()
	out := c.command("restore", "--from", c.node.Litestream, "--to", c.node.Data, "--known", fmt.Sprint(w.seen.Load()), "--json")
	var done store.Restored
	if err := json.Unmarshal([]byte(out), &struct {
		*store.Restored
		At any `json:"at"`
	}{Restored: &done}); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	was, is := c.reader(lost), c.reader(c.node.Data)
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
	if lots := c.command("sql", "SELECT lot FROM lots WHERE reference LIKE 'payment-%'", "--csv"); c.load.Buys != "" && strings.Count(lots, "\n") < 10 {
		t.Errorf("so little was bought that this shows nothing: %s", lots)
	}
	c.sameAs(lost, done.From)
	c.forgive(lost, done.From)
	c.serveAgain(replica)
	calls := c.up.Calls()
	found, err := campaign.Reconcile(t.Context(), c.node.Data, calls[len(calls)-len(c.load.Keys):], c.load) // of the calls that it made after it was restored
	if err != nil || len(found) > 0 {
		t.Errorf("%v, %v", found, err)
	}
	if err := c.node.Stop(); err != nil {
		t.Error(err)
	}
}

// restoration is a node under load that is to be restored elsewhere.
type restoration struct {
	t    *testing.T
	up   *sandbox.Server
	node *campaign.Node
	load *campaign.Load
}

func newRestoration(t *testing.T) *restoration {
	t.Helper()
	up, err := sandbox.Listen("127.0.0.1:0", sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { up.Close() })
	c := &restoration{t: t, up: up, node: &campaign.Node{Binary: built(t), Data: filepath.Join(t.TempDir(), "data"), Up: up.URL()}}
	t.Cleanup(c.node.Kill)
	keys, err := c.node.Found(t.Context())
	if err == nil {
		err = c.node.Stop()
	}
	if err != nil {
		t.Fatal(err)
	}
	c.load = &campaign.Load{Node: c.node, Keys: keys}
	return c
}

func (c *restoration) serve() {
	c.t.Helper()
	if err := c.node.Serve(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
}

func (c *restoration) until(what string, is func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); {
		if time.Now().After(deadline) {
			c.t.Fatalf("not so within a minute: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

// watcher asks a node for its health, as a monitor does, and keeps what it said.
type watcher struct {
	seen       atomic.Uint64 // the highest position
	replicated atomic.Uint64 // the highest that the replicas are known to have reached
	stop       func()
}

// watch asks until it is stopped.
func watch(url string) *watcher {
	w, end, done := &watcher{}, make(chan struct{}), make(chan struct{})
	w.stop = func() {
		close(end)
		<-done
	}
	go func() {
		defer close(done)
		for {
			select {
			case <-end:
				return
			case <-time.After(5 * time.Millisecond):
			}
			var h struct {
				Position uint64
				Replica  struct{ Position uint64 }
			}
			resp, err := http.Get(url + "/healthz")
			if err != nil {
				continue // it was killed
			}
			err = json.NewDecoder(resp.Body).Decode(&h)
			resp.Body.Close()
			if err == nil {
				w.seen.Store(max(w.seen.Load(), h.Position))
				w.replicated.Store(max(w.replicated.Load(), h.Replica.Position))
			}
		}
	}()
	return w
}

// leave takes what the node had out of reach, and makes the node one on another machine, which has the master key and the
// replica. What the node had is kept to be compared.
func (c *restoration) leave() (lost string) {
	c.t.Helper()
	elsewhere := c.t.TempDir()
	lost = filepath.Join(elsewhere, "lost")
	c.node.MasterKey = filepath.Join(elsewhere, "master.key")
	for _, err := range []error{os.Rename(c.node.Data, lost), os.Rename(c.node.Data+".key", c.node.MasterKey)} {
		if err != nil {
			c.t.Fatal(err)
		}
	}
	c.node.Data = filepath.Join(c.t.TempDir(), "new")
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

// command runs a command of the program on the node's folder, and gives what it printed.
func (c *restoration) command(args ...string) string {
	c.t.Helper()
	out, err := c.node.Command(c.t.Context(), args...)
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

func (c *restoration) reader(dir string) *store.Reader {
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
func (c *restoration) sameAs(other string, position uint64) {
	c.t.Helper()
	is, was := c.reader(c.node.Data), c.reader(other)
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
	mine := c.node.Data
	for _, query := range []string{
		fmt.Sprintf("SELECT * FROM requests WHERE settled_position BETWEEN 1 AND %d ORDER BY id", position),
		fmt.Sprintf("SELECT * FROM attempts WHERE position <= %d ORDER BY position, line", position),
		fmt.Sprintf("SELECT * FROM entries WHERE position <= %d ORDER BY position, line", position),
	} {
		c.node.Data = mine
		now := c.command("sql", query, "--csv")
		c.node.Data = other
		then := c.command("sql", query, "--csv")
		if now != then || strings.Count(now, "\n") < 100 {
			c.t.Errorf("%s: %d rows, had %d", query, strings.Count(now, "\n"), strings.Count(then, "\n"))
		}
	}
	c.node.Data = mine
	if p := c.command("policy", "show", "byok"); !strings.Contains(p, "byok-only") {
		c.t.Errorf("the policy is %s", p)
	}
}

// forgive takes off the clients' hands the answers whose settlements are among the lost events: with durability local they are
// what a lost disk costs.
func (c *restoration) forgive(lost string, position uint64) {
	c.t.Helper()
	now := c.node.Data
	c.node.Data = lost
	out := c.command("sql", fmt.Sprintf("SELECT id FROM requests WHERE settled_position > %d", position), "--csv")
	c.node.Data = now
	lostOnes := strings.Fields(out)
	c.t.Logf("of the answers that callers hold whole, %d were settled in lost events", c.load.Forget(lostOnes))
}

// serveAgain serves the restored folder over the same replica: every key works, and calls go to the credentials that they went to.
func (c *restoration) serveAgain(replica string) {
	c.t.Helper()
	c.node.Litestream = replicaFile(c.t, c.node.Data, replica)
	c.serve()
	for i, want := range []string{"platform", "platform", "byok"} {
		for _, model := range campaign.Models[i : i+1] {
			body := fmt.Sprintf(`{"model":%q,"max_completion_tokens":50,"messages":[{"role":"user","content":"Hello"}]}`, model)
			r, _ := http.NewRequest(http.MethodPost, c.node.URL+"/v1/chat/completions", strings.NewReader(body))
			r.Header.Set("Authorization", "Bearer "+c.load.Keys[i].Secret)
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
