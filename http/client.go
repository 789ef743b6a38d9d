package http

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"waybill/router"
)

// Client calls the control API as the operator, over a node's Unix socket or within the process.
type Client struct {
	http  *http.Client
	close func() error
}

// Dial makes a client of the node that listens on a Unix socket. It connects with its first call.
func Dial(socket string) *Client {
	return newClient(func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}, func() error { return nil })
}

// InProcess makes a client of a server that listens nowhere: a command that works on the store itself goes the same way as
// one that asks a running node.
func InProcess(s *Server) *Client {
	l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	h := s.httpServer(true)
	served := make(chan error, 1)
	go func() { served <- h.Serve(l) }()
	return newClient(l.dial, func() error {
		err := h.Close()
		if e := <-served; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
		return err
	})
}

func newClient(dial func(context.Context) (net.Conn, error), shut func() error) *Client {
	t := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }}
	return &Client{http: &http.Client{Transport: t}, close: func() error {
		t.CloseIdleConnections()
		return shut()
	}}
}

// Close gives the connections back.
func (c *Client) Close() error { return c.close() }

// Do makes a call. The body is written as JSON, unless it is nil, and the answer is read into out, unless that is nil; a
// *json.RawMessage takes it as it came. An error of the node's is a *Problem.
func (c *Client) Do(ctx context.Context, method, path string, body, out any) error {
	resp, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("reading the node's answer: %w", err)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("reading the node's answer: %w", err)
	}
	return nil
}

// Tail reads a path that answers with server-sent events, and hands on the data of each, until ctx ends, the node does, or
// each fails. The end of the node's answer is no error.
func (c *Client) Tail(ctx context.Context, path string, each func(data []byte) error) error {
	resp, err := c.send(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	frames := router.NewFrameReader(resp.Body)
	for {
		f, err := frames.Next()
		switch {
		case err == io.EOF || ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("reading the node's events: %w", err)
		case len(f.Data) == 0:
			continue
		}
		if err := each(f.Data); err != nil {
			return err
		}
	}
}

func (c *Client) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("writing the call: %w", err)
		}
		content = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://waybill"+path, content)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // the address is made up
		}
		return nil, fmt.Errorf("calling the node: %w", err)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	p := &Problem{Status: resp.StatusCode}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxControlBody))
	if err != nil || json.Unmarshal(b, p) != nil || p.Detail == "" {
		p.Detail = fmt.Sprintf("the node answered %s: %s", resp.Status, strings.TrimSpace(string(b)))
	}
	return nil, p
}

// pipes is a listener whose connections are made within the process.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *pipes) dial(ctx context.Context) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case l.conns <- there:
		return here, nil
	case <-l.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept waits for a client.
func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close ends the listening.
func (l *pipes) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr is no address: the connections are pipes.
func (l *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "in process", Net: "pipe"} }
