package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"waybill/router/sandbox"
)

// canaries are the secrets of one node. Each has a text that stands nowhere else.
type canaries struct {
	t      *testing.T
	shapes map[string]string // the forms in which one could be seen, and whose it is
	looked map[string]int    // bytes that were searched, by where they come from
}

func newCanaries(t *testing.T) *canaries {
	// However a node's own signing key is kept, its text begins so.
	return &canaries{t, map[string]string{"PRIVATE+KEY": "a signing key"}, map[string]int{}}
}

// add takes a secret in all its forms: as it is, encoded, and in part, but for the last characters, which a fingerprint shows.
func (c *canaries) add(whose, value string) {
	part := value
	if len(part) > 24 {
		part = part[8 : len(part)-6]
	}
	for _, b := range []string{value, part} {
		for i, s := range []string{b, hex.EncodeToString([]byte(b)), strings.ToUpper(hex.EncodeToString([]byte(b))), url.QueryEscape(b),
			strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(b)), "="), strings.Trim(fmt.Sprint([]byte(b)), "[]")} {
			c.shapes[s] = fmt.Sprintf("%s (form %d)", whose, i)
		}
	}
}

// search looks for every one in what came from somewhere.
func (c *canaries) search(from string, b []byte) {
	c.t.Helper()
	c.looked[from] += len(b)
	for s, whose := range c.shapes {
		if i := bytes.Index(b, []byte(s)); i >= 0 {
			c.t.Errorf("%s shows %s: …%q…", from, whose, b[max(0, i-120):min(len(b), i+len(s)+20)])
		}
	}
}

