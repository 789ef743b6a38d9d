package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/rogpeppe/go-internal/testscript"

	"waybill/router/sandbox"
)

// The command line as its users see it: each script in testdata/script runs in a folder of its own, with the sandbox as
// its upstreams. Beside testscript's own commands they have those below.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			up, err := sandbox.Listen("127.0.0.1:0", sandbox.Options{})
			if err != nil {
				return err
			}
			e.Defer(func() { up.Close() })
			for _, p := range []string{"openai", "anthropic", "google"} {
				e.Setenv("WAYBILL_"+strings.ToUpper(p)+"_BASE_URL", up.BaseURL(p))
			}
			e.Setenv("WAYBILL_LISTEN", "127.0.0.1:0")
			e.Setenv("HOME", e.WorkDir)
			n := &scriptNode{up: up}
			e.Values["node"] = n
			e.Defer(n.kill)
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if name, ok := strings.CutPrefix(cond, "has:"); ok {
				_, err := exec.LookPath(name)
				return err == nil, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": serveScript, "halt": haltScript, "chat": chatScript, "setenv": setenvScript, "hold": holdScript,
		},
	})
}

// scriptNode is the node that a script has started.
type scriptNode struct {
	up  *sandbox.Server
	cmd *exec.Cmd
	log bytes.Buffer
}

func (n *scriptNode) kill() {
	if n.cmd != nil {
		_ = n.cmd.Process.Kill() // it may have ended
		_ = n.cmd.Wait()
		n.cmd = nil
	}
}

// serve [FLAGS] starts the node as a process of its own, waits until it listens, and sets $URL.
func serveScript(ts *testscript.TestScript, neg bool, args []string) {
	n := ts.Value("node").(*scriptNode)
	if neg || n.cmd != nil {
		ts.Fatalf("usage: serve [FLAGS], once at a time")
	}
	n.log.Reset()
	n.cmd = exec.Command("waybill", append([]string{"serve"}, args...)...)
	n.cmd.Dir, n.cmd.Stderr = ts.MkAbs("."), &n.log
	n.cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	for _, name := range []string{"WAYBILL_LISTEN", "WAYBILL_DATA", "WAYBILL_OPENAI_BASE_URL", "WAYBILL_ANTHROPIC_BASE_URL", "WAYBILL_GOOGLE_BASE_URL",
		"OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "WAYBILL_OPERATOR_TOKEN", "WAYBILL_RECOVERY", "WAYBILL_MASTER_KEY_FILE", "WAYBILL_DRILL_INTERVAL"} {
		if v := ts.Getenv(name); v != "" {
			n.cmd.Env = append(n.cmd.Env, name+"="+v)
		}
	}
	out, err := n.cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(n.cmd.Start())
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if i := strings.Index(lines.Text(), "http://"); i >= 0 {
			url, _, _ := strings.Cut(lines.Text()[i:], " ")
			ts.Setenv("URL", url)
			go io.Copy(io.Discard, out)
			return
		}
	}
	_ = n.cmd.Wait()
	ts.Fatalf("the node did not start:\n%s", n.log.String())
}

// halt [SIGNAL [STATUS]] ends the node (stop is testscript's own, and ends the script), in order unless the signal is KILL, and checks its exit status.
func haltScript(ts *testscript.TestScript, _ bool, args []string) {
	n := ts.Value("node").(*scriptNode)
	sig, want := syscall.SIGTERM, 0
	if len(args) > 0 && args[0] == "KILL" {
		sig, want = syscall.SIGKILL, -1
	}
	if len(args) > 1 {
		want, _ = strconv.Atoi(args[1])
	}
	ts.Check(n.cmd.Process.Signal(sig))
	err := n.cmd.Wait()
	if got := n.cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("the node ended with status %d (%v):\n%s", got, err, n.log.String())
	}
	n.cmd = nil
	ts.Check(os.WriteFile(ts.MkAbs("node.log"), n.log.Bytes(), 0o600))
}

// chat KEY MODEL TEXT [STATUS] makes one call with the official client, writes the answer's text to the file "answer" and
// waybill's id of the call to the file "request". With a status the call must be refused with it.
func chatScript(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: chat KEY MODEL TEXT [STATUS]")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	client := sdk(ts.Getenv("URL"), args[0])
	var resp *http.Response
	answer, err := client.Chat.Completions.New(ctx, openai.ChatCompletionNewParams{Model: args[1],
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(args[2])}, MaxCompletionTokens: openai.Int(400)}, option.WithResponseInto(&resp))
	if len(args) > 3 {
		e, ok := errors.AsType[*openai.Error](err)
		if !ok || strconv.Itoa(e.StatusCode) != args[3] {
			ts.Fatalf("%v, want status %s", err, args[3])
		}
		ts.Check(os.WriteFile(ts.MkAbs("answer"), []byte(e.Code+": "+e.Message), 0o600))
		return
	}
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("answer"), []byte(answer.Choices[0].Message.Content), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("request"), []byte(resp.Header.Get("Waybill-Request")), 0o600))
}

// hold KEY MODEL starts a call that hangs upstream, and returns when it is there.
func holdScript(ts *testscript.TestScript, _ bool, args []string) {
	n := ts.Value("node").(*scriptNode)
	client := sdk(ts.Getenv("URL"), args[0])
	ended := make(chan error, 1) // once the node is gone, nobody asks for it
	go func() {
		_, err := client.Chat.Completions.New(context.Background(), chat(args[1], "Hello [[sandbox hang=headers]]"))
		ended <- err
	}()
	for deadline := time.Now().Add(30 * time.Second); ; <-time.After(time.Millisecond) {
		select {
		case err := <-ended:
			ts.Fatalf("the call does not hang: %v", err)
		default:
		}
		calls := n.up.Calls()
		if slices.ContainsFunc(calls, func(c sandbox.Call) bool { return !c.Ended }) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("no call hangs within 30 s")
		}
	}
}

// setenv NAME FILE sets a variable to a file's text; "stdout" is what the last command printed.
func setenvScript(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: setenv NAME FILE")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile(args[1])))
}
