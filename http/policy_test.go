package http_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"waybill/ledger"
)

const policyPath = "/api/v1/orgs/acme/policy"

// A policy is set as text, YAML or JSON, takes effect at once, and is shown with the names of credentials, which the log has not.
func TestPolicy(t *testing.T) {
	n := newNode(t, nil)
	_, admin := n.open("acme", "teams", "admin", "inference")
	p := n.as(admin)
	if a := p.call("GET", policyPath, "").want(200); a.get("version") != 0.0 || a.header.Get("Etag") != `"0"` || !strings.Contains(a.text("document"), "byok-first") || a.text("policy.credentials") != "byok-first" {
		t.Errorf("%s", a.body)
	}
	ours := p.call("POST", "/api/v1/orgs/acme/credentials", `{"provider":"openai","name":"ours","secret":"sk-good"}`).want(201).text("id")
	const text = "# which keys\npaid_fallback: true\nroutes:\n  - name: ours\n    when: {model: gpt-*}\n    try: [{model: openai/gpt-6-luna, credential: byok/ours}]\n"
	a := p.call("PUT", policyPath, text).want(200)
	if a.get("version") != 1.0 || a.header.Get("Etag") != `"1"` || a.get("set_at") == nil || !strings.Contains(a.text("document"), "byok/ours") || a.text("policy.routes.0.try.0.credential") != "byok/ours" {
		t.Errorf("%s", a.body)
	}
	n.store.View(func(s *ledger.State) {
		if doc := string(s.Policy(p.orgID()).Document); strings.Contains(doc, "byok/ours") || !strings.Contains(doc, ours) {
			t.Errorf("the log has %s", doc)
		}
	})
	if a := p.chat("openai/gpt-6-sol", "hi", "").want(200); a.header.Get("Waybill-Model") != luna || a.header.Get("Waybill-Credential") != "byok" {
		t.Errorf("%v", a.header)
	}
	// What is shown can be set again, in either form.
	shown := p.call("GET", policyPath, "").want(200)
	for i, body := range []string{shown.text("document"), mustJSON(t, shown.get("policy")), mustJSON(t, map[string]any{"document": shown.text("document")}),
		mustJSON(t, map[string]any{"document": shown.get("policy"), "version": 4}), strings.ReplaceAll(text, "byok/ours", "byok/"+ours)} {
		if a := p.call("PUT", policyPath, body).want(200); a.get("version") != float64(i+2) || a.text("document") != shown.text("document") {
			t.Errorf("%s: %s", body, a.body)
		}
	}
	if a := p.call("DELETE", policyPath, "").want(200); a.get("version") != 7.0 || strings.Contains(a.text("document"), "routes") {
		t.Errorf("%s", a.body)
	}
	if a := p.chat("openai/gpt-6-sol", "hi", "").want(200); a.header.Get("Waybill-Model") != "openai/gpt-6-sol" {
		t.Errorf("%v", a.header)
	}
}

// A policy means the credential that had the name when it was set. Attached anew it is another one: who does that is warned, and what the
// policy puts behind the first is not billed in its place.
func TestPolicyNamesWhatIsGone(t *testing.T) {
	n := newNode(t, nil)
	_, admin := n.open("acme", "teams", "admin", "inference")
	p := n.as(admin)
	const text = "routes:\n  - name: pinned\n    try: [{model: openai/gpt-6-luna, credential: byok/ours}, {model: openai/gpt-6-luna, credential: platform}]\n"
	const all, ours = "/api/v1/orgs/acme/credentials", `{"provider":"openai","name":"ours","secret":"sk-good"}`
	first := p.call("POST", all, ours).want(201)
	p.call("PUT", policyPath, text).want(200)
	other := p.call("POST", all, `{"provider":"google","name":"other","secret":"sk-good"}`).want(201)
	for _, a := range []answer{first, other, p.call("DELETE", all+"/"+other.text("id"), "").want(200)} {
		if a.get("warnings") != nil {
			t.Errorf("warned of nothing: %s", a.body)
		}
	}
	a := p.call("DELETE", all+"/"+first.text("id"), "").want(200)
	if a.text("warnings.0.path") != "routes[0].try[0].credential" || !strings.Contains(a.text("warnings.0.message"), `route "pinned" names byok/ours, which is detached: set the policy again`) {
		t.Errorf("%s", a.body)
	}
	if a := p.chat(luna, "hi", "").want(200); a.header.Get("Waybill-Credential") != "platform" {
		t.Errorf("of no credential there is: %v", a.header)
	}
	a = p.call("POST", all, ours).want(201)
	if !strings.Contains(a.text("warnings.0.message"), `route "pinned" names byok/`+first.text("id")+", which is detached") {
		t.Errorf("%s", a.body)
	}
	if a := p.chat(luna, "hi", "").want(403); !strings.Contains(string(a.body), "policy_forbids") || !strings.Contains(string(a.body), "set the policy again") {
		t.Errorf("%s", a.body)
	}
	p.call("PUT", policyPath, text).want(200)
	if a := p.chat(luna, "hi", "").want(200); a.header.Get("Waybill-Credential") != "byok" {
		t.Errorf("%v", a.header)
	}
	p.call("DELETE", policyPath, "").want(200)
	if a := p.call("DELETE", all+"/"+a.text("id"), "").want(200); a.get("warnings") != nil {
		t.Errorf("warned without a policy: %s", a.body)
	}
}

func mustJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// orgID is the id of the org acme.
func (p person) orgID() string {
	return p.as(operatorToken).call("GET", "/api/v1/orgs/acme", "").want(200).text("id")
}

// All that is wrong with a policy is told at once, with line and column; what is only unwise is a warning.
func TestPolicyErrors(t *testing.T) {
	n := newNode(t, nil)
	_, admin := n.open("acme", "teams", "admin")
	p := n.as(admin)
	a := p.call("PUT", policyPath, "credentials: sometimes\nroutes:\n  - when: {modell: x}\n").want(400)
	if a.text("field") != "document" || a.get("errors.0.line") != 1.0 || a.get("errors.0.column") != 14.0 || a.text("errors.0.path") != "credentials" ||
		a.get("errors.1.line") != 3.0 || a.text("errors.1.message") == "" || !strings.Contains(a.text("detail"), "1:14: credentials") {
		t.Errorf("%s", a.body)
	}
	a = p.call("PUT", policyPath, "routes:\n  - try:\n    - {model: openai/gpt-6-luna, credential: byok/none}\n").want(400)
	if a.get("errors.0.line") != 3.0 || !strings.Contains(a.text("errors.0.message"), "no credential") {
		t.Errorf("%s", a.body)
	}
	a = p.call("PUT", policyPath, "aliases: {fast: openai/no-such-model}\n").want(400)
	if a.get("errors.0.line") != 1.0 {
		t.Errorf("%s", a.body)
	}
	p.call("PUT", policyPath, "").want(400)
	p.call("PUT", policyPath, `{"document":5}`).want(400)
	p.call("PUT", policyPath, `{"document":"{}","versoin":1}`).want(400)
	if a := p.call("GET", policyPath, "").want(200); a.get("version") != 0.0 {
		t.Errorf("a policy that was refused is set: %s", a.body)
	}
	a = p.call("PUT", policyPath, "credentials: byok-only\n").want(200)
	t.Logf("%s", a.body)
	_, other := n.open("other", "teams", "inference")
	n.as(other).call("GET", "/api/v1/orgs/other/policy", "").want(403)
	p.call("PUT", "/api/v1/orgs/other/policy", "{}").want(404)
}

// What matches nothing, as things are now, is taken with a warning, where it is set and where it is shown.
func TestPatternsOfNothing(t *testing.T) {
	n := newNode(t, nil)
	_, admin := n.open("acme", "teams", "admin")
	p := n.as(admin)
	const text = "aliases: {old: openai/gpt-4o}\nroutes:\n  - when: {model: \"gpt-*\"}\n  - when: {model: \"gtp-*\"}\n"
	for _, a := range []answer{p.call("PUT", policyPath, text).want(200), p.call("GET", policyPath, "").want(200)} {
		if a.text("warnings.0.path") != "routes[1].when.model" || a.get("warnings.0.line") == 0.0 || a.get("warnings.1") != nil {
			t.Errorf("%s", a.body)
		}
	}
	n.as(operatorToken).call("DELETE", "/api/v1/models/openai/gpt-4o", "").want(200)
	if a := p.call("GET", policyPath, "").want(200); a.text("warnings.0.message") != "openai/gpt-4o is retired" || a.text("warnings.1.path") != "routes[1].when.model" {
		t.Errorf("%s", a.body)
	}
	a := p.call("POST", "/api/v1/orgs/acme/keys", `{"name":"a","models":["gtp-*","gpt-*"]}`).want(201)
	if !strings.Contains(a.text("warnings.0"), `"gtp-*" matches no model`) || a.get("warnings.1") != nil || a.text("key") == "" {
		t.Errorf("%s", a.body)
	}
	one := "/api/v1/orgs/acme/keys/" + a.text("id")
	if a := p.call("PATCH", one, `{"models":["openai/gtp-6"]}`).want(200); !strings.Contains(a.text("warnings.0"), `"openai/gtp-6" matches no model`) {
		t.Errorf("%s", a.body)
	}
	if a := p.call("PATCH", one, `{"name":"b"}`).want(200); a.get("warnings") != nil {
		t.Errorf("%s", a.body)
	}
}

