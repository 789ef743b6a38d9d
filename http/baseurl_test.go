package http_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	wbhttp "waybill/http"
	"waybill/router"
)

// A secret goes by TLS to a public host, or to this machine where the operator says so.
func TestBaseURL(t *testing.T) {
	n := newNode(t, nil)
	_, admin := n.open("acme", "teams", "admin")
	i := 0
	attach := func(secret, base string) int {
		i++
		return n.as(secret).call("POST", "/api/v1/orgs/acme/credentials", fmt.Sprintf(`{"provider":"openai","name":"n%d","secret":"sk","base_url":%q}`, i, base)).status
	}
	for base, want := range map[string][2]int{ // by the org's admin, by the operator
		"https://llm.example.com/v1":       {201, 201},
		"https://8.8.8.8/v1":               {201, 201},
		"http://llm.example.com/v1":        {400, 400},
		"http://127.0.0.1:9999":            {400, 201},
		"http://[::1]:9999":                {400, 201},
		"http://localhost:9999":            {400, 201},
		"https://localhost":                {400, 201},
		"https://10.0.0.7":                 {400, 201},
		"https://169.254.169.254/latest":   {400, 201},
		"https://[fd00::1]":                {400, 201},
		"https://127.1":                    {400, 201},
		"https://2130706433":               {400, 201},
		"https://0x7f.0.0.1":               {400, 201},
		"https://[::ffff:127.0.0.1]":       {400, 201},
		"https://[64:ff9b::7f00:1]":        {400, 201},
		"https://[2002:7f00:1::]":          {400, 201},
		"https://100.64.0.1":               {400, 201},
		"https://0.0.0.0":                  {400, 201},
		"https://private.example.com":      {400, 201},
		"https://unknown.example.com":      {400, 201},
		"https://[fe80::1%25eth0]":         {400, 400},
		"https://①②⑦.0.0.1":                {400, 400},
		"https://127.0.0.1%2f@example.com": {400, 400},
		"https://llm.example.com:0":        {400, 400},
		"https://llm.example.com:65536":    {400, 400},
		"https://llm.example.com:":         {400, 400},
		"https://llm.example.com?":         {400, 400},
		"https://:443":                     {400, 400},
		"https:llm.example.com":            {400, 400},
		"https://a\\@llm.example.com":      {400, 400},
		"https://llm.example.com/\tv1":     {400, 400},
		"unix:///run/docker.sock":          {400, 400},
		"http+unix://%2Frun%2Fx.sock":      {400, 400},
		"file:///etc/passwd":               {400, 400},
		"gopher://8.8.8.8":                 {400, 400},
		"//llm.example.com":                {400, 400},
		"https://intranet":                 {400, 201},
		"https://db.internal":              {400, 201},
		"https://user:pw@llm.example.com":  {400, 400},
		"https://llm.example.com?x=1":      {400, 400},
		"ftp://llm.example.com":            {400, 400},
		"llm.example.com":                  {400, 400},
		"https://":                         {400, 400},
		"https://llm.example.com/v1#there": {400, 400},
	} {
		if got := [2]int{attach(admin, base), attach(operatorToken, base)}; got != want {
			t.Errorf("%s: %v, want %v", base, got, want)
		}
	}
}

// A name that stood for a public host when it was set, and stands for this machine by now, is not called.
func TestBaseURLRebound(t *testing.T) {
	n := newNode(t, nil)
	_, admin := n.open("acme", "teams", "admin", "inference")
	a := n.as(admin).call("POST", "/api/v1/orgs/acme/credentials", `{"provider":"openai","secret":"sk-own","use":"only","base_url":"https://rebound.example.com/v1"}`).want(201)
	if a.text("state") != "unreachable" || !strings.Contains(a.text("warning"), "no public address") {
		t.Errorf("%s", a.body)
	}
	if f := n.as(admin).chat(luna, "hi", "").want(502); strings.Contains(string(f.body), "127.0.0.1") || !strings.Contains(string(f.body), "no public address") {
		t.Errorf("%s", f.body)
	}
}

// What the operator allows an org may set, and there it needs no TLS.
func TestBaseURLAllowed(t *testing.T) {
	n := newNode(t, func(o *wbhttp.Options) {
		o.Dispatcher.Fence = router.NewFence([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, nil, time.Second)
	})
	_, admin := n.open("acme", "teams", "admin", "inference")
	var calls atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	defer s.Close()
	for base, want := range map[string]int{s.URL: 201, "http://localhost:1": 201, "http://10.0.0.1": 400, "https://10.0.0.1": 400} {
		n.as(admin).call("POST", "/api/v1/orgs/acme/credentials", fmt.Sprintf(`{"provider":"openai","name":%q,"secret":"sk","base_url":%q}`, strings.NewReplacer("/", "", ":", "").Replace(base), base)).want(want)
	}
	if calls.Load() != 1 {
		t.Errorf("%d calls to what is allowed", calls.Load())
	}
}
