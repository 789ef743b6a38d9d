package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"waybill/router/sandbox"
)

// errorStatus is each failure's status by provider, in the order of providers, and the
// path and value that tell it apart in each body.
var errorStatus = []struct {
	kind   sandbox.Failure
	status [3]int
	code   string // OpenAI's error.code
	class  string // Anthropic's error.type
	rpc    string // Gemini's error.status
}{
	{sandbox.RateLimited, [3]int{429, 429, 429}, "rate_limit_exceeded", "rate_limit_error", "RESOURCE_EXHAUSTED"},
	{sandbox.Overloaded, [3]int{503, 529, 503}, "server_is_overloaded", "overloaded_error", "UNAVAILABLE"},
	{sandbox.ServerError, [3]int{500, 500, 500}, "", "api_error", "INTERNAL"},
	{sandbox.Timeout, [3]int{408, 504, 504}, "request_timeout", "timeout_error", "DEADLINE_EXCEEDED"},
	{sandbox.BadRequest, [3]int{400, 400, 400}, "invalid_value", "invalid_request_error", "INVALID_ARGUMENT"},
	{sandbox.InvalidKey, [3]int{401, 401, 400}, "invalid_api_key", "authentication_error", "INVALID_ARGUMENT"},
	{sandbox.OutOfCredit, [3]int{429, 402, 429}, "credit_balance_exhausted", "billing_error", "RESOURCE_EXHAUSTED"},
	{sandbox.SpendLimit, [3]int{429, 400, 429}, "organization_spend_limit_exceeded", "invalid_request_error", "RESOURCE_EXHAUSTED"},
	{sandbox.Forbidden, [3]int{403, 403, 403}, "unsupported_country_region_territory", "permission_error", "PERMISSION_DENIED"},
	{sandbox.NotFound, [3]int{404, 404, 404}, "model_not_found", "not_found_error", "NOT_FOUND"},
	{sandbox.Conflict, [3]int{409, 409, 409}, "conflict", "conflict_error", "ABORTED"},
	{sandbox.TooLarge, [3]int{413, 413, 400}, "request_too_large", "request_too_large", "INVALID_ARGUMENT"},
	{sandbox.ContextLength, [3]int{400, 400, 400}, "context_length_exceeded", "invalid_request_error", "INVALID_ARGUMENT"},
}

// checkError checks an error object as its provider sends it.
func checkError(t *testing.T, provider string, v gjson.Result, i int) {
	t.Helper()
	row := errorStatus[i]
	got, want := v.Get("error.code").Str, row.code
	switch provider {
	case sandbox.Anthropic:
		got, want = v.Get("error.type").Str, row.class
		if v.Get("type").Str != "error" || v.Get("request_id").Str == "" {
			t.Errorf("%s: %s", row.kind, v.Raw)
		}
	case sandbox.Google:
		got, want = v.Get("error.status").Str, row.rpc
		if v.Get("error.code").Int() != int64(row.status[2]) {
			t.Errorf("%s: %s", row.kind, v.Raw)
		}
	}
	if got != want || v.Get("error.message").Str == "" || strings.Contains(v.Raw, "{model}") {
		t.Errorf("%s: %s", row.kind, v.Raw)
	}
}

func TestFailures(t *testing.T) {
	each(t, func(t *testing.T, provider string, stream bool) {
		c := start(t, sandbox.Options{})
		at := slices.Index(providers, provider)
		for i, row := range errorStatus {
			r := c.ask(provider, fmt.Sprintf("[[sandbox fail=%s]] go", row.kind), stream, "")
			if r.status != row.status[at] {
				t.Errorf("%s: status %d: %s", row.kind, r.status, r.body)
			}
			checkError(t, provider, gjson.Parse(r.body), i)
			calls := c.box.Calls()
			last := calls[len(calls)-1]
			if last.Outcome != sandbox.Failed(row.kind) || last.Status != r.status || last.Tokens != (sandbox.Tokens{}) || last.Finish != "" || last.AnswerID != "" {
				t.Errorf("record %+v", last)
			}
			if !stream {
				continue
			}
			r = c.ask(provider, fmt.Sprintf("[[sandbox fail=%s fail_at=first]] go", row.kind), stream, "")
			if all, _ := events(t, r.body); r.status != 200 || len(all) != 1 {
				t.Errorf("%s in the first frame: %d %s", row.kind, r.status, r.body)
			} else {
				checkError(t, provider, gjson.Parse(all[0].data), i)
			}
		}
	})
}

