package http_test

import (
	"net/http"
	"strings"
	"testing"
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
