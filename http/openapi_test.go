package http_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	wbhttp "waybill/http"
	"waybill/router"
)

// The description has every route and nothing else, refers to nothing that is not there, and its shapes are those that
// are answered.
func TestOpenAPI(t *testing.T) {
	n := newNode(t, nil)
	a := n.as("").call("GET", "/api/v1/openapi.json", "").want(200)
	var doc struct {
		Paths map[string]map[string]struct {
			Summary    string
			Parameters []struct{ Name, In string }
		}
		Components struct {
			Schemas map[string]struct {
				Properties map[string]any
				Required   []string
			}
		}
	}
	n.must(json.Unmarshal(a.body, &doc))
	described := map[string]bool{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			described[strings.ToUpper(method)+" "+path] = true
			if op.Summary == "" {
				t.Errorf("%s %s says nothing of itself", method, path)
			}
			if path == "/api/v1/events/tail" {
				continue // would not end
			}
			if a := n.as(operatorToken).call(strings.ToUpper(method), fill(path, "nobody", "nothing"), ""); a.status == 405 {
				t.Errorf("%s %s is described, and not served", method, path)
			}
		}
	}
	var headers []string
	for _, p := range doc.Paths["/v1/messages"]["post"].Parameters {
		headers = append(headers, p.Name)
	}
	if want := append([]string{"Idempotency-Key"}, router.NarrowHeaders...); !slices.Equal(headers, want) {
		t.Errorf("a call's headers are %v, not %v", headers, want)
	}
	for _, r := range wbhttp.Table() {
		if path := r.Method + " " + regexp.MustCompile(`:[^}]*}`).ReplaceAllString(r.Path, "}"); !described[path] {
			t.Errorf("%s is served, and not described", path)
		}
	}
	for _, ref := range regexp.MustCompile(`#/components/schemas/(\w+)`).FindAllStringSubmatch(string(a.body), -1) {
		if _, ok := doc.Components.Schemas[ref[1]]; !ok {
			t.Errorf("schema %s is referred to, and not there", ref[1])
		}
	}
	n.open("acme", "teams")
	for path, shape := range map[string]string{"/api/v1/orgs/acme": "org", "/api/v1/orgs/acme/balance": "balance", "/api/v1/orgs/acme/requests": "traces", "/api/v1/events": "events"} {
		var v map[string]any
		n.must(json.Unmarshal(n.as(operatorToken).call("GET", path, "").want(200).body, &v))
		s := doc.Components.Schemas[shape]
		for name := range v {
			if _, ok := s.Properties[name]; !ok {
				t.Errorf("%s answers %s, which schema %s has not", path, name, shape)
			}
		}
		for _, name := range s.Required {
			if _, ok := v[name]; !ok {
				t.Errorf("%s does not answer %s, which schema %s requires", path, name, shape)
			}
		}
	}
}
