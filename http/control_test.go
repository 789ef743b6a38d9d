package http_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	wbhttp "waybill/http"
	"waybill/ledger"
	"waybill/router/dialects"
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

func TestOrg(t *testing.T) {
	n := newNode(t, nil)
	op := n.as(operatorToken)
	a := op.call("POST", "/api/v1/orgs", `{"name":"acme","plan":"starter"}`).want(201)
	id := a.text("id")
	if !strings.HasPrefix(id, "org_") || a.text("plan") != "starter" || a.text("state") != "active" {
		t.Errorf("%s", a.body)
	}
	op.call("POST", "/api/v1/orgs", `{"name":"acme"}`).want(409)
	op.call("POST", "/api/v1/orgs", `{"name":"b","plan":"none"}`).want(404)
	for body, field := range map[string]string{`{"name":""}`: "name", `{"name":"org_x"}`: "name", `{"name":"platform"}`: "name", `{"name":"a/b"}`: "name", `{"name":7}`: "name",
		`{"nmae":"x"}`: "nmae", `[]`: "body", `{`: "body", `{"name":"x"}{}`: "body"} {
		if p := op.call("POST", "/api/v1/orgs", body).want(400); p.text("field") != field || p.text("code") != "invalid" {
			t.Errorf("%s: %s", body, p.body)
		}
	}
	once := op.with("Idempotency-Key", "open-1")
	first, again := once.call("POST", "/api/v1/orgs", `{"name":"once"}`).want(201), once.call("POST", "/api/v1/orgs", `{"name":"once"}`).want(201)
	if first.text("id") != again.text("id") || again.text("name") != "once" {
		t.Errorf("%s, then %s", first.body, again.body)
	}
	if p := op.call("PUT", "/api/v1/orgs/acme/plan", `{"plan":"teams"}`).want(200); p.text("plan") != "teams" {
		t.Errorf("an upgrade waits: %s", p.body)
	}
	if p := op.call("PUT", "/api/v1/orgs/acme/plan", `{"plan":"free"}`).want(200); p.text("plan") != "teams" || p.text("next_plan") != "free" {
		t.Errorf("a downgrade does not wait: %s", p.body)
	}
	if p := op.call("POST", "/api/v1/orgs/"+id+"/suspend", `{"reason":"unpaid"}`).want(200); p.text("state") != "suspended" {
		t.Errorf("%s", p.body)
	}
	op.call("POST", "/api/v1/orgs/acme/suspend", ``).want(409)
	op.call("POST", "/api/v1/orgs/acme/resume", ``).want(200)
	if list := op.call("GET", "/api/v1/orgs", "").want(200); list.text("orgs.0.name") != "acme" || list.text("orgs.1.name") != "once" {
		t.Errorf("%s", list.body)
	}
}