func TestProxyPage(t *testing.T) {
	c := start(t, sandbox.Options{})
	for _, provider := range providers {
		r := c.ask(provider, "[[sandbox fail=bad_gateway]]", true, "")
		if r.status != 502 || r.header.Get("Content-Type") != "text/html" || !strings.HasPrefix(r.body, "<html>") {
			t.Errorf("%s: %d %s", provider, r.status, r.body)
		}
	}
}

func TestRetryHints(t *testing.T) {
	c := start(t, sandbox.Options{})
	for _, test := range []struct{ words, after, ms, delay string }{
		{"fail=rate_limited", "1", "", "1s"},
		{"fail=overloaded retry_after=20ms", "1", "20", "0.02s"},
		{"fail=overloaded retry_after=34s", "34", "", "34s"},
		{"fail=overloaded", "", "", ""},
	} {
		for _, provider := range providers {
			r := c.ask(provider, "[[sandbox "+test.words+"]]", false, "")
			if provider == sandbox.Google {
				if got := r.get(`error.details.#(@type%"*RetryInfo").retryDelay`).Str; got != test.delay {
					t.Errorf("%s: %s", test.words, r.body)
				}
				continue
			}
			if r.header.Get("Retry-After") != test.after || r.header.Get("Retry-After-Ms") != test.ms {
				t.Errorf("%s at %s: %v", test.words, provider, r.header)
			}
		}
	}
}

func TestPlaces(t *testing.T) {
	each(t, func(t *testing.T, provider string, stream bool) {
		if !stream {
			return
		}
		content := 6
		if provider == sandbox.Google {
			content-- // the last text comes with the finish reason
		}
		for place, want := range map[string]struct {
			frames        int
			finish, begun bool
		}{
			"first": {0, false, false}, "0": {0, false, true}, "2": {2, false, true},
			"content": {content / 2, false, true}, "end": {content, false, true}, "last": {6, true, true},
		} {
			for _, fault := range []string{"fail=server_error fail_at=", "cut=", "truncate="} {
				c := start(t, sandbox.Options{})
				r := c.ask(provider, "[[sandbox chunks=6 output=60 "+fault+place+"]] places", stream, "")
				got := r.understand(t, provider, stream)
				call := c.calls(1)[0]
				name := fault + place
				if r.status != 200 || got.frames != want.frames || (got.finish != "") != want.finish || got.terminated {
					t.Errorf("%s: status %d, %d frames, finish %q, terminated %t", name, r.status, got.frames, got.finish, got.terminated)
				}
				if (r.err != nil) != strings.HasPrefix(fault, "cut") {
					t.Errorf("%s: the body ended with %v", name, r.err)
				}
				outcome := map[string]sandbox.Outcome{"fail": "failed:server_error", "cut=": sandbox.Cut, "trun": sandbox.Truncated}[fault[:4]]
				if call.Outcome != outcome || (call.Finish != "") != want.finish || (call.Tokens.Input > 0) != want.begun || (call.AnswerID != "") != want.begun {
					t.Errorf("%s: record %+v", name, call)
				}
				if output := sandbox.CountTokens(got.text); call.Tokens.Output != output {
					t.Errorf("%s: text of %d tokens, record says %d", name, output, call.Tokens.Output)
				}
			}
		}
	})
}

