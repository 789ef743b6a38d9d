package http_test

import (
	"fmt"
	"testing"
)

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
