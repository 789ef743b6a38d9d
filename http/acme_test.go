package http_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	wbhttp "waybill/http"
)

// authority is a certificate authority that speaks as much of RFC 8555 as a client needs that proves a name by TLS-ALPN-01. It
// believes all signatures, and looks at the proof where the node listens.
type authority struct {
	t    *testing.T
	url  string
	node string // where the node listens
	key  *ecdsa.PrivateKey
	root *x509.Certificate

	mu     sync.Mutex
	name   string // that is being proved
	proved bool
	leaf   []byte // PEM
	orders int
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.root, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(a)
	t.Cleanup(s.Close)
	a.url = s.URL
	return a
}

func (a *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Replay-Nonce", rand.Text())
	at := func(path string) string { return a.url + path }
	say := func(status int, location string, v any) {
		if location != "" {
			w.Header().Set("Location", at(location))
		}
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	order := func(status string) map[string]any {
		return map[string]any{"status": status, "identifiers": []any{map[string]any{"type": "dns", "value": a.name}}, "authorizations": []string{at("/authz")}, "finalize": at("/finalize"), "certificate": at("/cert")}
	}
	state := map[bool]string{false: "pending", true: "valid"}[a.proved]
	challenge := map[string]any{"type": "tls-alpn-01", "url": at("/challenge"), "token": "a-token", "status": state}
	var said struct {
		Identifiers []struct{ Value string }
		CSR         string
	}
	var envelope struct{ Payload string }
	if json.NewDecoder(r.Body).Decode(&envelope) == nil {
		b, _ := base64.RawURLEncoding.DecodeString(envelope.Payload)
		_ = json.Unmarshal(b, &said)
	}
	switch r.URL.Path {
	case "/":
		say(200, "", map[string]string{"newNonce": at("/nonce"), "newAccount": at("/account"), "newOrder": at("/order"), "revokeCert": at("/revoke"), "keyChange": at("/change")})
	case "/nonce":
	case "/account":
		say(201, "/account/1", map[string]string{"status": "valid"})
	case "/order":
		a.name, a.proved = said.Identifiers[0].Value, false
		a.orders++
		say(201, "/order/1", order("pending"))
	case "/order/1":
		say(200, "/order/1", order(map[bool]string{false: "ready", true: "valid"}[a.leaf != nil]))
	case "/authz":
		say(200, "", map[string]any{"status": state, "identifier": map[string]string{"type": "dns", "value": a.name}, "challenges": []any{challenge}})
	case "/challenge":
		a.prove()
		say(200, "", challenge)
	case "/finalize":
		a.issue(said.CSR)
		say(200, "/order/1", order("valid"))
	case "/cert":
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		_, _ = w.Write(a.leaf)
	default:
		http.NotFound(w, r)
	}
}

// prove asks the node for its proof.
func (a *authority) prove() {
	c, err := tls.Dial("tcp", a.node, &tls.Config{ServerName: a.name, NextProtos: []string{"acme-tls/1"}, InsecureSkipVerify: true})
	if err != nil {
		a.t.Errorf("the node shows no proof: %v", err)
		return
	}
	defer c.Close()
	cert := c.ConnectionState().PeerCertificates[0]
	for _, e := range cert.Extensions {
		a.proved = a.proved || e.Id.String() == "1.3.6.1.5.5.7.1.31" && cert.DNSNames[0] == a.name
	}
}

func (a *authority) issue(csr string) {
	der, err := base64.RawURLEncoding.DecodeString(csr)
	if err != nil {
		a.t.Error(err)
		return
	}
	asked, err := x509.ParseCertificateRequest(der)
	if err != nil || !a.proved {
		a.t.Errorf("proved %v: %v", a.proved, err)
		return
	}
	leaf, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: asked.DNSNames, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, a.root, asked.PublicKey, a.key)
	if err != nil {
		a.t.Error(err)
		return
	}
	a.leaf = append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.root.Raw})...)
}

// A certificate for the domain comes from an authority at the first call, is kept for the next start, and there is none for other names.
func TestDomain(t *testing.T) {
	a := newAuthority(t)
	cache := filepath.Join(t.TempDir(), "data", "tls")
	for start := range 2 {
		n := newNode(t, nil)
		c, err := wbhttp.Domain{Name: "waybill.test", Cache: cache, Directory: a.url + "/"}.TLS()
		n.must(err)
		addr, err := n.server.ListenTLS("127.0.0.1:0", c)
		n.must(err)
		a.node = addr.String()
		served := make(chan error, 1)
		go func() { served <- n.server.Serve() }()
		roots := x509.NewCertPool()
		roots.AddCert(a.root)
		ask := func(name string) error {
			tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: name}, ForceAttemptHTTP2: true}
			defer tr.CloseIdleConnections()
			resp, err := (&http.Client{Transport: tr}).Get("https://" + addr.String() + "/healthz")
			if err != nil {
				return err
			}
			resp.Body.Close()
			if resp.StatusCode != 200 || resp.ProtoMajor != 2 {
				return fmt.Errorf("%s %s", resp.Proto, resp.Status)
			}
			return nil
		}
		for _, name := range []string{"other.test", "sub.waybill.test", "waybill.test.evil.test", ""} {
			if err := ask(name); err == nil {
				t.Errorf("there is a certificate for %q", name)
			}
		}
		if err := ask("waybill.test"); err != nil {
			t.Errorf("start %d: %v", start, err)
		}
		if a.orders != 1 {
			t.Errorf("start %d: %d certificates were asked for", start, a.orders)
		}
		n.must(n.server.Close())
		n.must(<-served)
	}
	n := 0
	err := filepath.Walk(cache, func(path string, info os.FileInfo, err error) error {
		n++
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v %v", path, info.Mode(), err)
		}
		if strings.Contains(path, "other") {
			t.Errorf("%s is kept", path)
		}
		return nil
	})
	if err != nil || n < 3 {
		t.Errorf("%d in the cache: %v", n, err)
	}
}