func TestKeysOfAnOrg(t *testing.T) {
	n := newNode(t, nil)
	op := n.as(operatorToken)
	_, admin := n.open("acme", "teams", "admin", "inference")
	a := n.as(admin).call("POST", "/api/v1/orgs/acme/keys", `{"name":"dev","models":["gpt-*"],"expires_at":"2100-01-01T00:00:00Z"}`).want(201)
	id, secret := a.text("id"), a.text("key")
	if !wbhttp.Valid(secret) || a.text("scopes.0") != "inference" || a.text("expires_at") != "2100-01-01T00:00:00Z" || a.text("state") != "active" {
		t.Errorf("%s", a.body)
	}
	if s := n.as(admin).call("GET", "/api/v1/orgs/acme/keys/"+id, "").want(200); s.text("key") != "" || s.text("name") != "dev" {
		t.Errorf("%s", s.body)
	}
	n.as(secret).chat("anthropic/claude-haiku-5-5", "hi", "").want(403)
	n.as(admin).call("PATCH", "/api/v1/orgs/acme/keys/"+id, `{"name":"developer","models":[]}`).want(200)
	n.as(secret).chat("anthropic/claude-haiku-5-5", "hi", "").want(200)
	p := n.as(admin).call("PATCH", "/api/v1/orgs/acme/keys/"+id, `{"expires_at":null}`).want(200)
	if p.get("expires_at") != nil || p.text("name") != "developer" {
		t.Errorf("%s", p.body)
	}
	n.as(admin).call("POST", "/api/v1/orgs/acme/keys", `{"name":"developer"}`).want(409)
	fresh := n.as(admin).call("POST", "/api/v1/orgs/acme/keys/"+id+"/rotate", `{"former_ends_at":"2100-01-01T00:00:00Z"}`).want(200).text("key")
	n.as(secret).chat(luna, "hi", "").want(200)
	n.as(fresh).chat(luna, "hi", "").want(200)
	last := n.as(admin).call("POST", "/api/v1/orgs/acme/keys/"+id+"/rotate", ``).want(200).text("key")
	n.as(fresh).chat(luna, "hi", "").want(401)
	n.as(last).chat(luna, "hi", "").want(200)
	if d := op.call("DELETE", "/api/v1/orgs/acme/keys/"+id, "").want(200); d.text("state") != "revoked" {
		t.Errorf("%s", d.body)
	}
	n.as(last).chat(luna, "hi", "").want(401)
	once := op.with("Idempotency-Key", "k1")
	first := once.call("POST", "/api/v1/orgs/acme/keys", `{"name":"once"}`).want(201)
	if again := once.call("POST", "/api/v1/orgs/acme/keys", `{"name":"once"}`).want(409); again.text("of") != first.text("id") || again.text("code") != "repeated" {
		t.Errorf("%s", again.body)
	}
	op.call("POST", "/api/v1/orgs/acme/keys", `{"name":"x","scopes":["root"]}`).want(400)
	op.call("POST", "/api/v1/orgs/acme/keys", `{"name":"x","expires_at":"2001-01-01T00:00:00Z"}`).want(400)
	if p := op.call("POST", "/api/v1/orgs/acme/keys", `{"name":"x","expires_at":"soon"}`).want(400); p.text("field") != "expires_at" {
		t.Errorf("%s", p.body)
	}
}

func TestCredentials(t *testing.T) {
	n := newNode(t, nil)
	op := n.as(operatorToken)
	org, admin := n.open("acme", "starter", "admin", "inference")
	const path = "/api/v1/orgs/acme/credentials"
	a := n.as(admin).call("POST", path, `{"provider":"openai","name":"prod","secret":"sk-own-0123456789-last"}`).want(201)
	if a.text("kind") != "byok" || a.text("use") != "prefer" || a.text("org") != org || !strings.HasPrefix(a.text("fingerprint"), "…last:") {
		t.Errorf("%s", a.body)
	}
	id := a.text("id")
	c := n.as(admin).chat(luna, "hi", "").want(200) // the plan has no manual lane: the own credential is open all the same
	if c.header.Get("Waybill-Credential") != "byok" || c.header.Get("Waybill-Billing") != "byok" || c.header.Get("Waybill-Charge") != "0.000000" {
		t.Errorf("%v", c.header)
	}
	r := n.as(admin).call("POST", path+"/"+id+"/rotate", `{"secret":"sk-own-0123456789-next"}`).want(200)
	if !strings.HasPrefix(r.text("fingerprint"), "…next:") || r.text("rotated_at") == "" {
		t.Errorf("%s", r.body)
	}
	n.as(admin).chat(luna, "hi", "").want(200)
	calls := n.up.Calls()
	if a, b := calls[len(calls)-2].Key, calls[len(calls)-1].Key; a == b {
		t.Errorf("the rotated secret is not the one that is sent")
	}
	n.as(admin).call("POST", path, `{"provider":"openai","name":"prod","secret":"sk-other"}`).want(409)
	if list := op.call("GET", path, "").want(200); list.text("credentials.0.id") != id || list.get("credentials.1") != nil {
		t.Errorf("%s", list.body)
	}
	n.as(admin).call("DELETE", path+"/"+id, "").want(200)
	n.as(admin).chat(luna, "hi", "").want(403)
	n.as(admin).call("DELETE", path+"/"+id, "").want(404)
	n.as(admin).call("POST", path, `{"provider":"openai","name":"prod","secret":"sk-own"}`).want(201) // the name is free again
	for body, field := range map[string]string{`{"provider":"acme","secret":"x"}`: "provider", `{"provider":"openai"}`: "secret", `{"provider":"openai","secret":"a b"}`: "secret",
		`{"provider":"openai","secret":"x\ny"}`: "secret"} {
		if p := n.as(admin).call("POST", path, body).want(400); p.text("field") != field {
			t.Errorf("%s: %s", body, p.body)
		}
	}
	n.as(admin).call("POST", path, `{"provider":"openai","name":"odd","secret":"x","use":"sometimes"}`).want(400)
	if page := op.call("GET", "/api/v1/events?limit=1000", "").want(200); strings.Contains(string(page.body), "sk-own") {
		t.Error("a secret is in the log")
	}
}

