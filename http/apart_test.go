package http_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	wbhttp "waybill/http"
	"waybill/ledger"
)

// forger signs whatever it is asked to, so that who may ask is what is tested.
type forger struct{}

func (forger) Checkpoint(context.Context) (wbhttp.Checkpoint, error) {
	return wbhttp.Checkpoint{Note: "a note"}, nil
}

func (forger) Receipt(_ context.Context, recs []ledger.Record) (wbhttp.Receipt, error) {
	b, err := json.Marshal(recs)
	return wbhttp.Receipt{Org: recs[0].Stream, Proofs: []string{string(b)}}, err
}

// secrecy is an org whose every id and word must stay with it.
type secrecy struct {
	id, name     string
	admin        string
	keys, creds  []string
	lots, calls  []string
	canaries     []string // what must be in no answer to another org
	words        string   // what all of its words begin with
	fingerprints []string
}

// secretive opens an org that has something of everything.
func (n *node) secretive(words, amount string) *secrecy {
	n.t.Helper()
	op := n.as(operatorToken)
	s := &secrecy{name: words + "-org", words: words}
	s.id, s.admin = n.open(s.name, "teams", "admin", "inference")
	org := "/api/v1/orgs/" + s.id
	s.keys = append(s.keys, op.call("GET", org+"/keys", "").text("keys.0.id"),
		op.call("POST", org+"/keys", `{"name":"`+words+`-key","models":["`+words+`-*"],"caps":[{"unit":"usd","amount":"`+amount+`","window":"day"}]}`).want(201).text("id"))
	for _, c := range []string{`{"provider":"openai","name":"` + words + `-credential","secret":"sk-` + words + `-secret","use":"fallback"}`,
		`{"provider":"azure","name":"` + words + `-azure","secret":"sk-` + words + `-azure","base_url":"https://` + words + `.example.com/v1"}`} {
		a := op.call("POST", org+"/credentials", c).want(201)
		s.creds, s.fingerprints = append(s.creds, a.text("id")), append(s.fingerprints, a.text("fingerprint"))
	}
	s.lots = append(s.lots, op.call("POST", org+"/credits", `{"kind":"purchase","amount_usd":"25.00","reference":"`+words+`-payment"}`).want(201).text("id"))
	n.as(s.admin).call("PUT", org+"/policy", mustJSON(n.t, map[string]any{"document": "aliases: {" + words + "-alias: openai/gpt-6-luna}\nroutes: [{name: " + words + "-route, when: {metadata: {team: " + words + "-team}}, try: [{model: openai/gpt-6-luna, credential: platform}]}]\n"})).want(200)
	for _, p := range []person{n.as(s.admin), n.as(s.admin).with("Idempotency-Key", words+"-cause")} {
		a := p.chat(luna, words+"-prompt", `,"user":"`+words+`-user","waybill":{"metadata":{"team":"`+words+`-team"}}`).want(200)
		s.calls = append(s.calls, a.header.Get("Waybill-Request"))
	}
	s.canaries = slices.Concat([]string{words, s.id, s.admin, amount, "sk-" + words}, s.keys, s.creds, s.lots, s.calls, s.fingerprints)
	return s
}

// ids are all of the org's, for whatever a route's path takes.
func (s *secrecy) ids() []string {
	return slices.Concat(s.keys, s.creds, s.lots, s.calls, []string{s.name, s.id})
}

