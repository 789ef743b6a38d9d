package dialects_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"waybill/ledger"
	"waybill/router"
	"waybill/router/dialects"
)

func openaiError(kind, code string) string {
	return `{"error":{"message":"why","type":"` + kind + `","param":null,"code":"` + code + `"}}`
}

func claudeError(kind, message string) string {
	return `{"type":"error","error":{"type":"` + kind + `","message":"` + message + `"},"request_id":"req_1"}`
}

func gemError(status string, details string) string {
	return `{"error":{"code":400,"message":"why","status":"` + status + `","details":[` + details + `]}}`
}

func TestFailuresAreClassedByCode(t *testing.T) {
	tests := []struct {
		dialect ledger.Dialect
		status  int
		body    string
		class   router.Class
		code    string
	}{
		{chat, 400, openaiError("invalid_request_error", "context_length_exceeded"), router.ClassBadRequest, "context_length_exceeded"},
		{chat, 400, `{"error":{"message":"why","type":"invalid_request_error","param":"n","code":null}}`, router.ClassBadRequest, "invalid_request_error"},
		{chat, 401, openaiError("invalid_request_error", "invalid_api_key"), router.ClassCredential, "invalid_api_key"},
		{chat, 403, openaiError("invalid_request_error", "unsupported_country_region_territory"), router.ClassCredential, "unsupported_country_region_territory"},
		{chat, 404, openaiError("invalid_request_error", "model_not_found"), router.ClassNotFound, "model_not_found"},
		{chat, 408, `{}`, router.ClassTimeout, ""},
		{chat, 409, `{}`, router.ClassServerError, ""},
		{chat, 413, `{}`, router.ClassBadRequest, ""},
		{chat, 425, `{}`, router.ClassServerError, ""},
		{chat, 429, openaiError("requests", "rate_limit_exceeded"), router.ClassRateLimited, "rate_limit_exceeded"},
		{chat, 429, openaiError("tokens", "slow_down"), router.ClassRateLimited, "slow_down"},
		{chat, 429, openaiError("insufficient_quota", "insufficient_quota"), router.ClassCredential, "insufficient_quota"},
		{chat, 429, openaiError("insufficient_quota", "credit_balance_exhausted"), router.ClassCredential, "credit_balance_exhausted"},
		{chat, 429, openaiError("insufficient_quota", "something_new"), router.ClassCredential, "something_new"},
		{chat, 429, openaiError("", "project_spend_limit_exceeded"), router.ClassCredential, "project_spend_limit_exceeded"},
		{chat, 500, openaiError("server_error", ""), router.ClassServerError, "server_error"},
		{chat, 503, openaiError("server_error", "server_is_overloaded"), router.ClassOverloaded, "server_is_overloaded"},
		{chat, 504, "upstream request timeout", router.ClassTimeout, ""},
		{chat, 302, "", router.ClassServerError, ""},

		{claude, 400, claudeError("invalid_request_error", "max_tokens: required"), router.ClassBadRequest, "invalid_request_error"},
		{claude, 400, claudeError("invalid_request_error", "You have reached your specified API usage limits. You will regain access on 2026-12-01."), router.ClassCredential, "invalid_request_error"},
		{claude, 400, claudeError("invalid_request_error", "You have reached your specified workspace API usage limits."), router.ClassCredential, "invalid_request_error"},
		{claude, 400, claudeError("invalid_request_error", "Your credit balance is too low to access the Anthropic API."), router.ClassCredential, "invalid_request_error"},
		{claude, 401, claudeError("authentication_error", "invalid x-api-key"), router.ClassCredential, "authentication_error"},
		{claude, 402, claudeError("billing_error", "why"), router.ClassCredential, "billing_error"},
		{claude, 403, claudeError("permission_error", "why"), router.ClassCredential, "permission_error"},
		{claude, 404, claudeError("not_found_error", "model: x"), router.ClassNotFound, "not_found_error"},
		{claude, 409, claudeError("conflict_error", "why"), router.ClassServerError, "conflict_error"},
		{claude, 413, claudeError("request_too_large", "why"), router.ClassBadRequest, "request_too_large"},
		{claude, 429, claudeError("rate_limit_error", "This request would exceed your rate limit"), router.ClassRateLimited, "rate_limit_error"},
		{claude, 429, claudeError("rate_limit_error", "Your workspace's spend limit was reached"), router.ClassCredential, "rate_limit_error"},
		{claude, 500, claudeError("api_error", "why"), router.ClassServerError, "api_error"},
		{claude, 504, claudeError("timeout_error", "why"), router.ClassTimeout, "timeout_error"},
		{claude, 529, claudeError("overloaded_error", "Overloaded"), router.ClassOverloaded, "overloaded_error"},
		{claude, 529, "", router.ClassOverloaded, ""},

		{gem, 400, gemError("INVALID_ARGUMENT", ""), router.ClassBadRequest, "INVALID_ARGUMENT"},
		{gem, 400, gemError("INVALID_ARGUMENT", `{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}`), router.ClassCredential, "API_KEY_INVALID"},
		{gem, 400, gemError("FAILED_PRECONDITION", ""), router.ClassCredential, "FAILED_PRECONDITION"},
		{gem, 403, gemError("PERMISSION_DENIED", `{"reason":"SERVICE_DISABLED"}`), router.ClassCredential, "SERVICE_DISABLED"},
		{gem, 404, gemError("NOT_FOUND", ""), router.ClassNotFound, "NOT_FOUND"},
		{gem, 409, gemError("ABORTED", ""), router.ClassServerError, "ABORTED"},
		{gem, 429, gemError("RESOURCE_EXHAUSTED", `{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerMinutePerProjectPerModel"}]}`), router.ClassRateLimited, "RESOURCE_EXHAUSTED"},
		{gem, 429, gemError("RESOURCE_EXHAUSTED", `{"violations":[{"quotaId":"GenerateRequestsPerDayPerProjectPerModel"}]}`), router.ClassCredential, "RESOURCE_EXHAUSTED"},
		{gem, 429, `[{"error":{"code":429,"message":"Your project has exceeded its monthly spending cap.","status":"RESOURCE_EXHAUSTED"}}]`, router.ClassCredential, "RESOURCE_EXHAUSTED"},
		{gem, 500, gemError("INTERNAL", ""), router.ClassServerError, "INTERNAL"},
		{gem, 503, gemError("UNAVAILABLE", ""), router.ClassOverloaded, "UNAVAILABLE"},
		{gem, 504, gemError("DEADLINE_EXCEEDED", ""), router.ClassTimeout, "DEADLINE_EXCEEDED"},
		{gem, 502, "<html>Bad Gateway</html>", router.ClassServerError, ""},
	}
	for _, tt := range tests {
		base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(tt.status)
			w.Write([]byte(tt.body))
		})
		for _, stream := range []bool{false, true} {
			reply, err := dialects.Upstreams[tt.dialect].Open(context.Background(), call(hello(t, stream), base))
			if err == nil {
				reply.Close()
				t.Fatalf("%s %d %s was taken for an answer", tt.dialect, tt.status, tt.body)
			}
			if e := failure(t, err); e.Class != tt.class || e.Code != tt.code || e.Status != tt.status || e.Message == "" {
				t.Errorf("%s %d %s: %+v, want %s %q", tt.dialect, tt.status, tt.body, e, tt.class, tt.code)
			}
		}
	}
}