// A secret goes by TLS to a public host, or to this machine where the operator says so.
func TestBaseURL(t *testing.T) {
	n := newNode(t, nil)
	_, admin := n.open("acme", "teams", "admin")
	i := 0
	attach := func(secret, base string) int {
		i++
		return n.as(secret).call("POST", "/api/v1/orgs/acme/credentials", fmt.Sprintf(`{"provider":"openai","name":"n%d","secret":"sk","base_url":%q}`, i, base)).status
	}
	for base, want := range map[string][2]int{ // by the org's admin, by the operator
		"https://llm.example.com/v1":       {201, 201},
		"https://8.8.8.8/v1":               {201, 201},
		"http://llm.example.com/v1":        {400, 400},
		"http://127.0.0.1:9999":            {400, 201},
		"http://[::1]:9999":                {400, 201},
		"http://localhost:9999":            {400, 201},
		"https://localhost":                {400, 201},
		"https://10.0.0.7":                 {400, 201},
		"https://169.254.169.254/latest":   {400, 201},
		"https://[fd00::1]":                {400, 201},
		"https://127.1":                    {400, 201},
		"https://2130706433":               {400, 201},
		"https://intranet":                 {400, 201},
		"https://db.internal":              {400, 201},
		"https://user:pw@llm.example.com":  {400, 400},
		"https://llm.example.com?x=1":      {400, 400},
		"ftp://llm.example.com":            {400, 400},
		"llm.example.com":                  {400, 400},
		"https://":                         {400, 400},
		"https://llm.example.com/v1#there": {400, 400},
	} {
		if got := [2]int{attach(admin, base), attach(operatorToken, base)}; got != want {
			t.Errorf("%s: %v, want %v", base, got, want)
		}
	}
}

// A credential of a provider without an address says one, or is not attached: its first call is too late to find out.
func TestProviderWithoutAddress(t *testing.T) {
	n := newNode(t, func(o *wbhttp.Options) { o.Dispatcher.Providers["azure"] = dialects.Providers["azure"] })
	org, admin := n.open("acme", "teams", "admin")
	for _, path := range []string{"/api/v1/orgs/acme/credentials", "/api/v1/platform/credentials"} {
		for _, body := range []string{`{"provider":"azure","secret":"sk"}`, `{"provider":"azure","secret":"sk","base_url":""}`} {
			if p := n.as(operatorToken).call("POST", path, body).want(400); p.text("field") != "base_url" || !strings.Contains(p.text("detail"), "upstreams.azure.base_url") {
				t.Errorf("%s: %s", path, p.body)
			}
		}
	}
	if list := n.as(operatorToken).call("GET", "/api/v1/orgs/acme/credentials", "").want(200); list.get("credentials.0") != nil {
		t.Errorf("%s is attached to %s all the same", list.body, org)
	}
	a := n.as(admin).call("POST", "/api/v1/orgs/acme/credentials", `{"provider":"azure","secret":"sk","base_url":"https://ours.openai.azure.com/openai/v1"}`).want(201)
	if a.text("base_url") != "https://ours.openai.azure.com/openai/v1" {
		t.Errorf("%s", a.body)
	}
}

