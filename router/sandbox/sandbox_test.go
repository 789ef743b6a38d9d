package sandbox_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"waybill/router/sandbox"
)

var finishes = map[string][3]string{ // natural, stop string, cap
	sandbox.OpenAI:    {"stop", "stop", "length"},
	sandbox.Anthropic: {"end_turn", "stop_sequence", "max_tokens"},
	sandbox.Google:    {"STOP", "STOP", "MAX_TOKENS"},
}

func TestAnswerIsTheSameEverywhere(t *testing.T) {
	const question = "What is on the quay?"
	want := sandbox.Answer(question, 0)
	if want == sandbox.Answer("What is on the ship?", 0) {
		t.Fatal("two questions have one answer")
	}
	each(t, func(t *testing.T, provider string, stream bool) {
		c := start(t, sandbox.Options{})
		r := c.ask(provider, question, stream, "")
		got := r.understand(t, provider, stream)
		if r.status != 200 || r.err != nil || got.text != want {
			t.Fatalf("status %d, %v: %q, want %q", r.status, r.err, got.text, want)
		}
		if got.finish != finishes[provider][0] {
			t.Errorf("finish %q", got.finish)
		}
		if stream && provider != sandbox.Google && !got.terminated {
			t.Error("no terminator")
		}
		if stream && got.frames < 3 {
			t.Errorf("%d frames", got.frames)
		}
		call := c.calls(1)[0]
		if call.AnswerID != got.id || got.id == "" || call.Finish != got.finish || call.Outcome != sandbox.Completed || call.Status != 200 ||
			call.Stream != stream || call.Model != models[provider] || call.Attempt != "req.1" || call.Messages != 1 {
			t.Errorf("record %+v, told %+v", call, got)
		}
		// Directives about delivery leave the text alone.
		steered := c.ask(provider, "[[sandbox chunks=3 split=1 crlf pings]] "+question, stream, "")
		if again := steered.understand(t, provider, stream); again.text != want {
			t.Errorf("steered: %q", again.text)
		}
	})
}

func TestAnswerLengths(t *testing.T) {
	for tokens := 1; tokens < 200; tokens++ {
		text := sandbox.Answer("length", tokens)
		if got := sandbox.CountTokens(text); got != tokens || strings.ContainsRune(text, '�') {
			t.Fatalf("%d tokens asked, %d in %q", tokens, got, text)
		}
	}
	if sandbox.CountTokens("") != 0 || sandbox.CountTokens("abcd") != 1 || sandbox.CountTokens("abcde") != 2 {
		t.Error("a token is four bytes, rounded up")
	}
}

var limits = map[string]string{
	sandbox.OpenAI: `"max_tokens":%d`, sandbox.Anthropic: `"max_tokens":%d`, sandbox.Google: `"generationConfig":{"maxOutputTokens":%d}`,
}

func TestOutputCap(t *testing.T) {
	each(t, func(t *testing.T, provider string, stream bool) {
		c := start(t, sandbox.Options{})
		for _, test := range []struct {
			directive string
			limit     int
			text      int // tokens
			output    int
			capped    bool
		}{
			{"output=300", 400, 300, 300, false},
			{"output=300", 300, 300, 300, false},
			{"output=301", 300, 300, 300, true},
			{"output=300", 100, 100, 100, true},
			{"output=300 reasoning=40", 100, 60, 100, true},
			{"output=300 reasoning=400", 100, 0, 100, true},
			{"output=300 uncapped", 100, 300, 300, false},
		} {
			r := c.ask(provider, "[[sandbox "+test.directive+"]] count", stream, fmt.Sprintf(limits[provider], test.limit))
			got := r.understand(t, provider, stream)
			calls := c.box.Calls()
			call := calls[len(calls)-1]
			want := finishes[provider][0]
			if test.capped {
				want = finishes[provider][2]
			}
			if r.status != 200 || sandbox.CountTokens(got.text) != test.text || call.Tokens.Output != test.output || got.finish != want {
				t.Errorf("%s under %d: status %d, text of %d tokens, finish %q, record %+v", test.directive, test.limit, r.status, sandbox.CountTokens(got.text), got.finish, call.Tokens)
			}
			var asked int
			if _, err := fmt.Sscanf(test.directive, "output=%d", &asked); err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(sandbox.Answer("count", asked), got.text) {
				t.Errorf("%s: not a prefix: %q", test.directive, got.text)
			}
		}
	})
}

