package openai

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"waybill/ledger"
	"waybill/ledger/secret"
	"waybill/router"
)

// upstream serves one answer to every call and keeps the latest request.
type upstream struct {
	path, key string
	body      []byte
	url       string
}

func serve(t testing.TB, kind string, answer []byte) *upstream {
	u := &upstream{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.path, u.key = r.URL.Path, r.Header.Get("Authorization")
		u.body, _ = io.ReadAll(r.Body) // the test sees that it is short
		w.Header().Set("Content-Type", kind)
		// In pieces that cut frames and characters.
		for len(answer) > 0 {
			n := min(len(answer), 37)
			_, _ = w.Write(answer[:n]) // a caller who left is not this test's
			w.(http.Flusher).Flush()
			answer = answer[n:]
		}
	}))
	t.Cleanup(s.Close)
	u.url = s.URL
	return u
}

// exchange makes the call and reads its answer to the end.
func exchange(t testing.TB, u *upstream, c router.Call) (router.Reply, []router.Chunk) {
	t.Helper()
	c.BaseURL, c.Client, c.Idle, c.Secret = u.url, http.DefaultClient, 5*time.Second, secret.New("sk-1")
	reply, err := Upstream{}.Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Close()
	var steps []router.Chunk
	for {
		step, err := reply.Next()
		if err == io.EOF {
			return reply, steps
		}
		if err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
}

func own(t testing.TB, members string) router.Call {
	t.Helper()
	r, err := Inbound{}.Decode(router.Incoming{Body: []byte(`{"model":"m","messages":[{"role":"user","content":"a"}]` + members + `}`)})
	if err != nil {
		t.Fatal(err)
	}
	return router.Call{Request: r, OutputCap: 77, Attempt: "req.1", Model: ledger.Model{ID: "up", Name: "openai/up", Provider: "openai", Features: able}}
}

// What the upstream sent is what the caller gets, frame for frame and byte for byte, but for the usage that it did not
// ask for; and what the caller sent is what the upstream gets, but for the named edits.
func TestFidelity(t *testing.T) {
	stream := string(fixture(t, "tools.sse"))
	at := strings.Index(stream, `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1764000000,"model":"gpt-6-luna-2026-09-22","choices":[],`)
	end := strings.Index(stream, "data: [DONE]")
	unasked := stream[:at] + stream[end:]
	odd := strings.NewReplacer("data: [DONE]\n\n", "data:[DONE] \r\n\r\n").Replace(stream)
	for _, tt := range []struct{ name, members, from, want string }{
		{"usage unasked", `,"stream":true`, stream, unasked},
		{"usage asked for", `,"stream":true,"stream_options":{"include_usage":true}`, stream, stream},
		{"an odd end mark", `,"stream":true,"stream_options":{"include_usage":true}`, odd, odd},
		{"carriage returns", `,"stream":true,"stream_options":{"include_usage":true}`, strings.ReplaceAll(stream, "\n", "\r\n"), strings.ReplaceAll(stream, "\n", "\r\n")},
	} {
		u := serve(t, "text/event-stream", []byte(tt.from))
		c := own(t, tt.members)
		reply, steps := exchange(t, u, c)
		w := Inbound{}.Writer(c.Request, head, ledger.DialectOpenAIChat)
		usage, _ := reply.Usage()
		if got := write(w, steps...) + string(w.End(usage)); got != tt.want {
			t.Errorf("%s:\ngot  %q\nwant %q", tt.name, got, tt.want)
		}
		if u.path != "/chat/completions" || u.key != "Bearer sk-1" || !strings.HasPrefix(string(u.body), `{"model":"up","messages":[{"role":"user","content":"a"}],"stream":true`) {
			t.Errorf("%s: %s %s %s", tt.name, u.path, u.key, u.body)
		}
	}
	u := serve(t, "application/json", fixture(t, "refusal.json"))
	c := own(t, `,"n":2`)
	reply, steps := exchange(t, u, c)
	usage, _ := reply.Usage()
	if got := (Inbound{}).Writer(c.Request, head, ledger.DialectOpenAIChat).Body(steps, usage); string(got) != string(fixture(t, "refusal.json")) {
		t.Errorf("body %s", got)
	}
}

// told is what steps say, in a line each.
func told(steps []router.Chunk) string {
	var b strings.Builder
	for _, c := range steps {
		if c.Kind != "" || c.Finish != "" {
			fmt.Fprintf(&b, "%d %s %d %s %s %q %s\n", c.Index, c.Kind, c.Call, c.CallID, c.Name, c.Text, c.Finish)
		}
	}
	return b.String()
}

func TestToolStream(t *testing.T) {
	reply, steps := exchange(t, serve(t, "text/event-stream", fixture(t, "tools.sse")), own(t, `,"stream":true`))
	want := `0 call 0 call_a weather "" 
0 call 0   "{\"city\":" 
0 call 1 call_b time "" 
0 call 0   "\"Rome\"}" 
0 call 1   "{}" tool_calls
`
	if got := told(steps); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	// By hand: 1117 of input, of which 1024 were read from and 64 written to the cache: 29 are plain.
	if u, final := reply.Usage(); !final || u != (ledger.Usage{Input: 29, CacheRead: 1024, CacheWrite: 64, Output: 46, Reasoning: 20}) {
		t.Errorf("%+v %t", u, final)
	}
	if steps[0].ID != "chatcmpl-1" || steps[0].Model != "gpt-6-luna-2026-09-22" || steps[0].Tier != "default" || reply.Turn() != nil {
		t.Errorf("%+v %s", steps[0], reply.Turn())
	}
}

// A server of the DeepSeek kind ends without an end mark, has the usage with the finish reason, and wants the thoughts
// back with the results.
func TestThoughtfulServer(t *testing.T) {
	c := leg(&router.Request{Stream: true, Tools: []router.Tool{{Name: "f"}}, Messages: []router.Message{{Role: router.RoleUser, Parts: []router.Part{router.Text("a")}}}})
	c.Quirks = router.Quirks{NoDone: true}
	u := serve(t, "text/event-stream", fixture(t, "deepseek.sse"))
	reply, steps := exchange(t, u, c)
	want := "0 reasoning 0   \"Let me \" \n0 reasoning 0   \"see.\" \n0 text 0   \"Well: \" \n0 call 0 call_0_x f \"{}\" tool_calls\n"
	if got := told(steps); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if u, final := reply.Usage(); !final || u != (ledger.Usage{Input: 26, CacheRead: 64, Output: 30, Reasoning: 12}) {
		t.Errorf("%+v %t", u, final)
	}
	turn := `{"role":"assistant","content":"Well: ","reasoning_content":"Let me see.","tool_calls":[{"id":"call_0_x","type":"function","function":{"name":"f","arguments":"{}"}}]}`
	if got := string(reply.Turn()); got != turn {
		t.Errorf("turn %s", got)
	}
	next := leg(&router.Request{Messages: []router.Message{
		{Role: router.RoleUser, Parts: []router.Part{router.Text("a")}},
		{Role: router.RoleAssistant, Parts: []router.Part{router.Text("Well: "), {Kind: router.KindCall, ID: "call_0_x", Name: "f", Text: "{}"}}},
		{Role: router.RoleUser, Parts: []router.Part{{Kind: router.KindResult, ID: "call_0_x", Parts: []router.Part{router.Text("7")}}}},
	}})
	next.Turn = func(string) []byte { return []byte(turn) }
	if body, _, err := encode(next); err != nil || !strings.Contains(string(body), turn+`,{"role":"tool","tool_call_id":"call_0_x","content":"7"}`) {
		t.Errorf("%s %v", body, err)
	}
	// Without the quirk the same stream was cut.
	c.Quirks = router.Quirks{}
	c.BaseURL, c.Client, c.Idle = u.url, http.DefaultClient, 5*time.Second
	cut, err := Upstream{}.Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer cut.Close()
	for err == nil {
		_, err = cut.Next()
	}
	if err == io.EOF {
		t.Error("a stream without its end mark passed for whole")
	}
}

// A caller who asked for the usage and got it with the finish reason does not get it twice.
func TestUsageIsToldOnce(t *testing.T) {
	c := own(t, `,"stream":true,"stream_options":{"include_usage":true}`)
	c.Quirks = router.Quirks{NoDone: true}
	reply, steps := exchange(t, serve(t, "text/event-stream", fixture(t, "deepseek.sse")), c)
	w := Inbound{}.Writer(c.Request, head, ledger.DialectOpenAIChat)
	usage, _ := reply.Usage()
	if got := write(w, steps...) + string(w.End(usage)); got != string(fixture(t, "deepseek.sse"))+"data: [DONE]\n\n" {
		t.Errorf("%q", got)
	}
}
