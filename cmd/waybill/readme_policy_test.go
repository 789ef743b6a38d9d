package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"waybill/router/sandbox"
)

// policyReader follows what the README says of policies, on a node with keys of the platform's for all three providers.
type policyReader struct {
	*reader
	up   *sandbox.Server
	keys map[string]string // secrets, by name
}

const oursSecret, oursElsewhere = "sk-ours-openai", "sk-ours-anthropic"

func newPolicyReader(t *testing.T) *policyReader {
	t.Helper()
	up, err := sandbox.Listen("127.0.0.1:0", sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { up.Close() })
	p := &policyReader{reader: &reader{t: t, dir: t.TempDir(), env: os.Environ()}, up: up, keys: map[string]string{}}
	for _, provider := range []string{"openai", "anthropic", "google"} {
		p.env = append(p.env, "WAYBILL_"+strings.ToUpper(provider)+"_BASE_URL="+up.BaseURL(provider))
	}
	p.env = append(p.env, "OPENAI_API_KEY=sk-1", "ANTHROPIC_API_KEY=sk-2", "GEMINI_API_KEY=sk-3")
	p.run("", "init")
	p.start("serve")
	p.run("", "org", "open", "acme", "--plan", "teams")
	for _, name := range []string{"web", "research-papers"} {
		p.keys[name] = strings.TrimSpace(p.run("", "key", "issue", "acme", "--name", name))
	}
	return p
}

// run runs the program in the README's folder, and gives what it prints.
func (p *policyReader) run(stdin string, args ...string) string {
	p.t.Helper()
	var out, log bytes.Buffer
	cmd := exec.CommandContext(p.t.Context(), "waybill", args...)
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = p.dir, p.env, strings.NewReader(stdin), &out, &log
	if err := cmd.Run(); err != nil {
		p.t.Fatalf("waybill %s: %v\n%s", strings.Join(args, " "), err, log.String())
	}
	if log.Len() > 0 && args[0] == "policy" {
		p.t.Errorf("waybill %s warns: %s", strings.Join(args, " "), log.String())
	}
	return out.String()
}

func (p *policyReader) write(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func readmeText(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	policyBlock = regexp.MustCompile("(?s)<!-- policy: ([a-z ]+) -->\n```yaml\n(.*?)```\n\n\\| key \\| asks for \\| answered by \\| billed to \\|\n\\|[-|]+\\|\n((?:\\|[^\n]+\n)+)")
	asks        = regexp.MustCompile("^`([^`]+)`(?: with `([^`]+)`)?( while our key fails| while Google fails)?$")
)

// Each policy in the README, set on a running node, routes and bills each call in the table below it as that says.
func TestReadmePolicies(t *testing.T) {
	p := newPolicyReader(t)
	p.run(oursSecret, "credential", "attach", "acme", "openai", "--name", "ours")
	p.run(oursElsewhere, "credential", "attach", "acme", "anthropic", "--name", "ours-too")
	all := policyBlock.FindAllStringSubmatch(readmeText(t), -1)
	if len(all) != 5 || strings.Count(readmeText(t), "<!-- policy: ") != 5 {
		t.Fatalf("the README has %d policies with their tables", len(all))
	}
	for _, m := range all {
		p.write("routing.yml", m[2])
		p.run("", "policy", "set", "acme", "routing.yml")
		for row := range strings.Lines(m[3]) {
			cells := strings.Split(strings.Trim(row, "| \n"), "|")
			for len(cells) < 4 {
				cells = append(cells, "")
			}
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			p.holds(m[1], cells)
		}
	}
}

// holds makes the call of a row: key, asks for, answered by, billed to.
func (p *policyReader) holds(policy string, row []string) {
	p.t.Helper()
	m := asks.FindStringSubmatch(row[1])
	key := p.keys[strings.Trim(row[0], "`")]
	if m == nil || key == "" {
		p.t.Fatalf("%s: the test cannot read %q", policy, row)
	}
	if m[2] != "" {
		m[2] = "," + m[2]
	}
	switch m[3] {
	case " while our key fails":
		defer p.up.Script("openai", m[1], sandbox.Script{Key: oursSecret, Fail: sandbox.ServerError})()
	case " while Google fails":
		defer p.up.Script("google", "gemini-2.5-flash-lite", sandbox.Script{Fail: sandbox.Overloaded})()
	}
	answer, body := p.chat(key, fmt.Sprintf(`{"model":%q%s,"messages":[{"role":"user","content":"Hello"}]}`, m[1], m[2]))
	h := answer.Header
	if status, code, refused := strings.Cut(row[2], " "); refused {
		if strconv.Itoa(answer.StatusCode) != status || gjson.GetBytes(body, "error.code").Str != strings.Trim(code, "`") {
			p.t.Errorf("%s: %q: %d %s", policy, row, answer.StatusCode, body)
		}
		if reason := "premium models are for research"; policy == "premium" && !bytes.Contains(body, []byte(reason)) {
			p.t.Errorf("%s: %q: the caller is not told why: %s", policy, row, body)
		}
		return
	}
	if answer.StatusCode != 200 || "`"+h.Get("Waybill-Model")+"`" != row[2] || "`"+h.Get("Waybill-Billing")+"`" != row[3] || h.Get("Waybill-Charge") != "0.000000" {
		p.t.Errorf("%s: %q: %d %v %s", policy, row, answer.StatusCode, h, body)
	}
}

func (p *policyReader) chat(key, body string) (*http.Response, []byte) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), "POST", p.url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return answer, b
}

var (
	madeID   = regexp.MustCompile(`\b(req|cred|org)_[0-9a-f]{32}\b`)
	trailing = regexp.MustCompile(`(?m)[ \t]+$`)
)

// What the README shows of explain and simulate is what they print, but for ids: each line that begins with $ is run, and "cat"
// makes the file that it shows.
func TestReadmeBeforeItIsSet(t *testing.T) {
	p := newPolicyReader(t)
	p.run("", "credit", "purchase", "acme", "25.00", "--reference", "invoice-1001")
	for _, call := range []string{"gpt-6-sol 1200 300", "gpt-6-sol 900 500", "gpt-6-sol 3000 150", "claude-haiku-5-5 700 200"} {
		var model string
		var input, output int
		if _, err := fmt.Sscan(call, &model, &input, &output); err != nil {
			t.Fatal(err)
		}
		if answer, body := p.chat(p.keys["web"], fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":"[[sandbox input=%d output=%d]]"}]}`, model, input, output)); answer.StatusCode != 200 {
			t.Fatalf("%s: %s", call, body)
		}
	}
	shown := regexp.MustCompile("(?ms)^```console\n(.*?)^```").FindAllStringSubmatch(readmeText(t), -1)
	if len(shown) != 2 {
		t.Fatalf("the README shows %d consoles", len(shown))
	}
	for _, m := range shown {
		var got strings.Builder
		for _, step := range regexp.MustCompile(`(?m)^\$ `).Split(m[1], -1)[1:] {
			line, want, _ := strings.Cut(step, "\n")
			args := strings.Fields(line)
			fmt.Fprintf(&got, "$ %s\n", line)
			if args[0] == "cat" {
				p.write(args[1], want)
				got.WriteString(want)
				continue
			}
			out := p.run("", args[1:]...)
			out = madeID.ReplaceAllString(out, "${1}_…")
			got.WriteString(strings.TrimRight(trailing.ReplaceAllString(out, ""), "\n") + "\n")
		}
		if got.String() != m[1] {
			t.Errorf("the README shows\n%s\nand this is what there is:\n%s", m[1], got.String())
		}
	}
}
