package http_test

import (
	"net/http"
	"strings"
	"testing"

	wbhttp "waybill/http"
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

// Everybody is told of which file a replica is, the operator where it is.
func TestHealthOfReplicas(t *testing.T) {
	n := newNode(t, func(o *wbhttp.Options) {
		o.Replicas = func() wbhttp.Replication {
			return wbhttp.Replication{Replicas: []wbhttp.Replica{{Path: "/srv/data/waybill.db", Replica: "s3://bucket/log"}, {Path: "/srv/data/vault.db", Replica: "s3://bucket/vault"}}}
		}
	})
	a := n.as("").call("GET", "/healthz", "").want(200)
	if a.text("replication.0.file") != "waybill.db" || a.text("replication.1.file") != "vault.db" || strings.Contains(string(a.body), "srv") || strings.Contains(string(a.body), "bucket") {
		t.Errorf("%s", a.body)
	}
	if a := n.as(operatorToken).call("GET", "/healthz", "").want(200); a.text("replication.0.file") != "/srv/data/waybill.db" || a.text("replication.1.replica") != "s3://bucket/vault" {
		t.Errorf("%s", a.body)
	}
}
