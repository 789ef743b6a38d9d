package http

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// ListenTLS binds a TCP address that is spoken to by TLS, as Listen does one without.
func (s *Server) ListenTLS(addr string, c *tls.Config) (net.Addr, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	return l.Addr(), s.bind(bound{Listener: l, tls: c})
}

// CertificateFiles is TLS by a certificate and its key in two files. They are read again when one of them has changed: who renews
// them need not start the node anew. A pair that does not fit together is logged, and the former one stays in use.
func CertificateFiles(cert, key string, log *slog.Logger) (*tls.Config, error) {
	f := &certificateFiles{cert: cert, key: key, log: log, now: time.Now}
	if err := f.load(); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: f.get}, nil
}

type certificateFiles struct {
	cert, key string
	log       *slog.Logger
	now       func() time.Time

	mu     sync.Mutex
	pair   *tls.Certificate
	of     [2]stamp
	looked time.Time
}

// stamp tells two contents of a file apart.
type stamp struct {
	size int64
	at   time.Time
}

// lookEvery is how often the files are looked at, at most.
const lookEvery = time.Second

func (f *certificateFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := f.now(); now.Sub(f.looked) >= lookEvery {
		f.looked = now
		if err := f.load(); err != nil {
			f.log.Error("the certificate stays the one that it was", slog.Any("error", err))
		}
	}
	return f.pair, nil
}

// load reads the files if they are not those that were read last.
func (f *certificateFiles) load() error {
	var of [2]stamp
	for i, name := range []string{f.cert, f.key} {
		info, err := os.Stat(name)
		if err != nil {
			return fmt.Errorf("TLS: %w", err)
		}
		of[i] = stamp{info.Size(), info.ModTime()}
	}
	if of == f.of {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return fmt.Errorf("TLS: %s and %s: %w", f.cert, f.key, err)
	}
	f.pair, f.of = &pair, of
	return nil
}

// Domain is a name for which a certificate is asked of an authority that speaks ACME, and renewed in time. The authority
// makes sure of the name by a TLS connection to its port 443, which must lead here.
type Domain struct {
	Name      string
	Cache     string // folder for the certificate and the account; made if it is not there, for the node's own user alone
	Directory string // address of the authority; empty: Let's Encrypt
}

// TLS is TLS by the domain's certificate. Handshakes for any other name are refused: nobody can have the node ask for theirs.
func (d Domain) TLS() (*tls.Config, error) {
	if err := os.MkdirAll(d.Cache, 0o700); err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	if err := os.Chmod(d.Cache, 0o700); err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	m := &autocert.Manager{Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(d.Cache), HostPolicy: autocert.HostWhitelist(d.Name)}
	if d.Directory != "" {
		m.Client = &acme.Client{DirectoryURL: d.Directory}
	}
	c := m.TLSConfig()
	c.MinVersion = tls.VersionTLS12
	return c, nil
}
