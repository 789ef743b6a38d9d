package router

import (
	"context"
	"net"
	"net/http"
	"time"
)

// Transport carries calls to upstreams.
type Transport = http.RoundTripper

// NewClient makes the client for calls upstream, which must connect within a time.
//
// It follows no redirect: that would take a credential to another host. It uses no proxy from the environment: where calls
// go is what the configuration says. It keeps as many idle connections as there were calls at once, and asks for no
// compression, which holds back the frames of a stream. What else bounds a call are the dispatcher's Timeouts.
func NewClient(connect time.Duration) *http.Client {
	dialer := net.Dialer{Timeout: connect, KeepAlive: 30 * time.Second}
	return newClient(dialer.DialContext, connect)
}

func newClient(dial func(ctx context.Context, network, addr string) (net.Conn, error), connect time.Duration) *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:         dial,
			TLSHandshakeTimeout: connect,
			MaxIdleConnsPerHost: 1024,
			IdleConnTimeout:     90 * time.Second,
			DisableCompression:  true,
			// No provider comes near it, and some of an answer's headers go on to the caller.
			MaxResponseHeaderBytes: 64 << 10,
			ForceAttemptHTTP2:      true,
			// A connection that died without a word is found out before many streams wait on it.
			HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second},
		},
	}
}