// What moves money moves it once, and to the nano-dollar.
func TestCredit(t *testing.T) {
	n := newNode(t, nil)
	op := n.as(operatorToken)
	_, admin := n.open("acme", "teams", "admin")
	const path = "/api/v1/orgs/acme/credits"
	purchase := `{"kind":"purchase","amount_usd":"25.00","paid_usd":"20.00","reference":"pay-1"}`
	a := op.call("POST", path, purchase).want(201)
	if a.text("amount_usd") != "25.000000" || a.text("paid_usd") != "20.000000" || a.text("kind") != "purchase" || a.text("state") != "open" {
		t.Errorf("%s", a.body)
	}
	if again := op.call("POST", path, purchase).want(201); again.text("id") != a.text("id") {
		t.Errorf("one payment, two lots: %s", again.body)
	}
	op.call("POST", path, `{"kind":"purchase","amount_usd":"26.00","reference":"pay-1"}`).want(409)
	grant := op.with("Idempotency-Key", "g1")
	first, again := grant.call("POST", path, `{"kind":"grant","amount_usd":"1.000000001"}`).want(201), grant.call("POST", path, `{"kind":"grant","amount_usd":"1.000000001"}`).want(201)
	if first.text("id") != again.text("id") || first.text("amount_usd") != "1.000000001" {
		t.Errorf("%s, then %s", first.body, again.body)
	}
	grant.call("POST", path, `{"kind":"grant","amount_usd":"2"}`).want(409)
	if b := n.as(admin).call("GET", "/api/v1/orgs/acme/balance", "").want(200); b.text("credit_usd") != "26.000000001" || b.get("plan.tokens") != 20_000_000.0 || b.text("held_usd") != "0.000000" {
		t.Errorf("%s", b.body)
	}
	adjust := fmt.Sprintf(`{"kind":"adjust","lot":%q,"amount_usd":"-5","reason":"correction"}`, a.text("id"))
	if l := op.call("POST", path, adjust).want(201); l.text("left_usd") != "20.000000" {
		t.Errorf("%s", l.body)
	}
	r := op.call("POST", path+"/"+a.text("id")+"/refund", `{"amount_usd":"8","reference":"re-1"}`).want(200)
	if r.text("taken_usd") != "8.000000" || r.text("lot.left_usd") != "12.000000" {
		t.Errorf("%s", r.body)
	}
	op.call("POST", path+"/"+a.text("id")+"/refund", `{"amount_usd":"8","reference":"re-1"}`).want(200)
	op.call("POST", path+"/"+a.text("id")+"/refund", `{"amount_usd":"13","reference":"re-2"}`).want(409)
	if l := n.as(admin).call("GET", path, "").want(200); l.text("lots.0.id") == "" || l.get("lots.2") != nil {
		t.Errorf("%s", l.body)
	}
	back := op.call("POST", path+"/"+a.text("id")+"/refund", `{"chargeback":true,"reference":"dp-1"}`).want(200)
	if back.text("taken_usd") != "12.000000" || back.text("loss_usd") != "8.000000" {
		t.Errorf("%s", back.body)
	}
	if o := op.call("GET", "/api/v1/orgs/acme", "").want(200); o.text("state") != "suspended" {
		t.Errorf("%s", o.body)
	}
	for body, field := range map[string]string{`{"kind":"gift"}`: "kind", `{"kind":"grant","amount_usd":5}`: "amount_usd", `{"kind":"grant","amount_usd":"0.0000000001"}`: "amount_usd",
		`{"kind":"purchase","amount_usd":"1","reference":"r","paid_usd":"0"}`:    "paid_usd",
		`{"kind":"purchase","amount_usd":"1","reference":"r","priority":1}`:      "priority",
		`{"kind":"purchase","amount_usd":"1","reference":"r","reason":"x"}`:      "reason",
		`{"kind":"grant","amount_usd":"1","paid_usd":"1"}`:                       "paid_usd",
		`{"kind":"grant","amount_usd":"1","reference":"r"}`:                      "reference",
		`{"kind":"grant","amount_usd":"1","lot":"l"}`:                            "lot",
		`{"kind":"adjust","amount_usd":"1","expires_at":"2027-01-01T00:00:00Z"}`: "expires_at",
	} {
		if p := op.call("POST", path, body).want(400); p.text("field") != field {
			t.Errorf("%s: %s", body, p.body)
		}
	}
	// No amount is all that is left, and 0 is not no amount.
	if p := op.call("POST", path+"/"+first.text("id")+"/refund", `{"amount_usd":"0","reference":"re-3"}`).want(400); p.text("field") != "amount_usd" {
		t.Errorf("%s", p.body)
	}
}

