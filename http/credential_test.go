package http_test

import (
	"fmt"
	"testing"

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
