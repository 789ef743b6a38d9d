package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"waybill/router"
	"waybill/router/routertest"
	"waybill/router/sandbox"
)

// blocks are the README's blocks of a language, in order.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```").FindAllStringSubmatch(string(text), -1) {
		all = append(all, m[1])
	}
	if len(all) == 0 {
		t.Fatalf("the README has no block of %s", language)
	}
	return all
}

// Every command in the README does what it says, in the README's order: against the demo first, then on a node that is
// set up as it says, with the sandbox in place of the providers.
func TestReadmeCommands(t *testing.T) {
	for _, tool := range []string{"sh", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the README's commands need %s", tool)
		}
	}
	up, err := sandbox.Listen("127.0.0.1:0", sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	r := &reader{t: t, dir: t.TempDir(), env: append(os.Environ(), "WAYBILL_OPENAI_BASE_URL="+up.BaseURL("openai"))}
	litestream, err := os.ReadFile("../../litestream.yml")
	if err == nil {
		err = os.WriteFile(filepath.Join(r.dir, "litestream.yml"), litestream, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range blocks(t, "sh") {
		switch {
		case strings.HasPrefix(block, "go run ./cmd/waybill demo\n"):
			r.start("demo")
		case strings.HasPrefix(block, "waybill serve\n"):
			r.env = append(r.env, "OPENAI_API_KEY=sk-your-key")
			r.start("serve")
		case strings.HasPrefix(block, "go test"):
		default:
			r.read(block)
		}
	}
	answers := strings.Count(r.printed.String(), `"chat.completion"`)
	if answers != 2 {
		t.Errorf("%d answers to the README's two curls:\n%s", answers, r.printed.String())
	}
	for _, want := range []string{"plan tokens  19,9", "ok: the log continues the saved head", "ok: the replica leads to a node", "ok: it is this node's log", "epoch     2 begins with event 41"} {
		if !strings.Contains(r.printed.String(), want) {
			t.Errorf("%q is not printed:\n%s", want, r.printed.String())
		}
	}
}

// reader does what the README says.
type reader struct {
	t       *testing.T
	dir     string
	env     []string
	url     string // of the node that was started last
	exports string // of the blocks read so far
	printed bytes.Buffer
}

// start runs a node in the background, on a port of its own, and ends it with the test.
func (r *reader) start(command string) {
	r.t.Helper()
	cmd := exec.Command("waybill", command, "--listen", "127.0.0.1:0")
	cmd.Dir, cmd.Env = r.dir, r.env
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			r.t.Errorf("waybill %s: %v: %s", command, err, log.String())
		}
	})
	first := make([]byte, 4096)
	n, err := out.Read(first)
	m := regexp.MustCompile(`http://\S+`).Find(first[:n])
	if m == nil {
		r.t.Fatalf("waybill %s does not say where it listens: %v: %s%s", command, err, first[:n], log.String())
	}
	r.url = string(m)
	go io.Copy(io.Discard, out)
}

// read runs a block in a shell. What it exports, the later ones have too, as in one terminal.
func (r *reader) read(block string) {
	r.t.Helper()
	var script strings.Builder
	for line := range strings.Lines(block) {
		switch {
		case strings.HasPrefix(line, "go build"), strings.HasPrefix(line, "export PATH="): // the program is there
		default:
			script.WriteString(line)
		}
		if strings.HasPrefix(line, "export WAYBILL_KEY=") {
			line = "export WAYBILL_KEY=$(cat key)\n"
			script.WriteString("echo $WAYBILL_KEY > key\n")
		}
		if strings.HasPrefix(line, "export ") && !strings.HasPrefix(line, "export PATH=") {
			r.exports += line
		}
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	exports := r.exports
	if strings.Contains(block, "export WAYBILL_KEY=") {
		exports = strings.ReplaceAll(exports, "export WAYBILL_KEY=$(cat key)\n", "")
	}
	cmd := exec.CommandContext(ctx, "sh", "-eu", "-c", exports+strings.ReplaceAll(script.String(), "http://127.0.0.1:8080", r.url))
	cmd.Dir, cmd.Env = r.dir, r.env
	out, err := cmd.CombinedOutput()
	r.printed.Write(out)
	if err != nil {
		r.t.Fatalf("%s\n%v\n%s", block, err, out)
	}
}

// The configuration that the README shows is the one there is: every key, with its default.
func TestReadmeConfiguration(t *testing.T) {
	all := blocks(t, "yaml")
	text := all[len(all)-1]
	inFolder(t, text)
	got, err := configure(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.masterKeyFile = "data.key"
	if got.listen != want.listen || got.data != want.data || got.masterKeyFile != want.masterKeyFile || got.drainTimeout != want.drainTimeout ||
		got.recovery != want.recovery || got.litestream != want.litestream || got.drillInterval != want.drillInterval || got.signInterval != want.signInterval || got.timeouts != want.timeouts {
		t.Errorf("the README says %+v, and the defaults are %+v", got, want)
	}
	for _, s := range settings() {
		if s.key != "" && !strings.Contains(text, s.key[strings.LastIndex(s.key, ".")+1:]+":") {
			t.Errorf("the README does not show %s", s.key)
		}
		if s.key != "" && !strings.Contains(text, s.env) {
			t.Errorf("the README does not show %s", s.env)
		}
	}
	f, _, err := readFile(nil)
	if err != nil {
		t.Fatal(err)
	}
	for key, v := range f.values() {
		if v == nil {
			t.Errorf("the README does not show %s", key)
		}
	}
}

// The key in the README's first curl is the demo's.
func TestReadmeKey(t *testing.T) {
	key, err := demoKey("company")
	if err != nil {
		t.Fatal(err)
	}
	if got := blocks(t, "sh")[1]; got != demoCurl("http://127.0.0.1:8080", key)+"\n" {
		t.Errorf("the README says\n%s, and the demo prints\n%s", got, demoCurl("http://127.0.0.1:8080", key))
	}
}

// The provider that the README adds by configuration is one that calls can go to.
func TestReadmeUpstream(t *testing.T) {
	inFolder(t, blocks(t, "yaml")[0])
	c, err := configure(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := c.providers()["my-vllm"]
	if p.BaseURL != "http://10.0.0.5:8000/v1" || len(p.Dialects) != 1 || !p.Quirks.MaxTokens {
		t.Errorf("%+v", p)
	}
}

// The README's tables of features and reasons are those that the code goes by.
func TestReadmeTables(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	reasons := "| word | when | |\n|---|---|---|\n"
	for _, r := range router.Reasons {
		word := r.Word
		if strings.HasSuffix(r.Meaning, "…") {
			word += "…"
		}
		reasons += fmt.Sprintf("| `%s` | %s | %s |\n", word, r.When, r.Meaning)
	}
	for name, want := range map[string]string{"features": routertest.Markdown(), "reasons": reasons} {
		_, rest, _ := strings.Cut(string(text), "<!-- "+name+" -->\n")
		table, _, ok := strings.Cut(rest, "\n<!-- /"+name+" -->")
		if want = strings.TrimSpace(want); !ok || table != want {
			t.Errorf("the README's table is not this one; put it between its marks:\n%s", want)
		}
	}
}