func TestStopStrings(t *testing.T) {
	stops := map[string]string{
		sandbox.OpenAI: `"stop":["three","two "]`, sandbox.Anthropic: `"stop_sequences":["three","two "]`,
		sandbox.Google: `"generationConfig":{"stopSequences":["three","two "]}`,
	}
	each(t, func(t *testing.T, provider string, stream bool) {
		c := start(t, sandbox.Options{})
		r := c.ask(provider, `[[sandbox say="one two three ]] four" chunk_bytes=2]]`, stream, stops[provider])
		got := r.understand(t, provider, stream)
		if got.text != "one " || got.finish != finishes[provider][1] {
			t.Errorf("%q, finish %q: %s", got.text, got.finish, r.body)
		}
		if provider == sandbox.Anthropic && !strings.Contains(r.body, `"stop_sequence":"two "`) {
			t.Error("the stop sequence is not named")
		}
	})
}

func TestSeveralChoices(t *testing.T) {
	c := start(t, sandbox.Options{})
	r := c.ask(sandbox.OpenAI, "[[sandbox output=10 reasoning=5]] many", false, `"n":3`)
	for i := range 3 {
		choice := r.get(fmt.Sprintf("choices.%d", i))
		if choice.Get("index").Int() != int64(i) || choice.Get("message.content").Str != sandbox.AnswerChoice("many", 10, i) {
			t.Errorf("choice %d: %s", i, choice.Raw)
		}
	}
	if got := r.get("usage.completion_tokens").Int(); got != 45 {
		t.Errorf("%d completion tokens", got)
	}
	r = c.ask(sandbox.Google, "[[sandbox output=10]] many", false, `"generationConfig":{"candidateCount":2}`)
	if got := r.get("candidates.1.content.parts.0.text").Str; got != sandbox.AnswerChoice("many", 10, 1) {
		t.Errorf("candidate 1: %q", got)
	}
	r = c.ask(sandbox.OpenAI, "[[sandbox output=10]] many", true, `"n":2`)
	var text [2]string
	all, _ := events(t, r.body)
	for _, e := range all {
		i := gjson.Get(e.data, "choices.0.index").Int()
		text[i] += gjson.Get(e.data, "choices.0.delta.content").Str
	}
	if text[0] != sandbox.AnswerChoice("many", 10, 0) || text[1] != sandbox.AnswerChoice("many", 10, 1) {
		t.Errorf("streamed choices %q", text)
	}
}