func TestUnaryPlaces(t *testing.T) {
	for _, provider := range providers {
		whole := len(start(t, sandbox.Options{}).ask(provider, "[[sandbox truncate=last]] unary", false, "").body)
		for place, size := range map[string]int{"first": 0, "0": 0, "1": whole / 2, "content": whole / 2, "end": whole - 1, "last": whole} {
			for _, fault := range []string{"cut", "truncate"} {
				c := start(t, sandbox.Options{})
				r := c.ask(provider, "[[sandbox "+fault+"="+place+"]] unary", false, "")
				if r.status != 200 || len(r.body) != size || (r.err != nil) != (fault == "cut" && place != "last") {
					t.Errorf("%s %s=%s: status %d, %d of %d bytes, %v", provider, fault, place, r.status, len(r.body), size, r.err)
				}
				if call := c.calls(1)[0]; (call.Finish == "") == (place == "last") || call.Tokens.Output == 0 {
					t.Errorf("%s %s=%s: record %+v", provider, fault, place, call)
				}
			}
		}
		c := start(t, sandbox.Options{})
		if r := c.ask(provider, "[[sandbox cut=headers]]", false, ""); r.err == nil || r.status != 0 {
			t.Errorf("%s: %+v", provider, r)
		}
		if call := c.calls(1)[0]; call.Outcome != sandbox.Cut || call.Status != 0 || call.Tokens != (sandbox.Tokens{}) {
			t.Errorf("record %+v", call)
		}
		if r := c.ask(provider, "[[sandbox fail=overloaded fail_at=content]]", false, ""); r.status < 500 {
			t.Errorf("%s: a failure of a unary answer is its status: %+v", provider, r)
		}
	}
}

func TestHang(t *testing.T) {
	each(t, func(t *testing.T, provider string, stream bool) {
		for _, place := range []string{"headers", "first", "content", "end", "last"} {
			c := start(t, sandbox.Options{})
			done := make(chan reply)
			go func() { done <- c.ask(provider, "[[sandbox hang="+place+"]] wait", stream, "") }()
			c.until(func(calls []sandbox.Call) bool { return len(calls) == 1 && calls[0].Outcome == sandbox.Hung })
			if stream || place != "last" { // a unary body is whole by then
				select {
				case r := <-done:
					t.Fatalf("%s: did not hang: %+v", place, r)
				default:
				}
			}
			if n := c.box.Release("someone.else"); n != 0 {
				t.Errorf("%s: released %d calls of another attempt", place, n)
			}
			if n := c.box.Release("req.1"); n != 1 {
				t.Errorf("%s: released %d calls", place, n)
			}
			r := <-done
			if got := r.understand(t, provider, stream); got.text != sandbox.Answer("wait", 0) || got.finish != finishes[provider][0] {
				t.Errorf("%s: %+v", place, got)
			}
			c.calls(1)
		}
	})
}

func TestHangUntilTheClientLeaves(t *testing.T) {
	each(t, func(t *testing.T, provider string, stream bool) {
		c := start(t, sandbox.Options{})
		ctx, leave := context.WithCancel(t.Context())
		done := make(chan reply)
		go func() {
			done <- c.do(c.request(provider, stream, body(provider, "[[sandbox hang=headers]] wait", stream, "")).WithContext(ctx))
		}()
		c.until(func(calls []sandbox.Call) bool { return len(calls) == 1 && calls[0].Outcome == sandbox.Hung })
		leave()
		if r := <-done; !errors.Is(r.err, context.Canceled) {
			t.Errorf("%+v", r)
		}
		if call := c.calls(1)[0]; call.Outcome != sandbox.Hung || call.Status != 0 {
			t.Errorf("record %+v", call)
		}
	})
}

