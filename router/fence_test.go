package router_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"waybill/ledger"
	"waybill/router"
	"waybill/router/routertest"
)

// private are hosts behind which no org may look, by why. Each is to be refused when it is looked at and when it is dialled.
var private = map[string][]string{
	"unspecified":    {"0.0.0.0", "0.1.2.3", "[::]", "[::ffff:0.0.0.0]"},
	"loopback":       {"127.0.0.1", "127.255.255.254", "[::1]", "localhost", "localhost."},
	"private":        {"10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.254", "192.168.0.1", "[fc00::1]", "[fd12:3456::1]"},
	"shared":         {"100.64.0.1", "100.127.255.255", "100.100.100.200"},
	"link-local":     {"169.254.0.1", "[fe80::1]", "[fe80::1%25lo]", "[fe80::1%25eth0]", "[fec0::1]"},
	"metadata":       {"169.254.169.254", "169.254.170.2", "168.63.129.16", "192.0.0.192", "[fd00:ec2::254]", "[fd20:ce::254]", "[::ffff:169.254.169.254]"},
	"multicast":      {"224.0.0.1", "239.255.255.250", "[ff02::1]", "[ff0e::1]"},
	"reserved":       {"240.0.0.1", "255.255.255.255", "192.0.0.8", "198.18.0.1", "198.19.255.255", "[100::1]", "[5f00::1]", "[4000::1]"},
	"documentation":  {"192.0.2.1", "198.51.100.7", "203.0.113.9", "[2001:db8::1]", "[3fff::1]"},
	"mapped":         {"[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:10.0.0.1]", "[0:0:0:0:0:ffff:c0a8:1]"},
	"compatible":     {"[::127.0.0.1]", "[::7f00:1]", "[::8.8.8.8]"},
	"NAT64":          {"[64:ff9b::127.0.0.1]", "[64:ff9b::a00:1]", "[64:ff9b::169.254.169.254]", "[64:ff9b:1::8.8.8.8]"},
	"6to4":           {"[2002:7f00:1::]", "[2002:a00:1::1]", "[2002:808:808::1]", "192.88.99.1"},
	"Teredo":         {"[2001:0:4136:e378:8000:63bf:3fff:fdd2]", "[2001:10::1]"},
	"other forms":    {"127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "127.0.0.1.", "127.0.0.01", "①②⑦.⓪.⓪.①", "127。0。0。1"},
	"names":          {"private.example", "PRIVATE.example.", "both.example", "six.example", "mapped.example", "metadata.example", "intranet", "none.example"},
	"no host at all": {"", ".", "..", "%31%32%37.0.0.1"},
}

var known = routertest.Names{
	"private.example.":  {routertest.Addrs("10.1.2.3")},
	"both.example.":     {routertest.Addrs("127.0.0.1", "192.168.7.7", "::1")},
	"six.example.":      {routertest.Addrs("fd00::7", "fe80::7")},
	"mapped.example.":   {routertest.Addrs("::ffff:127.0.0.1", "64:ff9b::7f00:1")},
	"metadata.example.": {routertest.Addrs("169.254.169.254")},
	"public.example.":   {routertest.Addrs("8.8.8.8", "2606:4700::1111")},
	"mixed.example.":    {routertest.Addrs("127.0.0.1", "8.8.8.8")},
	"rebound.example.":  {routertest.Addrs("127.0.0.1"), routertest.Addrs("127.0.0.2")},
	"twin.example.":     {routertest.Addrs("127.0.0.2", "127.0.0.1")},
}

// Nothing private is reached, in whatever form it is written: neither when a base URL is looked at, nor by a call to it.
func TestFence(t *testing.T) {
	f := router.NewFence(nil, known.Resolver(t), time.Second)
	inputs := 0
	for why, hosts := range private {
		for _, host := range hosts {
			inputs++
			bare := strings.ReplaceAll(strings.Trim(host, "[]"), "%25", "%")
			if err := f.Look(t.Context(), bare); !errors.Is(err, router.ErrFenced) {
				t.Errorf("%s: %q is let through: %v", why, host, err)
			}
			reached := errors.New("connected")
			for _, scheme := range []string{"https", "http"} {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, scheme+"://"+host+":9/v1", nil)
				if err != nil {
					continue // there is no such address
				}
				resp, err := f.Client.Do(req)
				if err == nil {
					resp.Body.Close()
					err = reached
				}
				if !errors.Is(err, router.ErrFenced) && !strings.Contains(err.Error(), "no Host in request URL") {
					t.Errorf("%s: a call to %q is not refused, but ends by %v", why, host, err)
				}
			}
		}
	}
	if inputs < 60 {
		t.Errorf("%d inputs", inputs)
	}
	for _, host := range []string{"8.8.8.8", "1.1.1.1", "2606:4700::1111", "2a00:1450::1", "64:ff9b::8.8.8.8", "::ffff:8.8.8.8", "public.example", "mixed.example", "172.32.0.1", "100.128.0.1", "223.255.255.255"} {
		if err := f.Look(t.Context(), host); err != nil {
			t.Errorf("%s is refused: %v", host, err)
		}
	}
}