// bodies are what a route is called with, by its method and path: something that it takes from who may call it, in which the word
// VICTIM stands for an id of the other org's. A route with a body that is not here fails the test: say what it takes.
var bodies = map[string]string{
	"POST /v1/chat/completions": `{"model":"openai/gpt-6-luna","messages":[{"role":"user","content":"hi"}],"user":"VICTIM","waybill":{"credential":"byok/VICTIM","metadata":{"team":"VICTIM"}}}`,
	"POST /v1/responses":        `{"model":"openai/gpt-6-luna","input":"hi"}`, "POST /v1/responses/input_tokens": `{"model":"openai/gpt-6-luna","input":"hi"}`,
	"POST /v1/embeddings": `{"model":"openai/text-embedding-3-small","input":"hi"}`,
	"POST /v1/messages":   `{"model":"VICTIM","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`, "POST /v1/messages/count_tokens": `{"model":"anthropic/claude-haiku-5-5","messages":[{"role":"user","content":"hi"}]}`,
	"POST /v1beta/":     `{"contents":[{"parts":[{"text":"hi"}]}],"content":{"parts":[{"text":"hi"}]},"requests":[]}`,
	"POST /api/v1/orgs": `{"name":"VICTIM","plan":"teams"}`, "PUT /api/v1/orgs/{org}/plan": `{"plan":"free"}`,
	"POST /api/v1/orgs/{org}/suspend": `{}`, "POST /api/v1/orgs/{org}/resume": `{}`, "POST /api/v1/orgs/{org}/erase": `{"confirm":"VICTIM"}`,
	"POST /api/v1/plans": `{"name":"mine","tokens":1,"lanes":["auto"]}`, "POST /api/v1/orgs/{org}/keys": `{"name":"mine"}`,
	"PATCH /api/v1/orgs/{org}/keys/{id}": `{"models":["x"]}`, "POST /api/v1/orgs/{org}/keys/{id}/rotate": `{}`,
	"POST /api/v1/orgs/{org}/credentials": `{"provider":"openai","name":"mine","secret":"sk-mine"}`, "POST /api/v1/orgs/{org}/credentials/{id}/rotate": `{"secret":"sk-mine"}`,
	"POST /api/v1/orgs/{org}/credentials/{id}/check": ``, "PUT /api/v1/orgs/{org}/credentials/{id}/commitment": `{"amount_usd":"1"}`,
	"POST /api/v1/platform/credentials": `{"provider":"openai","secret":"sk-mine"}`, "POST /api/v1/platform/credentials/{id}/rotate": `{"secret":"sk-mine"}`,
	"POST /api/v1/platform/credentials/{id}/check": ``, "PUT /api/v1/platform/credentials/{id}/commitment": `{"amount_usd":"1"}`,
	"PUT /api/v1/orgs/{org}/policy":                `{"document":"routes: [{name: r, when: {model: \"*\"}, try: [{model: openai/gpt-6-luna, credential: byok/VICTIM}]}]"}`,
	"POST /api/v1/orgs/{org}/policy/explain":       `{"request":{"model":"openai/gpt-6-luna","messages":[{"role":"user","content":"hi"}]},"key":"VICTIM"}`,
	"POST /api/v1/orgs/{org}/policy/simulate":      `{"since":"1"}`,
	"POST /api/v1/orgs/{org}/credits":              `{"kind":"adjust","amount_usd":"1.00","lot":"VICTIM","reason":"goodwill"}`,
	"POST /api/v1/orgs/{org}/credits/{lot}/refund": `{"reference":"VICTIM"}`,
	"POST /api/v1/sql":                             `{"query":"SELECT * FROM events"}`,
	"POST /api/v1/models":                          `{}`, "POST /api/v1/models/batch": `{"models":[]}`, "POST /api/v1/prices": `{}`, "POST /api/v1/prices/batch": `{"prices":[]}`,
	"POST /api/v1/vault/rotate": `{"dry_run":true}`, "POST /api/v1/drills": `{}`,
}

func bodyOf(r wbhttp.Row) (body string, known bool) {
	if strings.HasPrefix(r.Path, "/v1beta/") {
		return bodies["POST /v1beta/"], true
	}
	body, known = bodies[r.Method+" "+r.Path]
	return body, known || r.Method == http.MethodGet || r.Method == http.MethodDelete
}

// queries are the names of a route's query parameters, from its own description.
func (n *node) queries() map[string][]string {
	var doc struct {
		Paths map[string]map[string]struct {
			Parameters []struct{ Name, In string }
		}
	}
	n.must(json.Unmarshal(n.as("").call("GET", "/api/v1/openapi.json", "").want(200).body, &doc))
	out := map[string][]string{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			for _, p := range op.Parameters {
				if p.In == "query" {
					out[strings.ToUpper(method)+" "+path] = append(out[strings.ToUpper(method)+" "+path], p.Name)
				}
			}
		}
	}
	return out
}

var variable = regexp.MustCompile(`\{(\w+)(:[^}]*)?\}`)

