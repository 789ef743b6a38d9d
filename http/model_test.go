package http_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A list of models comes in the shape of the dialect that asks, page by page where it has pages.
func TestModelListsInEachShape(t *testing.T) {
	n := newNode(t, nil)
	_, secret := n.open("acme", "teams")
	p := n.as(secret)
	var want []string
	for _, m := range p.call("GET", "/v1/models", "").want(200).get("data").([]any) {
		want = append(want, m.(map[string]any)["id"].(string))
	}
	p.header = http.Header{"Anthropic-Version": {"2023-06-01"}}
	var got []string
	for after := ""; ; {
		a := p.call("GET", "/v1/models?limit=7&after_id="+after, "").want(200)
		for _, m := range a.get("data").([]any) {
			got = append(got, m.(map[string]any)["id"].(string))
		}
		if after = a.text("last_id"); a.get("has_more") != true {
			break
		}
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("Anthropic's pages have %v, OpenAI's list %v", got, want)
	}
	if a := p.call("GET", "/v1/models?limit=2&before_id="+want[5], "").want(200); a.text("first_id") != want[3] || a.text("last_id") != want[4] {
		t.Errorf("the page before: %s", a.body)
	}
	if a := p.call("GET", "/v1/models/"+luna, "").want(200); a.text("type") != "model" || a.text("id") != luna {
		t.Errorf("%s", a.body)
	}
	for _, bad := range []string{"limit=0", "limit=1001", "limit=x", "after_id=nobody", "before_id=nobody"} {
		if a := p.call("GET", "/v1/models?"+bad, "").want(400); a.text("error.type") != "invalid_request_error" {
			t.Errorf("%s: %s", bad, a.body)
		}
	}
	p.header = nil
	got = nil
	for token := ""; ; {
		a := p.call("GET", "/v1beta/models?pageSize=7&pageToken="+token, "").want(200)
		for _, m := range a.get("models").([]any) {
			got = append(got, strings.TrimPrefix(m.(map[string]any)["name"].(string), "models/"))
		}
		if token, _ = a.get("nextPageToken").(string); token == "" {
			break
		}
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("Gemini's pages have %v, OpenAI's list %v", got, want)
	}
	if a := p.call("GET", "/v1beta/models/gemini-3.8-flash", "").want(200); a.text("name") != "models/google/gemini-3.8-flash" {
		t.Errorf("%s", a.body)
	}
	if a := p.call("GET", "/v1beta/models?pageToken=%21", "").want(400); a.text("error.status") != "INVALID_ARGUMENT" {
		t.Errorf("%s", a.body)
	}
	p.call("GET", "/v1beta/models/nobody", "").want(404)
}

// Google's own client writes models/ before a name, others write a name with a slash as it is.
func TestGeminiNames(t *testing.T) {
	n := newNode(t, nil)
	_, secret := n.open("acme", "teams")
	for _, name := range []string{"models/" + luna, luna, "models/gpt-6-luna"} {
		a := n.as(secret).call("POST", "/v1beta/"+name+":generateContent", `{"contents":[{"parts":[{"text":"hello"}]}]}`).want(200)
		if a.header.Get("Waybill-Model") != luna {
			t.Errorf("%s: %s", name, a.body)
		}
	}
}

// The lists say, in each dialect's shape, on whose credential a model would be answered now, and since when it fails.
func TestModelListsTellWhatAnswers(t *testing.T) {
	n := newNode(t, nil)
	_, secret := n.open("acme", "teams", "inference", "admin")
	p := n.as(secret)
	answers := func(path, list, name, want string) {
		t.Helper()
		q := p
		if strings.HasPrefix(list, "anthropic") {
			q = p.with("anthropic-version", "2023-06-01")
		}
		m := q.call("GET", path+"/"+name, "").want(200)
		if got := m.text("waybill.credential") + " " + m.text("waybill.state") + " " + m.text("waybill.reason"); strings.TrimSpace(got) != want || (m.get("waybill.since") != nil) != strings.Contains(want, "failing") || m.get("waybill.credential_id") != nil {
			t.Errorf("%s %s: %s, want %s", list, name, m.body, want)
		}
	}
	answers("/v1/models", "openai", luna, "platform ok")
	p.call("POST", "/api/v1/orgs/acme/credentials", `{"provider":"openai","name":"ours","secret":"sk-good"}`).want(201)
	for list, path := range map[string]string{"openai": "/v1/models", "anthropic": "/v1/models", "gemini": "/v1beta/models"} {
		answers(path, list, luna, "byok ok")
		answers(path, list, "anthropic/claude-haiku-5-5", "platform ok")
	}
	id := p.call("GET", "/api/v1/orgs/acme/credentials", "").want(200).text("credentials.0.id")
	p.call("POST", "/api/v1/orgs/acme/credentials/"+id+"/rotate", `{"secret":"sk-sandbox-fail-invalid-key"}`).want(200)
	answers("/v1/models", "openai", luna, "byok failing credential") // which is no reason to use paid capacity
	// Nor is it for the auto lane.
	if a := p.call("GET", "/v1/models", "").want(200); a.text("data.0.id") != "auto" || a.text("data.0.waybill.model") == "" || a.text("data.0.waybill.state") != "failing" {
		t.Errorf("%s", a.body)
	}
	a := p.call("GET", "/api/v1/orgs/acme/models", "").want(200)
	for i := 0; a.text(fmt.Sprintf("models.%d.name", i)) != luna; i++ {
		if a.get(fmt.Sprintf("models.%d", i)) == nil {
			t.Fatalf("%s", a.body)
		}
	}
	n.as(operatorToken).call("POST", "/api/v1/orgs/acme/keys", `{"name":"one","models":["claude-*"]}`).want(201)
	for _, key := range []string{"one", n.keyNamed("one")} {
		a := p.call("GET", "/api/v1/orgs/acme/models?key="+key, "").want(200)
		for _, m := range a.get("models").([]any) {
			if name := m.(map[string]any)["name"].(string); !strings.HasPrefix(name, "anthropic/claude") && name != "auto" {
				t.Errorf("the key reaches %s", name)
			}
		}
	}
	p.call("GET", "/api/v1/orgs/acme/models?key=nobody", "").want(404)
	p.call("GET", "/api/v1/orgs/acme/models?dialect=telex", "").want(400)
}