// on serves what n counts the calls to, on an address of this machine.
func on(t *testing.T, addr string, n *atomic.Int64) (port string) {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Skipf("no second loopback address on this machine: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		if r.URL.Path == "/redirects" {
			http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusTemporaryRedirect)
		}
	}))
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	_, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// A name is judged by what it stands for when the connection is made, by each address that it has, and by no redirect or proxy.
func TestFenceWhereConnectionsAreMade(t *testing.T) {
	var allowed, forbidden atomic.Int64
	port := on(t, "127.0.0.1:0", &allowed)
	on(t, "127.0.0.2:"+port, &forbidden)
	t.Setenv("HTTP_PROXY", "http://127.0.0.2:"+port)
	t.Setenv("HTTPS_PROXY", "http://127.0.0.2:"+port)
	f := router.NewFence([]netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, known.Resolver(t), time.Second)
	f.Client.Transport.(*http.Transport).DisableKeepAlives = true
	get := func(url string) error {
		resp, err := f.Client.Get(url)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	if err := f.Look(t.Context(), "rebound.example"); err != nil {
		t.Errorf("an address that the operator allows: %v", err)
	}
	if err := get("http://rebound.example:" + port); !errors.Is(err, router.ErrFenced) {
		t.Errorf("a name that stands for another address by the time of the call: %v", err)
	}
	if err := get("http://twin.example:" + port); err != nil || allowed.Load() != 1 {
		t.Errorf("the second address of a name is not called: %v", err)
	}
	if err := get("http://127.0.0.1:" + port + "/redirects?to=http://127.0.0.2:" + port); err != nil {
		t.Error(err)
	}
	if n := forbidden.Load(); n != 0 {
		t.Errorf("%d calls where there should be none", n)
	}
	// The address is what counts, not the way by which it is called.
	if _, err := f.Client.Transport.(*http.Transport).DialContext(t.Context(), "unix", "/run/docker.sock"); !errors.Is(err, router.ErrFenced) {
		t.Errorf("a Unix socket: %v", err)
	}
}

// Calls on an org's own credential go through the fence where the org has set the address, and only there.
func TestWhoIsFenced(t *testing.T) {
	n := newNode(t)
	n.open("org_a", "teams")
	up := n.up.BaseURL("openai")
	attach := func(org string, trusted bool, base string) *ledger.Credential {
		id := "cred_x" + string(rune('0'+n.seq.Add(1)))
		n.do(ledger.AttachCredential{Org: org, Credential: id, Provider: "openai", Fingerprint: "f", BaseURL: base, Use: ledger.UseOnly, Trusted: trusted})
		n.d.Secrets.(secrets)[id] = "sk-own"
		var c *ledger.Credential
		n.store.View(func(s *ledger.State) { c = s.Credential(id) })
		return c
	}
	for _, tt := range []struct {
		org     string
		trusted bool
		base    string
		status  ledger.CheckStatus
	}{
		{"org_a", false, up, ledger.CheckUnreachable},
		{"org_a", false, "", ledger.CheckOK}, // the operator's configuration says where
		{"org_a", true, up, ledger.CheckOK},  // the operator has set it
		{ledger.Platform, false, up, ledger.CheckOK},
	} {
		c := attach(tt.org, tt.trusted, tt.base)
		if f, err := n.d.Verify(context.Background(), ledger.By{}, c); err != nil || f.Status != tt.status || (tt.status != ledger.CheckOK) != strings.Contains(f.Message, router.ErrFenced.Error()) {
			t.Errorf("%+v: %+v, %v", tt, f, err)
		}
		if tt.org != ledger.Platform {
			n.do(ledger.DetachCredential{Org: tt.org, Credential: c.ID})
		}
	}
	attach("org_a", false, up)
	calls := len(n.up.Calls())
	a := n.ask(t.Context(), "org_a", "openai/gpt-6-luna", "hello", "")
	if a.failure == nil || len(n.up.Calls()) != calls || strings.Contains(a.failure.Message, "127.0.0.1") || !strings.Contains(a.failure.Message, "no public address") {
		t.Errorf("a call behind the fence: %+v", a.failure)
	}
}
