package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"waybill/router/sandbox"
)

// TestMain makes this test binary the program "waybill" too, for scripts and for what starts the program by name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"waybill": main, "sandbox": sandboxMain})
}

// sandboxMain is the upstreams as a program: it says where it listens, and ends when its input does.
func sandboxMain() {
	s, err := sandbox.Listen("127.0.0.1:0", sandbox.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(s.URL())
	io.Copy(io.Discard, os.Stdin)
	s.Close()
}

// site is a folder with a node's data, the sandbox as its upstreams, and the program's environment there.
type site struct {
	t   *testing.T
	up  *sandbox.Server
	env []string
}

func newSite(t *testing.T) *site {
	t.Helper()
	up, err := sandbox.Listen("127.0.0.1:0", sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { up.Close() })
	s := &site{t: t, up: up, env: []string{
		"WAYBILL_DATA=" + filepath.Join(t.TempDir(), "data"), "WAYBILL_LISTEN=127.0.0.1:0", "WAYBILL_LITESTREAM=",
		"WAYBILL_OPENAI_BASE_URL=" + up.BaseURL("openai"), "WAYBILL_ANTHROPIC_BASE_URL=" + up.BaseURL("anthropic"),
		"WAYBILL_GOOGLE_BASE_URL=" + up.BaseURL("google"),
		"OPENAI_API_KEY=sk-platform-openai", "ANTHROPIC_API_KEY=sk-platform-anthropic", "GEMINI_API_KEY=sk-platform-google",
	}}
	s.must("init")
	return s
}

// run runs a command and gives its exit status and what it printed.
func (s *site) run(stdin string, args ...string) (status int, stdout, stderr string) {
	s.t.Helper()
	var out, err bytes.Buffer
	status = run(s.t.Context(), args, s.env, strings.NewReader(stdin), &out, &err)
	return status, out.String(), err.String()
}

// must runs a command that does what it is told, and gives what it printed without the line's end.
func (s *site) must(args ...string) string {
	s.t.Helper()
	status, out, err := s.run("", args...)
	if status != exitOK {
		s.t.Fatalf("waybill %s: status %d\n%s%s", strings.Join(args, " "), status, out, err)
	}
	return strings.TrimSuffix(out, "\n")
}

// serve starts the node in this process and gives its address and what stops it as SIGTERM does. Without that it is
// stopped at the end of the test.
func (s *site) serve(args ...string) (url string, stop func() (status int)) {
	s.t.Helper()
	n := s.start(serveCommand, args...)
	return n.url, n.stop
}

// running is a node that serves in this process.
type running struct {
	url    string
	stop   func() (status int) // as SIGTERM does
	ended  chan struct{}       // closed at its end
	status int                 // then
	stderr bytes.Buffer        // read it then
}

// start runs a command that serves.
func (s *site) start(c command, args ...string) *running {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	n := &running{ended: make(chan struct{})}
	go func() {
		defer close(n.ended)
		n.status = c.status(ctx, &work{env: environ(s.env), stdin: strings.NewReader(""), stdout: in, stderr: &n.stderr}, args)
		in.Close()
	}()
	n.stop = func() int {
		cancel()
		return n.wait(s.t)
	}
	s.t.Cleanup(func() { n.stop() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if i := strings.Index(lines.Text(), "http://"); i >= 0 {
			n.url, _, _ = strings.Cut(lines.Text()[i:], " ")
			go io.Copy(io.Discard, out)
			return n
		}
	}
	s.t.Fatalf("the node did not start: status %d\n%s", n.stop(), n.stderr.String())
	return nil
}

// wait waits for its end.
func (n *running) wait(t *testing.T) (status int) {
	t.Helper()
	select {
	case <-n.ended:
		return n.status
	case <-time.After(time.Minute):
		t.Error("the node did not stop")
		return -1
	}
}

// until waits for a condition that something else brings about.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); {
		if time.Now().After(deadline) {
			t.Fatalf("not so within 30 s: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

func (s *site) data() string { return environ(s.env)["WAYBILL_DATA"] }

// copied is the site as its disk is now: what a crash at this moment would leave.
func (s *site) copied() *site {
	s.t.Helper()
	data := filepath.Join(s.t.TempDir(), "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		s.t.Fatal(err)
	}
	for _, name := range []string{"waybill.db", "waybill.db-wal", "vault.db", "vault.db-wal"} {
		b, err := os.ReadFile(filepath.Join(s.data(), name))
		if err == nil {
			err = os.WriteFile(filepath.Join(data, name), b, 0o600)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.t.Fatal(err)
		}
	}
	key, err := os.ReadFile(s.data() + ".key")
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(data+".key", key, 0o600); err != nil {
		s.t.Fatal(err)
	}
	return &site{t: s.t, up: s.up, env: append(slices.Clone(s.env), "WAYBILL_DATA="+data)}
}
