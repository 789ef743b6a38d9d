package http_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	wbhttp "waybill/http"
)

// certify makes a certificate for a name, signed by itself, and its key, as PEM.
func certify(t *testing.T, name string, serial int64) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
}

// The files of a certificate serve HTTP/1.1 and 2, are read again when they change, and stay in use while what is there is broken.
func TestCertificateFiles(t *testing.T) {
	n := newNode(t, nil)
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write := func(name string, b []byte, age time.Duration) {
		t.Helper()
		n.must(os.WriteFile(name, b, 0o600))
		n.must(os.Chtimes(name, time.Time{}, time.Now().Add(-age)))
	}
	cert, key := certify(t, "waybill.test", 1)
	write(certFile, cert, time.Hour)
	if _, err := wbhttp.CertificateFiles(certFile, keyFile, slog.Default()); err == nil {
		t.Error("a certificate without its key")
	}
	write(keyFile, key, time.Hour)
	var log journal
	c, err := wbhttp.CertificateFiles(certFile, keyFile, slog.New(slog.NewTextHandler(&log, nil)))
	n.must(err)
	addr, err := n.server.ListenTLS("127.0.0.1:0", c)
	n.must(err)
	served := make(chan error, 1)
	go func() { served <- n.server.Serve() }()
	ask := func(cert []byte, change func(*tls.Config)) (*http.Response, error) {
		t.Helper()
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(cert)
		c := &tls.Config{RootCAs: roots, ServerName: "waybill.test"}
		if change != nil {
			change(c)
		}
		tr := &http.Transport{TLSClientConfig: c, ForceAttemptHTTP2: c.NextProtos == nil}
		defer tr.CloseIdleConnections()
		resp, err := (&http.Client{Transport: tr}).Get("https://" + addr.String() + "/healthz")
		if err == nil {
			resp.Body.Close()
		}
		return resp, err
	}
	resp, err := ask(cert, nil)
	if err != nil || resp.ProtoMajor != 2 || resp.StatusCode != 200 || resp.Header.Get("Strict-Transport-Security") == "" {
		t.Fatalf("%v: %+v", err, resp)
	}
	if resp, err := ask(cert, func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }); err != nil || resp.ProtoMajor != 1 {
		t.Errorf("%v: %+v", err, resp)
	}
	if _, err := ask(cert, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	if resp, err := http.Get("http://" + addr.String() + "/healthz"); err == nil {
		if resp.StatusCode != 400 {
			t.Errorf("plain HTTP where TLS is spoken: %s", resp.Status)
		}
		resp.Body.Close()
	}
	next, nextKey := certify(t, "waybill.test", 2)
	write(certFile, next, 0)
	until(t, "word of a pair that does not fit", func() bool {
		_, err := ask(cert, nil)
		n.must(err)
		return strings.Contains(log.String(), "the certificate stays the one that it was")
	})
	write(keyFile, nextKey, 0)
	until(t, "the new certificate", func() bool { _, err := ask(next, nil); return err == nil })
	n.must(os.Remove(keyFile))
	if _, err := ask(next, nil); err != nil {
		t.Errorf("without the file: %v", err)
	}
	n.must(n.server.Close())
	n.must(<-served)
	if bytes.Contains([]byte(log.String()), nextKey[40:80]) {
		t.Error("the key is in the log")
	}
}