// An error that comes with a 200, as the first frame, after content, or as a body, is the call's failure.
func TestFailuresInsideAnswers(t *testing.T) {
	tests := []struct {
		dialect ledger.Dialect
		before  string
		err     string
		class   router.Class
	}{
		{chat, `data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}`, openaiError("server_error", ""), router.ClassServerError},
		{chat, ": wait", openaiError("rate_limit_error", "rate_limit_exceeded"), router.ClassRateLimited},
		{chat, ": wait", openaiError("invalid_request_error", "odd"), router.ClassBadRequest},
		{chat, ": wait", `{"error":"out of memory"}`, router.ClassServerError},
		{claude, "event: ping\ndata: {\"type\":\"ping\"}", claudeError("overloaded_error", "Overloaded"), router.ClassOverloaded},
		{gem, `data: {"candidates":[{"content":{"parts":[{"text":"a"}]}}]}`, `{"error":{"code":503,"message":"why","status":"UNAVAILABLE"}}`, router.ClassOverloaded},
		{gem, `data: {"candidates":[{"content":{"parts":[{"text":"a"}]}}]}`, `{"error":{"code":429,"message":"why"}}`, router.ClassRateLimited},
		{gem, `data: {"candidates":[]}`, `{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL","finishMessage":"call:f("}],"usageMetadata":{"promptTokenCount":3}}`, router.ClassServerError},
		{gem, `data: {"candidates":[]}`, `{"candidates":[{"finishReason":"UNEXPECTED_TOOL_CALL"}]}`, router.ClassServerError},
	}
	for _, tt := range tests {
		frame := "data: " + tt.err + "\n\n"
		for i, body := range []string{frame, tt.before + "\n\n" + frame} {
			reply := open(t, tt.dialect, call(hello(t, true), fixed(t, "text/event-stream", []byte(body))))
			steps, err := read(reply)
			if e := failure(t, err); e.Class != tt.class || e.Status != 200 || len(steps) != i {
				t.Errorf("%s %q: %+v after %d steps", tt.dialect, body, e, len(steps))
			}
		}
		reply := open(t, tt.dialect, call(hello(t, false), fixed(t, "application/json", []byte(tt.err))))
		if _, err := read(reply); failure(t, err).Class != tt.class {
			t.Errorf("%s unary %q: %v", tt.dialect, tt.err, err)
		}
		_, err := dialects.Upstreams[tt.dialect].Open(context.Background(), call(hello(t, true), fixed(t, "application/json", []byte(tt.err))))
		if e := failure(t, err); e.Status != 200 {
			t.Errorf("%s JSON in place of a stream: %+v", tt.dialect, e)
		}
	}
	_, err := dialects.Upstreams[chat].Open(context.Background(), call(hello(t, true), fixed(t, "application/json", []byte(`{"choices":[]}`))))
	if e := failure(t, err); e.Class != router.ClassServerError || e.Message != "a JSON body came in place of a stream" {
		t.Errorf("an answer in place of a stream: %+v", e)
	}
}

