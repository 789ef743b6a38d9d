package main

import (
	"strings"
	"testing"
)

// A node looks after its credentials by itself, from its start on, and that ends with it.
func TestServeChecksCredentials(t *testing.T) {
	s := newSite(t)
	s.env = append(s.env, "OPENAI_API_KEY=sk-sandbox-fail-invalid-key")
	_, stop := s.serve()
	var list string
	until(t, "the platform's credentials are checked", func() bool {
		list = s.must("credential", "list", "platform")
		return !strings.Contains(list, "unchecked")
	})
	if strings.Count(list, " ok ") != 2 || !strings.Contains(list, "dead (invalid_api_key), failing since") {
		t.Errorf("%s", list)
	}
	if status := stop(); status != exitOK {
		t.Errorf("the node ended with status %d", status)
	}
}
