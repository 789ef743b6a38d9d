package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// Server is a sandbox that listens on loopback.
type Server struct {
	*Sandbox
	url  string
	http *http.Server
	done chan error
}

// Listen serves a new sandbox on a loopback address, such as "127.0.0.1:0" for a free
// port. It refuses any other: the sandbox takes every key, and answers anyone.
func Listen(addr string, o Options) (*Server, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("listen for the sandbox: %w", err)
	}
	if host == "localhost" {
		host = "127.0.0.1" // whatever the resolver thinks
	}
	if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("listen for the sandbox: %s is not a loopback address", addr)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, fmt.Errorf("listen for the sandbox: %w", err)
	}
	sandbox := New(o)
	s := &Server{
		Sandbox: sandbox,
		url:     "http://" + listener.Addr().String(),
		http:    &http.Server{Handler: sandbox, ReadHeaderTimeout: 10 * time.Second},
		done:    make(chan error, 1),
	}
	go func() { s.done <- s.http.Serve(listener) }()
	return s, nil
}

// URL is the root; "/calls" below it is the record.
func (s *Server) URL() string { return s.url }

// BaseURL is the address of a provider as its own SDK takes it.
func (s *Server) BaseURL(provider string) string { return BaseURL(s.url, provider) }

// Close drops all connections and waits until nothing listens any more. Calls that are
// still being answered end as if their clients had left. It also returns Err.
func (s *Server) Close() error {
	err := s.http.Close()
	if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	s.done <- http.ErrServerClosed // for a second Close
	return errors.Join(err, s.Err())
}

// Shutdown lets open calls end first, but not longer than ctx.
func (s *Server) Shutdown(ctx context.Context) error {
	return errors.Join(s.http.Shutdown(ctx), s.Close())
}
