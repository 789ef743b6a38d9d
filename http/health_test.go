package http_test

import (
	"net/http"
	"strings"
	"testing"

	"waybill/ledger"
)

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
