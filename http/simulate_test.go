package http_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	wbhttp "waybill/http"
	"waybill/ledger"
)

const simulatePath = "/api/v1/orgs/acme/policy/simulate"

// Past requests are decided again by the policies of the time, with what they said of themselves, and by others.
func TestSimulate(t *testing.T) {
	n := newNode(t, nil)
	_, admin := n.open("acme", "teams", "admin", "inference")
	_, other := n.open("beta", "teams", "admin")
	p := n.as(admin)
	p.call("PUT", policyPath, "routes:\n  - {name: red, when: {metadata: {team: red}}, try: [{model: openai/gpt-6-sol}]}\n").want(200)
	for _, team := range []string{"red", "blue", ""} {
		q := p
		if team != "" {
			q = p.with("Waybill-Metadata", "team="+team)
		}
		q.chat(luna, "[[sandbox input=600 output=400]]", "").want(200)
	}
	n.open("gamma", "teams") // what others do is not in the way
	p.call("PUT", policyPath, "{}").want(200)
	if a := p.call("POST", simulatePath, "").want(200); a.get("recorded") != true || a.get("requests") != 3.0 || a.get("same") != 3.0 || a.get("undecided") != 0.0 ||
		a.text("before.list_cost_usd") != "0.005720" || a.text("after.list_cost_usd") != "0.005720" || a.get("changes.0") != nil {
		t.Errorf("%s", a.body)
	}
	// Under the defaults the red one is served by what it asked for, sol at 1200 + 4000 millionths of a dollar by luna at 60 + 200.
	for _, body := range []string{`{"document":"{}"}`, `{"document":{}}`, `{"document":{},"since":"1h"}`, `{"document":{},"since":"1"}`, `{"document":{},"since":"1500-01-01"}`, fmt.Sprintf(`{"document":{},"since":%q}`, time.Now().UTC().Format(time.DateOnly))} {
		a := p.call("POST", simulatePath, body).want(200)
		if a.get("recorded") != false || a.get("same") != 2.0 || a.get("different") != 1.0 || a.text("after.list_cost_usd") != "0.000780" || a.text("changes.0.from_route") != "red" ||
			a.text("changes.0.from.0.model") != "openai/gpt-6-sol" || a.text("changes.0.to.0.model") != luna || a.text("changes.0.to.0.credential") != "platform" {
			t.Errorf("%s: %s", body, a.body)
		}
	}
	if a := p.call("POST", simulatePath, `{"document":{"routes":[{"when":{"metadata":{"team":"blue"}},"refuse":"no"}]}}`).want(200); a.get("different") != 2.0 || a.text("refused.0.code") != "policy_forbids" {
		t.Errorf("%s", a.body)
	}
	if _, err := n.store.EraseNotes(t.Context(), n.orgOf("acme")); err != nil {
		t.Fatal(err)
	}
	if a := p.call("POST", simulatePath, `{}`).want(200); a.get("same") != 0.0 || a.get("undecided") != 3.0 || a.get("before.requests") != 0.0 {
		t.Errorf("without notes: %s", a.body)
	}
	if a := p.call("POST", simulatePath, `{"document":{}}`).want(200); a.get("undecided") != 0.0 || a.get("different") != 1.0 {
		t.Errorf("without notes, by a policy that reads none: %s", a.body)
	}
	for body, field := range map[string]string{`{"since":"soon"}`: "since", `{"since":"-4h"}`: "since", `{"since":"0d"}`: "since", `{"since":"2200-01-01"}`: "since", `{"since":"1000000"}`: "since", `{"document":7}`: "document", `{"document":"routes: 4"}`: "document",
		`{"document":"routes: [{try: [{model: gpt-6-luna, credential: byok/none}]}]"}`: "document", `{"doc":{}}`: "doc"} {
		if a := p.call("POST", simulatePath, body).want(400); a.text("field") != field {
			t.Errorf("%s: %s", body, a.body)
		}
	}
	n.as(other).call("POST", simulatePath, "{}").want(404)
	n.as("").call("POST", simulatePath, "{}").want(401)
	_, plain := n.open("delta", "teams")
	n.as(plain).call("POST", strings.Replace(simulatePath, "acme", "delta", 1), "{}").want(403)
	n.as(operatorToken).call("POST", simulatePath, "{}").want(200)
}