func TestGeminiArray(t *testing.T) {
	c := start(t, sandbox.Options{})
	r := c.request(sandbox.Google, true, body(sandbox.Google, "[[sandbox pings extras]] array", true, ""))
	r.URL.RawQuery = ""
	got := c.do(r)
	v := gjson.Parse(got.body)
	if !gjson.Valid(got.body) || !v.IsArray() || got.header.Get("Content-Type") != "application/json" {
		t.Fatalf("no JSON array: %s", got.body)
	}
	text := ""
	v.ForEach(func(_, chunk gjson.Result) bool {
		text += chunk.Get("candidates.0.content.parts.0.text").Str
		return true
	})
	if text != sandbox.Answer("array", 0) {
		t.Errorf("%q", text)
	}
	r = c.request(sandbox.Google, true, body(sandbox.Google, "[[sandbox fail=overloaded]] array", true, ""))
	r.URL.RawQuery = ""
	if got = c.do(r); got.status != 503 || got.get("0.error.status").Str != "UNAVAILABLE" {
		t.Errorf("%d %s", got.status, got.body)
	}
	r = c.request(sandbox.Google, true, body(sandbox.Google, "[[sandbox fail=overloaded fail_at=1]] array", true, ""))
	r.URL.RawQuery = ""
	if got = c.do(r); got.status != 200 || !gjson.Valid(got.body) || got.get("1.error.status").Str != "UNAVAILABLE" {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestModels(t *testing.T) {
	c := start(t, sandbox.Options{Models: map[string][]string{sandbox.OpenAI: {"only-this"}}})
	lists := map[string]string{sandbox.OpenAI: "/models", sandbox.Anthropic: "/v1/models", sandbox.Google: "/v1beta/models"}
	first := map[string]string{sandbox.OpenAI: "data.0.id", sandbox.Anthropic: "data.0.id", sandbox.Google: "models.0.name"}
	want := map[string]string{sandbox.OpenAI: "only-this", sandbox.Anthropic: "claude-fable-5-1", sandbox.Google: "models/gemini-4-argon"}
	for _, provider := range providers {
		r, _ := http.NewRequest(http.MethodGet, sandbox.BaseURL(c.root, provider)+lists[provider], nil)
		authorise(r, provider, "secret")
		if got := c.do(r); got.status != 200 || got.get(first[provider]).Str != want[provider] {
			t.Errorf("%s: %d %s", provider, got.status, got.body)
		}
		authorise(r, provider, "sandbox-fail-invalid-key")
		if got := c.do(r); got.status != map[string]int{sandbox.OpenAI: 401, sandbox.Anthropic: 401, sandbox.Google: 400}[provider] {
			t.Errorf("%s with a dead key: %d %s", provider, got.status, got.body)
		}
	}
	if got := c.ask(sandbox.OpenAI, "hello", false, ""); got.status != 404 || got.get("error.code").Str != "model_not_found" {
		t.Errorf("an unknown model: %d %s", got.status, got.body)
	}
	if calls := c.calls(1); calls[0].Outcome != sandbox.Failed(sandbox.NotFound) {
		t.Errorf("record %+v", calls[0])
	}
}

func TestRoutes(t *testing.T) {
	c := start(t, sandbox.Options{})
	for path, want := range map[string]int{
		"/": 404, "/nobody": 404, "/openai/v1/nothing": 404, "/openai/v1/chat/completions": 405, "/anthropic/v1/messages": 405,
		"/google/v1beta/models/x:generateContent": 405, "/google/v1beta/models/x:countTokens": 405, "/google/v1beta/models/x:predict": 404, "/compatible/v2/models": 404, "/openai/v1/responses": 405, "/calls?after=x": 400,
	} {
		r, _ := http.NewRequest(http.MethodGet, c.root+path, nil)
		if got := c.do(r); got.status != want {
			t.Errorf("GET %s: %d, want %d", path, got.status, want)
		}
	}
}

func TestListen(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "example.com:0", "nonsense"} {
		if s, err := sandbox.Listen(addr, sandbox.Options{}); err == nil {
			s.Close()
			t.Errorf("listens on %s", addr)
		}
	}
	for _, addr := range []string{"127.0.0.1:0", "localhost:0"} {
		s, err := sandbox.Listen(addr, sandbox.Options{})
		if err != nil {
			t.Fatal(err)
		}
		c := &client{t, s.URL(), s.Sandbox}
		if got := c.ask(sandbox.Anthropic, "hello", false, ""); got.status != 200 {
			t.Errorf("%d %s", got.status, got.body)
		}
		if !strings.HasPrefix(s.BaseURL(sandbox.OpenAI), s.URL()) {
			t.Error(s.BaseURL(sandbox.OpenAI))
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error("second close:", err)
		}
	}
}

func TestBaseURLs(t *testing.T) {
	for provider, want := range map[string]string{
		sandbox.OpenAI: "http://h:1/openai/v1", sandbox.Anthropic: "http://h:1/anthropic", sandbox.Google: "http://h:1/google",
	} {
		if got := sandbox.BaseURL("http://h:1/", provider); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestAnswersDoNotRepeatIDs(t *testing.T) {
	c := start(t, sandbox.Options{})
	seen := map[string]bool{}
	for range 5 {
		id := c.ask(sandbox.OpenAI, "same", false, "").get("id").Str
		if id == "" || seen[id] {
			t.Fatalf("id %q", id)
		}
		seen[id] = true
	}
	var list []sandbox.Call
	r, _ := http.NewRequest(http.MethodGet, c.root+"/calls?after=3", nil)
	if err := json.NewDecoder(bytes.NewBufferString(c.do(r).body)).Decode(&list); err != nil || len(list) != 2 || list[0].Seq != 4 {
		t.Errorf("%v: %+v", err, list)
	}
}
