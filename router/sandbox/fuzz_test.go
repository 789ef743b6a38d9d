package sandbox_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"waybill/router/sandbox"
)

// FuzzBodies sends any body to any endpoint: nothing panics, and what is said is JSON or SSE.
func FuzzBodies(f *testing.F) {
	paths := []string{
		"/openai/v1/chat/completions", "/openai/v1/responses", "/openai/v1/responses/input_tokens", "/openai/v1/embeddings",
		"/anthropic/v1/messages", "/anthropic/v1/messages/count_tokens", "/google/v1beta/models/gemini-3.8-flash:generateContent",
		"/google/v1beta/models/m:streamGenerateContent", "/google/v1beta/models/m:countTokens", "/google/v1beta/models/m:embedContent",
		"/google/v1beta/models/m:batchEmbedContents", "/compatible/v1/chat/completions", "/compatible/strict/chat/completions",
	}
	for at, table := range map[int][]strict{0: strictOpenAI, 4: strictAnthropic, 6: strictGemini} {
		for _, test := range table {
			if len(test.body) < 2000 {
				f.Add(uint8(at), test.body)
			}
		}
	}
	f.Add(uint8(1), `{"model":"m","input":[{"role":"user","content":"[[sandbox call=f reasoning=9 extras]]"}],"stream":true,"tools":[{"type":"function","name":"f","strict":null,"parameters":{"type":"object","properties":{"a":{"$ref":"#"}}}}]}`)
	f.Add(uint8(3), `{"model":"m","input":[[1,2],"x"]}`)
	f.Add(uint8(10), `{"requests":[{"model":"models/m","content":{"parts":[{"text":"x"}]}}]}`)
	box := sandbox.New(sandbox.Options{KeepCalls: 10})
	f.Fuzz(func(t *testing.T, at uint8, body string) {
		if strings.Contains(body, "sandbox") && (strings.Contains(body, "hang") || strings.Contains(body, "cut") || strings.Contains(body, "latency") ||
			strings.Contains(body, "delay") || strings.Contains(body, "truncate") || strings.Contains(body, "split")) {
			return // the call would wait or break off, as it says
		}
		r := httptest.NewRequest(http.MethodPost, paths[int(at)%len(paths)], strings.NewReader(body))
		for _, provider := range providers {
			authorise(r, provider, "secret")
		}
		w := httptest.NewRecorder()
		box.ServeHTTP(w, r)
		if got := w.Body.String(); w.Header().Get("Content-Type") == "application/json" && !json.Valid([]byte(got)) {
			t.Errorf("no JSON: %s", got)
		}
	})
}
