package http_test

import (
	"strings"
	"testing"
)

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
