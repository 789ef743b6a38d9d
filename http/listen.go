package http

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// Listen binds a TCP address; Serve serves it. Whether the address is free shows here.
func (s *Server) Listen(addr string) (net.Addr, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	return l.Addr(), s.bind(bound{Listener: l})
}

// ListenUnix binds a Unix socket that the node's own user alone can open; who calls over it is the operator. A socket that
// an earlier node has left behind is replaced: the caller holds the lock of the data folder.
func (s *Server) ListenUnix(path string) error {
	// The socket comes into being where nobody else can reach it, and appears under its name with its final mode.
	dir, err := os.MkdirTemp(filepath.Dir(path), ".sock")
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	defer os.RemoveAll(dir)
	private := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: private, Net: "unix"})
	if errors.Is(err, syscall.EINVAL) { // a socket's path has some hundred bytes at the most
		err = fmt.Errorf("%s is too long a path for a Unix socket: choose a data folder with a shorter one, or name it relative to the working directory: %w", path, err)
	}
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	l.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(private, 0o600), os.Rename(private, path)); err != nil {
		return errors.Join(fmt.Errorf("listening: %w", err), l.Close())
	}
	return s.bind(bound{Listener: &socket{UnixListener: l, path: path}, trusted: true})
}

// socket is a Unix listener that removes the name that it got last.
type socket struct {
	*net.UnixListener
	path string
	once sync.Once
}

// Close stops listening and removes the socket.
func (l *socket) Close() error {
	err := l.UnixListener.Close()
	l.once.Do(func() {
		if e := os.Remove(l.path); e != nil && !errors.Is(e, os.ErrNotExist) {
			err = errors.Join(err, e)
		}
	})
	return err
}

func (s *Server) bind(l bound) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.Join(errors.New("listening: the server is closed"), l.Close())
	}
	s.listeners = append(s.listeners, l)
	return nil
}

// Serve serves every listener that is bound, until Drain or Close. It then returns nil; a listener that fails is an error.
func (s *Server) Serve() error {
	s.mu.Lock()
	failed := make(chan error, len(s.listeners))
	n := len(s.listeners)
	for _, l := range s.listeners {
		h := s.httpServer(l.trusted)
		s.serving = append(s.serving, h)
		limited := &limited{Listener: l, slots: make(chan struct{}, s.o.Limits.MaxConns)}
		go func() {
			if l.tls != nil {
				h.TLSConfig = l.tls
				failed <- h.ServeTLS(limited, "", "")
				return
			}
			failed <- h.Serve(limited)
		}()
	}
	s.listeners = nil
	s.mu.Unlock()
	var first error
	for range n {
		if err := <-failed; !errors.Is(err, http.ErrServerClosed) && first == nil {
			first = fmt.Errorf("serving: %w", err)
			s.Close()
		}
	}
	return first
}

// Close ends everything at once. A call that is open is cut.
func (s *Server) Close() error {
	s.mu.Lock()
	serving, listeners := s.serving, s.listeners
	s.serving, s.listeners, s.closed = nil, nil, true
	s.mu.Unlock()
	var errs []error
	for _, h := range serving {
		errs = append(errs, h.Close())
	}
	for _, l := range listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// limited is a listener with so many connections at a time; further ones wait to be accepted.
type limited struct {
	net.Listener
	slots chan struct{}
}

// Accept waits for a slot and a connection.
func (l *limited) Accept() (net.Conn, error) {
	l.slots <- struct{}{}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &slot{Conn: c, free: sync.OnceFunc(func() { <-l.slots })}, nil
}
