package dialects_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"waybill/ledger"
	hidden "waybill/ledger/secret"
	"waybill/router"
	"waybill/router/dialects"
	"waybill/router/sandbox"
)

// served is one call through a dialect to the sandbox.
type served struct {
	text   string
	finish router.Finish
	id     string
	usage  ledger.Usage
	final  bool
	err    error
}

func through(t *testing.T, provider, base, secret, prompt string, stream bool) (s served) {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"model": "m", "stream": stream,
		"messages": []map[string]string{{"role": "system", "content": "Be brief."}, {"role": "user", "content": prompt}},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := call(request(t, string(body)), base)
	c.Secret, c.Attempt = hidden.New(secret), "req-"+provider+".1"
	c.Model = models[provider]
	reply, err := dialects.Upstreams[dialects.Providers[provider].Dialects[0]].Open(context.Background(), c)
	if err != nil {
		return served{err: err}
	}
	defer reply.Close()
	steps, err := read(reply)
	for _, c := range steps {
		s.text, s.id = s.text+c.Text, s.id+c.ID
		if c.Finish != "" {
			s.finish = c.Finish
		}
	}
	s.usage, s.final = reply.Usage()
	s.err = err
	return s
}

var models = map[string]ledger.Model{
	"openai":    {Name: "openai/gpt-6-luna", ID: "gpt-6-luna", Features: []string{ledger.FeatureChat, ledger.FeatureReasoning}},
	"anthropic": {Name: "anthropic/claude-haiku-5-5", ID: "claude-haiku-5-5", Features: []string{ledger.FeatureChat, ledger.FeatureReasoning}},
	"google":    {Name: "google/gemini-3.5-flash-lite", ID: "gemini-3.5-flash-lite", Features: []string{ledger.FeatureChat, ledger.FeatureReasoning, ledger.FeatureSampling}},
}

// The sandbox's account of each call, kept in its own words, and ours of its answer agree.
func TestSandboxAgrees(t *testing.T) {
	box := sandbox.New(sandbox.Options{})
	s := httptest.NewServer(box)
	defer s.Close()
	for _, provider := range []string{"openai", "anthropic", "google"} {
		for _, stream := range []bool{false, true} {
			for _, prompt := range []string{
				"Hello there",
				"[[sandbox output=60 reasoning=40 input=900 cached=600 chunks=5 extras pings]]",
				"[[sandbox say=\"Grüße, 世界 👋\\n\\\"quoted\\\"\" split=utf8 crlf]]",
				"[[sandbox output=900 input=30]]",
				"[[sandbox split=3 output=20]]",
			} {
				if !stream && strings.Contains(prompt, "crlf") {
					prompt = strings.Replace(strings.Replace(prompt, " crlf", "", 1), " split=utf8", "", 1)
				}
				if !stream {
					prompt = strings.NewReplacer(" chunks=5", "", " pings", "", "split=3 ", "").Replace(prompt)
				}
				got := through(t, provider, sandbox.BaseURL(s.URL, provider), "sk-good", prompt, stream)
				calls := box.Calls()
				record := calls[len(calls)-1]
				if got.err != io.EOF || record.Outcome != sandbox.Completed {
					t.Errorf("%s, stream %t, %s: %v, %s", provider, stream, prompt, got.err, record.Outcome)
					continue
				}
				want := ledger.Usage{
					Input:     int64(record.Tokens.Input),
					CacheRead: int64(record.Tokens.CacheRead),
					Output:    int64(record.Tokens.Output),
					Reasoning: int64(record.Tokens.Reasoning),
				}
				if got.usage != want || !got.final || got.id != record.AnswerID || record.Attempt != "req-"+provider+".1" {
					t.Errorf("%s, stream %t, %s: %+v, the sandbox has %+v", provider, stream, prompt, got, record)
				}
				if got.text == "" {
					t.Errorf("%s, stream %t, %s: no text", provider, stream, prompt)
				}
			}
		}
	}
}

func TestSandboxFaults(t *testing.T) {
	box := sandbox.New(sandbox.Options{})
	s := httptest.NewServer(box)
	defer s.Close()
	classes := map[sandbox.Failure]router.Class{
		sandbox.RateLimited: router.ClassRateLimited, sandbox.Overloaded: router.ClassOverloaded,
		sandbox.ServerError: router.ClassServerError, sandbox.Timeout: router.ClassTimeout,
		sandbox.BadGateway: router.ClassServerError, sandbox.BadRequest: router.ClassBadRequest,
		sandbox.InvalidKey: router.ClassCredential, sandbox.OutOfCredit: router.ClassCredential,
		sandbox.SpendLimit: router.ClassCredential, sandbox.Forbidden: router.ClassCredential,
		sandbox.NotFound: router.ClassNotFound, sandbox.Conflict: router.ClassServerError,
		sandbox.TooLarge: router.ClassBadRequest, sandbox.ContextLength: router.ClassBadRequest,
	}
	for _, provider := range []string{"openai", "anthropic", "google"} {
		base := sandbox.BaseURL(s.URL, provider)
		for kind, class := range classes {
			for _, stream := range []bool{false, true} {
				got := through(t, provider, base, "sk-sandbox-fail-"+string(kind), "Hello", stream)
				if e := failure(t, got.err); e.Class != class {
					t.Errorf("%s %s, stream %t: %+v, want %s", provider, kind, stream, e, class)
				}
			}
		}
		for _, place := range []string{"first", "1", "content", "end", "last"} {
			for _, fault := range []string{"cut", "truncate"} {
				got := through(t, provider, base, "sk-good", fmt.Sprintf("[[sandbox %s=%s output=40 chunks=4]]", fault, place), true)
				if provider == "google" && fault == "truncate" && place == "last" {
					if got.err != io.EOF { // there is no terminator to leave out
						t.Errorf("%s %s at %s: %v", provider, fault, place, got.err)
					}
					continue
				}
				if e := failure(t, got.err); e.Class != router.ClassConnection {
					t.Errorf("%s %s at %s: %v", provider, fault, place, e)
				}
			}
		}
		for _, at := range []string{"first", "2"} {
			got := through(t, provider, base, "sk-good", "[[sandbox fail=overloaded fail_at="+at+" output=40 chunks=4]]", true)
			if e := failure(t, got.err); e.Class != router.ClassOverloaded {
				t.Errorf("%s overloaded at %s: %+v", provider, at, e)
			}
		}
		if got := through(t, provider, base, "sk-good", "[[sandbox retry_after=7s fail=rate_limited]]", true); failure(t, got.err).RetryAfter != 7*time.Second {
			t.Errorf("%s: %v", provider, got.err)
		}
		if got := through(t, provider, base, "sk-good", "[[sandbox no_usage]]", true); got.err != io.EOF || got.final {
			t.Errorf("%s without usage: %+v", provider, got)
		}
		for _, verdict := range []string{"refusal", "filtered", "blocked"} {
			got := through(t, provider, base, "sk-good", "[[sandbox verdict="+verdict+"]]", true)
			switch {
			case provider == "openai" && verdict == "blocked":
				if e := failure(t, got.err); e.Class != router.ClassBadRequest {
					t.Errorf("%s blocked: %v", provider, e)
				}
			case provider == "openai" && verdict == "refusal":
				if got.err != io.EOF || got.finish != router.FinishStop {
					t.Errorf("%s refused: %+v", provider, got)
				}
			case got.err != io.EOF || got.finish != router.FinishFiltered || !got.final:
				t.Errorf("%s %s: %+v", provider, verdict, got)
			}
		}
	}
}
