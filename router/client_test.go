package router_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"waybill/router"
)

// A redirect is an answer like any other: to follow it would show the credential to whoever is named there.
func TestClientFollowsNoRedirect(t *testing.T) {
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path)
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	defer s.Close()
	c := router.NewClient(time.Second)
	defer c.CloseIdleConnections()
	resp, err := c.Post(s.URL+"/here", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusTemporaryRedirect || len(asked) != 1 {
		t.Errorf("status %d after %q: want the redirect itself", resp.StatusCode, asked)
	}
}

// A proxy in the environment would see every prompt.
func TestClientUsesNoProxy(t *testing.T) {
	if p := router.NewClient(time.Second).Transport.(*http.Transport).Proxy; p != nil {
		t.Error("the client asks for a proxy")
	}
}