func TestUnreadableAnswers(t *testing.T) {
	deep := strings.Repeat("[", 1000) + strings.Repeat("]", 1000)
	for _, d := range []ledger.Dialect{chat, claude, gem} {
		for _, body := range []string{"null", "[]", "{}", "7", "<html>", "", "\xff\xfe", deep, `{"choices":[{"index":-1}],"candidates":[{"index":1e9}],"type":7}`} {
			reply := open(t, d, call(hello(t, false), fixed(t, "application/json", []byte(body))))
			if _, err := read(reply); failure(t, err).Class == "" {
				t.Errorf("%s unary %.20q: no class", d, body)
			}
			reply = open(t, d, call(hello(t, true), fixed(t, "text/event-stream", []byte("data: "+body+"\n\n"))))
			if _, err := read(reply); failure(t, err).Class == "" {
				t.Errorf("%s stream %.20q: no class", d, body)
			}
		}
	}
}

// The credential does not come back out, however an upstream echoes it, and what comes out is short text.
func TestFailuresArePresentable(t *testing.T) {
	const secret = "sk-secret-0123"
	long := strings.Repeat("é", 1000)
	for _, tt := range []struct{ body, stream string }{
		{openaiError("x", "bad "+secret), ""},
		{`{"error":{"message":"key sk-secret-0123 \u0000\n is bad, ` + long + `","code":"c"}}`, ""},
		{"<p>key " + secret + "</p>\xff" + long, ""},
		{"", "data: " + `{"error":{"message":"key sk-secret-0123 is bad"}}` + "\n\n"},
	} {
		base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			if tt.stream != "" {
				w.Header().Set("Content-Type", "text/event-stream")
				w.Write([]byte(tt.stream))
				return
			}
			w.WriteHeader(400)
			w.Write([]byte(tt.body))
		})
		reply, err := dialects.Upstreams[chat].Open(context.Background(), call(hello(t, true), base))
		if err == nil {
			_, err = read(reply)
			reply.Close()
		}
		e := failure(t, err)
		if said := e.Error(); strings.Contains(said, secret) || !strings.Contains(said, "[redacted]") {
			t.Errorf("says %q", said)
		}
		if len(e.Message) > 500 || !utf8.ValidString(e.Message) || strings.ContainsAny(e.Message, "\n\x00") {
			t.Errorf("message of %d bytes: %q", len(e.Message), e.Message)
		}
	}
}

func TestRetryHints(t *testing.T) {
	date := func(d time.Duration) string { return time.Unix(1764000000, 0).UTC().Add(d).Format(http.TimeFormat) }
	for _, tt := range []struct {
		header http.Header
		want   time.Duration
	}{
		{http.Header{"Retry-After": {"7"}}, 7 * time.Second},
		{http.Header{"Retry-After": {"1.5"}}, 1500 * time.Millisecond},
		{http.Header{"Retry-After": {"7"}, "Retry-After-Ms": {"250"}}, 250 * time.Millisecond},
		{http.Header{"Retry-After": {date(9 * time.Second)}, "Date": {date(0)}}, 9 * time.Second},
		{http.Header{"Retry-After": {date(-9 * time.Second)}, "Date": {date(0)}}, 0},
		{http.Header{"Retry-After": {"86400"}}, time.Minute},
		{http.Header{"Retry-After": {"1e300"}}, time.Minute},
		{http.Header{"Retry-After": {"+Inf"}}, time.Minute},
		{http.Header{"Retry-After": {"-5"}}, 0},
		{http.Header{"Retry-After": {"NaN"}}, 0},
		{http.Header{"Retry-After": {"soon"}}, 0},
		{http.Header{}, 0},
	} {
		base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			for name, values := range tt.header {
				w.Header()[name] = values
			}
			w.WriteHeader(429)
		})
		_, err := dialects.Upstreams[chat].Open(context.Background(), call(hello(t, false), base))
		if e := failure(t, err); e.RetryAfter != tt.want {
			t.Errorf("%v: %v, want %v", tt.header, e.RetryAfter, tt.want)
		}
	}
	for delay, want := range map[string]time.Duration{"34s": 34 * time.Second, "45.5s": 45500 * time.Millisecond, "900s": time.Minute, "-3s": 0, "x": 0} {
		body := gemError("RESOURCE_EXHAUSTED", `{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"`+delay+`"}`)
		base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(429)
			w.Write([]byte(body))
		})
		_, err := dialects.Upstreams[gem].Open(context.Background(), call(hello(t, false), base))
		if e := failure(t, err); e.RetryAfter != want || e.Class != router.ClassRateLimited {
			t.Errorf("retryDelay %s: %v, want %v", delay, e.RetryAfter, want)
		}
	}
}
