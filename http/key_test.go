package http_test

import (
	"crypto/rand"
	"strings"
	"testing"

	wbhttp "waybill/http"
)

func TestKey(t *testing.T) {
	key, err := wbhttp.NewKey(rand.Reader)
	if err != nil || !strings.HasPrefix(key, "wbk_") || len(key) != 40 || !wbhttp.Valid(key) {
		t.Fatalf("key %q: %v", key, err)
	}
	// The form is for ever: secret scanners and other programs know it.
	fixed, err := wbhttp.NewKey(strings.NewReader(strings.Repeat("\x00\x01\x02\xff\x3d", 64)))
	if err != nil || fixed != "wbk_012z012z012z012z012z012z012z012frSyK" {
		t.Errorf("key of fixed bytes: %q, %v", fixed, err)
	}
	for i := range key {
		for _, c := range "09AZaz-" {
			if wrong := key[:i] + string(c) + key[i+1:]; wrong != key && wbhttp.Valid(wrong) {
				t.Errorf("%q is taken for a key", wrong)
			}
		}
	}
	for _, wrong := range []string{"", "wbk_", key[1:], key + "0", strings.ToUpper(key)} {
		if wbhttp.Valid(wrong) {
			t.Errorf("%q is taken for a key", wrong)
		}
	}
	if _, err := wbhttp.NewKey(strings.NewReader("too few")); err == nil {
		t.Error("a key of too few random bytes")
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
	for _, c := range [][2]string{{`[]`, "body: must be an object, and is a list"}, {`{"name":5}`, "name: must be a string, and is a number"}, {`{"models":"all"}`, "models: must be a list, and is a string"},
		{`{"name":"x","requests_per_minute":5.5}`, "requests_per_minute: must be a whole number, and is 5.5"}, {`{"name":"x","caps":[{"units":"usd"}]}`, "units: is not a field of this request"}} {
		if p := op.call("POST", "/api/v1/orgs/acme/keys", c[0]).want(400); p.text("detail") != c[1] {
			t.Errorf("%s: %s", c[0], p.body)
		}
	}
	one := "/api/v1/orgs/acme/keys/" + first.text("id")
	if p := op.call("PATCH", one, `{"caps":[{"unit":"usd","amount":"5","window":"day","per":"key"}]}`).want(400); p.text("detail") != "per: is not a field of this request" {
		t.Errorf("%s", p.body)
	}
	if p := op.call("POST", "/api/v1/orgs/acme/keys", `{"name":"x","expires_at":"soon"}`).want(400); p.text("field") != "expires_at" {
		t.Errorf("%s", p.body)
	}
}