// parrot is an upstream that says every secret that it is sent back: in its errors, their codes, its headers, its ids.
func parrot(t *testing.T) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") + r.Header.Get("X-Api-Key") + r.Header.Get("X-Goog-Api-Key")
		body, _ := io.ReadAll(r.Body)
		h := w.Header()
		h.Set("X-Request-Id", key)
		h.Set("Request-Id", key)
		h.Set("X-Api-Key", key)
		h.Set("Content-Type", "application/json")
		said := func(name string) []byte {
			b, _ := json.Marshal(map[string]any{"type": "error", "request_id": key, "error": map[string]any{"message": "no use for " + key + " at " + name, "code": key, "type": key, "param": key, "status": key}})
			return b
		}
		switch {
		case bytes.Contains(body, []byte("please redirect")):
			h.Set("Location", "http://"+r.Host+"/"+key)
			w.WriteHeader(http.StatusTemporaryRedirect)
		case bytes.Contains(body, []byte("please break")):
			h.Set("Content-Type", "text/event-stream")
			fmt.Fprintf(w, "event: error\ndata: %s\n\n", said("frame"))
		case bytes.Contains(body, []byte("please garble")):
			fmt.Fprintf(w, `{"id":%q,"model":%q,"key":`, key, key)
		case bytes.Contains(body, []byte("please hang up")):
			panic(http.ErrAbortHandler)
		case bytes.Contains(body, []byte("please limit")):
			h.Set("Retry-After", key)
			w.WriteHeader(http.StatusTooManyRequests)
			w.Write(said("limit"))
		default:
			w.WriteHeader(http.StatusUnauthorized)
			w.Write(said("refusal"))
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// A node with a canary for each secret is used, misused, listed, exported and ended with all its stacks printed, as processes of their own.
// None is seen: not in its log, its answers, traces, errors, exports, metrics and files, nor among the arguments of its processes.
func TestSecretsAreNeverSeen(t *testing.T) {
	up, err := sandbox.Listen("127.0.0.1:0", sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	echo := parrot(t)
	c := newCanaries(t)
	dir := t.TempDir()
	const token, pool, poolTwo, own = "wbo_CanaryOfTheOperator7Q2mZ9x4", "sk-proj-CanaryOfThePool8dK3pW5t1y", "sk-ant-CanaryOfThePool2nR7vB4c9w", "sk-ant-CanaryOfTheOrg6hJ1sL8f3e"
	c.add("the operator's token", token)
	c.add("the platform's key", pool)
	c.add("the platform's other key", poolTwo)
	c.add("the org's own key", own)
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "WAYBILL_LISTEN=127.0.0.1:0", "WAYBILL_OPERATOR_TOKEN=" + token, "OPENAI_API_KEY=" + pool, "ANTHROPIC_API_KEY=" + poolTwo,
		"WAYBILL_OPENAI_BASE_URL=" + up.BaseURL("openai"), "WAYBILL_ANTHROPIC_BASE_URL=" + echo.URL, "WAYBILL_GOOGLE_BASE_URL=" + echo.URL}
	r := &reader{t: t, dir: dir, env: env}
	run := func(stdin string, args ...string) string {
		t.Helper()
		cmd := exec.Command("waybill", args...)
		cmd.Dir, cmd.Env, cmd.Stdin = dir, env, strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			t.Fatalf("waybill %v: %v", args, err)
		}
		if args[0]+" "+args[1] != "key issue" { // which is where a key shows, once
			c.search("waybill "+args[0]+" "+args[1], out)
		}
		return string(out)
	}
	run("", "init", "--data=data")
	master, err := os.ReadFile(filepath.Join(dir, "data.key"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(master)))
	if err != nil {
		t.Fatal(err)
	}
	c.add("the master key's file", strings.TrimSpace(string(master)))
	c.add("the master key", string(raw))
	run("", "org", "open", "acme", "--plan", "teams")
	run("", "credit", "purchase", "acme", "25.00", "--reference", "p1")

	node := r.canaryNode(c)
	key := regexp.MustCompile(`wbk_\w+`).FindString(run("", "key", "issue", "acme", "--name", "k", "--scope", "inference,admin"))
	if key == "" {
		t.Fatal("no key")
	}
	c.add("the developer's key", key)
	c.watched(dir, env, own, "credential", "attach", "acme", "anthropic", "--name", "ours")
	run(own, "credential", "attach", "acme", "nobody")
	run(own, "credential", "attach", "nobody", "openai")
	run(own, "credential", "attach", "acme", "google", "--require-ok")
	run(own+"\x01", "credential", "rotate", "acme", "ours")
	run(own, "credential", "rotate", "acme", "ours")
	run("", "credential", "check", "acme", "ours")
	run("", "credential", "list", "acme", "--json")

	requests := node.calls(key, token)
	node.everyGet(token, requests)
	node.everyGet(key, requests)
	for _, args := range [][]string{{"key", "list", "acme"}, {"log", "tail", "--lines", "1000", "--json"}, {"log", "export"}, {"verify", "--json"}, {"model", "list", "--org", "acme"},
		{"export", "traces", "--format", "sql"}, {"export", "traces", "--format", "jsonl"}, {"export", "traces", "--format", "csv", "--table", "attempts"},
		{"sql", "SELECT * FROM requests"}, {"sql", "SELECT * FROM attempts"}, {"sql", "SELECT * FROM events"}, {"explain", requests[len(requests)-1]},
		{"vault", "rotate"}, {"vault", "rotate", "--new-key", "data.key.old"}, {"vault", "rotate", "--new-key", "missing"}, {"vault", "rotate", "--keep-key", "--json"},
		{"key", "revoke", "acme", "k"}, {"org", "erase", "acme", "--yes"}} {
		run("", args...)
	}
	node.quit()
	c.files(dir)
	// What it says when it cannot start.
	run("", "org", "list", "--data=none")
	if err := os.WriteFile(filepath.Join(dir, "data.key"), []byte(own+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run("", "org", "list", "--json")
	for from, n := range c.looked {
		if n == 0 {
			t.Errorf("nothing came from %s: that shows nothing", from)
		}
	}
	for _, from := range []string{"the node's log", "answers", "the node's stacks", "files", "arguments"} {
		t.Logf("%s: %d bytes searched", from, c.looked[from])
		if c.looked[from] == 0 {
			t.Errorf("nothing came from %s", from)
		}
	}
}

// watched runs a command that reads a secret, and looks at its arguments while it waits for it, as anybody on the machine can.
func (c *canaries) watched(dir string, env []string, secret string, args ...string) {
	c.t.Helper()
	cmd := exec.Command("waybill", args...)
	cmd.Dir, cmd.Env = dir, env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.arguments(cmd)
	io.WriteString(in, secret)
	c.arguments(cmd)
	in.Close()
	if err := cmd.Wait(); err != nil {
		c.t.Errorf("waybill %v: %v: %s", args, err, out.String())
	}
	c.search("waybill "+args[0]+" "+args[1], out.Bytes())
}

// arguments looks at a process as ps does.
func (c *canaries) arguments(cmd *exec.Cmd) {
	c.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", cmd.Process.Pid))
	if errors.Is(err, fs.ErrNotExist) {
		c.t.Log("there is no /proc here: the arguments of processes are not looked at")
		return
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.search("arguments", b)
}

// files looks through all that is on disk, but for the file that has the master key.
func (c *canaries) files(dir string) {
	c.t.Helper()
	err := filepath.WalkDir(filepath.Join(dir, "data"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		c.search("files", b)
		return err
	})
	if err != nil {
		c.t.Error(err)
	}
}

// canaryNode is a node that runs as a process of its own, and what it says.
type canaryNode struct {
	*canaries
	cmd    *exec.Cmd
	url    string
	log    bytes.Buffer
	client *http.Client
}

func (r *reader) canaryNode(c *canaries) *canaryNode {
	n := &canaryNode{canaries: c, client: &http.Client{}}
	n.cmd = exec.Command("waybill", "serve")
	n.cmd.Dir, n.cmd.Env, n.cmd.Stderr = r.dir, r.env, &n.log
	out, err := n.cmd.StdoutPipe()
	if err == nil {
		err = n.cmd.Start()
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = n.cmd.Process.Kill() }) // it has ended, if all went well
	first := make([]byte, 4096)
	m, err := out.Read(first)
	n.url = regexp.MustCompile(`http://\S+`).FindString(string(first[:m]))
	if n.url == "" {
		r.t.Fatalf("the node does not start: %v", err)
	}
	go io.Copy(io.Discard, out)
	n.arguments(n.cmd)
	return n
}

// call makes a call and searches its answer, headers included.
func (n *canaryNode) call(method, path, key, body string, headers ...string) (status int, request string) {
	n.t.Helper()
	r, err := http.NewRequest(method, n.url+path, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := n.client.Do(r)
	if err != nil {
		n.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body) // one that breaks off is searched as far as it came
	n.search("answers", b)
	n.search("answers", []byte(fmt.Sprint(resp.Header)))
	return resp.StatusCode, resp.Header.Get("Waybill-Request")
}

// calls are calls of each kind, good and bad, to upstreams that answer and to one that tells all that it hears.
func (n *canaryNode) calls(key, token string) (requests []string) {
	n.t.Helper()
	for _, stream := range []string{"", `,"stream":true`} {
		for _, model := range []string{"openai/gpt-6-luna", "anthropic/claude-haiku-5-5"} {
			for _, words := range []string{"hello", "please redirect", "please break", "please garble", "please hang up", "please limit"} {
				body := `{"model":"` + model + `","max_tokens":50,"messages":[{"role":"user","content":"` + words + `"}]` + stream + `}`
				for _, path := range []string{"/v1/chat/completions", "/v1/messages"} {
					if _, id := n.call("POST", path, key, body); id != "" {
						requests = append(requests, id)
					}
				}
			}
		}
	}
	body := `{"model":"openai/gpt-6-luna","messages":[{"role":"user","content":"hi"}]}`
	wrong := key[:len(key)-1] + "x"
	for _, path := range []string{"/v1/chat/completions", "/v1/messages", "/v1beta/models/gemini-2.5-flash-lite:generateContent", "/api/v1/orgs", "/nowhere"} {
		for _, k := range []string{"", wrong, token, token[:len(token)-1]} {
			n.call("POST", path, k, body)
			n.call("POST", path+"?key="+key, k, body, "X-Api-Key", k, "Idempotency-Key", key+" "+token)
			n.call("POST", path, k, `{"secret":"`+key+`","model":`, "Content-Type", "text/"+key)
		}
	}
	n.call("POST", "/api/v1/platform/credentials", token, `{"provider":"openai","secret":7}`)
	n.call("POST", "/api/v1/platform/credentials", token, `{"provider":"openai","secrets":"`+token+`"}`)
	if len(requests) < 20 {
		n.t.Errorf("only %d calls were made", len(requests))
	}
	return requests
}

// everyGet reads all that can be read.
func (n *canaryNode) everyGet(key string, requests []string) {
	n.t.Helper()
	resp, err := n.client.Get(n.url + "/api/v1/openapi.json")
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	var api struct{ Paths map[string]map[string]any }
	if err := json.NewDecoder(resp.Body).Decode(&api); err != nil {
		n.t.Fatal(err)
	}
	seen := 0
	for path, methods := range api.Paths {
		if methods["get"] == nil || strings.HasSuffix(path, "/tail") {
			continue
		}
		ids := []string{"none"}
		if strings.Contains(path, "/requests/") {
			ids = requests
		}
		for _, id := range ids {
			p := strings.NewReplacer("{org}", "acme", "{id}", id).Replace(path)
			p = regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(p, "2026-11")
			if status, _ := n.call("GET", p, key, ""); status == http.StatusOK {
				seen++
			}
		}
	}
	for _, p := range []string{"/metrics", "/healthz", "/readyz"} {
		n.call("GET", p, key, "")
	}
	if seen < 20 {
		n.t.Errorf("only %d things can be read", seen)
	}
}

// quit ends the node with the stacks of all its goroutines, as a crash would.
func (n *canaryNode) quit() {
	n.t.Helper()
	if err := n.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		n.t.Fatal(err)
	}
	_ = n.cmd.Wait() // with the status of a crash
	log, stacks, ok := strings.Cut(n.log.String(), "SIGQUIT: quit")
	if !ok {
		n.t.Errorf("the node left no stacks: %s", log)
	}
	n.search("the node's log", []byte(log))
	n.search("the node's stacks", []byte(stacks))
}