// TestTwoOrgs: on every route that there is, with every id of another org in every place that takes one, an org's key gets nothing of
// that org and changes nothing there.
func TestTwoOrgs(t *testing.T) {
	n := newNode(t, func(o *wbhttp.Options) { o.Notary = forger{} })
	victim, thief := n.secretive("zqcanary", "123.456789"), n.secretive("thief", "9.000000")
	queries := n.queries()
	version := func() (v any) {
		page := n.as(operatorToken).call("POST", "/api/v1/sql", `{"query":"SELECT count(*), max(position) FROM events WHERE stream = '`+victim.id+`'"}`).want(200)
		return page.get("rows.0")
	}
	before := version()
	tried := 0
	try := func(p person, method, path, body string) (status int) {
		t.Helper()
		tried++
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		status, seen := p.all(ctx, method, path, body)
		for _, c := range victim.canaries {
			// What the caller has said itself may be said back.
			echo := strings.Contains(path, c) || strings.Contains(body, c)
			if at := strings.Index(seen, c); !echo && at >= 0 {
				t.Errorf("%s %s %s: %d, with %q of the other org: …%s", method, path, body, status, c, seen[max(0, at-100):min(len(seen), at+100)])
			}
		}
		return status
	}
	for _, r := range wbhttp.Table() {
		sample, known := bodyOf(r)
		if !known {
			t.Errorf("%s %s: say in bodies what it takes, so that this test can try it", r.Method, r.Path)
			continue
		}
		described := variable.ReplaceAllString(r.Path, "{$1}")
		names := variable.FindAllStringSubmatch(r.Path, -1)
		who := n.as(thief.admin)
		for _, stolen := range victim.ids() {
			body := strings.ReplaceAll(sample, "VICTIM", stolen)
			fill := func(org string) string {
				return variable.ReplaceAllStringFunc(r.Path, func(v string) string {
					if strings.HasPrefix(v, "{org") {
						return url.PathEscape(org)
					}
					return url.PathEscape(stolen)
				})
			}
			own := fill(thief.id)
			if strings.Contains(r.Path, "{org}") {
				for _, org := range []string{victim.id, victim.name, strings.ToUpper(victim.id), victim.id + "%00", thief.id + "/../" + victim.id} {
					if status := try(who, r.Method, strings.Replace(fill("ORG"), "ORG", org, 1), body); status != 403 && status != 404 && status != 400 && status != 405 && status != 301 {
						t.Errorf("%s %s of %s: status %d", r.Method, r.Path, org, status)
					}
				}
			}
			// The thief's own org, but the victim's ids: nothing is found. Routes without an id answer of the thief's own.
			status := try(who, r.Method, own, body)
			if len(names) > 0 && names[len(names)-1][1] != "org" && r.Who != "inference" && status < 400 {
				t.Errorf("%s %s: status %d", r.Method, own, status)
			}
			for _, q := range queries[r.Method+" "+described] {
				try(who, r.Method, own+"?"+q+"="+url.QueryEscape(stolen), body)
			}
		}
		if r.Who == "public" || r.Who == "scraper" {
			try(n.as(""), r.Method, r.Path, "")
		}
	}
	for _, format := range []string{"sqlite", "sql", "csv", "jsonl"} {
		for _, table := range []string{"", "events", "requests", "attempts", "entries", "balances", "lots"} {
			try(n.as(thief.admin), "GET", "/api/v1/orgs/"+thief.id+"/export?format="+format+"&table="+table, "")
		}
	}
	if after := version(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the other org's stream was %v, and is %v", before, after)
	}
	t.Logf("%d calls over %d routes", tried, len(wbhttp.Table()))
	// The test can fail: the org itself does see what the other must not.
	seen := 0
	for _, r := range wbhttp.Table() {
		if r.Method == http.MethodGet && strings.Contains(r.Path, "{org}") {
			for _, id := range victim.ids() {
				_, body := n.as(victim.admin).all(t.Context(), "GET", fill(r.Path, victim.id, id), "")
				if strings.Contains(body, victim.words) {
					seen++
					break
				}
			}
		}
	}
	if seen < 5 {
		t.Errorf("the org sees its own words on %d routes: the test looks for what is nowhere", seen)
	}
}

// all makes a call and gives everything of its answer: status, headers and as much of the body as comes in time.
func (p person) all(ctx context.Context, method, path, body string) (status int, seen string) {
	p.t.Helper()
	if strings.Contains(path, "/tail") { // without an end
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		ctx = short
	}
	req, err := http.NewRequestWithContext(ctx, method, p.url+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatalf("%s %s: %v", method, path, err)
	}
	if p.secret != "" {
		req.Header.Set("Authorization", "Bearer "+p.secret)
	}
	resp, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(req)
	if err != nil {
		p.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil && ctx.Err() == nil {
		p.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp.StatusCode, fmt.Sprintf("%v\n%s", resp.Header, b)
}
