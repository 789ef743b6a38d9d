package http_test

import (
	"testing"
)

// What a key may spend is set, changed and shown with how far it is used up; what it may not be is said by its field.
func TestCapsOfAKey(t *testing.T) {
	n := newNode(t, nil)
	_, admin := n.open("acme", "teams", "admin", "inference")
	const all = "/api/v1/orgs/acme/keys"
	a := n.as(admin).call("POST", all, `{"name":"app","caps":[{"unit":"usd","amount":"5.00","window":"day"},{"unit":"tok","amount":1000000,"window":"lifetime"}],"requests_per_minute":600}`).want(201)
	id, secret := a.text("id"), a.text("key")
	if a.text("caps.0.amount") != "5.000000" || a.text("caps.0.left") != "5.000000" || a.get("caps.0.resets_at") == nil ||
		a.get("caps.1.amount") != 1e6 || a.get("caps.1.resets_at") != nil || a.get("requests_per_minute") != 600.0 {
		t.Errorf("%s", a.body)
	}
	n.as(secret).chat(luna, "[[sandbox input=1000 output=100]]", `,"max_completion_tokens":200`).want(200)
	if k := n.as(admin).call("GET", all+"/"+id, "").want(200); k.text("caps.0.spent") != "0.000150" || k.get("caps.1.spent") != 1100.0 || k.text("caps.0.held") != "0.000000" {
		t.Errorf("%s", k.body)
	}
	k := n.as(admin).call("PATCH", all+"/"+id, `{"caps":[{"unit":"usd","amount":"0.0002","window":"day"}],"tokens_per_minute":9}`).want(200)
	if k.text("caps.0.spent") != "0.000150" || k.get("caps.1") != nil || k.get("requests_per_minute") != 600.0 || k.get("tokens_per_minute") != 9.0 {
		t.Errorf("%s", k.body)
	}
	k = n.as(admin).call("PATCH", all+"/"+id, `{"name":"application"}`).want(200)
	if k.text("caps.0.amount") != "0.000200" || k.get("tokens_per_minute") != 9.0 {
		t.Errorf("another change took the limits away: %s", k.body)
	}
	if k = n.as(admin).call("PATCH", all+"/"+id, `{"caps":[]}`).want(200); k.get("caps.0") != nil {
		t.Errorf("%s", k.body)
	}
	for body, field := range map[string]string{
		`{"caps":[{"unit":"eur","amount":"5","window":"day"}]}`:     "caps.0.unit",
		`{"caps":[{"unit":"usd","amount":"five","window":"day"}]}`:  "caps",
		`{"caps":[{"unit":"usd","amount":"1e999","window":"day"}]}`: "caps.0.amount",
		`{"caps":[{"unit":"tok","amount":1.5,"window":"day"}]}`:     "caps.0.amount",
		`{"caps":[{"unit":"tok","amount":1,"window":"year"}]}`:      "",
		`{"requests_per_minute":-1}`:                                "",
	} {
		if p := n.as(admin).call("PATCH", all+"/"+id, body).want(400); p.text("field") != field {
			t.Errorf("%s: %s", body, p.body)
		}
	}
	p := n.as(operatorToken).call("POST", "/api/v1/plans", `{"id":"small","lanes":["auto"],"pool":["openai/gpt-6-luna"],"requests_per_minute":60,"tokens_per_minute":1000}`).want(201)
	if p.text("pool.0") != luna || p.get("requests_per_minute") != 60.0 || p.get("tokens_per_minute") != 1000.0 {
		t.Errorf("%s", p.body)
	}
}