// A balance of the past is what it was, by position and by time.
func TestBalanceAt(t *testing.T) {
	n := newNode(t, nil)
	op := n.as(operatorToken)
	n.open("acme", "teams")
	before := op.call("GET", "/api/v1/orgs/acme/balance", "").want(200)
	op.call("POST", "/api/v1/orgs/acme/credits", `{"kind":"grant","amount_usd":"3"}`).want(201)
	for _, at := range []string{fmt.Sprint(before.get("position")), before.text("at")} {
		if b := op.call("GET", "/api/v1/orgs/acme/balance?at="+at, "").want(200); b.text("credit_usd") != "0.000000" || b.get("position") != before.get("position") {
			t.Errorf("at %s: %s", at, b.body)
		}
	}
	if b := op.call("GET", "/api/v1/orgs/acme/balance?at=2100-01-01T00:00:00Z", "").want(200); b.text("credit_usd") != "3.000000" {
		t.Errorf("%s", b.body)
	}
	op.call("GET", "/api/v1/orgs/acme/balance?at=1000000", "").want(404)
	op.call("GET", "/api/v1/orgs/acme/balance?at=0", "").want(400)
	op.call("GET", "/api/v1/orgs/acme/balance?at=yesterday", "").want(400)
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
	e := n.as(secret).call("GET", "/api/v1/orgs/acme/entries?limit=1", "").want(200)
	if e.text("entries.0.type") != "request.voided" || e.text("next") == "" {
		t.Errorf("%s", e.body)
	}
	for query, field := range map[string]string{"limit=0": "limit", "limit=1001": "limit", "after=-1": "after", "since=yesterday": "since"} {
		if p := n.as(secret).call("GET", "/api/v1/orgs/acme/requests?"+query, "").want(400); p.text("field") != field {
			t.Errorf("%s: %s", query, p.body)
		}
	}
	n.as(operatorToken).call("GET", "/api/v1/requests/"+asked[0], "").want(200)
	n.as(operatorToken).call("GET", "/api/v1/requests/req_none", "").want(404)
}

func TestCatalogue(t *testing.T) {
	n := newNode(t, nil)
	op := n.as(operatorToken)
	_, secret := n.open("acme", "teams")
	op.call("POST", "/api/v1/models", `{"provider":"openai","upstream_id":"gpt-new","context":1000,"max_output":100,"features":["chat","sampling"]}`).want(201)
	n.as(secret).chat("openai/gpt-new", "hi", "").want(403) // no price: closed on paid capacity
	row := `{"id":"p-new","model":"openai/gpt-new","tiers":[{"above":0,"input":"1.25","cache_read":"0","cache_write":"0","cache_write_long":"0","output":"10"}]}`
	if p := op.call("POST", "/api/v1/prices", row).want(201); p.text("tiers.0.input") != "1.250000" || p.get("in_force") != true {
		t.Errorf("%s", p.body)
	}
	n.as(secret).chat("openai/gpt-new", "hi", "").want(200)
	op.call("POST", "/api/v1/prices", row).want(409)
	op.call("DELETE", "/api/v1/prices/p-new", "").want(200)
	n.as(secret).chat("openai/gpt-new", "hi", "").want(403)
	if m := op.call("DELETE", "/api/v1/models/openai/gpt-new", "").want(200); m.get("retired") != true {
		t.Errorf("%s", m.body)
	}
	n.as(secret).chat("openai/gpt-new", "hi", "").want(404)
	if p := op.call("POST", "/api/v1/prices", `{"model":"`+luna+`","tiers":[{"input":1}]}`).want(400); p.text("field") != "tiers" {
		t.Errorf("%s", p.body)
	}
	if list := n.as(secret).call("GET", "/api/v1/prices", "").want(200); list.text("prices.0.id") == "" {
		t.Errorf("%s", list.body)
	}
	if list := n.as(secret).call("GET", "/api/v1/plans", "").want(200); list.text("plans.0.id") != "free" || list.get("plans.0.messages") != 5.0 {
		t.Errorf("%s", list.body)
	}
}

