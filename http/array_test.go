package http_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// Who asks Gemini for a stream that is one JSON array gets errors in one too, whatever refuses the call, and who asks for SSE
// gets them as they are.
func TestErrorsInAnArray(t *testing.T) {
	n := newNode(t, nil)
	_, secret := n.open("acme", "teams")
	const model = "google/gemini-2.5-flash-lite"
	hi := func(words string) string {
		return `{"contents":[{"role":"user","parts":[{"text":"hi ` + words + `"}]}]}`
	}
	// One that is not streamed is an object, and so is what begins an array and breaks off an element of it.
	if a := n.as("").call("POST", "/v1beta/models/"+model+":generateContent", hi("")).want(401); a.get("error.code") != 401.0 {
		t.Errorf("%s", a.body)
	}
	cut := n.as(secret).call("POST", "/v1beta/models/"+luna+":streamGenerateContent", hi("[[sandbox output=40 cut=2]]")).want(200)
	var list []struct{ Error *struct{ Code int } }
	if err := json.Unmarshal(cut.body, &list); err != nil || len(list) < 2 || list[len(list)-1].Error == nil || list[0].Error != nil {
		t.Errorf("%v %s", err, strings.TrimSpace(string(cut.body)))
	}
	for _, tt := range []struct {
		secret, model, body string
		status              int
		code                string
	}{
		{"", model, hi(""), 401, "unknown_key"},
		{secret, model, `{"contents":`, 400, "invalid"},
		{secret, model, `{"contents":[{"role":"user","parts":[{"text":7}]}]}`, 400, "invalid"},
		{secret, "google/gemini-0", hi(""), 404, "unknown_model"},
		{secret, model, hi("[[sandbox fail=overloaded]]"), 502, "upstream_failed"},
		{secret, "anthropic/claude-haiku-5-5", hi("[[sandbox fail=rate_limited]]"), 429, "rate_limited"},
	} {
		for _, query := range []string{"", "?alt=sse"} {
			a := n.as(tt.secret).call("POST", "/v1beta/models/"+tt.model+":streamGenerateContent"+query, tt.body).want(tt.status)
			body := a.body
			if query != "?alt=sse" {
				var list []json.RawMessage
				if err := json.Unmarshal(body, &list); err != nil || len(list) != 1 {
					t.Errorf("%s %d: %s", query, tt.status, body)
					continue
				}
				body = list[0]
			}
			var e struct {
				Error struct {
					Code    int
					Details []struct{ Metadata map[string]string }
				}
			}
			if err := json.Unmarshal(body, &e); err != nil || e.Error.Code != tt.status || e.Error.Details[0].Metadata["code"] != tt.code {
				t.Errorf("%s %d: %s", query, tt.status, a.body)
			}
		}
	}
}