// Who changes what somebody else has changed meanwhile is told so.
func TestPolicyVersions(t *testing.T) {
	n := newNode(t, nil)
	_, admin := n.open("acme", "teams", "admin")
	p := n.as(admin)
	first := p.with("If-Match", `"0"`)
	first.call("PUT", policyPath, "max_attempts: 1\n").want(200)
	if a := first.call("PUT", policyPath, "max_attempts: 2\n").want(412); a.text("code") != "conflict" || a.text("field") != "If-Match" {
		t.Errorf("%s", a.body)
	}
	p.call("PUT", policyPath, `{"document":"max_attempts: 2","version":0}`).want(409)
	p.with("If-Match", `"1"`).call("PUT", policyPath, "max_attempts: 2\n").want(200)
	p.with("If-Match", `"1"`).call("PUT", policyPath, "max_attempts: 3\n").want(412)
	p.call("PUT", policyPath, `{"document":"max_attempts: 3","version":1}`).want(409)
	p.with("If-Match", `"1"`).call("DELETE", policyPath, "").want(412)
	p.with("If-Match", "soon").call("PUT", policyPath, "{}").want(400)
	p.with("If-Match", `W/"2"`).call("DELETE", policyPath, "").want(200)
	first.call("PUT", policyPath, "{}").want(412) // which goes back to the defaults, but is not as if there had been none
	p.with("If-Match", "*").call("PUT", policyPath, "{}").want(200)
	if a := p.call("GET", policyPath, "").want(200); a.get("version") != 4.0 {
		t.Errorf("%s", a.body)
	}
}

// Explain tells what then happens: the route, each leg with its reason, and what it holds and costs. It calls and holds nothing.
func TestExplainPolicy(t *testing.T) {
	n := newNode(t, nil)
	_, admin := n.open("acme", "teams", "admin", "inference")
	p := n.as(admin)
	op := n.as(operatorToken)
	web := op.call("POST", "/api/v1/orgs/acme/keys", `{"name":"prod-web"}`).want(201).text("key")
	p.call("POST", "/api/v1/orgs/acme/credentials", `{"provider":"openai","name":"ours","secret":"sk-good"}`).want(201)
	const text = "routes:\n" +
		"  - name: web\n    when: {key: \"prod-*\", metadata: {team: research}}\n    try: [{model: anthropic/claude-haiku-5-5, credential: platform}]\n" +
		"  - name: rest\n    when: {model: gpt-*}\n"
	p.call("PUT", policyPath, text).want(200)
	calls, head := len(n.up.Calls()), n.head()
	explain := func(more string) answer {
		t.Helper()
		return p.call("POST", policyPath+"/explain", `{"request":`+chatBody(luna, "hi", `,"max_completion_tokens":100`)+more+`}`)
	}
	a := explain("").want(200)
	if a.text("route") != "rest" || a.get("policy_version") != 1.0 || a.text("routes.0.mismatch") != "key" || a.text("legs.0.kind") != "byok" || a.text("credential_names."+a.text("legs.0.credential")) != "ours" ||
		a.text("legs.1.reason") != "paid_fallback_off" || a.text("legs.0.charge_usd") != "0.000000" {
		t.Errorf("%s", a.body)
	}
	a = explain(`,"key":"prod-web","metadata":{"team":"research"}`).want(200)
	if a.text("route") != "web" || a.text("legs.0.model") != "anthropic/claude-haiku-5-5" || a.get("legs.0.holds.plan_tokens") == nil || a.get("legs.0.plan_tokens") == nil {
		t.Errorf("%s", a.body)
	}
	got := n.as(web).with("Waybill-Metadata", "team=research").chat(luna, "hi", "").want(200)
	if got.header.Get("Waybill-Model") != "anthropic/claude-haiku-5-5" {
		t.Errorf("explained otherwise than it went: %v", got.header)
	}
	a = explain(`,"document":"credentials: platform-only"`).want(200)
	if a.text("legs.0.kind") != "platform" || a.get("policy_version") != 0.0 || a.text("route") != "" {
		t.Errorf("%s", a.body)
	}
	if a := explain(`,"document":{"credentials":"byok-only","providers":["google"]}`).want(200); a.text("refused.code") != "policy_forbids" || a.text("legs.0.reason") == "" {
		t.Errorf("%s", a.body)
	}
	for _, d := range []struct{ dialect, body, more string }{
		{"anthropic-messages", `{"model":"gpt-6-luna","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`, ""},
		{"openai-responses", `{"model":"gpt-6-luna","input":"hi","waybill":{"credentials":"platform-only"}}`, ""},
		{"gemini", `{"contents":[{"parts":[{"text":"hi"}]}]}`, `,"model":"gpt-6-luna"`},
	} {
		a := p.call("POST", policyPath+"/explain", fmt.Sprintf(`{"request":%s,"dialect":%q%s}`, d.body, d.dialect, d.more)).want(200)
		if a.text("model_asked") != "gpt-6-luna" || a.text("legs.0.model") != luna {
			t.Errorf("%s: %s", d.dialect, a.body)
		}
	}
	p.call("POST", policyPath+"/explain", `{"request":{"model":"text-embedding-3-small","input":"hi"},"endpoint":"embeddings"}`).want(200)
	if a := explain(`,"document":"credentials: never"`).want(400); a.get("errors.0.line") != 1.0 {
		t.Errorf("%s", a.body)
	}
	explain(`,"key":"nobody"`).want(404)
	explain(`,"dialect":"telex"`).want(400)
	explain(`,"endpoint":"images"`).want(400)
	p.call("POST", policyPath+"/explain", `{}`).want(400)
	p.call("POST", policyPath+"/explain", `{"request":{"messages":7}}`).want(400)
	if n.head() != head+2 || len(n.up.Calls()) != calls+1 { // the one call in between
		t.Error("an explanation has called or written something")
	}
}

