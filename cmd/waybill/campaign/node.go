package campaign

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"waybill/router/sandbox"
)

// Node is the program on a data folder, as a process that is started and ended.
type Node struct {
	Binary     string // the program
	Data       string // folder
	Litestream string // file; empty: no replica
	MasterKey  string // file; empty: beside the data folder
	Durability string // empty: local
	Up         string // URL of the upstreams

	URL string // while it serves
	cmd *exec.Cmd
	log *tail
}

// OperatorToken is the operator's token of a campaign's nodes.
const OperatorToken = "wbo_the_operators_token_of_a_campaign"

// env is the environment without what somebody has set there for a node of their own.
func (n *Node) env() (env []string) {
	env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "WAYBILL_") || strings.HasPrefix(v, "BENCH_") || strings.HasPrefix(v, "GEMINI_") ||
			strings.HasPrefix(v, "OPENAI_") || strings.HasPrefix(v, "ANTHROPIC_")
	})
	if n.MasterKey != "" {
		env = append(env, "WAYBILL_MASTER_KEY_FILE="+n.MasterKey)
	}
	for _, p := range []string{"openai", "anthropic", "google"} {
		env = append(env, "WAYBILL_"+strings.ToUpper(p)+"_BASE_URL="+sandbox.BaseURL(n.Up, p))
	}
	return append(env, "WAYBILL_OPERATOR_TOKEN="+OperatorToken, "WAYBILL_LISTEN=127.0.0.1:0",
		"OPENAI_API_KEY=sk-platform-1", "ANTHROPIC_API_KEY=sk-platform-2", "GEMINI_API_KEY=sk-platform-3")
}

func (n *Node) process(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, n.Binary, append(args, "--data", n.Data)...)
	cmd.Env = n.env()
	cmd.Dir = filepath.Dir(n.Data) // where no waybill.yml of somebody's is
	return cmd
}

// Command runs a command of the program on the folder, and gives what it printed.
func (n *Node) Command(ctx context.Context, args ...string) (string, error) {
	var out, log bytes.Buffer
	cmd := n.process(ctx, args...)
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("waybill %s: %w\n%s%s", strings.Join(args, " "), err, out.String(), log.String())
	}
	return out.String(), nil
}

// Serve starts the process, and returns when it says where it listens.
func (n *Node) Serve(ctx context.Context) error {
	args := []string{"serve", "--litestream", n.Litestream}
	if n.Durability != "" {
		args = append(args, "--durability", n.Durability)
	}
	cmd := n.process(context.WithoutCancel(ctx), args...)
	log := &tail{}
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	n.cmd, n.log = cmd, log
	stop := context.AfterFunc(ctx, func() { cmd.Process.Kill() })
	defer stop()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if i := strings.Index(lines.Text(), "http://"); i >= 0 {
			n.URL, _, _ = strings.Cut(lines.Text()[i:], " ")
			go io.Copy(io.Discard, out)
			return nil
		}
	}
	return errors.Join(fmt.Errorf("the node does not start: %w\n%s", cmd.Wait(), log), ctx.Err())
}

// Kill ends the process where it stands.
func (n *Node) Kill() {
	if n.cmd != nil {
		n.cmd.Process.Kill()
		n.cmd.Wait() // of a process that was killed it says that it was killed
		n.cmd = nil
	}
}

// Stop ends it in order.
func (n *Node) Stop() error {
	if n.cmd == nil {
		return nil
	}
	err := n.cmd.Process.Signal(syscall.SIGTERM)
	err = errors.Join(err, n.cmd.Wait())
	n.cmd = nil
	if err != nil {
		return fmt.Errorf("the node does not end in order: %w\n%s", err, n.log)
	}
	return nil
}

// tail keeps the end of what a process says.
type tail struct {
	mu   sync.Mutex
	last []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, b...)
	if over := len(t.last) - 8<<10; over > 0 {
		t.last = append(t.last[:0], t.last[over:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.last)
}

// operator calls the control API as the operator, and gives the status and the answer.
func (n *Node) operator(ctx context.Context, method, path, body, once string) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, n.URL+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Authorization", "Bearer "+OperatorToken)
	r.Header.Set("Content-Type", "application/json")
	if once != "" {
		r.Header.Set("Idempotency-Key", once)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, b, err
}

// Do calls the control API as the operator, and wants it done. out, if not nil, gets the answer.
func (n *Node) Do(ctx context.Context, method, path, body string, out any) error {
	status, answer, err := n.operator(ctx, method, path, body, "")
	if err == nil && status >= 300 {
		err = fmt.Errorf("status %d: %s", status, answer)
	}
	if err == nil && out != nil {
		err = json.Unmarshal(answer, out)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// Key is a key of an org's.
type Key struct{ Org, Secret string }

// Found makes the node's folder, starts it and populates it.
func (n *Node) Found(ctx context.Context) (keys []Key, err error) {
	if _, err := n.Command(ctx, "init"); err != nil {
		return nil, err
	}
	if err := n.Serve(ctx); err != nil {
		return nil, err
	}
	return n.Populate(ctx)
}

// Populate opens three orgs on a node that serves, one on plan tokens, one on credit and one on keys of its own, and gives a key of each.
func (n *Node) Populate(ctx context.Context) (keys []Key, err error) {
	if err := n.Do(ctx, "POST", "/plans", `{"id":"credit-only","lanes":["auto","manual"],"credit":true}`, nil); err != nil {
		return nil, err
	}
	for _, org := range []struct{ name, plan string }{{"plan", "teams"}, {"credit", "credit-only"}, {"byok", "free"}} {
		if err := n.Do(ctx, "POST", "/orgs", fmt.Sprintf(`{"name":%q,"plan":%q}`, org.name, org.plan), nil); err != nil {
			return nil, err
		}
		var key struct{ Key string }
		if err := n.Do(ctx, "POST", "/orgs/"+org.name+"/keys", `{"name":"load","scopes":["inference"]}`, &key); err != nil {
			return nil, err
		}
		keys = append(keys, Key{org.name, key.Key})
	}
	if err := n.Do(ctx, "POST", "/orgs/credit/credits", `{"kind":"purchase","amount_usd":"5000.00","reference":"first"}`, nil); err != nil {
		return nil, err
	}
	for _, p := range []string{"openai", "anthropic", "google"} {
		if err := n.Do(ctx, "POST", "/orgs/byok/credentials", fmt.Sprintf(`{"provider":%q,"name":%q,"secret":"sk-own-%s"}`, p, p, p), nil); err != nil {
			return nil, err
		}
	}
	return keys, nil
}
