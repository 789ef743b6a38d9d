package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
)

// The story is told to its end, with nothing set up, and leaves nothing behind.
func TestDemoOnce(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("TMPDIR", t.TempDir())
	var out, log bytes.Buffer
	// A real key in the environment is none of the demo's business.
	status := run(t.Context(), []string{"demo", "--once"}, []string{"OPENAI_API_KEY=sk-real", "WAYBILL_DATA=elsewhere"}, strings.NewReader(""), &out, &log)
	if status != exitOK {
		t.Fatalf("status %d: %s\n%s", status, log.String(), out.String())
	}
	for _, want := range []string{"403 plan_excludes_model", "Paid by: plan+credit.", "402 insufficient_funds", "because byok", "failed with status 503 (overloaded",
		"answered with status 200", "ok: ", "INSERT INTO requests VALUES", "All of it is as it was told."} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not told:\n%s", want, out.String())
		}
	}
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "*")); err != nil || len(left) > 0 {
		t.Errorf("it leaves %q behind (%v)", left, err)
	}
	if _, err := os.Stat("elsewhere"); err == nil {
		t.Error("it wrote to the data folder of the environment")
	}
}

// The demo serves what it says, until it is told to stop.
func TestDemoServes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, in := io.Pipe()
	status := make(chan int, 1)
	var log bytes.Buffer
	go func() {
		status <- run(ctx, []string{"demo", "--listen", "127.0.0.1:0", "--json"}, nil, strings.NewReader(""), in, &log)
		in.Close()
	}()
	var demo struct {
		URL, Data string
		Keys      map[string]string
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil || json.Unmarshal(line, &demo) != nil {
		t.Fatalf("%v: %q, status %d: %s", err, line, <-status, log.String())
	}
	ask, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	for org, model := range map[string]string{"hobby": "auto", "startup": "auto", "company": "openai/gpt-6-sol", "lab": "anthropic/claude-opus-5-5"} {
		client := sdk(demo.URL, demo.Keys[org])
		answer, err := client.Chat.Completions.New(ask, openai.ChatCompletionNewParams{Model: model, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Hello")}})
		if err != nil || answer.Choices[0].Message.Content == "" {
			t.Errorf("%s calls %s: %v", org, model, err)
		}
	}
	s := &site{t: t, env: []string{"WAYBILL_DATA=" + demo.Data}}
	if got := s.must("org", "list"); !strings.Contains(got, "company") {
		t.Errorf("org list beside the demo: %s", got)
	}
	cancel()
	if n := <-status; n != exitOK {
		t.Errorf("status %d: %s", n, log.String())
	}
	if _, err := os.Stat(demo.Data); err == nil {
		t.Error("its folder is still there")
	}
}