// The description has every route and nothing else, refers to nothing that is not there, and its shapes are those that
// are answered.
func TestOpenAPI(t *testing.T) {
	n := newNode(t, nil)
	a := n.as("").call("GET", "/api/v1/openapi.json", "").want(200)
	var doc struct {
		Paths      map[string]map[string]struct{ Summary string }
		Components struct {
			Schemas map[string]struct {
				Properties map[string]any
				Required   []string
			}
		}
	}
	n.must(json.Unmarshal(a.body, &doc))
	described := map[string]bool{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			described[strings.ToUpper(method)+" "+path] = true
			if op.Summary == "" {
				t.Errorf("%s %s says nothing of itself", method, path)
			}
			if path == "/api/v1/events/tail" {
				continue // would not end
			}
			if a := n.as(operatorToken).call(strings.ToUpper(method), fill(path, "nobody", "nothing"), ""); a.status == 405 {
				t.Errorf("%s %s is described, and not served", method, path)
			}
		}
	}
	for _, r := range wbhttp.Table() {
		if path := r.Method + " " + regexp.MustCompile(`:[^}]*}`).ReplaceAllString(r.Path, "}"); !described[path] {
			t.Errorf("%s is served, and not described", path)
		}
	}
	for _, ref := range regexp.MustCompile(`#/components/schemas/(\w+)`).FindAllStringSubmatch(string(a.body), -1) {
		if _, ok := doc.Components.Schemas[ref[1]]; !ok {
			t.Errorf("schema %s is referred to, and not there", ref[1])
		}
	}
	n.open("acme", "teams")
	for path, shape := range map[string]string{"/api/v1/orgs/acme": "org", "/api/v1/orgs/acme/balance": "balance", "/api/v1/orgs/acme/requests": "traces", "/api/v1/events": "events"} {
		var v map[string]any
		n.must(json.Unmarshal(n.as(operatorToken).call("GET", path, "").want(200).body, &v))
		s := doc.Components.Schemas[shape]
		for name := range v {
			if _, ok := s.Properties[name]; !ok {
				t.Errorf("%s answers %s, which schema %s has not", path, name, shape)
			}
		}
		for _, name := range s.Required {
			if _, ok := v[name]; !ok {
				t.Errorf("%s does not answer %s, which schema %s requires", path, name, shape)
			}
		}
	}
}

// What is not there is said in the shape that the path promises.
func TestLost(t *testing.T) {
	n := newNode(t, nil)
	if a := n.as("").call("GET", "/v1/nothing", "").want(404); a.text("error.code") != "not_found" {
		t.Errorf("%s", a.body)
	}
	if a := n.as("").call("GET", "/v1/chat/completions", "").want(405); a.text("error.code") != "method_not_allowed" || a.header.Get("Allow") != "POST" {
		t.Errorf("%v %s", a.header, a.body)
	}
	if a := n.as("").call("GET", "/api/v1/nothing", "").want(404); a.text("code") != "not_found" || a.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s", a.body)
	}
	if a := n.as("").call("PATCH", "/api/v1/orgs", "").want(405); a.header.Get("Allow") != "GET, POST" {
		t.Errorf("%v", a.header)
	}
	n.as(operatorToken).call("POST", "/api/v1/orgs", `{"name":"`+strings.Repeat("x", 2<<20)+`"}`).want(413)
}

func TestHealth(t *testing.T) {
	n := newNode(t, nil)
	a := n.as("").call("GET", "/healthz", "").want(200)
	var head uint64
	n.store.View(func(s *ledger.State) { head, _ = s.Head() })
	if a.text("status") != "ok" || a.get("position") != float64(head) || a.text("database") != "ok" {
		t.Errorf("%s", a.body)
	}
	n.as("").call("GET", "/readyz", "").want(200)
	n.as("").call("GET", "/metrics", "").want(200)
	if m := n.as(operatorToken).with("X-Forwarded-For", "203.0.113.9").call("GET", "/metrics", "").want(200); !strings.Contains(string(m.body), "waybill_log_position") ||
		!strings.Contains(string(m.body), `waybill_http_answers_total{route="/healthz",status="200"} 1`) {
		t.Errorf("%s", m.body)
	}
	n.as("").with("X-Forwarded-For", "203.0.113.9").call("GET", "/metrics", "").want(403)
	n.store.Close()
	if a := n.as("").call("GET", "/healthz", "").want(http.StatusServiceUnavailable); a.text("database") == "ok" {
		t.Errorf("%s", a.body)
	}
}
