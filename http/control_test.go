package http_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	wbhttp "waybill/http"
)

// path fills the variables of a route's path.
func fill(path, org, id string) string {
	path = strings.ReplaceAll(path, "{org}", org)
	return regexp.MustCompile(`\{(id|lot|model)(:[^}]*)?\}`).ReplaceAllString(path, id)
}

// Who may call what: each route by each kind of caller, from the one table.
func TestAuthMatrix(t *testing.T) {
	n := newNode(t, nil)
	_, plain := n.open("acme", "teams", "inference")
	adminKey := n.as(operatorToken).call("POST", "/api/v1/orgs/acme/keys", `{"name":"admin","scopes":["admin"]}`).want(201).text("key")
	revoked := n.as(operatorToken).call("POST", "/api/v1/orgs/acme/keys", `{"name":"old","scopes":["admin","inference"]}`).want(201)
	n.as(operatorToken).call("DELETE", "/api/v1/orgs/acme/keys/"+revoked.text("id"), "").want(200)
	callers := map[string]string{"nobody": "", "stranger": "wbo_somebody", "revoked": revoked.text("key"), "inference": plain, "admin": adminKey, "operator": operatorToken}
	may := map[string]string{
		"public": "nobody stranger revoked inference admin operator", "scraper": "nobody stranger revoked inference admin operator", // the test calls from loopback
		"inference": "inference", "known": "inference admin operator", "admin": "admin operator", "operator": "operator",
	}
	for _, r := range wbhttp.Table() {
		if r.Path == "/api/v1/events/tail" {
			continue // would not end; TestTail has it
		}
		for who, secret := range callers {
			a := n.as(secret).call(r.Method, fill(r.Path, "acme", "nothing"), `{"not a field":1}`)
			refused := a.status == 401 || a.status == 403
			if allowed := strings.Contains(" "+may[r.Who]+" ", " "+who+" "); refused == allowed {
				t.Errorf("%s %s by %s: status %d, allowed %v: %s", r.Method, r.Path, who, a.status, allowed, a.body)
			}
			if refused && strings.HasPrefix(r.Path, "/api/") && (a.text("code") == "" || a.header.Get("Content-Type") != "application/problem+json") {
				t.Errorf("%s %s by %s: %v %s", r.Method, r.Path, who, a.header, a.body)
			}
		}
	}
}

// An org's admin sees of another org what it sees of none, on every route.
func TestOrgsAreApart(t *testing.T) {
	n := newNode(t, nil)
	op := n.as(operatorToken)
	theirs, theirKey := n.open("theirs", "teams", "admin", "inference")
	_, mine := n.open("mine", "teams", "admin", "inference")
	op.call("POST", "/api/v1/orgs/theirs/credits", `{"kind":"purchase","amount_usd":"5.00","reference":"p1"}`).want(201)
	request := n.as(theirKey).chat(luna, "hi", "").want(200).header.Get("Waybill-Request")
	keyID := op.call("GET", "/api/v1/orgs/theirs/keys", "").text("keys.0.id")
	cred := op.call("POST", "/api/v1/orgs/theirs/credentials", `{"provider":"openai","secret":"sk-theirs"}`).want(201).text("id")
	head := op.call("GET", "/healthz", "").get("position")
	for _, r := range wbhttp.Table() {
		if !strings.Contains(r.Path, "{org}") {
			continue
		}
		for _, name := range []string{theirs, "theirs"} {
			a := n.as(mine).call(r.Method, fill(r.Path, name, keyID), "")
			none := n.as(mine).call(r.Method, fill(r.Path, "nobody", keyID), "")
			if r.Who == "operator" {
				a.want(403)
				continue
			}
			a.want(404)
			if same := strings.ReplaceAll(a.text("detail"), name, "nobody"); same != none.text("detail") || none.status != 404 {
				t.Errorf("%s %s: %s, but of an org that is not there: %s", r.Method, r.Path, a.body, none.body)
			}
		}
	}
	// Nor do the ids of another org open anything under one's own.
	for path, methods := range map[string]string{"keys/" + keyID: "GET PATCH DELETE", "keys/" + keyID + "/rotate": "POST", "credentials/" + cred: "GET DELETE",
		"credentials/" + cred + "/rotate": "POST", "requests/" + request: "GET"} {
		for _, m := range strings.Fields(methods) {
			body := map[string]string{"PATCH": `{"models":["x"]}`, "POST": `{}`}[m]
			if strings.Contains(path, "credentials") && m == "POST" {
				body = `{"secret":"sk-mine"}`
			}
			n.as(mine).call(m, "/api/v1/orgs/mine/"+path, body).want(404)
		}
	}
	if now := op.call("GET", "/healthz", "").get("position"); now != head {
		t.Errorf("the refused calls left events: %v, then %v", head, now)
	}
	for _, list := range []string{"requests", "entries", "usage", "credentials", "keys"} {
		if a := n.as(mine).call("GET", "/api/v1/orgs/mine/"+list, "").want(200); strings.Contains(string(a.body), theirs) || strings.Contains(string(a.body), request) {
			t.Errorf("%s: %s", list, a.body)
		}
	}
	n.as(theirKey).chat(luna, "hi", "").want(200)
}