func TestClientGone(t *testing.T) {
	for _, provider := range providers {
		slept := make(chan struct{}, 100)
		c := start(t, sandbox.Options{Sleep: func(ctx context.Context, d time.Duration) error {
			slept <- struct{}{}
			if len(slept) < 4 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}})
		ctx, leave := context.WithCancel(t.Context())
		done := make(chan reply)
		go func() {
			done <- c.do(c.request(provider, true, body(provider, "[[sandbox output=100 chunks=10 delay=1s]] drip", true, "")).WithContext(ctx))
		}()
		c.until(func([]sandbox.Call) bool { return len(slept) == 4 })
		leave()
		<-done
		call := c.calls(1)[0]
		if call.Outcome != sandbox.Gone || call.Finish != "" || call.Tokens.Output != 30 || call.Tokens.Input == 0 {
			t.Errorf("%s: record %+v", provider, call)
		}
	}
}

func TestDelays(t *testing.T) {
	var mu sync.Mutex
	var slept []time.Duration
	c := start(t, sandbox.Options{Sleep: func(_ context.Context, d time.Duration) error {
		mu.Lock()
		defer mu.Unlock()
		slept = append(slept, d)
		return nil
	}})
	c.ask(sandbox.OpenAI, "[[sandbox latency=70ms delay=5ms chunks=3]]", true, "")
	if want := []time.Duration{70e6, 5e6, 5e6, 5e6}; !slices.Equal(slept, want) {
		t.Errorf("slept %v", slept)
	}
	slept = nil
	c.ask(sandbox.OpenAI, "[[sandbox latency=70ms delay=5ms chunks=3]]", false, "")
	if !slices.Equal(slept, []time.Duration{70e6}) {
		t.Errorf("unary slept %v", slept)
	}
}

func TestVerdicts(t *testing.T) {
	each(t, func(t *testing.T, provider string, stream bool) {
		c := start(t, sandbox.Options{})
		refusal := c.ask(provider, "[[sandbox verdict=refusal]]", stream, "")
		filtered := c.ask(provider, "[[sandbox verdict=filtered]] half", stream, "").understand(t, provider, stream)
		blocked := c.ask(provider, "[[sandbox verdict=blocked]]", stream, "")
		got := refusal.understand(t, provider, stream)
		switch provider {
		case sandbox.OpenAI:
			if got.text != "" || got.finish != "stop" || !strings.Contains(refusal.body, `"refusal":"I cannot`) {
				t.Errorf("refusal: %s", refusal.body)
			}
			if filtered.finish != "content_filter" {
				t.Errorf("filtered: %+v", filtered)
			}
			if blocked.status != 400 || blocked.get("error.code").Str != "invalid_prompt" {
				t.Errorf("blocked: %s", blocked.body)
			}
		case sandbox.Anthropic:
			if got.finish != "refusal" || !strings.Contains(refusal.body, `"stop_details":{"type":"refusal"`) || filtered.finish != "refusal" {
				t.Errorf("refusal: %s", refusal.body)
			}
			if b := blocked.understand(t, provider, stream); b.text != "" || b.finish != "refusal" {
				t.Errorf("blocked: %s", blocked.body)
			}
		case sandbox.Google:
			if got.text != "" || got.finish != "SAFETY" || strings.Contains(refusal.body, `"parts"`) || filtered.finish != "SAFETY" {
				t.Errorf("refusal: %s", refusal.body)
			}
			if blocked.status != 200 || !strings.Contains(blocked.body, `"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"}`) || strings.Contains(blocked.body, "candidates\"") {
				t.Errorf("blocked: %s", blocked.body)
			}
		}
		if answer := sandbox.Answer("half", 0); filtered.text == "" || !strings.HasPrefix(answer, filtered.text) || filtered.text == answer {
			t.Errorf("filtered: %q", filtered.text)
		}
	})
}