func (n *node) head() (p uint64) {
	n.store.View(func(s *ledger.State) { p, _ = s.Head() })
	return p
}

// What a policy may have read of a request that no log may hold is kept beside it, shown with the request, and erased on demand.
func TestNotesOfRequests(t *testing.T) {
	n := newNode(t, nil)
	_, admin := n.open("acme", "teams", "admin", "inference")
	p := n.as(admin)
	before := p.with("Waybill-Metadata", "team=research").chat(luna, "hi", "").want(200).header.Get("Waybill-Request")
	p.call("PUT", policyPath, "routes:\n  - name: ours\n    when: {key: fir*, metadata: {team: research}}\n    try: [{model: google/gemini-2.5-flash-lite}]\n").want(200)
	ask := func(want string) (request string) {
		t.Helper()
		a := p.with("Waybill-Metadata", "team=research").chat(luna, "hi", "").want(200)
		if got := a.header.Get("Waybill-Model"); got != want {
			t.Errorf("went to %s, not to %s", got, want)
		}
		return a.header.Get("Waybill-Request")
	}
	noted := ask("google/gemini-2.5-flash-lite")
	// A key by another name is another key to the policy, from the next call on.
	p.call("PATCH", "/api/v1/orgs/acme/keys/"+n.keyNamed("first"), `{"name":"second"}`).want(200)
	ask(luna)
	show := func(id string) answer { return p.call("GET", "/api/v1/orgs/acme/requests/"+id, "").want(200) }
	if a := show(noted); a.text("note.key") != "first" || a.text("note.metadata.team") != "research" {
		t.Errorf("%s", a.body)
	}
	if a := show(before); a.get("note") != nil {
		t.Errorf("noted though no policy read it: %s", a.body)
	}
	var log strings.Builder
	recs, err := n.store.Page(t.Context(), 0, 1000)
	n.must(err)
	for _, r := range recs {
		log.Write(r.Data)
	}
	// The policy itself has the words that it looks for; the requests must not.
	if strings.Count(log.String(), "research") != 1 || strings.Contains(log.String(), `"first"`) {
		t.Error("the log has what a request said of itself")
	}
	if a := p.call("DELETE", "/api/v1/orgs/acme/notes", "").want(200); a.get("erased") != 2.0 {
		t.Errorf("%s", a.body)
	}
	if a := show(noted); a.get("note") != nil {
		t.Errorf("%s", a.body)
	}
}

// What rests at the moment is said of the leg: a call that comes now passes it over.
func TestExplainTellsWhatRests(t *testing.T) {
	n := newNode(t, nil)
	_, admin := n.open("acme", "teams", "admin", "inference")
	p := n.as(admin)
	ask := `{"request":` + chatBody(luna, "hi", "") + `}`
	p.call("POST", "/api/v1/orgs/acme/credentials", `{"provider":"openai","name":"ours","secret":"sk-sandbox-fail-invalid-key"}`).want(201)
	p.chat(luna, "hi", "").want(503)
	a := p.call("POST", policyPath+"/explain", ask).want(200)
	if rests := a.text("legs.0.rests"); a.get("legs.0.order") != 1.0 || !strings.HasPrefix(rests, "breaker_open: credential since ") {
		t.Errorf("the call is refused for it, and explained so: %s", a.body)
	}
	n.as(operatorToken).call("PUT", policyPath, "credentials: platform-only").want(200)
	if a := p.call("POST", policyPath+"/explain", ask).want(200); a.get("legs.0.rests") != nil {
		t.Errorf("%s", a.body)
	}
}
