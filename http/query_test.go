package http_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/csv"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	wbhttp "waybill/http"
)

// The operator asks the public views, and nothing else, in SQL.
func TestSQL(t *testing.T) {
	n := newNode(t, nil)
	org, key := n.open("acme", "teams", "inference", "admin")
	n.as(key).chat(luna, "hi", "").want(200)
	op := n.as(operatorToken)
	a := op.call("POST", "/api/v1/sql", `{"query":"SELECT org, state, charge_nano, 0.5 AS half, x'0fff' AS raw, null AS none, 9e999 AS endless FROM requests"}`).want(200)
	if a.text("columns.0") != "org" || a.text("rows.0.0") != org || a.text("rows.0.1") != "settled" || a.get("rows.0.2") != 0.0 || a.get("rows.0.3") != 0.5 ||
		a.text("rows.0.4") != "0fff" || a.get("rows.0.5") != nil || a.text("rows.0.6") != "+Inf" || a.get("rows.1") != nil {
		t.Errorf("%s", a.body)
	}
	for query, says := range map[string]string{
		``: "is empty", `SELEC 1`: "syntax error", `SELECT value FROM log.node`: "and nothing else", `WITH lots AS (SELECT data FROM log.state) SELECT data FROM lots`: "and nothing else",
		`DELETE FROM events`: "query", `SELECT position FROM events; DROP TABLE log.events`: "query", `SELECT randomblob(1000000000)`: "too big",
	} {
		if p := op.call("POST", "/api/v1/sql", mustJSON(t, map[string]any{"query": query})).want(400); p.text("field") != "query" || !strings.Contains(p.text("detail"), says) {
			t.Errorf("%s: %s", query, p.body)
		}
	}
	if p := op.call("POST", "/api/v1/sql", `{"query":"SELECT position FROM events","limit":2}`).want(400); !strings.Contains(p.text("detail"), "more rows than the limit") {
		t.Errorf("%s", p.body)
	}
	op.call("POST", "/api/v1/sql", `{"query":"SELECT 1","limit":100001}`).want(400)
	n.as(key).call("POST", "/api/v1/sql", `{"query":"SELECT 1"}`).want(403)
	n.as("").call("POST", "/api/v1/sql", `{"query":"SELECT 1"}`).want(401)
}

// An org gets its own traces as a file, in each format.
func TestExport(t *testing.T) {
	n := newNode(t, nil)
	org, key := n.open("acme", "teams", "inference", "admin")
	n.as(key).chat(luna, "hi", "").want(200)
	const path = "/api/v1/orgs/acme/export"
	file := filepath.Join(t.TempDir(), "acme.db")
	n.must(os.WriteFile(file, n.as(key).call("GET", path, "").want(200).body, 0o600))
	db, err := sql.Open("sqlite", file)
	n.must(err)
	defer db.Close()
	var state string
	n.must(db.QueryRow("SELECT state FROM requests WHERE org = ?", org).Scan(&state))
	if state != "settled" {
		t.Errorf("state %s", state)
	}
	rows, err := csv.NewReader(bytes.NewReader(n.as(key).call("GET", path+"?format=csv&table=entries", "").want(200).body)).ReadAll()
	if err != nil || len(rows) < 2 || rows[0][0] != "position" {
		t.Errorf("%v: %v", err, rows)
	}
	if a := n.as(key).call("GET", path+"?format=sql&dialect=postgres", "").want(200); !bytes.Contains(a.body, []byte("BIGINT")) || !bytes.HasSuffix(a.body, []byte("COMMIT;\n")) {
		t.Errorf("%.200s", a.body)
	}
	if a := n.as(key).call("GET", path+"?format=jsonl&since=2100-01-01T00:00:00Z", "").want(200); bytes.Contains(a.body, []byte(`"table":"requests"`)) {
		t.Errorf("%.200s", a.body)
	}
	for query, says := range map[string]string{"?format=parquet": "there are sql", "?format=csv&table=node": "one of events", "?format=sql&dialect=oracle": "there are sqlite", "?since=soon": "since"} {
		if p := n.as(key).call("GET", path+query, "").want(400); !strings.Contains(string(p.body), says) || p.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %v %s", query, p.header, p.body)
		}
	}
}

// slow are tables whose exports wait to be read on.
type slow struct {
	wbhttp.Tables
	begun chan struct{}
	read  chan struct{}
}

func (s slow) Export(ctx context.Context, w io.Writer, e wbhttp.ExportQuery) error {
	s.begun <- struct{}{}
	<-s.read
	return s.Tables.Export(ctx, w, e)
}

// An org whose exports are read slowly has one place of the few that there are, and leaves the others to others.
func TestExportsOfAnOrg(t *testing.T) {
	s := slow{begun: make(chan struct{}), read: make(chan struct{})}
	n := newNode(t, func(o *wbhttp.Options) { s.Tables, o.Tables = o.Tables, &s })
	_, key := n.open("acme", "teams", "admin")
	_, other := n.open("other", "teams", "admin")
	done := make(chan int, 2)
	get := func(key, org string) { done <- n.as(key).call("GET", "/api/v1/orgs/"+org+"/export", "").status }
	go get(key, "acme")
	<-s.begun
	if a := n.as(key).call("GET", "/api/v1/orgs/acme/export", "").want(503); !strings.Contains(a.text("detail"), "one at a time") {
		t.Errorf("%s", a.body)
	}
	go get(other, "other")
	<-s.begun
	close(s.read)
	if a, b := <-done, <-done; a != 200 || b != 200 {
		t.Errorf("status %d and %d", a, b)
	}
	go get(key, "acme")
	<-s.begun
	if a := <-done; a != 200 {
		t.Errorf("afterwards: status %d", a)
	}
}