// The auto lane is as new as the newest of its models and as large as the largest; what has no price is as new as its credential; and
// nothing is from 1970, or takes 0 tokens.
func TestModelListsSayWhatIsSo(t *testing.T) {
	clock := noon()
	n := newNodeAt(t, clock.now, nil)
	_, secret := n.open("acme", "teams", "inference", "admin")
	p, op := n.as(secret), n.as(operatorToken)
	op.call("POST", "/api/v1/models", `{"provider":"openai","upstream_id":"gpt-new","context":1000,"features":["chat"]}`).want(201)
	clock.move(time.Hour)
	p.call("POST", "/api/v1/orgs/acme/credentials", `{"provider":"openai","secret":"sk-own"}`).want(201)
	p.call("PUT", "/api/v1/orgs/acme/policy", `{"aliases":{"cheap":"auto:cost"},"paid_fallback":true}`).want(200)
	model := func(name string) map[string]any {
		a, b, c := p.call("GET", "/v1/models/"+name, "").want(200), p.with("anthropic-version", "2023-06-01").call("GET", "/v1/models/"+name, "").want(200), p.call("GET", "/v1beta/models/"+name, "").want(200)
		at, err := time.Parse(time.RFC3339, b.text("created_at"))
		if err != nil || float64(at.Unix()) != a.get("created") || a.get("created").(float64) < 1.5e9 || b.get("max_input_tokens") != c.get("inputTokenLimit") || b.get("max_tokens") != c.get("outputTokenLimit") ||
			b.get("max_input_tokens") == 0.0 || b.get("max_tokens") == 0.0 || !strings.Contains(string(b.body), `"max_tokens"`) {
			t.Errorf("%s:\n%s\n%s\n%s", name, a.body, b.body, c.body)
		}
		return map[string]any{"created": a.get("created"), "input": b.get("max_input_tokens"), "output": b.get("max_tokens")}
	}
	want := map[string]any{}
	for _, name := range []string{luna, "anthropic/claude-haiku-5-5", "google/gemini-2.5-flash-lite"} {
		for field, n := range model(name) {
			if m, ok := want[field].(float64); !ok || n.(float64) > m {
				want[field] = n
			}
		}
	}
	for _, name := range []string{"auto", "cheap"} {
		if got := model(name); !maps.Equal(got, want) {
			t.Errorf("%s: %v, and its models have %v", name, got, want)
		}
	}
	if got := model("openai/gpt-new"); got["created"] != float64(noon().at.Add(time.Hour).Unix()) || got["input"] != 1000.0 || got["output"] != nil {
		t.Errorf("without a price: %v", got)
	}
}

// What the catalogue shows to a key is what it gets to.
func TestModels(t *testing.T) {
	n := newNode(t, nil)
	_, starter := n.open("small", "starter")
	_, teams := n.open("large", "teams")
	limited := n.as(operatorToken).call("POST", "/api/v1/orgs/large/keys", `{"name":"limited","models":["claude-*"]}`).want(201).text("key")
	list := func(secret string) map[string]bool {
		seen := map[string]bool{}
		var v struct{ Data []struct{ ID, Object string } }
		n.must(json.Unmarshal(n.as(secret).call("GET", "/v1/models", "").want(200).body, &v))
		for _, m := range v.Data {
			seen[m.ID] = m.Object == "model"
		}
		return seen
	}
	if seen := list(starter); len(seen) != 1 || !seen["auto"] {
		t.Errorf("a plan with the auto lane alone shows %v", seen)
	}
	if seen := list(teams); len(seen) < 20 || !seen["auto"] || !seen[luna] {
		t.Errorf("a plan with both lanes shows %v", seen)
	}
	if seen := list(limited); !seen["anthropic/claude-haiku-5-5"] || seen[luna] || !seen["auto"] {
		t.Errorf("a key for claude-* shows %v", seen)
	}
	n.as(operatorToken).call("POST", "/api/v1/orgs/small/credentials", `{"provider":"openai","secret":"sk-own"}`).want(201)
	if seen := list(starter); !seen[luna] || seen["anthropic/claude-haiku-5-5"] {
		t.Errorf("an own credential shows %v", seen)
	}
	for path, status := range map[string]int{"openai/gpt-6-luna": 200, "openai%2Fgpt-6-luna": 200, "gpt-6-luna": 200, "auto": 200, "openai/gpt-0": 404, "anthropic/claude-haiku-5-5": 404} {
		if a := n.as(starter).call("GET", "/v1/models/"+path, "").want(status); status == 404 && a.text("error.code") != "unknown_model" {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	n.as("").call("GET", "/v1/models", "").want(401)
}