func TestDirectiveErrors(t *testing.T) {
	each(t, func(t *testing.T, provider string, stream bool) {
		c := start(t, sandbox.Options{})
		for _, bad := range []string{
			"[[sandbox nonsense]]", "[[sandbox output]]", "[[sandbox output=many]]", "[[sandbox output=-1]]", "[[sandbox output=0]]",
			"[[sandbox output=99999999999]]", "[[sandbox output=5 output=6]]", "[[sandbox crlf=yes]]", "[[sandbox delay=5]]", "[[sandbox delay=1h]]",
			"[[sandbox fail=nothing]]", "[[sandbox fail=missing_key]]", "[[sandbox fail_at=first]]", "[[sandbox retry_after=1s]]", "[[sandbox fail=overloaded fail_at=moon]]",
			"[[sandbox fail=overloaded fail_at]]", "[[sandbox cut=99]]", "[[sandbox cut=-1]]", "[[sandbox split=0]]", "[[sandbox verdict=guilty]]",
			"[[sandbox chunks=3 chunk_bytes=3]]", `[[sandbox say="x" output=3]]`, `[[sandbox say="x]]`, `[[sandbox say="x"y]]`, `[[sandbox say=]]`,
			"[[sandbox cached=100]]", "[[sandboxoutput=3]]", "[[sandbox output=3", "[[sandbox]] [[sandbox]]", "[[sandbox =3]]",
		} {
			r := c.ask(provider, bad+" words", stream, "")
			message := r.get("error.message").Str
			if r.status != 400 || !strings.HasPrefix(message, "sandbox: ") {
				t.Errorf("%s: %d %s", bad, r.status, r.body)
			}
		}
		for _, call := range c.box.Calls() {
			if call.Outcome != "failed:bad_directive" {
				t.Errorf("record %+v", call)
			}
		}
		if r := c.ask(provider, "[[sandbox]] words", stream, ""); r.status != 200 {
			t.Errorf("an empty directive: %s", r.body)
		}
	})
}

func TestScripts(t *testing.T) {
	c := start(t, sandbox.Options{})
	statuses := func(provider string, n int) (got []int) {
		for range n {
			got = append(got, c.ask(provider, "hello", false, "").status)
		}
		return got
	}
	c.box.Script(sandbox.OpenAI, "", sandbox.Script{Fail: sandbox.Overloaded, Times: 2})
	c.box.Script(sandbox.OpenAI, "", sandbox.Script{Fail: sandbox.RateLimited, Times: 1})
	if got := statuses(sandbox.OpenAI, 4); !slices.Equal(got, []int{503, 503, 429, 200}) {
		t.Errorf("a sequence: %v", got)
	}
	if got := statuses(sandbox.Google, 1); got[0] != 200 {
		t.Errorf("another provider: %v", got)
	}
	remove := c.box.Script(sandbox.Anthropic, models[sandbox.Anthropic], sandbox.Script{Fail: sandbox.Overloaded})
	c.box.Script(sandbox.Anthropic, "other", sandbox.Script{Fail: sandbox.BadRequest})
	if got := statuses(sandbox.Anthropic, 3); !slices.Equal(got, []int{529, 529, 529}) {
		t.Errorf("always: %v", got)
	}
	if r := c.ask(sandbox.Anthropic, "[[sandbox output=3]]", false, ""); r.status != 200 {
		t.Errorf("a directive overrules a script: %s", r.body)
	}
	remove()
	remove()
	if got := statuses(sandbox.Anthropic, 1); got[0] != 200 {
		t.Errorf("removed: %v", got)
	}
	c.box.Script("", "", sandbox.Script{Key: "another secret", Fail: sandbox.Overloaded})
	if got := statuses(sandbox.Google, 1); got[0] != 200 {
		t.Errorf("another key: %v", got)
	}
	c.box.Script("", "", sandbox.Script{Key: "secret", Cut: sandbox.After(500)})
	if r := c.ask(sandbox.Google, "hello", false, ""); r.status != 400 || !strings.Contains(r.body, "sandbox: place 500 is never reached") {
		t.Errorf("an impossible script: %s", r.body)
	}
}
