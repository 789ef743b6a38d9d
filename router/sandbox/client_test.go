package sandbox_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"waybill/router/sandbox"
)

// client speaks to a sandbox over real HTTP, in each provider's own words.
type client struct {
	t    testing.TB
	root string
	box  *sandbox.Sandbox
}

var providers = []string{sandbox.OpenAI, sandbox.Anthropic, sandbox.Google}

// models are ones that take all parameters.
var models = map[string]string{
	sandbox.OpenAI: "gpt-4o-mini", sandbox.Anthropic: "claude-test", sandbox.Google: "gemini-test",
}

const clockStart = 1764000000

func start(t *testing.T, o sandbox.Options) *client {
	t.Helper()
	if o.Now == nil {
		o.Now = func() time.Time { return time.Unix(clockStart, 0).UTC() }
	}
	box := sandbox.New(o)
	server := httptest.NewServer(box)
	t.Cleanup(server.Close)
	return &client{t, server.URL, box}
}

// body is a plain question in a provider's dialect; extra is JSON members to add.
func body(provider, text string, stream bool, extra string) string {
	quoted, _ := json.Marshal(text)
	if extra != "" {
		extra = "," + extra
	}
	switch provider {
	case sandbox.OpenAI:
		return fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":%s}],"stream":%t%s}`, models[provider], quoted, stream, extra)
	case sandbox.Anthropic:
		if !strings.Contains(extra, `"max_tokens"`) {
			extra += `,"max_tokens":1000`
		}
		return fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":%s}],"stream":%t%s}`, models[provider], quoted, stream, extra)
	}
	return fmt.Sprintf(`{"contents":[{"role":"user","parts":[{"text":%s}]}]%s}`, quoted, extra)
}

// request builds a POST with the provider's own headers.
func (c *client) request(provider string, stream bool, body string) *http.Request {
	url := sandbox.BaseURL(c.root, provider)
	switch provider {
	case sandbox.OpenAI:
		url += "/chat/completions"
	case sandbox.Anthropic:
		url += "/v1/messages"
	case sandbox.Google:
		url += "/v1beta/models/" + models[provider] + ":generateContent"
		if stream {
			url = strings.TrimSuffix(url, "generateContent") + "streamGenerateContent?alt=sse"
		}
	}
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(sandbox.AttemptHeader, "req.1")
	authorise(r, provider, "secret")
	return r
}

func authorise(r *http.Request, provider, secret string) {
	switch provider {
	case sandbox.OpenAI:
		r.Header.Set("Authorization", "Bearer "+secret)
	case sandbox.Anthropic:
		r.Header.Set("X-Api-Key", secret)
		r.Header.Set("Anthropic-Version", "2023-06-01")
	case sandbox.Google:
		r.Header.Set("X-Goog-Api-Key", secret)
	}
}

// reply is what came back. err is what reading the body ended with, io.EOF aside.
type reply struct {
	status int
	header http.Header
	body   string
	err    error
}

func (c *client) do(r *http.Request) reply {
	c.t.Helper()
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return reply{err: err}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, string(body), err}
}

// ask sends a question, unary or streamed.
func (c *client) ask(provider, text string, stream bool, extra string) reply {
	c.t.Helper()
	return c.do(c.request(provider, stream, body(provider, text, stream, extra)))
}

func (r reply) get(path string) gjson.Result { return gjson.Get(r.body, path) }

// event is one SSE event.
type event struct{ name, data string }

// events reads an SSE body as the standard says: CRLF or LF, comments, several data lines.
func events(t *testing.T, body string) (all []event, comments int) {
	t.Helper()
	scanner := bufio.NewScanner(strings.NewReader(body))
	var e event
	var data []string
	for scanner.Scan() {
		line := strings.TrimSuffix(scanner.Text(), "\r")
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			if data != nil {
				e.data = strings.Join(data, "\n")
				all = append(all, e)
			}
			e, data = event{}, nil
		case name == "":
			comments++
		case name == "event":
			e.name = value
		case name == "data":
			data = append(data, value)
		default:
			t.Fatalf("unexpected SSE line %q", line)
		}
	}
	return all, comments
}

