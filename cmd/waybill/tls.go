package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"

	wbhttp "waybill/http"
)

// encryption is how the node serves TLS; nothing set: it serves plain HTTP.
type encryption struct {
	domain    string // for which it gets a certificate by itself
	directory string // address of the authority; empty: Let's Encrypt
	cert, key string // files
}

// httpsListen is where a node with a domain listens unless told otherwise: the authority looks for the domain there.
const httpsListen = ":443"

func tlsSettings() []setting {
	return []setting{
		{"tls.domain", "WAYBILL_TLS_DOMAIN", "tls-domain", "serve TLS for `NAME`, with a certificate of Let's Encrypt's that is kept in DATA.tls; listens on :443", func(c *config, v string) error {
			if v != "" && (strings.ContainsAny(v, "*:/ ") || !strings.Contains(v, ".") || net.ParseIP(v) != nil) {
				return fmt.Errorf("%q is not the name of a host, such as llm.example.com", v)
			}
			c.tls.domain = strings.ToLower(strings.TrimSuffix(v, "."))
			return nil
		}},
		{"tls.directory", "WAYBILL_TLS_DIRECTORY", "", "", func(c *config, v string) error {
			if v != "" && !strings.HasPrefix(v, "https://") && !strings.HasPrefix(v, "http://") {
				return fmt.Errorf("%q is not the address of an ACME authority, such as https://acme-v02.api.letsencrypt.org/directory", v)
			}
			c.tls.directory = v
			return nil
		}},
		{"tls.cert", "WAYBILL_TLS_CERT", "tls-cert", "serve TLS with the certificate in `FILE`, PEM, read again when it changes", func(c *config, v string) error {
			c.tls.cert = v
			return nil
		}},
		{"tls.key", "WAYBILL_TLS_KEY", "tls-key", "the `FILE` of the certificate's key, PEM", func(c *config, v string) error {
			c.tls.key = v
			return nil
		}},
	}
}

// check refuses what does not go together.
func (e encryption) check() error {
	switch {
	case (e.cert == "") != (e.key == ""):
		return errors.New("tls: a certificate and its key go together: --tls-cert FILE --tls-key FILE")
	case e.cert != "" && e.domain != "":
		return errors.New("tls: a certificate comes from files or from an authority: leave out --tls-domain, or --tls-cert and --tls-key")
	case e.directory != "" && e.domain == "":
		return errors.New("tls: directory says who certifies the domain, and none is named: --tls-domain NAME")
	}
	return nil
}

// config is what the server needs, nil for plain HTTP. What an authority gives is kept beside the data folder, not in it, as the
// master key is: a copy of the folder is nobody's identity.
func (e encryption) config(data string, log *slog.Logger) (*tls.Config, error) {
	switch {
	case e.cert != "":
		return wbhttp.CertificateFiles(e.cert, e.key, log)
	case e.domain != "":
		return wbhttp.Domain{Name: e.domain, Cache: strings.TrimSuffix(keyFileOf(data), ".key") + ".tls", Directory: e.directory}.TLS()
	}
	return nil, nil
}

// listen binds the address of the configuration, and gives the URL under which the node is reached there.
func (n *node) listen() (url string, err error) {
	c := n.conf.tls
	t, err := c.config(n.conf.data, n.log)
	if err != nil {
		return "", err
	}
	if t == nil {
		addr, err := n.server.Listen(n.conf.listen)
		if err != nil {
			return "", err
		}
		return "http://" + addr.String(), nil
	}
	addr, err := n.server.ListenTLS(n.conf.listen, t)
	if err != nil {
		return "", err
	}
	if c.domain == "" {
		return "https://" + addr.String(), nil
	}
	if _, port, _ := net.SplitHostPort(addr.String()); port != "443" {
		return "https://" + net.JoinHostPort(c.domain, port), nil
	}
	return "https://" + c.domain, nil
}
