package http

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"waybill/router"
)

// shares count what each key has of the node at a time: calls, be they streams or not, and connections; and what each org has of exports.
// Without a bound one could take all that there is, and its own mistakes would be everybody's.
type shares struct {
	mu   sync.Mutex
	held map[share]int
}

// share is something that a key or an org has.
type share struct {
	whose string // id
	what  string // calls, connections or exports
}

func newShares() *shares { return &shares{held: map[share]int{}} }

// take takes one more, unless that would be more than the most.
func (s *shares) take(whose, what string, most int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := share{whose, what}
	if s.held[k] >= most {
		return false
	}
	s.held[k]++
	return true
}

func (s *shares) give(whose, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := share{whose, what}
	if s.held[k]--; s.held[k] == 0 {
		delete(s.held, k)
	}
}

// shareWait is when a key whose share is used up may try again.
const shareWait = time.Second

// admit counts a call and its connection as its key's, until leave. A connection that is one too many is closed with the refusal.
func (s *Server) admit(ctx context.Context, w http.ResponseWriter, key string) (leave func(), f *router.Failure) {
	l := s.o.Limits
	refused := func(what string, most int) *router.Failure {
		return &router.Failure{Status: http.StatusTooManyRequests, Code: "rate_limited", RetryAfter: shareWait,
			Message: fmt.Sprintf("the key has %d %s open, which is as many as it may at a time: try again when one has ended", most, what)}
	}
	if c, ok := ctx.Value(connection{}).(*slot); ok && !c.claim(s.shares, key, l.KeyConns) {
		w.Header().Set("Connection", "close")
		return nil, refused("connections", l.KeyConns)
	}
	if !s.shares.take(key, "calls", l.KeyCalls) {
		return nil, refused("calls", l.KeyCalls)
	}
	return func() { s.shares.give(key, "calls") }, nil
}

// connection marks, in the context of a call, the connection that it came on.
type connection struct{}

func withConnection(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return context.WithValue(ctx, connection{}, c)
}

// slot is a connection that frees its place when it is closed.
type slot struct {
	net.Conn
	free func()

	mu     sync.Mutex
	closed bool
	key    string // whose call came last on it
	shares *shares
}

// claim makes the connection a key's. One on which a proxy sends the calls of several is that of the latest.
func (c *slot) claim(s *shares, key string, most int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.key == key {
		return true
	}
	if !s.take(key, "connections", most) {
		return false
	}
	c.release()
	c.key, c.shares = key, s
	return true
}

func (c *slot) release() {
	if c.key != "" {
		c.shares.give(c.key, "connections")
		c.key = ""
	}
}

// Close closes the connection.
func (c *slot) Close() error {
	defer c.free()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.release()
	return c.Conn.Close()
}
