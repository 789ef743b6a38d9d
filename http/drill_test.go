package http_test

import (
	"io"
	"strings"
	"testing"
)

// A drill is the operator's to record; the latest is shown, and measured.
func TestDrills(t *testing.T) {
	n := newNode(t, nil)
	op := n.as(operatorToken)
	_, admin := n.open("acme", "teams", "inference", "admin")
	op.call("GET", "/api/v1/drills/latest", "").want(404)
	n.as(admin).call("POST", "/api/v1/drills", `{"position":7,"ok":true}`).want(403)
	n.as(admin).call("GET", "/api/v1/drills/latest", "").want(403)
	for _, body := range []string{
		`{"position":7,"ok":true,"failure":"unreachable"}`, `{"position":7}`, `{"position":7,"failure":"the disk of Jane Doe"}`,
		`{"position":-1,"ok":true}`, `{"ok":true,"duration_ns":-5}`, `{"ok":true,"when":"now"}`,
	} {
		if a := op.call("POST", "/api/v1/drills", body); a.status < 400 || a.status > 499 {
			t.Errorf("%s: status %d", body, a.status)
		}
	}
	op.call("POST", "/api/v1/drills", `{"position":7,"ok":true,"events_behind":3,"duration_ns":1500000000}`).want(201)
	first := op.with("Idempotency-Key", "drill-1").call("POST", "/api/v1/drills", `{"failure":"unreachable","duration_ns":5}`).want(201).text("at")
	if again := op.with("Idempotency-Key", "drill-1").call("POST", "/api/v1/drills", `{"failure":"unreachable","duration_ns":5}`).want(201).text("at"); again != first {
		t.Errorf("asked again it is another: %s, was %s", again, first)
	}
	op.with("Idempotency-Key", "drill-1").call("POST", "/api/v1/drills", `{"failure":"empty","duration_ns":5}`).want(409)
	if a := op.call("GET", "/api/v1/drills/latest", "").want(200); a.text("failure") != "unreachable" || a.get("ok") != false || a.text("at") != first {
		t.Errorf("the latest is %s", a.body)
	}
	resp := op.send("GET", "/metrics", nil)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(text), "\nwaybill_drill_ok 0\n") || !strings.Contains(string(text), "\nwaybill_log_epoch 1\n") {
		t.Errorf("metrics: %s, %v", text, err)
	}
}