// orgOf is the id of an org by its name.
func (n *node) orgOf(name string) string {
	n.t.Helper()
	return n.as(operatorToken).call("GET", "/api/v1/orgs/"+name, "").want(200).text("id")
}

// slowLog is a log whose replays stop half-way.
type slowLog struct {
	wbhttp.Log
	began chan struct{}
	goOn  chan struct{}
}

func (l slowLog) Replay(ctx context.Context, org string, from uint64, decide, follow func(*ledger.State, *ledger.Record) error, passed func(uint64)) error {
	passed(7)
	l.began <- struct{}{}
	select {
	case <-l.goOn:
		return l.Log.Replay(ctx, org, from, decide, follow, passed)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// An org has one simulation at a time, and a node a few; it tells how far each is, and does everything else meanwhile.
func TestSimulateOneAtATime(t *testing.T) {
	slow := slowLog{began: make(chan struct{}), goOn: make(chan struct{})}
	n := newNode(t, func(o *wbhttp.Options) { slow.Log = o.Log; o.Log = slow })
	_, admin := n.open("acme", "teams", "admin", "inference")
	_, other := n.open("beta", "teams", "admin")
	p := n.as(admin)
	of := func(org string) string { return strings.Replace(simulatePath, "acme", org, 1) }
	done := make(chan int)
	simulate := func(org string) {
		go func() { done <- n.as(operatorToken).call("POST", of(org), "").status }()
		<-slow.began
	}
	simulate("acme")
	if a := p.call("GET", simulatePath, "").want(200); a.get("running") != true || a.get("position") != 7.0 || a.get("head").(float64) < 7 {
		t.Errorf("%s", a.body)
	}
	if a := n.as(other).call("GET", of("beta"), "").want(200); a.get("running") != false || a.get("position") != 0.0 {
		t.Errorf("of another org's: %s", a.body)
	}
	for _, org := range []string{"gamma", "delta", "epsilon"} {
		n.open(org, "teams")
		simulate(org)
	}
	for _, org := range []string{"acme", "beta"} { // which has one, and for which no turn is left
		if a := n.as(operatorToken).call("POST", of(org), "{}").want(503); a.text("code") != "not_ready" || a.header.Get("Retry-After") == "" {
			t.Errorf("%s", a.body)
		}
	}
	p.chat(luna, "hello", "").want(200)
	close(slow.goOn)
	for range 4 {
		if status := <-done; status != 200 {
			t.Errorf("status %d", status)
		}
	}
	go func() { <-slow.began }()
	n.as(other).call("POST", of("beta"), "{}").want(200)
	if a := p.call("GET", simulatePath, "").want(200); a.get("running") != false {
		t.Errorf("%s", a.body)
	}
}

// A caller who leaves ends the simulation, and the next may have one.
func TestSimulateLeft(t *testing.T) {
	slow := slowLog{began: make(chan struct{}), goOn: make(chan struct{})}
	n := newNode(t, func(o *wbhttp.Options) { slow.Log = o.Log; o.Log = slow })
	_, admin := n.open("acme", "teams", "admin")
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		req, _ := http.NewRequestWithContext(ctx, "POST", n.url+simulatePath, nil)
		req.Header.Set("Authorization", "Bearer "+admin)
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
		}
	}()
	<-slow.began
	leave()
	close(slow.goOn)
	for { // until the node has seen that its caller left
		again := make(chan int, 1)
		go func() { again <- n.as(admin).call("POST", simulatePath, "").status }()
		select {
		case <-slow.began:
			if status := <-again; status != 200 {
				t.Errorf("status %d", status)
			}
			return
		case status := <-again:
			if status != 503 {
				t.Fatalf("status %d", status)
			}
		}
	}
}