// Pages of requests follow one another without a gap.
func TestRequests(t *testing.T) {
	n := newNode(t, nil)
	_, secret := n.open("acme", "teams", "admin", "inference")
	var asked []string
	for i := range 5 {
		asked = append(asked, n.as(secret).chat(models[i%3], "hi [[sandbox output=10]]", "").want(200).header.Get("Waybill-Request"))
	}
	n.as(secret).chat(luna, "hi [[sandbox fail=overloaded]]", "").want(502)
	seen, after := []string{}, ""
	for range 4 {
		a := n.as(secret).call("GET", "/api/v1/orgs/acme/requests?state=settled&limit=2"+after, "").want(200)
		for i := range 2 {
			if id := a.text(fmt.Sprintf("requests.%d.id", i)); id != "" {
				seen = append([]string{id}, seen...)
			}
		}
		if a.text("next") == "" {
			break
		}
		after = "&after=" + a.text("next")
	}
	if strings.Join(seen, " ") != strings.Join(asked, " ") {
		t.Errorf("pages gave %v of %v", seen, asked)
	}
	if a := n.as(secret).call("GET", "/api/v1/orgs/acme/requests?state=voided", "").want(200); a.text("requests.0.reason") == "" || a.get("requests.1") != nil {
		t.Errorf("%s", a.body)
	}
	u := n.as(secret).call("GET", "/api/v1/orgs/acme/usage?by=model", "").want(200)
	if u.text("usage.0.model") != models[1] || u.get("usage.0.output_tokens") != 20.0 || u.text("usage.0.charge_usd") != "0.000000" {
		t.Errorf("%s", u.body)
	}
	n.as(secret).call("GET", "/api/v1/orgs/acme/usage?by=mood", "").want(400)
	n.as(secret).call("GET", "/api/v1/orgs/acme/usage?from=2026-11-02&to=2026-11-02", "").want(200)
	for query, field := range map[string]string{"from=2026-11-02&to=2026-11-01": "from", "from=soon": "from", "to=2026-11": "to"} {
		if a := n.as(secret).call("GET", "/api/v1/orgs/acme/usage?"+query, "").want(400); a.text("field") != field {
			t.Errorf("%s: %s", query, a.body)
		}
	}
	e := n.as(secret).call("GET", "/api/v1/orgs/acme/entries?limit=1", "").want(200)
	if e.text("entries.0.type") != "request.voided" || e.text("next") == "" {
		t.Errorf("%s", e.body)
	}
	for query, field := range map[string]string{"limit=0": "limit", "state=done": "state", "limit=1001": "limit", "after=-1": "after", "since=yesterday": "since"} {
		if p := n.as(secret).call("GET", "/api/v1/orgs/acme/requests?"+query, "").want(400); p.text("field") != field {
			t.Errorf("%s: %s", query, p.body)
		}
	}
	n.as(operatorToken).call("GET", "/api/v1/requests/"+asked[0], "").want(200)
	n.as(operatorToken).call("GET", "/api/v1/requests/req_none", "").want(404)
}

// What is not there is said in the shape that the path promises.
func TestLost(t *testing.T) {
	n := newNode(t, nil)
	if a := n.as("").call("GET", "/v1/nothing", "").want(404); a.text("error.code") != "not_found" {
		t.Errorf("%s", a.body)
	}
	if a := n.as("").call("GET", "/v1/chat/completions", "").want(405); a.text("error.code") != "method_not_allowed" || a.header.Get("Allow") != "POST" ||
		!strings.HasSuffix(a.text("error.message"), "which takes POST") {
		t.Errorf("%v %s", a.header, a.body)
	}
	if a := n.as("").call("GET", "/api/v1/nothing", "").want(404); a.text("code") != "not_found" || a.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s", a.body)
	}
	if a := n.as("").call("PATCH", "/api/v1/orgs", "").want(405); a.header.Get("Allow") != "GET, POST" {
		t.Errorf("%v", a.header)
	}
	n.as(operatorToken).call("POST", "/api/v1/orgs", `{"name":"`+strings.Repeat("x", 2<<20)+`"}`).want(413)
	for path, message := range map[string]string{"/v1/models": "error.message", "/v1/messages": "error.message", "/v1beta/models": "error.message", "/api/v1/orgs": "detail"} {
		method := map[bool]string{true: "POST", false: "GET"}[path == "/v1/messages"]
		none, wrong := n.as("").call(method, path, "").want(401).text(message), n.as("wbk_mistyped").call(method, path, "").want(401).text(message)
		if !strings.HasPrefix(none, "the call has no key") || !strings.HasPrefix(wrong, "the key is unknown") {
			t.Errorf("%s: %q and %q", path, none, wrong)
		}
	}
}