// told is what a client understands of an answer.
type told struct {
	text, finish, id string
	usage            gjson.Result
	terminated       bool
	frames           int // with text
	failure          gjson.Result
}

// understand reads a unary or streamed answer of any provider.
func (r reply) understand(t *testing.T, provider string, stream bool) told {
	t.Helper()
	if !stream {
		v := gjson.Parse(r.body)
		switch provider {
		case sandbox.OpenAI:
			return told{text: v.Get("choices.0.message.content").Str, finish: v.Get("choices.0.finish_reason").Str, id: v.Get("id").Str, usage: v.Get("usage")}
		case sandbox.Anthropic:
			return told{text: v.Get(`content.#(type=="text").text`).Str, finish: v.Get("stop_reason").Str, id: v.Get("id").Str, usage: v.Get("usage")}
		}
		return told{text: v.Get("candidates.0.content.parts.@reverse.0.text").Str, finish: v.Get("candidates.0.finishReason").Str, id: v.Get("responseId").Str, usage: v.Get("usageMetadata")}
	}
	var out told
	all, _ := events(t, r.body)
	for _, e := range all {
		v := gjson.Parse(e.data)
		if e.data != "[DONE]" && !gjson.Valid(e.data) {
			t.Fatalf("event is no JSON: %q", e.data)
		}
		switch {
		case v.Get("error").Exists():
			out.failure = v.Get("error")
		case e.data == "[DONE]" || e.name == "message_stop":
			out.terminated = true
		case provider == sandbox.OpenAI:
			out.addOpenAI(v)
		case provider == sandbox.Anthropic:
			out.addAnthropic(t, e.name, v)
		default:
			out.addGemini(v)
		}
	}
	return out
}

func (o *told) add(text string) {
	o.text += text
	if text != "" {
		o.frames++
	}
}

func (o *told) addOpenAI(v gjson.Result) {
	o.id = v.Get("id").Str
	if first := v.Get("choices.0"); first.Get("index").Int() == 0 {
		o.add(first.Get("delta.content").Str)
		o.finish += first.Get("finish_reason").Str
	}
	if u := v.Get("usage"); u.IsObject() {
		o.usage = u
	}
}

func (o *told) addAnthropic(t *testing.T, name string, v gjson.Result) {
	if v.Get("type").Str != name {
		t.Fatalf("event %q has type %q", name, v.Get("type").Str)
	}
	switch name {
	case "message_start":
		o.id = v.Get("message.id").Str
	case "content_block_delta":
		o.add(v.Get("delta.text").Str)
	case "message_delta":
		o.finish = v.Get("delta.stop_reason").Str
		o.usage = v.Get("usage")
	}
}

func (o *told) addGemini(v gjson.Result) {
	o.id = v.Get("responseId").Str
	v.Get("candidates.0.content.parts").ForEach(func(_, part gjson.Result) bool {
		if !part.Get("thought").Bool() {
			o.add(part.Get("text").Str)
		}
		return true
	})
	o.finish += v.Get("candidates.0.finishReason").Str
	if u := v.Get("usageMetadata"); u.Exists() {
		o.usage = u
	}
}

// calls waits until the record has n ended calls and returns it.
func (c *client) calls(n int) []sandbox.Call {
	c.t.Helper()
	return c.until(func(calls []sandbox.Call) bool {
		ended := 0
		for _, call := range calls {
			if call.Ended {
				ended++
			}
		}
		return ended == n
	})
}

// until polls the record: a client may see the end of a connection before the server
// has left its handler.
func (c *client) until(ok func([]sandbox.Call) bool) []sandbox.Call {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	for {
		calls := c.box.Calls()
		if ok(calls) {
			return calls
		}
		select {
		case <-ctx.Done():
			c.t.Fatalf("the record never got there: %+v", calls)
		case <-time.After(time.Millisecond):
		}
	}
}

// each runs a test for every provider, unary and streamed.
func each(t *testing.T, test func(t *testing.T, provider string, stream bool)) {
	for _, provider := range providers {
		for _, stream := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/stream=%t", provider, stream), func(t *testing.T) { test(t, provider, stream) })
		}
	}
}
