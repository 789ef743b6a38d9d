package http_test

import (
	"fmt"
	"strings"
	"testing"

	wbhttp "waybill/http"
	"waybill/router/dialects"
	"waybill/router/sandbox"
)

// A credential is checked when it is attached: it is taken all the same, with a warning, unless its caller wants it good. A dead
// one is shown as such, and is not called.
func TestCredentialChecks(t *testing.T) {
	n := newNode(t, nil)
	_, admin := n.open("acme", "teams", "admin", "inference")
	p := n.as(admin)
	const all = "/api/v1/orgs/acme/credentials"
	good := p.call("POST", all, `{"provider":"openai","name":"good","secret":"sk-good","order":1}`).want(201)
	if good.text("state") != "ok" || good.get("checked_at") == nil || good.text("warning") != "" || good.get("failing_since") != nil {
		t.Errorf("%s", good.body)
	}
	dead := p.call("POST", all, `{"provider":"openai","name":"dead","secret":"sk-sandbox-fail-invalid-key"}`).want(201)
	if dead.text("state") != "dead" || dead.text("code") != "invalid_api_key" || dead.text("warning") == "" || dead.text("failing") != "credential" || dead.get("failing_since") == nil {
		t.Errorf("%s", dead.body)
	}
	empty := p.call("POST", all, `{"provider":"anthropic","name":"empty","secret":"sk-sandbox-fail-out-of-credit"}`).want(201)
	if empty.text("state") != "unfunded" {
		t.Errorf("%s", empty.body)
	}
	if a := p.call("POST", all, `{"provider":"openai","name":"never","secret":"sk-sandbox-fail-invalid-key","require_ok":true}`).want(400); a.text("field") != "secret" {
		t.Errorf("%s", a.body)
	}
	p.call("POST", all, `{"provider":"openai","name":"sure","secret":"sk-good","require_ok":true,"use":"fallback"}`).want(201)
	list := p.call("GET", all, "").want(200)
	for i, want := range []string{"dead", "empty", "good", "sure"} {
		at := fmt.Sprintf("credentials.%d.", i)
		if list.text(at+"name") != want || list.text(at+"warning") != "" {
			t.Errorf("credential %d: %s", i, list.body)
		}
	}
	// The dead one comes first in order, and is passed over without a call.
	if a := p.chat(luna, "hi", "").want(200); a.header.Get("Waybill-Attempts") != "1" || a.header.Get("Waybill-Credential") != "byok" {
		t.Errorf("%v", a.header)
	}
	one := all + "/" + dead.text("id")
	if a := p.call("POST", one+"/check", "").want(200); a.text("state") != "dead" || a.text("warning") == "" {
		t.Errorf("%s", a.body)
	}
	if a := p.call("POST", one+"/rotate", `{"secret":"sk-new"}`).want(200); a.text("state") != "ok" || a.get("failing_since") != nil || a.text("warning") != "" {
		t.Errorf("%s", a.body)
	}
	calls := n.calls("sk-new")
	p.chat(luna, "hi", "").want(200)
	if n.calls("sk-new") != calls+1 {
		t.Error("a credential that is good again is not called")
	}
	n.as(operatorToken).call("POST", "/api/v1/platform/credentials/"+good.text("id")+"/check", "").want(404)
	p.call("POST", all+"/cred_none/check", "").want(404)
}

// A new secret is tried at once, though the upstream was found to be down with the former one. That the former is checked and taken
// says nothing of that.
func TestRotationClosesBreakers(t *testing.T) {
	n := newNode(t, nil)
	_, admin := n.open("acme", "teams", "admin", "inference")
	p, op := n.as(admin), n.as(operatorToken)
	for _, c := range []struct {
		p    person
		path string
	}{{op, "/api/v1/platform/credentials"}, {p, "/api/v1/orgs/acme/credentials"}} {
		name := c.p.call("POST", c.path, `{"provider":"openai","name":"down","secret":"sk-former","order":-1}`).want(201).text("id")
		t.Run(c.path, func(t *testing.T) {
			up := n.up.Script("openai", "gpt-6-luna", sandbox.Script{Fail: sandbox.ServerError})
			for range 4 {
				p.chat(luna, "hi", "")
			}
			up()
			p.chat(luna, "hi", "").want(503)
			c.p.call("POST", c.path+"/"+name+"/check", "").want(200)
			p.chat(luna, "hi", "").want(503)
			c.p.call("POST", c.path+"/"+name+"/rotate", `{"secret":"sk-latter"}`).want(200)
			p.chat(luna, "hi", "").want(200)
		})
	}
}

// calls counts the calls upstream with a secret.
func (n *node) calls(secret string) (count int) {
	for _, c := range n.up.Calls() {
		if c.Key == sandbox.Fingerprint(secret) {
			count++
		}
	}
	return count
}

// What an owner has agreed to spend on a credential is drawn down at list cost.
func TestCommitment(t *testing.T) {
	n := newNodeAt(t, midday(), nil)
	_, admin := n.open("acme", "teams", "admin", "inference")
	p := n.as(admin)
	const all = "/api/v1/orgs/acme/credentials"
	a := p.call("POST", all, `{"provider":"openai","name":"ours","secret":"sk-good","commitment":{"amount_usd":"50000","until":"2027-01-01T00:00:00Z"}}`).want(201)
	one := all + "/" + a.text("id")
	shows := func(a answer, amount, drawn, left string) {
		t.Helper()
		if a.text("commitment.amount_usd") != amount || a.text("commitment.drawn_usd") != drawn || a.text("commitment.left_usd") != left {
			t.Errorf("%s", a.body)
		}
	}
	shows(a, "50000.000000", "0.000000", "50000.000000")
	p.chat(luna, "[[sandbox input=1000 output=100]]", "").want(200)
	shows(p.call("GET", one, "").want(200), "50000.000000", "0.000150", "49999.999850")
	shows(p.call("PUT", one+"/commitment", `{"amount_usd":"100"}`).want(200), "100.000000", "0.000000", "100.000000")
	shows(p.call("DELETE", one+"/commitment", "").want(200), "", "", "")
	p.call("PUT", one+"/commitment", `{"amount_usd":"0"}`).want(400)
	p.call("PUT", one+"/commitment", `{"amount_usd":"1","until":"2020-01-01T00:00:00Z"}`).want(400)
	p.call("POST", all, `{"provider":"openai","name":"x","secret":"sk-x","commitment":{"until":"2027-01-01T00:00:00Z"}}`).want(400)
	n.as(operatorToken).call("PUT", "/api/v1/platform/credentials/"+a.text("id")+"/commitment", `{"amount_usd":"1"}`).want(404)
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
